//! Many records together: made once, verified once, shared from then on.
//!
//! A [`Block`] is a contiguous run of encoded records, made by a leader from a batch of proposals or
//! by a decoder from a frame or a batch on disk. Followers, disk and state machine hold the same
//! bytes. [`Entries`] is a slice of a block.
//!
//! Invariants of every [`Block`], whoever made it: at least one entry, indices without a gap, terms
//! that never decrease and are never zero, each length and checksum verified.

use std::fmt;
use std::sync::Arc;

use quorate_core::{EntryId, EntryKind, Index, Run, Term};

use crate::heads::{Head, Heads};
use crate::record::{
    CHECKED_FROM, ENVELOPE_AT, ENVELOPE_BYTES, EntryRef, Envelope, LOG_TIME_END, Limits,
    RECORD_HEADER_BYTES, RecordError, walk,
};
use crate::wire::{put, put_u32, put_u64, take};

/// Bytes that a block may keep and not need, beside as many as it needs.
const SPARE_BYTES: usize = 256;

/// Encodes entries one after another into one block.
///
/// A builder that is [`reserve`](Self::with_capacity)d for a batch allocates nothing per entry.
#[derive(Clone, Debug, Default)]
pub struct BlockBuilder {
    bytes: Vec<u8>,
    /// Start of each record but the first: a block of one entry needs no memory for it.
    starts: Vec<u32>,
    heads: Heads,
    first: Index,
    last: EntryId,
    /// Log time of the last entry.
    last_log_time_ms: u64,
}

impl BlockBuilder {
    /// A builder without entries.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            bytes: Vec::new(),
            starts: Vec::new(),
            heads: Heads::new(),
            first: Index::ZERO,
            last: EntryId::ZERO,
            last_log_time_ms: 0,
        }
    }

    /// A builder with room for a batch.
    #[must_use]
    pub fn with_capacity(entries: usize, bytes: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(bytes),
            starts: Vec::with_capacity(entries.saturating_sub(1)),
            ..Self::new()
        }
    }

    /// Makes room for so many entries and bytes more.
    pub fn reserve(&mut self, entries: usize, bytes: usize) {
        if self.bytes.capacity() == 0 {
            self.bytes = Vec::with_capacity(bytes);
            self.starts = Vec::with_capacity(entries.saturating_sub(1));
            return;
        }
        self.bytes.reserve(bytes);
        self.starts.reserve(entries.saturating_sub(1));
    }

    /// Appends an entry.
    ///
    /// # Panics
    ///
    /// When `index` does not follow the entry before, `term` is zero or lower than the one before,
    /// or the block would exceed 4 GiB.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the end of the block fits, and so all in it"
    )]
    pub fn push(&mut self, index: Index, term: Term, envelope: &Envelope, payload: &[u8]) {
        assert!(term > Term::ZERO && term >= self.last.term, "terms of a log never decrease");
        let start = self.bytes.len();
        let size = RECORD_HEADER_BYTES + payload.len();
        let end = u32::try_from(start + size).expect("a block is smaller than 4 GiB");
        let size_on_disk = end - start as u32;
        if start == 0 {
            assert!(index > Index::ZERO, "the first entry of a log has index 1");
            self.first = index;
        } else {
            assert!(index == self.last.index.next(), "indices of a block have no gap");
            self.starts.push(start as u32);
        }
        let mut head = [0; RECORD_HEADER_BYTES];
        put_u32(&mut head, 0, size_on_disk - ENVELOPE_AT as u32);
        put_u64(&mut head, 8, index.0);
        put_u64(&mut head, 16, term.0);
        put(&mut head, ENVELOPE_AT, envelope.encode());
        self.bytes.reserve(size);
        self.bytes.extend_from_slice(&head);
        self.bytes.extend_from_slice(payload);
        self.heads.push(term, envelope.kind, size_on_disk);
        self.last = EntryId::new(index, term);
        self.last_log_time_ms = envelope.log_time_ms.min(LOG_TIME_END - 1);
    }

    /// Whether no entry was pushed.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Number of entries.
    #[must_use]
    pub const fn len(&self) -> usize {
        if self.is_empty() { 0 } else { self.starts.len() + 1 }
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
        let Self { mut bytes, mut starts, heads, first, last, last_log_time_ms } =
            std::mem::take(self);
        put_checksums(&mut bytes, &starts);
        // What was reserved and not needed must not be kept for as long as the block.
        if bytes.capacity() > 2 * bytes.len() + SPARE_BYTES {
            bytes.shrink_to_fit();
            starts.shrink_to_fit();
        }
        Arc::new(Block { bytes, starts, heads, first, last, last_log_time_ms })
    }
}

