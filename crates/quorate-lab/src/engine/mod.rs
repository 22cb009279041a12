//! Quorate's own Raft in the lab: the replica of production behind a shell of its own.
//!
//! [`LabNode`] is one peer without clock, threads or channels; [`QuorateRaft`] runs it over a
//! [`Context`](crate::context::Context). Blob and messages have their bytes counted: `state.rs` and
//! `messages.rs` say what they are.

mod bytes;
mod driver;
mod entries;
mod io;
mod messages;
mod node;
mod state;

pub use self::driver::QuorateRaft;
pub use self::io::{MakeError, NodeSetup, Outputs, Request, Saved, Ticket};
pub use self::messages::{APPEND_ENTRIES, INSTALL_SNAPSHOT, REQUEST_VOTE};
pub use self::node::LabNode;
pub use self::state::Damaged;
