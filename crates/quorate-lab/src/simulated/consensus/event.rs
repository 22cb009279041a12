//! What whoever watches is told.

use std::fmt;

/// Something that happened on a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsensusEvent {
    /// A node won an election.
    LeaderElected {
        /// The node.
        leader: u64,
        /// The term that it leads.
        term: u64,
    },
    /// A node learnt that an entry is committed, and executed it.
    EntryCommitted {
        /// The node.
        node: u64,
        /// The entry's index.
        index: u64,
        /// The command.
        command: u64,
        /// The machine's state afterwards.
        state: u64,
    },
}

impl fmt::Display for ConsensusEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LeaderElected { leader, term } => {
                write!(f, "LeaderElected  node {leader} leads term {term}")
            }
            Self::EntryCommitted { node, index, command, state } => write!(
                f,
                "EntryCommitted node {node} executed entry {index}: {command}, state {state}"
            ),
        }
    }
}