/// Puts the checksum into each record; all but the first begin at `starts`.
///
/// One step of a checksum waits for the one before: of records that are checked right after each
/// other a processor works on several at a time.
fn put_checksums(bytes: &mut [u8], starts: &[u32]) {
    let ends = starts.iter().map(|&start| start as usize).chain([bytes.len()]);
    let mut start = 0;
    for end in ends {
        let record = &mut bytes[start..end];
        let crc = crc32c::crc32c(&record[CHECKED_FROM..]);
        put_u32(record, 4, crc);
        start = end;
    }
}

/// Consecutive entries, encoded, verified and immutable.
#[derive(PartialEq, Eq)]
pub struct Block {
    bytes: Vec<u8>,
    /// Start of each record but the first.
    starts: Vec<u32>,
    heads: Heads,
    first: Index,
    last: EntryId,
    /// Log time of the last entry.
    last_log_time_ms: u64,
}

impl Block {
    /// Reads a block from exactly these bytes, which it keeps.
    ///
    /// # Errors
    ///
    /// When the bytes break any rule that the module lists.
    pub fn decode(bytes: Vec<u8>, limits: Limits) -> Result<Arc<Self>, RecordError> {
        let limit = limits.block_bytes.min(u32::MAX as usize);
        if bytes.len() > limit {
            return Err(RecordError::BlockTooLarge { bytes: bytes.len(), limit });
        }
        let (mut starts, mut heads, mut first) = (Vec::new(), Heads::new(), Index::ZERO);
        let mut last_log_time_ms = 0;
        let last = walk(&bytes, limits, |entry, offset| {
            if offset == 0 {
                first = entry.id.index;
            } else {
                starts.push(u32::try_from(offset).expect("a block is smaller than 4 GiB"));
            }
            let size = u32::try_from(RECORD_HEADER_BYTES + entry.payload.len());
            let size = size.expect("a block is smaller than 4 GiB");
            heads.push(entry.id.term, entry.envelope.kind, size);
            last_log_time_ms = entry.envelope.log_time_ms;
        })?;
        Ok(Arc::new(Self { bytes, starts, heads, first, last, last_log_time_ms }))
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
        self.starts.len() + 1
    }

    /// All records, encoded.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The entry at `index`, if it is here.
    #[must_use]
    pub fn entry(&self, index: Index) -> Option<EntryRef<'_>> {
        let position = self.position(index)?;
        let record = self.bytes.get(self.start(position)..self.start(position + 1))?;
        entry_of(record, EntryId::new(index, self.term(index)?))
    }

    /// Term of the entry at `index`, if it is here.
    #[must_use]
    pub fn term(&self, index: Index) -> Option<Term> {
        self.heads.at(self.position(index)?).map(|head| head.term)
    }

    /// Which record has this index.
    #[inline]
    fn position(&self, index: Index) -> Option<u32> {
        let position = u32::try_from(index.0.checked_sub(self.first.0)?).ok()?;
        (position <= self.position_of_last()).then_some(position)
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "a block is smaller than 4 GiB")]
    const fn position_of_last(&self) -> u32 {
        self.starts.len() as u32
    }

    /// Where a record begins; the end of the bytes for the one after the last.
    #[inline]
    fn start(&self, position: u32) -> usize {
        match position.checked_sub(1) {
            None => 0,
            Some(at) => {
                self.starts.get(at as usize).map_or(self.bytes.len(), |&start| start as usize)
            }
        }
    }
}

