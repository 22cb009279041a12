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

/// An open file of a [`MemoryFs`].
#[derive(Clone, Debug, Default)]
pub struct MemoryFile {
    bytes: Arc<Mutex<Vec<u8>>>,
}

impl MemoryFile {
    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        // Nothing panics while it is locked.
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn place(offset: u64) -> io::Result<usize> {
    usize::try_from(offset).map_err(|_| io::ErrorKind::FileTooLarge.into())
}

impl File for MemoryFile {
    fn write_at(&self, written: &[u8], offset: u64) -> io::Result<()> {
        let from = place(offset)?;
        let to = from.checked_add(written.len()).ok_or(io::ErrorKind::FileTooLarge)?;
        let mut bytes = self.bytes();
        if bytes.len() < to {
            bytes.resize(to, 0);
        }
        bytes[from..to].copy_from_slice(written);
        Ok(())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let bytes = self.bytes();
        let there = bytes.get(place(offset)?..).unwrap_or_default();
        let count = there.len().min(buffer.len());
        buffer[..count].copy_from_slice(&there[..count]);
        Ok(count)
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.bytes().len() as u64)
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
}
