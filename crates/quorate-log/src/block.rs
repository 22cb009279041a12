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

use quorate_core::{EntryId, Index, Run, Term};

use crate::record::{
    CHECKED_FROM, ENVELOPE_AT, ENVELOPE_BYTES, EntryRef, Envelope, Limits, RECORD_HEADER_BYTES,
    RecordError, walk,
};
use crate::runs::Runs;
use crate::wire::{put, put_u32, put_u64, take, take_u64};

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
