//! What is still intact where: tells what a node must recover from what it may refuse.
//!
//! The atlas knows of each node every entry that was reported durable there, term and vote in both of
//! their copies, and what was damaged since. Losing what was not synced, torn writes, errors and
//! full disks damage none of that; bits that rot do. At each recovery it decides:
//!
//! - A node whose disk works and is intact must come back, with every entry that was durable, as far
//!   as no write under way may have cut it, and with a term and a vote that were written.
//! - One bad copy of term and vote, or an entry that was never reported durable, excuse nothing.
//! - A node may refuse when the disk itself fails meanwhile, when an entry that was durable is
//!   damaged, or a snapshot, or both copies are. It may never come back without what was damaged.

use std::collections::BTreeSet;

use quorate_core::{HardState, Index, NodeId, Term};

use super::{Broken, Facts, Link, Name, Pending, end_of, link_at};

/// What was damaged on a disk since it was durable there.
#[derive(Clone, Debug, Default)]
pub(super) struct Damage {
    /// Indexes of entries.
    entries: BTreeSet<u64>,
    /// Copies of term and vote.
    copies: [bool; 2],
    /// A snapshot.
    snapshot: bool,
}

impl Damage {
    /// That of a snapshot alone, or none.
    pub(super) fn of_snapshot(is_damaged: bool) -> Self {
        Self { snapshot: is_damaged, ..Self::default() }
    }

    pub(super) const fn has_snapshot(&self) -> bool {
        self.snapshot
    }
}

/// Why a node may refuse to come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Excuse {
    /// Its disk fails while it is read.
    DiskFails,
    /// This entry was durable and is damaged.
    Entry(Index),
    /// Both copies of term and vote are.
    BothCopies,
    /// A snapshot is.
    Snapshot,
}

/// What a node that comes back must have.
#[derive(Debug)]
pub(super) struct Due<'a> {
    /// Every entry that was durable and that no write under way may have cut.
    log: &'a [Link],
    /// Term and vote as they were durable.
    durable: (Term, Option<NodeId>),
    pending: &'a [Pending],
}

impl Facts {
    /// An entry that is durable on a node is damaged there.
    pub(crate) fn entry_rots(&mut self, node: usize, index: Index) {
        if link_at(&self.nodes[node].durable, index).is_some() {
            self.nodes[node].damage.entries.insert(index.0);
        }
    }

    /// A copy of term and vote is damaged on a node.
    pub(crate) fn copy_rots(&mut self, node: usize, copy: usize) {
        self.nodes[node].damage.copies[copy] = true;
    }

    /// A snapshot is damaged on a node, or whole again.
    pub(crate) fn snapshot_rots(&mut self, node: usize, is_damaged: bool) {
        self.nodes[node].damage.snapshot = is_damaged;
        self.any_rotted |= is_damaged;
    }

    /// Whether a snapshot is damaged on a node.
    pub(crate) fn has_rotten_snapshot(&self, node: usize) -> bool {
        self.nodes[node].damage.snapshot
    }

    /// Whether a snapshot was ever damaged anywhere: it may have been sent.
    pub(crate) const fn any_rotted(&self) -> bool {
        self.any_rotted
    }

    /// Nodes whose disks hold the committed entry at `index` intact, and everything before it.
    #[must_use]
    pub(crate) fn holders(&self, index: Index) -> Vec<usize> {
        let committed = link_at(&self.committed, index);
        let holds = |node: &usize| {
            let facts = &self.nodes[*node];
            let damaged = facts.damage.entries.first().is_some_and(|first| *first <= index.0);
            !damaged && link_at(&facts.durable, index) == committed
        };
        (0..self.nodes.len()).filter(|node| committed.is_some() && holds(node)).collect()
    }

    /// What is committed is intact on a majority, but for what was damaged.
    ///
    /// # Errors
    ///
    /// When too few disks hold it.
    pub(crate) fn check_held(&self) -> Result<(), Broken> {
        let commit = end_of(&self.committed);
        let (Some(membership), true) = (&self.committed_by, commit > Index::ZERO) else {
            return Ok(());
        };
        let committed = link_at(&self.committed, commit);
        let holds = |id: &NodeId| {
            let log = self.position(*id).map(|node| &self.nodes[node].durable);
            log.and_then(|log| link_at(log, commit)) == committed
        };
        let most = |half: &[NodeId]| half.iter().filter(|id| holds(id)).count() > half.len() / 2;
        let outgoing = membership.outgoing();
        if most(membership.voters()) && (outgoing.is_empty() || most(outgoing)) {
            return Ok(());
        }
        let holders: Vec<_> = self.holders(commit).into_iter().map(Name).collect();
        let what = format!("the committed entry {commit} is intact on {holders:?} alone");
        Err(Broken::new("what is committed is held by a quorum", what))
    }

    /// Whether a node may refuse to come back, and why; nothing where it must.
    pub(crate) fn excuse(&self, node: usize, disk_fails: bool) -> Option<Excuse> {
        let damage = &self.nodes[node].damage;
        match damage.entries.first() {
            _ if disk_fails => Some(Excuse::DiskFails),
            Some(index) => Some(Excuse::Entry(Index(*index))),
            None if damage.snapshot => Some(Excuse::Snapshot),
            None => (damage.copies == [true; 2]).then_some(Excuse::BothCopies),
        }
    }

    /// A node refuses to come back.
    ///
    /// # Errors
    ///
    /// When it must.
    pub(crate) fn refuses(
        &self,
        node: usize,
        disk_fails: bool,
        why: &dyn core::fmt::Display,
    ) -> Result<Excuse, Broken> {
        self.excuse(node, disk_fails).ok_or_else(|| {
            let end = end_of(self.due(node).log);
            let what = format!(
                "{} must come back with everything up to {end}, and does not: {why}",
                Name(node)
            );
            Broken::new("recovery succeeds without damage", what)
        })
    }

    /// What a node must have when it comes back.
    pub(super) fn due(&self, node: usize) -> Due<'_> {
        let facts = &self.nodes[node];
        // A truncation under way may have reached the disk, or not.
        let cut = facts.pending.iter().filter_map(|write| write.truncate_from).min();
        let keep = cut.map_or(facts.durable.len(), |from| {
            facts.durable.len().min(usize::try_from(from - 1).expect("logs are short"))
        });
        let (log, durable) = (&facts.durable[..keep], facts.durable_vote);
        Due { log, durable, pending: &facts.pending }
    }
}

impl Due<'_> {
    /// The first index that must be there and is not.
    pub(super) fn first_missing(&self, found: &[Link]) -> Option<usize> {
        (0..self.log.len()).find(|at| found.get(*at) != self.log.get(*at)).map(|at| at + 1)
    }

    /// Whether term and vote are those that were durable, or of a write under way; or no vote in the
    /// term in which a snapshot ends that took the log's place, `base`, while the term of the leader
    /// that sent it was being written.
    pub(super) fn allows(&self, found: HardState, base: Term) -> bool {
        let found = (found.term, found.vote);
        let later = |write: &Pending| write.vote.is_some_and(|(term, _)| term >= base);
        found == self.durable
            || self.pending.iter().any(|write| write.vote == Some(found))
            || found == (base, None) && base > self.durable.0 && self.pending.iter().any(later)
    }
}
