//! Executes committed entries in order: the one place where a command meets the state machine.
//!
//! Pure: no clock, no thread, no I/O. Every shell runs the same applier.
//!
//! - Each entry is executed exactly once, in the order of the log.
//! - The application's index counts commands alone, as a function of the log's prefix.
//! - A command of a session is executed once, however often it is in the log; whoever sends it
//!   again is given the reply of that execution ([`crate::sessions`]).
//! - A committed command that cannot be decoded ends the work: skipping it would let this node
//!   differ from the others.

use std::io::{self, Read as _};

use quorate_core::{EntryKind, Index};
use quorate_log::{Entries, EntryRef, Envelope};

use crate::codec::{Codec, CodecError};
use crate::machine::{Applying, StateMachine};
use crate::replica::Origin;
use crate::sessions::{
    Outcome, SessionId, SessionLimits, SessionRequest, SessionTable, SessionsView, Verdict,
};
use crate::snapshot::{SnapshotError, SnapshotMeta, SnapshotView};
use crate::wire::WireError;

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
    /// The log's time at the last entry executed.
    log_time_ms: u64,
    sessions: SessionTable,
    limits: SessionLimits,
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
    pub fn new(machine: M) -> Self {
        Self::with_limits(machine, SessionLimits::STANDARD)
    }

    /// As [`Applier::new`], with other bounds of the sessions: for worlds that are to reach them.
    /// All nodes of a cluster must have the same.
    pub fn with_limits(machine: M, limits: SessionLimits) -> Self {
        Self {
            machine,
            applied: Index::ZERO,
            applying: Index::ZERO,
            application_index: 0,
            log_time_ms: 0,
            sessions: SessionTable::new(limits),
            limits,
        }
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

    /// The log's time at the last entry executed, in milliseconds.
    pub const fn log_time_ms(&self) -> u64 {
        self.log_time_ms
    }

    /// The machine.
    pub const fn machine(&self) -> &M {
        &self.machine
    }

    /// The sessions of clients.
    pub const fn sessions(&self) -> &SessionTable {
        &self.sessions
    }

    /// The sessions as they stand after the last entry executed, for a snapshot.
    pub fn sessions_view(&mut self) -> SessionsView {
        self.sessions.view(self.log_time_ms)
    }

    /// The state as it stands, as what a snapshot holds: how many commands were executed, what
    /// clients were answered, then the machine. Costs what the machine's own view costs.
    pub fn view(&mut self) -> ApplierView<M::View> {
        let head = Some((self.application_index, self.sessions_view()));
        ApplierView { head, machine: self.machine.view() }
    }

    /// Replaces the state by that of a snapshot which ends with the entry `last`.
    ///
    /// # Errors
    ///
    /// When the bytes cannot be read, or are not such a state. The applier is not used again then.
    ///
    /// # Panics
    ///
    /// When the snapshot ends before what was executed already, or the machine panics.
    pub fn restore(
        &mut self,
        last: Index,
        meta: &SnapshotMeta,
        from: &mut dyn io::Read,
    ) -> Result<(), SnapshotError> {
        assert!(last >= self.applied, "a state is never replaced by an earlier one");
        self.applying = last;
        let mut number = || -> io::Result<u64> {
            let mut bytes = [0; 8];
            from.read_exact(&mut bytes)?;
            Ok(u64::from_le_bytes(bytes))
        };
        let (executed, length) = (number()?, number()?);
        let mut sessions = Vec::new();
        // As long as it says, and no longer than there are bytes: nothing is reserved for it.
        (&mut *from).take(length).read_to_end(&mut sessions)?;
        let malformed = |error: WireError| SnapshotError::Malformed(error.to_string());
        self.sessions = SessionTable::decode(&sessions, self.limits).map_err(malformed)?;
        self.machine.restore(from)?;
        // Only the end of the bytes says that all of them were there.
        if from.read(&mut [0])? > 0 {
            return Err(SnapshotError::Malformed("the machine left bytes of it unread".to_owned()));
        }
        self.applied = last;
        // The log holds more commands than were executed, where some of a session came twice.
        self.application_index = executed;
        self.log_time_ms = meta.log_time_ms;
        Ok(())
    }

    /// Executes entries, which follow the last one executed. What somebody waits for goes to
    /// `reply`, in order.
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
        mut reply: impl FnMut(Origin, Outcome<M::Reply>),
    ) -> Result<(), Undecodable> {
        assert_eq!(entries.first(), self.applied.next(), "entries are executed in order");
        let mut answers = answers.iter().peekable();
        for entry in entries.iter() {
            let index = entry.id.index;
            self.applying = index;
            let answered = self.execute(&entry)?;
            self.applied = index;
            self.log_time_ms = entry.envelope.log_time_ms;
            let origin = answers.next_if(|(at, _)| *at == index);
            if let (Some((_, origin)), Some(answer)) = (origin, answered) {
                reply(*origin, answer);
            }
        }
        if !self.sessions.is_empty() {
            self.sessions.expire(self.log_time_ms);
        }
        Ok(())
    }

    fn execute(&mut self, entry: &EntryRef<'_>) -> Result<Option<Outcome<M::Reply>>, Undecodable> {
        match entry.envelope.kind {
            EntryKind::Command if entry.envelope.session == 0 => {
                self.command(entry).map(|reply| Some(Outcome::Reply(reply)))
            }
            EntryKind::Command => self.command_of_session(entry).map(Some),
            EntryKind::Session => self.request_of_session(entry).map(Some),
            EntryKind::Opening | EntryKind::Membership => Ok(None),
        }
    }

    fn command(&mut self, entry: &EntryRef<'_>) -> Result<M::Reply, Undecodable> {
        let command = M::Command::decode(entry.payload)
            .map_err(|source| Undecodable { index: entry.id.index, source })?;
        self.application_index += 1;
        let at = Applying {
            id: entry.id,
            application_index: self.application_index,
            log_time_ms: entry.envelope.log_time_ms,
        };
        Ok(self.machine.apply(&at, command))
    }

    /// A command that may be here for the second time.
    #[cold]
    fn command_of_session(
        &mut self,
        entry: &EntryRef<'_>,
    ) -> Result<Outcome<M::Reply>, Undecodable> {
        let Envelope { session, sequence, acknowledged_distance, log_time_ms, .. } = entry.envelope;
        let acknowledged = sequence.saturating_sub(acknowledged_distance);
        let (at, session) = ((entry.id.index, log_time_ms), SessionId(session));
        Ok(match self.sessions.begin(at, session, sequence, acknowledged) {
            Verdict::Execute => {
                let reply = self.command(entry)?;
                let mut bytes = Vec::new();
                let is_encoded = reply.encode(&mut bytes).is_ok();
                self.sessions.keep(session, sequence, is_encoded.then_some(&bytes[..]));
                Outcome::Reply(reply)
            }
            Verdict::Duplicate(reply) => Outcome::Kept(reply),
            Verdict::Fault(fault) => Outcome::Fault(fault),
        })
    }

    fn request_of_session(
        &mut self,
        entry: &EntryRef<'_>,
    ) -> Result<Outcome<M::Reply>, Undecodable> {
        let index = entry.id.index;
        // Bytes of a later version end the work, as a command's would: those that know them do
        // something, and skipping them would make this node differ.
        let request = SessionRequest::decode(entry.payload).map_err(|error| Undecodable {
            index,
            source: CodecError::Malformed(error.to_string()),
        })?;
        let (at, session) = (entry.envelope.log_time_ms, SessionId(entry.envelope.session));
        let done = self.sessions.request((index, at), session, request);
        Ok(done.map_or_else(Outcome::Fault, Outcome::Session))
    }

    /// Answers a query from the present state.
    pub fn query(&self, query: M::Query) -> M::Answer {
        self.machine.query(query)
    }
}

