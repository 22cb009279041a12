//! A batch: what one sync makes durable.
//!
//! A batch begins at a sector and fills whole sectors, so that no acknowledged byte shares a sector
//! with a later write. Its header says everything that tells a torn tail from damage; the byte
//! layout is in `docs/disk-format.md`. This module encodes and decodes one batch and decides
//! nothing about what a bad one means: [`crate::scan`] does.
//!
//! Invariants of a header that was decoded: magic, version and checksum are right. Whether it is
//! where it belongs is for [`BatchHeader::is_placed`].

use quorate_core::{BootCounter, ClusterId, EntryId, Index, NodeId, Term};
use xxhash_rust::xxh3::xxh3_128;

use crate::block::Entries;
use crate::segment::SegmentHeader;
use crate::whiten::Whitener;
use crate::wire::{put, put_u32, put_u64, take, take_u32, take_u64, take_u128};

/// First eight bytes of a batch.
pub(crate) const BATCH_MAGIC: [u8; 8] = *b"QRTBATCH";

/// Bytes of a batch before its entries.
pub(crate) const BATCH_HEADER_BYTES: usize = 160;

/// Bytes of a batch after its entries: the checksum of all before.
pub(crate) const BATCH_TRAILER_BYTES: usize = 4;

/// Where the header's own checksum stands.
const HEADER_CRC_AT: usize = BATCH_HEADER_BYTES - 4;

/// What a batch says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchHeader {
    pub(crate) cluster: ClusterId,
    pub(crate) node: NodeId,
    /// Random id of the segment that the batch stands in.
    pub(crate) segment_id: u64,
    /// Number of the batch, counted over all segments from 1.
    pub(crate) sequence: u64,
    /// Where in the segment the batch begins.
    pub(crate) offset: u64,
    /// Bytes of its entries.
    pub(crate) body_bytes: u64,
    /// First and last entry; both zero when there are none.
    pub(crate) first: EntryId,
    pub(crate) last: EntryId,
    /// Commit index known, at most the last index of the log with this batch.
    pub(crate) commit: Index,
    pub(crate) boot: BootCounter,
    /// Highest batch known durable when this one was made.
    pub(crate) durable: u64,
    /// First index dropped before the entries are appended; zero when none is.
    pub(crate) truncate_from: Index,
    /// Chain hash of the batch before.
    pub(crate) previous: u128,
}

impl BatchHeader {
    /// The header as bytes.
    pub(crate) fn encode(&self, out: &mut [u8]) {
        put(out, 0, BATCH_MAGIC);
        put_u32(out, 8, crate::segment::FORMAT);
        put_u32(out, 12, 0);
        put_u64(out, 16, self.cluster.0);
        put_u64(out, 24, self.node.get());
        put_u64(out, 32, self.segment_id);
        put_u64(out, 40, self.sequence);
        put_u64(out, 48, self.offset);
        put_u64(out, 56, self.body_bytes);
        put_u64(out, 64, self.first.index.0);
        put_u64(out, 72, self.last.index.0);
        put_u64(out, 80, self.first.term.0);
        put_u64(out, 88, self.last.term.0);
        put_u64(out, 96, self.commit.0);
        put_u64(out, 104, self.boot.0);
        put_u64(out, 112, self.durable);
        put_u64(out, 120, self.truncate_from.0);
        put(out, 128, self.previous.to_le_bytes());
        put_u64(out, 144, 0);
        put_u32(out, 152, 0);
        let crc = crc32c::crc32c(&out[..HEADER_CRC_AT]);
        put_u32(out, HEADER_CRC_AT, crc);
    }

    /// Reads a header; `None` when these bytes are not one.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..BATCH_HEADER_BYTES)?;
        if take(bytes, 0)? != BATCH_MAGIC
            || take_u32(bytes, HEADER_CRC_AT)? != crc32c::crc32c(&bytes[..HEADER_CRC_AT])
            || take_u32(bytes, 8)? != crate::segment::FORMAT
        {
            return None;
        }
        let number = |at| take_u64(bytes, at);
        let id = |index, term| Some(EntryId::new(Index(number(index)?), Term(number(term)?)));
        Some(Self {
            cluster: ClusterId(number(16)?),
            node: NodeId::new(number(24)?)?,
            segment_id: number(32)?,
            sequence: number(40)?,
            offset: number(48)?,
            body_bytes: number(56)?,
            first: id(64, 80)?,
            last: id(72, 88)?,
            commit: Index(number(96)?),
            boot: BootCounter(number(104)?),
            durable: number(112)?,
            truncate_from: Index(number(120)?),
            previous: take_u128(bytes, 128)?,
        })
    }

    /// Whether the batch belongs into this segment at this offset.
    pub(crate) fn is_placed(&self, segment: &SegmentHeader, offset: u64) -> bool {
        self.segment_id == segment.id
            && self.offset == offset
            && self.cluster == segment.cluster
            && self.node == segment.node
    }

    /// Whether the batch carries entries.
    pub(crate) const fn has_entries(&self) -> bool {
        self.body_bytes > 0
    }

    /// Whether the batch only says what was durable: losing it loses nothing.
    pub(crate) const fn is_fence(&self) -> bool {
        !self.has_entries() && self.truncate_from.0 == 0
    }

    /// Bytes on disk with the padding to whole sectors; `None` when the header claims the absurd.
    pub(crate) fn extent(&self, sector_bytes: u32) -> Option<u64> {
        extent(self.body_bytes, sector_bytes)
    }
}

/// Bytes that a batch with this many bytes of entries takes on disk.
pub(crate) fn extent(body_bytes: u64, sector_bytes: u32) -> Option<u64> {
    body_bytes
        .checked_add((BATCH_HEADER_BYTES + BATCH_TRAILER_BYTES) as u64)?
        .checked_next_multiple_of(u64::from(sector_bytes))
}

/// Makes the bytes of a batch, hidden and padded; gives the chain hash.
///
/// The buffer is the caller's, to be used again: fresh pages cost more than copying into old ones.
pub(crate) fn encode(
    header: &BatchHeader,
    entries: &[Entries],
    segment: &SegmentHeader,
    out: &mut Vec<u8>,
) -> u128 {
    out.clear();
    out.resize(BATCH_HEADER_BYTES, 0);
    for part in entries {
        out.extend_from_slice(part.bytes());
    }
    assert_eq!(
        (out.len() - BATCH_HEADER_BYTES) as u64,
        header.body_bytes,
        "the header counts the bytes of the entries"
    );
    header.encode(&mut out[..BATCH_HEADER_BYTES]);
    let crc = crc32c::crc32c(out);
    out.extend_from_slice(&crc.to_le_bytes());
    let hash = xxh3_128(out);
    let padded = out.len().next_multiple_of(segment.sector_bytes as usize);
    out.resize(padded, 0);
    Whitener::new(segment.id).apply(out, header.offset);
    hash
}

/// Checks a whole shown batch against its trailer; gives its chain hash.
///
/// `bytes` begin with the header; what follows the trailer is padding. `None` when they end before
/// the trailer or do not match it.
pub(crate) fn verify(header: &BatchHeader, bytes: &[u8]) -> Option<u128> {
    let end = BATCH_HEADER_BYTES.checked_add(usize::try_from(header.body_bytes).ok()?)?;
    let crc = take_u32(bytes, end)?;
    let checked = bytes.get(..end)?;
    (crc32c::crc32c(checked) == crc).then(|| xxh3_128(&bytes[..end + BATCH_TRAILER_BYTES]))
}
