//! The Raft protocol as a pure state machine: inputs in, effects out.
#![forbid(unsafe_code)]
pub mod entry;
pub mod hard_state;
pub mod id;
pub mod membership;
pub mod time;

pub use entry::{EntryKind, Run};
pub use hard_state::HardState;
pub use id::{BootCounter, ClusterId, EntryId, Index, NodeId, PersistToken, ReadId, RequestId, Term};
pub use membership::Membership;
pub use time::Instant;
