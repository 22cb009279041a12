//! A durable, segmented, checksummed Raft log with group commit, driven one file operation at a
//! time.
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
pub mod log;
mod reader;
pub mod record;
pub mod recovery;
mod runs;
mod scan;
mod segment;
mod small;
mod spare;
mod table;
mod whiten;
mod wire;

pub use block::{Block, BlockBuilder, Entries};
pub use error::{Damage, DamageKind, IoFailure, LogError, OpenError, Operation, ReadError};
pub use fs::{File, Fs, OsFs};
pub use log::{AlreadyFounded, Compact, Identity, Log, LogConfig, Maintenance, Progress, Write};
pub use reader::LogReader;
pub use record::{EntryRef, Envelope, EnvelopeError, Limits, RECORD_HEADER_BYTES, RecordError};
pub use recovery::{
    OpenOptions, OpenProgress, Opening, Recovered, Report, TornTail, open_blocking,
};
