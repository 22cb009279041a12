//! Entries as bytes: one encoding for disk, wire and memory.
//!
//! A [`Block`] is a contiguous run of encoded records, made once (by a leader from a batch of
//! proposals, or by a decoder from a frame or a batch on disk) and shared from then on: followers,
//! disk and state machine hold the same bytes. [`Entries`] is a slice of a block.
//!
//! A record, little-endian:
//!
//! | at | bytes | what |
//! |---|---|---|
//! | 0 | 4 | length of envelope and payload |
//! | 4 | 4 | CRC-32C of everything from byte 8 to the end |
//! | 8 | 8 | index |
//! | 16 | 8 | term |
//! | 24 | 24 | envelope: version 1, kind 1, session 8, sequence 4, acknowledged distance 4, log time 6 |
//! | 48 | .. | payload |
//!
//! Invariants of every [`Block`], whoever made it: at least one entry, indices without a gap, terms
//! that never decrease and are never zero, each length and checksum verified. No bytes make the
//! decoder panic or allocate by a length that it has not checked.

use std::fmt;
use std::sync::Arc;

use quorate_core::{EntryId, EntryKind, Index, Run, Term};

use crate::wire::{put, put_u32, put_u64, take, take_u32, take_u64};

/// Bytes of a record before its payload: length, checksum, index, term, envelope.
pub const RECORD_HEADER_BYTES: usize = 48;

/// Bytes of an encoded [`Envelope`].
pub const ENVELOPE_BYTES: usize = 24;

/// Version of the envelope that this program writes and reads.
pub const ENVELOPE_VERSION: u8 = 1;

/// First log time that the envelope's 48 bits cannot hold.
const LOG_TIME_END: u64 = 1 << 48;

/// Bytes of a record before what its checksum covers.
const CHECKED_FROM: usize = 8;

/// Bytes of a record before its envelope.
const ENVELOPE_AT: usize = 24;

/// Entries of unequal size whose bytes one run may average.
const AVERAGED_ENTRIES: u32 = 64;

/// What an entry says about itself beside index and term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// What the entry is for.
    pub kind: EntryKind,
    /// Session of the client that proposed it; zero for none.
    pub session: u64,
    /// Number of the command within its session.
    pub sequence: u32,
    /// How far below `sequence` the highest sequence lies whose reply the client acknowledged.
    pub acknowledged_distance: u32,
    /// The log's time in milliseconds; 48 bits, held at the largest.
    pub log_time_ms: u64,
}

impl Envelope {
    /// An entry of this kind without a session.
    #[must_use]
    pub const fn of(kind: EntryKind, log_time_ms: u64) -> Self {
        Self { kind, session: 0, sequence: 0, acknowledged_distance: 0, log_time_ms }
    }

    /// The envelope as bytes. A log time above 48 bits is held at the largest.
    #[must_use]
    pub fn encode(&self) -> [u8; ENVELOPE_BYTES] {
        let mut out = [0; ENVELOPE_BYTES];
        out[0] = ENVELOPE_VERSION;
        out[1] = self.kind as u8;
        put_u64(&mut out, 2, self.session);
        put_u32(&mut out, 10, self.sequence);
        put_u32(&mut out, 14, self.acknowledged_distance);
        let time = self.log_time_ms.min(LOG_TIME_END - 1).to_le_bytes();
        out[18..24].copy_from_slice(&time[..6]);
        out
    }

    /// Reads an envelope.
    ///
    /// # Errors
    ///
    /// When its version or kind is one that this program does not know.
    pub fn decode(bytes: &[u8; ENVELOPE_BYTES]) -> Result<Self, EnvelopeError> {
        if bytes[0] != ENVELOPE_VERSION {
            return Err(EnvelopeError::Version(bytes[0]));
        }
        let kind = EntryKind::from_u8(bytes[1]).ok_or(EnvelopeError::Kind(bytes[1]))?;
        let mut time = [0; 8];
        time[..6].copy_from_slice(&bytes[18..24]);
        Ok(Self {
            kind,
            session: take_u64(bytes, 2).unwrap_or_default(),
            sequence: take_u32(bytes, 10).unwrap_or_default(),
            acknowledged_distance: take_u32(bytes, 14).unwrap_or_default(),
            log_time_ms: u64::from_le_bytes(time),
        })
    }
}

