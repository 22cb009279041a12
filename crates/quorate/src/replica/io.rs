//! What a replica is told and what it asks for: the whole boundary to its shell, as data.

use std::sync::Arc;

use quorate_core::{
    BootCounter, EntryId, Few, HaltReason, Index, NodeId, PersistToken, ReadId, RequestId,
    RoleName, SnapshotId, Term,
};
use quorate_log::{Compact, Entries, ReadError, StoredSnapshot, Write};

use super::command::Command;
use super::frame::{ForwardNumber, ForwardOutcome, Frame};
use crate::roster::Roster;
use crate::sessions::{SessionFault, Stamp};

/// Names a call of this node's own clients. The shell chooses it and uses it once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CallId(pub u64);

/// Names a request to read entries or a piece of a snapshot back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// Who waits for the reply to a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A client of this node.
    Local(CallId),
    /// Another node, which forwarded the call.
    Remote {
        /// That node.
        peer: NodeId,
        /// Its number of the call.
        number: ForwardNumber,
    },
}

/// One thing that happened.
#[derive(Clone, Debug)]
pub enum ReplicaInput {
    /// A frame arrived from a node whose handshake was accepted.
    Frame {
        /// The node at the other end.
        from: NodeId,
        /// What came.
        frame: Frame,
    },
    /// A client of this node calls.
    Call {
        /// The shell's name for it.
        call: CallId,
        /// The encoded command; empty where the stamp is a request about a session.
        command: Command,
        /// What it says about sessions.
        stamp: Stamp,
    },
    /// A batch of linearizable reads came; the shell chose the id and uses it once.
    Read(ReadId),
    /// Every write up to this token is durable.
    Persisted(PersistToken),
    /// The state machine has executed everything up to this index.
    Applied(Index),
    /// A forwarded call was executed.
    Answered {
        /// The node that forwarded it.
        peer: NodeId,
        /// Its number.
        number: ForwardNumber,
        /// The encoded reply; unknown where it has no encoding.
        outcome: ForwardOutcome,
    },
    /// Answers [`ReplicaEffect::ReadLog`].
    LogRead {
        /// The request.
        ticket: Ticket,
        /// The entries from its first index on, as many as its limit allowed; or why not.
        outcome: Result<Vec<Entries>, ReadFault>,
    },
    /// A handshake with this peer succeeded in this boot of the peer.
    PeerConnected {
        /// The peer.
        peer: NodeId,
        /// Its boot counter.
        boot: BootCounter,
    },
    /// The connection to this peer is gone.
    PeerClosed(NodeId),
    /// A protocol message could not leave, because the queue to its receiver was full.
    SendDropped {
        /// Whom it was for.
        to: NodeId,
        /// Its number.
        request: RequestId,
    },
    /// A forwarded call certainly did not leave, because the queue was full or the peer was gone.
    ForwardDropped(ForwardNumber),
    /// Somebody wants a snapshot of what is applied at this moment.
    TakeSnapshot,
    /// Answers [`ReplicaEffect::TakeSnapshot`]: it is durable.
    SnapshotTaken(StoredSnapshot),
    /// Answers [`ReplicaEffect::TakeSnapshot`]: it could not be taken, and nothing of it is left.
    SnapshotTakeFailed {
        /// Why, in words.
        reason: String,
    },
    /// Answers [`ReplicaEffect::Compact`]: the log durably begins after this entry.
    Compacted(EntryId),
    /// Answers [`ReplicaEffect::ReceiveSnapshot`] and [`ReplicaEffect::StoreChunk`]: so many bytes
    /// of the snapshot, from its beginning on, are in its file.
    ChunkStored {
        /// The snapshot.
        id: SnapshotId,
        /// Bytes.
        received: u64,
    },
    /// Answers [`ReplicaEffect::InstallSnapshot`]: the file is what it claims to be, and durable.
    SnapshotVerified(StoredSnapshot),
    /// What was received of this snapshot cannot be kept, or is not what it claims to be; nothing of
    /// it is left.
    SnapshotRejected(SnapshotId),
    /// Answers [`ReplicaEffect::ReadSnapshot`].
    SnapshotRead {
        /// The request.
        ticket: Ticket,
        /// The bytes, all of them; or why not, in words.
        outcome: Result<Vec<u8>, String>,
    },
    /// The deadline has come, or may have.
    Timer,
    /// The wake-up ends: what came in it becomes one write and one append per peer.
    Flush,
}

