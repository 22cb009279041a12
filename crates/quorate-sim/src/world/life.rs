//! Lives of a node: how it starts from what its disk holds, and how it dies.

use core::time::Duration;
use std::collections::VecDeque;
use std::sync::Arc;

use quorate::applier::Applier;
use quorate::replica::{Replica, ReplicaInput, ReplicaStart};
use quorate::roster::FoundingRecord;
use quorate::{SnapshotMeta, StateMachine};
use quorate_log::fault::{FaultFs, Loss};
use quorate_log::{OpenOptions, OpenProgress, Opening, Recovered};

use super::node::{Live, State};
use super::observed::Observed;
use super::plan::Fault;
use super::trace::{TraceEvent, name};
use super::workload::Workload;
use super::{Event, World, log_config};
use crate::invariants::{Broken, Name};

/// Nobody is back sooner.
const SHORTEST_DEATH: Duration = Duration::from_millis(10);

impl<M: StateMachine + Default, W: Workload<M>> World<M, W> {
    /// Ends the life of a node; what was not synced is subject to the plan.
    pub(super) fn crash(&mut self, node: usize) {
        self.crash_for(node, None);
    }

    /// Ends the life of a node; it stays down for this long, or as long as it draws.
    pub(super) fn crash_for(&mut self, node: usize, down: Option<Duration>) {
        if matches!(self.nodes[node].state, State::Down) {
            return;
        }
        self.count("death");
        self.facts.terms.died(self.now);
        self.trace.step(self.now, [6, node as u64, 0]);
        let power = self.chances.strikes(&self.plan, Fault::Unsynced);
        let victim = &mut self.nodes[node];
        let drawn = victim.lives.heavy_tailed(Duration::from_millis(400));
        let peer_life = victim.life;
        victim.life += 1;
        victim.state = State::Down;
        let loss = match (self.script.take_loss(node), power) {
            (Some(loss), _) => Some(loss),
            (None, Some(mut rng)) => Some(Loss::Seeded(rng.next_u64())),
            (None, None) => None,
        };
        let unsynced = loss.as_ref().is_some_and(|loss| *loss != Loss::Nothing)
            && !victim.disk.unsynced_sectors().is_empty();
        // What was to go wrong in this life does not.
        for kind in [Fault::WriteError, Fault::ShortWrite, Fault::SyncError] {
            victim.unfelt.remove(kind);
        }
        // Where the power stays, the system keeps what was written, as unsynced as it was: it may
        // yet be lost when the power fails in a later life.
        match &loss {
            Some(Loss::Nothing) | None => victim.disk.kill(),
            Some(loss) => victim.disk.crash(loss),
        }
        let life = victim.life;
        if unsynced {
            self.count("unsynced");
        }
        self.trace.note(self.now, || TraceEvent::Dies { node: name(node), unsynced });
        let down = down.unwrap_or(if self.calm { Duration::from_millis(100) } else { drawn });
        // Everybody else learns of the death before the next life.
        self.after(down.max(SHORTEST_DEATH), Event::Start { node, life });
        self.abandon_clients_of(node);
        for peer in 0..self.nodes.len() {
            self.set_connected(node, peer, None);
            let life = self.nodes[peer].life;
            if peer != node {
                let span = self.schedule.span(Duration::from_micros(50), Duration::from_millis(5));
                let event = Event::Closed { node: peer, life, peer: node, peer_life };
                self.after(span, event);
            }
        }
    }

    pub(super) fn start(&mut self, node: usize) -> Result<(), Broken> {
        if !matches!(self.nodes[node].state, State::Down) || self.stays_down(node) {
            return Ok(());
        }
        self.forget_old_rot(node);
        let seed = self.nodes[node].lives.next_u64();
        let config = log_config(self.nodes[node].sector_bytes);
        let options = OpenOptions { config, seed, ..OpenOptions::default() };
        let opening = Opening::new(self.nodes[node].disk.reboot(), options);
        let life = self.nodes[node].life;
        self.nodes[node].state = State::Opening(Box::new(opening));
        let at = self.disk_done(node);
        self.at(at, Event::OpenStep { node, life });
        self.trace.note(self.now, || TraceEvent::Opens { node: name(node) });
        Ok(())
    }

