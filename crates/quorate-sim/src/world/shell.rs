//! The shell around each node: what threads and sockets do in production, one step at a time.

use core::time::Duration;
use std::any::Any;
use std::panic::{self, AssertUnwindSafe};
use std::rc::Rc;

use quorate::StateMachine;
use quorate::codec::Codec;
use quorate::replica::{
    ForwardOutcome, Frame, Origin, ReadFault, ReplicaEffect, ReplicaHalt, ReplicaInput,
};
use quorate::transport::codec::{Ends, FrameLimits, decode, encode};
use quorate::transport::frame::{Parsed, parse};
use quorate_core::{BootCounter, Index, NodeId, RoleName, mutant};
use quorate_log::{Entries, Progress};

use super::damage::damage;
use super::network::Fate;
use super::node::State;
use super::observed::{OnPurpose, digest, fingerprint};
use super::plan::Fault;
use super::script::traffic;
use super::trace::{Arrival, TraceEvent, name};
use super::words::words;
use super::workload::Workload;
use super::{Event, Wanted, World};
use crate::invariants::{Broken, Name, check_leader};
use crate::rng::Rng;

/// Bytes of the largest entry in a virtual world.
const ENTRY_BYTES: usize = 1 << 20;
/// Bytes at the beginning of a frame that tell it from others: its checksum is among them.
const FRAME_HEAD: usize = 32;
/// Time without a write after which a log is fenced.
const IDLE: Duration = Duration::from_millis(20);
/// What a recovery says of a segment whose first read failed: nothing but an injected failure does
/// that in a world.
const UNREADABLE: &str = "the device could not read it";
/// How long a replica goes without knowing that entries were executed, as in production.
const QUIET: Duration = Duration::from_millis(10);

