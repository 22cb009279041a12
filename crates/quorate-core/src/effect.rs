//! What the core asks of its shell, in order.
//!
//! Durability is in the types: a [`Persist`] names what must become durable under a token, and a
//! [`Send`] names the token it waits for. The rules (thesis §3.8, §10.2.1):
//!
//! - Tokens complete in order.
//! - A vote request, a vote, an acknowledgement and the leader's own count wait for their token;
//!   every message waits for the write of its own term.
//! - A leader's appends wait for nothing: it sends while it writes.
//! - An entry is handed out for apply only when it is both committed and persisted here.

use crate::hard_state::HardState;
use crate::id::{EntryId, Index, NodeId, PersistToken, ReadId, Term};
use crate::message::Envelope;
use crate::snapshot::SnapshotId;
use crate::status::RoleName;

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Make this durable, then answer with [`crate::Input::Persisted`].
    Persist(Persist),
    /// Send this, not before its token is persisted.
    Send(Send),
    /// The log was cut: entries from `from` on are gone, also ones never handed out to the disk.
    Truncated {
        /// First index that is gone.
        from: Index,
    },
    /// This node leads a new term, which this entry without payload opens; it is in the log already
    /// and needs a record before the next flush.
    Opened(EntryId),
    /// Execute these entries: they are committed and persisted here.
    Apply {
        /// First entry to execute.
        first: Index,
        /// Last entry to execute.
        last: Index,
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
    /// Open the file that takes this snapshot, and answer with [`crate::Input::ChunkStored`] how
    /// much of it is there already. It takes the place of any other that was being received.
    ReceiveSnapshot(SnapshotId),
    /// Put this piece into the file, then answer with [`crate::Input::ChunkStored`]. The bytes came
    /// beside the message.
    StoreChunk {
        /// The snapshot.
        id: SnapshotId,
        /// Where in the file the piece begins: where the one before ended.
        offset: u64,
        /// Bytes of the piece.
        bytes: u32,
    },
    /// All bytes are there: verify them, make the file durable, let the log begin after its last
    /// entry, then answer with [`crate::Input::SnapshotInstalled`]; or with
    /// [`crate::Input::SnapshotFailed`] where they are not what they claim to be.
    InstallSnapshot(SnapshotId),
    /// A proposal given as an input was refused.
    ProposalRefused(crate::error::ProposeError),
    /// Something stale, duplicated, forged or absurd came and was ignored.
    Dropped(DropReason),
    /// Durability was lost or there are two leaders: the node must stop and say so.
    Halt(HaltReason),
}

/// A write that must become durable as a whole: hard state, then truncation, then entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Persist {
    /// Names the write.
    pub token: PersistToken,
    /// Term and vote, where they changed.
    pub hard_state: Option<HardState>,
    /// First index to cut away, where something handed out earlier must go.
    pub truncate_from: Option<Index>,
    /// First and last entry to append.
    pub append: Option<(Index, Index)>,
    /// The commit index at this moment: a hint for a faster restart, never awaited.
    pub commit: Index,
}

/// A message to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Send {
    /// The message.
    pub envelope: Box<Envelope>,
    /// The write that must be durable first.
    pub after: Option<PersistToken>,
}

/// Why an input was ignored. Each is counted; none is an error of this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DropReason {
    /// Addressed to another node, or from this one.
    Misdirected,
    /// From a boot of the sender before one already seen.
    OldBoot,
    /// From a term before this node's.
    OldTerm,
    /// A vote request while a leader is alive (leader stickiness, thesis §4.2.3).
    LeaderAlive,
    /// A reply to no request that is still open.
    StaleReply,
    /// A message that no correct node sends in this state.
    Absurd,
    /// A piece of a snapshot that is not being received.
    StaleChunk,
    /// A term that would use up the 64-bit numbers.
    TermOverflow,
    /// A token, an applied index, an undelivered send or a snapshot that this node never gave out.
    UnknownToken,
}

/// Evidence that durability was lost or that there are two leaders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HaltReason {
    /// Two nodes lead one term (Raft §5.2, Election Safety).
    TwoLeaders {
        /// The term with two leaders.
        term: Term,
        /// The leader this node knew.
        known: NodeId,
        /// The other.
        other: NodeId,
    },
    /// A leader has recorded, for this boot, an acknowledgement above what this node holds.
    LostDurability {
        /// The match index that the leader recorded.
        recorded: Index,
        /// The last entry held here.
        last: EntryId,
    },
}
