//! Three replicas in one thread, in memory, without sockets and disks. Messages are moved.
//!
//! Nothing is written, but each entry is encoded once, with its checksum, as disk and wire want it,
//! and the state machines read it from there. A disk that is done at once answers within the wake-up
//! that wrote to it, and so does the state machine.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use quorate::replica::{
    CallId, Effects, Frame, Origin, Replica, ReplicaConfig, ReplicaEffect, ReplicaInput,
    ReplicaStart,
};
use quorate::roster::{Member, Roster};
use quorate::sessions::Stamp;
use quorate_core::{
    BootCounter, EntryId, Few, HardState, Index, Instant, NodeId, PersistToken, RoleName,
};
use quorate_log::{Entries, EntryRef, Write};

/// Bytes of every proposal.
pub const PAYLOAD_BYTES: usize = 256;

/// Three nodes, and what is on its way between them.
pub struct Cluster {
    replicas: Vec<Replica>,
    now: Instant,
    world: World,
    payload: Arc<Vec<u8>>,
    calls: u64,
}

/// What surrounds the nodes: it does at once what they ask for.
struct World {
    /// The node whose turn it is.
    node: usize,
    /// Frames on their way, by receiver.
    inboxes: Vec<VecDeque<(NodeId, Frame)>>,
    /// Nodes with something in their inbox.
    awake: VecDeque<usize>,
    /// What the disk of the present node has to report.
    written: Option<PersistToken>,
    /// What its state machine has to report.
    applied: Option<Index>,
    /// Commands executed, by node.
    executed: Vec<u64>,
    /// Calls whose client was answered.
    answered: u64,
}

impl Effects for World {
    #[inline]
    fn push(&mut self, effect: ReplicaEffect) {
        match effect {
            ReplicaEffect::Persist(write) => self.persist(write),
            ReplicaEffect::Send { to, frame } => self.send(to, frame),
            ReplicaEffect::Apply { entries, answers } => self.apply(entries, answers),
            ReplicaEffect::ReadLog { .. } => panic!("what is recent is in memory"),
            ReplicaEffect::Halt(reason) => panic!("{reason:?}"),
            _ => {}
        }
    }

    #[inline]
    fn persist(&mut self, write: Write) {
        self.written = Some(write.token);
    }

    #[inline]
    fn send(&mut self, to: NodeId, frame: Frame) {
        let to = to.get() as usize - 1;
        if self.inboxes[to].is_empty() {
            self.awake.push_back(to);
        }
        self.inboxes[to].push_back((id(self.node), frame));
    }

    /// A state machine that looks at every command and answers who waits.
    #[inline]
    fn apply(&mut self, entries: Entries, answers: Few<(Index, Origin)>) {
        let of_this_size = |entry: &EntryRef<'_>| entry.payload.len() == PAYLOAD_BYTES;
        self.executed[self.node] += entries.iter().filter(of_this_size).count() as u64;
        self.answered += answers.len() as u64;
        self.applied = Some(entries.last());
    }
}

fn id(number: usize) -> NodeId {
    NodeId::new(number as u64 + 1).unwrap()
}

impl Cluster {
    /// A cluster without a leader.
    pub fn new() -> Self {
        let member = |number: usize| Member {
            id: id(number),
            name: format!("n{number}"),
            peer_address: format!("h{number}:1"),
            client_urls: Vec::new(),
        };
        let roster = Arc::new(Roster::of_voters((0..3).map(member)).unwrap());
        let replica = |number: usize| {
            let start = ReplicaStart {
                id: id(number),
                boot: BootCounter(1),
                config: ReplicaConfig::default(),
                seed: number as u64,
                now: Instant::ZERO,
                hard_state: HardState::default(),
                base: EntryId::ZERO,
                roster: Arc::clone(&roster),
                application_index: 0,
                snapshot: None,
                log_time_ms: 0,
                runs: Vec::new(),
                memberships: Vec::new(),
                commit: Index::ZERO,
            };
            Replica::new(start).unwrap()
        };
        let world = World {
            node: 0,
            inboxes: vec![VecDeque::new(); 3],
            awake: VecDeque::new(),
            written: None,
            applied: None,
            executed: vec![0; 3],
            answered: 0,
        };
        let mut cluster = Self {
            replicas: (0..3).map(replica).collect(),
            now: Instant::ZERO,
            world,
            payload: Arc::new(vec![0x5A; PAYLOAD_BYTES]),
            calls: 0,
        };
        for node in 0..3 {
            for peer in (0..3).filter(|peer| *peer != node) {
                let input = ReplicaInput::PeerConnected { peer: id(peer), boot: BootCounter(1) };
                cluster.give(node, input);
            }
        }
        cluster
    }

    /// Lets time pass until a node leads.
    pub fn elect(&mut self) -> usize {
        loop {
            let leads = |replica: &Replica| replica.role() == RoleName::Leader;
            if let Some(leader) = self.replicas.iter().position(leads) {
                return leader;
            }
            self.now = self.now.after(Duration::from_millis(10));
            (0..3).for_each(|node| self.give(node, ReplicaInput::Timer));
        }
    }

    /// Gives a node one of the rarer inputs, in a wake-up of its own.
    fn give(&mut self, node: usize, input: ReplicaInput) {
        let mut effects = Vec::new();
        self.world.node = node;
        self.replicas[node].handle(self.now, input, &mut effects);
        effects.into_iter().for_each(|effect| self.world.push(effect));
        self.finish(node);
        self.settle();
    }

    /// Wakes nodes until nobody has anything to do.
    fn settle(&mut self) {
        while let Some(node) = self.world.awake.pop_front() {
            self.world.node = node;
            while let Some((from, frame)) = self.world.inboxes[node].pop_front() {
                self.replicas[node].receive(self.now, from, frame, &mut self.world);
            }
            self.finish(node);
        }
    }

    /// The end of a wake-up, again after each report of the node's own disk and state machine.
    fn finish(&mut self, node: usize) {
        let replica = &mut self.replicas[node];
        loop {
            replica.flush(self.now, &mut self.world);
            let (written, applied) = (self.world.written.take(), self.world.applied.take());
            if let Some(token) = written {
                replica.written(self.now, token, &mut self.world);
            }
            if let Some(index) = applied {
                replica.executed(self.now, index, &mut self.world);
            }
            if written.is_none() && applied.is_none() {
                return;
            }
        }
    }

    /// Proposes `batch` commands, each with a call of its own, and waits until all nodes executed them.
    pub fn round(&mut self, leader: usize, batch: u64) {
        self.world.node = leader;
        for _ in 0..batch {
            self.calls += 1;
            let call = CallId(self.calls);
            let command = Arc::clone(&self.payload).into();
            let replica = &mut self.replicas[leader];
            replica.call(self.now, call, command, Stamp::None, &mut self.world);
        }
        self.finish(leader);
        self.settle();
    }

    /// Lets a millisecond pass, for heartbeats.
    pub fn tick(&mut self) {
        self.now = self.now.after(Duration::from_millis(1));
        (0..3).for_each(|node| self.give(node, ReplicaInput::Timer));
    }

    /// Commands that were proposed.
    pub fn proposed(&self) -> u64 {
        self.calls
    }

    /// Commands that every node executed.
    pub fn executed(&self) -> u64 {
        self.world.executed.iter().copied().min().unwrap_or(0)
    }

    /// Every node executed everything, and everybody was answered.
    pub fn check(&self) {
        assert_eq!(self.executed(), self.calls);
        assert_eq!(self.world.answered, self.calls);
    }
}