/// Why entries could not be read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadFault {
    /// They are not in the log any more.
    Gone,
    /// They are, but cannot be read; the reason in words, with the file.
    Failed(String),
}

impl From<ReadError> for ReadFault {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Compacted { .. } | ReadError::Beyond { .. } => Self::Gone,
            error => Self::Failed(error.to_string()),
        }
    }
}

/// One thing to do.
#[derive(Clone, Debug)]
pub enum ReplicaEffect {
    /// Make this durable, then answer with [`ReplicaInput::Persisted`].
    Persist(Write),
    /// Send this.
    Send {
        /// To whom.
        to: NodeId,
        /// What.
        frame: Frame,
    },
    /// Execute these entries, then answer with [`ReplicaInput::Applied`].
    Apply {
        /// The entries, in order; they follow those of the effect before.
        entries: Entries,
        /// Who waits for the reply to which of them, ascending.
        answers: Few<(Index, Origin)>,
    },
    /// Read entries back from the log, the first one at least, then answer with
    /// [`ReplicaInput::LogRead`].
    ReadLog {
        /// Names the request.
        ticket: Ticket,
        /// First entry.
        first: Index,
        /// Last entry.
        last: Index,
        /// Bytes after which no further entry is wanted.
        max_bytes: usize,
    },
    /// Take a snapshot of the state machine as it is when all entries handed out before are
    /// executed, and make it durable; then answer with [`ReplicaInput::SnapshotTaken`] or
    /// [`ReplicaInput::SnapshotTakeFailed`]. For the one who executes, in order with
    /// [`ReplicaEffect::Apply`].
    TakeSnapshot {
        /// The last of those entries.
        last: EntryId,
        /// Goes into the snapshot's head.
        meta: Vec<u8>,
    },
    /// Take the state of this snapshot, which was received, in place of the present one. For the one
    /// who executes, in order with [`ReplicaEffect::Apply`]: the entry that is executed next is the
    /// one after the snapshot's last.
    Restore(StoredSnapshot),
    /// Let the log begin after an entry, then answer with [`ReplicaInput::Compacted`]. In order with
    /// [`ReplicaEffect::Persist`].
    Compact(Compact),
    /// Open the file that takes this snapshot, in place of any other that was being received; then
    /// answer with [`ReplicaInput::ChunkStored`] how much of it is there already.
    ReceiveSnapshot(SnapshotId),
    /// Put a piece into that file, where the one before ended; then answer with
    /// [`ReplicaInput::ChunkStored`].
    StoreChunk {
        /// The snapshot.
        id: SnapshotId,
        /// Where in the file the piece begins.
        offset: u64,
        /// The piece.
        data: Arc<Vec<u8>>,
    },
    /// All bytes are there: verify them, make the file durable, then answer with
    /// [`ReplicaInput::SnapshotVerified`] or [`ReplicaInput::SnapshotRejected`].
    InstallSnapshot(SnapshotId),
    /// Read a piece of a snapshot, then answer with [`ReplicaInput::SnapshotRead`].
    ReadSnapshot {
        /// Names the request.
        ticket: Ticket,
        /// The snapshot.
        id: SnapshotId,
        /// Where in the file the piece begins.
        offset: u64,
        /// Bytes of it.
        bytes: u32,
    },
    /// Remove every snapshot but these.
    KeepSnapshots(Vec<SnapshotId>),
    /// A call ended otherwise than by being applied here.
    CallEnded {
        /// The call.
        call: CallId,
        /// How it ended.
        outcome: CallOutcome,
    },
    /// The reads of this batch may be answered once `index` is applied.
    ReadReady {
        /// The batch.
        id: ReadId,
        /// Its read index.
        index: Index,
    },
    /// The reads of this batch found no leader in time; they had no effect.
    ReadFailed(ReadId),
    /// Role, term or known leader changed.
    Leadership {
        /// The role now held.
        role: RoleName,
        /// The term now in force.
        term: Term,
        /// The leader of the term, where known.
        leader: Option<NodeId>,
    },
    /// The roster in force changed.
    Roster(Arc<Roster>),
    /// The node must stop and say so; nothing comes after this.
    Halt(ReplicaHalt),
}

