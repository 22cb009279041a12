//! The replica's thread of each node: what production does in a wake-up, one at a time.

use core::time::Duration;

use quorate::StateMachine;
use quorate::replica::{ReplicaEffect, ReplicaHalt, ReplicaInput};
use quorate::sessions::Stamp;
use quorate_core::{Index, NodeId, RoleName, Term, mutant};

use super::node::Work;
use super::observed::digest;
use super::plan::Fault;
use super::trace::{TraceEvent, name};
use super::workload::Workload;
use super::{Event, Wanted, World};
use crate::invariants::{Broken, Name, check_leader};

impl<M: StateMachine + Default, W: Workload<M>> World<M, W> {
    /// Gives a node an input and sees to it that it wakes up.
    pub(super) fn give(&mut self, node: usize, input: ReplicaInput) {
        if let ReplicaInput::Call { call, command, stamp: Stamp::None } = &input {
            self.facts.called(call.0, digest(command));
        }
        let Some(live) = self.nodes[node].live() else { return };
        live.inbox.push(input);
        self.wake_soon(node);
    }

    /// Sees to it that a node wakes up.
    pub(super) fn wake_soon(&mut self, node: usize) {
        let life = self.nodes[node].life;
        let slower = self.nodes[node].slower.max(1);
        let Some(live) = self.nodes[node].live() else { return };
        if !core::mem::replace(&mut live.waking, true) {
            let span = self.schedule.span(Duration::from_micros(5), Duration::from_micros(200));
            self.after(span * slower, Event::Wake { node, life });
        }
    }

    pub(super) fn fire_timer(&mut self, node: usize) -> Result<(), Broken> {
        let (now, clock) = (self.now, self.nodes[node].clock);
        let Some(live) = self.nodes[node].live() else { return Ok(()) };
        // Another event was made for an earlier deadline since this one was, and came before it.
        if live.timer_at != Some(now) {
            return Ok(());
        }
        live.timer_at = None;
        let due = live.replica.next_deadline().is_some_and(|due| due <= clock.local(now));
        if due {
            self.give(node, ReplicaInput::Timer);
        } else {
            self.arm_timer(node);
        }
        Ok(())
    }

    /// The replica takes everything that came, decides, and its effects happen in order.
    pub(super) fn wake(&mut self, node: usize) -> Result<(), Broken> {
        if self.postpone(node, |node, life| Event::Wake { node, life }) {
            return Ok(());
        }
        let local = self.nodes[node].clock.local(self.now);
        let Some(live) = self.nodes[node].live() else { return Ok(()) };
        live.waking = false;
        let mut effects = core::mem::take(&mut live.effects);
        if let Some(index) = live.executed.take() {
            live.executed_bytes = 0;
            live.replica.handle(local, ReplicaInput::Applied(index), &mut effects);
        }
        for input in live.inbox.drain(..) {
            live.replica.handle(local, input, &mut effects);
        }
        live.replica.handle(local, ReplicaInput::Flush, &mut effects);
        self.trace.step(self.now, [3, node as u64, effects.len() as u64]);
        let mut outcome = self.perform(node, &mut effects);
        // What could not be sent has consequences of its own.
        while outcome.is_ok()
            && let Some(live) = self.nodes[node].live()
            && !live.effects.is_empty()
        {
            core::mem::swap(&mut effects, &mut live.effects);
            outcome = self.perform(node, &mut effects);
        }
        if let Some(live) = self.nodes[node].live() {
            effects.clear();
            live.effects = effects;
        }
        outcome?;
        self.check_node(node)?;
        self.arm_timer(node);
        Ok(())
    }

    fn perform(&mut self, node: usize, effects: &mut Vec<ReplicaEffect>) -> Result<(), Broken> {
        for effect in effects.drain(..) {
            let drawn = self.chances.strikes(&self.plan, Fault::CrashAtEffect).is_some();
            if drawn || self.script.dies_at_effect(node) {
                self.count("crash-at-effect");
                self.note_strike(Fault::CrashAtEffect, Some(node), None);
                self.crash(node);
                return Ok(());
            }
            self.perform_one(node, effect)?;
            if self.nodes[node].as_live().is_none() {
                return Ok(());
            }
        }
        Ok(())
    }

