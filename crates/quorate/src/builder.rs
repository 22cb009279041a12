//! Setting up a node: what it needs, what may be chosen, and what can be wrong with it.
//!
//! Nothing is touched before [`NodeBuilder::start`], which checks everything that can be checked
//! before it opens anything: settings, peer list, port, data directory, in this order.

use std::path::PathBuf;
use std::time::Duration;

use quorate_core::{Config, ConfigError, Index};
use quorate_log::{Fs, LogConfig, OpenError};

use crate::founding::{ForeignRecord, Listed, PeerList, PeerListError};
use crate::limits::Limits;
use crate::machine::StateMachine;
use crate::node::Node;
use crate::replica::{ReplicaConfig, ReplicaStartError};
use crate::roster::{Member, RosterError};
use crate::runtime;
use crate::transport::{BindError, Listening};

/// Largest encoded command unless set otherwise.
const MAX_COMMAND_BYTES: usize = 16 << 20;

/// Why a node cannot start. Each says which thing is wrong and what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// No data directory was given.
    #[error("no data directory was given; name one with `data_dir`")]
    NoDataDir,
    /// No address to listen on was given.
    #[error("no address to listen on was given; name one with `listen`, such as 127.0.0.1:7001")]
    NoListenAddress,
    /// The settings contradict each other.
    #[error("the settings cannot be used: {0}")]
    Config(#[from] ConfigError),
    /// The list of peers cannot be used.
    #[error(transparent)]
    Peers(#[from] PeerListError),
    /// A client URL or the name exceeds its limit.
    #[error(transparent)]
    Member(RosterError),
    /// The address cannot be listened on, for example because another process does.
    #[error(transparent)]
    Listen(#[from] BindError),
    /// The data directory cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The founding record in the data directory cannot be read.
    #[error(
        "the founding record in {} cannot be read: {source}; the other voters hold the data: move \
         the directory away and let the node join again",
        directory.display()
    )]
    BadRecord {
        /// The data directory.
        directory: PathBuf,
        /// What is wrong with it.
        source: RosterError,
    },
    /// The data directory was copied from another node.
    #[error(transparent)]
    ForeignRecord(#[from] ForeignRecord),
    /// The log cannot be continued.
    #[error("the log in {} cannot be continued: {source}", directory.display())]
    Replica {
        /// The data directory.
        directory: PathBuf,
        /// What is wrong with it.
        source: ReplicaStartError,
    },
    /// The last entry of the log cannot be read.
    #[error("the last entry in {} cannot be read: {reason}", directory.display())]
    LastEntry {
        /// The data directory.
        directory: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The newest snapshot cannot be restored.
    #[error(
        "the snapshot up to entry {index} in {} cannot be restored: {reason}; start the program \
         that wrote it, or a later one",
        directory.display()
    )]
    Restore {
        /// The data directory.
        directory: PathBuf,
        /// The last entry that it covers.
        index: Index,
        /// What is wrong with it.
        reason: String,
    },
    /// The system gave no random numbers.
    #[error("the system gives no random numbers: {reason}")]
    NoEntropy {
        /// What it said.
        reason: String,
    },
    /// The system refused what a node runs on: a thread or an event queue.
    #[error("the system refused {what}: {source}; raise the limits of the process")]
    System {
        /// What was asked for.
        what: &'static str,
        /// What it said.
        source: std::io::Error,
    },
    /// Opening the data directory ended without a result.
    #[error("opening the data directory ended unexpectedly: {reason}")]
    Interrupted {
        /// What is known.
        reason: String,
    },
}

/// Where a node takes its listening socket from.
#[derive(Debug)]
pub(crate) enum Listen {
    /// An address to bind.
    Address(String),
    /// A socket that is bound already.
    Bound(Listening),
}

/// Everything that a node is started with, checked.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) name: String,
    pub(crate) address: String,
    pub(crate) client_urls: Vec<String>,
    pub(crate) peers: PeerList,
    pub(crate) data_dir: PathBuf,
    pub(crate) log: LogConfig,
    pub(crate) replica: ReplicaConfig,
    pub(crate) call_timeout: Duration,
    pub(crate) limits: Limits,
    /// Whether the node runs on the caller's runtime.
    pub(crate) without_threads: bool,
}

impl Settings {
    /// This node as others know it.
    pub(crate) fn member(&self, id: quorate_core::NodeId) -> Member {
        Member {
            id,
            name: self.name.clone(),
            peer_address: self.address.clone(),
            client_urls: self.client_urls.clone(),
        }
    }
}

