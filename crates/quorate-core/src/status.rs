//! A read-only view of a node, for metrics, tests and people.

use crate::hard_state::HardState;
use crate::id::{EntryId, Index, NodeId};
use crate::snapshot::SnapshotId;

/// The role a node plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RoleName {
    /// Follows a leader, or waits for one.
    Follower,
    /// Asks whether an election could be won (thesis §9.6).
    PreCandidate,
    /// Stands for election.
    Candidate,
    /// Leads the term.
    Leader,
}

impl RoleName {
    /// The role in the glossary's words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Follower => "follower",
            Self::PreCandidate => "pre-candidate",
            Self::Candidate => "candidate",
            Self::Leader => "leader",
        }
    }
}

/// What a node is at this moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// This node.
    pub id: NodeId,
    /// Its role.
    pub role: RoleName,
    /// Its term and vote.
    pub hard_state: HardState,
    /// The leader of the term, where known.
    pub leader: Option<NodeId>,
    /// The entry before the first that the log still holds.
    pub base: EntryId,
    /// The last entry.
    pub last: EntryId,
    /// Highest entry durable here.
    pub persisted: Index,
    /// Highest entry known committed.
    pub commit: Index,
    /// Highest entry handed out for apply.
    pub applying: Index,
    /// Highest entry that the state machine has executed.
    pub applied: Index,
    /// The newest durable snapshot.
    pub snapshot: Option<SnapshotId>,
    /// The snapshot that is being received.
    pub receiving: Option<ReceivingStatus>,
    /// What a leader knows of its peers, in ascending order; empty on others.
    pub peers: Vec<PeerStatus>,
}

/// What a leader knows of one peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerStatus {
    /// The peer.
    pub id: NodeId,
    /// Highest entry known durable there.
    pub matched: Index,
    /// Next entry to send.
    pub next: Index,
    /// Whether entries stream to it, as opposed to looking for the place where the logs agree.
    pub replicating: bool,
    /// Appends sent and unanswered.
    pub inflight: usize,
    /// Bytes of entries that stream to it, sent and unanswered.
    pub inflight_bytes: u64,
    /// The snapshot that it is sent instead of entries.
    pub transfer: Option<TransferStatus>,
}

/// A snapshot on its way to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransferStatus {
    /// The snapshot.
    pub id: SnapshotId,
    /// Bytes sent.
    pub sent: u64,
    /// Bytes that the peer has stored.
    pub acked: u64,
}

/// A snapshot that is being received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceivingStatus {
    /// The snapshot.
    pub id: SnapshotId,
    /// Bytes in its file.
    pub stored: u64,
    /// Whether all of it is there, and takes the place of the log.
    pub installing: bool,
}
