//! Reading snapshots, on any thread.
//!
//! A file that was removed meanwhile can still be read by who has it open. Chunks for peers are read
//! as they are: the receiver verifies all of it before it believes any. What goes to a state machine
//! is verified block by block before it is handed out.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex};

use quorate_core::SnapshotId;

use super::format::{BLOCK_BYTES, BLOCK_HEADER_BYTES, FOOTER_BYTES, HEADER_BYTES, Header, Part};
use super::store::{Shelf, lock};
use crate::directory::Named;
use crate::error::{Damage, DamageKind, IoFailure};
use crate::fs::Fs;
use crate::segment::HeaderError;

/// Why a piece of a snapshot could not be read.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum SnapshotReadError {
    /// No such snapshot is held any more.
    Gone(SnapshotId),
    /// The bytes are not what was written.
    Damaged(Damage),
    /// The file could not be read.
    Io(IoFailure),
}

impl fmt::Display for SnapshotReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone(id) => write!(f, "snapshot {id} is not held any more"),
            Self::Damaged(damage) => damage.fmt(f),
            Self::Io(failure) => write!(f, "{failure}; check the disk"),
        }
    }
}

impl std::error::Error for SnapshotReadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(failure) => Some(&*failure.source),
            Self::Gone(_) | Self::Damaged(_) => None,
        }
    }
}

/// Reads snapshots from any thread.
pub struct SnapshotReader<F: Fs> {
    shelf: Arc<Mutex<Shelf<F::File>>>,
}

impl<F: Fs> Clone for SnapshotReader<F> {
    fn clone(&self) -> Self {
        Self { shelf: Arc::clone(&self.shelf) }
    }
}

impl<F: Fs> fmt::Debug for SnapshotReader<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SnapshotReader").finish_non_exhaustive()
    }
}

impl<F: Fs> SnapshotReader<F> {
    pub(super) const fn new(shelf: Arc<Mutex<Shelf<F::File>>>) -> Self {
        Self { shelf }
    }

    /// Reads bytes of a snapshot's file from `offset` on, at most `max_bytes` of them: less where
    /// it ends before.
    ///
    /// # Errors
    ///
    /// When it is not held any more, is shorter than its id says, or cannot be read.
    pub fn read(
        &self,
        id: &SnapshotId,
        offset: u64,
        max_bytes: usize,
    ) -> Result<Vec<u8>, SnapshotReadError> {
        let file = lock(&self.shelf).file(id).ok_or(SnapshotReadError::Gone(*id))?;
        let left = usize::try_from(id.bytes.saturating_sub(offset)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; left.min(max_bytes)];
        let read = file.read(&mut bytes, offset).map_err(SnapshotReadError::Io)?;
        if read < bytes.len() {
            let offset = offset + read as u64;
            return Err(SnapshotReadError::Damaged(damage(&file, offset, DamageKind::Short)));
        }
        Ok(bytes)
    }

    /// What a snapshot holds, from its beginning; nothing when no such snapshot is held.
    #[must_use]
    pub fn content(&self, id: &SnapshotId) -> Option<ContentReader<F>> {
        let file = lock(&self.shelf).file(id)?;
        Some(ContentReader {
            id: *id,
            file,
            header: None,
            offset: 0,
            buffer: Vec::new(),
            used: 0,
            content_bytes: 0,
            ended: false,
        })
    }
}

const fn damage_of(file: std::path::PathBuf, offset: u64, kind: DamageKind) -> Damage {
    Damage { file, offset, kind, first: None, last: None }
}

fn damage<T>(file: &Named<T>, offset: u64, kind: DamageKind) -> Damage {
    damage_of(file.path.clone(), offset, kind)
}

/// The content of a snapshot: what the state machine wrote, verified before it is handed out.
///
/// An error of the kind [`io::ErrorKind::InvalidData`] is damage, and says where.
pub struct ContentReader<F: Fs> {
    id: SnapshotId,
    file: Named<F::File>,
    header: Option<Header>,
    /// Where the next block stands.
    offset: u64,
    /// What was read last: a block, verified.
    buffer: Vec<u8>,
    /// Bytes of it that were handed out.
    used: usize,
    content_bytes: u64,
    ended: bool,
}

impl<F: Fs> fmt::Debug for ContentReader<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContentReader")
            .field("file", &self.file.path)
            .field("offset", &self.offset)
            .finish_non_exhaustive()
    }
}

impl<F: Fs> ContentReader<F> {
    fn refuse(&self, kind: DamageKind) -> io::Error {
        let text = damage(&self.file, self.offset, kind).to_string();
        io::Error::new(io::ErrorKind::InvalidData, text)
    }

    fn read_at(&mut self, bytes: usize) -> io::Result<()> {
        self.buffer.resize(bytes, 0);
        let read = self.file.read(&mut self.buffer, self.offset);
        let read =
            read.map_err(|failure| io::Error::new(failure.source.kind(), failure.to_string()))?;
        self.buffer.truncate(read);
        Ok(())
    }

    /// Reads the header: whose blocks these are.
    fn begin(&mut self) -> io::Result<Header> {
        self.read_at(HEADER_BYTES)?;
        let header = Header::decode(&self.buffer).map_err(|error| match error {
            HeaderError::Bad(kind) => self.refuse(kind),
            HeaderError::Newer(_) => self.refuse(DamageKind::Magic),
        })?;
        if header.last != self.id.last || header.body() > self.id.bytes {
            return Err(self.refuse(DamageKind::Misplaced));
        }
        self.header = Some(header);
        self.offset = header.body();
        Ok(header)
    }

    /// Reads the next block.
    fn advance(&mut self) -> io::Result<()> {
        // Until it was verified, nothing of it may be handed out: an error leaves an empty buffer.
        self.used = 0;
        let header = match self.header {
            Some(header) => header,
            None => self.begin().inspect_err(|_| self.buffer.clear())?,
        };
        self.read_at(BLOCK_BYTES + BLOCK_HEADER_BYTES)?;
        let buffer = std::mem::take(&mut self.buffer);
        let (block, bytes) = match header.part(&buffer, self.offset) {
            Ok(Some(Part::Block { data, bytes })) => (data.len(), bytes),
            Ok(Some(Part::Footer(footer))) => {
                let end = self.offset + FOOTER_BYTES as u64;
                if (footer.content_bytes, footer.hash, end)
                    != (self.content_bytes, self.id.hash, self.id.bytes)
                {
                    return Err(self.refuse(DamageKind::Length));
                }
                self.ended = true;
                return Ok(());
            }
            Ok(None) => return Err(self.refuse(DamageKind::Short)),
            Err(kind) => return Err(self.refuse(kind)),
        };
        self.buffer = buffer;
        self.buffer.truncate(BLOCK_HEADER_BYTES + block);
        self.used = BLOCK_HEADER_BYTES;
        self.offset += bytes;
        self.content_bytes += block as u64;
        Ok(())
    }
}

impl<F: Fs> io::Read for ContentReader<F> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.used == self.buffer.len() && !self.ended {
            self.buffer.clear();
            self.advance()?;
        }
        let bytes = out.len().min(self.buffer.len() - self.used);
        out[..bytes].copy_from_slice(&self.buffer[self.used..self.used + bytes]);
        self.used += bytes;
        Ok(bytes)
    }
}
