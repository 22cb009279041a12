//! What agreement costs: three replicas in one thread, in memory, without sockets and disks.
//!
//! `cargo bench -p quorate --bench replica`: each proposal has 256 bytes and is a call of its own; a
//! round proposes 1, 64 or 1024 of them and ends when all three nodes have executed them. Figures
//! are of the machine at hand: compare runs of the same minutes only.

#![allow(
    missing_docs,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    reason = "a benchmark"
)]

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use quorate::replica::{CallId, Replica, ReplicaConfig, ReplicaEffect, ReplicaInput, ReplicaStart};
use quorate::roster::{Member, Roster};
use quorate_core::{BootCounter, EntryId, HardState, Index, Instant, NodeId, RoleName};

/// Windows per batch size; the median counts.
const WINDOWS: usize = 7;
/// Length of a window.
const WINDOW: Duration = Duration::from_millis(700);
/// Proposals of a run whose instructions are counted.
const FIXED: u64 = 65_536;
const PAYLOAD: [u8; 256] = [0x5A; 256];

struct Host {
    replica: Replica,
    inbox: Vec<ReplicaInput>,
    applied: Index,
    /// Commands executed.
    executed: u64,
}

struct Cluster {
    hosts: Vec<Host>,
    now: Instant,
    effects: Vec<ReplicaEffect>,
    /// Nodes with something in their inbox.
    awake: VecDeque<usize>,
    calls: u64,
}

fn id(number: usize) -> NodeId {
    NodeId::new(number as u64 + 1).unwrap()
}

impl Cluster {
    fn new() -> Self {
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
                log_time_ms: 0,
                runs: Vec::new(),
                memberships: Vec::new(),
                commit: Index::ZERO,
            };
            let replica = Replica::new(start).unwrap();
            Host { replica, inbox: Vec::new(), applied: Index::ZERO, executed: 0 }
        };
        let mut cluster = Self {
            hosts: (0..3).map(host).collect(),
            now: Instant::ZERO,
            effects: Vec::new(),
            awake: VecDeque::new(),
            calls: 0,
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
    fn elect(&mut self) -> usize {
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
        let mut inbox = Vec::new();
        while let Some(node) = self.awake.pop_front() {
            std::mem::swap(&mut inbox, &mut self.hosts[node].inbox);
            let replica = &mut self.hosts[node].replica;
            for input in inbox.drain(..) {
                replica.handle(self.now, input, &mut self.effects);
            }
            replica.handle(self.now, ReplicaInput::Flush, &mut self.effects);
            let mut effects = std::mem::take(&mut self.effects);
            for effect in effects.drain(..) {
                self.perform(node, effect);
            }
            self.effects = effects;
        }
    }

    fn perform(&mut self, node: usize, effect: ReplicaEffect) {
        match effect {
            ReplicaEffect::Persist(write) => {
                self.give(node, ReplicaInput::Persisted(write.token));
            }
            ReplicaEffect::Send { to, frame } => {
                let to = usize::try_from(to.get() - 1).unwrap();
                self.give(to, ReplicaInput::Frame { from: id(node), frame });
            }
            ReplicaEffect::Apply { entries, answers } => {
                // A state machine that reads every command and answers who waits.
                let host = &mut self.hosts[node];
                for entry in entries.iter() {
                    host.executed += u64::from(entry.payload.len() == PAYLOAD.len());
                }
                host.applied = entries.last();
                drop(answers);
                self.give(node, ReplicaInput::Applied(entries.last()));
            }
            ReplicaEffect::ReadLog { .. } => panic!("what is recent is in memory"),
            ReplicaEffect::Halt(reason) => panic!("{reason:?}"),
            _ => {}
        }
    }

    fn round(&mut self, leader: usize, batch: u64) {
        for _ in 0..batch {
            self.calls += 1;
            let call = CallId(self.calls);
            self.give(leader, ReplicaInput::Call { call, command: PAYLOAD.to_vec() });
        }
        self.settle();
    }
}

/// With `-- --fixed BATCH` it proposes a fixed number in rounds of that size and prints no time, to
/// count instructions from outside.
fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(at) = arguments.iter().position(|argument| argument == "--fixed") {
        let batch = arguments[at + 1].parse().expect("a number of proposals per round");
        let mut cluster = Cluster::new();
        let leader = cluster.elect();
        for _ in 0..FIXED / batch {
            cluster.round(leader, batch);
        }
        println!("{} proposals in rounds of {batch}", cluster.calls);
        return;
    }
    for batch in [1, 64, 1024] {
        let mut cluster = Cluster::new();
        let leader = cluster.elect();
        let mut rates: Vec<f64> =
            (0..WINDOWS).map(|_| window(&mut cluster, leader, batch)).collect();
        rates.sort_by(f64::total_cmp);
        assert!(
            cluster.hosts.iter().all(|host| host.executed == cluster.calls),
            "every node executed everything, up to the notice of the last commit"
        );
        println!(
            "batch {batch:5}: {:8.3} million commits per second (median of {WINDOWS}; {:.3} to {:.3})",
            rates[WINDOWS / 2] / 1e6,
            rates[0] / 1e6,
            rates[WINDOWS - 1] / 1e6
        );
    }
}

fn window(cluster: &mut Cluster, leader: usize, batch: u64) -> f64 {
    let (began, before) = (std::time::Instant::now(), cluster.calls);
    while began.elapsed() < WINDOW {
        for _ in 0..16 {
            cluster.round(leader, batch);
        }
        // Time passes for the leader's heartbeats, too.
        cluster.now = cluster.now.after(Duration::from_millis(1));
        (0..3).for_each(|node| cluster.give(node, ReplicaInput::Timer));
        cluster.settle();
    }
    (cluster.calls - before) as f64 / began.elapsed().as_secs_f64()
}
