//! raft-rs, with appends merged into one message per follower.

use raft::eraftpb::{Entry, Message};
use raft::storage::MemStorage;
use raft::{Config, RawNode, StateRole};

use crate::Core;
use crate::three::PAYLOAD_BYTES;

/// Entries after which the log is compacted.
const KEPT: u64 = 16_384;

struct Host {
    node: RawNode<MemStorage>,
    inbox: Vec<Message>,
    executed: u64,
    applied: u64,
    compacted: u64,
}

/// Three nodes, the first of which leads.
pub struct Cluster {
    hosts: Vec<Host>,
    outgoing: Vec<Message>,
}

impl Cluster {
    pub fn new() -> Self {
        let logger = slog::Logger::root(slog::Discard, slog::o!());
        let host = |id: u64| {
            let storage = MemStorage::new_with_conf_state((vec![1, 2, 3], vec![]));
            // A tick is a millisecond, as in the other libraries here.
            let config = Config {
                id,
                election_tick: 1000,
                heartbeat_tick: 100,
                max_size_per_msg: 1 << 20,
                max_inflight_msgs: 256,
                batch_append: true,
                ..Config::default()
            };
            let node = RawNode::new(&config, storage, &logger).expect("the configuration is sound");
            Host { node, inbox: Vec::new(), executed: 0, applied: 0, compacted: 0 }
        };
        let mut cluster = Self { hosts: (1..=3).map(host).collect(), outgoing: Vec::new() };
        cluster.hosts[0].node.campaign().expect("a voter may campaign");
        cluster.settle();
        assert_eq!(cluster.hosts[0].node.raft.state, StateRole::Leader);
        cluster
    }

    /// Goes on until nobody has anything to do.
    fn settle(&mut self) {
        loop {
            let mut worked = false;
            for host in &mut self.hosts {
                for message in std::mem::take(&mut host.inbox) {
                    host.node.step(message).expect("messages of this cluster are taken");
                }
                while host.node.has_ready() {
                    worked = true;
                    host.ready(&mut self.outgoing);
                }
            }
            for message in self.outgoing.drain(..) {
                worked = true;
                self.hosts[message.to as usize - 1].inbox.push(message);
            }
            if !worked {
                return;
            }
        }
    }
}

impl Host {
    fn ready(&mut self, outgoing: &mut Vec<Message>) {
        let mut ready = self.node.ready();
        outgoing.extend(ready.take_messages());
        self.apply(ready.take_committed_entries());
        let store = self.node.store().clone();
        if !ready.entries().is_empty() {
            store.wl().append(ready.entries()).expect("entries follow");
        }
        if let Some(hard_state) = ready.hs() {
            store.wl().set_hardstate(hard_state.clone());
        }
        outgoing.extend(ready.take_persisted_messages());
        let mut light = self.node.advance(ready);
        if let Some(commit) = light.commit_index() {
            store.wl().mut_hard_state().set_commit(commit);
        }
        outgoing.extend(light.take_messages());
        self.apply(light.take_committed_entries());
        self.node.advance_apply();
        if self.applied > self.compacted + KEPT {
            self.compacted = self.applied - KEPT / 2;
            store.wl().compact(self.compacted).expect("what is compacted was applied");
        }
    }

    fn apply(&mut self, entries: Vec<Entry>) {
        for entry in entries {
            self.executed += u64::from(entry.data.len() == PAYLOAD_BYTES);
            self.applied = entry.index;
        }
    }
}

impl Core for Cluster {
    fn round(&mut self, batch: u64) {
        for _ in 0..batch {
            // It takes proposals as vectors of their own.
            let command = vec![0x5A; PAYLOAD_BYTES];
            self.hosts[0].node.propose(Vec::new(), command).expect("the leader takes proposals");
        }
        self.settle();
    }

    fn tick(&mut self) {
        for host in &mut self.hosts {
            host.node.tick();
        }
        self.settle();
    }

    fn executed(&self) -> u64 {
        self.hosts.iter().map(|host| host.executed).min().unwrap_or(0)
    }
}
