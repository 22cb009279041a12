//! Tells a torn tail from damage.
//!
//! A crash may leave the batch that was being written half on disk: it was never acknowledged and
//! is cut. Anything else that does not verify may have been acknowledged and is never cut. Let B be
//! the first batch that does not verify; it may have been acknowledged if any of these holds:
//!
//! 1. a later segment exists, and B lies before the end that it recorded;
//! 2. a batch header beyond B says that B was durable (a fence is such a header);
//! 3. something that is written only after B was durable names it: the hard state or the base of a
//!    compaction by its number, the shell's own state machine by its entries;
//! 4. every 64-byte chunk of B is written, and yet a checksum fails: whitened bytes are never all
//!    zero, so that nothing of B is missing and something is damaged;
//! 5. B is complete and its fields contradict its place or the batch before it;
//! 6. the device cannot read it (the caller sees to that).
//!
//! What no rule can see: an acknowledged last batch that no later write names, one of whose sectors
//! turned to zeros. The idle fence and the hard state close that window.

use quorate_core::{EntryId, Index, mutant};

use crate::batch::{self, BATCH_HEADER_BYTES, BATCH_MAGIC, BatchHeader};
use crate::error::DamageKind;
use crate::segment::SegmentHeader;
use crate::whiten::Whitener;

/// Unit of the test for what was never written: smaller than a sector, to see tears inside one.
const CHUNK_BYTES: usize = 64;

/// Where in the chain of batches a scan stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    /// Where in the segment the next batch begins.
    pub(crate) offset: u64,
    /// Number of the last batch.
    pub(crate) sequence: u64,
    /// Chain hash of the last batch.
    pub(crate) hash: u128,
    /// Last entry of the log so far.
    pub(crate) last: EntryId,
}

/// What is known to have been durable from elsewhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Proven {
    /// Every batch up to this one.
    pub(crate) batch: u64,
    /// Every entry up to this one.
    pub(crate) index: Index,
}

/// What stands at a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A batch that verifies; its bytes are shown, no longer hidden.
    Batch { header: BatchHeader, extent: u64, hash: u128 },
    /// Nothing up to the end of the segment.
    Clean,
    /// A batch that was never acknowledged, up to the last byte that is not zero.
    Torn { bytes: u64 },
    /// Something that may have been acknowledged.
    Damaged(Wound),
}

/// Damage inside a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wound {
    pub(crate) kind: DamageKind,
    pub(crate) first: Option<Index>,
    pub(crate) last: Option<Index>,
}

/// Looks at what stands at `at` in the segment whose whole bytes are `bytes`.
///
/// `sealed` is the end that the next segment recorded, if there is one.
pub(crate) fn next(
    bytes: &mut [u8],
    segment: &SegmentHeader,
    at: &Position,
    sealed: Option<u64>,
    proven: Proven,
) -> Found {
    let Some(start) = usize::try_from(at.offset).ok().filter(|&start| start < bytes.len()) else {
        return Found::Clean;
    };
    let whitener = Whitener::new(segment.id);
    let header = header_at(bytes, start, segment, whitener);
    let Some(header) = header else {
        return without_header(bytes, segment, at, start, sealed, proven);
    };
    let wound = |kind| {
        Found::Damaged(Wound {
            kind,
            first: Some(header.first.index).filter(|&first| first > Index::ZERO),
            last: Some(header.last.index).filter(|&last| last > Index::ZERO),
        })
    };
    if !header.is_placed(segment, at.offset) {
        return wound(DamageKind::Misplaced);
    }
    if Some(header.sequence) != at.sequence.checked_add(1) || header.previous != at.hash {
        return wound(DamageKind::Chain);
    }
    let extent = header.extent(segment.sector_bytes).filter(|&extent| {
        at.offset.checked_add(extent).is_some_and(|end| end <= sealed.unwrap_or(segment.capacity))
    });
    let end = extent.and_then(|extent| start.checked_add(usize::try_from(extent).ok()?));
    let (Some(extent), Some(end)) = (extent, end.filter(|&end| end <= bytes.len())) else {
        return wound(DamageKind::Length);
    };
    let body = &mut bytes[start..end];
    whitener.apply(body, at.offset);
    if let Some(hash) = batch::verify(&header, body) {
        return Found::Batch { header, extent, hash };
    }
    whitener.apply(body, at.offset);
    let complete = body.chunks(CHUNK_BYTES).all(|chunk| !is_zero(chunk));
    let first = if header.has_entries() { header.first.index } else { at.last.index.next() };
    let named = proven.batch >= header.sequence
        || (proven.index >= first && !header.is_fence())
        || sealed.is_some()
        || later_header(bytes, segment, end, |later| later.durable >= header.sequence).is_some();
    if (complete || named) && !mutant!(FirstBadChecksumCuts) {
        return wound(DamageKind::Checksum);
    }
    Found::Torn { bytes: written_from(bytes, start) }
}

