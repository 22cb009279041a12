//! Executes committed entries in order: the one place where a command meets the state machine.
//!
//! Pure: no clock, no thread, no I/O. Every shell runs the same applier.
//!
//! - Each entry is executed exactly once, in the order of the log.
//! - The application's index counts commands alone, as a function of the log's prefix.
//! - A committed command that cannot be decoded ends the work: skipping it would let this node
//!   differ from the others.

use quorate_core::{EntryKind, Index};
use quorate_log::{Entries, EntryRef};

use crate::codec::{Codec, CodecError};
use crate::machine::{Applying, StateMachine};
use crate::replica::Origin;

/// A state machine with its place in the log.
#[derive(Debug)]
pub struct Applier<M> {
    machine: M,
    /// The last entry executed.
    applied: Index,
    /// The entry being executed, or the last one.
    applying: Index,
    /// Commands executed so far.
    application_index: u64,
}

/// A committed command that this program cannot decode.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the command of entry {index} cannot be read: {source}")]
pub struct Undecodable {
    /// The entry that holds it.
    pub index: Index,
    /// What is wrong with it.
    pub source: CodecError,
}

impl<M: StateMachine> Applier<M> {
    /// A machine that has executed nothing.
    pub const fn new(machine: M) -> Self {
        Self { machine, applied: Index::ZERO, applying: Index::ZERO, application_index: 0 }
    }

    /// The last entry executed.
    pub const fn applied(&self) -> Index {
        self.applied
    }

    /// The entry being executed, or the last one: where a panic came from.
    pub const fn applying(&self) -> Index {
        self.applying
    }

    /// Commands executed so far.
    pub const fn application_index(&self) -> u64 {
        self.application_index
    }

    /// The machine.
    pub const fn machine(&self) -> &M {
        &self.machine
    }

    /// Executes entries, which follow the last one executed. The replies that somebody waits for
    /// go to `reply`, in order.
    ///
    /// # Errors
    ///
    /// When a command cannot be decoded; the entries before it were executed.
    ///
    /// # Panics
    ///
    /// When the entries do not follow, or the machine panics.
    pub fn apply(
        &mut self,
        entries: &Entries,
        answers: &[(Index, Origin)],
        mut reply: impl FnMut(Origin, M::Reply),
    ) -> Result<(), Undecodable> {
        assert_eq!(entries.first(), self.applied.next(), "entries are executed in order");
        let mut answers = answers.iter().peekable();
        for entry in entries.iter() {
            let index = entry.id.index;
            self.applying = index;
            let answered = self.execute(&entry)?;
            self.applied = index;
            let origin = answers.next_if(|(at, _)| *at == index);
            if let (Some((_, origin)), Some(answer)) = (origin, answered) {
                reply(*origin, answer);
            }
        }
        Ok(())
    }

    fn execute(&mut self, entry: &EntryRef<'_>) -> Result<Option<M::Reply>, Undecodable> {
        match entry.envelope.kind {
            EntryKind::Command => {
                let command = M::Command::decode(entry.payload)
                    .map_err(|source| Undecodable { index: entry.id.index, source })?;
                self.application_index += 1;
                let at = Applying {
                    id: entry.id,
                    application_index: self.application_index,
                    log_time_ms: entry.envelope.log_time_ms,
                };
                Ok(Some(self.machine.apply(&at, command)))
            }
            EntryKind::Opening | EntryKind::Membership => Ok(None),
        }
    }

    /// Answers a query from the present state.
    pub fn query(&self, query: M::Query) -> M::Answer {
        self.machine.query(query)
    }
}