/// The entry that a verified record holds.
fn entry_of(record: &[u8], id: EntryId) -> Option<EntryRef<'_>> {
    let envelope = Envelope::decode(&take::<ENVELOPE_BYTES>(record, ENVELOPE_AT)?).ok()?;
    Some(EntryRef { id, envelope, payload: record.get(RECORD_HEADER_BYTES..)? })
}

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Block({}..={}, {} bytes)", self.first, self.last, self.bytes.len())
    }
}

/// Consecutive entries of one block: what is sent, written and applied.
///
/// It is two words, which travel in registers: every step of every node hands some on.
#[derive(Clone, PartialEq, Eq)]
pub struct Entries {
    block: Arc<Block>,
    /// Position in the block of the first entry, in the upper half, and of the last.
    span: u64,
}

impl Entries {
    /// All entries of a block.
    #[must_use]
    pub fn all(block: Arc<Block>) -> Self {
        let last = block.position_of_last();
        Self::at(block, 0, last)
    }

    #[inline]
    const fn at(block: Arc<Block>, start: u32, last: u32) -> Self {
        Self { block, span: (start as u64) << 32 | last as u64 }
    }

    /// The entries `first..=last` of a block; `None` when it does not hold them all.
    #[must_use]
    pub fn of(block: Arc<Block>, first: Index, last: Index) -> Option<Self> {
        let (start, end) = (block.position(first)?, block.position(last)?);
        (start <= end).then(|| Self::at(block, start, end))
    }

    /// The block that holds the bytes.
    #[must_use]
    #[inline]
    pub const fn block(&self) -> &Arc<Block> {
        &self.block
    }

    /// Position in the block of the first entry.
    #[inline]
    const fn start(&self) -> u32 {
        (self.span >> 32) as u32
    }

    /// Position in the block of the last entry.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "it is the lower half")]
    const fn end(&self) -> u32 {
        self.span as u32
    }

    #[inline]
    fn is_whole(&self) -> bool {
        self.span == u64::from(self.block.position_of_last())
    }

    /// Index of the first entry.
    #[must_use]
    #[inline]
    pub fn first(&self) -> Index {
        self.block.first.plus(u64::from(self.start()))
    }

    /// Index of the last entry.
    #[must_use]
    #[inline]
    pub fn last(&self) -> Index {
        self.block.first.plus(u64::from(self.end()))
    }

    /// Id of the first entry.
    #[must_use]
    pub fn first_id(&self) -> EntryId {
        self.id(self.start())
    }

    /// Id of the last entry.
    #[must_use]
    #[inline]
    pub fn last_id(&self) -> EntryId {
        if self.end() == self.block.position_of_last() {
            return self.block.last;
        }
        self.id(self.end())
    }

    /// Log time of the last entry.
    #[must_use]
    #[inline]
    pub fn last_log_time_ms(&self) -> u64 {
        if self.end() == self.block.position_of_last() {
            return self.block.last_log_time_ms;
        }
        let last = self.entry(self.last()).expect("the block holds its slices");
        last.envelope.log_time_ms
    }

    fn id(&self, position: u32) -> EntryId {
        let head = self.block.heads.at(position).expect("the block holds its slices");
        EntryId::new(self.block.first.plus(u64::from(position)), head.term)
    }

    /// Number of entries; at least 1.
    #[must_use]
    #[inline]
    #[expect(clippy::len_without_is_empty, reason = "a slice is never empty")]
    pub const fn len(&self) -> usize {
        (self.end() - self.start()) as usize + 1
    }

