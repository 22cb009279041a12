//! How a call or a read ends when it does not end with an answer.
//!
//! A call ends in one of three ways, as a type: applied (`Ok`), refused (certainly not applied), or
//! unknown (it may have been applied, or may yet be). Without a session nothing is ever sent twice
//! on a caller's behalf; with one, what is sent twice is applied once. So *unknown* never hides a
//! second execution, and neither does an expired session.

use std::time::Duration;

use quorate_core::{BootCounter, HaltReason, Index, NodeId};

use crate::codec::CodecError;

/// Why a call has no reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The command was certainly not applied and never will be: it may be sent again.
    #[error("refused, and certainly not applied: {0}")]
    Refused(#[from] Refusal),
    /// The command may have been applied, or may yet be: sending it again could apply it twice.
    #[error("the outcome is unknown: {0}")]
    Unknown(#[from] UnknownReason),
    /// The session expired, was evicted or closed. The command will not be applied any more.
    #[error("{}", if *maybe_applied {
        "the session has expired; the command may have been applied before that, and will not be \
         any more"
    } else {
        "the session has expired; the command was certainly not applied"
    })]
    Expired {
        /// Whether it may have been applied before the session expired.
        maybe_applied: bool,
    },
}

/// Why something was refused. Whatever it was, it had no effect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// This node belongs to no cluster yet.
    #[error("this node belongs to no cluster yet; {waiting_for}")]
    NotFounded {
        /// What it waits for, as a sentence.
        waiting_for: String,
    },
    /// No leader that could be reached appeared in time.
    #[error(
        "no leader could be reached within {waited:?}; a majority of the voters must be running \
         and reach each other"
    )]
    NoLeader {
        /// How long the node waited for one.
        waited: Duration,
    },
    /// The leader changed before the command left this node.
    #[error("the leader changed before the command left the node that took it")]
    LeaderChanged,
    /// A queue is full, or too many bytes wait for commitment.
    #[error("the node has too much work waiting; try again later")]
    Overloaded,
    /// The command exceeds what one entry may hold.
    #[error("the command is larger than the {limit} bytes that one entry holds")]
    TooLarge {
        /// Bytes that are allowed.
        limit: usize,
    },
    /// Too many calls of the session are open.
    #[error("too many calls of the session are open; wait for some to end")]
    SessionCrowded,
    /// The command has no encoding.
    #[error(transparent)]
    Unencodable(#[from] CodecError),
    /// The node is stopping or has stopped.
    #[error("the node has stopped: {0}")]
    Stopped(StopReason),
    /// The node did not answer in time. Only reads end so: a call would be unknown.
    #[error("no answer came within {waited:?}")]
    TimedOut {
        /// How long the caller waited.
        waited: Duration,
    },
}

/// Why nobody can say whether a command was applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnknownReason {
    /// No answer came in time.
    #[error("no answer came within {waited:?}")]
    TimedOut {
        /// How long the caller waited.
        waited: Duration,
    },
    /// The connection to the leader was lost before it answered.
    #[error("the connection to the leader was lost before it answered")]
    ConnectionLost,
    /// Another leader's entry took the command's place here, after the command had been sent.
    #[error("the leader changed while the command was under way")]
    LeaderChanged,
    /// The node stopped while the command was under way.
    #[error("the node stopped while the command was under way: {0}")]
    Stopped(StopReason),
    /// The command was applied, but its reply cannot be read.
    #[error("the command was applied, but its reply cannot be read: {0}")]
    Reply(CodecError),
    /// The command was applied, once, but its reply was lost on the way and not kept: it was too
    /// large, or has no encoding.
    #[error("the command was applied, but its reply was lost and not kept")]
    ReplyLost,
    /// The caller had said before that it waits for this command no more.
    #[error("the reply of the command was acknowledged before")]
    Acknowledged,
}

/// Why no snapshot was taken on demand.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotRefusal {
    /// This node belongs to no cluster yet, or has executed nothing.
    #[error("there is nothing to take a snapshot of yet")]
    Nothing,
    /// It could not be written; the node goes on.
    #[error("the snapshot could not be written: {reason}")]
    Failed {
        /// What failed.
        reason: String,
    },
    /// The node is stopping or has stopped.
    #[error("the node has stopped: {0}")]
    Stopped(StopReason),
}

