//! The reader's thread: reads older entries and pieces of snapshots back, so that neither heartbeats
//! nor writes wait.

use std::sync::Arc;

use quorate_core::{Index, SnapshotId};
use quorate_log::{Fs, LogReader, SnapshotReader};

use super::mailbox::Mailbox;
use super::shared::{Event, Shared};
use crate::machine::StateMachine;
use crate::replica::{ReadFault, Ticket};

/// What the reader's thread shall do.
#[derive(Debug)]
pub(crate) enum ReadJob {
    /// Read entries.
    Read { ticket: Ticket, first: Index, last: Index, max_bytes: usize },
    /// Read a piece of a snapshot.
    Snapshot { ticket: Ticket, id: SnapshotId, offset: u64, bytes: u32 },
    /// End.
    Stop,
}

/// What it reads from.
pub(crate) struct Readers<F: Fs> {
    pub(crate) log: LogReader<F>,
    pub(crate) snapshots: SnapshotReader<F>,
}

/// Runs until it is told to stop.
pub(crate) fn run<M: StateMachine, F: Fs>(
    readers: &mut Readers<F>,
    jobs: &Mailbox<ReadJob>,
    shared: &Arc<Shared<M>>,
) {
    let mut taken = Vec::new();
    loop {
        jobs.wait(&mut taken, None);
        if !serve(readers, &mut taken, shared) {
            return;
        }
    }
}

/// As [`run`], as a task.
pub(crate) async fn run_here<M: StateMachine, F: Fs>(
    mut readers: Readers<F>,
    jobs: Arc<Mailbox<ReadJob>>,
    shared: Arc<Shared<M>>,
) {
    let mut taken = Vec::new();
    loop {
        jobs.wait_here(&mut taken, None).await;
        if !serve(&mut readers, &mut taken, &shared) {
            return;
        }
    }
}

/// Reads what was asked for; says whether to go on.
fn serve<M: StateMachine, F: Fs>(
    readers: &mut Readers<F>,
    taken: &mut Vec<ReadJob>,
    shared: &Arc<Shared<M>>,
) -> bool {
    for job in taken.drain(..) {
        let event = match job {
            ReadJob::Read { ticket, first, last, max_bytes } => {
                let outcome = readers.log.read(first, last, max_bytes).map_err(ReadFault::from);
                Event::LogRead { ticket, outcome }
            }
            ReadJob::Snapshot { ticket, id, offset, bytes } => {
                let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
                let outcome = readers.snapshots.read(&id, offset, bytes);
                let outcome = outcome.map_err(|error| {
                    tracing::warn!(%id, offset, %error, "a piece of a snapshot cannot be read");
                    error.to_string()
                });
                Event::SnapshotRead { ticket, outcome }
            }
            ReadJob::Stop => return false,
        };
        if shared.inbox.push(event).is_err() {
            return false;
        }
    }
    true
}
