//! A faulty in-memory file system: what a disk may do to a log, on demand and by seed.
//!
//! A [`FaultFs`] is a handle to a disk that outlives it. It tells what is durable from what was
//! only written: bytes by sector, names by directory operation. After [`FaultFs::crash`] the disk
//! holds what was durable and whatever the [`Loss`] lets survive of the rest, and
//! [`FaultFs::reboot`] gives a handle to a fresh life; handles of earlier lives fail. Because the
//! log does one operation per step, stalling it is not stepping it.
//!
//! What is modelled:
//!
//! - unsynced sectors survive or not, each on its own, also only some 64-byte chunks of one; on a disk
//!   of larger sectors, what shares one with an unsynced write may turn to zeros with it;
//! - the length of a file that grew survives or not, apart from its bytes; what lies between reads
//!   as zeros;
//! - unsynced directory operations survive or not, each on its own, in any combination;
//! - an operation fails: with an error that changed nothing, a short write, or a failed sync after
//!   which the unsynced bytes are gone and the next sync succeeds;
//! - the disk is full from a number of bytes on;
//! - a crash strikes at the n-th operation, which then either did not happen or did.

mod disk;
mod image;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::Operation;
use crate::fs::{File, Fs};

use self::disk::{Disk, Inode, NameChange, SECTOR_BYTES};
use self::image::Image;

/// What survives a crash of that which was not synced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Loss {
    /// All of it: the process died, the system did not.
    Nothing,
    /// None of it.
    Everything,
    /// Any part of it, by seed: sectors, chunks of sectors, lengths, names.
    Seeded(u64),
    /// Names and lengths survive; of the unsynced sectors, in the order of
    /// [`FaultFs::unsynced_sectors`], those whose bit is set.
    Sectors(Vec<bool>),
}

/// What goes wrong with an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The operation fails and changes nothing.
    Fails,
    /// A write fails and changes nothing.
    WriteFails,
    /// A write takes only half of its bytes, then fails.
    ShortWrite,
    /// A sync fails; the unsynced bytes are gone, and the next sync succeeds.
    SyncLosesData,
    /// A sync fails; reads still see the unsynced bytes, but no later sync writes them: the pages
    /// count as clean.
    SyncForgets,
    /// A sync succeeds; the unsynced bytes are gone.
    SyncLies,
    /// The process may not do that.
    Denied,
    /// The disk is full.
    NoSpace,
    /// The process dies before the operation.
    CrashBefore,
    /// The process dies after the operation, before it learns of it.
    CrashAfter,
}

/// A handle to a faulty disk that holds one data directory.
pub struct FaultFs {
    root: PathBuf,
    disk: Arc<Mutex<Disk>>,
    life: u64,
    handle: u64,
}

/// An open file of a [`FaultFs`].
#[derive(Clone)]
pub struct FaultFile {
    disk: Arc<Mutex<Disk>>,
    life: u64,
    inode: usize,
    /// What it was called when it was opened.
    name: Arc<str>,
}

impl fmt::Debug for FaultFs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FaultFs(life {}, handle {})", self.life, self.handle)
    }
}

impl fmt::Debug for FaultFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FaultFile({}, life {})", self.name, self.life)
    }
}

impl Default for FaultFs {
    fn default() -> Self {
        Self::new()
    }
}

impl FaultFs {
    /// A disk on which the directory does not exist yet.
    #[must_use]
    pub fn new() -> Self {
        let disk = Disk {
            inodes: Vec::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            changes: Vec::new(),
            exists: false,
            life: 0,
            locked: None,
            handles: 0,
            operations: 0,
            history: Vec::new(),
            faults: BTreeMap::new(),
            struck: Vec::new(),
            room: None,
            sector_bytes: SECTOR_BYTES,
            crashed: false,
        };
        let disk = Arc::new(Mutex::new(disk));
        Self { root: PathBuf::from("data"), disk, life: 0, handle: 0 }
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Another handle of the same life: another process on the same directory.
    #[must_use]
    pub fn another(&self) -> Self {
        let mut disk = self.disk();
        disk.handles += 1;
        let (life, handle) = (disk.life, disk.handles);
        drop(disk);
        Self { root: self.root.clone(), disk: Arc::clone(&self.disk), life, handle }
    }

    /// A copy of the whole disk as it is, to try several futures of it.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        let disk = self.disk().clone();
        let disk = Arc::new(Mutex::new(disk));
        Self { root: self.root.clone(), disk, life: self.life, handle: self.handle }
    }

