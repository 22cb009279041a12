//! The segment to come: a file filled with zeros ahead of use.
//!
//! Syncing over blocks that were written before costs half of syncing into fresh ones, and a file
//! whose size and blocks are durable needs no metadata at commit. Each piece is synced as it is
//! written, so that no step takes long and a write can go in between.

use crate::directory::{Directory, Named, SPARE};
use crate::error::IoFailure;
use crate::fs::{File, Fs};

/// Bytes filled by one step.
const PIECE_BYTES: usize = 1 << 20;

/// The segment to come, in the making.
#[derive(Debug)]
pub(crate) struct Spare<T> {
    file: Option<Named<T>>,
    written: u64,
    synced: u64,
    /// Whether a file that failed must go first.
    spoilt: bool,
    zeros: Vec<u8>,
}

impl<T: File> Spare<T> {
    pub(crate) const fn new() -> Self {
        Self { file: None, written: 0, synced: 0, spoilt: false, zeros: Vec::new() }
    }

    /// Whether a file of at least this size is durable.
    pub(crate) const fn is_ready(&self, bytes: u64) -> bool {
        self.file.is_some() && self.synced >= bytes
    }

    /// Bytes of the file that are durable.
    pub(crate) const fn capacity(&self) -> u64 {
        self.synced
    }

    /// Does one operation towards a file of this size.
    pub(crate) fn step<F: Fs<File = T>>(
        &mut self,
        directory: &mut Directory<F>,
        bytes: u64,
    ) -> Result<(), IoFailure> {
        if self.spoilt {
            directory.remove(SPARE)?;
            *self = Self::new();
            return Ok(());
        }
        let Some(file) = &self.file else {
            self.file = Some(directory.create(SPARE)?);
            return Ok(());
        };
        if self.written > self.synced {
            file.sync()?;
            self.synced = self.written;
        } else if self.written < bytes {
            let left = usize::try_from(bytes - self.written).unwrap_or(usize::MAX);
            let piece = left.min(PIECE_BYTES);
            if self.zeros.len() < piece {
                self.zeros.resize(piece, 0);
            }
            file.write(&self.zeros[..piece], self.written)?;
            self.written += piece as u64;
        }
        Ok(())
    }

    /// Gives the file up: what a failed operation left of it is unknown, and it holds nothing.
    pub(crate) fn spoil(&mut self) {
        self.spoilt = self.file.is_some();
        self.file = None;
        self.written = 0;
        self.synced = 0;
    }

    /// The file being made.
    pub(crate) const fn file(&self) -> Option<&Named<T>> {
        self.file.as_ref()
    }

    /// Hands the file over, to be a segment.
    pub(crate) fn take(&mut self) -> Option<Named<T>> {
        let file = self.file.take();
        *self = Self { zeros: std::mem::take(&mut self.zeros), ..Self::new() };
        file
    }
}
