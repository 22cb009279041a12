//! The durable log: passive, one writer, at most one file operation per step.
//!
//! The shell queues jobs and calls [`Log::step`] until it is idle; between two steps it may stop,
//! do other work, or crash. Jobs run one after another, in the order they were queued; writes that
//! wait together become one batch with one sync (group commit), so their tokens complete together
//! and in order. Making the segment to come yields to every other job.
//!
//! Invariants:
//!
//! - a token is reported only when everything up to it is durable: entries, truncation, term and
//!   vote;
//! - term and vote are durable before entries that were queued with or after them, so that no batch
//!   has a higher term than the hard state;
//! - one batch is under way at a time, so every batch header proves its predecessor durable;
//! - after the first failed operation nothing is tried again: every step answers with that error.

mod perform;
mod plan;

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use quorate_core::{BootCounter, ClusterId, EntryId, Few, HardState, Index, NodeId, PersistToken};

use crate::block::Entries;
use crate::directory::{Directory, Named};
use crate::error::{IoFailure, LogError, ReadError};
use crate::fs::Fs;
use crate::hard_state::{Copy, HardStateRecord};
use crate::reader::LogReader;
use crate::segment::{MAX_SEGMENT_BYTES, SegmentHeader, is_sector};
use crate::spare::Spare;
use crate::table::Table;

/// Sizes of the log's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// Bytes of a segment, zero-filled ahead of use.
    pub segment_bytes: u64,
    /// Bytes that the device writes as one: 512 or 4096. Segments keep the unit they were made
    /// with.
    pub sector_bytes: u32,
    /// Bytes of entries after which a batch takes no further write.
    pub batch_bytes: usize,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { segment_bytes: 64 << 20, sector_bytes: 512, batch_bytes: 4 << 20 }
    }
}

impl LogConfig {
    /// Checks the sizes.
    ///
    /// # Panics
    ///
    /// When the sector size is not 512 or 4096, or a segment is smaller than 16 sectors or no
    /// multiple of them: such a log could not be read back.
    pub(crate) fn check(&self) {
        assert!(is_sector(self.sector_bytes), "a sector has 512 or 4096 bytes");
        let sector = u64::from(self.sector_bytes);
        assert!(self.segment_bytes >= 16 * sector, "a segment has at least 16 sectors");
        assert!(self.segment_bytes.is_multiple_of(sector), "a segment is a number of sectors");
        assert!(self.segment_bytes <= MAX_SEGMENT_BYTES, "a segment has at most 4 GiB");
    }
}

/// One thing to make durable.
#[derive(Clone, Debug)]
pub struct Write {
    /// Reported when all of it is durable; tokens of successive writes ascend.
    pub token: PersistToken,
    /// Term and vote, if they changed. Terms never decrease.
    pub hard_state: Option<HardState>,
    /// First index to drop, before the entries are appended; above the base.
    pub truncate_from: Option<Index>,
    /// Entries to append, each following the one before without a gap.
    pub entries: Few<Entries>,
    /// Commit index known when the write was made; recorded with it, never waited for.
    pub commit: Index,
}

/// A prefix to drop; or, when the log does not hold `base`, all of it, because a snapshot took its
/// place.
#[derive(Clone, Debug)]
pub struct Compact {
    /// Last entry of the prefix; it is covered by a durable snapshot.
    pub base: EntryId,
    /// What the shell wants back with it when the directory is opened.
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
    /// The disk has no room for the segment to come. What is there stays safe and writable; when
    /// the present segment is full the log stops for good. Ask again with
    /// [`Log::prepare_segment`] after space was freed.
    NoSpace,
}

/// What the shell should ask for when there is time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Maintenance {
    /// Call [`Log::fence`] when no write came for 20 ms.
    pub fence: bool,
    /// Call [`Log::prepare_segment`].
    pub prepare_segment: bool,
    /// The disk had no room for the segment to come.
    pub no_space: bool,
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

/// A directory accepts one founding record, ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AlreadyFounded {
    /// The cluster that it belongs to, or is about to.
    pub cluster: ClusterId,
}

impl fmt::Display for AlreadyFounded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the data directory already belongs to cluster {}", self.cluster)
    }
}

