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
        for job in taken.drain(..) {
            let ReadJob::Read { ticket, first, last, max_bytes } = job else { return };
            let outcome = reader.read(first, last, max_bytes).map_err(ReadFault::from);
            if shared.inbox.push(Event::LogRead { ticket, outcome }).is_err() {
                return;
            }
        }
    }
}
