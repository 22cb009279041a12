//! The reader's thread: reads older entries back, so that neither heartbeats nor writes wait.

use std::sync::Arc;

use quorate_core::Index;
use quorate_log::{Fs, LogReader};

use super::mailbox::Mailbox;
use super::shared::{Event, Shared};
use crate::machine::StateMachine;
use crate::replica::{ReadFault, Ticket};

/// What the reader's thread shall do.
#[derive(Debug)]
pub(crate) enum ReadJob {
    /// Read entries.
    Read { ticket: Ticket, first: Index, last: Index, max_bytes: usize },
    /// End.
    Stop,
}

/// Runs until it is told to stop.
pub(crate) fn run<M: StateMachine, F: Fs>(
    reader: &mut LogReader<F>,
    jobs: &Mailbox<ReadJob>,
    shared: &Arc<Shared<M>>,
) {
    let mut taken = Vec::new();
    loop {
        jobs.wait(&mut taken, None);
        if !serve(reader, &mut taken, shared) {
            return;
        }
    }
}

/// As [`run`], as a task.
pub(crate) async fn run_here<M: StateMachine, F: Fs>(
    mut reader: LogReader<F>,
    jobs: Arc<Mailbox<ReadJob>>,
    shared: Arc<Shared<M>>,
) {
    let mut taken = Vec::new();
    loop {
        jobs.wait_here(&mut taken, None).await;
        if !serve(&mut reader, &mut taken, &shared) {
            return;
        }
    }
}

/// Reads what was asked for; says whether to go on.
fn serve<M: StateMachine, F: Fs>(
    reader: &mut LogReader<F>,
    taken: &mut Vec<ReadJob>,
    shared: &Arc<Shared<M>>,
) -> bool {
    for job in taken.drain(..) {
        let ReadJob::Read { ticket, first, last, max_bytes } = job else { return false };
        let outcome = reader.read(first, last, max_bytes).map_err(ReadFault::from);
        if shared.inbox.push(Event::LogRead { ticket, outcome }).is_err() {
            return false;
        }
    }
    true
}
