//! Opening a data directory: a resumable job, at most one file operation per step.
//!
//! In order: lock; format an empty directory if that is asked for; identity, founding record, base,
//! both copies of term and vote; every segment's header, then every segment's batches. What does
//! not verify is either a proven torn tail, which is cut, or an [`OpenError`] and nothing is
//! changed (the module `scan` tells the two apart). Only then does opening write: the last batch again
//! (a process that died after a failed sync may have left pages that only the cache holds), the
//! names, and both copies of the hard state with the next boot counter.
//!
//! Invariants:
//!
//! - a crash at any step leaves a directory that opens again to the same contents;
//! - when the directory is open, everything reported is durable, and so is the boot counter;
//! - after a torn tail the segment takes no more batches: the next one opens a new segment.

mod finish;
mod format;
mod segments;
mod snapshots;

use std::collections::VecDeque;
use std::path::PathBuf;

use quorate_core::{BootCounter, ClusterId, EntryId, HardState, Index, NodeId, Run, Term};

use crate::contents::Contents;
use crate::directory::{Directory, LOCK, Named, TEMPORARY};
use crate::error::{Damage, DamageKind, IoFailure, OpenError};
use crate::fs::Fs;
use crate::hard_state::{Copy, HARD_STATE_BYTES, HardStateRecord};
use crate::log::{Current, Identity, Log, LogConfig};
use crate::segment::{FORMAT, HeaderError, segment_sequence};
use crate::small::{Small, SmallKind};
use crate::snapshot::{Name, SnapshotStore};

use self::format::FormatStep;
use self::segments::Headed;
use self::snapshots::Snapshots;

/// Largest small file that is read.
const SMALL_BYTES: u64 = 64 << 20;

/// How to open a directory.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// Sizes of the files to come.
    pub config: LogConfig,
    /// Formats an absent or empty directory as this node; without it such a directory is an error.
    pub format_as: Option<NodeId>,
    /// The cluster that the directory must belong to, if it was founded.
    pub cluster: Option<ClusterId>,
    /// A random number for this start: the ids of segments are drawn from it.
    pub seed: u64,
    /// An index that the shell knows to have been durable here, such as that of a state machine
    /// with files of its own; zero for none.
    pub proven: Index,
    /// What the base stands for is kept elsewhere: a base without a snapshot file is no error. For
    /// who uses the log alone.
    pub external_snapshots: bool,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            config: LogConfig::default(),
            format_as: None,
            cluster: None,
            seed: 0,
            proven: Index::ZERO,
            external_snapshots: false,
        }
    }
}

/// A directory, opened.
#[derive(Debug)]
pub struct Recovered<F: Fs> {
    /// The log, ready to take jobs.
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
    /// The snapshots. The newest, if there is any, is at or above the base, and the log holds the
    /// entry that it ends with or begins after it.
    pub snapshots: SnapshotStore<F>,
    /// Highest commit index recorded or covered by a snapshot, at most the last index.
    pub commit: Index,
    /// Which node of which cluster.
    pub identity: Identity,
    /// What was noticed.
    pub report: Report,
}

/// What opening noticed beside the contents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The torn tail that was cut: it was never acknowledged.
    pub torn: Option<TornTail>,
    /// Copies of term and vote that could not be believed and were written again.
    pub hard_state_repaired: Vec<PathBuf>,
    /// Snapshots that could not be believed and were renamed: an older one took their place.
    pub damaged_snapshots: Vec<Damage>,
    /// The received snapshot that took the log's place: a crash had come between the two halves.
    pub installed: Option<EntryId>,
    /// Files that do not belong to a data directory and were left alone.
    pub unknown_files: Vec<PathBuf>,
    /// Whether this start formatted the directory.
    pub formatted: bool,
}

/// A tail that a crash left half written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// The segment.
    pub file: PathBuf,
    /// Where the tail begins.
    pub offset: u64,
    /// Bytes up to the last that is not zero.
    pub bytes: u64,
    /// First index that was lost with it, at the latest.
    pub first: Index,
}

/// What a step of opening did.
#[derive(Debug)]
pub enum OpenProgress<F: Fs> {
    /// At most one operation is done.
    Working,
    /// The directory is open.
    Ready(Box<Recovered<F>>),
}

/// What opening does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Look,
    CreateRoot,
    Lock,
    List,
    Format,
    Small(SmallKind),
    HardState(Copy),
    Snapshots,
    Headers,
    Segments,
    Finish,
    Install,
    Done,
}

/// What opening writes when everything was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FinishStep {
    RewriteBatch,
    SyncBatch,
    SyncNames,
    CreateHardState(Copy),
    KeepHardState(Copy),
    WriteHardState(Copy),
    SyncHardState(Copy),
    RemoveTemporary,
    SetAsideSnapshot,
    RemoveSnapshot,
    RemoveSegment,
}