/// Takes what a replica asks for, one after the other: a list for later, or a shell that does it at
/// once.
pub trait Effects {
    /// The next thing to do.
    fn push(&mut self, effect: ReplicaEffect);

    /// As [`ReplicaEffect::Persist`]. This and the two that follow come with every command: a shell
    /// that does them at once need not look which of all effects it has.
    #[inline]
    fn persist(&mut self, write: Write) {
        self.push(ReplicaEffect::Persist(write));
    }

    /// As [`ReplicaEffect::Send`].
    #[inline]
    fn send(&mut self, to: NodeId, frame: Frame) {
        self.push(ReplicaEffect::Send { to, frame });
    }

    /// As [`ReplicaEffect::Apply`].
    #[inline]
    fn apply(&mut self, entries: Entries, answers: Few<(Index, Origin)>) {
        self.push(ReplicaEffect::Apply { entries, answers });
    }
}

impl Effects for Vec<ReplicaEffect> {
    #[inline]
    fn push(&mut self, effect: ReplicaEffect) {
        Self::push(self, effect);
    }
}

/// How a call ended otherwise than by being applied here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallOutcome {
    /// It was applied on the leader; the encoded reply, or the id of the session.
    Applied(Vec<u8>),
    /// Its entry was not executed, or its reply is gone.
    Faulted(SessionFault),
    /// It was certainly not appended anywhere.
    Refused(RefusalCode),
    /// It may have been appended.
    Unknown(UnknownCode),
}

/// Why a call was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum RefusalCode {
    /// No leader that could be reached appeared in time.
    NoLeader = 1,
    /// The node that was thought to lead does not. Never reaches a client: the call waits for the
    /// next leader.
    NotLeader = 2,
    /// Too much waits already.
    Overloaded = 3,
    /// The leader changed before the command left the node that took it.
    LeaderChanged = 4,
    /// The command exceeds what one entry may hold.
    TooLarge = 5,
    /// The node is stopping.
    Stopping = 6,
}

impl RefusalCode {
    /// The code with this number on the wire, if this version knows it.
    #[must_use]
    pub const fn from_u8(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::NoLeader),
            2 => Some(Self::NotLeader),
            3 => Some(Self::Overloaded),
            4 => Some(Self::LeaderChanged),
            5 => Some(Self::TooLarge),
            6 => Some(Self::Stopping),
            _ => None,
        }
    }
}

/// Why nobody can say how a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownCode {
    /// The connection to the leader was lost, or the leader could not say.
    ConnectionLost,
    /// Another entry took the command's place here after it had been sent, or a snapshot covers it.
    LeaderChanged,
    /// No answer came in time.
    TimedOut,
    /// The node stops.
    Stopping,
}

/// Why a replica stops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplicaHalt {
    /// Evidence of lost durability or of two leaders.
    Raft(HaltReason),
    /// Entries that are durable here could not be read back.
    ReadBack {
        /// First entry.
        first: Index,
        /// Last entry.
        last: Index,
        /// Why, in words.
        reason: String,
    },
}
