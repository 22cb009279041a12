//! Snapshots: files that hold everything up to one entry, taken here or received from a peer.
//!
//! A [`SnapshotStore`] is passive like the log: a shell queues jobs and calls
//! [`SnapshotStore::step`], which does at most one file operation. It works on the directory of the
//! log through a handle of its own, so that another thread may step it.
//!
//! A file is exactly the bytes that travel to a peer, and free of anything that belongs to one node:
//! equal states at equal entries give equal files. Its [`SnapshotId`] holds length and hash, so
//! that two can never mix.
//!
//! Invariants:
//!
//! - a file gets its final name only when all of it was written, verified where it was received,
//!   and synced; and [`SnapshotProgress::Taken`] and [`SnapshotProgress::Installed`] are reported
//!   only when that name is durable, too. The log drops its prefix on the strength of those reports
//!   alone, and the file that a snapshot replaces goes by [`SnapshotStore::keep`] alone;
//! - nothing of a snapshot is handed to a state machine before its checksum was compared;
//! - which of two snapshots is the newer is a question of their indices, never of their terms;
//! - no length that was read makes anything allocate more than a block, or more than the file has.
//!
//! The bytes are specified in `docs/disk-format.md`. `format` has the layout, `walk` verifies a file
//! piece by piece, `store` the jobs, `read` what other threads read.

mod format;
mod names;
mod read;
mod receive;
mod store;
mod take;
mod walk;

use std::fmt;

use quorate_core::SnapshotId;

use crate::error::{Damage, IoFailure};

pub use read::{ContentReader, SnapshotReadError, SnapshotReader};
pub use store::SnapshotStore;

use format::MAX_META_BYTES;
pub(crate) use names::{Name, damaged_name};
pub(crate) use store::{Found, Held};
pub(crate) use walk::{Walk, Walked};

/// Where the bytes of a snapshot come from: a view of a state machine that no longer changes.
pub trait Content: Send {
    /// Appends the next piece, best of about 64 KiB; says whether more may follow.
    ///
    /// How the bytes are cut into pieces leaves no trace in the file.
    ///
    /// # Errors
    ///
    /// When the state cannot be written down, in words; nothing is taken then.
    fn next(&mut self, room: &mut Vec<u8>) -> Result<bool, String>;
}

/// A durable snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSnapshot {
    /// Which one it is.
    pub id: SnapshotId,
    /// What the layer above gave with it.
    pub meta: Vec<u8>,
}

/// What a step did.
#[derive(Debug)]
#[non_exhaustive]
pub enum SnapshotProgress {
    /// There is nothing to do.
    Idle,
    /// At most one operation of a job is done.
    Working,
    /// A snapshot is durable, by content and by name: what it covers may leave the log.
    Taken(StoredSnapshot),
    /// No snapshot was taken; nothing is left of the attempt.
    TakeFailed(SnapshotFailure),
    /// So many bytes of a snapshot are in its file.
    Received {
        /// Which one is being received.
        id: SnapshotId,
        /// Bytes from its beginning.
        received: u64,
    },
    /// What was received is not the snapshot, or could not be kept; nothing is left of it.
    Rejected {
        /// Which one it was to be.
        id: SnapshotId,
        /// What went wrong.
        reason: SnapshotFailure,
    },
    /// A received snapshot is whole and durable, by content and by name.
    Installed(StoredSnapshot),
    /// Every file that was not to be kept is gone.
    Removed,
}

/// Why a snapshot was not taken or not received. The store goes on.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum SnapshotFailure {
    /// An operation failed.
    Io(IoFailure),
    /// The state machine could not write its state down.
    Content(String),
    /// The bytes that came are not the snapshot that was named.
    Damaged(Damage),
    /// Not all bytes are there.
    Incomplete {
        /// Bytes that are.
        received: u64,
    },
}

impl fmt::Display for SnapshotFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(failure) => failure.fmt(f),
            Self::Content(reason) => write!(f, "the state could not be written down: {reason}"),
            Self::Damaged(damage) => damage.fmt(f),
            Self::Incomplete { received } => write!(f, "only {received} bytes of it are there"),
        }
    }
}

impl From<IoFailure> for SnapshotFailure {
    fn from(failure: IoFailure) -> Self {
        Self::Io(failure)
    }
}

/// Why the store stopped. Final: no call after it does anything.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum SnapshotError {
    /// Names could not be made durable after a snapshot had got its own: it is unknown which files
    /// a restart will find.
    Names(IoFailure),
}

impl fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Names(failure) => write!(
                f,
                "the snapshots stopped for good: {failure}; nothing is tried again, because what \
                 a failed sync left behind is unknown; check the disk, then start the node again"
            ),
        }
    }
}

impl std::error::Error for SnapshotError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Names(failure) => Some(&*failure.source),
        }
    }
}
