//! Consensus for people who build things: implement one trait, get a durable, replicated,
//! linearizable service.
//!
//! ```
//! use quorate::{Applying, Consistency, Node, StateMachine};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Default, Serialize, Deserialize)]
//! struct Counter(i64);
//!
//! impl StateMachine for Counter {
//!     type Command = i64;
//!     type Reply = i64;
//!     type Query = ();
//!     type Answer = i64;
//!     fn apply(&mut self, _at: &Applying, add: i64) -> i64 {
//!         self.0 += add;
//!         self.0
//!     }
//!     fn query(&self, _: ()) -> i64 {
//!         self.0
//!     }
//! }
//!
//! # #[cfg(feature = "tcp")]
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let peers = ["127.0.0.1:7001", "127.0.0.1:7002", "127.0.0.1:7003"];
//! #   let directory = tempfile::tempdir()?;
//! #   std::env::set_current_dir(directory.path())?;
//! #   let sockets = peers.map(|_| quorate::Listening::bind("127.0.0.1:0"));
//! #   let peers = sockets.map(|socket| socket.expect("a free port").address().to_string());
//! #   let peers = peers.each_ref().map(String::as_str);
//!     let mut nodes = Vec::new();
//!     for (number, address) in peers.iter().enumerate() {
//!         let node = Node::<Counter>::builder().listen(*address).join_or_form(peers);
//!         nodes.push(node.data_dir(format!("data/counter/n{number}")).start().await?);
//!     }
//!     nodes[0].ready().await?;
//!     let session = nodes[0].client().session().await?;
//!     let total = session.call(5).await?; // durable on a majority, exactly once
//!     let seen = nodes[1].client().read((), Consistency::Linearizable).await?;
//!     println!("the counter stands at {total}, and another node sees {seen}");
//!     assert!(seen >= total);
//!     Ok(())
//! }
//! # #[cfg(not(feature = "tcp"))]
//! # fn main() {}
//! ```
//!
//! # How it is built
//!
//! Everything that decides is pure: [`quorate_core`] is the protocol, [`replica`] puts the bytes of
//! entries and the waiting clients around it, [`applier`] executes what is committed, [`founding`]
//! begins a cluster. They read no clock, draw no random number and do no I/O, and are there without
//! the feature `runtime`. The [`Node`] runs them on threads, over files and sockets.
//!
//! # What is not there yet
//!
//! - Changing the members of a running cluster: a node whose data is lost cannot be replaced.
#![forbid(unsafe_code)]

pub mod applier;
#[cfg(feature = "tcp")]
mod builder;
#[cfg(feature = "tcp")]
mod client;
pub mod codec;
pub mod error;
pub mod founding;
#[cfg(feature = "tcp")]
mod limits;
pub mod machine;
#[cfg(feature = "tcp")]
mod node;
pub mod replica;
#[cfg(feature = "runtime")]
pub mod restore;
pub mod roster;
#[cfg(feature = "tcp")]
mod runtime;
#[cfg(feature = "tcp")]
mod session;
pub mod sessions;
pub mod snapshot;
#[cfg(feature = "tcp")]
mod status;
pub mod transport;
pub mod wire;

pub use applier::Applier;
#[cfg(feature = "tcp")]
pub use builder::{NodeBuilder, SNAPSHOT_BYTES, SNAPSHOT_ENTRIES, StartError};
#[cfg(feature = "tcp")]
pub use client::{Client, Consistency};
pub use codec::{Codec, CodecError};
pub use error::{CallError, Refusal, SnapshotRefusal, StopReason, UnknownReason};
#[cfg(feature = "tcp")]
pub use limits::Limits;
pub use machine::{Applying, StateMachine};
#[cfg(feature = "tcp")]
pub use node::{Node, NodeFacts};
pub use quorate_core::{ClusterId, EntryId, Index, NodeId, PeerStatus, RoleName, Term};
pub use roster::{Member, Roster};
#[cfg(feature = "tcp")]
pub use session::{Session, SessionConfig};
pub use sessions::SessionId;
pub use snapshot::{PIECE_BYTES, Snapshot, SnapshotError, SnapshotMeta, SnapshotView};
#[cfg(feature = "tcp")]
pub use status::Status;
#[cfg(feature = "tcp")]
pub use transport::{Listening, MemoryNetwork};

/// The project's front page, whose program is compiled as a test.
#[cfg(all(doctest, feature = "tcp"))]
#[doc = include_str!("../../../README.md")]
#[derive(Debug)]
pub struct FrontPage;
