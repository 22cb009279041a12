//! The consensus of one node: what decides, what gives it messages and time, and what it tells.

mod core;
mod error;
mod event;
mod log_entry;
mod server;
mod timer;

pub use self::core::{NodeCore, NodeState};
pub use error::ConsensusError;
pub use event::ConsensusEvent;
pub use log_entry::LogEntry;
pub use server::{NodeServer, NodeView};
pub use timer::{NodeTimer, TimerType};