    /// Ends this life of the machine: what was not synced is subject to `loss`, every handle
    /// fails from here on, and counts and faults begin anew.
    pub fn crash(&self, loss: &Loss) {
        let mut disk = self.disk();
        disk.crash(loss);
        disk.end_life();
    }

    /// Ends this life of the process alone: what was not synced stays as unsynced as it was.
    pub fn kill(&self) {
        self.disk().end_life();
    }

    /// A handle of the life after a crash.
    #[must_use]
    pub fn reboot(&self) -> Self {
        self.another()
    }

    /// Lets the `number`-th operation of this life, counted from 1, go wrong.
    pub fn fail_at(&self, number: u64, fault: Fault) {
        self.disk().faults.insert(number, fault);
    }

    /// Takes back everything that was to go wrong.
    pub fn clear_faults(&self) {
        self.disk().faults.clear();
    }

    /// What went wrong in this life since this was last asked, each kind once.
    #[must_use]
    pub fn take_struck(&self) -> Vec<Fault> {
        std::mem::take(&mut self.disk().struck)
    }

    /// How many bytes the device writes at once: a power failure may harm all that share a sector with
    /// what was being written. 512 unless told.
    ///
    /// # Panics
    ///
    /// When it is not a multiple of 512.
    pub fn set_sector_bytes(&self, bytes: usize) {
        assert!(bytes > 0 && bytes.is_multiple_of(SECTOR_BYTES), "{bytes} bytes are no sector");
        self.disk().sector_bytes = bytes;
    }

    /// Bounds the bytes of all files together.
    pub fn limit_room(&self, bytes: Option<u64>) {
        self.disk().room = bytes;
    }

    /// Operations of this life so far.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.disk().operations
    }

    /// The operations of this life so far and the files they were on.
    #[must_use]
    pub fn history(&self) -> Vec<(Operation, String)> {
        let disk = self.disk();
        disk.history.iter().map(|(operation, name)| (*operation, name.to_string())).collect()
    }

    /// Whether a planned crash has struck.
    #[must_use]
    pub fn has_crashed(&self) -> bool {
        self.disk().crashed
    }

    /// Every unsynced sector: file name and offset, by file and offset.
    #[must_use]
    pub fn unsynced_sectors(&self) -> Vec<(String, u64)> {
        let disk = self.disk();
        let mut sectors = Vec::new();
        for (name, &inode) in &disk.names {
            for &sector in &disk.inodes[inode].dirty {
                sectors.push((name.clone(), (sector * SECTOR_BYTES) as u64));
            }
        }
        sectors
    }

    /// Names of all files.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.disk().names.keys().cloned().collect()
    }

    /// The bytes of a file, if it is there.
    #[must_use]
    pub fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        let disk = self.disk();
        disk.names.get(name).map(|&inode| disk.inodes[inode].present.to_vec())
    }

    /// Changes a file behind everyone's back, durably: bit rot, a misdirected write, an operator.
    pub fn corrupt(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut disk = self.disk();
        if let Some(&inode) = disk.names.get(name) {
            let inode = &mut disk.inodes[inode];
            let mut bytes = inode.present.to_vec();
            change(&mut bytes);
            inode.present = Image::of(&bytes);
            inode.durable = inode.present.clone();
            inode.dirty.clear();
        }
    }

    /// Makes a file out of nothing, durably.
    pub fn plant(&self, name: &str, bytes: &[u8]) {
        let mut disk = self.disk();
        disk.exists = true;
        let inode = disk.inodes.len();
        let present = Image::of(bytes);
        disk.inodes.push(Inode { durable: present.clone(), present, ..Inode::default() });
        disk.call(name, inode);
        disk.durable_names.insert(name.to_owned(), inode);
    }

    /// Removes a file behind everyone's back, durably.
    pub fn lose(&self, name: &str) {
        let mut disk = self.disk();
        disk.uncall(name);
        disk.durable_names.remove(name);
    }

    /// Runs one operation with whatever fault is planned for it.
    fn operate<T>(
        &self,
        operation: Operation,
        name: &str,
        run: impl FnOnce(&mut Disk) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut disk = self.disk();
        disk.operate(self.life, operation, &name.into(), run)
    }
}

impl Drop for FaultFs {
    fn drop(&mut self) {
        let mut disk = self.disk();
        if disk.locked == Some(self.handle) && disk.life == self.life {
            disk.locked = None;
        }
    }
}

impl Fs for FaultFs {
    type File = FaultFile;

