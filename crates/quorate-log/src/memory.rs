//! A data directory in memory: for nodes whose data may go with the process, and for benchmarks.
//!
//! Nothing here survives the process, and a sync costs nothing. For tests of what a disk may do to
//! a log, the feature `fault` has a disk that fails.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::fs::{File, Fs};

/// A data directory in memory.
#[derive(Debug)]
pub struct MemoryFs {
    directory: Arc<MemoryDirectory>,
    /// Whether this handle holds the directory's lock.
    locked: bool,
}

#[derive(Debug)]
struct MemoryDirectory {
    root: PathBuf,
    files: Mutex<BTreeMap<String, MemoryFile>>,
    is_locked: AtomicBool,
}

impl MemoryFs {
    /// An empty directory; `root` is its name in messages.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        let files = Mutex::new(BTreeMap::new());
        let directory =
            MemoryDirectory { root: root.into(), files, is_locked: AtomicBool::new(false) };
        Self { directory: Arc::new(directory), locked: false }
    }

    /// Another handle to the same directory: the node that comes after this one.
    #[must_use]
    pub fn another(&self) -> Self {
        Self { directory: Arc::clone(&self.directory), locked: false }
    }

    fn files(&self) -> MutexGuard<'_, BTreeMap<String, MemoryFile>> {
        // Nothing panics while it is locked.
        self.directory.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for MemoryFs {
    fn drop(&mut self) {
        if self.locked {
            self.directory.is_locked.store(false, Ordering::Release);
        }
    }
}

impl Fs for MemoryFs {
    type File = MemoryFile;

    fn another(&self) -> Self {
        self.another()
    }

    fn root(&self) -> &Path {
        &self.directory.root
    }