/// Why an envelope cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// Its version is another than [`ENVELOPE_VERSION`].
    Version(u8),
    /// No kind of entry has this number.
    Kind(u8),
}

impl fmt::Display for EnvelopeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(found) => write!(
                f,
                "envelope version {found}, this program knows {ENVELOPE_VERSION}; upgrade it"
            ),
            Self::Kind(found) => write!(f, "no kind of entry has the number {found}"),
        }
    }
}

impl std::error::Error for EnvelopeError {}

/// Bounds that a decoder enforces before it believes a length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes of one block.
    pub block_bytes: usize,
    /// Most bytes of one record, header included.
    pub record_bytes: usize,
}

impl Limits {
    /// Only what the format itself bounds: for bytes whose size is already bounded.
    pub const FORMAT: Self =
        Self { block_bytes: u32::MAX as usize, record_bytes: u32::MAX as usize };
}

impl Default for Limits {
    fn default() -> Self {
        Self::FORMAT
    }
}

/// Why bytes are not a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecordError {
    /// There are no bytes: a block has at least one entry.
    Empty,
    /// The block is larger than the limit.
    BlockTooLarge {
        /// Bytes of the block.
        bytes: usize,
        /// Most that are allowed.
        limit: usize,
    },
    /// A record says that it is larger than the limit.
    RecordTooLarge {
        /// Where in the block the record begins.
        offset: usize,
        /// Bytes that the record claims.
        bytes: u64,
        /// Most that are allowed.
        limit: usize,
    },
    /// A record says that it is too short for its own envelope.
    RecordTooShort {
        /// Where in the block the record begins.
        offset: usize,
    },
    /// The bytes end inside a record.
    Cut {
        /// Where in the block the record begins.
        offset: usize,
    },
    /// A record's checksum does not match its bytes.
    Checksum {
        /// Where in the block the record begins.
        offset: usize,
    },
    /// A record's envelope cannot be read.
    Envelope {
        /// Where in the block the record begins.
        offset: usize,
        /// What is wrong with it.
        source: EnvelopeError,
    },
    /// Indices have a gap, go back, or begin at zero.
    Index {
        /// Where in the block the record begins.
        offset: usize,
        /// The index that should be there; absent when the first one is zero.
        expected: Option<Index>,
        /// The index that is there.
        found: Index,
    },
    /// Terms decrease, or are zero.
    Term {
        /// Where in the block the record begins.
        offset: usize,
        /// Term of the entry before.
        previous: Term,
        /// The term that is there.
        found: Term,
    },
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("no entries"),
            Self::BlockTooLarge { bytes, limit } => {
                write!(f, "{bytes} bytes of entries, the limit is {limit}")
            }
            Self::RecordTooLarge { offset, bytes, limit } => {
                write!(f, "the record at byte {offset} claims {bytes} bytes, the limit is {limit}")
            }
            Self::RecordTooShort { offset } => {
                write!(f, "the record at byte {offset} is shorter than its envelope")
            }
            Self::Cut { offset } => write!(f, "the bytes end inside the record at byte {offset}"),
            Self::Checksum { offset } => {
                write!(f, "the record at byte {offset} does not match its checksum")
            }
            Self::Envelope { offset, source } => {
                write!(f, "the record at byte {offset} cannot be read: {source}")
            }
            Self::Index { offset, expected: Some(expected), found } => {
                write!(f, "the record at byte {offset} has index {found} where {expected} follows")
            }
            Self::Index { offset, found, .. } => {
                write!(f, "the record at byte {offset} has index {found}, which no entry has")
            }
            Self::Term { offset, previous, found } => {
                write!(f, "the record at byte {offset} has term {found} after term {previous}")
            }
        }
    }
}

impl std::error::Error for RecordError {}