impl<M: StateMachine + Default, W: Workload<M>> World<M, W> {
    /// Gives a node an input and sees to it that it wakes up.
    pub(super) fn give(&mut self, node: usize, input: ReplicaInput) {
        if let ReplicaInput::Call { call, command } = &input {
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
                live.applying.push_back((entries, answers));
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
                    RoleName::Follower => {}
                }
            }
            ReplicaEffect::Roster(_) => {}
            ReplicaEffect::Halt(ReplicaHalt::ReadBack { reason, .. }) if is_injected(&reason) => {
                self.feel_disk(node, &reason);
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

    fn facts_follow(&mut self, node: usize, commit: Index) -> Result<(), Broken> {
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
            }
            let Some(live) = self.nodes[node].live() else { return };
            live.timer_at = Some(due);
            self.at(due, Event::Timer { node, life });
        }
    }

    fn send(&mut self, from: usize, to: NodeId, frame: Frame) -> Result<(), Broken> {
        if let Frame::Raft { envelope, .. } = &frame {
            self.facts.sent(from, envelope)?;
        }
        let Some(target) = self.facts.position(to) else { return Ok(()) };
        if !self.is_connected(from, target) {
            self.count("no connection");
            self.refuse(from, dropped(to, &frame));
            return Ok(());
        }
        let Some(boot) = self.nodes[from].as_live().map(|live| live.boot) else { return Ok(()) };
        let is_reply = traffic::is_reply(&frame);
        let words = self.trace.is_wanted().then(|| words(&frame));
        let dropped = dropped(to, &frame);
        let Ok(packed) = encode(frame, FrameLimits::for_entries(ENTRY_BYTES)) else {
            let what = format!("{from} makes a frame that is too large to send", from = Name(from));
            return Err(Broken::new("frames fit", what));
        };
        let bytes = packed.encoded.into_vec();
        self.counts.frames += 1;
        self.counts.frame_bytes += bytes.len() as u64;
        let size = (bytes.len(), is_reply);
        let chances = (&self.plan, &mut self.chances);
        let fate = self.network.fate(chances, self.now, (from, target), size);
        let number = self.trace.number_frame();
        if let Some(words) = words {
            self.note_sent(number, (from, target), words, (bytes.len(), &fate));
        }
        while let Some(fault) = self.network.next_struck() {
            self.count(fault.name());
        }
        if fate == Fate::Refused {
            self.count("queue full");
            self.refuse(from, dropped);
        }
        let Fate::Arrives(arrivals) = fate else { return Ok(()) };
        let bytes = Rc::new(bytes);
        self.script.record((number, from, target), boot, &bytes);
        for span in arrivals.iter() {
            let bytes = Rc::clone(&bytes);
            self.after(span, Event::Frame { number, from, to: target, boot, bytes });
        }
        Ok(())
    }

    /// A frame arrives, perhaps damaged. A life that began meanwhile hears frames of the former
    /// one, too: a replay of long ago is none other.
    pub(super) fn receive(
        &mut self,
        number: u64,
        (from, to): (usize, usize),
        boot: BootCounter,
        bytes: &[u8],
    ) -> Result<(), Broken> {
        if self.network.is_cut(from, to) {
            self.count("cut off");
            self.note_arrival(number, (from, to), Arrival::CutOff, None);
            return Ok(());
        }
        let damaged = self.chances.strikes(&self.plan, Fault::Corrupt);
        let damaged = damaged.map(|mut rng| damage(bytes, &mut rng));
        if damaged.is_some() {
            self.count(Fault::Corrupt.name());
        }
        let limits = FrameLimits::for_entries(ENTRY_BYTES);
        if let Some(rng) = self.chances.strikes(&self.plan, Fault::Fragment)
            && self.comes_in_pieces((number, from, to), bytes, rng)?
        {
            return Ok(());
        }
        let ends = Ends { me: self.nodes[to].id, peer: self.nodes[from].id, boot };
        let taken = damaged.as_deref().unwrap_or(bytes);
        let frame = match parse(taken, limits.frame_bytes()) {
            Ok(Parsed::Frame(raw)) => decode(raw, ends, limits).ok(),
            Ok(Parsed::Partial { .. }) | Err(_) => None,
        };
        // The head of a frame has the checksum of all of it.
        let head = fingerprint(&taken[..taken.len().min(FRAME_HEAD)]);
        self.trace.step(self.now, [4, (from * 64 + to) as u64, head]);
        let Some(frame) = frame else {
            // Nothing that follows on this connection can be believed either.
            self.count("frame refused");
            self.note_arrival(number, (from, to), Arrival::Corrupt, None);
            self.reset(from, to);
            return Ok(());
        };
        let is_up = self.nodes[to].as_live().is_some();
        let fate = if is_up { Arrival::Taken } else { Arrival::Nobody };
        self.note_arrival(number, (from, to), fate, Some(&frame));
        if is_up {
            self.script.traffic.received(&frame, bytes.len());
        }
        let from = self.nodes[from].id;
        self.give(to, ReplicaInput::Frame { from, frame });
        Ok(())
    }

    /// A frame comes in two pieces, cut at any byte: the first alone must be none. Says whether the
    /// connection breaks before the second comes.
    fn comes_in_pieces(
        &mut self,
        (number, from, to): (u64, usize, usize),
        bytes: &[u8],
        mut rng: Rng,
    ) -> Result<bool, Broken> {
        self.count(Fault::Fragment.name());
        let first = &bytes[..rng.index(bytes.len())];
        let limit = FrameLimits::for_entries(ENTRY_BYTES).frame_bytes();
        if !matches!(parse(first, limit), Ok(Parsed::Partial { missing }) if missing > 0) {
            let what = format!("{} of {} bytes are taken for a frame", first.len(), bytes.len());
            return Err(Broken::new("frames are whole", what));
        }
        let most = self.plan.rate(Fault::Fragment).size;
        let breaks = rng.range(0..100) < most;
        if breaks {
            self.note_arrival(number, (from, to), Arrival::Corrupt, None);
            self.reset(from, to);
        }
        Ok(breaks)
    }

    fn start_log(&mut self, node: usize) {
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

    /// An error of a disk is the effect of something that struck it.
    pub(super) fn feel_disk(&mut self, node: usize, error: &str) {
        for (words, kind) in [
            ("failure of a sync", Fault::SyncError),
            ("write zero", Fault::ShortWrite),
            ("no storage space", Fault::DiskFull),
            ("an injected failure", Fault::WriteError),
            (UNREADABLE, Fault::WriteError),
        ] {
            if error.contains(words) {
                self.feel(node, kind);
                return;
            }
        }
    }

    pub(super) fn step_log(&mut self, node: usize) -> Result<(), Broken> {
        if self.postpone(node, |node, life| Event::LogStep { node, life }) {
            return Ok(());
        }
        if self.chances.strikes_times(&self.plan, Fault::CrashAtEffect, 10).is_some() {
            self.count("crash-at-effect");
            self.note_strike(Fault::CrashAtEffect, Some(node), None);
            self.crash(node);
            return Ok(());
        }
        let life = self.nodes[node].life;
        let Some(live) = self.nodes[node].live() else { return Ok(()) };
        live.log_busy = false;
        let progress = match live.log.step() {
            Ok(progress) => progress,
            Err(error) => {
                // The process says so and exits; it never tries again.
                let error = error.to_string();
                self.feel_disk(node, &error);
                self.trace.note(self.now, || TraceEvent::DiskFails { node: name(node), error });
                self.count("log failed");
                self.crash(node);
                return Ok(());
            }
        };
        self.trace.step(self.now, [5, node as u64, 0]);
        match progress {
            Progress::Idle => {
                let maintenance = live.log.maintenance();
                if maintenance.fence || (maintenance.prepare_segment && !maintenance.no_space) {
                    self.after(IDLE, Event::Fence { node, life });
                }
                return Ok(());
            }
            Progress::Persisted(token) => {
                self.facts.persisted(node, token)?;
                let last = self.facts.nodes[node].durable.len() as u64;
                self.trace.note(self.now, || TraceEvent::Persists { node: name(node), last });
                self.counts.persisted += 1;
                self.give(node, ReplicaInput::Persisted(token));
            }
            Progress::Fenced => self.count("fence"),
            _ => {}
        }
        self.start_log(node);
        Ok(())
    }

    /// The reader's thread: what it reads may have been cut or rewritten since it was wanted.
    pub(super) fn read_back(&mut self, node: usize, wanted: Wanted) -> Result<(), Broken> {
        if self.postpone(node, |node, life| Event::ReadBack { node, life, wanted }) {
            return Ok(());
        }
        let Some(live) = self.nodes[node].live() else { return Ok(()) };
        let outcome = live.log.read(wanted.first, wanted.last, wanted.max_bytes);
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

    fn start_apply(&mut self, node: usize) {
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
        let Some((entries, answers)) = live.applying.pop_front() else { return Ok(()) };
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
        self.note_executed(&entries)?;
        for seen in prints {
            self.facts.replied(Some(node), seen)?;
        }
        let mut is_urgent = false;
        for (origin, reply) in replies {
            is_urgent |= matches!(origin, Origin::Remote { .. });
            match origin {
                Origin::Local(_) => self.answer_call(origin, &reply)?,
                Origin::Remote { peer, number } => {
                    let mut bytes = Vec::new();
                    reply.encode(&mut bytes).expect("bytes and a number encode");
                    let outcome = ForwardOutcome::Applied(bytes);
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

    /// Tells a node that a frame did not leave.
    fn refuse(&mut self, node: usize, dropped: Option<ReplicaInput>) {
        let local = self.nodes[node].clock.local(self.now);
        let (Some(dropped), Some(live)) = (dropped, self.nodes[node].live()) else { return };
        live.replica.handle(local, dropped, &mut live.effects);
    }

    fn answer_reads(&mut self, node: usize) {
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

/// What a node hears of a frame that did not leave.
const fn dropped(to: NodeId, frame: &Frame) -> Option<ReplicaInput> {
    match frame {
        Frame::Raft { envelope, .. } => {
            Some(ReplicaInput::SendDropped { to, request: envelope.request })
        }
        Frame::Forward(forward) => Some(ReplicaInput::ForwardDropped(forward.number)),
        Frame::ForwardReply(_) => None,
    }
}

/// Whether a virtual disk failed on purpose.
pub(super) fn is_injected(error: &str) -> bool {
    let words = ["injected", "no storage space", "write zero", UNREADABLE];
    words.iter().any(|words| error.contains(words))
}
