//! A write and a read of the store on three nodes, without threads, sockets and devices: what an
//! operation costs in instructions, which do not depend on what else the machine does.
//!
//! `cargo xtask instructions` counts it with valgrind and compares with the recorded figures. By
//! hand: `cargo bench -p quorate-kv --bench hot_path -- OPERATION TOGETHER ROUNDS`, with `put` or
//! `get`; it prints no time.
//!
//! A put is encoded, proposed, written to the leader's log, packed into frames, unpacked by both
//! followers, written to their logs, acknowledged, and executed by all three stores. A get is
//! linearizable: a round of heartbeats proves the leader, for all gets of the round together. Logs
//! are in memory.

#![allow(
    missing_docs,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a benchmark"
)]

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use quorate::Applier;
use quorate::codec::Codec;
use quorate::replica::{
    CallId, Frame, Origin, Replica, ReplicaConfig, ReplicaEffect, ReplicaInput, ReplicaStart,
};
use quorate::roster::{Member, Roster};
use quorate::sessions::Stamp;
use quorate::transport::codec::{self, Ends, FrameLimits};
use quorate::transport::frame::{Parsed, parse};
use quorate_core::{
    BootCounter, ClusterId, EntryId, HardState, Index, Instant, NodeId, ReadId, RoleName,
};
use quorate_kv::{Answer, Command, KvMachine, Put, Query, Range};
use quorate_log::{Log, LogConfig, MemoryFs, OpenOptions, Progress, open_blocking};

const NODES: usize = 3;
/// Keys that are written and read.
const KEYS: u64 = 1000;
const VALUE: [u8; 256] = [0x5A; 256];
const LIMITS: FrameLimits = FrameLimits::for_entries(4 << 20);

struct Host {
    replica: Replica,
    log: Log<MemoryFs>,
    store: Applier<KvMachine>,
    inbox: Vec<ReplicaInput>,
}

struct Cluster {
    hosts: Vec<Host>,
    now: Instant,
    awake: VecDeque<usize>,
    effects: Vec<ReplicaEffect>,
    operations: u64,
    /// Gets that wait for their read index, and what they ask.
    asked: Vec<Query>,
    /// Replies and answers that reached whoever waited.
    ended: u64,
}

fn id(number: usize) -> NodeId {
    NodeId::new(number as u64 + 1).unwrap()
}

fn log(number: usize) -> Log<MemoryFs> {
    let options = OpenOptions {
        config: LogConfig::default(),
        format_as: Some(id(number)),
        cluster: None,
        seed: 1,
        proven: Index::ZERO,
        external_snapshots: false,
    };
    let mut log = open_blocking(MemoryFs::new("memory"), options).unwrap().log;
    log.found(ClusterId(1), Vec::new()).unwrap();
    while log.step().unwrap() != Progress::Idle {}
    log
}

fn host(number: usize, roster: &Arc<Roster>) -> Host {
    let start = ReplicaStart {
        id: id(number),
        boot: BootCounter(1),
        config: ReplicaConfig::default(),
        seed: number as u64,
        now: Instant::ZERO,
        hard_state: HardState::default(),
        base: EntryId::ZERO,
        roster: Arc::clone(roster),
        application_index: 0,
        snapshot: None,
        log_time_ms: 0,
        runs: Vec::new(),
        memberships: Vec::new(),
        commit: Index::ZERO,
    };
    let store = Applier::new(KvMachine::default());
    Host { replica: Replica::new(start).unwrap(), log: log(number), store, inbox: Vec::new() }
}

