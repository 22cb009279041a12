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
//! - unsynced sectors survive or not, each on its own, also only some 64-byte chunks of one;
//! - the length of a file that grew survives or not, apart from its bytes; what lies between reads
//!   as zeros;
//! - unsynced directory operations survive or not, each on its own, in any combination;
//! - an operation fails: with an error that changed nothing, a short write, or a failed sync after
//!   which the unsynced bytes are gone and the next sync succeeds;
//! - the disk is full from a number of bytes on;
//! - a crash strikes at the n-th operation, which then either did not happen or did.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::Operation;
use crate::fs::{File, Fs};
use crate::whiten::mix;

/// Unit in which a device writes.
const SECTOR_BYTES: usize = 512;

/// Unit in which a sector may tear.
const CHUNK_BYTES: usize = 64;

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

/// One file's bytes.
#[derive(Clone, Debug, Default)]
struct Inode {
    /// What a read sees.
    present: Vec<u8>,
    /// What is durable.
    durable: Vec<u8>,
    /// Sectors that may differ.
    dirty: BTreeSet<usize>,
}

/// An operation on names that is not durable yet.
#[derive(Clone, Debug)]
enum NameChange {
    Create(String, usize),
    Rename(String, String, usize),
    Remove(String),
}

#[derive(Clone, Debug)]
struct Disk {
    inodes: Vec<Inode>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    changes: Vec<NameChange>,
    exists: bool,
    /// The life whose handles work.
    life: u64,
    locked: Option<u64>,
    handles: u64,
    /// Operations so far.
    operations: u64,
    history: Vec<(Operation, String)>,
    /// Faults by number of the operation, from 1.
    faults: BTreeMap<u64, Fault>,
    /// Most bytes that all files may have.
    room: Option<u64>,
    crashed: bool,
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
    name: String,
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
            room: None,
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
        self.disk().history.clone()
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
        disk.names.get(name).map(|&inode| disk.inodes[inode].present.clone())
    }

    /// Changes a file behind everyone's back, durably: bit rot, a misdirected write, an operator.
    pub fn corrupt(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut disk = self.disk();
        if let Some(&inode) = disk.names.get(name) {
            let inode = &mut disk.inodes[inode];
            change(&mut inode.present);
            inode.durable = inode.present.clone();
            inode.dirty.clear();
        }
    }

    /// Makes a file out of nothing, durably.
    pub fn plant(&self, name: &str, bytes: Vec<u8>) {
        let mut disk = self.disk();
        disk.exists = true;
        let inode = disk.inodes.len();
        let durable = bytes.clone();
        disk.inodes.push(Inode { present: bytes, durable, dirty: BTreeSet::new() });
        disk.names.insert(name.to_owned(), inode);
        disk.durable_names.insert(name.to_owned(), inode);
    }

    /// Removes a file behind everyone's back, durably.
    pub fn lose(&self, name: &str) {
        let mut disk = self.disk();
        disk.names.remove(name);
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
        disk.operate(self.life, operation, name, run)
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

fn dead() -> io::Error {
    io::Error::other("the machine crashed")
}

impl Disk {
    fn operate<T>(
        &mut self,
        life: u64,
        operation: Operation,
        name: &str,
        run: impl FnOnce(&mut Self) -> io::Result<T>,
    ) -> io::Result<T> {
        if life != self.life || self.crashed {
            return Err(dead());
        }
        self.operations += 1;
        self.history.push((operation, name.to_owned()));
        match self.faults.get(&self.operations) {
            None => run(self),
            Some(Fault::CrashBefore) => {
                self.crashed = true;
                Err(dead())
            }
            Some(Fault::CrashAfter) => {
                // Done or refused: nobody lives to hear which.
                drop(run(self));
                self.crashed = true;
                Err(dead())
            }
            Some(Fault::Fails) => Err(io::Error::other("an injected failure")),
            Some(Fault::NoSpace) => Err(io::ErrorKind::StorageFull.into()),
            Some(Fault::Denied) => Err(io::ErrorKind::PermissionDenied.into()),
            Some(
                Fault::ShortWrite | Fault::SyncLosesData | Fault::SyncForgets | Fault::SyncLies,
            ) => self.fault_in_file(operation, name, run),
        }
    }

    /// The faults that only a write or a sync can have.
    fn fault_in_file<T>(
        &mut self,
        operation: Operation,
        name: &str,
        run: impl FnOnce(&mut Self) -> io::Result<T>,
    ) -> io::Result<T> {
        let fault = self.faults.get(&self.operations).copied();
        let inode = self.names.get(name).copied();
        let Some(inode) = inode else { return run(self) };
        match (fault, operation) {
            (Some(Fault::ShortWrite), Operation::Write) => {
                let before = self.inodes[inode].clone();
                let result = run(self);
                let file = &mut self.inodes[inode];
                let changed: Vec<usize> = file.dirty.difference(&before.dirty).copied().collect();
                for sector in changed.iter().skip(changed.len().div_ceil(2)) {
                    file.dirty.remove(sector);
                    revert(&mut file.present, &before.present, *sector);
                }
                result.and_then(|_| Err(io::ErrorKind::WriteZero.into()))
            }
            (Some(Fault::SyncLosesData), Operation::Sync) => {
                self.inodes[inode].forget();
                Err(io::Error::other("an injected failure of a sync"))
            }
            (Some(Fault::SyncForgets), Operation::Sync) => {
                self.inodes[inode].dirty.clear();
                Err(io::Error::other("an injected failure of a sync"))
            }
            (Some(Fault::SyncLies), Operation::Sync) => {
                self.inodes[inode].forget();
                run(self)
            }
            _ => run(self),
        }
    }

    fn end_life(&mut self) {
        self.life += 1;
        self.locked = None;
        self.operations = 0;
        self.history.clear();
        self.faults.clear();
        self.crashed = false;
    }

    fn crash(&mut self, loss: &Loss) {
        let mut chance = Chance(match loss {
            Loss::Seeded(seed) => *seed,
            _ => 0,
        });
        let mut bits = match loss {
            Loss::Sectors(bits) => bits.iter().copied(),
            _ => [].iter().copied(),
        };
        let changes = std::mem::take(&mut self.changes);
        for change in changes {
            let survives = match loss {
                Loss::Nothing | Loss::Sectors(_) => true,
                Loss::Everything => false,
                Loss::Seeded(_) => chance.coin(),
            };
            if survives {
                change.apply(&mut self.durable_names);
            }
        }
        let order: Vec<usize> = self.names.values().copied().collect();
        let others = (0..self.inodes.len()).filter(|inode| !order.contains(inode));
        let order: Vec<usize> = order.iter().copied().chain(others).collect();
        for inode in order {
            let file = &mut self.inodes[inode];
            let sectors: Vec<usize> = file.dirty.iter().copied().collect();
            let keep_length = match loss {
                Loss::Everything => false,
                Loss::Seeded(_) => chance.coin(),
                Loss::Nothing | Loss::Sectors(_) => true,
            };
            let mut after = file.durable.clone();
            after.resize(file.present.len().max(file.durable.len()), 0);
            for sector in sectors {
                match loss {
                    Loss::Nothing => revert(&mut after, &file.present, sector),
                    Loss::Everything => {}
                    Loss::Seeded(_) => chance.tear(&mut after, &file.present, sector),
                    Loss::Sectors(_) => {
                        if bits.next().unwrap_or(false) {
                            revert(&mut after, &file.present, sector);
                        }
                    }
                }
            }
            let length = if keep_length { file.present.len() } else { file.durable.len() };
            after.truncate(length);
            file.present.clone_from(&after);
            file.durable = after;
            file.dirty.clear();
        }
        self.names = self.durable_names.clone();
    }

    fn used(&self) -> u64 {
        self.names.values().map(|&inode| self.inodes[inode].present.len() as u64).sum()
    }

    fn find(&self, name: &str) -> io::Result<usize> {
        self.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl NameChange {
    fn apply(self, names: &mut BTreeMap<String, usize>) {
        match self {
            Self::Create(name, inode) => {
                names.insert(name, inode);
            }
            Self::Rename(from, to, inode) => {
                if names.get(&from) == Some(&inode) {
                    names.remove(&from);
                }
                names.insert(to, inode);
            }
            Self::Remove(name) => {
                names.remove(&name);
            }
        }
    }
}

impl Inode {
    /// Drops what was not synced.
    fn forget(&mut self) {
        self.present.clone_from(&self.durable);
        self.dirty.clear();
    }
}

/// Copies one sector, as far as the source has it.
fn revert(target: &mut [u8], source: &[u8], sector: usize) {
    let start = sector * SECTOR_BYTES;
    let end = (start + SECTOR_BYTES).min(target.len()).min(source.len());
    if start < end {
        target[start..end].copy_from_slice(&source[start..end]);
    }
}

/// A small seeded generator.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    fn coin(&mut self) -> bool {
        self.next() & 1 == 1
    }

    /// Lets a sector survive, or not, or some of its chunks.
    fn tear(&mut self, target: &mut [u8], source: &[u8], sector: usize) {
        match self.next() % 5 {
            0 | 1 => {}
            2 | 3 => revert(target, source, sector),
            _ => {
                for chunk in 0..SECTOR_BYTES / CHUNK_BYTES {
                    let start = sector * SECTOR_BYTES + chunk * CHUNK_BYTES;
                    let end = (start + CHUNK_BYTES).min(target.len()).min(source.len());
                    if self.coin() && start < end {
                        target[start..end].copy_from_slice(&source[start..end]);
                    }
                }
            }
        }
    }
}

impl Fs for FaultFs {
    type File = FaultFile;

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
            disk.names.insert(name.to_owned(), inode);
            disk.changes.push(NameChange::Create(name.to_owned(), inode));
            Ok(inode)
        })?;
        let disk = Arc::clone(&self.disk);
        Ok(FaultFile { disk, life: self.life, inode, name: name.to_owned() })
    }

    fn open(&mut self, name: &str) -> io::Result<FaultFile> {
        let inode = self.operate(Operation::Open, name, |disk| disk.find(name))?;
        let disk = Arc::clone(&self.disk);
        Ok(FaultFile { disk, life: self.life, inode, name: name.to_owned() })
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.operate(Operation::Rename, from, |disk| {
            let inode = disk.find(from)?;
            disk.names.remove(from);
            disk.names.insert(to.to_owned(), inode);
            disk.changes.push(NameChange::Rename(from.to_owned(), to.to_owned(), inode));
            Ok(())
        })
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.operate(Operation::Remove, name, |disk| {
            disk.find(name)?;
            disk.names.remove(name);
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
                disk.names.insert(name.to_owned(), inode);
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
        let name = disk.names.iter().find(|&(_, &inode)| inode == self.inode);
        let name = name.map_or_else(|| self.name.clone(), |(name, _)| name.clone());
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
                return Err(io::ErrorKind::StorageFull.into());
            }
            let file = &mut disk.inodes[self.inode];
            if file.present.len() < end {
                file.present.resize(end, 0);
            }
            file.present[start..end].copy_from_slice(bytes);
            file.dirty.extend(start / SECTOR_BYTES..end.div_ceil(SECTOR_BYTES));
            Ok(())
        })
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.operate(Operation::Read, |disk| {
            let file = &disk.inodes[self.inode].present;
            let start = usize::try_from(offset).map_err(io::Error::other)?.min(file.len());
            let read = buffer.len().min(file.len() - start);
            buffer[..read].copy_from_slice(&file[start..start + read]);
            Ok(read)
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.operate(Operation::Sync, |disk| {
            let file = &mut disk.inodes[self.inode];
            let Inode { present, durable, dirty } = file;
            durable.resize(present.len(), 0);
            for &sector in &*dirty {
                revert(durable, present, sector);
            }
            dirty.clear();
            Ok(())
        })
    }

    fn length(&self) -> io::Result<u64> {
        self.operate(Operation::Length, |disk| Ok(disk.inodes[self.inode].present.len() as u64))
    }
}