/// Why a node stopped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StopReason {
    /// It was asked to.
    #[error("it was shut down")]
    Shutdown,
    /// A write or a sync of the data directory failed. The disk's state is not known any more, so
    /// that the process must not go on.
    #[error(
        "the log cannot be written: {reason}; check the disk behind the data directory, then start \
         the node again"
    )]
    LogFailed {
        /// What failed, with the file.
        reason: String,
    },
    /// The names of snapshots could not be made durable. Which of them a restart will find is not
    /// known any more, so that the process must not go on.
    #[error(
        "the snapshots cannot be kept: {reason}; check the disk behind the data directory, then \
         start the node again"
    )]
    SnapshotsFailed {
        /// What failed, with the file.
        reason: String,
    },
    /// The state of a snapshot that was received could not be taken over.
    #[error(
        "the snapshot up to entry {index} cannot be restored: {reason}; start the program that \
         wrote it, or a later one; where its file is damaged, move the data directory away and let \
         the node join again on an empty one"
    )]
    RestoreFailed {
        /// The last entry that it covers.
        index: Index,
        /// What is wrong with it.
        reason: String,
    },
    /// Entries that the node holds could not be read back.
    #[error("entries {first} to {last} cannot be read back: {reason}")]
    ReadBack {
        /// First entry.
        first: Index,
        /// Last entry.
        last: Index,
        /// What failed, with the file.
        reason: String,
    },
    /// There is evidence of lost durability or of two leaders.
    #[error("{0}")]
    Halted(#[from] HaltCause),
    /// The state machine panicked. Going on could diverge from the other nodes.
    #[error(
        "the state machine panicked at entry {index}: {reason}; every node stops there until its \
         program is mended"
    )]
    ApplyPanicked {
        /// The entry that it executed.
        index: Index,
        /// The panic's message.
        reason: String,
    },
    /// The state machine panicked while it answered a query.
    #[error("the state machine panicked at a query after entry {index}: {reason}")]
    QueryPanicked {
        /// The last entry that it had executed.
        index: Index,
        /// The panic's message.
        reason: String,
    },
    /// A committed command cannot be decoded by this program.
    #[error(
        "the command of entry {index} cannot be read: {source}; start the program that wrote it, \
         or a later one"
    )]
    Undecodable {
        /// The entry that holds it.
        index: Index,
        /// What is wrong with it.
        source: CodecError,
    },
    /// A membership entry cannot be decoded by this program.
    #[error("the membership in entry {index} cannot be read: {reason}")]
    BadMembership {
        /// The entry that holds it.
        index: Index,
        /// What is wrong with it.
        reason: String,
    },
    /// Another process runs this node in a later boot: its data directory was copied.
    #[error(
        "another process is this node in boot {other}, this one is boot {own}: the data directory \
         was copied; keep one of the two, and let the other machine join as a new node"
    )]
    Twin {
        /// The boot of this process.
        own: BootCounter,
        /// The boot of the other.
        other: BootCounter,
    },
    /// A peer has met a later boot of this node.
    #[error("node {peer} refuses this process for good: {reason}")]
    Superseded {
        /// The peer.
        peer: NodeId,
        /// What it said.
        reason: String,
    },
    /// A part of the node ended when it should not have.
    #[error("the {part} part of the node ended unexpectedly: {reason}")]
    PartFailed {
        /// Which part.
        part: &'static str,
        /// What it said.
        reason: String,
    },
}

/// Evidence that stops a node, in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HaltCause(pub HaltReason);

impl std::fmt::Display for HaltCause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            HaltReason::TwoLeaders { term, known, other } => write!(
                f,
                "both {known} and {other} lead term {term}, which must never happen; keep both \
                 data directories and report it"
            ),
            HaltReason::LostDurability { recorded, last } => write!(
                f,
                "the leader has this node's acknowledgement of entry {recorded}, but its log ends \
                 at {last}: the data directory lost what was durable; do not use it again, and \
                 check the disk"
            ),
        }
    }
}

impl std::error::Error for HaltCause {}