/// A file being read whole: open, ask its length, read.
#[derive(Debug)]
struct Reading<T> {
    file: Option<Named<T>>,
    length: Option<u64>,
}

/// A data directory being opened: see the module.
#[derive(Debug)]
pub struct Opening<F: Fs> {
    /// Absent once the log has it.
    directory: Option<Directory<F>>,
    options: OpenOptions,
    stage: Stage,
    names: Vec<String>,
    format: VecDeque<FormatStep>,
    reading: Reading<F::File>,
    node: Option<NodeId>,
    founding: Option<Small>,
    base: Option<Small>,
    copies: [Option<Named<F::File>>; 2],
    /// What each copy of the hard state holds, or why it cannot be believed.
    records: [Option<Result<HardStateRecord, HeaderError>>; 2],
    chosen: Option<(Copy, HardStateRecord)>,
    /// The chosen copy as it was read.
    kept: Option<HardStateRecord>,
    snapshots: Snapshots<F::File>,
    headed: VecDeque<Headed<F::File>>,
    headers_left: VecDeque<u64>,
    /// Segments that the base covers.
    unneeded: VecDeque<String>,
    contents: Option<Contents<F::File>>,
    current: Option<Current<F::File>>,
    chain: (u64, u128),
    /// The last batch as it stands on disk, to be written again.
    last_batch: Option<(u64, Vec<u8>)>,
    finish: VecDeque<FinishStep>,
    /// What is open but for a log that has to give way to a snapshot.
    installing: Option<Box<Recovered<F>>>,
    report: Report,
}

impl<F: Fs> Opening<F> {
    /// Begins; touches nothing.
    ///
    /// # Panics
    ///
    /// When the sizes of the options are not possible.
    #[must_use]
    pub fn new(fs: F, options: OpenOptions) -> Self {
        options.config.check();
        Self {
            directory: Some(Directory::new(fs)),
            options,
            stage: Stage::Look,
            names: Vec::new(),
            format: VecDeque::new(),
            reading: Reading { file: None, length: None },
            node: None,
            founding: None,
            base: None,
            copies: [None, None],
            records: [None, None],
            chosen: None,
            kept: None,
            snapshots: Snapshots::default(),
            headed: VecDeque::new(),
            headers_left: VecDeque::new(),
            unneeded: VecDeque::new(),
            contents: None,
            current: None,
            chain: (0, 0),
            last_batch: None,
            finish: VecDeque::new(),
            installing: None,
            report: Report::default(),
        }
    }

    /// Does at most one file operation.
    ///
    /// # Errors
    ///
    /// When the directory cannot be opened. Final: begin again with another `Opening`.
    ///
    /// # Panics
    ///
    /// When called again after it was ready.
    pub fn step(&mut self) -> Result<OpenProgress<F>, OpenError> {
        match self.stage {
            Stage::Look => self.look()?,
            Stage::CreateRoot => {
                self.directory().create_root()?;
                self.stage = Stage::Lock;
            }
            Stage::Lock => {
                self.directory().lock()?;
                self.stage = Stage::List;
            }
            Stage::List => {
                self.names = self.directory().list()?;
                self.classify()?;
            }
            Stage::Format => self.format()?,
            Stage::Small(kind) => self.read_small(kind)?,
            Stage::HardState(copy) => self.read_hard_state(copy)?,
            Stage::Snapshots => self.read_snapshot()?,
            Stage::Headers => self.read_header()?,
            Stage::Segments => self.read_segment()?,
            Stage::Finish => {
                if let Some(step) = self.finish.pop_front() {
                    self.finish_step(step)?;
                } else {
                    let recovered = Box::new(self.recovered());
                    return Ok(self.settle(recovered));
                }
            }
            Stage::Install => return self.install(),
            Stage::Done => panic!("the directory is open already"),
        }
        Ok(OpenProgress::Working)
    }

    fn directory(&mut self) -> &mut Directory<F> {
        self.directory.as_mut().expect("the directory is here until the log takes it")
    }

    /// Looks at what is there before touching anything.
    fn look(&mut self) -> Result<(), OpenError> {
        match self.directory().list() {
            Ok(names) => {
                self.names = names;
                self.check_names()?;
                self.stage = Stage::Lock;
                Ok(())
            }
            Err(failure) => {
                let directory = failure.path.clone();
                match failure.source.kind() {
                    std::io::ErrorKind::NotFound if self.options.format_as.is_some() => {
                        self.stage = Stage::CreateRoot;
                        Ok(())
                    }
                    std::io::ErrorKind::NotFound => Err(OpenError::NotFormatted { directory }),
                    std::io::ErrorKind::NotADirectory => Err(OpenError::NotADataDirectory {
                        directory,
                        found: "it is a file".to_owned(),
                    }),
                    _ => Err(failure.into()),
                }
            }
        }
    }