    fn create_root(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn list(&mut self) -> io::Result<Vec<String>> {
        Ok(self.files().keys().cloned().collect())
    }

    fn create_new(&mut self, name: &str) -> io::Result<MemoryFile> {
        let mut files = self.files();
        if files.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let file = MemoryFile::default();
        files.insert(name.to_owned(), file.clone());
        Ok(file)
    }

    fn open(&mut self, name: &str) -> io::Result<MemoryFile> {
        self.files().get(name).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let mut files = self.files();
        let file = files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        files.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.files().remove(name).map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn sync_dir(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn lock(&mut self, _: &str) -> io::Result<()> {
        if self.directory.is_locked.swap(true, Ordering::Acquire) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.locked = true;
        Ok(())
    }
}

/// Bytes of a file that come into being together.
const PIECE_BYTES: usize = 256 << 10;

/// An open file of a [`MemoryFs`].
#[derive(Clone, Debug, Default)]
pub struct MemoryFile {
    content: Arc<Mutex<Content>>,
}

/// What a file holds, in pieces that are never moved. A piece of zeros takes no memory until
/// something else is written to it: a log fills its segments with zeros ahead of use, and pages
/// that nobody has touched yet cost more than anything that is done to them.
#[derive(Debug, Default)]
struct Content {
    pieces: Vec<Option<Box<[u8]>>>,
    length: usize,
}

impl Content {
    fn write(&mut self, mut written: &[u8], mut from: usize) {
        let to = from + written.len();
        self.length = self.length.max(to);
        if self.pieces.len() < to.div_ceil(PIECE_BYTES) {
            self.pieces.resize_with(to.div_ceil(PIECE_BYTES), || None);
        }
        while !written.is_empty() {
            let (at, within) = (from / PIECE_BYTES, from % PIECE_BYTES);
            let (part, rest) = written.split_at(written.len().min(PIECE_BYTES - within));
            let piece = &mut self.pieces[at];
            if piece.is_some() || !is_zeros(part) {
                let piece = piece.get_or_insert_with(|| vec![0; PIECE_BYTES].into_boxed_slice());
                piece[within..within + part.len()].copy_from_slice(part);
            }
            from += part.len();
            written = rest;
        }
    }

    fn read(&self, buffer: &mut [u8], mut from: usize) -> usize {
        let count = self.length.saturating_sub(from).min(buffer.len());
        let mut left = &mut buffer[..count];
        while !left.is_empty() {
            let (at, within) = (from / PIECE_BYTES, from % PIECE_BYTES);
            let (part, rest) = left.split_at_mut(left.len().min(PIECE_BYTES - within));
            match &self.pieces[at] {
                Some(piece) => part.copy_from_slice(&piece[within..within + part.len()]),
                None => part.fill(0),
            }
            from += part.len();
            left = rest;
        }
        count
    }
}

/// Whether bytes are nothing but zeros.
fn is_zeros(bytes: &[u8]) -> bool {
    const ZEROS: [u8; 4096] = [0; 4096];
    bytes.chunks(ZEROS.len()).all(|part| *part == ZEROS[..part.len()])
}

impl MemoryFile {
    fn content(&self) -> MutexGuard<'_, Content> {
        // Nothing panics while it is locked.
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn place(offset: u64) -> io::Result<usize> {
    usize::try_from(offset).map_err(|_| io::ErrorKind::FileTooLarge.into())
}

impl File for MemoryFile {
    fn write_at(&self, written: &[u8], offset: u64) -> io::Result<()> {
        let from = place(offset)?;
        from.checked_add(written.len()).ok_or(io::ErrorKind::FileTooLarge)?;
        self.content().write(written, from);
        Ok(())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        Ok(self.content().read(buffer, place(offset)?))
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.content().length as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_keeps_bytes_and_names_and_one_holder() {
        let mut fs = MemoryFs::new("memory");
        fs.lock("lock").unwrap();
        let mut other = fs.another();
        assert_eq!(other.lock("lock").unwrap_err().kind(), io::ErrorKind::WouldBlock);
        let file = fs.create_new("a").unwrap();
        file.write_at(b"end", 4).unwrap();
        assert_eq!(fs.create_new("a").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        fs.rename("a", "b").unwrap();
        drop((fs, file));
        other.lock("lock").unwrap();
        assert_eq!(other.list().unwrap(), ["b"]);
        let file = other.open("b").unwrap();
        let mut buffer = [9; 10];
        assert_eq!((file.length().unwrap(), file.read_at(&mut buffer, 1).unwrap()), (7, 6));
        assert_eq!(&buffer, b"\0\0\0end\x09\x09\x09\x09");
        assert_eq!(file.read_at(&mut buffer, 8).unwrap(), 0);
        other.remove("b").unwrap();
        assert_eq!(other.open("b").unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_file_is_its_bytes_and_untouched_zeros_take_no_memory() {
        const BYTES: usize = 3 * PIECE_BYTES + 100;
        let file = MemoryFs::new("memory").create_new("a").unwrap();
        let mut expected = vec![0; BYTES];
        file.write_at(&expected[..BYTES / 2], 0).unwrap();
        file.write_at(&expected[BYTES / 2..], (BYTES / 2) as u64).unwrap();
        let used = || file.content().pieces.iter().flatten().count();
        assert_eq!((file.length().unwrap(), used()), (BYTES as u64, 0));
        // Inside a piece, over the edge of two, zeros over something else, and at the very end.
        let places = [3, PIECE_BYTES - 4, PIECE_BYTES - 2, BYTES - 9];
        let texts: [&[u8]; 4] = [b"123", b"over the edge", &[0; 5], b"at an end"];
        for (place, text) in places.into_iter().zip(texts) {
            file.write_at(text, place as u64).unwrap();
            expected[place..place + text.len()].copy_from_slice(text);
        }
        assert_eq!((file.length().unwrap(), used()), (BYTES as u64, 3));
        let mut buffer = vec![9; BYTES + 1];
        assert_eq!(file.read_at(&mut buffer, 0).unwrap(), BYTES);
        assert!(buffer[..BYTES] == expected, "the file is what was written");
        assert_eq!(buffer[BYTES], 9);
        let count = file.read_at(&mut buffer, PIECE_BYTES as u64 + 5).unwrap();
        assert!(buffer[..count] == expected[PIECE_BYTES + 5..]);
        assert_eq!(file.read_at(&mut buffer, BYTES as u64).unwrap(), 0);
    }
}
