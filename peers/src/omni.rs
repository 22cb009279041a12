//! OmniPaxos, with its storage in memory.

use std::sync::Arc;

use omnipaxos::macros::Entry;
use omnipaxos::messages::Message;
use omnipaxos::util::LogEntry;
use omnipaxos::{ClusterConfig, OmniPaxos, OmniPaxosConfig, ServerConfig};
use omnipaxos_storage::memory_storage::MemoryStorage;

use crate::Core;
use crate::three::PAYLOAD_BYTES;

/// Entries after which the log is trimmed.
const KEPT: usize = 16_384;

#[derive(Clone, Debug, Entry)]
struct Command(Arc<Vec<u8>>);

struct Host {
    node: OmniPaxos<Command, MemoryStorage<Command>>,
    decided: usize,
    executed: u64,
}

/// Three nodes.
pub struct Cluster {
    hosts: Vec<Host>,
    leader: usize,
    messages: Vec<Message<Command>>,
    trimmed: usize,
    payload: Arc<Vec<u8>>,
}

impl Cluster {
    pub fn new() -> Self {
        let host = |pid: u64| {
            let cluster_config = ClusterConfig {
                configuration_id: 1,
                nodes: vec![1, 2, 3],
                ..ClusterConfig::default()
            };
            // A tick is a millisecond, as in the other libraries here.
            let server_config = ServerConfig {
                pid,
                election_tick_timeout: 100,
                resend_message_tick_timeout: 1000,
                ..ServerConfig::default()
            };
            let config = OmniPaxosConfig { cluster_config, server_config };
            let node = config.build(MemoryStorage::default()).expect("the configuration is sound");
            Host { node, decided: 0, executed: 0 }
        };
        let hosts = (1..=3).map(host).collect();
        let payload = Arc::new(vec![0x5A; PAYLOAD_BYTES]);
        let mut cluster = Self { hosts, leader: 0, messages: Vec::new(), trimmed: 0, payload };
        loop {
            cluster.tick();
            let leads =
                |host: &Host| host.node.get_current_leader() == Some((host.node.get_pid(), true));
            if let Some(leader) = cluster.hosts.iter().position(leads) {
                cluster.leader = leader;
                return cluster;
            }
        }
    }

    /// Goes on until nobody has anything to do.
    fn settle(&mut self) {
        loop {
            for host in &mut self.hosts {
                host.node.take_outgoing_messages(&mut self.messages);
            }
            if self.messages.is_empty() {
                break;
            }
            for message in self.messages.drain(..) {
                let to = message.get_receiver() as usize - 1;
                self.hosts[to].node.handle_incoming(message);
            }
        }
        for host in &mut self.hosts {
            host.apply();
        }
    }
}

impl Host {
    fn apply(&mut self) {
        if self.node.get_decided_idx() == self.decided {
            return;
        }
        for entry in self.node.read_decided_suffix(self.decided).unwrap_or_default() {
            if let LogEntry::Decided(Command(bytes)) = entry {
                self.executed += u64::from(bytes.len() == PAYLOAD_BYTES);
            }
        }
        self.decided = self.node.get_decided_idx();
    }
}

impl Core for Cluster {
    fn round(&mut self, batch: u64) {
        for _ in 0..batch {
            let command = Command(Arc::clone(&self.payload));
            self.hosts[self.leader].node.append(command).expect("the leader takes proposals");
        }
        self.settle();
        let decided = self.hosts[self.leader].decided;
        if decided > self.trimmed + KEPT {
            self.trimmed = decided - KEPT / 2;
            self.hosts[self.leader].node.trim(Some(self.trimmed)).expect("it was decided by all");
        }
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
