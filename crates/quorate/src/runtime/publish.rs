//! When the status is made anew: at once when something important changed, else not too often.

use std::time::Duration;

use quorate_core::{BootCounter, Instant, RoleName, Term};

use super::replica_role::{Phase, ReplicaRole};
use crate::machine::StateMachine;

/// Least time between statuses that differ in indices alone.
const PACE: Duration = Duration::from_millis(20);

/// Remembers what was published.
#[derive(Debug)]
pub(crate) struct Publisher {
    boot: BootCounter,
    /// Something important changed.
    marked: bool,
    /// Indices changed.
    stale: bool,
    at: Instant,
    shown: (Term, quorate_core::Index, quorate_core::Index),
    /// What people were last told that the node waits for.
    waited_for: Option<String>,
}

impl Publisher {
    pub(crate) fn new(boot: BootCounter) -> Self {
        Self {
            boot,
            marked: true,
            stale: false,
            at: Instant::ZERO,
            shown: Default::default(),
            waited_for: None,
        }
    }

    /// The boot of this node.
    pub(crate) const fn boot(&self) -> BootCounter {
        self.boot
    }

    /// Notes that something important changed.
    pub(crate) const fn mark(&mut self) {
        self.marked = true;
    }

    /// When a status that is held back is due.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.stale.then(|| self.at.after(PACE))
    }
}

impl<M: StateMachine> ReplicaRole<M> {
    pub(super) fn publish(&mut self, now: Instant) {
        if let Phase::Running(replica) = &self.phase {
            let (term, commit) = (replica.term(), replica.commit());
            self.shared.facts.set_replica(term, replica.leader(), commit);
            let shown = (term, commit.max(replica.last()), self.applied);
            self.publisher.stale |= shown != self.publisher.shown;
            self.publisher.shown = shown;
        }
        let due = self.publisher.due().is_some_and(|due| due <= now);
        if self.publisher.marked || due {
            self.publisher.marked = false;
            self.publisher.stale = false;
            self.publisher.at = now;
            self.show(now);
        }
    }

    fn show(&mut self, now: Instant) {
        let waiting_for = self.waiting_for(now);
        if waiting_for != self.publisher.waited_for {
            if let Some(what) = &waiting_for {
                tracing::info!("{what}");
            }
            self.publisher.waited_for.clone_from(&waiting_for);
        }
        self.shared.status.send_modify(|status| {
            status.waiting_for = waiting_for;
            status.connected = self.reachable.keys().copied().collect();
            status.applied = self.applied;
            status.application_index = self.application_index;
            status.cluster = self.shared.facts.cluster();
            let Phase::Running(replica) = &self.phase else {
                status.role = RoleName::Follower;
                return;
            };
            let shown = replica.status();
            status.members = Some(shown.roster);
            status.role = shown.raft.role;
            status.term = shown.raft.hard_state.term;
            status.leader = shown.raft.leader;
            status.first = shown.raft.base.index.next();
            status.commit = shown.raft.commit;
            status.persisted = shown.raft.persisted;
            status.last = shown.raft.last.index;
            status.snapshot = shown.raft.snapshot;
            status.receiving = shown.raft.receiving;
            status.taking = self.taking;
            status.view_pause = self.shared.facts.view_pause();
            status.peers = shown.raft.peers;
            status.counters = replica.counters().clone();
        });
    }
}
