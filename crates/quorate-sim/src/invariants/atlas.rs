//! What is still intact where: tells what a node must recover from what it may refuse.
//!
//! The disks of a world lose what was not synced, tear it, fail and fill up; none of that touches
//! what was reported durable. So every node must come back with all of it, as soon as its disk
//! works, and only an error of the disk itself excuses a recovery that fails. Faults that damage
//! what was durable widen what a node may refuse, and belong here.

use quorate_core::Index;

use super::{Broken, Facts, Link, Pending, end_of, link_at};

impl Facts {
    /// Nodes whose disks hold the committed entry at `index` and everything before it.
    #[must_use]
    pub fn holders(&self, index: Index) -> Vec<usize> {
        let committed = link_at(&self.committed, index);
        let holds = |node: &usize| link_at(&self.nodes[*node].durable, index) == committed;
        (0..self.nodes.len()).filter(|node| committed.is_some() && holds(node)).collect()
    }

    /// What is committed is intact on a majority.
    ///
    /// # Errors
    ///
    /// When too few disks hold it.
    pub fn check_held(&self) -> Result<(), Broken> {
        let commit = end_of(&self.committed);
        let (Some(membership), true) = (&self.committed_by, commit > Index::ZERO) else {
            return Ok(());
        };
        let holders = self.holders(commit);
        let ids: Vec<_> = holders.iter().map(|node| self.id(*node)).collect();
        let most = |half: &[quorate_core::NodeId]| {
            half.iter().filter(|id| ids.contains(id)).count() > half.len() / 2
        };
        let outgoing = membership.outgoing();
        if most(membership.voters()) && (outgoing.is_empty() || most(outgoing)) {
            return Ok(());
        }
        let what = format!("the committed entry {commit} is intact on {holders:?} alone");
        Err(Broken::new("what is committed is held by a quorum", what))
    }
}

/// What a crash may leave: everything durable, except where a write under way cut it.
pub(super) struct Survivors<'a> {
    pub(super) durable: &'a [Link],
    pub(super) pending: &'a [Pending],
}

impl Survivors<'_> {
    /// The first index that must be there and is not.
    pub(super) fn first_missing(&self, found: &[Link]) -> Option<usize> {
        // A truncation under way may have reached the disk, or not.
        let cut = self.pending.iter().filter_map(|write| write.truncate_from).min();
        let must = cut.map_or(self.durable.len(), |from| {
            self.durable.len().min(usize::try_from(from - 1).expect("logs are short"))
        });
        (0..must).find(|at| found.get(*at) != self.durable.get(*at)).map(|at| at + 1)
    }
}