/// One entry, borrowed from its block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryRef<'a> {
    /// Index and term.
    pub id: EntryId,
    /// What the entry says about itself.
    pub envelope: Envelope,
    /// The bytes that the protocol does not read.
    pub payload: &'a [u8],
}

/// Encodes entries one after another into one block.
///
/// A builder that is [`reserve`](Self::with_capacity)d for a batch allocates nothing per entry.
#[derive(Clone, Debug, Default)]
pub struct BlockBuilder {
    bytes: Vec<u8>,
    /// Start of each record.
    offsets: Vec<u32>,
    first: Index,
    last: EntryId,
}

impl BlockBuilder {
    /// A builder without entries.
    #[must_use]
    pub const fn new() -> Self {
        Self { bytes: Vec::new(), offsets: Vec::new(), first: Index::ZERO, last: EntryId::ZERO }
    }

    /// A builder with room for a batch.
    #[must_use]
    pub fn with_capacity(entries: usize, bytes: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(bytes),
            offsets: Vec::with_capacity(entries),
            ..Self::new()
        }
    }

    /// Appends an entry.
    ///
    /// # Panics
    ///
    /// When `index` does not follow the entry before, `term` is zero or lower than the one before,
    /// or the block would exceed 4 GiB.
    pub fn push(&mut self, index: Index, term: Term, envelope: &Envelope, payload: &[u8]) {
        if self.offsets.is_empty() {
            assert!(index > Index::ZERO, "the first entry of a log has index 1");
            self.first = index;
        } else {
            assert_eq!(index, self.last.index.next(), "indices of a block have no gap");
        }
        assert!(term > Term::ZERO && term >= self.last.term, "terms of a log never decrease");
        let start = self.bytes.len();
        let end = start + RECORD_HEADER_BYTES + payload.len();
        assert!(u32::try_from(end).is_ok(), "a block is smaller than 4 GiB");
        let length = u32::try_from(ENVELOPE_BYTES + payload.len()).expect("checked with the end");
        let mut head = [0; RECORD_HEADER_BYTES];
        put_u32(&mut head, 0, length);
        put_u64(&mut head, 8, index.0);
        put_u64(&mut head, 16, term.0);
        put(&mut head, ENVELOPE_AT, envelope.encode());
        let crc = crc32c::crc32c_append(crc32c::crc32c(&head[CHECKED_FROM..]), payload);
        put_u32(&mut head, 4, crc);
        self.bytes.extend_from_slice(&head);
        self.bytes.extend_from_slice(payload);
        self.offsets.push(u32::try_from(start).expect("checked with the end"));
        self.last = EntryId::new(index, term);
    }

    /// Whether no entry was pushed.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.offsets.is_empty()
    }

    /// Number of entries.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.offsets.len()
    }

    /// Encoded bytes so far.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Closes the block; the builder is empty afterwards.
    ///
    /// # Panics
    ///
    /// When no entry was pushed: a block has at least one.
    #[must_use]
    pub fn finish(&mut self) -> Arc<Block> {
        assert!(!self.is_empty(), "a block has at least one entry");
        let Self { bytes, offsets, first, last } = std::mem::take(self);
        Arc::new(Block { bytes, offsets, first, last })
    }
}

/// Consecutive entries, encoded, verified and immutable.
#[derive(PartialEq, Eq)]
pub struct Block {
    bytes: Vec<u8>,
    /// Start of each record.
    offsets: Vec<u32>,
    first: Index,
    last: EntryId,
}

impl Block {
    /// Reads a block from exactly these bytes, which it keeps.
    ///
    /// # Errors
    ///
    /// When the bytes break any rule that the module lists.
    pub fn decode(bytes: Vec<u8>, limits: Limits) -> Result<Arc<Self>, RecordError> {
        let (offsets, first, last) = verify(&bytes, limits)?;
        Ok(Arc::new(Self { bytes, offsets, first, last }))
    }

    /// Index of the first entry.
    #[must_use]
    pub const fn first(&self) -> Index {
        self.first
    }