    fn another(&self) -> Self {
        // Of the same life: what a dead process opened stays dead.
        let mut another = self.another();
        another.life = self.life;
        another
    }

    fn root(&self) -> &Path {
        &self.root
    }

    fn create_root(&mut self) -> io::Result<()> {
        self.operate(Operation::CreateRoot, "", |disk| {
            disk.exists = true;
            Ok(())
        })
    }

    fn list(&mut self) -> io::Result<Vec<String>> {
        self.operate(Operation::List, "", |disk| {
            if disk.exists {
                Ok(disk.names.keys().cloned().collect())
            } else {
                Err(io::ErrorKind::NotFound.into())
            }
        })
    }

    fn create_new(&mut self, name: &str) -> io::Result<FaultFile> {
        let inode = self.operate(Operation::Create, name, |disk| {
            if disk.names.contains_key(name) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            let inode = disk.inodes.len();
            disk.inodes.push(Inode::default());
            disk.call(name, inode);
            disk.changes.push(NameChange::Create(name.to_owned(), inode));
            Ok(inode)
        })?;
        let disk = Arc::clone(&self.disk);
        Ok(FaultFile { disk, life: self.life, inode, name: name.into() })
    }

    fn open(&mut self, name: &str) -> io::Result<FaultFile> {
        let inode = self.operate(Operation::Open, name, |disk| disk.find(name))?;
        let disk = Arc::clone(&self.disk);
        Ok(FaultFile { disk, life: self.life, inode, name: name.into() })
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.operate(Operation::Rename, from, |disk| {
            let inode = disk.find(from)?;
            disk.uncall(from);
            disk.call(to, inode);
            disk.changes.push(NameChange::Rename(from.to_owned(), to.to_owned(), inode));
            Ok(())
        })
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.operate(Operation::Remove, name, |disk| {
            disk.find(name)?;
            disk.uncall(name);
            disk.changes.push(NameChange::Remove(name.to_owned()));
            Ok(())
        })
    }

    fn sync_dir(&mut self) -> io::Result<()> {
        self.operate(Operation::SyncDir, "", |disk| {
            for change in std::mem::take(&mut disk.changes) {
                change.apply(&mut disk.durable_names);
            }
            Ok(())
        })
    }

    fn lock(&mut self, name: &str) -> io::Result<()> {
        let handle = self.handle;
        self.operate(Operation::Lock, name, |disk| {
            if disk.locked.is_some_and(|holder| holder != handle) {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            if !disk.names.contains_key(name) {
                let inode = disk.inodes.len();
                disk.inodes.push(Inode::default());
                disk.call(name, inode);
                disk.changes.push(NameChange::Create(name.to_owned(), inode));
            }
            disk.locked = Some(handle);
            Ok(())
        })
    }
}

impl FaultFile {
    fn operate<T>(
        &self,
        operation: Operation,
        run: impl FnOnce(&mut Disk) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut disk = self.disk.lock().unwrap_or_else(PoisonError::into_inner);
        // A file may have been renamed since it was opened: faults go by what it is called.
        let name = Arc::clone(disk.inodes[self.inode].name.as_ref().unwrap_or(&self.name));
        disk.operate(self.life, operation, &name, run)
    }
}

impl File for FaultFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.operate(Operation::Write, |disk| {
            let start = usize::try_from(offset).map_err(io::Error::other)?;
            let end = start + bytes.len();
            let grown = end.saturating_sub(disk.inodes[self.inode].present.len()) as u64;
            if disk.room.is_some_and(|room| grown > 0 && disk.used() + grown > room) {
                disk.strikes(Fault::NoSpace);
                return Err(io::ErrorKind::StorageFull.into());
            }
            let file = &mut disk.inodes[self.inode];
            file.present.write(start, bytes);
            file.soil(start / SECTOR_BYTES..end.div_ceil(SECTOR_BYTES));
            Ok(())
        })
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.operate(Operation::Read, |disk| {
            let start = usize::try_from(offset).map_err(io::Error::other)?;
            Ok(disk.inodes[self.inode].present.read(start, buffer))
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.operate(Operation::Sync, |disk| {
            let file = &mut disk.inodes[self.inode];
            let Inode { present, durable, dirty, .. } = file;
            durable.resize(present.len());
            for sector in dirty.drain(..) {
                durable.take_sector(present, sector);
            }
            Ok(())
        })
    }

    fn length(&self) -> io::Result<u64> {
        self.operate(Operation::Length, |disk| Ok(disk.inodes[self.inode].present.len() as u64))
    }
}