impl Cluster {
    fn new() -> Self {
        let member = |number: usize| Member {
            id: id(number),
            name: format!("n{number}"),
            peer_address: format!("h{number}:1"),
            client_urls: Vec::new(),
        };
        let roster = Arc::new(Roster::of_voters((0..NODES).map(member)).unwrap());
        let mut cluster = Self {
            hosts: (0..NODES).map(|number| host(number, &roster)).collect(),
            now: Instant::ZERO,
            awake: VecDeque::new(),
            effects: Vec::new(),
            operations: 0,
            asked: Vec::new(),
            ended: 0,
        };
        for node in 0..NODES {
            for peer in (0..NODES).filter(|peer| *peer != node) {
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
            (0..NODES).for_each(|node| self.give(node, ReplicaInput::Timer));
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
            self.write(node);
        }
    }

    /// Makes durable what waits, all of it at once.
    fn write(&mut self, node: usize) {
        loop {
            match self.hosts[node].log.step().unwrap() {
                Progress::Idle => return,
                Progress::Persisted(token) => self.give(node, ReplicaInput::Persisted(token)),
                _ => {}
            }
        }
    }

    fn perform(&mut self, node: usize, effect: ReplicaEffect) {
        match effect {
            ReplicaEffect::Persist(write) => self.hosts[node].log.enqueue(write),
            ReplicaEffect::Send { to, frame } => {
                let to = to.get() as usize - 1;
                let frame = carry(frame, node, to);
                self.give(to, ReplicaInput::Frame { from: id(node), frame });
            }
            ReplicaEffect::Apply { entries, answers } => {
                let ended = &mut self.ended;
                let count = |origin, reply| {
                    assert!(matches!(origin, Origin::Local(_)), "calls are made at the leader");
                    drop(reply);
                    *ended += 1;
                };
                self.hosts[node].store.apply(&entries, &answers, count).unwrap();
                self.give(node, ReplicaInput::Applied(entries.last()));
            }
            ReplicaEffect::ReadReady { index, .. } => {
                assert!(self.hosts[node].store.applied() >= index, "nothing is under way");
                for query in self.asked.drain(..) {
                    let answer = self.hosts[node].store.query(query);
                    assert!(matches!(answer, Answer::Range(Ok(reply)) if reply.kvs.len() == 1));
                    self.ended += 1;
                }
            }
            ReplicaEffect::Leadership { .. } | ReplicaEffect::Roster(_) => {}
            _ => panic!("nothing fails here, and what is recent is in memory"),
        }
    }

    fn key(&self) -> Vec<u8> {
        [b"a key of 12/".as_slice(), &(self.operations % KEYS).to_be_bytes()].concat()
    }

    fn put(&mut self, leader: usize, together: u64) {
        for _ in 0..together {
            self.operations += 1;
            let mut command = Vec::new();
            Command::Put(Put::new(&self.key(), &VALUE)).encode(&mut command).unwrap();
            let call = CallId(self.operations);
            self.give(
                leader,
                ReplicaInput::Call { call, command: command.into(), stamp: Stamp::None },
            );
        }
        self.settle();
    }

    fn get(&mut self, leader: usize, together: u64) {
        for _ in 0..together {
            self.operations += 1;
            self.asked.push(Query::Range(Range::key(&self.key())));
        }
        self.give(leader, ReplicaInput::Read(ReadId(self.operations)));
        self.settle();
    }
}

/// Packs and unpacks a frame, as a connection does.
fn carry(frame: Frame, from: usize, to: usize) -> Frame {
    let bytes = codec::encode(frame, LIMITS).unwrap().encoded.to_vec();
    let Ok(Parsed::Frame(raw)) = parse(&bytes, LIMITS.frame_bytes()) else {
        panic!("a whole frame was packed")
    };
    let ends = Ends { me: id(to), peer: id(from), boot: BootCounter(1) };
    codec::decode(raw, ends, LIMITS).unwrap()
}

fn main() {
    let words: Vec<String> =
        std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let [operation, numbers @ ..] = words.as_slice() else {
        println!("say what to do: put or get, how many together, how many rounds");
        return;
    };
    let numbers: Vec<u64> = numbers.iter().map(|word| word.parse().unwrap()).collect();
    let &[together, rounds] = numbers.as_slice() else { panic!("two numbers are wanted") };
    let mut cluster = Cluster::new();
    let leader = cluster.elect();
    // Every key is there before anything is measured, and every vector has its size.
    for _ in 0..2 * KEYS / 40 {
        cluster.put(leader, 40);
    }
    for _ in 0..rounds {
        match operation.as_str() {
            "put" => cluster.put(leader, together),
            "get" => cluster.get(leader, together),
            other => panic!("{other} is neither put nor get"),
        }
    }
    assert_eq!(cluster.ended, cluster.operations, "every operation ended");
    println!("{} operations", together * rounds);
}
