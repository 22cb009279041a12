//! What can go wrong, split by who reads it.
//!
//! - [`OpenError`]: whoever starts a node. Every variant names the directory or file and what to do.
//! - [`LogError`]: whoever runs one. A failed write or sync is final: the log answers with the same
//!   error from then on, and the process must end.
//! - [`ReadError`]: whoever reads older entries back.
//! - [`Damage`]: the report on bytes that are not what was written; part of the two above.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use quorate_core::{BootCounter, ClusterId, EntryId, Index, NodeId, Term};

/// Which primitive failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// Creating the data directory.
    CreateRoot,
    /// Listing the data directory.
    List,
    /// Creating a file.
    Create,
    /// Opening a file.
    Open,
    /// Renaming a file.
    Rename,
    /// Removing a file.
    Remove,
    /// Making names durable.
    SyncDir,
    /// Locking the directory.
    Lock,
    /// Writing.
    Write,
    /// Reading.
    Read,
    /// Making bytes durable.
    Sync,
    /// Asking for a file's length.
    Length,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CreateRoot => "creating the directory",
            Self::List => "listing the directory",
            Self::Create => "creating the file",
            Self::Open => "opening the file",
            Self::Rename => "renaming the file",
            Self::Remove => "removing the file",
            Self::SyncDir => "syncing the directory",
            Self::Lock => "locking the file",
            Self::Write => "writing the file",
            Self::Read => "reading the file",
            Self::Sync => "syncing the file",
            Self::Length => "reading the length of the file",
        })
    }
}

/// A primitive failed.
#[derive(Clone, Debug)]
pub struct IoFailure {
    /// What was tried.
    pub operation: Operation,
    /// The file or directory.
    pub path: PathBuf,
    /// Where in the file, for reading and writing.
    pub offset: Option<u64>,
    /// What the system said.
    pub source: Arc<io::Error>,
}

impl fmt::Display for IoFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.operation, self.path.display())?;
        if let Some(offset) = self.offset {
            write!(f, " at byte {offset}")?;
        }
        write!(f, " failed: {}", self.source)
    }
}

/// Why a running log stopped. Final: no call after it does anything.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum LogError {
    /// A write, sync or other operation failed: what is durable is unknown, so nothing that waits
    /// may be acknowledged and nothing is tried again.
    Failed(IoFailure),
    /// The disk is full.
    Full(IoFailure),
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(failure) => write!(
                f,
                "the log stopped for good: {failure}; nothing is tried again, because what a \
                 failed write left behind is unknown; check the disk, then start the node again"
            ),
            Self::Full(failure) => write!(
                f,
                "the log stopped: {failure}; free space on the disk, then start the node again"
            ),
        }
    }
}

impl std::error::Error for LogError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Failed(failure) | Self::Full(failure) => Some(&*failure.source),
        }
    }
}

impl From<IoFailure> for LogError {
    fn from(failure: IoFailure) -> Self {
        match failure.source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full(failure),
            _ => Self::Failed(failure),
        }
    }
}

/// What is wrong with bytes on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DamageKind {
    /// A checksum does not match.
    Checksum,
    /// The magic number or another constant is not there.
    Magic,
    /// A field contradicts the file's place: another file's or another place's bytes.
    Misplaced,
    /// A field contradicts what came before it.
    Chain,
    /// A length or count is impossible.
    Length,
    /// An entry inside an intact batch cannot be read.
    Record,
    /// The file is shorter than it was made.
    Short,
    /// Something acknowledged once is not there.
    Missing,
    /// The device could not read it.
    Unreadable,
}

impl fmt::Display for DamageKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Checksum => "the checksum does not match",
            Self::Magic => "it is not what this file should hold",
            Self::Misplaced => "it belongs to another file or another place",
            Self::Chain => "it does not follow from what is before it",
            Self::Length => "a length is impossible",
            Self::Record => "an entry cannot be read",
            Self::Short => "the file is shorter than it was made",
            Self::Missing => "something that was acknowledged is missing",
            Self::Unreadable => "the device could not read it",
        })
    }
}