    pub(super) fn step_opening(&mut self, node: usize) -> Result<(), Broken> {
        if self.postpone(node, |node, life| Event::OpenStep { node, life }) {
            return Ok(());
        }
        let drawn = self.chances.strikes(&self.plan, Fault::CrashInRecovery).is_some();
        if drawn || self.script.dies_opening(node) {
            self.count("crash-in-recovery");
            self.note_strike(Fault::CrashInRecovery, Some(node), None);
            self.crash(node);
            return Ok(());
        }
        let life = self.nodes[node].life;
        let State::Opening(opening) = &mut self.nodes[node].state else { return Ok(()) };
        match opening.step() {
            Ok(OpenProgress::Working) => {
                let at = self.disk_done(node);
                self.at(at, Event::OpenStep { node, life });
                Ok(())
            }
            Ok(OpenProgress::Ready(recovered)) => self.opened(node, *recovered),
            Err(error) => {
                let disk_fails = self.feel_disk(node);
                self.facts.refuses(node, disk_fails, &error)?;
                self.count("recovery failed");
                self.crash(node);
                Ok(())
            }
        }
    }

    fn opened(&mut self, node: usize, mut recovered: Recovered<FaultFs>) -> Result<(), Broken> {
        self.count("recovery");
        // What went wrong so far excuses nothing that this life does not find.
        self.feel_disk(node);
        if recovered.report.torn.is_some() {
            self.count("torn tail cut");
        }
        if recovered.report.installed.is_some() {
            self.count("interrupted installation completed");
        }
        let snapshot = recovered.snapshots.newest().cloned();
        if let Some(snapshot) = &snapshot {
            self.check_snapshot(node, snapshot)?;
        }
        self.facts.recovered(node, recovered.hard_state, &mut recovered.log)?;
        self.nodes[node].clock.begin(self.now);
        self.facts.begins(node, recovered.boot.0, recovered.hard_state.term)?;
        self.note_start(node, &recovered);
        let live = self.live_from(node, recovered)?;
        self.nodes[node].state = State::Up(Box::new(live));
        if let Some(snapshot) = snapshot {
            self.restore(node, &snapshot)?;
            if self.nodes[node].as_live().is_none() {
                return Ok(());
            }
        }
        self.forget_old_rot(node);
        self.greet(node);
        self.arm_timer(node);
        self.give(node, ReplicaInput::Timer);
        Ok(())
    }

    /// What runs on a node that recovered this.
    fn live_from(
        &mut self,
        node: usize,
        mut recovered: Recovered<FaultFs>,
    ) -> Result<Live<M>, Broken> {
        let record = recovered.identity.founding.as_deref().map(FoundingRecord::decode);
        let Some(Ok(record)) = record else {
            let what = format!("{node} forgot that it was founded", node = Name(node));
            return Err(Broken::new("no silent loss", what));
        };
        let log_time_ms = last_log_time(&mut recovered);
        let at_base = SnapshotMeta::decode(&recovered.base_meta).ok();
        let base_time_ms = at_base.as_ref().map_or(0, |meta| meta.log_time_ms);
        let application_index = at_base.as_ref().map_or(0, |meta| meta.application_index);
        let boot = recovered.boot;
        let replica = Replica::new(ReplicaStart {
            id: self.nodes[node].id,
            boot,
            config: self.config.clone(),
            seed: self.nodes[node].lives.next_u64(),
            now: self.nodes[node].clock.local(self.now),
            hard_state: recovered.hard_state,
            base: recovered.base,
            roster: at_base.map_or_else(|| Arc::new(record.roster), |meta| meta.roster),
            application_index,
            snapshot: recovered.snapshots.newest().cloned(),
            log_time_ms: log_time_ms.max(base_time_ms),
            runs: recovered.runs,
            memberships: recovered.memberships,
            commit: recovered.commit,
        });
        let replica = replica.map_err(|error| {
            let what = format!("{}: {error}", Name(node));
            Broken::new("recovery succeeds without damage", what)
        })?;
        let machine = Observed::new(M::default(), self.workload.fingerprint());
        machine.panic_at(self.script.poison());
        Ok(Live {
            boot,
            replica,
            log: recovered.log,
            snapshots: recovered.snapshots,
            snapshots_busy: false,
            pieces_read_at: 0,
            snapshots_hit: 0,
            opening_part: false,
            applier: Applier::with_limits(machine, self.session_limits),
            inbox: Vec::new(),
            waking: false,
            timer_at: None,
            log_busy: false,
            applying: VecDeque::new(),
            apply_busy: false,
            executed: None,
            executed_bytes: 0,
            reporting: false,
            read_hit: false,
            reads: Vec::new(),
            effects: Vec::new(),
        })
    }
}

fn last_log_time(recovered: &mut Recovered<FaultFs>) -> u64 {
    let last = recovered.log.last().index;
    let slices = recovered.log.read(last, last, usize::MAX).unwrap_or_default();
    let entry = slices.last().and_then(|slice| slice.entry(last).map(|entry| entry.envelope));
    entry.map_or(0, |envelope| envelope.log_time_ms)
}