    /// Id of the last entry.
    #[must_use]
    pub const fn last(&self) -> EntryId {
        self.last
    }

    /// Number of entries; at least 1.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a block is never empty")]
    pub const fn len(&self) -> usize {
        self.offsets.len()
    }

    /// All records, encoded.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The entry at `index`, if it is here.
    #[must_use]
    pub fn entry(&self, index: Index) -> Option<EntryRef<'_>> {
        let record = self.record(index)?;
        let envelope = take::<ENVELOPE_BYTES>(record, ENVELOPE_AT)?;
        Some(EntryRef {
            id: EntryId::new(index, self.term(index)?),
            envelope: Envelope::decode(&envelope).ok()?,
            payload: record.get(RECORD_HEADER_BYTES..)?,
        })
    }

    /// Term of the entry at `index`, if it is here.
    #[must_use]
    pub fn term(&self, index: Index) -> Option<Term> {
        take_u64(self.record(index)?, 16).map(Term)
    }

    /// The bytes of one record.
    fn record(&self, index: Index) -> Option<&[u8]> {
        let position = self.position(index)?;
        self.bytes.get(self.start(position)?..self.start(position + 1)?)
    }

    /// Which record has this index.
    fn position(&self, index: Index) -> Option<usize> {
        let position = usize::try_from(index.0.checked_sub(self.first.0)?).ok()?;
        (position < self.offsets.len()).then_some(position)
    }

    /// Where a record begins; the end of the bytes for the one after the last.
    fn start(&self, position: usize) -> Option<usize> {
        if position == self.offsets.len() {
            return Some(self.bytes.len());
        }
        self.offsets.get(position).map(|&offset| offset as usize)
    }
}

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Block({}..={}, {} bytes)", self.first, self.last, self.bytes.len())
    }
}

/// Checks every record and finds where each begins.
fn verify(bytes: &[u8], limits: Limits) -> Result<(Vec<u32>, Index, EntryId), RecordError> {
    let limit = limits.block_bytes.min(u32::MAX as usize);
    if bytes.len() > limit {
        return Err(RecordError::BlockTooLarge { bytes: bytes.len(), limit });
    }
    let mut offsets = Vec::new();
    let mut first = None;
    let last = walk(bytes, limits, |entry, offset| {
        first.get_or_insert(entry.id.index);
        offsets.push(u32::try_from(offset).expect("a block is smaller than 4 GiB"));
    })?;
    Ok((offsets, first.unwrap_or_default(), last))
}

/// Checks every record and shows each with its offset; gives the id of the last.
pub(crate) fn walk<'a>(
    bytes: &'a [u8],
    limits: Limits,
    mut visit: impl FnMut(EntryRef<'a>, usize),
) -> Result<EntryId, RecordError> {
    let mut last: Option<EntryId> = None;
    let mut offset = 0;
    while offset < bytes.len() {
        let record = record_at(bytes, offset, limits)?;
        let cut = RecordError::Cut { offset };
        let crc = take_u32(record, 4).ok_or(cut)?;
        if crc32c::crc32c(&record[CHECKED_FROM..]) != crc {
            return Err(RecordError::Checksum { offset });
        }
        let index = Index(take_u64(record, 8).ok_or(cut)?);
        let term = Term(take_u64(record, 16).ok_or(cut)?);
        let envelope = take::<ENVELOPE_BYTES>(record, ENVELOPE_AT).ok_or(cut)?;
        let envelope = Envelope::decode(&envelope)
            .map_err(|source| RecordError::Envelope { offset, source })?;
        let expected = last.and_then(|last| last.index.0.checked_add(1)).map(Index);
        let follows = if last.is_some() { expected == Some(index) } else { index > Index::ZERO };
        if !follows {
            return Err(RecordError::Index { offset, expected, found: index });
        }
        let previous = last.map_or(Term::ZERO, |last| last.term);
        if term == Term::ZERO || term < previous {
            return Err(RecordError::Term { offset, previous, found: term });
        }
        let id = EntryId::new(index, term);
        let payload = record.get(RECORD_HEADER_BYTES..).ok_or(cut)?;
        visit(EntryRef { id, envelope, payload }, offset);
        last = Some(id);
        offset += record.len();
    }
    last.ok_or(RecordError::Empty)
}

