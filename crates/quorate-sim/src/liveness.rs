//! What a cluster owes once faults have ended (Raft §9.3 calls it availability): a healthy quorum
//! that is left alone elects, serves and converges, each within a bound, and keeps on serving.
//!
//! All bounds count from the moment of the mending, in longest election timeouts:
//!
//! - a leader of the healthy part within three, in all but few seeds: elections that tie take
//!   longer ([`LATE`] counts those);
//! - a command that was asked for after the mending is acknowledged within five;
//! - from then on every request to the healthy part is answered, about as many as are offered;
//! - whatever was committed by five is executed on all of the healthy part by ten;
//! - when the others are mended, too, they have caught up within ten;
//! - a leader that all others can hear keeps leading in its term, though one node does not hear it;
//! - a leader that hears nobody, though all others hear it, is replaced within five.
//!
//! What has to be transferred takes no time of its own, for links that stand carry whatever comes;
//! except a snapshot, whose pieces go by the window and the pace of the settings.

use core::time::Duration;

use quorate::StateMachine;
use quorate_core::mutant;

use crate::invariants::Broken;
use crate::world::World;
use crate::world::workload::Workload;

/// Counts the seeds in which the healthy part had no leader in time.
pub(crate) const LATE: &str = "late leader";

/// Parts in a hundred of the requests offered that must be answered.
const SERVED: u64 = 90;

/// What is looked at, and since when.
struct Recovery<'a, M: StateMachine + Default, W> {
    world: &'a mut World<M, W>,
    /// When everything was mended.
    mended: Duration,
    /// The longest election timeout.
    timeout: Duration,
    /// How long a snapshot may be under way to a node that lags behind.
    transfer: Duration,
}

/// Mends a quorum or everything, then what is left, and watches the cluster recover.
///
/// # Errors
///
/// The first bound that is not kept, or the first invariant that breaks.
pub(crate) fn check<M: StateMachine + Default, W: Workload<M>>(
    world: &mut World<M, W>,
    timeout: Duration,
) -> Result<(), Broken> {
    let before = world.requests();
    world.heal_quorum();
    let transfer = world.transfer_time();
    let mut recovery = Recovery { mended: world.now(), world, timeout, transfer };
    recovery.elects()?;
    recovery.writes(before)?;
    recovery.serves()?;
    recovery.world.stop_clients();
    recovery.world.heal();
    recovery.catches_up()?;
    recovery.keeps_its_leader()?;
    recovery.replaces_a_deaf_leader()
}