/// Bytes that are not what was written, where that is no torn tail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub file: PathBuf,
    /// Where in it.
    pub offset: u64,
    /// What is wrong.
    pub kind: DamageKind,
    /// First index that may be affected, if entries are.
    pub first: Option<Index>,
    /// Last index that may be affected; absent when it is unknown.
    pub last: Option<Index>,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is damaged at byte {}: {}", self.file.display(), self.offset, self.kind)?;
        match (self.first, self.last) {
            (Some(first), Some(last)) => write!(f, " (entries {first} to {last})"),
            (Some(first), None) => write!(f, " (entries from {first} on)"),
            (None, _) => Ok(()),
        }
    }
}

/// Why a data directory cannot be opened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// A live process has the directory.
    Locked {
        /// The data directory.
        directory: PathBuf,
    },
    /// The path exists and holds other things than a data directory.
    NotADataDirectory {
        /// The path.
        directory: PathBuf,
        /// One thing that does not belong there, or the file that is missing.
        found: String,
    },
    /// The directory does not exist or is empty, and no node id was given to format it with.
    NotFormatted {
        /// The data directory.
        directory: PathBuf,
    },
    /// The process may not write there.
    NotWritable {
        /// What the system refused.
        failure: IoFailure,
    },
    /// A later program wrote the file.
    NewerFormat {
        /// The file.
        file: PathBuf,
        /// Its format.
        found: u32,
        /// The latest format that this program knows.
        known: u32,
    },
    /// The directory belongs to another cluster than was expected.
    OtherCluster {
        /// The data directory.
        directory: PathBuf,
        /// The cluster that was expected.
        expected: ClusterId,
        /// The cluster that it belongs to.
        found: ClusterId,
    },
    /// A file in the directory was written by another node.
    OtherNode {
        /// The file.
        file: PathBuf,
        /// The node whose directory it is.
        expected: NodeId,
        /// The node that wrote the file; absent for zero.
        found: Option<NodeId>,
    },
    /// Neither copy of term and vote is there.
    HardStateMissing {
        /// The data directory.
        directory: PathBuf,
    },
    /// Neither copy of term and vote can be believed.
    HardStateDamaged {
        /// What is wrong with the first copy.
        damage: Damage,
    },
    /// Term and vote are older than the log: part of the directory was restored from a copy.
    Stale {
        /// The data directory.
        directory: PathBuf,
        /// Term in the hard state.
        term: Term,
        /// Highest term in the log.
        log_term: Term,
        /// Boot counter in the hard state.
        boot: BootCounter,
        /// Highest boot counter in the log.
        log_boot: BootCounter,
    },
    /// A file of the log, or one of its name, is missing.
    SegmentMissing {
        /// The file.
        file: PathBuf,
        /// First index that it may have held.
        first: Index,
    },
    /// The log begins after an entry, and there is no snapshot of what came before it.
    SnapshotMissing {
        /// The data directory.
        directory: PathBuf,
        /// The entry that the log begins after.
        base: EntryId,
    },
    /// The log begins after an entry, and no snapshot of what came before it can be believed.
    SnapshotDamaged {
        /// What is wrong with the newest.
        damage: Damage,
        /// The entry that the log begins after.
        base: EntryId,
    },
    /// Something acknowledged is damaged or gone.
    Damaged(Damage),
    /// An operation failed.
    Io(IoFailure),
}

