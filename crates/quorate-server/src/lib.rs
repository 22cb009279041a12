//! The etcd v3 services over a replicated store.
//!
//! [`Server`] ties a [`quorate::Node`] that replicates a [`quorate_kv::KvMachine`] to a port where
//! etcd's clients are at home: gRPC, and on the same port `/version`, `/health` and `/metrics`.
//!
//! - Every node serves every request: what needs the leader is forwarded by the node below.
//! - Codes and texts of errors are etcd's. What may or may not have happened is `Unavailable`.
//! - Headers are real: cluster id, member id, revision and term.
//! - No input from a client ends the process, and none is kept without a bound.
#![forbid(unsafe_code)]

mod api_error;
mod archive;
mod backend;
pub mod backup;
mod bootstrap;
mod budget;
mod cluster;
mod compaction;
mod config;
mod convert;
mod error;
#[cfg(test)]
mod fake;
mod forgiving;
mod health;
mod http2;
mod kv;
mod lease;
mod maintenance;
mod metrics;
mod node_backend;
mod pages;
mod port;
mod process;
mod route;
mod session;
mod snapshot;
mod space;
mod version;
mod watch;

pub use bootstrap::Server;
pub use compaction::AutoCompaction;
pub use config::{ConfigError, MAX_REQUEST_BYTES, QUOTA_BYTES, ServerConfig, Settings};
pub use error::ServeError;
