//! Consensus for people who build things: implement one trait, get a durable, replicated,
//! linearizable service.
#![forbid(unsafe_code)]

pub mod applier;
#[cfg(feature = "tcp")]
mod builder;
#[cfg(feature = "tcp")]
mod client;
pub mod codec;
pub mod error;
pub mod founding;
pub mod machine;
#[cfg(feature = "tcp")]
mod node;
pub mod replica;
pub mod roster;
#[cfg(feature = "tcp")]
mod runtime;
#[cfg(feature = "tcp")]
mod status;
pub mod transport;
pub mod wire;

pub use applier::Applier;
#[cfg(feature = "tcp")]
pub use builder::{NodeBuilder, StartError};
#[cfg(feature = "tcp")]
pub use client::{Client, Consistency};
pub use codec::{Codec, CodecError};
pub use error::{CallError, Refusal, StopReason, UnknownReason};
pub use machine::{Applying, StateMachine};
#[cfg(feature = "tcp")]
pub use node::{Node, NodeFacts};
pub use quorate_core::{ClusterId, EntryId, Index, NodeId, PeerStatus, RoleName, Term};
pub use roster::{Member, Roster};
#[cfg(feature = "tcp")]
pub use status::Status;
#[cfg(feature = "tcp")]
pub use transport::Listening;