impl std::error::Error for AlreadyFounded {}

/// What waits in the queue.
#[derive(Debug)]
enum Job {
    Write(Write),
    Compact(Compact),
    Found(ClusterId, Vec<u8>),
    Fence,
}

/// One operation of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    HardStateWrite(Copy),
    HardStateSync(Copy),
    /// Makes the spare segment ready: as many operations as it takes.
    Spare,
    SegmentHeader,
    SegmentHeaderSync,
    SegmentName,
    SegmentNameSync,
    BatchWrite,
    BatchSync,
    SmallCreate,
    SmallWrite,
    SmallSync,
    SmallName,
    SmallNameSync,
    /// Removes segments that the base covers: as many operations as it takes.
    RemoveSegments,
    RemovalSync,
}

/// A job whose actions are under way: what it changes when they are done.
#[derive(Debug)]
enum Outcome {
    Persisted(PersistToken),
    Compacted(EntryId),
    Founded(ClusterId),
    Fenced,
}

/// A batch under way.
#[derive(Debug)]
struct Batch {
    offset: u64,
    extent: u64,
    sequence: u64,
    hash: u128,
    fence: bool,
    truncate_from: Option<Index>,
    entries: Vec<Entries>,
}

/// A small file under way.
#[derive(Debug)]
struct Replacing<File> {
    name: &'static str,
    bytes: Vec<u8>,
    file: Option<Named<File>>,
    effect: Effect,
}

/// What is true once a small file has its name.
#[derive(Debug)]
enum Effect {
    Base(EntryId),
    Founding(ClusterId, Vec<u8>),
}

/// The segment that takes the writes.
#[derive(Debug)]
pub(crate) struct Current<File> {
    pub(crate) header: SegmentHeader,
    pub(crate) file: Named<File>,
    /// Where the next batch begins.
    pub(crate) end: u64,
    /// Whether nothing may be appended: its tail was torn, or the log continues elsewhere.
    pub(crate) sealed: bool,
}

/// What opening found, as the log needs it.
#[derive(Debug)]
pub(crate) struct Parts<F: Fs> {
    pub(crate) directory: Directory<F>,
    pub(crate) config: LogConfig,
    pub(crate) identity: Identity,
    /// Set once the directory is founded; shared with the snapshots.
    pub(crate) cluster: Arc<OnceLock<ClusterId>>,
    pub(crate) hard_state: HardStateRecord,
    pub(crate) copies: [Named<F::File>; 2],
    pub(crate) table: Table<F::File>,
    pub(crate) current: Option<Current<F::File>>,
    /// Number and chain hash of the last batch.
    pub(crate) chain: (u64, u128),
    pub(crate) commit: Index,
    pub(crate) seed: u64,
}

/// The log of one data directory: see the module.
pub struct Log<F: Fs> {
    directory: Directory<F>,
    config: LogConfig,
    identity: Identity,
    /// What the snapshots know of it.
    cluster: Arc<OnceLock<ClusterId>>,
    /// Cluster of a founding record that is queued or durable.
    founding: Option<ClusterId>,
    /// What both copies hold.
    hard_state: HardStateRecord,
    /// What both copies will hold.
    next_hard_state: HardStateRecord,
    copies: [Named<F::File>; 2],
    /// What is durable; shared with readers.
    table: Arc<Mutex<Table<F::File>>>,
    reader: LogReader<F>,
    current: Option<Current<F::File>>,
    /// Header of the segment that is about to take over.
    next_segment: Option<SegmentHeader>,
    /// Number and chain hash of the last durable batch.
    chain: (u64, u128),
    /// Highest commit index that a write told.
    commit: Index,
    /// Whether something later proves the last batch durable.
    fenced: bool,
    seed: u64,
    spare: Spare<F::File>,
    preparing: bool,
    /// The next step is one for the segment to come, whatever waits: a batch was just written.
    owes_spare: bool,
    no_space: bool,
    queue: VecDeque<Job>,
    actions: VecDeque<Action>,
    outcome: Option<Outcome>,
    batch: Option<Batch>,
    replacing: Option<Replacing<F::File>>,
    /// Bytes of the batch under way; kept, because fresh pages cost more than copying.
    buffer: Vec<u8>,
    stopped: Option<LogError>,
}

