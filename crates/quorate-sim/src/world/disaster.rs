//! Faults that strike again and again, each kind at times and places of its own, and their end.
//! Scripts inflict the same by hand: see `script/by_hand.rs`.

use core::time::Duration;

use quorate::StateMachine;
use quorate_log::fault::Fault as DiskFault;

use super::network::Shape;
use super::plan::Fault;
use super::trace::LinkState;
use super::workload::Workload;
use super::{Event, World};
use crate::rng::Rng;

/// Kinds that strike again and again, each with a timer of its own.
const STRIKING: [Fault; 21] = [
    Fault::Split,
    Fault::OneWay,
    Fault::Bridge,
    Fault::Ring,
    Fault::Chain,
    Fault::Flap,
    Fault::Reset,
    Fault::SlowLink,
    Fault::Bandwidth,
    Fault::Clog,
    Fault::Crash,
    Fault::CrashAll,
    Fault::Pause,
    Fault::SlowNode,
    Fault::ClockJump,
    Fault::ApplyPanic,
    Fault::RetryStorm,
    Fault::WriteError,
    Fault::SyncError,
    Fault::DiskFull,
    Fault::StuckDisk,
];

/// What ends when something that struck for a while is over.
#[derive(Clone, Copy, Debug)]
pub(super) enum Mending {
    /// A slow node.
    Node(usize),
    /// A full disk.
    Disk(usize),
    /// A slow, narrow or cut link.
    Link(usize, usize),
    /// The shape of the network, by its number.
    Shape(u64),
}

impl<M: StateMachine + Default, W: Workload<M>> World<M, W> {
    pub(super) fn plan_disasters(&mut self, seed: u64) {
        for fault in STRIKING {
            if self.plan.has(fault) {
                let mut rng = Rng::stream(seed, fault.name(), 2);
                let span = rng.span(Duration::ZERO, self.every(fault));
                self.after(span, Event::Disaster(fault));
                self.strikes.insert(fault, rng);
            }
        }
        for fault in [Fault::Drift, Fault::Sizes] {
            if self.plan.has(fault) {
                self.count(fault.name());
            }
        }
        if self.plan.has(Fault::SlowDisk) {
            let slow = self.schedule.index(self.nodes.len());
            self.nodes[slow].disk_slower = 20;
            self.count("slow-disk");
        }
    }

    fn every(&self, fault: Fault) -> Duration {
        match fault {
            Fault::Crash => self.plan.crash_every,
            Fault::CrashAll => self.plan.crash_every * 3,
            Fault::Pause | Fault::SlowNode => self.plan.trouble_every,
            Fault::WriteError | Fault::SyncError | Fault::DiskFull | Fault::StuckDisk => {
                self.plan.trouble_every * 2
            }
            _ => self.plan.shape_every,
        }
    }

    pub(super) fn strike(&mut self, fault: Fault) {
        // Taken out and put back: each kind draws from a stream of its own.
        let Some(mut rng) = self.strikes.remove(&fault).filter(|_| !self.calm) else { return };
        let every = self.every(fault);
        let next = rng.span(every / 2, every * 3 / 2);
        self.after(next, Event::Disaster(fault));
        self.count(fault.name());
        self.trace.step(self.now, [7, fault as u64, 0]);
        let node = rng.index(self.nodes.len());
        let apart = 1 + rng.index(self.nodes.len().max(2) - 1);
        let other = (node + apart) % self.nodes.len();
        let span = rng.span(Duration::from_millis(100), Duration::from_secs(5));
        let until = self.now + super::nanos(span);
        self.note_disaster(fault, node, until);
        match fault {
            Fault::Crash => self.crash(node),
            Fault::CrashAll => (0..self.nodes.len()).for_each(|node| self.crash(node)),
            Fault::Pause => self.nodes[node].paused_until = until,
            Fault::SlowNode => {
                self.nodes[node].slower = 100;
                self.at(until, Event::Mend(Mending::Node(node)));
            }
            Fault::ClockJump => {
                let jump = rng.heavy_tailed(Duration::from_secs(4));
                self.set_clock_ahead(node, jump);
            }
            Fault::ApplyPanic => self.plant_panic(node),
            Fault::RetryStorm => self.storm(),
            Fault::Reset => self.reset(node, other),
            Fault::StuckDisk => self.nodes[node].stuck_until = until,
            Fault::WriteError => self.fail_next(node, 1, DiskFault::Fails),
            // A write comes before its sync; only syncs take notice of this one.
            Fault::SyncError => self.fail_next(node, 8, DiskFault::SyncLosesData),
            Fault::DiskFull => {
                self.fill_up(node);
                self.at(until, Event::Mend(Mending::Disk(node)));
            }
            _ => self.strike_network(fault, (node, other), until, &mut rng),
        }
        self.strikes.insert(fault, rng);
    }

