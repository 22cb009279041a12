//! Every kind of fault, by hand.
//!
//! A method that is named after a kind counts under that kind's name, as the kind does when it
//! strikes from a seed. Probabilities are parts in a million.

use core::time::Duration;

use quorate::StateMachine;
use quorate::replica::ReplicaInput;
use quorate_core::SnapshotId;
use quorate_log::fault::{Fault as DiskFault, Loss};

use super::super::network::Delays;
use super::super::node::{Node, State};
use super::super::plan::Fault;
use super::super::topology::Shape;
use super::super::trace::LinkState;
use super::super::workload::Workload;
use super::super::{Event, World, nanos};
use super::Recorded;

/// The network.
impl<M: StateMachine + Default, W: Workload<M>> World<M, W> {
    /// Nobody talks to this node and it talks to nobody, until [`World::reconnect`].
    pub fn isolate(&mut self, node: usize) {
        self.by_hand(Fault::Split, Some(node), None);
        self.network.topology.isolate(Fault::Split, node, true);
        self.note_links_of(node);
    }

    /// A node goes off the network as one of several, or comes back.
    pub fn swizzle(&mut self, node: usize, is_alone: bool) {
        self.by_hand(Fault::Swizzle, Some(node), None);
        self.network.topology.isolate(Fault::Swizzle, node, is_alone);
        self.note_links_of(node);
    }

    /// Ends [`World::isolate`]; links between two nodes stand when neither is isolated.
    pub fn reconnect(&mut self, node: usize) {
        self.network.topology.isolate(Fault::Split, node, false);
        self.note_links_of(node);
    }

    /// Whether a node is isolated.
    #[must_use]
    pub fn is_isolated(&self, node: usize) -> bool {
        self.network.topology.is_isolated(node)
    }

    /// No link between the two sides stands; a node on neither side is a bridge between them.
    pub fn partition(&mut self, left: &[usize], right: &[usize]) {
        let is_bridged = left.len() + right.len() < self.nodes.len();
        let fault = if is_bridged { Fault::Bridge } else { Fault::Split };
        self.shape(fault, Shape::Split(left.to_vec(), right.to_vec()));
    }

    /// Nothing that this node says is heard.
    pub fn mute(&mut self, node: usize) {
        self.shape(Fault::OneWay, Shape::Mute(node));
    }

    /// Nothing that is said reaches this node.
    pub fn deafen(&mut self, node: usize) {
        self.shape(Fault::OneWay, Shape::Deaf(node));
    }

    /// Each node talks to its two neighbours in this order alone, the last to the first.
    pub fn make_ring(&mut self, order: &[usize]) {
        self.shape(Fault::Ring, Shape::Row(order.to_vec(), true));
    }

    /// Each node talks to its neighbours in this order alone.
    pub fn make_chain(&mut self, order: &[usize]) {
        self.shape(Fault::Chain, Shape::Row(order.to_vec(), false));
    }

    /// Cuts one direction of a link, or lets it stand again.
    pub fn flap(&mut self, from: usize, to: usize, cut: bool) {
        self.by_hand(Fault::Flap, None, None);
        self.flap_link(from, to, cut);
    }

    /// One direction of a link takes so many times as long.
    pub fn slow_link(&mut self, from: usize, to: usize, times: u32) {
        self.by_hand(Fault::SlowLink, None, None);
        self.network.slow(from, to, times);
        self.note_link(from, to, LinkState::Slow, None);
    }

    /// One direction of a link carries so many bytes per second; zero means any.
    pub fn limit_link(&mut self, from: usize, to: usize, bytes_per_second: u64) {
        self.by_hand(Fault::Bandwidth, None, None);
        self.network.limit(from, to, bytes_per_second);
        self.note_link(from, to, LinkState::Narrow, None);
    }

    /// One direction of a link holds everything back for a while, then delivers it at once.
    pub fn clog_link(&mut self, from: usize, to: usize, span: Duration) {
        self.fill_link(from, to, span, u32::MAX);
    }

    /// The same where so many frames fit into the link, and the sender is refused any more.
    pub fn fill_link(&mut self, from: usize, to: usize, span: Duration, frames: u32) {
        let until = self.now + nanos(span);
        self.by_hand(Fault::Clog, None, None);
        self.network.clog(from, to, until, frames);
        self.note_link(from, to, LinkState::Clogged, Some(until));
    }