impl<F: Fs> fmt::Debug for Log<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log")
            .field("directory", &self.directory.root())
            .field("base", &self.base())
            .field("last", &self.last())
            .field("hard_state", &self.hard_state)
            .field("queued", &self.queue.len())
            .field("stopped", &self.stopped)
            .finish_non_exhaustive()
    }
}

impl<F: Fs> Log<F> {
    pub(crate) fn from_parts(parts: Parts<F>) -> Self {
        let table = Arc::new(Mutex::new(parts.table));
        let reader = LogReader::new(Arc::clone(&table));
        let founded = parts.identity.founding.is_some();
        Self {
            founding: founded.then_some(parts.identity.cluster),
            directory: parts.directory,
            config: parts.config,
            identity: parts.identity,
            cluster: parts.cluster,
            hard_state: parts.hard_state,
            next_hard_state: parts.hard_state,
            copies: parts.copies,
            table,
            reader,
            current: parts.current,
            next_segment: None,
            chain: parts.chain,
            commit: parts.commit,
            // The hard state that opening wrote names the last batch.
            fenced: true,
            seed: parts.seed,
            spare: Spare::new(),
            preparing: false,
            owes_spare: false,
            no_space: false,
            queue: VecDeque::new(),
            actions: VecDeque::new(),
            outcome: None,
            batch: None,
            replacing: None,
            buffer: Vec::new(),
            stopped: None,
        }
    }

    /// Queues a write. Writes that wait together are made durable together.
    ///
    /// The entries of a write follow what the log holds after all that was queued before, and its
    /// terms are at most the hard state's; a step that meets a write that breaks this panics.
    pub fn enqueue(&mut self, write: Write) {
        self.queue.push_back(Job::Write(write));
    }

    /// Queues a compaction.
    ///
    /// The caller vouches that a durable snapshot covers the base. One at or below the present
    /// base changes nothing and is reported with the present base.
    pub fn compact(&mut self, compact: Compact) {
        self.queue.push_back(Job::Compact(compact));
    }

    /// Queues the founding record.
    ///
    /// # Errors
    ///
    /// When there is one, or one is queued: a directory accepts one, ever.
    pub fn found(&mut self, cluster: ClusterId, record: Vec<u8>) -> Result<(), AlreadyFounded> {
        if let Some(cluster) = self.founding {
            return Err(AlreadyFounded { cluster });
        }
        assert!(cluster > ClusterId::ZERO, "a cluster's id is never zero");
        self.founding = Some(cluster);
        self.queue.push_back(Job::Found(cluster, record));
        Ok(())
    }

    /// Queues the idle fence: a record that the last batch was durable, so that damage to it can
    /// never pass for a torn tail.
    pub fn fence(&mut self) {
        self.queue.push_back(Job::Fence);
    }

    /// Asks for the segment to come; it is made while nothing else waits.
    pub const fn prepare_segment(&mut self) {
        self.preparing = true;
        self.no_space = false;
    }

    /// What to ask for when there is time.
    #[must_use]
    pub fn maintenance(&self) -> Maintenance {
        let fence = !self.fenced && self.queue.is_empty() && self.actions.is_empty();
        let prepare_segment = self.wants_spare() && !self.preparing;
        Maintenance { fence, prepare_segment, no_space: self.no_space }
    }

    /// Whether half of the present segment is used and the one to come is not ready.
    fn wants_spare(&self) -> bool {
        let half_used = self
            .current
            .as_ref()
            .is_none_or(|current| current.sealed || current.end >= current.header.capacity / 2);
        let ready = self.spare.is_ready(self.config.segment_bytes) || self.no_space;
        half_used && !ready && self.identity.founding.is_some() && self.stopped.is_none()
    }

