//! A durable, segmented, checksummed Raft log with group commit, driven one file operation at a
//! time.
//!
//! The log is passive: it owns no thread, timer, clock or source of randomness. A shell opens a
//! data directory ([`Opening`]), queues jobs on the [`Log`] that comes out, and steps both; each
//! step does at most one operation of [`Fs`]. Between any two steps the shell may do other things,
//! and a simulator may crash the machine (the feature `fault` has the disk for that).
//!
//! What it promises, whatever happens to process, machine or power:
//!
//! - what was reported as persisted is there after any crash, and in order;
//! - what was half written is never served: a torn tail is cut where it is proven to be torn;
//! - damage to what may have been acknowledged is never cut: the directory is refused, with file,
//!   offset and entries;
//! - after the first failed write or sync nothing is tried again and nothing more is reported.
//!
//! The bytes are specified in `docs/disk-format.md`. Reading order: [`record`] and [`block`] (an
//! entry, many entries), `segment` and `batch` (where they stand), `log` with `log/plan` and
//! `log/perform` (writing), `recovery` with `scan` (opening, and what is torn).
//!
//! ```
//! use quorate_core::{ClusterId, EntryKind, Few, HardState, Index, NodeId, PersistToken, Term};
//! use quorate_log::{BlockBuilder, Envelope, OpenOptions, OsFs, Progress, Write, open_blocking};
//!
//! let directory = tempfile::tempdir()?;
//! let options = OpenOptions { format_as: NodeId::new(7), seed: 42, ..OpenOptions::default() };
//! let mut log = open_blocking(OsFs::new(directory.path()), options.clone())?.log;
//! log.found(ClusterId(1), b"who founded it".to_vec())?;
//!
//! let mut block = BlockBuilder::new();
//! block.push(Index(1), Term(1), &Envelope::of(EntryKind::Command, 0), b"put a 1");
//! log.enqueue(Write {
//!     token: PersistToken(1),
//!     hard_state: Some(HardState { term: Term(1), vote: NodeId::new(7) }),
//!     truncate_from: None,
//!     entries: Few::one(block.finish().into()),
//!     commit: Index::ZERO,
//! });
//! while log.step()? != Progress::Persisted(PersistToken(1)) {}
//! drop(log);
//!
//! let mut recovered = open_blocking(OsFs::new(directory.path()), options)?;
//! let entries = recovered.log.read(Index(1), Index(1), usize::MAX)?;
//! assert_eq!(entries[0].entry(Index(1)).unwrap().payload, b"put a 1");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod batch;
pub mod block;
mod contents;
mod directory;
pub mod error;
#[cfg(any(test, feature = "fault"))]
pub mod fault;
pub mod fs;
mod hard_state;
mod heads;
pub mod log;
pub mod memory;
mod reader;
pub mod record;
pub mod recovery;
mod runs;
mod scan;
mod segment;
mod small;
pub mod snapshot;
mod spare;
mod table;
mod whiten;
mod wire;

pub use block::{Block, BlockBuilder, Entries};
pub use error::{Damage, DamageKind, IoFailure, LogError, OpenError, Operation, ReadError};
pub use fs::{File, Fs, OsFs};
pub use log::{AlreadyFounded, Compact, Identity, Log, LogConfig, Maintenance, Progress, Write};
pub use memory::MemoryFs;
pub use reader::LogReader;
pub use record::{EntryRef, Envelope, EnvelopeError, Limits, RECORD_HEADER_BYTES, RecordError};
pub use recovery::{
    OpenOptions, OpenProgress, Opening, Recovered, Report, TornTail, open_blocking,
};
pub use snapshot::{
    Content, ContentReader, SnapshotError, SnapshotFailure, SnapshotProgress, SnapshotReadError,
    SnapshotReader, SnapshotStore, StoredSnapshot,
};
