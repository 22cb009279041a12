//! Faults that strike at a time of their own, and the same by hand for scripted tests.

use core::time::Duration;

use quorate::StateMachine;

use super::network::Shape;
use super::plan::Fault;
use super::trace::LinkState;
use super::workload::Workload;
use super::{Event, World};
use crate::rng::Rng;

/// Kinds that strike again and again, each with a timer of its own.
const STRIKING: [Fault; 17] = [
    Fault::Split,
    Fault::OneWay,
    Fault::Bridge,
    Fault::Ring,
    Fault::Chain,
    Fault::Flap,
    Fault::SlowLink,
    Fault::Bandwidth,
    Fault::Clog,
    Fault::Crash,
    Fault::CrashAll,
    Fault::Pause,
    Fault::SlowNode,
    Fault::WriteError,
    Fault::SyncError,
    Fault::DiskFull,
    Fault::StuckDisk,
];

impl<M: StateMachine + Default, W: Workload<M>> World<M, W> {
    pub(super) fn plan_disasters(&mut self, seed: u64) {
        for fault in STRIKING {
            if self.plan.has(fault) {
                let span =
                    Rng::stream(seed, fault.name(), 2).span(Duration::ZERO, self.every(fault));
                self.after(span, Event::Disaster(fault));
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
        if self.calm {
            return;
        }
        let every = self.every(fault);
        let next = self.schedule.span(every / 2, every * 3 / 2);
        self.after(next, Event::Disaster(fault));
        self.count(fault.name());
        self.trace.step(self.now, [7, fault as u64, 0]);
        let node = self.schedule.index(self.nodes.len());
        let other = (node + 1 + self.schedule.index(self.nodes.len())) % self.nodes.len();
        let span = self.schedule.span(Duration::from_millis(100), Duration::from_secs(5));
        let until = self.now + super::nanos(span);
        self.note_disaster(fault, node, until);
        match fault {
            Fault::Crash => self.crash(node),
            Fault::CrashAll => (0..self.nodes.len()).for_each(|node| self.crash(node)),
            Fault::Pause => self.pause(node, span),
            Fault::SlowNode => self.nodes[node].slower = 100,
            Fault::StuckDisk => self.nodes[node].stuck_until = until,
            Fault::WriteError => self.fail_next(node, quorate_log::fault::Fault::Fails),
            Fault::SyncError => self.fail_next(node, quorate_log::fault::Fault::SyncLosesData),
            Fault::DiskFull => self.fail_next(node, quorate_log::fault::Fault::NoSpace),
            Fault::SlowLink => {
                self.network.slow(node, other, 50);
                self.note_link(node, other, LinkState::Slow, None);
            }
            Fault::Bandwidth => {
                self.network.limit(node, other, 20_000);
                self.note_link(node, other, LinkState::Narrow, None);
            }
            Fault::Clog => {
                self.network.clog(node, other, until);
                self.note_link(node, other, LinkState::Clogged, Some(until));
            }
            Fault::Flap => {
                let cut = self.schedule.coin();
                self.network.cut(node, other, cut);
                let state = if cut { LinkState::Cut } else { LinkState::Stands };
                self.note_link(node, other, state, None);
            }
            _ => {
                let shape = self.draw_shape(fault);
                self.reshape(&shape);
            }
        }
    }

    /// Cuts and mends links so that the network has this shape.
    pub fn reshape(&mut self, shape: &Shape) {
        self.network.take_shape(shape);
        self.note_network(shape);
    }

    /// Stops a node for a while.
    pub fn pause(&mut self, node: usize, span: Duration) {
        self.nodes[node].paused_until = self.now + super::nanos(span);
    }

    /// Kills a node; it starts again by itself.
    pub fn kill(&mut self, node: usize) {
        self.crash(node);
    }

    fn fail_next(&mut self, node: usize, fault: quorate_log::fault::Fault) {
        let disk = &self.nodes[node].disk;
        disk.fail_at(disk.operations() + 1, fault);
    }

    fn draw_shape(&mut self, fault: Fault) -> Shape {
        if self.schedule.chance(300_000) {
            return Shape::Whole;
        }
        let mut order: Vec<usize> = (0..self.nodes.len()).collect();
        for at in (1..order.len()).rev() {
            let other = self.schedule.index(at + 1);
            order.swap(at, other);
        }
        let cut = self.schedule.index(order.len().max(2) - 1) + 1;
        match fault {
            Fault::OneWay if self.schedule.coin() => Shape::Mute(order[0]),
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