/// The record that begins at `offset`, its length checked against limits and bytes.
fn record_at(bytes: &[u8], offset: usize, limits: Limits) -> Result<&[u8], RecordError> {
    let length = take_u32(bytes, offset).ok_or(RecordError::Cut { offset })?;
    let claimed = u64::from(length) + ENVELOPE_AT as u64;
    if (length as usize) < ENVELOPE_BYTES {
        return Err(RecordError::RecordTooShort { offset });
    }
    if claimed > limits.record_bytes as u64 {
        let limit = limits.record_bytes;
        return Err(RecordError::RecordTooLarge { offset, bytes: claimed, limit });
    }
    let claimed = usize::try_from(claimed).map_err(|_| RecordError::Cut { offset })?;
    bytes.get(offset..).and_then(|rest| rest.get(..claimed)).ok_or(RecordError::Cut { offset })
}

/// Consecutive entries of one block: what is sent, written and applied.
#[derive(Clone, PartialEq, Eq)]
pub struct Entries {
    block: Arc<Block>,
    first: Index,
    last: Index,
}

impl Entries {
    /// All entries of a block.
    #[must_use]
    pub fn all(block: Arc<Block>) -> Self {
        Self { first: block.first, last: block.last.index, block }
    }

    /// The entries `first..=last` of a block; `None` when it does not hold them all.
    #[must_use]
    pub fn of(block: Arc<Block>, first: Index, last: Index) -> Option<Self> {
        let inside = block.first <= first && first <= last && last <= block.last.index;
        inside.then_some(Self { block, first, last })
    }

    /// The block that holds the bytes.
    #[must_use]
    pub const fn block(&self) -> &Arc<Block> {
        &self.block
    }

    /// Index of the first entry.
    #[must_use]
    pub const fn first(&self) -> Index {
        self.first
    }

    /// Index of the last entry.
    #[must_use]
    pub const fn last(&self) -> Index {
        self.last
    }

    /// Id of the first entry.
    #[must_use]
    pub fn first_id(&self) -> EntryId {
        self.id(self.first)
    }

    /// Id of the last entry.
    #[must_use]
    pub fn last_id(&self) -> EntryId {
        self.id(self.last)
    }

    fn id(&self, index: Index) -> EntryId {
        EntryId::new(index, self.block.term(index).expect("the block holds its slices"))
    }

    /// Number of entries; at least 1.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a slice is never empty")]
    pub fn len(&self) -> usize {
        self.range().len()
    }

