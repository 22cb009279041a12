//! Files for the values that were replaced: old versions cost disk, not memory.
//!
//! The files have no name and nothing in them is ever synced: they end with the process, and the
//! log brings their content back. A disk that takes no more costs memory, nothing else: what
//! cannot be written stays where it is, and is tried again with what follows.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quorate_kv::{ArchiveChunk, ArchiveStorage};

/// Bytes that are written at once: values are small, and a system call for each would cost more
/// than the rest of a put.
const WRITE_BYTES: usize = 64 << 10;

/// Keeps replaced values in files of a directory.
#[derive(Debug)]
pub(crate) struct FileArchive {
    directory: PathBuf,
}

impl FileArchive {
    /// The directory has to be there when the first value is replaced.
    pub(crate) const fn new(directory: PathBuf) -> Self {
        Self { directory }
    }
}

impl ArchiveStorage for FileArchive {
    fn chunk(&self) -> Arc<dyn ArchiveChunk> {
        let file = tempfile::tempfile_in(&self.directory);
        if let Err(error) = &file {
            let directory = self.directory.display();
            tracing::warn!(%directory, %error, "no file for replaced values: they stay in memory");
        }
        Arc::new(FileChunk { file: file.ok(), tail: Mutex::default() })
    }
}

#[derive(Debug)]
struct FileChunk {
    /// None where none could be made.
    file: Option<File>,
    tail: Mutex<Tail>,
}

/// What is not in the file.
#[derive(Debug, Default)]
struct Tail {
    /// Bytes in the file.
    written: u64,
    bytes: Vec<u8>,
    /// Length of `bytes` at which they are written: later after each attempt that failed.
    write_at: usize,
}

impl FileChunk {
    fn tail(&self) -> MutexGuard<'_, Tail> {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, tail: &mut Tail) {
        let Some(file) = &self.file else { return };
        match file.write_all_at(&tail.bytes, tail.written) {
            Ok(()) => {
                tail.written += tail.bytes.len() as u64;
                tail.bytes.clear();
                tail.bytes.shrink_to(WRITE_BYTES);
                tail.write_at = 0;
            }
            Err(error) => {
                let bytes = tail.bytes.len();
                tracing::warn!(%error, bytes, "replaced values stay in memory");
                tail.write_at = bytes + WRITE_BYTES;
            }
        }
    }
}

impl ArchiveChunk for FileChunk {
    fn append(&self, bytes: &[u8]) {
        let mut tail = self.tail();
        tail.bytes.extend_from_slice(bytes);
        if tail.bytes.len() >= tail.write_at.max(WRITE_BYTES) {
            self.write(&mut tail);
        }
    }

    fn seal(&self) {
        let mut tail = self.tail();
        self.write(&mut tail);
        tail.bytes.shrink_to_fit();
    }

    fn read(&self, offset: u64, room: &mut [u8]) {
        let tail = self.tail();
        // A value is appended, and so written, as a whole.
        if let Some(start) = offset.checked_sub(tail.written) {
            let start = usize::try_from(start).expect("what is in memory has an address");
            room.copy_from_slice(&tail.bytes[start..start + room.len()]);
            return;
        }
        drop(tail);
        let file = self.file.as_ref().expect("what was written has a file");
        if let Err(error) = file.read_exact_at(room, offset) {
            panic!(
                "{} bytes of replaced values at offset {offset} of their file cannot be read: {error}; \
                 the disk of the data directory fails, move the directory to another one",
                room.len()
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(chunk: &dyn ArchiveChunk, offset: usize, length: usize) -> Vec<u8> {
        let mut room = vec![0; length];
        chunk.read(offset as u64, &mut room);
        room
    }

    /// Appends values of different sizes and reads each back, before, at and after a write.
    fn check(chunk: &dyn ArchiveChunk) {
        let values: Vec<Vec<u8>> = (0..200_u8).map(|n| vec![n; 999 + usize::from(n)]).collect();
        let mut offsets = Vec::new();
        let mut end = 0;
        for value in &values {
            chunk.append(value);
            offsets.push(end);
            end += value.len();
            for (at, value) in offsets.iter().zip(&values) {
                assert!(read(chunk, *at, value.len()) == *value, "at {at} of {end}");
            }
        }
        chunk.seal();
        for (at, value) in offsets.iter().zip(&values) {
            assert!(read(chunk, *at, value.len()) == *value, "at {at} after the end");
        }
    }

    #[test]
    fn values_come_back_from_file_and_tail() {
        let directory = tempfile::tempdir().unwrap();
        let chunk = FileArchive::new(directory.path().to_owned()).chunk();
        check(&*chunk);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0, "files have no name");
    }

    #[test]
    fn most_of_a_chunk_is_not_in_memory() {
        let file = tempfile::tempfile().unwrap();
        let chunk = FileChunk { file: Some(file), tail: Mutex::default() };
        (0..2000).for_each(|_| chunk.append(&[1; 500]));
        assert!(chunk.tail().bytes.capacity() < 4 * WRITE_BYTES);
        assert!(chunk.tail().written > 900_000);
        chunk.seal();
        assert_eq!(chunk.tail().written, 1_000_000);
        assert_eq!(chunk.tail().bytes.capacity(), 0);
    }

    #[test]
    fn without_a_file_values_stay_in_memory() {
        let chunk = FileArchive::new(PathBuf::from("/nowhere/at/all")).chunk();
        check(&*chunk);
    }

    #[test]
    fn what_a_file_does_not_take_stays_in_memory() {
        // Opened for reading alone: every write fails.
        let named = tempfile::NamedTempFile::new().unwrap();
        let file = File::open(named.path()).unwrap();
        let chunk = FileChunk { file: Some(file), tail: Mutex::default() };
        check(&chunk);
        assert_eq!(chunk.tail().written, 0);
    }
}
