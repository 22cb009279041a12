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

#[cfg(test)]
mod tests {
    use quorate_core::Term;
    use quorate_log::{BlockBuilder, Envelope};
    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::replica::CallId;

    /// Keeps where each command stood.
    #[derive(Default, Serialize, Deserialize)]
    struct Places(Vec<(u64, u64, u64)>);

    impl StateMachine for Places {
        type Command = u8;
        type Reply = u8;
        type Query = ();
        type Answer = usize;

        fn apply(&mut self, at: &Applying, command: u8) -> u8 {
            self.0.push((at.id.index.0, at.application_index, at.log_time_ms));
            command + 1
        }

        fn query(&self, (): ()) -> usize {
            self.0.len()
        }
    }

    fn entries(first: u64, kinds: &[(EntryKind, &[u8])]) -> Entries {
        let mut builder = BlockBuilder::new();
        for (at, (kind, payload)) in kinds.iter().enumerate() {
            let index = first + at as u64;
            builder.push(Index(index), Term(1), &Envelope::of(*kind, 10 * index), payload);
        }
        Entries::all(builder.finish())
    }

    #[test]
    fn the_application_counts_its_own_commands_alone() {
        let mut applier = Applier::new(Places::default());
        let mut replies = Vec::new();
        let command: &[u8] = &[1, 7];
        let first = entries(
            1,
            &[(EntryKind::Opening, &[]), (EntryKind::Command, command), (EntryKind::Opening, &[])],
        );
        let origin = |call| Origin::Local(CallId(call));
        let answers = [(Index(2), origin(5)), (Index(3), origin(6))];
        applier.apply(&first, &answers, |origin, reply| replies.push((origin, reply))).unwrap();
        let second = entries(4, &[(EntryKind::Command, command)]);
        applier.apply(&second, &[], |_, _| panic!("nobody waits")).unwrap();
        assert_eq!(replies, [(origin(5), 8)], "the reply of the very entry, and of no other");
        assert_eq!(applier.machine().0, [(2, 1, 20), (4, 2, 40)]);
        assert_eq!((applier.applied(), applier.application_index()), (Index(4), 2));
        assert_eq!(applier.query(()), 2);
    }

    #[test]
    fn a_command_that_cannot_be_read_ends_the_work_before_it() {
        let mut applier = Applier::new(Places::default());
        let block = entries(1, &[(EntryKind::Command, &[1, 7]), (EntryKind::Command, &[9, 9])]);
        let error = applier.apply(&block, &[], |_, _| {}).unwrap_err();
        assert_eq!(error, Undecodable { index: Index(2), source: CodecError::Version(9) });
        assert_eq!(applier.applied(), Index(1));
    }

    #[test]
    #[should_panic(expected = "in order")]
    fn entries_are_executed_once() {
        let mut applier = Applier::new(Places::default());
        let block = entries(1, &[(EntryKind::Command, &[1, 7])]);
        applier.apply(&block, &[], |_, _| {}).unwrap();
        drop(applier.apply(&block, &[], |_, _| {}));
    }
}
