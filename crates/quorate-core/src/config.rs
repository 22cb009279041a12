//! Settings of the protocol. A configuration that breaks a rule cannot be built.

use core::fmt;
use core::time::Duration;

/// Checked settings; made by [`ConfigBuilder::build`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    pub(crate) heartbeat: Duration,
    pub(crate) election_min: Duration,
    pub(crate) election_max: Duration,
    pub(crate) pre_vote: bool,
    pub(crate) check_quorum: bool,
    pub(crate) leader_stickiness: bool,
    pub(crate) commit_notices: bool,
    pub(crate) max_append_bytes: u64,
    pub(crate) max_inflight_messages: usize,
    pub(crate) max_inflight_bytes: u64,
    pub(crate) max_uncommitted_bytes: u64,
    pub(crate) max_pending_reads: usize,
    pub(crate) snapshot_chunk_bytes: u32,
    pub(crate) snapshot_window_bytes: u64,
    pub(crate) snapshot_bytes_per_second: u64,
    pub(crate) retain_bytes: u64,
    pub(crate) keep_bytes: u64,
}

impl Config {
    /// Starts from the defaults.
    pub fn builder() -> ConfigBuilder {
        ConfigBuilder { config: Self::default() }
    }

    /// Starts from these settings.
    pub const fn change(self) -> ConfigBuilder {
        ConfigBuilder { config: self }
    }

    /// Time between heartbeats of a leader that sends nothing else.
    #[must_use]
    pub const fn heartbeat(&self) -> Duration {
        self.heartbeat
    }

    /// Shortest and longest election timeout; each is drawn evenly between them.
    #[must_use]
    pub const fn election_timeout(&self) -> (Duration, Duration) {
        (self.election_min, self.election_max)
    }

    /// Appends that may be under way to one peer at a time.
    #[must_use]
    pub const fn max_inflight_messages(&self) -> usize {
        self.max_inflight_messages
    }

    /// Bytes of entries that may be under way to one peer before no more leaves.
    #[must_use]
    pub const fn max_inflight_bytes(&self) -> u64 {
        self.max_inflight_bytes
    }

    /// Bytes of entries in one append, unless one entry is larger.
    #[must_use]
    pub const fn max_append_bytes(&self) -> u64 {
        self.max_append_bytes
    }

    /// Bytes of entries that may wait for commitment, or for the leader's own disk, before proposals
    /// are refused.
    #[must_use]
    pub const fn max_uncommitted_bytes(&self) -> u64 {
        self.max_uncommitted_bytes
    }

    /// Bytes of a snapshot that travel as one piece.
    #[must_use]
    pub const fn snapshot_chunk_bytes(&self) -> u32 {
        self.snapshot_chunk_bytes
    }

    /// Bytes of a snapshot that may be under way to one peer before no more leaves.
    #[must_use]
    pub const fn snapshot_window_bytes(&self) -> u64 {
        self.snapshot_window_bytes
    }

    /// Bytes of a snapshot that may leave for one peer per second; zero is as many as the window lets
    /// through.
    #[must_use]
    pub const fn snapshot_bytes_per_second(&self) -> u64 {
        self.snapshot_bytes_per_second
    }

    /// Bytes of entries that the log keeps for those who receive a snapshot, or are behind.
    #[must_use]
    pub const fn retain_bytes(&self) -> u64 {
        self.retain_bytes
    }

    /// Bytes of entries that the log keeps behind a snapshot.
    #[must_use]
    pub const fn keep_bytes(&self) -> u64 {
        self.keep_bytes
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_millis(100),
            election_min: Duration::from_millis(300),
            election_max: Duration::from_millis(600),
            pre_vote: true,
            check_quorum: true,
            leader_stickiness: true,
            commit_notices: true,
            max_append_bytes: 512 * 1024,
            max_inflight_messages: 256,
            max_inflight_bytes: 8 * 1024 * 1024,
            max_uncommitted_bytes: 256 * 1024 * 1024,
            max_pending_reads: 4096,
            snapshot_chunk_bytes: 256 * 1024,
            snapshot_window_bytes: 2 * 1024 * 1024,
            snapshot_bytes_per_second: 64 * 1024 * 1024,
            retain_bytes: 256 * 1024 * 1024,
            keep_bytes: 16 * 1024 * 1024,
        }
    }
}

/// Collects settings and checks them together.
#[derive(Clone, Debug)]
#[must_use]
pub struct ConfigBuilder {
    config: Config,
}

impl ConfigBuilder {
    /// Sets the time between heartbeats. Default: 100 ms.
    pub const fn heartbeat(mut self, every: Duration) -> Self {
        self.config.heartbeat = every;
        self
    }

    /// Sets the range from which election timeouts are drawn. Default: 300 to 600 ms.
    pub const fn election_timeout(mut self, min: Duration, max: Duration) -> Self {
        self.config.election_min = min;
        self.config.election_max = max;
        self
    }

    /// Sets whether an election starts with a dry run (thesis §9.6). Default: yes.
    pub const fn pre_vote(mut self, on: bool) -> Self {
        self.config.pre_vote = on;
        self
    }

    /// Sets whether a leader that hears from no quorum steps down (thesis §6.2). Default: yes.
    pub const fn check_quorum(mut self, on: bool) -> Self {
        self.config.check_quorum = on;
        self
    }

    /// Sets whether votes are refused while a leader is alive (thesis §4.2.3). Default: yes.
    pub const fn leader_stickiness(mut self, on: bool) -> Self {
        self.config.leader_stickiness = on;
        self
    }

