//! Real nodes: threads, disks and sockets of this machine.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod cluster;
mod nodes;
mod restore;
mod sessions;
mod snapshots;
mod storm;
mod tasks;
