//! How much may wait in a node, and in which places.
//!
//! Whatever clients, peers, a disk or a state machine can fill has a bound; `docs/bounds.md` says for
//! each what happens when it is reached, and which test shows it.

use quorate_core::ConfigError;
use quorate_core::config::ConfigBuilder;

use crate::replica::ReplicaConfig;

/// The bounds of one node. Every default is meant for production.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of calls and queries on their way to the node, and once more of calls that wait for a
    /// leader or for its answer; beyond it they are refused as overloaded. Default: 64 MiB.
    pub call_bytes: usize,
    /// Bytes of entries that a leader keeps waiting for commitment, or for its own disk; beyond it
    /// calls are refused as overloaded. Default: 256 MiB.
    pub uncommitted_bytes: u64,
    /// Bytes of recent entries that are kept in memory though they are durable; what is older is
    /// read back from the log. What every node has and this one has executed is kept no longer, all
    /// but the last MiB. Default: 32 MiB.
    pub cache_bytes: usize,
    /// Bytes of entries under way to one peer that it has not acknowledged; beyond it nothing is sent
    /// to it. Default: 8 MiB.
    pub inflight_bytes: u64,
    /// Bytes of messages to one peer that wait for a disk; beyond it they are dropped, and sent again
    /// later. Default: 16 MiB.
    pub held_bytes: usize,
    /// Bytes of frames that wait for the connection to one peer; beyond it they are dropped, and
    /// sent again later. Default: 64 MiB.
    pub send_queue_bytes: usize,
    /// Bytes of chunks of snapshots that wait for the connection to one peer; beyond it they are
    /// dropped, and sent again later. Default: 4 MiB.
    pub bulk_queue_bytes: usize,
    /// Bytes of entries handed to the state machine and not executed; beyond it the rest waits in the
    /// log. Default: 16 MiB.
    pub apply_bytes: usize,
    /// Committed entries that wait in the log for the state machine; beyond it calls are refused as
    /// overloaded. Default: 1,048,576.
    pub apply_backlog: u64,
    /// Connections that are accepted from peers at the same time; further ones are closed at once.
    /// Default: 512.
    pub peer_connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        let replica = ReplicaConfig::default();
        Self {
            call_bytes: replica.call_bytes,
            uncommitted_bytes: replica.raft.max_uncommitted_bytes(),
            cache_bytes: replica.tail_bytes,
            inflight_bytes: replica.raft.max_inflight_bytes(),
            held_bytes: replica.outbox_bytes,
            send_queue_bytes: 64 << 20,
            bulk_queue_bytes: 4 << 20,
            apply_bytes: replica.apply_bytes,
            apply_backlog: replica.max_apply_backlog,
            peer_connections: 512,
        }
    }
}

impl Limits {
    /// Checks what the protocol does not check itself.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let sizes = [
            ("call_bytes", self.call_bytes),
            ("held_bytes", self.held_bytes),
            ("send_queue_bytes", self.send_queue_bytes),
            ("bulk_queue_bytes", self.bulk_queue_bytes),
            ("apply_bytes", self.apply_bytes),
            ("peer_connections", self.peer_connections),
        ];
        let zero = sizes.into_iter().find(|(_, size)| *size == 0);
        zero.map_or(Ok(()), |(name, _)| Err(ConfigError::ZeroLimit(name)))
    }

    /// Those that the protocol holds to.
    pub(crate) const fn of_protocol(&self, config: ConfigBuilder) -> ConfigBuilder {
        config.max_uncommitted_bytes(self.uncommitted_bytes).max_inflight_bytes(self.inflight_bytes)
    }

    /// Those that the replica holds to.
    pub(crate) fn of_replica(&self, config: ReplicaConfig) -> ReplicaConfig {
        ReplicaConfig {
            tail_bytes: self.cache_bytes,
            outbox_bytes: self.held_bytes,
            apply_bytes: self.apply_bytes,
            call_bytes: self.call_bytes,
            max_apply_backlog: self.apply_backlog,
            ..config
        }
    }
}