/// The state of an applier at one moment.
#[derive(Debug)]
pub struct ApplierView<V> {
    /// Until they were written: commands executed and the length of the sessions, in 8 bytes each,
    /// then the sessions.
    head: Option<(u64, SessionsView)>,
    machine: V,
}

impl<V: SnapshotView> SnapshotView for ApplierView<V> {
    fn next(&mut self, room: &mut Vec<u8>) -> Result<bool, SnapshotError> {
        if let Some((executed, sessions)) = self.head.take() {
            let length = sessions.encoded_bytes() as u64;
            room.extend_from_slice(&executed.to_le_bytes());
            room.extend_from_slice(&length.to_le_bytes());
            sessions.encode(room);
        }
        self.machine.next(room)
    }
}

#[cfg(test)]
mod tests {
    use quorate_core::Term;
    use quorate_log::{BlockBuilder, Envelope};
    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::replica::{CallId, ForwardOutcome};
    use crate::sessions::SessionFault;

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
        assert_eq!(
            replies,
            [(origin(5), Outcome::Reply(8))],
            "the reply of the very entry, and of no other"
        );
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

    /// Entries of a session, each with its kind, session, sequence and acknowledged sequence.
    fn of_session(first: u64, all: &[(EntryKind, u64, u32, u32, &[u8])]) -> Entries {
        let mut builder = BlockBuilder::new();
        for (at, (kind, session, sequence, acknowledged, payload)) in all.iter().enumerate() {
            let index = first + at as u64;
            let mut envelope = Envelope::of(*kind, 10 * index);
            envelope.session = *session;
            envelope.sequence = *sequence;
            envelope.acknowledged_distance = sequence - acknowledged;
            builder.push(Index(index), Term(1), &envelope, payload);
        }
        Entries::all(builder.finish())
    }