    /// The connections between two nodes break, and are made anew a little later.
    pub fn reset_connections(&mut self, one: usize, other: usize) {
        self.by_hand(Fault::Reset, Some(one), None);
        self.reset(one, other);
    }

    /// Every link stands and is as fast as others; nobody is isolated.
    pub fn mend_links(&mut self) {
        self.network.mend_links();
        self.note_network(None);
    }

    /// This part of all messages is lost.
    pub fn lose_messages(&mut self, rate: u32) {
        self.share(Fault::Drop, rate);
    }

    /// This part of all messages arrives two to four times.
    pub fn repeat_messages(&mut self, rate: u32) {
        self.share(Fault::Duplicate, rate);
    }

    /// This part of all messages arrives again after seconds.
    pub fn replay_messages(&mut self, rate: u32) {
        self.share(Fault::Replay, rate);
    }

    /// This part of all messages arrives damaged.
    pub fn damage_messages(&mut self, rate: u32) {
        self.share(Fault::Corrupt, rate);
    }

    /// This part of all messages arrives in two pieces, and after one in three of the first pieces
    /// the connection breaks.
    pub fn split_messages(&mut self, rate: u32) {
        self.share(Fault::Fragment, rate);
    }

    /// Messages of one link overtake each other, or keep their order.
    pub fn let_messages_overtake(&mut self, on: bool) {
        self.switch(Fault::Reorder, on);
        if on {
            // Each takes its own time and no longer.
            self.plan.switch_on(Fault::Reorder, |rate| rate.size = 0);
        }
    }

    /// Some messages take up to a thousand times as long as most, or none does.
    pub fn let_messages_linger(&mut self, on: bool) {
        self.switch(Fault::HeavyTail, on);
    }

    /// Messages take as long as this says, whatever the plan says.
    pub fn set_delays(&mut self, delays: Delays) {
        self.network.set_delays(delays);
    }

    /// Keeps a copy of every frame that is sent from here on.
    pub fn record_messages(&mut self) {
        self.script.recorded = Some(Vec::new());
    }

    /// Delivers every frame that was recorded a second time, and records no more. Says how many.
    pub fn replay_recorded(&mut self) -> usize {
        let recorded = self.script.recorded.take().unwrap_or_default();
        let count = recorded.len();
        self.by_hand(Fault::Replay, None, None);
        for Recorded { number, from, to, boot, bytes } in recorded {
            self.after(Duration::ZERO, Event::Frame { number, from, to, boot, bytes });
        }
        count
    }

    fn note_links_of(&mut self, node: usize) {
        for peer in (0..self.nodes.len()).filter(|peer| *peer != node) {
            for (from, to) in [(node, peer), (peer, node)] {
                let is_cut = self.network.topology.is_cut(from, to);
                let state = if is_cut { LinkState::Cut } else { LinkState::Stands };
                self.note_link(from, to, state, None);
            }
        }
    }

    /// The network has this shape and no other.
    fn shape(&mut self, fault: Fault, shape: Shape) {
        self.by_hand(fault, None, None);
        self.network.topology.forget_shapes();
        self.reshape(fault, shape);
    }
}

/// Processes and clocks.
impl<M: StateMachine + Default, W: Workload<M>> World<M, W> {
    /// Kills the process of a node; what it wrote stays with the system. It stays down until
    /// [`World::restart`].
    pub fn take_down(&mut self, node: usize) {
        self.by_hand(Fault::Crash, Some(node), None);
        self.script.losses.insert(node, Loss::Nothing);
        self.stay_down(node);
    }

    /// Cuts the power of a node: nothing survives that was not synced. It stays down until
    /// [`World::restart`].
    pub fn cut_power(&mut self, node: usize) {
        self.script.losses.insert(node, Loss::Everything);
        self.stay_down(node);
    }

    /// Cuts the power of a node: of what was not synced any part survives, torn and in any order,
    /// as this seed says. It stays down until [`World::restart`].
    pub fn cut_power_tearing(&mut self, node: usize, seed: u64) {
        self.script.losses.insert(node, Loss::Seeded(seed));
        self.stay_down(node);
    }

