//! Opening a data directory: a resumable job, one file operation per step.
use std::path::PathBuf;

use quorate_core::{BootCounter, ClusterId, EntryId, HardState, Index, NodeId, Run};

use crate::error::OpenError;
use crate::fs::Fs;
use crate::log::{Identity, Log, LogConfig};

/// How to open.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// Sizes.
    pub config: LogConfig,
    /// Formats an empty or absent directory with this id; without it, such a directory is an error.
    pub format_as: Option<NodeId>,
    /// The cluster that the directory must belong to if it was founded.
    pub cluster: Option<ClusterId>,
    /// Random number of this start: the ids of segments are drawn from it.
    pub seed: u64,
    /// An index that the shell knows to have been durable here, such as its state machine's.
    pub proven: Index,
}

/// A directory, opened.
#[derive(Debug)]
pub struct Recovered<F: Fs> {
    /// The log, ready.
    pub log: Log<F>,
    /// This life of the directory; durable.
    pub boot: BootCounter,
    /// Term and vote.
    pub hard_state: HardState,
    /// The entry before the first retained one.
    pub base: EntryId,
    /// What the shell gave with the base.
    pub base_meta: Vec<u8>,
    /// Heads of every retained entry, in order; membership runs without their content.
    pub runs: Vec<Run>,
    /// Payload of every retained membership entry, in order.
    pub memberships: Vec<(Index, Vec<u8>)>,
    /// Highest commit index recorded with a batch, at most the last index.
    pub commit: Index,
    /// Who this is.
    pub identity: Identity,
    /// What was noticed.
    pub report: Report,
}

/// What opening noticed beside the contents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The torn tail that was cut: never acknowledged.
    pub torn: Option<TornTail>,
    /// Copies of term and vote that could not be read and were written again.
    pub hard_state_repaired: Vec<PathBuf>,
    /// Files that do not belong to a data directory and were left alone.
    pub unknown_files: Vec<PathBuf>,
    /// Whether the directory was formatted by this start.
    pub formatted: bool,
}

/// A tail that a crash left half written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// The segment.
    pub file: PathBuf,
    /// Where it begins.
    pub offset: u64,
    /// Bytes up to the last that is not zero.
    pub bytes: u64,
    /// First index that is not there for it.
    pub first: Index,
}

/// What a step of opening did.
#[derive(Debug)]
pub enum OpenProgress<F: Fs> {
    /// One operation is done.
    Working,
    /// The directory is open.
    Ready(Box<Recovered<F>>),
}

/// A directory being opened.
#[derive(Debug)]
pub struct Opening<F: Fs> {
    fs: F,
}

impl<F: Fs> Opening<F> {
    /// Begins; touches nothing.
    pub fn new(fs: F, _options: OpenOptions) -> Self {
        Self { fs }
    }
    /// Does at most one file operation.
    ///
    /// # Errors
    ///
    /// Final.
    pub fn step(&mut self) -> Result<OpenProgress<F>, OpenError> {
        todo!("{}", self.fs.root().display())
    }
}

/// Opens a directory without a pause.
///
/// # Errors
///
/// See [`OpenError`].
pub fn open_blocking<F: Fs>(fs: F, options: OpenOptions) -> Result<Recovered<F>, OpenError> {
    let mut opening = Opening::new(fs, options);
    loop {
        if let OpenProgress::Ready(recovered) = opening.step()? {
            return Ok(*recovered);
        }
    }
}