    fn perform_one(&mut self, node: usize, effect: ReplicaEffect) -> Result<(), Broken> {
        match effect {
            ReplicaEffect::Persist(write) => {
                if write.truncate_from.is_some() {
                    self.count("truncation");
                }
                self.note_write(node, &write);
                let leads = self.nodes[node]
                    .as_live()
                    .is_some_and(|live| live.replica.role() == RoleName::Leader);
                self.facts.wrote(node, leads, &write)?;
                let Some(live) = self.nodes[node].live() else { return Ok(()) };
                live.log.enqueue(write);
                self.start_log(node);
            }
            ReplicaEffect::Send { to, frame } => self.send(node, to, frame)?,
            ReplicaEffect::Apply { entries, answers } => {
                // The write of this step may come after it: what the node knows beyond these entries
                // is looked at when the step is over.
                self.facts_follow(node, entries.last())?;
                self.facts.applies(node, &entries)?;
                let Some(live) = self.nodes[node].live() else { return Ok(()) };
                live.applying.push_back(Work::Execute(entries, answers));
                self.start_apply(node);
            }
            ReplicaEffect::ReadLog { ticket, first, last, max_bytes } => {
                self.count("read back");
                let wanted = Wanted { ticket, first, last, max_bytes };
                let (life, at) = (self.nodes[node].life, self.disk_done(node));
                self.at(at, Event::ReadBack { node, life, wanted });
            }
            ReplicaEffect::CallEnded { call, outcome } => self.end_call(call, outcome)?,
            ReplicaEffect::ReadReady { id, index } => {
                self.facts.read_ready(node, id, index)?;
                let Some(live) = self.nodes[node].live() else { return Ok(()) };
                live.reads.push((id, index));
                self.answer_reads(node);
            }
            ReplicaEffect::ReadFailed(id) => self.end_read(id),
            ReplicaEffect::Leadership { role, term, leader } => {
                self.leadership(node, role, term, leader)?;
            }
            ReplicaEffect::Roster(_) => {}
            ReplicaEffect::TakeSnapshot { last, meta } => self.hand(node, Work::Take(last, meta)),
            ReplicaEffect::Restore(snapshot) => self.hand(node, Work::Restore(snapshot)),
            effect @ (ReplicaEffect::Compact(_)
            | ReplicaEffect::ReceiveSnapshot(_)
            | ReplicaEffect::StoreChunk { .. }
            | ReplicaEffect::InstallSnapshot(_)
            | ReplicaEffect::ReadSnapshot { .. }
            | ReplicaEffect::KeepSnapshots(_)) => self.perform_snapshot(node, effect),
            ReplicaEffect::Halt(ReplicaHalt::ReadBack { .. }) if self.read_was_hit(node) => {
                self.count("log failed");
                self.crash(node);
            }
            ReplicaEffect::Halt(reason) => {
                let what = format!("{node} halts: {reason:?}", node = Name(node));
                return Err(Broken::new("no evidence of lost durability or two leaders", what));
            }
        }
        Ok(())
    }

    fn leadership(
        &mut self,
        node: usize,
        role: RoleName,
        term: Term,
        leader: Option<NodeId>,
    ) -> Result<(), Broken> {
        let (role_name, leader_id) = (role.as_str(), leader.map(NodeId::get));
        self.trace.note(self.now, || TraceEvent::Role {
            node: name(node),
            role: role_name,
            term: term.0,
            leader: leader_id,
        });
        match role {
            RoleName::Leader => {
                self.count("leader");
                let id = self.nodes[node].id;
                check_leader(&mut self.facts, term, id)?;
            }
            RoleName::Candidate => self.count("campaign"),
            RoleName::PreCandidate => self.count("dry run"),
            RoleName::Follower if leader.is_some() => self.count("following"),
            RoleName::Follower => self.count("without a leader"),
        }
        Ok(())
    }

    /// The state machine is handed something.
    fn hand(&mut self, node: usize, work: Work) {
        let Some(live) = self.nodes[node].live() else { return };
        live.applying.push_back(work);
        self.start_apply(node);
    }

    /// Whether the disk failed a read back on purpose.
    fn read_was_hit(&self, node: usize) -> bool {
        self.nodes[node].as_live().is_some_and(|live| live.read_hit)
    }

    fn check_node(&mut self, node: usize) -> Result<(), Broken> {
        if mutant!(SampledInvariants) && !self.queue.planned().is_multiple_of(1000) {
            return Ok(());
        }
        let Some(live) = self.nodes[node].as_live() else { return Ok(()) };
        self.facts_follow(node, live.replica.commit())?;
        let Some(live) = self.nodes[node].as_live() else { return Ok(()) };
        let (boot, held) = (live.boot, live.replica.status());
        self.facts.check_bounds(node, &self.caps, &held)?;
        let status = held.raft;
        let shortest = super::nanos(self.config.raft.election_timeout().0);
        self.facts.terms.reached(self.now, status.hard_state.term, shortest)?;
        self.trace.note_commit(self.now, node, status.commit.0);
        self.facts.stands(node, boot.0, &status)?;
        for peer in &status.peers {
            self.facts.progressed(node, status.hard_state.term, peer)?;
        }
        Ok(())
    }

    pub(super) fn facts_follow(&mut self, node: usize, commit: Index) -> Result<(), Broken> {
        let Some(live) = self.nodes[node].as_live() else { return Ok(()) };
        let term = live.replica.term();
        let membership = || live.replica.roster().membership();
        self.facts.committed_on(node, commit, term, membership)
    }

    /// Where a node is paused, its step comes later.
    pub(super) fn postpone(
        &mut self,
        node: usize,
        event: impl FnOnce(usize, u64) -> Event,
    ) -> bool {
        let until = self.nodes[node].paused_until;
        if until <= self.now {
            return false;
        }
        let event = event(node, self.nodes[node].life);
        self.at(until + 1, event);
        true
    }

    pub(super) fn arm_timer(&mut self, node: usize) {
        let (now, life, clock) = (self.now, self.nodes[node].life, self.nodes[node].clock);
        let Some(live) = self.nodes[node].live() else { return };
        let Some(due) = live.replica.next_deadline() else { return };
        let mut due = clock.world(due).max(now);
        if live.timer_at.is_none_or(|at| due < at) {
            if let Some(mut rng) = self.chances.strikes(&self.plan, Fault::LateTimer) {
                let late = rng.span(Duration::ZERO, self.plan.rate(Fault::LateTimer).lasts);
                due += super::nanos(late);
                self.count(Fault::LateTimer.name());
                self.note_strike(Fault::LateTimer, Some(node), Some(due));
            }
            let Some(live) = self.nodes[node].live() else { return };
            live.timer_at = Some(due);
            self.at(due, Event::Timer { node, life });
        }
    }
}
