//! The state machine's thread of each node: executes, answers, and reports in its own time.

use core::time::Duration;
use std::any::Any;
use std::panic::{self, AssertUnwindSafe};

use quorate::StateMachine;
use quorate::replica::{Origin, ReplicaInput};
use quorate_core::Index;
use quorate_log::Entries;

use super::node::{State, Work};
use super::observed::OnPurpose;
use super::plan::Fault;
use super::trace::{TraceEvent, name};
use super::workload::Workload;
use super::{Event, World};
use crate::invariants::{Broken, Name};

/// How long a replica goes without knowing that entries were executed, as in production.
const QUIET: Duration = Duration::from_millis(10);

impl<M: StateMachine + Default, W: Workload<M>> World<M, W> {
    pub(super) fn start_apply(&mut self, node: usize) {
        let (life, slower) = (self.nodes[node].life, self.nodes[node].slower.max(1));
        let Some(live) = self.nodes[node].live() else { return };
        if !core::mem::replace(&mut live.apply_busy, true) {
            let span = self.schedule.span(Duration::from_micros(5), Duration::from_micros(500));
            self.after(span * slower, Event::ApplyStep { node, life });
        }
    }

    pub(super) fn step_apply(&mut self, node: usize) -> Result<(), Broken> {
        if self.postpone(node, |node, life| Event::ApplyStep { node, life }) {
            return Ok(());
        }
        let Some(live) = self.nodes[node].live() else { return Ok(()) };
        live.apply_busy = false;
        let (entries, answers) = match live.applying.pop_front() {
            Some(Work::Execute(entries, answers)) => (entries, answers),
            Some(other) => return self.serve_snapshot(node, other),
            None => return Ok(()),
        };
        let mut replies = Vec::new();
        let applied = panic::catch_unwind(AssertUnwindSafe(|| {
            live.applier.apply(&entries, &answers, |origin, reply| replies.push((origin, reply)))
        }));
        match applied {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                return Err(Broken::new(
                    "commands decode",
                    format!("{node}: {error}", node = Name(node)),
                ));
            }
            // The state is never used again.
            Err(payload) if payload.is::<OnPurpose>() => {
                self.count(Fault::ApplyPanic.name());
                self.crash(node);
                return Ok(());
            }
            Err(payload) => return Err(panicked(node, live.applier.applying(), &*payload)),
        }
        let prints = live.applier.machine().take_replies();
        let more = !live.applying.is_empty();
        self.note_executed(&entries, &prints)?;
        for seen in prints {
            self.facts.replied(Some(node), seen)?;
        }
        let mut is_urgent = false;
        for (origin, outcome) in replies {
            is_urgent |= matches!(origin, Origin::Remote { .. });
            match origin {
                Origin::Local(call) => self.answer_call(call, outcome)?,
                Origin::Remote { peer, number } => {
                    let outcome = outcome.forwarded();
                    self.give(node, ReplicaInput::Answered { peer, number, outcome });
                }
            }
        }
        let index = entries.last().0;
        self.trace.note(self.now, || TraceEvent::Applies { node: name(node), index });
        self.note_progress(node, &entries, is_urgent);
        self.answer_reads(node);
        if more {
            self.start_apply(node);
        }
        Ok(())
    }

    /// What the state machine does beside executing entries.
    fn serve_snapshot(&mut self, node: usize, work: Work) -> Result<(), Broken> {
        match work {
            Work::Take(last, meta) => self.take_snapshot(node, last, meta),
            Work::Restore(snapshot) => {
                self.restore(node, &snapshot)?;
                self.answer_reads(node);
            }
            Work::Execute(..) => unreachable!("entries are executed"),
        }
        if self.nodes[node].as_live().is_some_and(|live| !live.applying.is_empty()) {
            self.start_apply(node);
        }
        Ok(())
    }

    /// The replica is to hear that entries were executed: at once where another node waits for a
    /// reply or it may wait for room, else with whatever wakes it, and in 10 ms at the latest.
    fn note_progress(&mut self, node: usize, entries: &Entries, is_urgent: bool) {
        let wake_bytes = self.config.apply_bytes / 2;
        let state = &mut self.nodes[node];
        let life = state.life;
        let State::Up(live) = &mut state.state else { return };
        live.executed = Some(entries.last());
        live.executed_bytes += entries.bytes().len();
        if is_urgent || live.executed_bytes >= wake_bytes {
            self.wake_soon(node);
        } else if !core::mem::replace(&mut live.reporting, true) {
            let quiet = state.quiet.span(Duration::ZERO, QUIET);
            self.after(quiet, Event::Report { node, life });
        }
    }

    /// The replica has gone long enough without knowing what was executed.
    pub(super) fn report_executed(&mut self, node: usize) -> Result<(), Broken> {
        let Some(live) = self.nodes[node].live() else { return Ok(()) };
        live.reporting = false;
        if live.executed.is_some() {
            self.wake_soon(node);
        }
        Ok(())
    }

    pub(super) fn answer_reads(&mut self, node: usize) {
        let Some(live) = self.nodes[node].live() else { return };
        let applied = live.applier.applied();
        let mut ready = Vec::new();
        live.reads.retain(|(id, index)| {
            let is_ready = *index <= applied;
            if is_ready {
                ready.push(*id);
            }
            !is_ready
        });
        for id in ready {
            self.answer_read(node, id);
        }
    }
}

/// A state machine that panics by itself does so on every node that executes the entry.
fn panicked(node: usize, index: Index, payload: &(dyn Any + Send)) -> Broken {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_default();
    let what = format!(
        "{node} panics at entry {index}: {text}. Every node will, and none goes on: refuse \
         what the state machine cannot do with a reply",
        node = Name(node)
    );
    Broken::new("the state machine does not panic", what)
}
