//! A data directory: the names in it, and primitives whose errors say what and where.
//!
//! Decides nothing about contents. Every method is exactly one primitive of [`Fs`].

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::error::{IoFailure, Operation};
use crate::fs::{File, Fs};

/// The lock file.
pub(crate) const LOCK: &str = "lock";

/// The segment to come, while it is being made.
pub(crate) const SPARE: &str = "spare.tmp";

/// How names of files end that mean nothing until they are renamed.
pub(crate) const TEMPORARY: &str = ".tmp";

/// A data directory.
#[derive(Debug)]
pub(crate) struct Directory<F: Fs> {
    fs: F,
}

/// An open file with its name.
#[derive(Clone, Debug)]
pub(crate) struct Named<File> {
    pub(crate) path: PathBuf,
    pub(crate) file: File,
}

impl<F: Fs> Directory<F> {
    pub(crate) const fn new(fs: F) -> Self {
        Self { fs }
    }

    /// Another handle, for another thread.
    pub(crate) fn another(&self) -> Self {
        Self { fs: self.fs.another() }
    }

    /// The directory's own path.
    pub(crate) fn root(&self) -> PathBuf {
        self.fs.root().to_path_buf()
    }

    /// The path of a file in it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.fs.root().join(name)
    }

    fn failure(&self, operation: Operation, name: &str, source: io::Error) -> IoFailure {
        let path = if name.is_empty() { self.root() } else { self.path(name) };
        IoFailure { operation, path, offset: None, source: Arc::new(source) }
    }

    pub(crate) fn create_root(&mut self) -> Result<(), IoFailure> {
        self.fs.create_root().map_err(|source| self.failure(Operation::CreateRoot, "", source))
    }

    pub(crate) fn list(&mut self) -> Result<Vec<String>, IoFailure> {
        self.fs.list().map_err(|source| self.failure(Operation::List, "", source))
    }

    pub(crate) fn lock(&mut self) -> Result<(), IoFailure> {
        self.fs.lock(LOCK).map_err(|source| self.failure(Operation::Lock, LOCK, source))
    }

    pub(crate) fn create(&mut self, name: &str) -> Result<Named<F::File>, IoFailure> {
        match self.fs.create_new(name) {
            Ok(file) => Ok(Named { path: self.path(name), file }),
            Err(source) => Err(self.failure(Operation::Create, name, source)),
        }
    }

    pub(crate) fn open(&mut self, name: &str) -> Result<Named<F::File>, IoFailure> {
        match self.fs.open(name) {
            Ok(file) => Ok(Named { path: self.path(name), file }),
            Err(source) => Err(self.failure(Operation::Open, name, source)),
        }
    }

    pub(crate) fn rename(&mut self, from: &str, to: &str) -> Result<(), IoFailure> {
        self.fs.rename(from, to).map_err(|source| self.failure(Operation::Rename, from, source))
    }

    pub(crate) fn remove(&mut self, name: &str) -> Result<(), IoFailure> {
        self.fs.remove(name).map_err(|source| self.failure(Operation::Remove, name, source))
    }

    pub(crate) fn sync_dir(&mut self) -> Result<(), IoFailure> {
        self.fs.sync_dir().map_err(|source| self.failure(Operation::SyncDir, "", source))
    }
}

impl<T: File> Named<T> {
    fn failure(&self, operation: Operation, offset: Option<u64>, source: io::Error) -> IoFailure {
        IoFailure { operation, path: self.path.clone(), offset, source: Arc::new(source) }
    }

    pub(crate) fn write(&self, bytes: &[u8], offset: u64) -> Result<(), IoFailure> {
        self.file
            .write_at(bytes, offset)
            .map_err(|source| self.failure(Operation::Write, Some(offset), source))
    }

    pub(crate) fn read(&self, buffer: &mut [u8], offset: u64) -> Result<usize, IoFailure> {
        self.file
            .read_at(buffer, offset)
            .map_err(|source| self.failure(Operation::Read, Some(offset), source))
    }

    pub(crate) fn sync(&self) -> Result<(), IoFailure> {
        self.file.sync_data().map_err(|source| self.failure(Operation::Sync, None, source))
    }

    pub(crate) fn length(&self) -> Result<u64, IoFailure> {
        self.file.length().map_err(|source| self.failure(Operation::Length, None, source))
    }
}
