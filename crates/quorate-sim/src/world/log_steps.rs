//! The log's thread of each node: a step whenever its disk is through with the one before.

use core::time::Duration;

use quorate::StateMachine;
use quorate::replica::{ReadFault, ReplicaInput};
use quorate_log::Progress;
use quorate_log::fault::Fault as DiskFault;

use super::plan::Fault;
use super::trace::{SnapshotStep, TraceEvent, name};
use super::workload::Workload;
use super::{Event, Wanted, World};
use crate::invariants::{Broken, Name};

/// Time without a write after which a log is fenced.
const IDLE: Duration = Duration::from_millis(20);

impl<M: StateMachine + Default, W: Workload<M>> World<M, W> {
    pub(super) fn start_log(&mut self, node: usize) {
        let life = self.nodes[node].life;
        let Some(live) = self.nodes[node].live() else { return };
        if core::mem::replace(&mut live.log_busy, true) {
            return;
        }
        let at = self.disk_done(node);
        self.at(at, Event::LogStep { node, life });
    }

    /// When an operation of a disk is through that begins now.
    pub(super) fn disk_done(&mut self, node: usize) -> u64 {
        let mean = self.plan.disk;
        let state = &mut self.nodes[node];
        let span = state.rng.span(mean / 2, mean * 3 / 2);
        let (slower, stuck) = (state.disk_slower.max(1), state.stuck_until);
        let at = self.now + super::nanos(span) * u64::from(slower);
        if slower > 1 {
            self.feel(node, Fault::SlowDisk);
        }
        if stuck > at {
            self.feel(node, Fault::StuckDisk);
        }
        at.max(stuck)
    }

    /// What the disk of a node did on purpose since this was last asked has its effect; says whether
    /// there was anything.
    pub(super) fn feel_disk(&mut self, node: usize) -> bool {
        let struck = self.nodes[node].disk.take_struck();
        for fault in &struck {
            let kind = match fault {
                DiskFault::ShortWrite => Fault::ShortWrite,
                DiskFault::SyncLosesData | DiskFault::SyncForgets => Fault::SyncError,
                DiskFault::NoSpace => Fault::DiskFull,
                _ => Fault::WriteError,
            };
            self.feel(node, kind);
        }
        !struck.is_empty()
    }

    /// A process may die between two steps; says whether it did.
    pub(super) fn crashes_at_effect(&mut self, node: usize, times: u32) -> bool {
        if self.chances.strikes_times(&self.plan, Fault::CrashAtEffect, times).is_none() {
            return false;
        }
        self.count("crash-at-effect");
        self.note_strike(Fault::CrashAtEffect, Some(node), None);
        self.crash(node);
        true
    }

    pub(super) fn step_log(&mut self, node: usize) -> Result<(), Broken> {
        if self.postpone(node, |node, life| Event::LogStep { node, life }) {
            return Ok(());
        }
        if self.crashes_at_effect(node, 10) {
            return Ok(());
        }
        let Some(live) = self.nodes[node].live() else { return Ok(()) };
        live.log_busy = false;
        let progress = match live.log.step() {
            Ok(progress) => progress,
            Err(error) => {
                // The process says so and exits; it never tries again.
                let error = error.to_string();
                if !self.feel_disk(node) {
                    let what = format!("{node}: {error}", node = Name(node));
                    return Err(Broken::new("a log fails with its disk alone", what));
                }
                self.trace.note(self.now, || TraceEvent::DiskFails { node: name(node), error });
                self.count("log failed");
                self.crash(node);
                return Ok(());
            }
        };
        // What the log lived through excuses no later failure.
        self.feel_disk(node);
        self.trace.step(self.now, [5, node as u64, 0]);
        match progress {
            Progress::Idle => {}
            Progress::Persisted(token) => {
                self.facts.persisted(node, token)?;
                let last = self.facts.nodes[node].durable.len() as u64;
                self.trace.note(self.now, || TraceEvent::Persists { node: name(node), last });
                self.counts.persisted += 1;
                self.give(node, ReplicaInput::Persisted(token));
            }
            Progress::Compacted(base) => {
                self.count("log begins later");
                self.note_snapshot(node, SnapshotStep::LogBegins, base);
                self.facts.begins_after(node, base)?;
                self.give(node, ReplicaInput::Compacted(base));
            }
            Progress::Fenced => {
                self.trace.note(self.now, || TraceEvent::Fences { node: name(node) });
                self.count("fence");
            }
            _ => {}
        }
        self.go_on_with_log(node);
        Ok(())
    }

    /// A further step, where there is something to do; else what idle logs do after a while.
    fn go_on_with_log(&mut self, node: usize) {
        let life = self.nodes[node].life;
        let Some(live) = self.nodes[node].live() else { return };
        if !live.log.is_idle() {
            return self.start_log(node);
        }
        let maintenance = live.log.maintenance();
        if maintenance.fence || (maintenance.prepare_segment && !maintenance.no_space) {
            self.after(IDLE, Event::Fence { node, life });
        }
    }

    /// The reader's thread: what it reads may have been cut or rewritten since it was wanted.
    pub(super) fn read_back(&mut self, node: usize, wanted: Wanted) -> Result<(), Broken> {
        if self.postpone(node, |node, life| Event::ReadBack { node, life, wanted }) {
            return Ok(());
        }
        let Some(live) = self.nodes[node].live() else { return Ok(()) };
        let outcome = live.log.read(wanted.first, wanted.last, wanted.max_bytes);
        let failed = outcome.is_err();
        if self.feel_disk(node) && failed {
            self.nodes[node].live().expect("it reads").read_hit = true;
        }
        let (first, last) = (wanted.first.0, wanted.last.0);
        self.trace.note(self.now, || TraceEvent::ReadsBack {
            node: name(node),
            first,
            last,
            failed,
        });
        let outcome = outcome.map_err(ReadFault::from);
        self.give(node, ReplicaInput::LogRead { ticket: wanted.ticket, outcome });
        Ok(())
    }

    /// Nothing came for a while: time for the fence and the next segment.
    pub(super) fn fence_log(&mut self, node: usize) -> Result<(), Broken> {
        let Some(live) = self.nodes[node].live() else { return Ok(()) };
        if live.log_busy || !live.log.is_idle() {
            return Ok(());
        }
        let maintenance = live.log.maintenance();
        if maintenance.fence {
            live.log.fence();
        }
        if maintenance.prepare_segment {
            live.log.prepare_segment();
        }
        if maintenance.no_space {
            self.feel(node, Fault::DiskFull);
        }
        self.start_log(node);
        Ok(())
    }
}
