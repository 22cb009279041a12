//! Timeouts and intervals.

use std::time::Duration;

use crate::raft::Timing;

/// How fast nodes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Time between a leader's heartbeats.
    pub heartbeat_interval: Duration,
    /// Shortest election timeout.
    pub election_timeout_min: Duration,
    /// Longest election timeout.
    pub election_timeout_max: Duration,
    /// How long a client waits until its command is executed.
    pub commit_timeout: Duration,
}

impl Default for Config {
    /// Heartbeats every 100 ms, election timeouts of 150 to 300 ms, ten seconds for a command.
    fn default() -> Self {
        Self {
            heartbeat_interval: Duration::from_millis(100),
            election_timeout_min: Duration::from_millis(150),
            election_timeout_max: Duration::from_millis(300),
            commit_timeout: Duration::from_secs(10),
        }
    }
}

/// Times that do not fit together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A leader would be suspected before its next heartbeat.
    #[error(
        "heartbeat_interval ({heartbeat:?}) must be shorter than election_timeout_min ({min:?})"
    )]
    HeartbeatTooSlow {
        /// Time between heartbeats.
        heartbeat: Duration,
        /// Shortest election timeout.
        min: Duration,
    },
    /// All nodes would stand for election at the same time, again and again.
    #[error("election_timeout_min ({min:?}) must be shorter than election_timeout_max ({max:?})")]
    NoSpread {
        /// Shortest election timeout.
        min: Duration,
        /// Longest election timeout.
        max: Duration,
    },
}

impl Config {
    /// The times as the engine takes them: heartbeats come twice within the shortest election timeout at
    /// least, also where the interval says less.
    ///
    /// # Errors
    ///
    /// Where they do not fit together.
    pub fn timing(&self) -> Result<Timing, ConfigError> {
        let (heartbeat, min) = (self.heartbeat_interval, self.election_timeout_min);
        let max = self.election_timeout_max;
        if heartbeat >= min {
            return Err(ConfigError::HeartbeatTooSlow { heartbeat, min });
        }
        if min >= max {
            return Err(ConfigError::NoSpread { min, max });
        }
        // The engine's leaders beat twice within the shortest timeout at least, so that one lost
        // heartbeat starts no election.
        Ok(Timing { heartbeat: heartbeat.min(min / 2), election_min: min, election_max: max })
    }
}