    /// Does at most one file operation of the next job.
    ///
    /// # Errors
    ///
    /// When an operation failed, in this step or any before. Final: what the failed operation left
    /// behind is unknown, so nothing that waits may be acknowledged and the process must end.
    ///
    /// # Panics
    ///
    /// When a queued job does not follow from what the log holds.
    pub fn step(&mut self) -> Result<Progress, LogError> {
        if let Some(error) = &self.stopped {
            return Err(error.clone());
        }
        if self.actions.is_empty() && self.outcome.is_none() {
            // Under load nothing is ever idle: the segment to come takes turns with the batches.
            if core::mem::take(&mut self.owes_spare) && self.wants_spare() {
                return self.grow_spare();
            }
            self.plan();
        }
        let Some(action) = self.actions.pop_front() else {
            return match self.outcome.take() {
                Some(outcome) => Ok(self.finish(&outcome)),
                None => self.prepare(),
            };
        };
        if let Err(failure) = self.perform(action) {
            return Err(self.stop(failure));
        }
        match self.outcome.take_if(|_| self.actions.is_empty()) {
            Some(outcome) => Ok(self.finish(&outcome)),
            None => Ok(Progress::Working),
        }
    }

    /// Whether a step would find nothing to do.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        let quiet = self.queue.is_empty() && self.actions.is_empty() && self.outcome.is_none();
        let owes_spare = self.owes_spare && self.wants_spare();
        quiet && !self.preparing && !owes_spare && self.stopped.is_none()
    }

    /// Whether the segment to come is being made, and nothing else is.
    #[must_use]
    pub fn is_preparing(&self) -> bool {
        self.preparing && self.actions.is_empty() && self.outcome.is_none()
    }

    /// Reads durable entries back, verified: from `first` on, up to `last` and about `max_bytes`,
    /// but at least one.
    ///
    /// # Errors
    ///
    /// When `first` is compacted or not durable, or the bytes cannot be believed.
    pub fn read(
        &mut self,
        first: Index,
        last: Index,
        max_bytes: usize,
    ) -> Result<Vec<Entries>, ReadError> {
        self.reader.read(first, last, max_bytes)
    }

    /// A reader for another thread.
    #[must_use]
    pub fn reader(&self) -> LogReader<F> {
        self.reader.clone()
    }

    /// Last durable entry.
    #[must_use]
    pub fn last(&self) -> EntryId {
        self.table().last
    }

    /// The entry before the first that the log holds.
    #[must_use]
    pub fn base(&self) -> EntryId {
        self.table().base
    }

    /// Whether the log holds exactly this entry, or begins after it.
    #[must_use]
    pub fn holds(&self, id: EntryId) -> bool {
        self.table().holds(id)
    }

    /// Term and vote as they are durable.
    #[must_use]
    pub const fn hard_state(&self) -> HardState {
        self.hard_state.state
    }

    /// This life of the directory.
    #[must_use]
    pub const fn boot(&self) -> BootCounter {
        self.hard_state.boot
    }

    /// Which node of which cluster.
    #[must_use]
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The error that stopped the log, if one did.
    #[must_use]
    pub const fn stopped(&self) -> Option<&LogError> {
        self.stopped.as_ref()
    }

    fn table(&self) -> MutexGuard<'_, Table<F::File>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the first failure for ever.
    fn stop(&mut self, failure: IoFailure) -> LogError {
        let error = LogError::from(failure);
        self.stopped = Some(error.clone());
        self.queue.clear();
        self.actions.clear();
        self.outcome = None;
        error
    }

    /// Works on the segment to come, when nothing else waits.
    fn prepare(&mut self) -> Result<Progress, LogError> {
        if !self.preparing {
            return Ok(Progress::Idle);
        }
        if self.spare.is_ready(self.config.segment_bytes) {
            self.preparing = false;
            return Ok(Progress::Prepared);
        }
        self.grow_spare()
    }

    /// Does one operation for the segment to come.
    fn grow_spare(&mut self) -> Result<Progress, LogError> {
        match self.spare.step(&mut self.directory, self.config.segment_bytes) {
            Ok(()) if self.spare.is_ready(self.config.segment_bytes) => {
                self.preparing = false;
                Ok(Progress::Prepared)
            }
            Ok(()) => Ok(Progress::Working),
            Err(failure) => match LogError::from(failure) {
                // The file holds nothing yet, so giving it up leaves nothing unknown.
                LogError::Full(_) => {
                    self.spare.spoil();
                    self.preparing = false;
                    self.no_space = true;
                    Ok(Progress::NoSpace)
                }
                LogError::Failed(failure) => Err(self.stop(failure)),
            },
        }
    }
}
