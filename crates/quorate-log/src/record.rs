//! One record: an entry as bytes, the same on disk, on the wire and in memory.
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
//! This module knows one record and how records follow each other; [`crate::block`] holds many. No
//! bytes make the decoder panic, or allocate by a length that it has not checked.

use std::fmt;

use quorate_core::{EntryId, EntryKind, Index, Term};

use crate::wire::{put_u32, put_u64, take, take_u32, take_u64};

/// Bytes of a record before its payload: length, checksum, index, term, envelope.
pub const RECORD_HEADER_BYTES: usize = 48;

/// Bytes of an encoded [`Envelope`].
pub const ENVELOPE_BYTES: usize = 24;

/// Version of the envelope that this program writes and reads.
pub const ENVELOPE_VERSION: u8 = 1;

/// First log time that the envelope's 48 bits cannot hold.
pub(crate) const LOG_TIME_END: u64 = 1 << 48;

/// Bytes of a record before what its checksum covers.
pub(crate) const CHECKED_FROM: usize = 8;

/// Bytes of a record before its envelope.
pub(crate) const ENVELOPE_AT: usize = 24;

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