    /// The records of these entries, encoded.
    #[must_use]
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        if self.is_whole() {
            return &self.block.bytes;
        }
        &self.block.bytes[self.block.start(self.start())..self.block.start(self.end() + 1)]
    }

    /// The entry at `index`, if it is in this slice.
    #[must_use]
    pub fn entry(&self, index: Index) -> Option<EntryRef<'_>> {
        if index < self.first() || index > self.last() {
            return None;
        }
        self.block.entry(index)
    }

    /// Every entry in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = EntryRef<'_>> {
        let mut rest = self.bytes();
        let mut at = self.block.start(self.start());
        let (mut index, mut head) = (self.first(), None::<&Head>);
        let positions = self.start() as usize..self.end() as usize + 1;
        positions.map(move |position| {
            let position = u32::try_from(position).expect("a block is smaller than 4 GiB");
            let end = self.block.start(position + 1);
            let (record, after) = rest.split_at(end - at);
            (rest, at) = (after, end);
            if head.is_none_or(|head| head.end() <= position) {
                head = self.block.heads.at(position);
            }
            let term = head.expect("heads cover the block").term;
            let id = EntryId::new(index, term);
            index = index.plus(1);
            entry_of(record, id).expect("the block is verified")
        })
    }

    /// Those of the entries that lie in `first..=last`; `None` when there are none.
    #[must_use]
    #[inline]
    pub fn part(&self, first: Index, last: Index) -> Option<Self> {
        let (first, last) = (self.first().max(first), self.last().min(last));
        if first > last {
            return None;
        }
        let (start, end) = (self.block.position(first)?, self.block.position(last)?);
        Some(Self::at(Arc::clone(&self.block), start, end))
    }

    /// The entries before `index` and those from it on.
    #[must_use]
    pub fn split(&self, index: Index) -> (Option<Self>, Option<Self>) {
        (self.up_to(index.previous()), self.starting_at(index))
    }

    /// The entries from `index` on; `None` when there are none.
    #[must_use]
    pub fn starting_at(&self, index: Index) -> Option<Self> {
        self.part(index, self.last())
    }

    /// The entries up to and with `index`; `None` when there are none.
    #[must_use]
    pub fn up_to(&self, index: Index) -> Option<Self> {
        self.part(self.first(), index)
    }

    /// The longest beginning that fits `max_bytes`, but always at least the first entry.
    #[must_use]
    #[inline]
    pub fn within(&self, max_bytes: usize) -> Self {
        self.clone().fitting(max_bytes)
    }

    /// As [`Self::within`], where the whole is needed no more.
    #[must_use]
    #[inline]
    pub fn fitting(self, max_bytes: usize) -> Self {
        if self.bytes().len() <= max_bytes { self } else { self.shortened(max_bytes) }
    }

    fn shortened(self, max_bytes: usize) -> Self {
        let (first, start) = (self.start(), self.block.start(self.start()));
        // Each record but the first begins where the one before ends.
        let ends = &self.block.starts[first as usize..self.end() as usize];
        let whole = ends.partition_point(|&end| end as usize - start <= max_bytes);
        let more = u32::try_from(whole.max(1) - 1).expect("a block is smaller than 4 GiB");
        Self::at(self.block, first, first + more)
    }

    /// What the core is told: entries of one term and kind together, in order.
    ///
    /// A membership entry is a run of its own, without its content: whoever knows the codec of
    /// memberships sets it. A run whose entries differ in size has at most 64 of them, so that an
    /// average over it is of use.
    pub fn runs(&self) -> impl Iterator<Item = Run> {
        let part = |head: &Head| {
            let start = self.start().max(head.start);
            let end = (self.end() + 1).min(head.end());
            let count = end.checked_sub(start).filter(|count| *count > 0)?;
            let bytes = (self.block.start(end) - self.block.start(start)) as u64;
            let first = self.block.first.plus(u64::from(start));
            Some(Run::new(first, count, head.term, head.kind, bytes))
        };
        self.block.heads.iter().filter_map(part)
    }

    /// What [`Self::runs`] gives, where that is one run: most blocks have a single one.
    #[must_use]
    #[inline]
    pub fn only_run(&self) -> Option<Run> {
        let head = self.block.heads.only()?;
        let (count, bytes) = (self.end() - self.start() + 1, self.bytes().len() as u64);
        Some(Run::new(self.first(), count, head.term, head.kind, bytes))
    }

    /// Whether any of these entries carries a membership.
    #[must_use]
    #[inline]
    pub fn has_membership(&self) -> bool {
        if let Some(head) = self.block.heads.only() {
            return head.kind == EntryKind::Membership;
        }
        self.runs().any(|run| run.kind == EntryKind::Membership)
    }
}

impl From<Arc<Block>> for Entries {
    fn from(block: Arc<Block>) -> Self {
        Self::all(block)
    }
}

impl fmt::Debug for Entries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Entries({}..={})", self.first(), self.last())
    }
}