/// Executed entries after which a snapshot is taken, unless set otherwise.
pub const SNAPSHOT_ENTRIES: u64 = 500_000;
/// Bytes of executed entries after which a snapshot is taken, unless set otherwise.
pub const SNAPSHOT_BYTES: u64 = 256 << 20;

/// Collects what a node needs. Every default is the safe choice.
#[derive(Debug)]
#[must_use]
pub struct NodeBuilder<M> {
    machine: M,
    name: Option<String>,
    data_dir: Option<PathBuf>,
    listen: Option<Listen>,
    advertise: Option<String>,
    client_urls: Vec<String>,
    peers: Vec<Listed>,
    heartbeat: Duration,
    election: (Duration, Duration),
    log: LogConfig,
    call_timeout: Duration,
    max_command_bytes: usize,
    limits: Limits,
    without_threads: bool,
    snapshot_entries: u64,
    snapshot_bytes: u64,
    snapshot_bytes_per_second: u64,
    keep_bytes: u64,
    retain_bytes: u64,
}

impl<M: StateMachine> NodeBuilder<M> {
    pub(crate) fn new(machine: M) -> Self {
        let raft = Config::default();
        Self {
            machine,
            name: None,
            data_dir: None,
            listen: None,
            advertise: None,
            client_urls: Vec::new(),
            peers: Vec::new(),
            heartbeat: raft.heartbeat(),
            election: raft.election_timeout(),
            log: LogConfig::default(),
            call_timeout: Duration::from_secs(7),
            max_command_bytes: MAX_COMMAND_BYTES,
            limits: Limits::default(),
            without_threads: false,
            snapshot_entries: SNAPSHOT_ENTRIES,
            snapshot_bytes: SNAPSHOT_BYTES,
            snapshot_bytes_per_second: 64 << 20,
            keep_bytes: raft.keep_bytes(),
            retain_bytes: raft.retain_bytes(),
        }
    }