    fn strike_network(
        &mut self,
        fault: Fault,
        (node, other): (usize, usize),
        until: u64,
        rng: &mut Rng,
    ) {
        let mending = match fault {
            Fault::SlowLink => {
                self.network.slow(node, other, 50);
                self.note_link(node, other, LinkState::Slow, None);
                Mending::Link(node, other)
            }
            Fault::Bandwidth => {
                self.network.limit(node, other, 20_000);
                self.note_link(node, other, LinkState::Narrow, None);
                Mending::Link(node, other)
            }
            Fault::Clog => {
                self.network.clog(node, other, until);
                self.note_link(node, other, LinkState::Clogged, Some(until));
                return;
            }
            Fault::Flap => {
                let cut = rng.coin();
                self.network.cut(node, other, cut);
                let state = if cut { LinkState::Cut } else { LinkState::Stands };
                self.note_link(node, other, state, None);
                Mending::Link(node, other)
            }
            _ => {
                let shape = self.draw_shape(fault, rng);
                self.reshape(&shape);
                self.shapes += 1;
                Mending::Shape(self.shapes)
            }
        };
        self.at(until, Event::Mend(mending));
    }

    /// What struck for a while is over.
    pub(super) fn mend(&mut self, mending: Mending) {
        if self.calm {
            return;
        }
        self.trace.step(self.now, [8, 0, 0]);
        match mending {
            Mending::Node(node) => self.nodes[node].slower = 1,
            Mending::Disk(node) => self.nodes[node].disk.limit_room(None),
            Mending::Link(from, to) => {
                self.network.mend(from, to);
                self.note_link(from, to, LinkState::Stands, None);
            }
            // Another shape may have taken its place.
            Mending::Shape(number) if number == self.shapes => self.reshape(&Shape::Whole),
            Mending::Shape(_) => {}
        }
    }

    /// Cuts and mends links so that the network has this shape.
    pub fn reshape(&mut self, shape: &Shape) {
        self.network.take_shape(shape);
        self.note_network(shape);
    }

    /// The clock of a node shows a later time at once; what it waits for may be due.
    pub(super) fn set_clock_ahead(&mut self, node: usize, jump: Duration) {
        let now = self.now;
        self.nodes[node].clock.jump(now, super::nanos(jump));
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

    /// A disk has no room left beyond what its files take.
    pub(super) fn fill_up(&mut self, node: usize) {
        let disk = &self.nodes[node].disk;
        let sizes = disk.names().into_iter().filter_map(|name| disk.bytes(&name));
        let used = sizes.map(|bytes| bytes.len() as u64).sum();
        disk.limit_room(Some(used));
    }

    pub(super) fn fail_next(&mut self, node: usize, operations: u64, fault: DiskFault) {
        let disk = &self.nodes[node].disk;
        let next = disk.operations() + 1;
        (next..next + operations).for_each(|number| disk.fail_at(number, fault));
    }

    fn draw_shape(&self, fault: Fault, rng: &mut Rng) -> Shape {
        let mut order: Vec<usize> = (0..self.nodes.len()).collect();
        for at in (1..order.len()).rev() {
            let other = rng.index(at + 1);
            order.swap(at, other);
        }
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
