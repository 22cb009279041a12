//! Bytes as they come. Nothing is allocated for what has not come.

use std::io::{ErrorKind, Read};

use quorate::SnapshotError;

use super::malformed;
use crate::varint;

/// Bytes read at once.
const READ_BYTES: usize = 64 << 10;

pub(super) struct Source<'a> {
    from: &'a mut dyn Read,
    bytes: Vec<u8>,
    /// Where what was not taken begins.
    start: usize,
}

impl<'a> Source<'a> {
    pub(super) fn new(from: &'a mut dyn Read) -> Self {
        Self { from, bytes: Vec::new(), start: 0 }
    }

    /// Takes so many bytes.
    pub(super) fn take(&mut self, count: usize) -> Result<&[u8], SnapshotError> {
        while self.bytes.len() - self.start < count {
            if self.fill()? == 0 {
                return Err(malformed("it ends too early"));
            }
        }
        let start = self.start;
        self.start += count;
        Ok(&self.bytes[start..self.start])
    }

    /// Reads what is there next; returns how many bytes that is.
    fn fill(&mut self) -> Result<usize, SnapshotError> {
        self.bytes.drain(..self.start);
        self.start = 0;
        let end = self.bytes.len();
        self.bytes.resize(end + READ_BYTES, 0);
        let read = loop {
            match self.from.read(&mut self.bytes[end..]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        self.bytes.truncate(end + read);
        Ok(read)
    }

    pub(super) fn byte(&mut self) -> Result<u8, SnapshotError> {
        self.take(1).map(|bytes| bytes[0])
    }

    pub(super) fn number(&mut self) -> Result<u64, SnapshotError> {
        varint::read(|| self.byte())
    }

    /// A number of the store.
    pub(super) fn signed(&mut self) -> Result<i64, SnapshotError> {
        i64::try_from(self.number()?).map_err(|_| malformed("a number is too large"))
    }

    pub(super) fn length(&mut self) -> Result<usize, SnapshotError> {
        usize::try_from(self.number()?).map_err(|_| malformed("a length is too large"))
    }

    pub(super) fn is_at_end(&mut self) -> Result<bool, SnapshotError> {
        Ok(self.start == self.bytes.len() && self.fill()? == 0)
    }
}