    fn has(&self, name: &str) -> bool {
        self.names.iter().any(|other| other == name)
    }

    /// Refuses a directory without an identity that holds anything else.
    fn check_names(&mut self) -> Result<(), OpenError> {
        if self.has(SmallKind::Identity.name()) {
            return Ok(());
        }
        let leftover = |name: &String| {
            name == LOCK
                || name == Copy::A.name()
                || name == Copy::B.name()
                || name.ends_with(TEMPORARY)
        };
        let foreign = self.names.iter().find(|name| !leftover(name)).cloned();
        let directory = self.directory().root();
        if let Some(foreign) = foreign {
            let found = format!("it has no file named identity, and holds {foreign}");
            return Err(OpenError::NotADataDirectory { directory, found });
        }
        if self.options.format_as.is_none() {
            return Err(OpenError::NotFormatted { directory });
        }
        Ok(())
    }

    /// Decides from the names what to read.
    fn classify(&mut self) -> Result<(), OpenError> {
        self.check_names()?;
        if !self.has(SmallKind::Identity.name()) {
            self.plan_format();
            self.stage = Stage::Format;
            return Ok(());
        }
        let mut segments: Vec<u64> =
            self.names.iter().filter_map(|name| segment_sequence(name)).collect();
        segments.sort_unstable();
        self.headers_left = segments.into();
        self.snapshots = Snapshots::of(&self.names);
        let known = [LOCK, "identity", "founding", "base", "hs.a", "hs.b"];
        let unknown: Vec<String> = self
            .names
            .iter()
            .filter(|name| !known.contains(&name.as_str()) && !name.ends_with(TEMPORARY))
            .filter(|name| segment_sequence(name).is_none() && Name::parse(name).is_none())
            .cloned()
            .collect();
        let directory = self.directory();
        self.report.unknown_files = unknown.iter().map(|name| directory.path(name)).collect();
        self.stage = Stage::Small(SmallKind::Identity);
        Ok(())
    }

    /// One operation of reading a whole file; the bytes when they are there.
    fn read_whole(&mut self, name: &str, limit: u64) -> Result<Option<Whole<F>>, OpenError> {
        let Some(file) = &self.reading.file else {
            self.reading.file = Some(self.directory().open(name)?);
            return Ok(None);
        };
        let Some(length) = self.reading.length else {
            self.reading.length = Some(file.length()?);
            return Ok(None);
        };
        let (path, file) = (file.path.clone(), file.clone());
        self.reading = Reading { file: None, length: None };
        let size = usize::try_from(length).ok().filter(|_| length <= limit);
        let Some(size) = size else {
            return Err(OpenError::Damaged(damage(path, DamageKind::Length)));
        };
        let mut bytes = vec![0; size];
        let read = file.read(&mut bytes, 0).map_err(unreadable)?;
        if read < size {
            return Err(OpenError::Damaged(damage(path, DamageKind::Short)));
        }
        Ok(Some((file, bytes)))
    }

    fn read_small(&mut self, kind: SmallKind) -> Result<(), OpenError> {
        let next = match kind {
            SmallKind::Identity => Stage::Small(SmallKind::Founding),
            SmallKind::Founding => Stage::Small(SmallKind::Base),
            SmallKind::Base => Stage::HardState(Copy::A),
        };
        if !self.has(kind.name()) {
            self.stage = next;
            return Ok(());
        }
        let Some((file, bytes)) = self.read_whole(kind.name(), SMALL_BYTES)? else {
            return Ok(());
        };
        let small = Small::decode(kind, bytes).map_err(|error| bad_file(&file.path, error))?;
        match (kind, self.node) {
            (SmallKind::Identity, _) => self.node = Some(small.node),
            (_, Some(expected)) if small.node != expected => {
                let found = Some(small.node);
                return Err(OpenError::OtherNode { file: file.path, expected, found });
            }
            (SmallKind::Founding, _) => {
                let expected = self.options.cluster.unwrap_or(small.cluster);
                if small.cluster != expected {
                    let directory = self.directory().root();
                    let found = small.cluster;
                    return Err(OpenError::OtherCluster { directory, expected, found });
                }
                self.founding = Some(small);
            }
            (SmallKind::Base, _) => {
                self.check_cluster(small.cluster)?;
                self.base = Some(small);
            }
        }
        self.stage = next;
        Ok(())
    }