impl<M: StateMachine + Default, W: Workload<M>> Recovery<'_, M, W> {
    /// So many timeouts after the mending.
    fn bound(&self, timeouts: u32) -> Duration {
        let patience = if mutant!(EndlessPatience) { 100 } else { 1 };
        self.mended + self.timeout * timeouts * patience
    }

    /// When everybody has caught up.
    fn all_by(&self) -> Duration {
        self.bound(10) + self.transfer
    }

    /// Lets the world go on until the condition holds; says whether it did by then.
    fn by(
        &mut self,
        until: Duration,
        condition: impl FnMut(&World<M, W>) -> bool,
    ) -> Result<bool, Broken> {
        let left = until.saturating_sub(self.world.now());
        Ok(self.world.run_until(left, condition)?.is_some())
    }

    fn broken<T>(&self, what: &str) -> Result<T, Broken> {
        let after = self.world.now().saturating_sub(self.mended);
        let what = format!("{after:?} after everything was mended {what}");
        Err(Broken::new("liveness", format!("{what}: {}", self.world.describe())))
    }

    fn elects(&mut self) -> Result<(), Broken> {
        if self.by(self.bound(3), |world| world.leader_of_the_well().is_some())? {
            return Ok(());
        }
        self.world.note_count(LATE);
        if self.by(self.bound(5), |world| world.leader_of_the_well().is_some())? {
            return Ok(());
        }
        self.broken("nobody leads")
    }

    /// A command that was asked for behind the request `before`, in time to be answered.
    fn writes(&mut self, before: u64) -> Result<(), Broken> {
        let (mut asked_at, limit) = (None, self.bound(5));
        let written = self.by(limit, |world| {
            let (asked, executed) = world.commands_behind(before);
            if asked && asked_at.is_none() {
                asked_at = Some(world.now());
            }
            executed
        })?;
        if written {
            self.world.note_count("written after mending");
        }
        // Clients that hardly ask for anything hardly get anything.
        if written || asked_at.is_none_or(|at| at > self.bound(3)) {
            return Ok(());
        }
        self.broken("no command was executed that anybody asked for since")
    }

    /// Answers all that it is asked, and brings everybody up to date.
    fn serves(&mut self) -> Result<(), Broken> {
        let ready = self.mended + self.timeout * 5 + self.transfer;
        let began = ready.max(self.world.now());
        self.by(began, |_| false)?;
        let goal = self.world.commit();
        let (offered, answered) = (self.count("offered"), self.count("acknowledged"));
        self.world.expect_answers();
        self.by(began + self.timeout * 5, |_| false)?;
        if let Some(request) = self.world.take_unanswered() {
            return self.broken(&format!("a healthy quorum serves, but {request}"));
        }
        let offered = self.count("offered") - offered;
        let answered = self.count("acknowledged") - answered + self.world.clients_at_work();
        if answered * 100 < offered * SERVED {
            let what = format!("{answered} requests were answered while {offered} were offered");
            return self.broken(&what);
        }
        if self.by(self.all_by(), |world| world.has_executed(goal))? {
            return Ok(());
        }
        self.broken(&format!(
            "not everybody has executed what was committed early on, up to {goal}"
        ))
    }

    fn count(&self, what: &str) -> u64 {
        self.world.count_of(what)
    }

    /// The rest was mended, too.
    fn catches_up(&mut self) -> Result<(), Broken> {
        (self.mended, self.transfer) = (self.world.now(), self.world.transfer_time());
        // What was offered last is under way yet.
        self.by(self.mended + self.timeout, |_| false)?;
        if self.by(self.all_by(), World::has_converged)? {
            return Ok(());
        }
        self.broken("nodes that were mended last do not catch up")
    }

    /// Nothing happens, except that one follower no longer hears the leader: it may not depose it.
    fn keeps_its_leader(&mut self) -> Result<(), Broken> {
        let Some((leader, term)) = self.world.leader_of_the_well() else {
            return self.broken("nobody leads");
        };
        let nodes = self.world.size();
        if nodes < 3 {
            return Ok(());
        }
        let deaf = (leader + 1) % nodes;
        self.mended = self.world.now();
        self.world.cut_way(leader, deaf, true);
        let moved = |world: &World<M, W>| world.leader_of_the_well() != Some((leader, term));
        if self.by(self.mended + self.timeout * 3, moved)? {
            return self.broken(
                "a leader that hears a quorum was deposed by a node that does not hear it",
            );
        }
        self.world.cut_way(leader, deaf, false);
        if self.by(self.all_by(), World::has_converged)? {
            return Ok(());
        }
        self.broken("a node that hears its leader again does not catch up")
    }

    /// The leader hears nobody any more, and its heartbeats keep the others from campaigning: it has
    /// to step down by itself, for others to serve.
    fn replaces_a_deaf_leader(&mut self) -> Result<(), Broken> {
        let Some((leader, _)) = self.world.leader_of_the_well() else {
            return self.broken("nobody leads");
        };
        let nodes = self.world.size();
        if nodes < 3 {
            return Ok(());
        }
        self.mended = self.world.now();
        let others = move || (0..nodes).filter(move |node| *node != leader);
        others().for_each(|node| self.world.cut_way(node, leader, true));
        let replaced = |world: &World<M, W>| {
            world.leader_of_the_well().is_some_and(|(leads, _)| leads != leader)
        };
        if !self.by(self.bound(5), replaced)? {
            return self.broken("a leader that hears nobody is not replaced");
        }
        others().for_each(|node| self.world.cut_way(node, leader, false));
        self.mended = self.world.now();
        if self.by(self.all_by(), World::has_converged)? {
            return Ok(());
        }
        self.broken("a leader of before that hears the others again does not catch up")
    }
}

#[cfg(test)]
mod tests;
