//! Small files that are replaced as a whole: identity, founding record, base of a compaction.
//!
//! Each is written under a temporary name, synced, renamed, and the directory synced: it is there
//! in full or not at all. One layout serves all three; the magic number tells them apart. The byte
//! layout is in `docs/disk-format.md`.

use quorate_core::{ClusterId, NodeId};

use crate::error::DamageKind;
use crate::segment::{FORMAT, HeaderError};
use crate::wire::{length, put, put_u32, put_u64, take, take_u32, take_u64};

/// Bytes before the content.
const HEADER_BYTES: usize = 80;

/// Where the header's checksum stands.
const CRC_AT: usize = HEADER_BYTES - 4;

/// Which small file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SmallKind {
    Identity,
    Founding,
    Base,
}

impl SmallKind {
    /// Its name in the directory.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Founding => "founding",
            Self::Base => "base",
        }
    }

    const fn magic(self) -> [u8; 8] {
        match self {
            Self::Identity => *b"QRTIDENT",
            Self::Founding => *b"QRTFOUND",
            Self::Base => *b"QRTBASE\0",
        }
    }
}

/// A small file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Small {
    pub(crate) kind: SmallKind,
    pub(crate) node: NodeId,
    pub(crate) cluster: ClusterId,
    /// Index and term of a base, and the last batch durable when it was written; zero in the others.
    pub(crate) numbers: [u64; 3],
    pub(crate) content: Vec<u8>,
}

impl Small {
    /// The file's bytes.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = vec![0; HEADER_BYTES];
        put(&mut out, 0, self.kind.magic());
        put_u32(&mut out, 8, FORMAT);
        put_u64(&mut out, 16, self.node.get());
        put_u64(&mut out, 24, self.cluster.0);
        put_u64(&mut out, 32, self.numbers[0]);
        put_u64(&mut out, 40, self.numbers[1]);
        put_u64(&mut out, 48, self.numbers[2]);
        put_u64(&mut out, 56, length(self.content.len()));
        put_u32(&mut out, 64, crc32c::crc32c(&self.content));
        let crc = crc32c::crc32c(&out[..CRC_AT]);
        put_u32(&mut out, CRC_AT, crc);
        out.extend_from_slice(&self.content);
        out
    }

    /// Reads a file from all its bytes.
    pub(crate) fn decode(kind: SmallKind, mut bytes: Vec<u8>) -> Result<Self, HeaderError> {
        use HeaderError::Bad;
        let short = Bad(DamageKind::Short);
        let header: [u8; HEADER_BYTES] = take(&bytes, 0).ok_or(short)?;
        if take(&header, 0) != Some(kind.magic()) {
            return Err(Bad(DamageKind::Magic));
        }
        if take_u32(&header, CRC_AT) != Some(crc32c::crc32c(&header[..CRC_AT])) {
            return Err(Bad(DamageKind::Checksum));
        }
        let format = take_u32(&header, 8).ok_or(short)?;
        if format != FORMAT {
            return Err(HeaderError::Newer(format));
        }
        let number = |at| take_u64(&header, at).ok_or(short);
        let content = bytes.split_off(HEADER_BYTES);
        if length(content.len()) != number(56)? {
            return Err(Bad(DamageKind::Length));
        }
        if take_u32(&header, 64) != Some(crc32c::crc32c(&content)) {
            return Err(Bad(DamageKind::Checksum));
        }
        Ok(Self {
            kind,
            node: NodeId::new(number(16)?).ok_or(Bad(DamageKind::Misplaced))?,
            cluster: ClusterId(number(24)?),
            numbers: [number(32)?, number(40)?, number(48)?],
            content,
        })
    }
}