    /// Refuses a file of another cluster than the founding record's.
    fn check_cluster(&mut self, found: ClusterId) -> Result<(), OpenError> {
        let directory = self.directory().root();
        match self.founding.as_ref().map(|founding| founding.cluster) {
            Some(expected) if expected == found => Ok(()),
            Some(expected) => Err(OpenError::OtherCluster { directory, expected, found }),
            None => {
                let file = directory.join(SmallKind::Founding.name());
                Err(OpenError::Damaged(damage(file, DamageKind::Missing)))
            }
        }
    }

    fn read_hard_state(&mut self, copy: Copy) -> Result<(), OpenError> {
        let slot = copy.slot();
        if self.has(copy.name()) {
            let whole = match self.read_whole(copy.name(), HARD_STATE_BYTES as u64) {
                Ok(None) => return Ok(()),
                Ok(Some((file, bytes))) => (Some(file), HardStateRecord::decode(&bytes)),
                Err(OpenError::Damaged(damage)) => (None, Err(HeaderError::Bad(damage.kind))),
                Err(error) => return Err(error),
            };
            let (file, record) = whole;
            if let Err(HeaderError::Newer(found)) = record {
                let file = self.directory().path(copy.name());
                return Err(OpenError::NewerFormat { file, found, known: FORMAT });
            }
            self.copies[slot] = file;
            self.records[slot] = Some(record);
        }
        if copy == Copy::A {
            self.stage = Stage::HardState(Copy::B);
            return Ok(());
        }
        self.choose_hard_state()
    }

    /// Takes the valid copy with the higher sequence.
    fn choose_hard_state(&mut self) -> Result<(), OpenError> {
        if self.records.iter().all(Option::is_none) {
            let directory = self.directory().root();
            return Err(OpenError::HardStateMissing { directory });
        }
        let node = self.node.expect("the identity was read");
        let mut chosen: Option<(Copy, HardStateRecord)> = None;
        let mut worst = DamageKind::Missing;
        for copy in [Copy::A, Copy::B] {
            let path = self.directory().path(copy.name());
            match self.records[copy.slot()] {
                Some(Ok(record)) => {
                    if record.node != node {
                        let found = Some(record.node);
                        return Err(OpenError::OtherNode { file: path, expected: node, found });
                    }
                    if record.cluster > ClusterId::ZERO {
                        self.check_cluster(record.cluster)?;
                    }
                    if chosen.is_none_or(|(_, other)| record.sequence > other.sequence) {
                        chosen = Some((copy, record));
                    }
                }
                Some(Err(HeaderError::Bad(kind))) => {
                    worst = kind;
                    self.report.hard_state_repaired.push(path);
                }
                _ => self.report.hard_state_repaired.push(path),
            }
        }
        if chosen.is_none() {
            let file = self.directory().path(Copy::A.name());
            return Err(OpenError::HardStateDamaged { damage: damage(file, worst) });
        }
        self.chosen = chosen;
        self.contents = Some(Contents::new(self.base_id()));
        self.stage = Stage::Snapshots;
        Ok(())
    }

    /// The entry before the log.
    fn base_id(&self) -> EntryId {
        self.base.as_ref().map_or(EntryId::ZERO, |base| {
            EntryId::new(Index(base.numbers[0]), Term(base.numbers[1]))
        })
    }
}

/// An open file and all its bytes.
type Whole<F> = (Named<<F as Fs>::File>, Vec<u8>);

/// Damage to a whole file.
const fn damage(file: PathBuf, kind: DamageKind) -> Damage {
    Damage { file, offset: 0, kind, first: None, last: None }
}

/// A file that cannot be decoded.
fn bad_file(file: &std::path::Path, error: HeaderError) -> OpenError {
    let file = file.to_path_buf();
    match error {
        HeaderError::Bad(kind) => OpenError::Damaged(damage(file, kind)),
        HeaderError::Newer(found) => OpenError::NewerFormat { file, found, known: FORMAT },
    }
}

/// A read that the device refused: never taken for a torn tail.
fn unreadable(failure: IoFailure) -> OpenError {
    OpenError::Damaged(Damage {
        offset: failure.offset.unwrap_or(0),
        ..damage(failure.path, DamageKind::Unreadable)
    })
}

/// Opens a directory without a pause.
///
/// # Errors
///
/// As [`Opening::step`].
pub fn open_blocking<F: Fs>(fs: F, options: OpenOptions) -> Result<Recovered<F>, OpenError> {
    let mut opening = Opening::new(fs, options);
    loop {
        if let OpenProgress::Ready(recovered) = opening.step()? {
            return Ok(*recovered);
        }
    }
}