/// What to do when entries that may have been acknowledged are gone from one node.
const REJOIN: &str = "nothing was changed; the other voters hold the data: move the directory away, \
     start the node on an empty one and let it join as a new member (of a single-node cluster, \
     restore a copy or a backup of the directory)";

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Locked { directory } => write!(
                f,
                "data directory {}: a live process holds its lock; stop that process, or give \
                 this node a directory of its own",
                directory.display()
            ),
            Self::NotADataDirectory { directory, found } => write!(
                f,
                "{} is not a data directory: {found}; name an empty directory or one that a node \
                 made",
                directory.display()
            ),
            Self::NotFormatted { directory } => {
                write!(f, "{} holds no data directory yet", directory.display())
            }
            Self::NotWritable { failure } => write!(
                f,
                "{failure}; the process must own the data directory: change its owner or mode, or \
                 name another"
            ),
            Self::NewerFormat { file, found, known } => write!(
                f,
                "{} has format {found}, this program knows formats up to {known}; upgrade it",
                file.display()
            ),
            Self::OtherCluster { directory, expected, found } => write!(
                f,
                "data directory {} belongs to cluster {found}, not to {expected}; name the \
                 directory of this cluster, or an empty one",
                directory.display()
            ),
            Self::OtherNode { file, expected, found } => {
                write!(f, "{} was written by ", file.display())?;
                match found {
                    Some(found) => write!(f, "node {found}")?,
                    None => f.write_str("no node")?,
                }
                write!(f, ", the directory is that of node {expected}; {REJOIN}")
            }
            Self::HardStateMissing { directory } => write!(
                f,
                "data directory {}: hs.a and hs.b are both missing, so that the node's vote is \
                 unknown; {REJOIN}",
                directory.display()
            ),
            Self::HardStateDamaged { damage } => {
                write!(f, "{damage}; the other copy is no better, so that the node's vote is ")?;
                write!(f, "unknown; {REJOIN}")
            }
            Self::Stale { directory, term, log_term, boot, log_boot } => write!(
                f,
                "data directory {}: hs.a and hs.b are older than the log (term {term} and {log_term}, \
                 boot {boot} and {log_boot}), as after restoring a part of it; {REJOIN}",
                directory.display()
            ),
            Self::SegmentMissing { file, first } => {
                write!(f, "{} is missing (entries from {first} on); {REJOIN}", file.display())
            }
            Self::SnapshotMissing { directory, base } => {
                write!(f, "data directory {}: {}", directory.display(), WithoutSnapshot(base))
            }
            Self::SnapshotDamaged { damage, base } => {
                write!(f, "{damage}; {}", WithoutSnapshot(base))
            }
            Self::Damaged(damage) => write!(f, "{damage}; {REJOIN}"),
            Self::Io(failure) => write!(f, "{failure}; check the disk, then start the node again"),
        }
    }
}

/// What a log says that begins after this entry, where no snapshot reaches it.
struct WithoutSnapshot<'a>(&'a EntryId);

impl fmt::Display for WithoutSnapshot<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the log begins after entry {}, and no whole snapshot ", self.0)?;
        write!(f, "holds what came before; {REJOIN}")
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NotWritable { failure } | Self::Io(failure) => Some(&*failure.source),
            _ => None,
        }
    }
}

impl From<IoFailure> for OpenError {
    fn from(failure: IoFailure) -> Self {
        use io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem, WouldBlock};
        match failure.source.kind() {
            PermissionDenied | ReadOnlyFilesystem => Self::NotWritable { failure },
            WouldBlock if failure.operation == Operation::Lock => {
                let directory = failure.path.parent().unwrap_or(&failure.path).to_path_buf();
                Self::Locked { directory }
            }
            _ => Self::Io(failure),
        }
    }
}

/// Why entries could not be read back.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ReadError {
    /// The entry is in the compacted prefix.
    Compacted {
        /// Last index of that prefix.
        base: Index,
    },
    /// The entry is not durable here.
    Beyond {
        /// Last index that is.
        last: Index,
    },
    /// The bytes are not what was written.
    Damaged(Damage),
    /// The file could not be read.
    Io(IoFailure),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Compacted { base } => write!(f, "the log begins after {base}"),
            Self::Beyond { last } => write!(f, "the log is durable up to {last}"),
            Self::Damaged(damage) => write!(f, "{damage}; stop the node; {REJOIN}"),
            Self::Io(failure) => write!(f, "{failure}; check the disk"),
        }
    }
}

impl std::error::Error for ReadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(failure) => Some(&*failure.source),
            _ => None,
        }
    }
}
