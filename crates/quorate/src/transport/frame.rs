//! Frames: what a connection carries after its handshake.
//!
//! A frame is a `u32` length, a `u32` CRC-32C, one byte of kind and a body, little-endian; length
//! and checksum speak of kind and body together. Rules:
//! - A length above the limit is refused as soon as its four bytes are there, before anything is
//!   reserved for it.
//! - A frame is looked into only when all of it is there and its checksum fits.

use std::sync::Arc;

use quorate_log::Entries;

/// Bytes before the kind: length and checksum.
pub const FRAME_HEADER_BYTES: usize = 8;

/// Why a connection's bytes are no frames. The connection ends: what follows cannot be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The length is above the limit.
    #[error("a frame claims {length} bytes, and at most {limit} are accepted")]
    Oversize {
        /// What the frame claims.
        length: usize,
        /// What is accepted.
        limit: usize,
    },
    /// A frame has not even a kind.
    #[error("a frame claims no bytes at all; it must have a kind")]
    Empty,
    /// The checksum does not fit the bytes.
    #[error("a frame of kind {kind} is damaged: its checksum does not fit its {length} bytes")]
    Checksum {
        /// The kind, as far as it can be trusted.
        kind: u8,
        /// Bytes of kind and body.
        length: usize,
    },
}

/// One verified frame, borrowed from what was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawFrame<'a> {
    /// What the body is.
    pub kind: u8,
    /// The body.
    pub body: &'a [u8],
    /// Bytes of the whole frame.
    pub bytes: usize,
}

/// What the bytes at hand begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed<'a> {
    /// A whole frame.
    Frame(RawFrame<'a>),
    /// Part of a frame, or nothing.
    Partial {
        /// Bytes that are missing, as far as is known.
        missing: usize,
    },
}

/// Looks at the first frame of these bytes, whose kind and body may have `limit` bytes together.
///
/// # Errors
///
/// When the length is zero or above the limit, or the checksum does not fit.
pub fn parse(bytes: &[u8], limit: usize) -> Result<Parsed<'_>, FrameError> {
    let Some((length, rest)) = bytes.split_first_chunk::<4>() else {
        return Ok(Parsed::Partial { missing: FRAME_HEADER_BYTES - bytes.len() });
    };
    let length = u32::from_le_bytes(*length) as usize;
    if length > limit {
        return Err(FrameError::Oversize { length, limit });
    }
    if length == 0 {
        return Err(FrameError::Empty);
    }
    let whole = FRAME_HEADER_BYTES + length;
    if bytes.len() < whole {
        return Ok(Parsed::Partial { missing: whole - bytes.len() });
    }
    let (crc, rest) = rest.split_first_chunk::<4>().expect("the whole frame is there");
    let content = &rest[..length];
    let (&kind, body) = content.split_first().expect("a length of zero was refused");
    if crc32c::crc32c(content) != u32::from_le_bytes(*crc) {
        return Err(FrameError::Checksum { kind, length });
    }
    Ok(Parsed::Frame(RawFrame { kind, body, bytes: whole }))
}

/// Bytes that a frame shares with whoever else holds them.
#[derive(Clone, Debug)]
pub(crate) enum Shared {
    Entries(Entries),
    Bytes(Arc<Vec<u8>>),
}

impl Shared {
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Entries(entries) => entries.bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }
}

/// A frame ready to be written: a head of its own, then shared bytes that are never copied.
#[derive(Clone, Debug)]
pub struct Encoded {
    head: Vec<u8>,
    shared: Vec<Shared>,
    bytes: usize,
}

impl Encoded {
    /// Makes a frame whose body is what `write` appends, followed by the shared bytes.
    pub(crate) fn new(kind: u8, shared: Vec<Shared>, write: impl FnOnce(&mut Vec<u8>)) -> Self {
        let mut head = Vec::with_capacity(80);
        head.extend_from_slice(&[0; FRAME_HEADER_BYTES]);
        head.push(kind);
        write(&mut head);
        let mut crc = crc32c::crc32c(&head[FRAME_HEADER_BYTES..]);
        let mut bytes = head.len();
        for part in &shared {
            crc = crc32c::crc32c_append(crc, part.bytes());
            bytes += part.bytes().len();
        }
        let length = u32::try_from(bytes - FRAME_HEADER_BYTES).expect("limits are below 4 GiB");
        head[..4].copy_from_slice(&length.to_le_bytes());
        head[4..8].copy_from_slice(&crc.to_le_bytes());
        Self { head, shared, bytes }
    }

    /// Bytes of the whole frame.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// The parts in the order in which they are written.
    pub fn parts(&self) -> impl Iterator<Item = &[u8]> {
        std::iter::once(self.head.as_slice()).chain(self.shared.iter().map(Shared::bytes))
    }

    /// The frame in one piece, for connections that carry only few and small ones.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        let mut whole = Vec::with_capacity(self.bytes);
        for part in self.parts() {
            whole.extend_from_slice(part);
        }
        whole
    }

    /// The frame in one piece, without a copy where it shares nothing.
    #[must_use]
    pub fn into_vec(self) -> Vec<u8> {
        if self.shared.is_empty() { self.head } else { self.to_vec() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(kind: u8, body: &[u8]) -> Vec<u8> {
        let (head, tail) = body.split_at(body.len() / 2);
        let shared = vec![Shared::Bytes(Arc::new(tail.to_vec()))];
        Encoded::new(kind, shared, |out| out.extend_from_slice(head)).to_vec()
    }

    #[test]
    fn the_layout_of_a_frame_is_frozen() {
        assert_eq!(frame(7, b"ab"), [3, 0, 0, 0, 0xf7, 0x99, 0x57, 0x07, 7, b'a', b'b']);
    }

    #[test]
    fn a_frame_is_partial_until_its_last_byte() {
        let bytes = frame(7, b"hello");
        for end in 0..bytes.len() {
            let Ok(Parsed::Partial { missing }) = parse(&bytes[..end], 100) else {
                panic!("{end} bytes are no whole frame");
            };
            assert!(missing > 0 && end + missing <= bytes.len(), "never asks for too much");
        }
        let expected = RawFrame { kind: 7, body: b"hello", bytes: bytes.len() };
        assert_eq!(parse(&bytes, 100), Ok(Parsed::Frame(expected)));
    }

    #[test]
    fn a_length_above_the_limit_is_refused_by_its_first_four_bytes() {
        let expected = Err(FrameError::Oversize { length: 101, limit: 100 });
        assert_eq!(parse(&[101, 0, 0, 0], 100), expected);
        assert_eq!(
            parse(&[0xff; 4], 100),
            Err(FrameError::Oversize { length: 0xffff_ffff, limit: 100 })
        );
        assert!(matches!(parse(&[100, 0, 0, 0], 100), Ok(Parsed::Partial { missing: 104 })));
        assert_eq!(parse(&[0; 8], 100), Err(FrameError::Empty));
    }

    #[test]
    fn any_flipped_bit_behind_the_length_is_noticed() {
        let bytes = frame(7, b"hello");
        for bit in 32..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let error = parse(&damaged, 100).unwrap_err();
            assert!(matches!(error, FrameError::Checksum { .. }), "bit {bit}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(Parsed::Frame(frame)) = parse(&bytes, 150) {
                prop_assert!(frame.bytes <= bytes.len());
            }
        }
    }
}