    /// What every entry gave.
    fn outcomes(applier: &mut Applier<Places>, entries: &Entries) -> Vec<Outcome<u8>> {
        let answers: Vec<(Index, Origin)> =
            entries.iter().map(|entry| (entry.id.index, Origin::Local(CallId(1)))).collect();
        let mut outcomes = Vec::new();
        applier.apply(entries, &answers, |_, outcome| outcomes.push(outcome)).unwrap();
        outcomes
    }

    const OPEN: &[u8] = &[1, 1, 0, 0, 1, 0, 0, 0, 0, 0];

    /// R-CL1: a call that was answered on one way and sent again on another was applied twice.
    #[test]
    fn a_command_of_a_session_is_executed_once_whatever_leader_proposes_it() {
        #[cfg(quorate_mutants)]
        quorate_core::mutant::pick(&std::env::var("QUORATE_MUTANT").unwrap_or_default());
        let mut applier = Applier::new(Places::default());
        let command: &[u8] = &[1, 7];
        let first = of_session(
            1,
            &[
                (EntryKind::Session, 0, 0, 0, OPEN),
                (EntryKind::Command, 1, 1, 0, command),
                (EntryKind::Command, 1, 1, 0, command),
                (EntryKind::Command, 1, 2, 1, command),
                (EntryKind::Command, 1, 1, 0, command),
                (EntryKind::Command, 9, 1, 0, command),
                (EntryKind::Session, 1, 0, 0, &[1, 3]),
                (EntryKind::Command, 1, 2, 1, command),
            ],
        );
        let expected = [
            Outcome::Session(SessionId(1)),
            Outcome::Reply(8),
            Outcome::Kept([1, 8][..].into()),
            Outcome::Reply(8),
            Outcome::Fault(SessionFault::Acknowledged),
            Outcome::Fault(SessionFault::Expired),
            Outcome::Session(SessionId(1)),
            Outcome::Fault(SessionFault::Expired),
        ];
        assert_eq!(outcomes(&mut applier, &first), expected);
        assert_eq!(applier.machine().0, [(2, 1, 20), (4, 2, 40)], "the others leave no trace");
        assert_eq!((applier.applied(), applier.application_index()), (Index(8), 2));
        assert!(applier.sessions().is_empty());
    }

    #[test]
    fn sessions_expire_without_entries_of_their_own() {
        let mut applier = Applier::new(Places::default());
        outcomes(&mut applier, &of_session(1, &[(EntryKind::Session, 0, 0, 0, OPEN)]));
        assert_eq!(applier.sessions().len(), 1);
        let mut builder = BlockBuilder::new();
        let later = Envelope::of(EntryKind::Opening, 80_000_000);
        builder.push(Index(2), Term(1), &later, &[]);
        applier.apply(&Entries::all(builder.finish()), &[], |_, _| {}).unwrap();
        assert!(applier.sessions().is_empty());
    }

    #[test]
    fn a_request_of_a_later_version_ends_the_work_before_it() {
        let mut applier = Applier::new(Places::default());
        let block = of_session(1, &[(EntryKind::Session, 0, 0, 0, &[2, 1])]);
        let error = applier.apply(&block, &[], |_, _| {}).unwrap_err();
        assert!(error.to_string().contains("entry 1 cannot be read"), "{error}");
        assert!(error.to_string().contains("upgrade"), "{error}");
        assert_eq!(applier.applied(), Index(0));
    }

