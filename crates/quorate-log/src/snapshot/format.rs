//! The layout of a snapshot file: header, meta, blocks, footer.
//!
//! Pure encoding and decoding; the layout is specified in `docs/disk-format.md`.
//!
//! - The checksum of a block covers where it stands and whose it is, so that a block of another
//!   snapshot or of another place never passes.
//! - Content is cut into full blocks, whatever pieces it came in: equal content, equal files.

use quorate_core::{ClusterId, EntryId, Index, SnapshotId, Term};

use crate::error::DamageKind;
use crate::segment::{FORMAT, HeaderError};
use crate::wire::{put, put_u32, put_u64, take, take_u32, take_u64, take_u128};

/// Bytes of the header.
pub(super) const HEADER_BYTES: usize = 64;

/// Where the header's checksum stands.
const HEADER_CRC_AT: usize = HEADER_BYTES - 4;

/// Bytes before the data of a block.
pub(super) const BLOCK_HEADER_BYTES: usize = 8;

/// Most bytes of data in a block; every block but the last has as many.
pub(super) const BLOCK_BYTES: usize = 64 << 10;

/// Bytes of the footer.
pub(super) const FOOTER_BYTES: usize = 48;

/// Where the footer's checksum stands.
const FOOTER_CRC_AT: usize = FOOTER_BYTES - 4;

/// Most bytes of meta that are believed.
pub(crate) const MAX_META_BYTES: u64 = 16 << 20;

const HEADER_MAGIC: [u8; 8] = *b"QRTSNAPS";
const FOOTER_MAGIC: [u8; 8] = *b"QRTSNEND";

/// Fewest bytes of a file: one without meta and content.
pub(super) const LEAST_BYTES: u64 = (HEADER_BYTES + FOOTER_BYTES) as u64;

/// What a file says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) cluster: ClusterId,
    pub(crate) last: EntryId,
    /// Bytes of meta.
    pub(super) meta_bytes: u64,
    /// Checksum of the meta.
    pub(super) meta_crc: u32,
    /// The header's own checksum: every block's rests on it.
    pub(super) crc: u32,
}

impl Header {
    /// The header of a snapshot with this meta, and its bytes.
    pub(super) fn encode(
        cluster: ClusterId,
        last: EntryId,
        meta: &[u8],
    ) -> (Self, [u8; HEADER_BYTES]) {
        let meta_bytes = meta.len() as u64;
        let meta_crc = crc32c::crc32c(meta);
        let mut out = [0; HEADER_BYTES];
        put(&mut out, 0, HEADER_MAGIC);
        put_u32(&mut out, 8, FORMAT);
        put_u64(&mut out, 16, cluster.0);
        put_u64(&mut out, 24, last.index.0);
        put_u64(&mut out, 32, last.term.0);
        put_u64(&mut out, 40, meta_bytes);
        put_u32(&mut out, 48, meta_crc);
        let crc = crc32c::crc32c(&out[..HEADER_CRC_AT]);
        put_u32(&mut out, HEADER_CRC_AT, crc);
        (Self { cluster, last, meta_bytes, meta_crc, crc }, out)
    }

