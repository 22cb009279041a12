//! The face of the simulated Raft: its vocabulary, and its simulation, over Quorate's engine.
//!
//! - [`StateMachine`] executes numbers; [`CounterStateMachine`] adds them up.
//! - `consensus`: a [`NodeCore`] that decides, pure; a [`NodeServer`] that gives it messages, timer events and
//!   commands; a [`NodeTimer`]; [`ConsensusEvent`]s for whoever watches.
//! - `messaging`: a [`Network`] in memory that can lose, delay and cut, with a [`NodeMessenger`] and a
//!   [`NodeReceiver`] for each node.
//! - [`simulate`]: a cluster elects a leader by itself, takes commands, survives what it is told to
//!   survive, and shows that all machines agree.
//!
//! `NodeCore` is the engine's node under the names of that project; there is no protocol here.

mod config;
mod consensus;
mod messaging;
mod simulation;
mod state_machine;
#[cfg(test)]
mod tests;

pub use config::{Config, ConfigError};
pub use consensus::{
    ConsensusError, ConsensusEvent, LogEntry, NodeCore, NodeServer, NodeState, NodeTimer, NodeView,
    TimerType,
};
pub use messaging::{
    CommandReply, Conditions, Message, MessagingError, Network, NodeMessenger, NodeReceiver,
};
pub use simulation::{Plan, SimulationError, Summary, Tell, simulate};
pub use state_machine::{CounterStateMachine, StateMachine};