    /// Cuts the power of all nodes at once.
    pub fn cut_all_power(&mut self) {
        self.by_hand(Fault::CrashAll, None, None);
        (0..self.nodes.len()).for_each(|node| self.cut_power(node));
    }

    /// Starts a node that is down.
    pub fn restart(&mut self, node: usize) {
        let life = self.nodes[node].life;
        self.after(Duration::ZERO, Event::Start { node, life });
    }

    /// A node dies before one of its effects: the next, or after letting `later` of them happen.
    /// It starts again by itself.
    pub fn crash_at_effect(&mut self, node: usize, later: u32) {
        self.script.effects_left = Some((node, later));
    }

    /// A node dies in its next recovery, before one of its steps: the first, or after letting
    /// `later` of them happen. It starts again by itself.
    pub fn crash_in_recovery(&mut self, node: usize, later: u32) {
        self.script.steps_left = Some((node, later));
    }

    /// Stops a node for a while; then it goes on with what it knew.
    pub fn pause(&mut self, node: usize, span: Duration) {
        self.by_hand(Fault::Pause, Some(node), Some(span));
        self.pause_until(node, self.now + nanos(span));
    }

    /// A node does everything so many times as slowly.
    pub fn slow_node(&mut self, node: usize, times: u32) {
        self.by_hand(Fault::SlowNode, Some(node), None);
        self.nodes[node].slower = times;
    }

    /// The clock of a node gains so many parts in a million from here on, or loses them.
    pub fn set_clock_gain(&mut self, node: usize, gain: i64) {
        self.by_hand(Fault::Drift, Some(node), None);
        self.nodes[node].clock.set_gain(self.now, gain);
        // What the node waits for comes at another time; an early timer does no harm.
        if let Some(live) = self.nodes[node].live() {
            live.timer_at = None;
        }
        self.arm_timer(node);
    }

    /// The clock of a node shows a later time at once; what it waits for may be due.
    pub fn jump_clock(&mut self, node: usize, jump: Duration) {
        self.by_hand(Fault::ClockJump, Some(node), None);
        self.set_clock_ahead(node, jump);
    }

    /// The state machine of a node panics at its next command. The node stops there; it starts
    /// again by itself.
    pub fn panic_at_next_command(&mut self, node: usize) {
        self.by_hand(Fault::ApplyPanic, Some(node), None);
        self.plant_panic(node);
    }

    /// The state machine of every node panics at the command with this index of the application, in
    /// each life, until nothing is poison any more. Nodes that stop there start again by themselves.
    pub fn poison(&mut self, index: Option<u64>) {
        if index.is_some() {
            self.by_hand(Fault::ApplyPanic, None, None);
        }
        self.script.poison = index;
        for live in self.nodes.iter_mut().filter_map(Node::live) {
            live.applier.machine().panic_at(index);
        }
    }

    /// Some timers fire up to a second late, or none does.
    pub fn let_timers_be_late(&mut self, on: bool) {
        self.switch(Fault::LateTimer, on);
        if on {
            let second = Duration::from_secs(1);
            self.plan
                .switch_on(Fault::LateTimer, |rate| (rate.share, rate.lasts) = (50_000, second));
        }
    }

    fn stay_down(&mut self, node: usize) {
        self.crash(node);
        self.script.losses.remove(&node);
        // The start that a crash brings along belongs to a life that never begins.
        self.nodes[node].life += 1;
        debug_assert!(matches!(self.nodes[node].state, State::Down), "it is dead");
    }
}

/// Snapshots.
impl<M: StateMachine + Default, W: Workload<M>> World<M, W> {
    /// A node is to take a snapshot of what it has executed.
    pub fn order_snapshot(&mut self, node: usize) {
        self.give(node, ReplicaInput::TakeSnapshot);
    }

    /// Every node takes a snapshot after so many entries from its next start on.
    pub const fn snapshot_every(&mut self, entries: u64) {
        self.config.snapshot_entries = entries;
    }

    /// The newest snapshot of a node that runs.
    #[must_use]
    pub fn snapshot_of(&self, node: usize) -> Option<SnapshotId> {
        self.nodes[node].as_live()?.snapshots.newest().map(|stored| stored.id)
    }

