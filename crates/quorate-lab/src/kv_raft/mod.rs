//! The face of the async Rust lab: its [`Raft`] with three synchronous methods, its [`Server`], its
//! [`RpcClient`] and its [`Persister`], over Quorate's engine.
//!
//! Messages between peers and the file of a peer are JSON, as the document suggests; what the engine
//! says stands in them as hexadecimal digits.

mod adapter;
mod hex;
mod persister;
mod raft;
mod rpc;
mod server;

pub use adapter::KvRaft;
pub use persister::{Damaged, Persister};
pub use raft::Raft;
pub use rpc::RpcClient;
pub use server::Server;
