//! Term and vote: what must survive a crash before any message rests on it (Raft figure 2).

use crate::id::{NodeId, Term};

/// The latest term this node has seen and the candidate it voted for in that term.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HardState {
    /// Latest term seen; never decreases.
    pub term: Term,
    /// Candidate that received this node's vote in `term`.
    pub vote: Option<NodeId>,
}
