//! The Raft protocol as a pure state machine: inputs in, effects out.
#![forbid(unsafe_code)]

pub mod config;
pub mod effect;
pub mod entry;
pub mod error;
pub mod hard_state;
pub mod id;
pub mod input;
mod log;
pub mod membership;
pub mod message;
mod progress;
pub mod raft;
mod rng;
pub mod status;
pub mod time;
mod trace;

pub use config::{Config, ConfigError};
pub use effect::{DropReason, Effect, HaltReason, Persist, Send};
pub use entry::{EntryKind, Run};
pub use error::{ProposeError, StartError};
pub use hard_state::HardState;
pub use id::{
    BootCounter, ClusterId, EntryId, Index, NodeId, PersistToken, ReadId, RequestId, Term,
};
pub use input::Input;
pub use membership::Membership;
pub use message::{Append, AppendReply, Envelope, Message, ReadIndexReply, RequestVote, VoteReply};
pub use raft::{Raft, Start};
pub use status::{PeerStatus, RoleName, Status};
pub use time::Instant;
