//! A durable, segmented, checksummed Raft log with group commit, driven one file operation at a time.
#![forbid(unsafe_code)]

pub mod error;
pub mod fs;
pub mod log;
pub mod record;
pub mod recovery;
mod wire;

pub use error::{Damage, DamageKind, IoFailure, LogError, OpenError, Operation, ReadError};
pub use fs::{File, Fs, OsFs};
pub use log::{Compact, Identity, Log, LogConfig, LogReader, Maintenance, Progress, Write};
pub use record::{
    Block, BlockBuilder, Entries, EntryRef, Envelope, EnvelopeError, Limits, RECORD_HEADER_BYTES,
    RecordError,
};
pub use recovery::{
    OpenOptions, OpenProgress, Opening, Recovered, Report, TornTail, open_blocking,
};
