//! Verifies a file from its beginning, one read per step.
//!
//! Says which snapshot a file is once all of it was believed; where it cannot be believed, how far
//! it could: that much of a file that is being received need not be sent again.

use xxhash_rust::xxh3::Xxh3;

use super::StoredSnapshot;
use super::format::{
    BLOCK_BYTES, BLOCK_HEADER_BYTES, FOOTER_BYTES, HEADER_BYTES, Header, Part, id_of,
};
use crate::directory::Named;
use crate::error::{DamageKind, IoFailure};
use crate::fs::File;
use crate::segment::HeaderError;

/// Bytes read at once. Holds any block.
const PIECE_BYTES: usize = 256 << 10;

const _: () = assert!(PIECE_BYTES >= BLOCK_BYTES + BLOCK_HEADER_BYTES + FOOTER_BYTES);

/// What a step found.
#[derive(Debug)]
pub(crate) enum Walked {
    /// Everything before the walk's offset is good so far.
    Going,
    /// All of it is good.
    Whole(StoredSnapshot),
    /// It cannot be believed from the walk's offset on.
    Bad(HeaderError),
}

/// A file being verified.
pub(crate) struct Walk {
    /// Bytes of the file.
    length: u64,
    header: Option<Header>,
    meta: Option<Vec<u8>>,
    /// Where the first byte stands that was not verified.
    offset: u64,
    content_bytes: u64,
    hash: Box<Xxh3>,
    /// What was read last.
    piece: Vec<u8>,
    /// Bytes of it that were verified.
    verified: usize,
}

impl std::fmt::Debug for Walk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Walk")
            .field("length", &self.length)
            .field("offset", &self.offset)
            .finish_non_exhaustive()
    }
}

impl Walk {
    /// Begins with a file of this length.
    pub(crate) fn new(length: u64) -> Self {
        Self {
            length,
            header: None,
            meta: None,
            offset: 0,
            content_bytes: 0,
            hash: Box::new(Xxh3::new()),
            piece: Vec::new(),
            verified: 0,
        }
    }

    /// Where the first byte stands that was not verified.
    pub(crate) const fn offset(&self) -> u64 {
        self.offset
    }

    /// The header, once it was read.
    pub(crate) const fn header(&self) -> Option<&Header> {
        self.header.as_ref()
    }

    /// What the last step verified, and where it stands.
    pub(super) fn verified(&self) -> (u64, &[u8]) {
        let bytes = &self.piece[..self.verified];
        (self.offset - bytes.len() as u64, bytes)
    }

    /// Reads and verifies the next piece.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub(crate) fn step<F: File>(&mut self, file: &Named<F>) -> Result<Walked, IoFailure> {
        self.verified = 0;
        let left = self.length.saturating_sub(self.offset);
        let wanted = match (&self.header, &self.meta) {
            (None, _) => HEADER_BYTES as u64,
            (Some(header), None) => header.meta_bytes,
            _ => PIECE_BYTES as u64,
        };
        // Never more than the file has, whatever its header claims.
        let size = usize::try_from(wanted.min(left)).unwrap_or(PIECE_BYTES);
        self.piece.resize(size, 0);
        let read = file.read(&mut self.piece, self.offset)?;
        self.piece.truncate(read);
        if size > read || (self.meta.is_none() && wanted > left) {
            // The meta may be cut off, and is then not there at all.
            if self.meta.is_none() {
                return Ok(Walked::Bad(HeaderError::Bad(DamageKind::Short)));
            }
        }
        Ok(self.verify().unwrap_or_else(Walked::Bad))
    }

    fn verify(&mut self) -> Result<Walked, HeaderError> {
        let Some(header) = self.header else {
            self.header = Some(Header::decode(&self.piece)?);
            self.advance(HEADER_BYTES);
            return Ok(Walked::Going);
        };
        if self.meta.is_none() {
            if crc32c::crc32c(&self.piece) != header.meta_crc {
                return Err(HeaderError::Bad(DamageKind::Checksum));
            }
            self.meta = Some(self.piece.clone());
            self.advance(self.piece.len());
            return Ok(Walked::Going);
        }
        let begun = self.offset;
        loop {
            let left = &self.piece[self.verified..];
            match header.part(left, self.offset).map_err(HeaderError::Bad)? {
                Some(Part::Block { data, bytes }) => {
                    self.content_bytes += data.len() as u64;
                    let size = usize::try_from(bytes).expect("a part of what was read");
                    self.advance(size);
                }
                Some(Part::Footer(footer)) => {
                    let id = id_of(&header, &footer, self.offset);
                    if footer.content_bytes != self.content_bytes || id.bytes != self.length {
                        return Err(HeaderError::Bad(DamageKind::Length));
                    }
                    if footer.hash != self.hash.digest128() {
                        return Err(HeaderError::Bad(DamageKind::Checksum));
                    }
                    self.advance(FOOTER_BYTES);
                    let meta = self.meta.take().unwrap_or_default();
                    return Ok(Walked::Whole(StoredSnapshot { id, meta }));
                }
                None if self.offset == begun => return Err(HeaderError::Bad(DamageKind::Short)),
                None => return Ok(Walked::Going),
            }
        }
    }

    /// Takes the next bytes of the piece as verified.
    fn advance(&mut self, bytes: usize) {
        self.hash.update(&self.piece[self.verified..self.verified + bytes]);
        self.verified += bytes;
        self.offset += bytes as u64;
    }
}
