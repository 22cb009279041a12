//! Which membership is in force at the end of the log: the last one in it, from the moment it is
//! appended, and the one before when it is truncated (thesis §4.1).

use std::sync::Arc;

use crate::entry::Run;
use crate::id::Index;
use crate::membership::Membership;

/// The memberships of the log, above the one of its base.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct History {
    base: Arc<Membership>,
    /// Ascending by index.
    appended: Vec<(Index, Arc<Membership>)>,
}

impl History {
    pub(crate) const fn new(base: Arc<Membership>) -> Self {
        Self { base, appended: Vec::new() }
    }

    /// The membership in force.
    pub(crate) fn current(&self) -> &Arc<Membership> {
        self.appended.last().map_or(&self.base, |(_, membership)| membership)
    }

    /// A run was appended.
    pub(crate) fn push(&mut self, run: &Run) {
        if let Some(membership) = &run.membership {
            self.appended.push((run.first, Arc::clone(membership)));
        }
    }

    /// The log begins after `index`.
    pub(crate) fn compact_to(&mut self, index: Index) {
        let covered = self.appended.iter().take_while(|(at, _)| *at <= index).count();
        if let Some((_, newest)) = self.appended.drain(..covered).next_back() {
            self.base = newest;
        }
    }

    /// The log begins after the last entry of a snapshot, in which `membership` is in force: it
    /// takes the place of whatever was known up to there.
    pub(crate) fn install(&mut self, index: Index, membership: Arc<Membership>) {
        self.compact_to(index);
        self.base = membership;
    }

    /// Entries from `from` on are gone.
    pub(crate) fn truncate_from(&mut self, from: Index) {
        self.appended.retain(|(index, _)| *index < from);
    }
}
