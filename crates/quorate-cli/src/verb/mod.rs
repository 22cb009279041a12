//! A file per verb: its flags, and what it does.

pub(crate) mod append;
pub(crate) mod bench;
pub(crate) mod del;
pub(crate) mod demo;
pub(crate) mod endpoint;
pub(crate) mod failover;
pub(crate) mod get;
pub(crate) mod lab;
pub(crate) mod member;
mod pool;
mod progress;
pub(crate) mod put;
mod range;
pub(crate) mod serve;
pub(crate) mod sim;
pub(crate) mod snapshot;
pub(crate) mod status;
pub(crate) mod txn;