    /// Bytes of all files on the disk of a node.
    #[must_use]
    pub fn disk_bytes(&self, node: usize) -> u64 {
        let disk = &self.nodes[node].disk;
        disk.names().iter().filter_map(|name| disk.bytes(name)).map(|all| all.len() as u64).sum()
    }
}

/// Disks.
impl<M: StateMachine + Default, W: Workload<M>> World<M, W> {
    /// The next operation of a disk fails and changes nothing.
    pub fn fail_next_write(&mut self, node: usize) {
        self.by_hand(Fault::WriteError, Some(node), None);
        self.fail_soon(node, Fault::WriteError, DiskFault::Fails);
    }

    /// The next write of a disk takes half of its bytes and fails.
    pub fn shorten_next_write(&mut self, node: usize) {
        self.by_hand(Fault::ShortWrite, Some(node), None);
        self.fail_soon(node, Fault::ShortWrite, DiskFault::ShortWrite);
    }

    /// The next sync of a disk fails and loses what was not synced; one after it would succeed.
    pub fn fail_next_sync(&mut self, node: usize) {
        self.by_hand(Fault::SyncError, Some(node), None);
        self.fail_soon(node, Fault::SyncError, DiskFault::SyncLosesData);
    }

    /// The next sync of a disk fails and leaves what was not synced to the cache alone, as if it were
    /// clean: it can be read until the power fails, and no later sync writes it.
    pub fn forget_next_sync(&mut self, node: usize) {
        self.by_hand(Fault::SyncError, Some(node), None);
        self.fail_soon(node, Fault::SyncError, DiskFault::SyncForgets);
    }

    /// A disk has no room left beyond what its files take.
    pub fn fill_disk(&mut self, node: usize) {
        self.by_hand(Fault::DiskFull, Some(node), None);
        self.fill_up(node, 0);
    }

    /// A disk has room again.
    pub fn make_room(&mut self, node: usize) {
        self.nodes[node].disk.limit_room(None);
    }

    /// A disk takes so many times as long for everything.
    pub fn slow_disk(&mut self, node: usize, times: u32) {
        self.by_hand(Fault::SlowDisk, Some(node), None);
        self.slow_down_disk(node, times);
    }

    /// A disk does nothing for a while.
    pub fn stick_disk(&mut self, node: usize, span: Duration) {
        self.by_hand(Fault::StuckDisk, Some(node), Some(span));
        self.stick(node, self.now + nanos(span));
    }
}

/// Clients, and what all of these share.
impl<M: StateMachine + Default, W: Workload<M>> World<M, W> {
    /// Clients of the world's own give up before they hear how a call ended, or wait long.
    pub fn make_clients_impatient(&mut self, on: bool) {
        self.switch(Fault::ImpatientClients, on);
    }

    /// Every client of the world's own gives up and asks for much at once.
    pub fn start_retry_storm(&mut self) {
        self.by_hand(Fault::RetryStorm, None, None);
        self.storm(3);
    }

    /// A kind that befalls one thing in so many befalls this part of them.
    fn share(&mut self, fault: Fault, share: u32) {
        self.switch(fault, share > 0);
        if share > 0 {
            self.plan.switch_on(fault, |rate| rate.share = share);
        }
    }

    fn switch(&mut self, fault: Fault, on: bool) {
        if on {
            self.note_strike(fault, None, None);
            self.plan.switch_on(fault, |_| {});
        } else {
            self.plan.switch_off(fault);
        }
    }

    /// Notes a strike; those that have their effect later count when they have it.
    fn by_hand(&mut self, fault: Fault, node: Option<usize>, span: Option<Duration>) {
        let counts_later = matches!(
            fault,
            Fault::Flap
                | Fault::SlowLink
                | Fault::Bandwidth
                | Fault::Clog
                | Fault::ApplyPanic
                | Fault::WriteError
                | Fault::ShortWrite
                | Fault::SyncError
                | Fault::DiskFull
                | Fault::SlowDisk
                | Fault::StuckDisk
        );
        if !counts_later {
            self.count(fault.name());
        }
        let until = span.map(|span| self.now + nanos(span));
        self.note_strike(fault, node, until);
    }
}