/// What it means that no batch header stands at a position.
fn without_header(
    bytes: &[u8],
    segment: &SegmentHeader,
    at: &Position,
    start: usize,
    sealed: Option<u64>,
    proven: Proven,
) -> Found {
    let sequence = at.sequence.saturating_add(1);
    let first = Index(at.last.index.0.saturating_add(1));
    let end = bytes.len().min(start.saturating_add(BATCH_HEADER_BYTES));
    let complete = bytes[start..end].chunks(CHUNK_BYTES).all(|chunk| !is_zero(chunk));
    let later = later_header(bytes, segment, start, |later| later.durable >= sequence);
    let lost = sealed.is_some_and(|sealed| at.offset < sealed) || proven.batch >= sequence;
    let may_count = complete || lost || later.is_some() || proven.index >= first;
    if may_count && !mutant!(FirstBadChecksumCuts) {
        // The header is gone: what follows bounds what it held, if anything does.
        let last = later.filter(|later| later.has_entries()).map(|later| later.first.index);
        return Found::Damaged(Wound {
            kind: if complete { DamageKind::Checksum } else { DamageKind::Missing },
            first: Some(first),
            last: last.map(Index::previous).filter(|&last| last >= first),
        });
    }
    match written_from(bytes, start) {
        0 => Found::Clean,
        bytes => Found::Torn { bytes },
    }
}

/// The batch header at a place, whoever's it is.
fn header_at(
    bytes: &[u8],
    start: usize,
    segment: &SegmentHeader,
    whitener: Whitener,
) -> Option<BatchHeader> {
    let mut shown = [0; BATCH_HEADER_BYTES];
    let end = start.checked_add(BATCH_HEADER_BYTES)?;
    shown.copy_from_slice(bytes.get(start..end)?);
    // A batch of another place of this segment was hidden with that place's stream and looks like
    // garbage here: that is damage, too, by the rule of complete chunks.
    debug_assert!((start as u64).is_multiple_of(u64::from(segment.sector_bytes)));
    whitener.apply(&mut shown, start as u64);
    BatchHeader::decode(&shown)
}

/// The first header beyond `from` that belongs to this segment and satisfies `wanted`.
fn later_header(
    bytes: &[u8],
    segment: &SegmentHeader,
    from: usize,
    wanted: impl Fn(&BatchHeader) -> bool,
) -> Option<BatchHeader> {
    let sector = segment.sector_bytes as usize;
    let whitener = Whitener::new(segment.id);
    let mut start = from.next_multiple_of(sector);
    while let Some(head) = bytes.get(start..start + 8) {
        if head == whitener.hidden(BATCH_MAGIC, start as u64)
            && let Some(header) = header_at(bytes, start, segment, whitener)
            && header.is_placed(segment, start as u64)
            && wanted(&header)
        {
            return Some(header);
        }
        start += sector;
    }
    None
}

/// Bytes from `start` to the last one that is not zero.
fn written_from(bytes: &[u8], start: usize) -> u64 {
    let tail = &bytes[start..];
    let written = tail.chunks(CHUNK_BYTES).enumerate().rfind(|(_, chunk)| !is_zero(chunk));
    written.map_or(0, |(number, chunk)| {
        let last = chunk.iter().rposition(|&byte| byte != 0).unwrap_or(0);
        (number * CHUNK_BYTES + last + 1) as u64
    })
}

/// Whether nothing was written here.
fn is_zero(chunk: &[u8]) -> bool {
    chunk.iter().fold(0, |all, &byte| all | byte) == 0
}

#[cfg(test)]
mod tests;
