//! Services on top of anyone's Raft: a machine that several servers execute alike, a key-value store
//! made of it, and its client.
//!
//! [`Driver`] turns commands into replies over any [`LabRaft`](crate::raft::LabRaft), [`KvServer`] is
//! the store of one server, [`Clerk`] asks until it has an answer. None of them knows what elects or
//! replicates; all of them take time and tasks from a [`Context`](crate::context::Context) alone.

mod clerk;
mod counter;
mod driver;
mod group;
mod hosted;
mod machine;
mod server;
#[cfg(test)]
mod tests;
pub(crate) mod wire;

pub use clerk::Clerk;
pub use counter::CounterServer;
pub use driver::{Driver, Lost, Seat, Waiter};
pub use group::{Group, GroupClerk, Way};
pub use hosted::Service;
pub use machine::{Action, CounterMachine, DamagedSnapshot, KvCommand, KvMachine, Machine};
pub use server::{KvReply, KvServer};
