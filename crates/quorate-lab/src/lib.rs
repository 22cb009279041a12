//! The labs that teach Raft, on one core: their interfaces, their networks, their scenarios; and a
//! place to put a Raft of your own through all of it.
//!
//! - [`raft::LabRaft`] is what a Raft offers to the lab; [`engine::QuorateRaft`] is Quorate's, the
//!   same replica that runs in production behind another shell.
//! - [`context::Context`] is clock, tasks and randomness. [`context::VirtualTime`] runs a whole
//!   cluster in no time, and a seed replays exactly for whoever asks nothing but the context;
//!   [`context::RealTime`] runs the same code on tokio.
//! - [`network::Network`] is what lies between peers, in the three models of the labs, with the
//!   counts that their budgets are written in.
//! - [`persister::Persister`] is what a peer has left after a crash.
//! - [`scenario::Scenario`] is what a cluster is put through, written once for every Raft; [`harness`]
//!   is what scenarios are written with, and [`suite`] has the names that the labs have for them.
//! - [`mod@service`] is what scenarios put on top of a Raft: a key-value store with its clients, and a
//!   driver for any machine.
//! - [`recording`] is what happened in a run, for a page that plays it.
//! - [`kv_raft`], [`dss`], [`course`] and [`simulated`] are the labs' own interfaces, each a thin face over
//!   the one engine.
#![forbid(unsafe_code)]

pub mod context;
pub mod course;
pub mod dss;
pub mod engine;
pub mod harness;
pub mod kv_raft;
pub mod network;
pub mod persister;
pub mod raft;
pub mod recording;
pub mod scenario;
pub mod service;
pub mod simulated;
pub mod suite;
