//! Faults that strike at times of their own, each kind with its own list of strikes, and their end.
//! Scripts inflict the same by hand: see `script/by_hand.rs`.
//!
//! A strike counts when it has an effect: a crash of a node that is down is none. What has its effect
//! later, such as a slow link, counts when it first does.

use core::time::Duration;

use quorate::StateMachine;
use quorate_log::fault::Fault as DiskFault;

use super::network::Trouble;
use super::node::State;
use super::plan::{Fault, Strike, Strikes};
use super::topology::Shape;
use super::trace::LinkState;
use super::workload::Workload;
use super::{Event, World, nanos};
use crate::rng::Rng;

/// Operations of a disk among which there is a write and a sync, while the disk is in use.
const SOON: u64 = 8;

/// What ends when something that struck for a while is over.
#[derive(Clone, Copy, Debug)]
pub(super) enum Mending {
    /// A slow node.
    Node(usize),
    /// A full disk.
    FullDisk(usize),
    /// A slow disk.
    SlowDisk(usize),
    /// A slow or narrow link.
    Link(Trouble, usize, usize),
    /// A link that comes back, or goes again so many times.
    Flap { from: usize, to: usize, left: u32, span: Duration },
    /// The shape that a strike of this kind with this number gave the network.
    Shape(Fault, u32),
    /// A node goes off the network, or comes back.
    Swizzle { node: usize, is_alone: bool },
    /// A snapshot that was damaged.
    Rot,
    /// The peace of a node that is to die so many times more.
    Crash { node: usize, left: u32 },
}

/// What is to strike next of one kind, and what comes after it.
#[derive(Debug)]
pub(super) struct Upcoming {
    next: Strike,
    rest: Strikes,
}

impl<M: StateMachine + Default, W: Workload<M>> World<M, W> {
    pub(super) fn plan_disasters(&mut self, seed: u64) {
        for fault in Fault::ALL {
            if let Some(mut rest) = Strikes::of(seed, fault, &self.plan) {
                let next = rest.next_strike();
                self.after(next.at, Event::Disaster(fault));
                self.upcoming.insert(fault, Upcoming { next, rest });
            }
        }
        let drifts = self.nodes.iter().any(|node| node.clock.gain != 0);
        if self.plan.has(Fault::Drift) && drifts {
            self.count(Fault::Drift.name());
        }
    }

    /// How many strikes of each kind came up, with those that were left out or had no effect.
    #[must_use]
    pub fn strikes(&self, kind: Fault) -> u32 {
        let due = self.upcoming.get(&kind).map_or(0, |upcoming| upcoming.rest.so_far() - 1);
        due.max(self.chances.so_far(kind))
    }

    pub(super) fn strike(&mut self, fault: Fault) {
        if self.calm {
            return;
        }
        let Some(upcoming) = self.upcoming.get_mut(&fault) else { return };
        let next = upcoming.rest.next_strike();
        let at = nanos(next.at);
        let strike = core::mem::replace(&mut upcoming.next, next);
        self.at(at, Event::Disaster(fault));
        if !self.plan.on.leaves(fault, strike.number) {
            return;
        }
        self.trace.step(self.now, [7, fault as u64, u64::from(strike.number)]);
        if self.inflict(strike) {
            self.count(fault.name());
        }
    }