    /// The records of these entries, encoded.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        let range = self.range();
        let start = self.block.start(range.start).expect("the block holds its slices");
        let end = self.block.start(range.end).expect("the block holds its slices");
        &self.block.bytes[start..end]
    }

    /// The entry at `index`, if it is in this slice.
    #[must_use]
    pub fn entry(&self, index: Index) -> Option<EntryRef<'_>> {
        if index < self.first || index > self.last {
            return None;
        }
        self.block.entry(index)
    }

    /// Every entry in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = EntryRef<'_>> {
        self.range().map(|position| {
            let index = self.block.first.plus(position as u64);
            self.block.entry(index).expect("the block holds its slices, and is verified")
        })
    }

    /// The entries before `index` and those from it on.
    #[must_use]
    pub fn split(&self, index: Index) -> (Option<Self>, Option<Self>) {
        (self.up_to(index.previous()), self.starting_at(index))
    }

    /// The entries from `index` on; `None` when there are none.
    #[must_use]
    pub fn starting_at(&self, index: Index) -> Option<Self> {
        Self::of(Arc::clone(&self.block), self.first.max(index), self.last)
    }

    /// The entries up to and with `index`; `None` when there are none.
    #[must_use]
    pub fn up_to(&self, index: Index) -> Option<Self> {
        Self::of(Arc::clone(&self.block), self.first, self.last.min(index))
    }

    /// The longest beginning that fits `max_bytes`, but always at least the first entry.
    #[must_use]
    pub fn within(&self, max_bytes: usize) -> Self {
        let range = self.range();
        let start = self.block.start(range.start).expect("the block holds its slices");
        let starts = &self.block.offsets[range.start..range.end];
        let fitting = starts.partition_point(|&offset| offset as usize - start <= max_bytes);
        // The partition counts records that *begin* within the limit: the last of them may end
        // beyond it.
        let whole = if self.bytes().len() <= max_bytes { self.len() } else { fitting - 1 };
        let last = self.first.plus((whole.max(1) - 1) as u64);
        Self { block: Arc::clone(&self.block), first: self.first, last }
    }

    /// What the core is told: entries of one term and kind together.
    ///
    /// A membership entry is a run of its own, without its content: whoever knows the codec of
    /// memberships sets it. A run whose entries differ in size has at most 64 of them, so that an
    /// average over it is of use.
    #[must_use]
    pub fn runs(&self) -> Vec<Run> {
        let mut runs = Runs::default();
        for position in self.range() {
            let index = self.block.first.plus(position as u64);
            let entry = self.block.entry(index).expect("the block holds its slices");
            let bytes = (entry.payload.len() + RECORD_HEADER_BYTES) as u64;
            runs.push(entry.id, entry.envelope.kind, bytes);
        }
        runs.finish()
    }

    /// Positions of these entries in the block.
    fn range(&self) -> std::ops::Range<usize> {
        let start = self.block.position(self.first).expect("the block holds its slices");
        let end = self.block.position(self.last).expect("the block holds its slices");
        start..end + 1
    }
}

impl From<Arc<Block>> for Entries {
    fn from(block: Arc<Block>) -> Self {
        Self::all(block)
    }
}

impl fmt::Debug for Entries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Entries({}..={})", self.first, self.last)
    }
}

/// Gathers entries into runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Runs {
    done: Vec<Run>,
    /// Whether all entries of the last run have one size.
    even: bool,
}

impl Runs {
    /// Adds the entry that follows.
    pub(crate) fn push(&mut self, id: EntryId, kind: EntryKind, bytes: u64) {
        if let Some(run) = self.done.last_mut() {
            let same = run.term == id.term && run.kind == kind && run.last().next() == id.index;
            let even = self.even && run.bytes == bytes.saturating_mul(u64::from(run.count));
            let room = if even { run.count < u32::MAX } else { run.count < AVERAGED_ENTRIES };
            if same && kind != EntryKind::Membership && room {
                run.count += 1;
                run.bytes += bytes;
                self.even = even;
                return;
            }
        }
        self.done.push(Run::new(id.index, 1, id.term, kind, bytes));
        self.even = true;
    }

    /// Drops the entries from `from` on. A run that is cut keeps its average.
    pub(crate) fn truncate(&mut self, from: Index) {
        while let Some(run) = self.done.last_mut() {
            if run.last() < from {
                return;
            }
            self.even = false;
            if run.first < from {
                resize(run, u32::try_from(from.distance(run.first)).unwrap_or(run.count));
                return;
            }
            self.done.pop();
        }
    }

    /// Drops the entries up to and with `base`.
    pub(crate) fn drop_through(&mut self, base: Index) {
        let gone = self.done.partition_point(|run| run.last() <= base);
        self.done.drain(..gone);
        if let Some(run) = self.done.first_mut()
            && run.first <= base
        {
            let left = run.last().distance(base);
            resize(run, u32::try_from(left).unwrap_or(run.count));
            run.first = base.next();
        }
    }

    /// The runs gathered.
    pub(crate) fn finish(self) -> Vec<Run> {
        self.done
    }
}

/// Gives a run another number of entries of the same average size.
fn resize(run: &mut Run, count: u32) {
    let average = u128::from(run.bytes) * u128::from(count) / u128::from(run.count.max(1));
    run.bytes = u64::try_from(average).unwrap_or(run.bytes);
    run.count = count;
}
