//! What nodes say to each other.

use tokio::sync::oneshot;

use crate::simulated::ConsensusError;

/// How a client's command ended: the index at which it was executed, or why it was not.
pub type CommandReply = Result<u64, ConsensusError>;

/// One message. Requests and replies hold what the engine says, as bytes; a reply
/// that comes late, or belongs to an earlier term, changes nothing.
#[derive(Debug)]
pub enum Message {
    /// Asks for a vote.
    VoteRequest {
        /// Who asks.
        from: u64,
        /// The sender's number of the request, the same in its reply.
        number: u64,
        /// What the engine says.
        body: Vec<u8>,
    },
    /// Answers a [`Message::VoteRequest`].
    VoteResponse {
        /// Who answers.
        from: u64,
        /// The sender's number of the request, the same in its reply.
        number: u64,
        /// What the engine says.
        body: Vec<u8>,
    },
    /// Replicates entries; an empty one is the heartbeat.
    AppendEntries {
        /// Who leads.
        from: u64,
        /// The sender's number of the request, the same in its reply.
        number: u64,
        /// What the engine says.
        body: Vec<u8>,
    },
    /// Answers a [`Message::AppendEntries`].
    AppendResponse {
        /// Who answers.
        from: u64,
        /// The sender's number of the request, the same in its reply.
        number: u64,
        /// What the engine says.
        body: Vec<u8>,
    },
    /// Hands over the state before the log.
    InstallSnapshot {
        /// Who leads.
        from: u64,
        /// The sender's number of the request, the same in its reply.
        number: u64,
        /// What the engine says.
        body: Vec<u8>,
    },
    /// Answers a [`Message::InstallSnapshot`].
    SnapshotResponse {
        /// Who answers.
        from: u64,
        /// The sender's number of the request, the same in its reply.
        number: u64,
        /// What the engine says.
        body: Vec<u8>,
    },
    /// A client's command for a leader.
    StartAppendEntriesCmd {
        /// The command.
        command: u64,
        /// Who is told when it was executed, or that it was not taken.
        reply: oneshot::Sender<CommandReply>,
    },
    /// Crashes the node.
    Stop,
}

impl Message {
    /// A copy, where there can be one: a command has one client who waits for it.
    #[must_use]
    pub(super) fn copy(&self) -> Option<Self> {
        let copy = match self {
            Self::VoteRequest { from, number, body } => {
                Self::VoteRequest { from: *from, number: *number, body: body.clone() }
            }
            Self::VoteResponse { from, number, body } => {
                Self::VoteResponse { from: *from, number: *number, body: body.clone() }
            }
            Self::AppendEntries { from, number, body } => {
                Self::AppendEntries { from: *from, number: *number, body: body.clone() }
            }
            Self::AppendResponse { from, number, body } => {
                Self::AppendResponse { from: *from, number: *number, body: body.clone() }
            }
            Self::InstallSnapshot { from, number, body } => {
                Self::InstallSnapshot { from: *from, number: *number, body: body.clone() }
            }
            Self::SnapshotResponse { from, number, body } => {
                Self::SnapshotResponse { from: *from, number: *number, body: body.clone() }
            }
            Self::Stop => Self::Stop,
            Self::StartAppendEntriesCmd { .. } => return None,
        };
        Some(copy)
    }
}