    /// Lets a fault strike; says whether that had an effect at once.
    fn inflict(&mut self, strike: Strike) -> bool {
        let (node, other) = strike.pair(self.nodes.len());
        let until = self.now + nanos(strike.lasts);
        let times = u32::try_from(strike.size).unwrap_or(u32::MAX);
        let is_down = matches!(self.nodes[node].state, State::Down);
        let is_up = self.nodes[node].as_live().is_some();
        match strike.kind {
            Fault::Crash if !is_down => {
                self.note_strike(strike.kind, Some(node), None);
                self.crash_for(node, Some(strike.lasts));
                self.crash_again(node, strike.lasts, times);
                true
            }
            Fault::CrashAll => self.crash_many(strike),
            Fault::Pause if !is_down => {
                self.note_strike(strike.kind, Some(node), Some(until));
                self.pause_until(node, until)
            }
            Fault::SlowNode if !is_down => {
                self.note_strike(strike.kind, Some(node), Some(until));
                self.nodes[node].slower = times;
                self.nodes[node].ends.slow_node = until;
                self.at(until, Event::Mend(Mending::Node(node)));
                true
            }
            Fault::ClockJump if is_up => {
                self.note_strike(strike.kind, Some(node), None);
                self.set_clock_ahead(node, Duration::from_millis(strike.size));
                true
            }
            Fault::ApplyPanic if is_up => {
                self.note_strike(strike.kind, Some(node), None);
                self.plant_panic(node);
                false
            }
            Fault::SnapshotRot => self.strike_snapshot(&strike, node, until),
            Fault::RetryStorm => {
                self.note_strike(strike.kind, None, None);
                self.storm(times)
            }
            Fault::Reset => {
                let stands = self.is_connected(node, other) || self.is_connected(other, node);
                self.note_strike(strike.kind, Some(node), None);
                self.reset(node, other);
                stands
            }
            Fault::StuckDisk
            | Fault::SlowDisk
            | Fault::WriteError
            | Fault::ShortWrite
            | Fault::SyncError
            | Fault::DiskFull => {
                self.strike_disk(&strike, node, until);
                false
            }
            Fault::SlowLink | Fault::Bandwidth | Fault::Clog | Fault::Flap => {
                self.note_strike(strike.kind, None, None);
                self.strike_link(&strike, (node, other), until);
                false
            }
            Fault::Split | Fault::OneWay | Fault::Bridge | Fault::Ring | Fault::Chain => {
                self.note_strike(strike.kind, None, Some(until));
                self.partition_until(strike, until)
            }
            Fault::Swizzle => {
                self.note_strike(strike.kind, None, Some(until));
                self.take_off_some(strike);
                false
            }
            _ => false,
        }
    }

    /// All nodes die at once, or a majority of them.
    fn crash_many(&mut self, mut strike: Strike) -> bool {
        let nodes = self.nodes.len();
        let first = strike.pair(nodes).0;
        let count = if strike.rng.coin() { nodes } else { nodes / 2 + 1 };
        let is_down = |state: &State<M>| matches!(state, State::Down);
        let is_felt = self.nodes.iter().any(|node| !is_down(&node.state));
        self.note_strike(strike.kind, None, None);
        for place in 0..count {
            let down = strike.rng.span(Duration::ZERO, strike.lasts);
            self.crash_for((first + place) % nodes, Some(down));
        }
        is_felt
    }

    fn crash_again(&mut self, node: usize, down: Duration, times: u32) {
        if times > 1 {
            let up = self.schedule.span(Duration::from_millis(5), Duration::from_millis(500));
            self.after(down + up, Event::Mend(Mending::Crash { node, left: times - 1 }));
        }
    }

    /// Nothing happens on a node before then; says whether that is later than it was.
    pub(super) fn pause_until(&mut self, node: usize, until: u64) -> bool {
        let paused = &mut self.nodes[node].paused_until;
        let is_longer = *paused < until;
        *paused = until.max(*paused);
        is_longer
    }

    fn strike_snapshot(&mut self, strike: &Strike, node: usize, until: u64) -> bool {
        if !self.rot_a_snapshot(node, &mut strike.rng.clone()) {
            return false;
        }
        self.note_strike(strike.kind, Some(node), Some(until));
        self.at(until, Event::Mend(Mending::Rot));
        true
    }

    fn strike_disk(&mut self, strike: &Strike, node: usize, until: u64) {
        let lasts = matches!(strike.kind, Fault::StuckDisk | Fault::SlowDisk | Fault::DiskFull);
        self.note_strike(strike.kind, Some(node), lasts.then_some(until));
        match strike.kind {
            Fault::StuckDisk => self.stick(node, until),
            Fault::SlowDisk => {
                let times = u32::try_from(strike.size).unwrap_or(u32::MAX);
                self.slow_down_disk(node, times);
                self.nodes[node].ends.slow_disk = until;
                self.at(until, Event::Mend(Mending::SlowDisk(node)));
            }
            Fault::DiskFull => {
                self.fill_up(node, strike.size);
                self.nodes[node].ends.full_disk = until;
                self.at(until, Event::Mend(Mending::FullDisk(node)));
            }
            Fault::WriteError => {
                let any = strike.rng.clone().coin();
                let fault = if any { DiskFault::Fails } else { DiskFault::WriteFails };
                self.fail_soon(node, Fault::WriteError, fault);
            }
            Fault::ShortWrite => self.fail_soon(node, Fault::ShortWrite, DiskFault::ShortWrite),
            kind => {
                let forgets = strike.rng.clone().coin();
                let fault = if forgets { DiskFault::SyncForgets } else { DiskFault::SyncLosesData };
                self.fail_soon(node, kind, fault);
            }
        }
    }

