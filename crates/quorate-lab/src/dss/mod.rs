//! The face of the talent-plan dss labs: their names over Quorate's engine.
//!
//! - [`raft`]: `Raft::new` and `Node`, with the apply channel and the persister of the labs;
//! - [`kvraft`]: `KvServer`, its `Node`, and a `Clerk` whose calls block;
//! - [`labrpc`]: services that a macro defines, a network of named servers and clients;
//! - [`labcodec`]: messages to bytes and back.
//!
//! No protocol is here. A `Node` hands every request and every command to the one engine; the messages of
//! [`raft::proto`] carry what the engine says as bytes.
//!
//! Channels are tokio's unbounded ones. A call that blocks does so on its caller's own thread, while
//! all tasks run on the threads of the network's runtime, of which no call ever takes one: two
//! clerks that hang leave a machine with two cores working.

pub mod kvraft;
pub mod labcodec;
pub mod labrpc;
pub mod raft;
