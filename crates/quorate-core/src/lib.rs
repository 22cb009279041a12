//! The Raft protocol as a pure state machine: inputs in, effects out.
//!
//! [`Raft`] decides everything that a node of a Raft group decides: who leads, what is in the log,
//! what is committed, what a read may see. It performs nothing: it owns no thread, reads no clock,
//! opens no file and no socket, and draws no global randomness. A *shell* around it does that, and
//! there are two: the runtime of a real node, and a simulator. Both run this very code, so that a
//! bug in production has a seed that shows it.
//!
//! # The contract with a shell
//!
//! - Everything that happens is an [`Input`], given to [`Raft::handle`] with the present
//!   [`Instant`]; everything to do about it comes back as [`Effect`]s, in order.
//! - A wake-up ends with [`Input::Flush`]: a thousand proposals become one write and one append for
//!   each peer.
//! - [`Raft::next_deadline`] says when to come back with [`Input::Timer`], if nothing else happens.
//! - A [`Persist`] has a token; a [`Send`] may name one, and must not leave before that write is
//!   durable. Writes become durable in the order of their tokens. That is the whole contract of
//!   durability, and it is in the types.
//! - Payloads stay outside. The core knows of an entry its index, term, kind and size ([`Run`]); the
//!   shell attaches the bytes, by index *and* term.
//!
//! # A first look
//!
//! A node of three campaigns when its election timeout has passed. Its request for votes waits for
//! the write of its own vote:
//!
//! ```
//! use quorate_core::{
//!     BootCounter, Config, Effect, EntryId, HardState, Index, Input, Instant, Membership, Message,
//!     NodeId, Raft, Start,
//! };
//!
//! let ids: Vec<NodeId> = (1..=3).filter_map(NodeId::new).collect();
//! let mut raft = Raft::new(Start {
//!     id: ids[0],
//!     boot: BootCounter(1),
//!     config: Config::builder().pre_vote(false).build()?,
//!     seed: 42,
//!     now: Instant::ZERO,
//!     hard_state: HardState::default(),
//!     base: EntryId::ZERO,
//!     membership: Membership::of_voters(ids),
//!     runs: Vec::new(),
//!     commit: Index::ZERO,
//!     snapshot: None,
//! })?;
//!
//! let mut effects = Vec::new();
//! let deadline = raft.next_deadline().expect("a voter waits for its election timeout");
//! raft.handle(deadline, Input::Timer, &mut effects);
//!
//! let Effect::Persist(write) = &effects[0] else { panic!("its own vote comes first") };
//! assert_eq!(write.hard_state.map(|state| state.vote), Some(Some(raft.id())));
//! let asks_for_a_vote = |effect: &&Effect| match effect {
//!     Effect::Send(send) => {
//!         matches!(send.envelope.message, Message::RequestVote(_))
//!             && send.after == Some(write.token)
//!     }
//!     _ => false,
//! };
//! assert_eq!(effects.iter().filter(asks_for_a_vote).count(), 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! `examples/drive_core_by_hand.rs` goes on from there: two nodes, a loop, and a committed entry.
//!
//! # Where to read on
//!
//! In this order: [`id`] and [`entry`] name things, [`message`] is what nodes say, [`effect`] what
//! they ask for. In `raft/`, `role.rs` has the four roles and what each owns, `mod.rs` the rules
//! common to all, and each other file one concern: `election.rs`, `follower.rs`, `leader.rs`,
//! `replication.rs`, `snapshot.rs`, `read.rs`, `timers.rs`; `steady.rs` is what nearly every step takes
//! instead of them. `log/` is the log as the core sees it, and which write
//! makes what durable; `membership/` is the arithmetic of majorities. Traces print everything in one
//! line each; `tests/scenarios` has transcripts to read beside the paper.
//!
//! # What is not there yet
//!
//! Changing the membership, handing leadership over, lease reads.
#![forbid(unsafe_code)]
#![deny(clippy::wildcard_enum_match_arm, clippy::float_arithmetic)]

#[macro_use]
#[cfg_attr(not(quorate_mutants), doc(hidden))]
pub mod mutant;

pub mod config;
pub mod effect;
pub mod entry;
pub mod error;
pub mod few;
pub mod hard_state;
pub mod id;
pub mod input;
mod log;
pub mod membership;
pub mod message;
pub mod node_map;
mod progress;
pub mod raft;
pub mod recent;
mod rng;
pub mod snapshot;
pub mod status;
pub mod time;
mod trace;

pub use config::{Config, ConfigError};
pub use effect::{DropReason, Effect, HaltReason, Persist, Send};
pub use entry::{EntryKind, Run};
pub use error::{ProposeError, StartError};
pub use few::Few;
pub use hard_state::HardState;
pub use id::{
    BootCounter, ClusterId, EntryId, Index, NodeId, PersistToken, ReadId, RequestId, Term,
};
pub use input::Input;
pub use membership::Membership;
pub use message::{
    Append, AppendReply, Envelope, Message, ReadIndexReply, RequestVote, SnapshotChunk,
    SnapshotReply, VoteReply,
};
pub use raft::{Desk, Raft, Start};
pub use snapshot::SnapshotId;
pub use status::{PeerStatus, ReceivingStatus, RoleName, Status, TransferStatus};
pub use time::Instant;