    fn strike_link(&mut self, strike: &Strike, (from, to): (usize, usize), until: u64) {
        let times = u32::try_from(strike.size).unwrap_or(u32::MAX);
        match strike.kind {
            Fault::SlowLink => {
                self.network.slow(from, to, times);
                self.note_link(from, to, LinkState::Slow, Some(until));
                self.at(until, Event::Mend(Mending::Link(Trouble::Slow, from, to)));
            }
            Fault::Bandwidth => {
                self.network.limit(from, to, strike.size);
                self.note_link(from, to, LinkState::Narrow, Some(until));
                self.at(until, Event::Mend(Mending::Link(Trouble::Narrow, from, to)));
            }
            Fault::Clog => {
                self.network.clog(from, to, until, times);
                self.note_link(from, to, LinkState::Clogged, Some(until));
            }
            _ => {
                let (left, span) = (times.saturating_mul(2).saturating_sub(1), strike.lasts);
                self.flap_link(from, to, true);
                self.after(span, Event::Mend(Mending::Flap { from, to, left, span }));
            }
        }
    }

    /// Cuts one direction of a link on top of the network's shape, or ends that.
    pub(super) fn flap_link(&mut self, from: usize, to: usize, cut: bool) {
        self.network.flap(from, to, cut);
        let is_cut = self.network.topology.is_cut(from, to);
        let state = if is_cut { LinkState::Cut } else { LinkState::Stands };
        self.note_link(from, to, state, None);
    }

    /// What struck for a while is over.
    pub(super) fn mend(&mut self, mending: Mending) {
        if self.calm {
            return;
        }
        self.trace.step(self.now, [8, 0, 0]);
        let now = self.now;
        match mending {
            // A later strike of the kind may end later.
            Mending::Node(node) if self.nodes[node].ends.slow_node <= now => {
                self.nodes[node].slower = 1;
            }
            Mending::FullDisk(node) if self.nodes[node].ends.full_disk <= now => {
                self.nodes[node].disk.limit_room(None);
            }
            Mending::SlowDisk(node) if self.nodes[node].ends.slow_disk <= now => {
                self.nodes[node].disk_slower = 1;
            }
            Mending::Node(_) | Mending::FullDisk(_) | Mending::SlowDisk(_) => {}
            Mending::Link(trouble, from, to) => {
                self.network.mend(trouble, from, to);
                self.note_link(from, to, LinkState::Stands, None);
            }
            Mending::Flap { from, to, left, span } => {
                self.flap_link(from, to, left.is_multiple_of(2));
                if left > 1 {
                    let left = left - 1;
                    self.after(span, Event::Mend(Mending::Flap { from, to, left, span }));
                }
            }
            // A later strike of the kind may have taken its place.
            Mending::Shape(kind, number) if self.shapes.get(&kind) == Some(&number) => {
                self.reshape(kind, Shape::Whole);
            }
            Mending::Shape(..) => {}
            Mending::Rot => self.put_snapshot_back(),
            Mending::Swizzle { node, is_alone } => {
                if self.network.topology.isolate(Fault::Swizzle, node, is_alone) {
                    self.count(Fault::Swizzle.name());
                }
                self.note_network(None);
            }
            Mending::Crash { node, left } => {
                let down = Duration::from_millis(10);
                self.crash_for(node, Some(down));
                self.crash_again(node, down, left);
            }
        }
    }

    /// A kind gives the network this shape, on top of those of other kinds; says whether a link went
    /// down that stood.
    pub(super) fn reshape(&mut self, kind: Fault, shape: Shape) -> bool {
        let is_felt = self.network.topology.take_shape(kind, shape);
        if is_felt && self.network.topology.overlap() {
            self.count("partitions overlap");
        }
        self.note_network(None);
        is_felt
    }

    /// The network has a drawn shape until then; says whether a link went down that stood.
    fn partition_until(&mut self, strike: Strike, until: u64) -> bool {
        let Strike { kind, number, mut rng, .. } = strike;
        let shape = self.draw_shape(kind, &mut rng);
        self.shapes.insert(kind, number);
        self.at(until, Event::Mend(Mending::Shape(kind, number)));
        self.reshape(kind, shape)
    }

