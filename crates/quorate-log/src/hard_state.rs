//! Term and vote on disk: two copies, `hs.a` and `hs.b`.
//!
//! A change writes one copy, syncs it, writes the other, syncs it, and only then counts. So at most
//! one copy is ever under way: one bad copy is always safe to ignore, and the higher sequence wins.
//! Opening writes both again before anything rests on them: the chosen one as it is, because it may
//! be in the cache alone, then the other, then the chosen one with the next boot.
//! The copies also hold the boot counter, and what was durable in the log when they were made: a
//! log that ends before that has lost something.

use quorate_core::{BootCounter, ClusterId, HardState, NodeId, Term};
use xxhash_rust::xxh3::xxh3_128;

use crate::error::DamageKind;
use crate::segment::{FORMAT, HeaderError};
use crate::wire::{put, put_u32, put_u64, take, take_u32, take_u64, take_u128};

/// Bytes of one copy.
pub(crate) const HARD_STATE_BYTES: usize = 4096;

/// Bytes of a copy that mean something, before hash and checksum.
const FIELDS_BYTES: usize = 88;

/// First eight bytes of a copy.
const MAGIC: [u8; 8] = *b"QRTHARDS";

/// One of the two copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Copy {
    A,
    B,
}

impl Copy {
    /// Its name in the directory.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::A => "hs.a",
            Self::B => "hs.b",
        }
    }

    /// Its place in a pair of both.
    pub(crate) const fn slot(self) -> usize {
        match self {
            Self::A => 0,
            Self::B => 1,
        }
    }

    /// The other one.
    pub(crate) const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

/// What a copy holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HardStateRecord {
    /// Grows with every change.
    pub(crate) sequence: u64,
    pub(crate) node: NodeId,
    /// Zero until founded.
    pub(crate) cluster: ClusterId,
    pub(crate) boot: BootCounter,
    pub(crate) state: HardState,
    /// Highest batch that was durable.
    pub(crate) durable_batch: u64,
    /// Highest segment that was durable.
    pub(crate) segment: u64,
}

impl HardStateRecord {
    /// The copy's bytes.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = vec![0; HARD_STATE_BYTES];
        put(&mut out, 0, MAGIC);
        put_u32(&mut out, 8, FORMAT);
        put_u64(&mut out, 16, self.sequence);
        put_u64(&mut out, 24, self.node.get());
        put_u64(&mut out, 32, self.cluster.0);
        put_u64(&mut out, 40, self.boot.0);
        put_u64(&mut out, 48, self.state.term.0);
        put_u64(&mut out, 56, self.state.vote.map_or(0, NodeId::get));
        put_u64(&mut out, 64, self.durable_batch);
        put_u64(&mut out, 72, self.segment);
        let hash = xxh3_128(&out[..FIELDS_BYTES]);
        put(&mut out, FIELDS_BYTES, hash.to_le_bytes());
        let end = HARD_STATE_BYTES - 4;
        let crc = crc32c::crc32c(&out[..end]);
        put_u32(&mut out, end, crc);
        out
    }

    /// Reads a copy from all its bytes.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, HeaderError> {
        use HeaderError::Bad;
        let short = Bad(DamageKind::Short);
        if bytes.len() != HARD_STATE_BYTES {
            return Err(short);
        }
        if take(bytes, 0) != Some(MAGIC) {
            return Err(Bad(DamageKind::Magic));
        }
        let end = HARD_STATE_BYTES - 4;
        if take_u32(bytes, end) != Some(crc32c::crc32c(&bytes[..end])) {
            return Err(Bad(DamageKind::Checksum));
        }
        let format = take_u32(bytes, 8).ok_or(short)?;
        if format != FORMAT {
            return Err(HeaderError::Newer(format));
        }
        if take_u128(bytes, FIELDS_BYTES) != Some(xxh3_128(&bytes[..FIELDS_BYTES])) {
            return Err(Bad(DamageKind::Checksum));
        }
        let number = |at| take_u64(bytes, at).ok_or(short);
        Ok(Self {
            sequence: number(16)?,
            node: NodeId::new(number(24)?).ok_or(Bad(DamageKind::Misplaced))?,
            cluster: ClusterId(number(32)?),
            boot: BootCounter(number(40)?),
            state: HardState { term: Term(number(48)?), vote: NodeId::new(number(56)?) },
            durable_batch: number(64)?,
            segment: number(72)?,
        })
    }
}