    /// Sets what people call the node. Default: the address that it advertises.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets where the node keeps its data; formatted at the first start. No other node may ever use
    /// it, and no copy of it.
    pub fn data_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.data_dir = Some(path.into());
        self
    }

    /// Sets the address on which the node listens for its peers, as `host:port`.
    pub fn listen(mut self, address: impl Into<String>) -> Self {
        self.listen = Some(Listen::Address(address.into()));
        self
    }

    /// Sets a socket that listens already, in place of [`NodeBuilder::listen`].
    pub fn listen_on(mut self, listening: Listening) -> Self {
        self.listen = Some(Listen::Bound(listening));
        self
    }

    /// Sets the address at which peers reach the node, where it differs from the one it listens on.
    pub fn advertise(mut self, address: impl Into<String>) -> Self {
        self.advertise = Some(address.into());
        self
    }

    /// Sets where clients reach this node. Other nodes pass it on; the library does not use it.
    pub fn client_urls<T: Into<String>>(mut self, urls: impl IntoIterator<Item = T>) -> Self {
        self.client_urls = urls.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the peer addresses of the cluster, this node's own among them; the same on every node.
    /// The nodes found the cluster when all of them answer and none belongs to one yet. Default:
    /// this node alone.
    pub fn join_or_form<T: Into<String>>(mut self, peers: impl IntoIterator<Item = T>) -> Self {
        self.peers = peers.into_iter().map(Listed::at).collect();
        self
    }

    /// As [`NodeBuilder::join_or_form`], with the name of each node.
    pub fn join_or_form_named<N: Into<String>, A: Into<String>>(
        mut self,
        peers: impl IntoIterator<Item = (N, A)>,
    ) -> Self {
        let listed = peers.into_iter().map(|(name, address)| Listed::named(name, address));
        self.peers = listed.collect();
        self
    }

    /// Sets the time between heartbeats of a leader. Default: 100 ms.
    pub const fn heartbeat_interval(mut self, every: Duration) -> Self {
        self.heartbeat = every;
        self
    }

    /// Sets the range from which election timeouts are drawn. Default: 300 to 600 ms.
    pub const fn election_timeout(mut self, min: Duration, max: Duration) -> Self {
        self.election = (min, max);
        self
    }

    /// Sets the size of a file of the log. Default: 64 MiB.
    pub const fn segment_bytes(mut self, bytes: u64) -> Self {
        self.log.segment_bytes = bytes;
        self
    }

    /// Sets how long a call or query waits for its end. Default: 7 s.
    pub const fn call_timeout(mut self, timeout: Duration) -> Self {
        self.call_timeout = timeout;
        self
    }

    /// Sets the largest encoded command; the same on every node. Default: 16 MiB.
    pub const fn max_command_bytes(mut self, bytes: usize) -> Self {
        self.max_command_bytes = bytes;
        self
    }

    /// Sets after how many executed entries a snapshot is taken, so that the log can begin after it.
    /// Zero: never for their number. Default: 500,000.
    pub const fn snapshot_entries(mut self, entries: u64) -> Self {
        self.snapshot_entries = if entries == 0 { u64::MAX } else { entries };
        self
    }

    /// Sets after how many bytes of executed entries a snapshot is taken; not before they are as many
    /// as the newest snapshot has. Zero: never for their size. Default: 256 MiB.
    pub const fn snapshot_bytes(mut self, bytes: u64) -> Self {
        self.snapshot_bytes = if bytes == 0 { u64::MAX } else { bytes };
        self
    }

    /// Sets how fast a leader sends a snapshot to one peer. Zero: as fast as it can. Default: 64 MiB
    /// a second.
    pub const fn snapshot_rate(mut self, bytes_per_second: u64) -> Self {
        self.snapshot_bytes_per_second = bytes_per_second;
        self
    }

    /// Sets how many bytes of entries stay in the log although a snapshot covers them: for peers that
    /// are a little behind, who need no snapshot then. Default: 16 MiB.
    pub const fn keep_bytes(mut self, bytes: u64) -> Self {
        self.keep_bytes = bytes;
        self
    }

    /// Sets how many bytes of entries may stay for peers that are far behind, while they are sent a
    /// snapshot. Default: 256 MiB.
    pub const fn retain_bytes(mut self, bytes: u64) -> Self {
        self.retain_bytes = bytes;
        self
    }

    /// Sets how much may wait in the node, and in which places.
    pub const fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Has the node start no threads: all of it runs as tasks of the runtime that it is started on,
    /// which its file operations and its state machine block while they last. Several nodes in one
    /// thread hand over faster, in tests for example; a node with a real disk serves better with
    /// threads.
    pub const fn without_threads(mut self) -> Self {
        self.without_threads = true;
        self
    }

    /// Starts the node: opens its data directory and its port, and begins to look for its peers. It
    /// serves as soon as the cluster is founded and has a leader; see [`Node::ready`].
    ///
    /// # Errors
    ///
    /// When anything is wrong with settings, port or data directory.
    pub async fn start(self) -> Result<Node<M>, StartError> {
        let (machine, settings, listen) = self.check()?;
        runtime::start(machine, settings, listen).await
    }

    /// As [`NodeBuilder::start`], with the data directory on another file system: in memory
    /// ([`quorate_log::MemoryFs`]), for a node that may forget, or on one that fails, for tests.
    /// The directory set by [`NodeBuilder::data_dir`] is then only its name in messages.
    ///
    /// # Errors
    ///
    /// As [`NodeBuilder::start`].
    pub async fn start_on<F: Fs>(self, fs: F) -> Result<Node<M>, StartError> {
        let (machine, settings, listen) = self.check()?;
        runtime::start_on(fs, machine, settings, listen).await
    }

    pub(crate) fn check(self) -> Result<(M, Settings, Listen), StartError> {
        let data_dir = self.data_dir.ok_or(StartError::NoDataDir)?;
        let listen = self.listen.ok_or(StartError::NoListenAddress)?;
        let (min, max) = self.election;
        let config = Config::builder().heartbeat(self.heartbeat).election_timeout(min, max);
        let config = config.keep_bytes(self.keep_bytes).retain_bytes(self.retain_bytes);
        let config = config.snapshot_bytes_per_second(self.snapshot_bytes_per_second);
        self.limits.check()?;
        let raft = self.limits.of_protocol(config).build()?;
        let address = match (self.advertise, &listen) {
            (Some(address), _) => address,
            (None, Listen::Address(address)) => address.clone(),
            (None, Listen::Bound(listening)) => listening.address().to_string(),
        };
        let name = self.name.unwrap_or_else(|| address.clone());
        let peers = if self.peers.is_empty() {
            PeerList::alone(&name, &address)?
        } else {
            PeerList::new(&name, &address, self.peers)?
        };
        let replica = self.limits.of_replica(ReplicaConfig {
            raft,
            max_command_bytes: self.max_command_bytes,
            leader_wait: max * 2 + Duration::from_secs(1),
            answer_wait: self.call_timeout,
            snapshot_entries: self.snapshot_entries,
            snapshot_bytes: self.snapshot_bytes,
            ..ReplicaConfig::default()
        });
        let settings = Settings {
            name,
            address,
            client_urls: self.client_urls,
            peers,
            data_dir,
            log: self.log,
            call_timeout: self.call_timeout,
            limits: self.limits,
            without_threads: self.without_threads,
            replica,
        };
        Ok((self.machine, settings, listen))
    }
}
