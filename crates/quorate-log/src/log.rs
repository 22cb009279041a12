//! The durable log: passive, one writer, one file operation per step.
use std::marker::PhantomData;

use quorate_core::{BootCounter, ClusterId, EntryId, HardState, Index, NodeId, PersistToken};

use crate::error::{LogError, ReadError};
use crate::fs::Fs;
use crate::record::Entries;

/// Sizes of the log's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// Bytes of a segment, zero-filled ahead of use.
    pub segment_bytes: u64,
    /// Bytes that the device writes as one: 512 or 4096.
    pub sector_bytes: u32,
    /// Bytes of entries after which a batch takes no further write.
    pub batch_bytes: usize,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { segment_bytes: 64 << 20, sector_bytes: 512, batch_bytes: 4 << 20 }
    }
}

/// One thing to make durable.
#[derive(Clone, Debug)]
pub struct Write {
    /// Reported when all of it is durable; tokens of successive writes ascend.
    pub token: PersistToken,
    /// Term and vote, if they changed.
    pub hard_state: Option<HardState>,
    /// First index to drop, before the entries are appended.
    pub truncate_from: Option<Index>,
    /// Entries to append, without a gap.
    pub entries: Vec<Entries>,
    /// Commit index known when the write was made; recorded with it, never waited for.
    pub commit: Index,
}

/// A prefix to drop, or a whole log to replace by a snapshot.
#[derive(Clone, Debug)]
pub struct Compact {
    /// Last entry of the prefix.
    pub base: EntryId,
    /// What the shell wants back with it.
    pub meta: Vec<u8>,
}

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// There is nothing to do.
    Idle,
    /// One operation of a job is done.
    Working,
    /// Every write up to and with this token is durable.
    Persisted(PersistToken),
    /// The log begins after this entry.
    Compacted(EntryId),
    /// The founding record is durable.
    Founded(ClusterId),
    /// The last batch is provably durable.
    Fenced,
    /// The segment to come is ready.
    Prepared,
}

/// What the shell should ask for when there is time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Maintenance {
    /// Call [`Log::fence`] when no write came for 20 ms.
    pub fence: bool,
    /// Call [`Log::prepare_segment`].
    pub prepare_segment: bool,
}

/// Which node of which cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Drawn when the directory was formatted.
    pub node: NodeId,
    /// Zero until founded.
    pub cluster: ClusterId,
    /// The founding record, once there is one.
    pub founding: Option<Vec<u8>>,
}

/// The log of one data directory.
#[derive(Debug)]
pub struct Log<F: Fs> {
    fs: PhantomData<F>,
}

impl<F: Fs> Log<F> {
    /// Queues a write.
    pub fn enqueue(&mut self, _write: Write) {
        todo!()
    }
    /// Queues a compaction.
    pub fn compact(&mut self, _compact: Compact) {
        todo!()
    }
    /// Queues the founding record.
    pub fn found(&mut self, _cluster: ClusterId, _record: Vec<u8>) {
        todo!()
    }
    /// Queues the idle fence.
    pub fn fence(&mut self) {
        todo!()
    }
    /// Queues the creation of the segment to come.
    pub fn prepare_segment(&mut self) {
        todo!()
    }
    /// Does at most one file operation.
    ///
    /// # Errors
    ///
    /// Final.
    pub fn step(&mut self) -> Result<Progress, LogError> {
        todo!()
    }
    /// Hints.
    pub fn maintenance(&self) -> Maintenance {
        todo!()
    }
    /// Reads durable entries.
    ///
    /// # Errors
    ///
    /// See [`ReadError`].
    pub fn read(
        &self,
        _first: Index,
        _last: Index,
        _max_bytes: usize,
    ) -> Result<Vec<Entries>, ReadError> {
        todo!()
    }
    /// A reader for another thread.
    pub fn reader(&self) -> LogReader<F> {
        todo!()
    }
    /// Last durable entry.
    pub fn last(&self) -> EntryId {
        todo!()
    }
    /// Entry before the first.
    pub fn base(&self) -> EntryId {
        todo!()
    }
    /// This boot.
    pub fn boot(&self) -> BootCounter {
        todo!()
    }
    /// Who.
    pub fn identity(&self) -> &Identity {
        todo!()
    }
}

/// Reads durable entries from any thread.
#[derive(Clone, Debug)]
pub struct LogReader<F: Fs> {
    fs: PhantomData<F>,
}

impl<F: Fs> LogReader<F> {
    /// Reads durable entries.
    ///
    /// # Errors
    ///
    /// See [`ReadError`].
    pub fn read(
        &self,
        _first: Index,
        _last: Index,
        _max_bytes: usize,
    ) -> Result<Vec<Entries>, ReadError> {
        todo!()
    }
}