    /// A reply that has no encoding.
    #[derive(Debug, PartialEq, Eq)]
    struct Unspeakable;

    impl Codec for Unspeakable {
        fn encode(&self, out: &mut Vec<u8>) -> Result<(), CodecError> {
            out.push(1);
            Err(CodecError::Unencodable("it has none".to_owned()))
        }

        fn decode(_: &[u8]) -> Result<Self, CodecError> {
            Err(CodecError::Empty)
        }
    }

    #[derive(Default, Serialize, Deserialize)]
    struct Silent(u64);

    impl StateMachine for Silent {
        type Command = u8;
        type Reply = Unspeakable;
        type Query = ();
        type Answer = u64;

        fn apply(&mut self, _: &Applying, _: u8) -> Unspeakable {
            self.0 += 1;
            Unspeakable
        }

        fn query(&self, (): ()) -> u64 {
            self.0
        }
    }

    #[test]
    fn a_command_whose_reply_has_no_encoding_is_executed_once_all_the_same() {
        let mut applier = Applier::new(Silent::default());
        let command = (EntryKind::Command, 1, 1, 0, &[1, 7][..]);
        let block = of_session(1, &[(EntryKind::Session, 0, 0, 0, OPEN), command, command]);
        let answers = [2, 3].map(|index| (Index(index), Origin::Local(CallId(index))));
        let mut outcomes = Vec::new();
        applier.apply(&block, &answers, |_, outcome| outcomes.push(outcome)).unwrap();
        let lost = Outcome::Fault(SessionFault::ReplyLost);
        assert_eq!(outcomes, [Outcome::Reply(Unspeakable), lost]);
        assert_eq!(applier.query(()), 1);
        assert_eq!(Outcome::Reply(Unspeakable).forwarded(), ForwardOutcome::Unknown);
    }

    fn written(applier: &mut Applier<Places>) -> Vec<u8> {
        let (mut view, mut bytes) = (applier.view(), Vec::new());
        while view.next(&mut bytes).unwrap() {}
        bytes
    }

    #[test]
    fn a_restored_state_goes_on_as_the_one_that_executed_everything() {
        let command: &[u8] = &[1, 7];
        let first = of_session(
            1,
            &[
                (EntryKind::Session, 0, 0, 0, OPEN),
                (EntryKind::Command, 1, 1, 0, command),
                (EntryKind::Command, 1, 1, 0, command),
                (EntryKind::Command, 0, 0, 0, command),
            ],
        );
        let second = of_session(
            5,
            &[
                (EntryKind::Command, 1, 1, 0, command),
                (EntryKind::Command, 1, 2, 1, command),
                (EntryKind::Session, 0, 0, 0, OPEN),
            ],
        );
        let mut whole = Applier::new(Places::default());
        outcomes(&mut whole, &first);
        let bytes = written(&mut whole);
        let member = crate::roster::Member {
            id: quorate_core::NodeId::new(1).unwrap(),
            name: "n1".to_owned(),
            peer_address: "127.0.0.1:1".to_owned(),
            client_urls: Vec::new(),
        };
        let roster = std::sync::Arc::new(crate::roster::Roster::of_voters([member]).unwrap());
        // Three commands are in the log, of which two were executed.
        let meta = SnapshotMeta { roster, log_time_ms: whole.log_time_ms(), application_index: 3 };
        let mut restored = Applier::new(Places::default());
        restored.restore(Index(4), &meta, &mut &bytes[..]).unwrap();
        assert_eq!((restored.applied(), restored.application_index()), (Index(4), 2));
        assert_eq!(written(&mut restored), bytes);
        assert_eq!(outcomes(&mut restored, &second), outcomes(&mut whole, &second));
        assert_eq!(written(&mut restored), written(&mut whole), "byte for byte");
        assert_eq!(restored.machine().0, whole.machine().0);
        for length in 0..bytes.len() {
            let mut cut = Applier::new(Places::default());
            cut.restore(Index(4), &meta, &mut &bytes[..length]).unwrap_err();
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        restored.restore(Index(7), &meta, &mut &longer[..]).unwrap_err();
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