    /// Sets whether followers are told of a new commit index when no append carries it. Default:
    /// yes: a follower's reads then wait for no heartbeat.
    pub const fn commit_notices(mut self, on: bool) -> Self {
        self.config.commit_notices = on;
        self
    }

    /// Sets how many bytes of entries one append carries, unless one entry is larger. Default:
    /// 512 KiB.
    pub const fn max_append_bytes(mut self, bytes: u64) -> Self {
        self.config.max_append_bytes = bytes;
        self
    }

    /// Sets how many appends with entries may be unanswered per peer. Default: 256.
    pub const fn max_inflight_messages(mut self, count: usize) -> Self {
        self.config.max_inflight_messages = count;
        self
    }

    /// Sets how many bytes may be unanswered per peer. Default: 8 MiB.
    pub const fn max_inflight_bytes(mut self, bytes: u64) -> Self {
        self.config.max_inflight_bytes = bytes;
        self
    }

    /// Sets how many bytes of entries may wait for commitment, or for the leader's own disk, before
    /// proposals are refused. Default: 256 MiB.
    pub const fn max_uncommitted_bytes(mut self, bytes: u64) -> Self {
        self.config.max_uncommitted_bytes = bytes;
        self
    }

    /// Sets how many batches of reads may wait for a read index. Default: 4096.
    pub const fn max_pending_reads(mut self, count: usize) -> Self {
        self.config.max_pending_reads = count;
        self
    }

    /// Sets how many bytes of a snapshot travel as one piece. Default: 256 KiB.
    pub const fn snapshot_chunk_bytes(mut self, bytes: u32) -> Self {
        self.config.snapshot_chunk_bytes = bytes;
        self
    }

    /// Sets how many bytes of a snapshot may be unanswered per peer. Default: 2 MiB.
    pub const fn snapshot_window_bytes(mut self, bytes: u64) -> Self {
        self.config.snapshot_window_bytes = bytes;
        self
    }

    /// Sets how many bytes of a snapshot may leave per peer and second; zero is as many as the
    /// window lets through. Default: 64 MiB.
    pub const fn snapshot_bytes_per_second(mut self, bytes: u64) -> Self {
        self.config.snapshot_bytes_per_second = bytes;
        self
    }

    /// Sets how many bytes of entries may be kept because a peer that is alive, or receives a
    /// snapshot, will need them. Default: 256 MiB.
    pub const fn retain_bytes(mut self, bytes: u64) -> Self {
        self.config.retain_bytes = bytes;
        self
    }

    /// Sets how many bytes of entries are kept behind a snapshot, so that who is little behind
    /// needs none. Default: 16 MiB.
    pub const fn keep_bytes(mut self, bytes: u64) -> Self {
        self.config.keep_bytes = bytes;
        self
    }

    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// Names the first setting that breaks a rule.
    pub fn build(self) -> Result<Config, ConfigError> {
        let config = self.config;
        if config.heartbeat.is_zero() {
            return Err(ConfigError::ZeroHeartbeat);
        }
        if config.election_min < config.heartbeat.saturating_mul(2) {
            let (heartbeat, election_min) = (config.heartbeat, config.election_min);
            return Err(ConfigError::ElectionTooShort { heartbeat, election_min });
        }
        if config.election_max <= config.election_min {
            let (min, max) = (config.election_min, config.election_max);
            return Err(ConfigError::ElectionRange { min, max });
        }
        if config.max_append_bytes == 0 {
            return Err(ConfigError::ZeroLimit("max_append_bytes"));
        }
        if config.max_inflight_messages == 0 {
            return Err(ConfigError::ZeroLimit("max_inflight_messages"));
        }
        if config.max_inflight_bytes == 0 {
            return Err(ConfigError::ZeroLimit("max_inflight_bytes"));
        }
        if config.max_uncommitted_bytes == 0 {
            return Err(ConfigError::ZeroLimit("max_uncommitted_bytes"));
        }
        if config.max_pending_reads == 0 {
            return Err(ConfigError::ZeroLimit("max_pending_reads"));
        }
        if config.snapshot_chunk_bytes == 0 {
            return Err(ConfigError::ZeroLimit("snapshot_chunk_bytes"));
        }
        if config.snapshot_window_bytes == 0 {
            return Err(ConfigError::ZeroLimit("snapshot_window_bytes"));
        }
        Ok(config)
    }
}

/// Why a configuration is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// The heartbeat interval is zero.
    ZeroHeartbeat,
    /// A lost heartbeat would start an election.
    ElectionTooShort {
        /// The heartbeat interval.
        heartbeat: Duration,
        /// The shortest election timeout.
        election_min: Duration,
    },
    /// The range of election timeouts is empty, so that elections would tie for ever.
    ElectionRange {
        /// The shortest.
        min: Duration,
        /// The longest.
        max: Duration,
    },
    /// A limit of zero would stop all work.
    ZeroLimit(&'static str),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ZeroHeartbeat => write!(f, "heartbeat must be longer than zero"),
            Self::ElectionTooShort { heartbeat, election_min } => write!(
                f,
                "the shortest election timeout ({election_min:?}) must be at least twice the \
                 heartbeat ({heartbeat:?})"
            ),
            Self::ElectionRange { min, max } => write!(
                f,
                "the longest election timeout ({max:?}) must be above the shortest ({min:?})"
            ),
            Self::ZeroLimit(name) => write!(f, "{name} must be above zero"),
        }
    }
}

impl core::error::Error for ConfigError {}
