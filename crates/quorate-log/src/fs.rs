//! Every primitive that the log asks of a file system, and the real one.
//!
//! An [`Fs`] is one data directory. The log calls at most one primitive per step, so that a
//! simulator can stall or crash a node between any two. Nothing here retries, buffers or decides;
//! what is durable when is the caller's business:
//!
//! - bytes of a file are durable after [`File::sync_data`] returned;
//! - names (created, renamed, removed) are durable after [`Fs::sync_dir`] returned;
//! - an error of either leaves it unknown what is durable, for good.

use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Advice, FlockOperation, fadvise, flock};

/// One data directory.
pub trait Fs: std::fmt::Debug + Send + Sized + 'static {
    /// An open file of this directory.
    type File: File;

    /// Another handle to the same directory, for another thread; the lock stays with this one.
    #[must_use]
    fn another(&self) -> Self;

    /// The directory, for messages.
    fn root(&self) -> &Path;

    /// Creates the directory, with those above it, and makes its own name durable.
    ///
    /// # Errors
    ///
    /// When it cannot be created, or is there and no directory.
    fn create_root(&mut self) -> io::Result<()>;

    /// Names of everything in the directory, in any order.
    ///
    /// # Errors
    ///
    /// When the directory cannot be read; [`io::ErrorKind::NotFound`] when it is not there.
    fn list(&mut self) -> io::Result<Vec<String>>;

    /// Creates a file that must not exist yet, to read and write.
    ///
    /// # Errors
    ///
    /// When it exists or cannot be created.
    fn create_new(&mut self, name: &str) -> io::Result<Self::File>;

    /// Opens an existing file to read and write, its cached clean pages dropped where the system
    /// lets that be asked: what is read shall come from the device.
    ///
    /// # Errors
    ///
    /// When it does not exist or may not be opened.
    fn open(&mut self, name: &str) -> io::Result<Self::File>;

    /// Gives a file another name, in place of whatever had it.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file's name.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    fn remove(&mut self, name: &str) -> io::Result<()>;

    /// Makes every name of the directory durable.
    ///
    /// # Errors
    ///
    /// When the system cannot promise it.
    fn sync_dir(&mut self) -> io::Result<()>;

    /// Takes an exclusive lock on a file, made if need be, until this value is dropped.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::WouldBlock`] when a live process holds it; others as the system says.
    fn lock(&mut self, name: &str) -> io::Result<()>;
}

/// An open file; clones are the same open file.
pub trait File: Clone + std::fmt::Debug + Send + Sync + 'static {
    /// Writes all bytes at an offset, the file growing as needed.
    ///
    /// # Errors
    ///
    /// When not every byte was taken.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Reads until the buffer is full or the file ends; says how much was read.
    ///
    /// # Errors
    ///
    /// When the system or the device cannot read.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Makes every byte written so far, and the length, durable.
    ///
    /// # Errors
    ///
    /// When the system cannot promise it.
    fn sync_data(&self) -> io::Result<()>;

    /// Bytes in the file.
    ///
    /// # Errors
    ///
    /// When the system cannot tell.
    fn length(&self) -> io::Result<u64>;
}

/// The operating system's file system.
#[derive(Debug)]
pub struct OsFs {
    root: PathBuf,
    lock: Option<std::fs::File>,
}

impl OsFs {
    /// The directory at `root`, which need not exist yet. Touches nothing.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), lock: None }
    }
}

impl Fs for OsFs {
    type File = OsFile;

    fn another(&self) -> Self {
        Self::new(&self.root)
    }

    fn root(&self) -> &Path {
        &self.root
    }

    fn create_root(&mut self) -> io::Result<()> {
        std::fs::create_dir_all(&self.root)?;
        match self.root.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => {
                std::fs::File::open(parent)?.sync_all()
            }
            _ => Ok(()),
        }
    }

    fn list(&mut self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.root)? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        Ok(names)
    }

    fn create_new(&mut self, name: &str) -> io::Result<OsFile> {
        let mut options = std::fs::OpenOptions::new();
        let file = options.read(true).write(true).create_new(true).open(self.root.join(name))?;
        Ok(OsFile(Arc::new(file)))
    }

    fn open(&mut self, name: &str) -> io::Result<OsFile> {
        let mut options = std::fs::OpenOptions::new();
        let file = options.read(true).write(true).open(self.root.join(name))?;
        // Advice: a system that does not take it reads from its cache, and recovery writes the
        // last batch again in any case.
        fadvise(&file, 0, None, Advice::DontNeed).unwrap_or(());
        Ok(OsFile(Arc::new(file)))
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.root.join(from), self.root.join(to))
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.root.join(name))
    }

    fn sync_dir(&mut self) -> io::Result<()> {
        std::fs::File::open(&self.root)?.sync_all()
    }

    fn lock(&mut self, name: &str) -> io::Result<()> {
        let mut options = std::fs::OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.open(self.root.join(name))?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        self.lock = Some(file);
        Ok(())
    }
}

/// An open file of the operating system.
#[derive(Clone, Debug)]
pub struct OsFile(Arc<std::fs::File>);

impl File for OsFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut read = 0;
        while read < buffer.len() {
            match self.0.read_at(&mut buffer[read..], offset + read as u64) {
                Ok(0) => break,
                Ok(bytes) => read += bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(read)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }
}
