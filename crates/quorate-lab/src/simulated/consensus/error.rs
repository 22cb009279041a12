//! What can go wrong with a command, or with a node.

use crate::simulated::{ConfigError, MessagingError};

/// What can go wrong with a command, or with a node.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConsensusError {
    /// This node does not lead: the command was not taken.
    #[error("node {0} does not lead: the command was not taken")]
    NotLeader(u64),
    /// The node stopped leading before the command was executed: it may or may not be.
    #[error("node {0} stopped leading: the command may or may not be executed")]
    LeadershipLost(u64),
    /// Nobody executed the command in time: it may or may not be executed yet.
    #[error("the command was not executed in time")]
    Timeout,
    /// The node stopped before it answered.
    #[error("the node stopped before it answered")]
    Stopped,
    /// A channel ended.
    #[error(transparent)]
    Transport(#[from] MessagingError),
    /// Times that do not fit together.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A machine panicked: its node stops at that entry, because its state cannot be trusted.
    #[error("the state machine of node {node} failed at entry {index}: {why}")]
    MachineFailed {
        /// The node.
        node: u64,
        /// The entry.
        index: u64,
        /// What it panicked with.
        why: String,
    },
    /// A node cannot start or go on: what it kept is damaged, or was lost somewhere.
    #[error("node {node} has halted: {why}")]
    Halted {
        /// The node.
        node: u64,
        /// What is wrong.
        why: String,
    },
}