    /// Some nodes go off the network one by one, and come back one by one in another order.
    fn take_off_some(&mut self, strike: Strike) {
        let Strike { lasts, mut rng, .. } = strike;
        let order = shuffled(self.nodes.len(), &mut rng);
        let some = rng.index(order.len()) + 1;
        let half = lasts / 2;
        for node in order.into_iter().take(some) {
            let (gone, back) = (rng.span(Duration::ZERO, half), rng.span(half, lasts));
            for (span, is_alone) in [(gone, true), (back, false)] {
                self.after(span, Event::Mend(Mending::Swizzle { node, is_alone }));
            }
        }
    }

    /// The clock of a node shows a later time at once; what it waits for may be due.
    pub(super) fn set_clock_ahead(&mut self, node: usize, jump: Duration) {
        let now = self.now;
        self.nodes[node].clock.jump(now, nanos(jump));
        if let Some(live) = self.nodes[node].live() {
            live.timer_at = None;
        }
        self.arm_timer(node);
    }

    /// The state machine of a node panics at its next command, as if its memory had gone bad. The
    /// node stops there; it never goes on with that state.
    pub(super) fn plant_panic(&mut self, node: usize) {
        if let Some(live) = self.nodes[node].live() {
            live.applier.machine().panic_next();
        }
    }

    /// A disk does nothing before then.
    pub(super) fn stick(&mut self, node: usize, until: u64) {
        let state = &mut self.nodes[node];
        state.stuck_until = until.max(state.stuck_until);
        state.unfelt.insert(Fault::StuckDisk);
    }

    /// A disk takes so many times as long for everything.
    pub(super) fn slow_down_disk(&mut self, node: usize, times: u32) {
        let state = &mut self.nodes[node];
        state.disk_slower = times;
        state.unfelt.insert(Fault::SlowDisk);
    }

    /// A disk has so much room left beyond what its files take.
    pub(super) fn fill_up(&mut self, node: usize, spare: u64) {
        let state = &mut self.nodes[node];
        let disk = &state.disk;
        let sizes = disk.names().into_iter().filter_map(|name| disk.bytes(&name));
        let used: u64 = sizes.map(|bytes| bytes.len() as u64).sum();
        disk.limit_room(Some(used + spare));
        state.unfelt.insert(Fault::DiskFull);
    }

    /// The next operation of a disk that this kind can befall fails.
    pub(super) fn fail_soon(&mut self, node: usize, kind: Fault, fault: DiskFault) {
        // Only writes and only syncs take notice of what befalls them; a node whose
        // write or sync fails dies, and with it what else was planned.
        let operations = if fault == DiskFault::Fails { 1 } else { SOON };
        let disk = &self.nodes[node].disk;
        let next = disk.operations() + 1;
        (next..next + operations).for_each(|number| disk.fail_at(number, fault));
        self.nodes[node].unfelt.insert(kind);
    }

    /// A fault of a disk or process that struck a while ago has its effect, the first time or again.
    pub(super) fn feel(&mut self, node: usize, kind: Fault) {
        if self.nodes[node].unfelt.contains(kind) {
            self.nodes[node].unfelt.remove(kind);
            self.count(kind.name());
        }
    }

    fn draw_shape(&self, fault: Fault, rng: &mut Rng) -> Shape {
        let order = shuffled(self.nodes.len(), rng);
        let cut = rng.index(order.len().max(2) - 1) + 1;
        match fault {
            Fault::OneWay if rng.coin() => Shape::Mute(order[0]),
            Fault::OneWay => Shape::Deaf(order[0]),
            Fault::Ring => Shape::Row(order, true),
            Fault::Chain => Shape::Row(order, false),
            Fault::Bridge => {
                let bridge = order.len() / 2;
                Shape::Split(
                    order[..bridge].to_vec(),
                    order[(bridge + 1).min(order.len())..].to_vec(),
                )
            }
            _ => Shape::Split(
                order[..cut.min(order.len())].to_vec(),
                order[cut.min(order.len())..].to_vec(),
            ),
        }
    }
}

/// All nodes, in any order.
fn shuffled(nodes: usize, rng: &mut Rng) -> Vec<usize> {
    let mut order: Vec<usize> = (0..nodes).collect();
    for at in (1..order.len()).rev() {
        let other = rng.index(at + 1);
        order.swap(at, other);
    }
    order
}
