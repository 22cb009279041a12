//! Clusters of real server processes on this machine.
//!
//! [`Plan`] says which nodes there are, on which ports and in which directories; [`Process`] is one of
//! them running. A process dies with the one that started it: its standard input is a pipe, and it
//! stops when the pipe closes.

mod plan;
mod process;

pub use plan::{Plan, PlannedNode, free_ports};
pub use process::Process;
