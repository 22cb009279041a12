//! What scenarios are written with: a cluster of any [`LabRaft`](crate::raft::LabRaft) that can be
//! cut, crashed and asked, and the checks that run beside it.
//!
//! A scenario is an `async fn(&World<R>) -> Result<(), Failure>`. It makes a [`Cluster`], does its
//! steps, and ends with the first [`Failure`]. What goes wrong beside the steps (a server applies
//! another entry than its peers did, out of order, or twice) is [reported](World::report), and the
//! next step ends with it.
//!
//! The same steps serve two [customs](Manner): the Go course lab's, which the talent-plan labs share,
//! and the async Rust lab's. Where they differ in more than a number the file of each has its own:
//! `course.rs` and `process.rs`.

mod cluster;
mod command;
mod course;
mod failure;
mod process;
mod record;
mod snapshot;
mod task;
mod world;

pub use cluster::{Cluster, Snapshots};
pub use command::{number, tell, text};
pub(crate) use course::ELECTION;
pub(crate) use failure::ensure;
pub use failure::{Failure, FailureKind};
pub(crate) use process::Leading;
pub use task::{Task, spawn};
pub use world::{Manner, Pauses, Settings, Tally, World};
