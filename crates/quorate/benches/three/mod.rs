//! Three replicas in one thread, in memory, without sockets and disks. Messages are moved.
//!
//! Nothing is written, but each entry is encoded once, with its checksum, as disk and wire want it,
//! and the state machines read it from there. A disk that is done at once answers within the wake-up
//! that wrote to it, and so does the state machine.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use quorate::replica::{CallId, Replica, ReplicaConfig, ReplicaEffect, ReplicaInput, ReplicaStart};
use quorate::roster::{Member, Roster};
use quorate::sessions::Stamp;
use quorate_core::{BootCounter, EntryId, HardState, Index, Instant, NodeId, RoleName};
use quorate_log::EntryRef;

/// Bytes of every proposal.
pub const PAYLOAD_BYTES: usize = 256;

struct Host {
    replica: Replica,
    inbox: Vec<ReplicaInput>,
    /// Commands executed.
    executed: u64,
}

/// Three nodes, and what is on its way between them.
pub struct Cluster {
    hosts: Vec<Host>,
    now: Instant,
    effects: Vec<ReplicaEffect>,
    /// Effects of what is reported while `effects` are performed.
    spare: Vec<ReplicaEffect>,
    /// Kept for its memory.
    inbox: Vec<ReplicaInput>,
    payload: Arc<Vec<u8>>,
    /// Nodes with something in their inbox.
    awake: VecDeque<usize>,
    calls: u64,
    /// Calls whose client was answered.
    answered: u64,
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
        let host = |number: usize| {
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
            let replica = Replica::new(start).unwrap();
            Host { replica, inbox: Vec::new(), executed: 0 }
        };
        let mut cluster = Self {
            hosts: (0..3).map(host).collect(),
            now: Instant::ZERO,
            effects: Vec::new(),
            spare: Vec::new(),
            inbox: Vec::new(),
            payload: Arc::new(vec![0x5A; PAYLOAD_BYTES]),
            awake: VecDeque::new(),
            calls: 0,
            answered: 0,
        };
        for node in 0..3 {
            for peer in (0..3).filter(|peer| *peer != node) {
                let input = ReplicaInput::PeerConnected { peer: id(peer), boot: BootCounter(1) };
                cluster.give(node, input);
            }
        }
        cluster.settle();
        cluster
    }

    /// Lets time pass until a node leads.
    pub fn elect(&mut self) -> usize {
        loop {
            let leads = |host: &Host| host.replica.role() == RoleName::Leader;
            if let Some(leader) = self.hosts.iter().position(leads) {
                return leader;
            }
            self.now = self.now.after(Duration::from_millis(10));
            (0..3).for_each(|node| self.give(node, ReplicaInput::Timer));
            self.settle();
        }
    }

    fn give(&mut self, node: usize, input: ReplicaInput) {
        if self.hosts[node].inbox.is_empty() {
            self.awake.push_back(node);
        }
        self.hosts[node].inbox.push(input);
    }

    /// Wakes nodes until nobody has anything to do.
    fn settle(&mut self) {
        while let Some(node) = self.awake.pop_front() {
            std::mem::swap(&mut self.inbox, &mut self.hosts[node].inbox);
            let mut inbox = std::mem::take(&mut self.inbox);
            for input in inbox.drain(..) {
                self.hosts[node].replica.handle(self.now, input, &mut self.effects);
            }
            self.inbox = inbox;
            self.finish(node);
        }
    }

    /// The end of a wake-up, again after each report of the node's own disk and state machine.
    fn finish(&mut self, node: usize) {
        loop {
            let replica = &mut self.hosts[node].replica;
            replica.handle(self.now, ReplicaInput::Flush, &mut self.effects);
            if self.effects.is_empty() {
                return;
            }
            let mut effects = std::mem::take(&mut self.effects);
            let mut has_reported = false;
            for effect in effects.drain(..) {
                has_reported |= self.perform(node, effect);
            }
            // What the reports led to waits in the other vector.
            std::mem::swap(&mut effects, &mut self.spare);
            self.effects = effects;
            if !has_reported {
                return;
            }
        }
    }

    /// Does what a node asks for; whether that told the node something at once.
    fn perform(&mut self, node: usize, effect: ReplicaEffect) -> bool {
        let report = match effect {
            ReplicaEffect::Persist(write) => ReplicaInput::Persisted(write.token),
            ReplicaEffect::Send { to, frame } => {
                let to = usize::try_from(to.get() - 1).unwrap();
                self.give(to, ReplicaInput::Frame { from: id(node), frame });
                return false;
            }
            ReplicaEffect::Apply { entries, answers } => {
                // A state machine that looks at every command and answers who waits.
                let of_this_size = |entry: &EntryRef<'_>| entry.payload.len() == PAYLOAD_BYTES;
                let host = &mut self.hosts[node];
                host.executed += entries.iter().filter(of_this_size).count() as u64;
                self.answered += answers.len() as u64;
                ReplicaInput::Applied(entries.last())
            }
            ReplicaEffect::ReadLog { .. } => panic!("what is recent is in memory"),
            ReplicaEffect::Halt(reason) => panic!("{reason:?}"),
            _ => return false,
        };
        self.hosts[node].replica.handle(self.now, report, &mut self.spare);
        true
    }

    /// Proposes `batch` commands, each with a call of its own, and waits until all nodes executed them.
    pub fn round(&mut self, leader: usize, batch: u64) {
        for _ in 0..batch {
            self.calls += 1;
            let call = CallId(self.calls);
            let command = Arc::clone(&self.payload).into();
            let input = ReplicaInput::Call { call, command, stamp: Stamp::None };
            self.hosts[leader].replica.handle(self.now, input, &mut self.effects);
        }
        self.finish(leader);
        self.settle();
    }

    /// Lets a millisecond pass, for heartbeats.
    pub fn tick(&mut self) {
        self.now = self.now.after(Duration::from_millis(1));
        (0..3).for_each(|node| self.give(node, ReplicaInput::Timer));
        self.settle();
    }

    /// Commands that were proposed.
    pub fn proposed(&self) -> u64 {
        self.calls
    }

    /// Commands that every node executed.
    pub fn executed(&self) -> u64 {
        self.hosts.iter().map(|host| host.executed).min().unwrap_or(0)
    }

    /// Every node executed everything, and everybody was answered.
    pub fn check(&self) {
        assert_eq!(self.executed(), self.calls);
        assert_eq!(self.answered, self.calls);
    }
}
