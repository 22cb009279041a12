//! Who belongs to the cluster: voters of each half, and learners.
//!
//! While `outgoing` is not empty the membership is joint (thesis §4.3): decisions need a majority
//! of both halves. Names and addresses are not here; the core needs none.

mod history;
mod quorum;
#[cfg(test)]
mod tests;

pub(crate) use history::History;
pub(crate) use quorum::{Outcome, committed, is_quorum, tally};

use crate::id::NodeId;

/// Voters of each half and learners, each sorted and without duplicates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Membership {
    voters: Vec<NodeId>,
    outgoing: Vec<NodeId>,
    learners: Vec<NodeId>,
}

impl Membership {
    /// Makes a membership of voters alone.
    #[must_use]
    pub fn of_voters(voters: impl IntoIterator<Item = NodeId>) -> Self {
        Self::new(voters, [], [])
    }

    /// Makes a membership from its parts. Who votes in either half is no learner.
    #[must_use]
    pub fn new(
        voters: impl IntoIterator<Item = NodeId>,
        outgoing: impl IntoIterator<Item = NodeId>,
        learners: impl IntoIterator<Item = NodeId>,
    ) -> Self {
        let voters = sorted(voters);
        let outgoing = sorted(outgoing);
        let mut learners = sorted(learners);
        learners.retain(|id| voters.binary_search(id).is_err());
        learners.retain(|id| outgoing.binary_search(id).is_err());
        Self { voters, outgoing, learners }
    }

    /// Voters of the incoming half; of the only half while not joint.
    #[must_use]
    pub fn voters(&self) -> &[NodeId] {
        &self.voters
    }

    /// Voters of the outgoing half; empty while not joint.
    #[must_use]
    pub fn outgoing(&self) -> &[NodeId] {
        &self.outgoing
    }

    /// Nodes that receive the log and count in no quorum.
    #[must_use]
    pub fn learners(&self) -> &[NodeId] {
        &self.learners
    }

    /// Whether `id` votes in either half.
    #[must_use]
    pub fn is_voter(&self, id: NodeId) -> bool {
        self.voters.binary_search(&id).is_ok() || self.outgoing.binary_search(&id).is_ok()
    }

    /// Whether `id` belongs to the cluster at all.
    #[must_use]
    pub fn contains(&self, id: NodeId) -> bool {
        self.is_voter(id) || self.learners.binary_search(&id).is_ok()
    }

    /// Every node, each once, in ascending order.
    #[must_use]
    pub fn nodes(&self) -> Vec<NodeId> {
        sorted(self.voters.iter().chain(&self.outgoing).chain(&self.learners).copied())
    }
}

fn sorted(ids: impl IntoIterator<Item = NodeId>) -> Vec<NodeId> {
    let mut ids: Vec<NodeId> = ids.into_iter().collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}
