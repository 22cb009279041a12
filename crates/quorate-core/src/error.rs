//! Why the core refuses something. Every refusal is certain: nothing was appended.

use core::fmt;

use crate::id::{EntryId, Index, NodeId};

/// Why a proposal was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProposeError {
    /// This node does not lead.
    NotLeader {
        /// The leader, where known.
        leader: Option<NodeId>,
    },
    /// Too many bytes wait for commitment.
    Overloaded,
    /// The node has halted.
    Halted,
}

impl fmt::Display for ProposeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLeader { leader: Some(leader) } => {
                write!(f, "this node does not lead; the leader is {leader}")
            }
            Self::NotLeader { leader: None } => {
                write!(f, "this node does not lead and knows no leader")
            }
            Self::Overloaded => write!(f, "too many bytes wait for commitment; try again later"),
            Self::Halted => write!(f, "the node has halted"),
        }
    }
}

impl core::error::Error for ProposeError {}

/// Why a node cannot start from what its log says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StartError {
    /// The entries do not follow the base without a gap, or their terms fall.
    BrokenLog {
        /// The entry before the place.
        after: EntryId,
        /// The index that was found there.
        found: Index,
    },
    /// The log holds an entry of a later term than the hard state.
    TermBehindLog {
        /// The last entry of the log.
        last: EntryId,
    },
    /// A membership entry without content, or content on an entry of another kind.
    MembershipContent {
        /// Index of the entry.
        index: Index,
    },
    /// The boot counter is zero, so no boot was recorded.
    NoBoot,
    /// The log does not begin with the first entry, and no snapshot covers what is missing.
    NoSnapshot {
        /// The entry before the first of the log.
        base: EntryId,
    },
    /// The log does not hold the last entry of the snapshot.
    SnapshotBeyondLog {
        /// The last entry of the snapshot.
        snapshot: EntryId,
        /// The last entry of the log.
        last: EntryId,
    },
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BrokenLog { after, found } => {
                write!(f, "the log is broken: entry {found} follows {after}")
            }
            Self::TermBehindLog { last } => {
                write!(f, "the hard state is older than the log, whose last entry is {last}")
            }
            Self::MembershipContent { index } => {
                write!(f, "the membership of entry {index} does not fit its kind")
            }
            Self::NoBoot => write!(f, "no boot was recorded before the start"),
            Self::NoSnapshot { base } => {
                write!(f, "the log begins after {base}, and no snapshot covers what came before")
            }
            Self::SnapshotBeyondLog { snapshot, last } => {
                write!(f, "the snapshot ends with {snapshot}, which the log up to {last} lacks")
            }
        }
    }
}

impl core::error::Error for StartError {}