    /// Reads a header.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, HeaderError> {
        use HeaderError::Bad;
        let short = Bad(DamageKind::Short);
        let bytes: [u8; HEADER_BYTES] = take(bytes, 0).ok_or(short)?;
        if take(&bytes, 0) != Some(HEADER_MAGIC) {
            return Err(Bad(DamageKind::Magic));
        }
        let crc = crc32c::crc32c(&bytes[..HEADER_CRC_AT]);
        if take_u32(&bytes, HEADER_CRC_AT) != Some(crc) {
            return Err(Bad(DamageKind::Checksum));
        }
        let format = take_u32(&bytes, 8).ok_or(short)?;
        if format != FORMAT {
            return Err(HeaderError::Newer(format));
        }
        let number = |at| take_u64(&bytes, at).ok_or(short);
        let header = Self {
            cluster: ClusterId(number(16)?),
            last: EntryId::new(Index(number(24)?), Term(number(32)?)),
            meta_bytes: number(40)?,
            meta_crc: take_u32(&bytes, 48).ok_or(short)?,
            crc,
        };
        if header.meta_bytes > MAX_META_BYTES {
            return Err(Bad(DamageKind::Length));
        }
        Ok(header)
    }

    /// Where the first block stands.
    pub(super) const fn body(&self) -> u64 {
        HEADER_BYTES as u64 + self.meta_bytes
    }

    /// The checksum of a block of this file.
    fn block_crc(&self, offset: u64, data: &[u8]) -> u32 {
        let mut place = [0; 16];
        put_u32(&mut place, 0, self.crc);
        put_u64(&mut place, 4, offset);
        put_u32(&mut place, 12, block_length(data));
        crc32c::crc32c_append(crc32c::crc32c(&place), data)
    }

    /// Appends a block that will stand at `offset`.
    pub(super) fn push_block(&self, out: &mut Vec<u8>, offset: u64, data: &[u8]) {
        debug_assert!(!data.is_empty() && data.len() <= BLOCK_BYTES);
        out.extend_from_slice(&block_length(data).to_le_bytes());
        out.extend_from_slice(&self.block_crc(offset, data).to_le_bytes());
        out.extend_from_slice(data);
    }

    /// Reads what stands at `offset`, of which `bytes` are the beginning. Gives nothing when they
    /// end before it does.
    pub(super) fn part<'b>(
        &self,
        bytes: &'b [u8],
        offset: u64,
    ) -> Result<Option<Part<'b>>, DamageKind> {
        let Some(length) = take_u32(bytes, 0) else { return Ok(None) };
        if length == 0 {
            return Ok(Footer::decode(bytes)?.map(Part::Footer));
        }
        let length = usize::try_from(length).map_err(|_| DamageKind::Length)?;
        if length > BLOCK_BYTES {
            return Err(DamageKind::Length);
        }
        let end = BLOCK_HEADER_BYTES + length;
        let Some(data) = bytes.get(BLOCK_HEADER_BYTES..end) else { return Ok(None) };
        if take_u32(bytes, 4) != Some(self.block_crc(offset, data)) {
            return Err(DamageKind::Checksum);
        }
        Ok(Some(Part::Block { data, bytes: end as u64 }))
    }
}

/// Length of a block's data as it is written.
fn block_length(data: &[u8]) -> u32 {
    u32::try_from(data.len()).expect("a block is small")
}

/// What stands after the meta.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part<'b> {
    /// A block, verified, and how many bytes it takes.
    Block { data: &'b [u8], bytes: u64 },
    /// The end.
    Footer(Footer),
}

/// The end of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Footer {
    /// Bytes of content in all blocks.
    pub(super) content_bytes: u64,
    /// Hash of everything before the footer.
    pub(super) hash: u128,
}

impl Footer {
    pub(super) fn encode(&self) -> [u8; FOOTER_BYTES] {
        let mut out = [0; FOOTER_BYTES];
        put(&mut out, 8, FOOTER_MAGIC);
        put_u64(&mut out, 16, self.content_bytes);
        put(&mut out, 24, self.hash.to_le_bytes());
        let crc = crc32c::crc32c(&out[..FOOTER_CRC_AT]);
        put_u32(&mut out, FOOTER_CRC_AT, crc);
        out
    }

    fn decode(bytes: &[u8]) -> Result<Option<Self>, DamageKind> {
        let Some(bytes) = take::<FOOTER_BYTES>(bytes, 0) else { return Ok(None) };
        if take(&bytes, 8) != Some(FOOTER_MAGIC) {
            return Err(DamageKind::Magic);
        }
        if take_u32(&bytes, FOOTER_CRC_AT) != Some(crc32c::crc32c(&bytes[..FOOTER_CRC_AT])) {
            return Err(DamageKind::Checksum);
        }
        let content_bytes = take_u64(&bytes, 16).ok_or(DamageKind::Short)?;
        let hash = take_u128(&bytes, 24).ok_or(DamageKind::Short)?;
        Ok(Some(Self { content_bytes, hash }))
    }
}

/// The id of a file that ends at `footer_at`.
pub(super) const fn id_of(header: &Header, footer: &Footer, footer_at: u64) -> SnapshotId {
    SnapshotId { last: header.last, bytes: footer_at + FOOTER_BYTES as u64, hash: footer.hash }
}
