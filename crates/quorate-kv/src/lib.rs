//! A multi-version key-value store with etcd's semantics, as a pure state machine.
//!
//! Every command that changes something makes one revision; the versions that it replaces stay
//! readable until a compaction. Nothing here reads a clock, draws a random number, starts a
//! thread or does I/O: the same commands in the same order give the same state, replies and
//! events on every node.
//!
//! - [`Command`] is what changes the store, [`Range`] what reads it; both can be checked without
//!   any state ([`Command::validate`], [`Range::validate`]), so that a server refuses bad requests
//!   before they cost anybody anything.
//! - [`Store`] executes commands. [`Store::view`] hands out a [`View`]: the whole store as it is at
//!   that moment, in constant time, readable from any thread while writes go on.
//! - [`KvMachine`] makes the store a replicated state machine; it is the only part that knows that
//!   there is replication at all.
//! - Values of replaced versions are kept in an archive: in memory, or in what an
//!   [`ArchiveStorage`] makes for them.
//! - A command that fails answers a [`KvError`], whose text and class are etcd's. It has no effect.
//!
//! ```
//! use quorate_kv::{Command, Outcome, Put, Range, Store};
//!
//! let mut store = Store::default();
//! let reply = store.apply(Command::Put(Put::new(b"greeting", b"hello")), &mut Vec::new());
//! assert_eq!(reply.revision.get(), 2);
//!
//! let before = store.view();
//! store.apply(Command::Put(Put::new(b"greeting", b"goodbye")), &mut Vec::new());
//! let read = before.range(&Range::key(b"greeting")).expect("the latest revision is readable");
//! assert_eq!(read.kvs[0].value(), b"hello");
//! ```
#![forbid(unsafe_code)]
#![deny(clippy::float_arithmetic)]

mod alarm;
mod archive;
mod codec;
mod command;
mod digest;
mod error;
mod event;
mod key_range;
mod key_value;
mod machine;
mod query;
mod reply;
mod retired;
mod revision;
mod snapshot;
mod store;
mod tree;
mod txn;
mod validate;
mod varint;
mod versions;
mod view;

pub use alarm::{Alarm, AlarmChange, AlarmKind};
pub use archive::{ArchiveChunk, ArchiveStorage};
pub use command::{
    Append, Command, Compare, CompareTarget, DeleteRange, MAX_APPENDED_BYTES, MAX_TXN_OPERATIONS,
    Operation, Put, Relation, Txn,
};
pub use digest::Digest;
pub use error::{ErrorCode, KvError};
pub use event::{Event, EventKind, EventSink, NoSink};
pub use key_range::KeyRange;
pub use key_value::KeyValue;
pub use machine::{Answer, KvMachine, Query};
pub use query::{Range, SortOrder, SortTarget};
pub use reply::{AppendReply, DeleteRangeReply, Outcome, PutReply, RangeReply, Reply, TxnReply};
pub use revision::{LeaseId, Revision};
pub use snapshot::StoreSnapshot;
pub use store::Store;
pub use view::{Stats, View};
