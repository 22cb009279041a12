//! A segment: one file of the log, zero-filled before its first use.
//!
//! The first sector is the header; batches follow. A segment gets its name only when header and
//! zeros are durable and everything in the segment before it is, too: so a segment's existence
//! proves that its predecessor was complete up to the sealed end that its header records.

use quorate_core::{BootCounter, ClusterId, EntryId, Index, NodeId, Term};

use crate::directory::Named;
use crate::error::DamageKind;
use crate::wire::{put, put_u32, put_u64, take, take_u32, take_u64, take_u128};

/// Largest segment that is believed: what a header claims is reserved before the file is read.
pub(crate) const MAX_SEGMENT_BYTES: u64 = 4 << 30;

/// Version of every file of the directory.
pub(crate) const FORMAT: u32 = 1;

/// First eight bytes of a segment.
const SEGMENT_MAGIC: [u8; 8] = *b"QRTSEGMT";

/// Bytes of the header that mean something; the rest of its sector is zero.
pub(crate) const SEGMENT_HEADER_BYTES: usize = 128;

/// Where the header's checksum stands.
const CRC_AT: usize = SEGMENT_HEADER_BYTES - 4;

/// What a segment says about itself and its predecessor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    /// Unit of alignment.
    pub(crate) sector_bytes: u32,
    pub(crate) cluster: ClusterId,
    pub(crate) node: NodeId,
    /// Random: tells this file from every other and keys its whitening.
    pub(crate) id: u64,
    /// Position among the segments, from 1.
    pub(crate) sequence: u64,
    /// The boot that made it.
    pub(crate) boot: BootCounter,
    /// Bytes of the file.
    pub(crate) capacity: u64,
    /// Id of the segment before; zero for the first.
    pub(crate) previous_id: u64,
    /// End of the last batch of the segment before: what lies beyond was never acknowledged.
    pub(crate) previous_end: u64,
    /// Number of the last batch before this segment.
    pub(crate) previous_batch: u64,
    /// Chain hash of that batch.
    pub(crate) previous_hash: u128,
    /// The entry that this segment's first one follows.
    pub(crate) start: EntryId,
}

impl SegmentHeader {
    /// The header as bytes.
    pub(crate) fn encode(&self) -> [u8; SEGMENT_HEADER_BYTES] {
        let mut out = [0; SEGMENT_HEADER_BYTES];
        put(&mut out, 0, SEGMENT_MAGIC);
        put_u32(&mut out, 8, FORMAT);
        put_u32(&mut out, 12, self.sector_bytes);
        put_u64(&mut out, 16, self.cluster.0);
        put_u64(&mut out, 24, self.node.get());
        put_u64(&mut out, 32, self.id);
        put_u64(&mut out, 40, self.sequence);
        put_u64(&mut out, 48, self.boot.0);
        put_u64(&mut out, 56, self.capacity);
        put_u64(&mut out, 64, self.previous_id);
        put_u64(&mut out, 72, self.previous_end);
        put_u64(&mut out, 80, self.previous_batch);
        put(&mut out, 88, self.previous_hash.to_le_bytes());
        put_u64(&mut out, 104, self.start.index.0);
        put_u64(&mut out, 112, self.start.term.0);
        let crc = crc32c::crc32c(&out[..CRC_AT]);
        put_u32(&mut out, CRC_AT, crc);
        out
    }

    /// Reads a header.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, HeaderError> {
        use HeaderError::Bad;
        let short = Bad(DamageKind::Short);
        let bytes = bytes.get(..SEGMENT_HEADER_BYTES).ok_or(short)?;
        if take(bytes, 0) != Some(SEGMENT_MAGIC) {
            return Err(Bad(DamageKind::Magic));
        }
        if take_u32(bytes, CRC_AT) != Some(crc32c::crc32c(&bytes[..CRC_AT])) {
            return Err(Bad(DamageKind::Checksum));
        }
        let format = take_u32(bytes, 8).ok_or(short)?;
        if format != FORMAT {
            return Err(HeaderError::Newer(format));
        }
        let number = |at| take_u64(bytes, at).ok_or(short);
        let header = Self {
            sector_bytes: take_u32(bytes, 12).ok_or(short)?,
            cluster: ClusterId(number(16)?),
            node: NodeId::new(number(24)?).ok_or(Bad(DamageKind::Misplaced))?,
            id: number(32)?,
            sequence: number(40)?,
            boot: BootCounter(number(48)?),
            capacity: number(56)?,
            previous_id: number(64)?,
            previous_end: number(72)?,
            previous_batch: number(80)?,
            previous_hash: take_u128(bytes, 88).ok_or(short)?,
            start: EntryId::new(Index(number(104)?), Term(number(112)?)),
        };
        let sector = u64::from(header.sector_bytes);
        let sized = is_sector(header.sector_bytes)
            && header.capacity.is_multiple_of(sector)
            && header.previous_end.is_multiple_of(sector)
            && header.capacity > sector
            && header.capacity <= MAX_SEGMENT_BYTES;
        if sized { Ok(header) } else { Err(Bad(DamageKind::Length)) }
    }

    /// Name of the segment's file.
    pub(crate) fn name(&self) -> String {
        segment_name(self.sequence)
    }

    /// Where the first batch stands.
    pub(crate) const fn body(&self) -> u64 {
        self.sector_bytes as u64
    }
}

/// Why bytes are no segment header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderError {
    /// They are not what was written.
    Bad(DamageKind),
    /// A later program wrote them.
    Newer(u32),
}

/// Whether this is a unit of alignment that the format knows.
pub(crate) const fn is_sector(bytes: u32) -> bool {
    matches!(bytes, 512 | 4096)
}

/// Name of a segment's file.
pub(crate) fn segment_name(sequence: u64) -> String {
    format!("log-{sequence:016x}.seg")
}

/// Position of the segment with this file name, if it is one.
pub(crate) fn segment_sequence(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("log-")?.strip_suffix(".seg")?;
    let sequence = u64::from_str_radix(digits, 16).ok()?;
    (segment_name(sequence) == name).then_some(sequence)
}

/// An open segment and where its batches stand.
#[derive(Clone, Debug)]
pub(crate) struct Segment<File> {
    pub(crate) header: SegmentHeader,
    pub(crate) file: Named<File>,
    /// Batches with entries that are in force, by index; none overlap.
    pub(crate) spots: Vec<Spot>,
}

/// Where the entries of one batch stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spot {
    /// First entry of the batch.
    pub(crate) first: Index,
    /// Last entry still in force: a later truncation may have dropped the batch's own last ones.
    pub(crate) last: Index,
    /// Where in the segment the batch begins.
    pub(crate) offset: u64,
    /// Bytes that it takes.
    pub(crate) extent: u64,
}
