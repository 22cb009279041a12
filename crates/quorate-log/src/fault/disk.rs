//! The disk behind the handles: what is durable, what was only written, and what a crash leaves.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use super::image::Image;
use super::{Fault, Loss};
use crate::error::Operation;
use crate::whiten::mix;

/// Unit in which a device writes.
pub(super) const SECTOR_BYTES: usize = 512;

/// Unit in which a sector may tear.
const CHUNK_BYTES: usize = 64;

/// One file.
#[derive(Clone, Debug, Default)]
pub(super) struct Inode {
    /// What a read sees.
    pub(super) present: Image,
    /// What is durable.
    pub(super) durable: Image,
    /// Sectors that may differ, in ascending order.
    pub(super) dirty: Vec<usize>,
    /// What it is called, while it has a name.
    pub(super) name: Option<Arc<str>>,
}

/// An operation on names that is not durable yet.
#[derive(Clone, Debug)]
pub(super) enum NameChange {
    Create(String, usize),
    Rename(String, String, usize),
    Remove(String),
}

#[derive(Clone, Debug)]
pub(super) struct Disk {
    pub(super) inodes: Vec<Inode>,
    pub(super) names: BTreeMap<String, usize>,
    pub(super) durable_names: BTreeMap<String, usize>,
    pub(super) changes: Vec<NameChange>,
    pub(super) exists: bool,
    /// The life whose handles work.
    pub(super) life: u64,
    pub(super) locked: Option<u64>,
    pub(super) handles: u64,
    /// Operations so far.
    pub(super) operations: u64,
    pub(super) history: Vec<(Operation, Arc<str>)>,
    /// Faults by number of the operation, from 1.
    pub(super) faults: BTreeMap<u64, Fault>,
    /// Which of them an operation met, each once.
    pub(super) struck: Vec<Fault>,
    /// Most bytes that all files may have.
    pub(super) room: Option<u64>,
    /// Bytes that the device writes at once.
    pub(super) sector_bytes: usize,
    pub(super) crashed: bool,
}

fn dead() -> io::Error {
    io::Error::other("the machine crashed")
}

impl Disk {
    pub(super) fn operate<T>(
        &mut self,
        life: u64,
        operation: Operation,
        name: &Arc<str>,
        run: impl FnOnce(&mut Self) -> io::Result<T>,
    ) -> io::Result<T> {
        if life != self.life || self.crashed {
            return Err(dead());
        }
        self.operations += 1;
        self.history.push((operation, Arc::clone(name)));
        let planned = self.faults.get(&self.operations).copied();
        if let Some(fault @ (Fault::Fails | Fault::NoSpace | Fault::Denied)) = planned {
            self.strikes(fault);
        }
        match planned {
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
                Fault::WriteFails
                | Fault::ShortWrite
                | Fault::SyncLosesData
                | Fault::SyncForgets
                | Fault::SyncLies,
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
        let is_met = match fault {
            Some(Fault::ShortWrite | Fault::WriteFails) => operation == Operation::Write,
            _ => operation == Operation::Sync,
        };
        if let Some(fault) = fault.filter(|_| is_met) {
            self.strikes(fault);
        }
        match (fault, operation) {
            (Some(Fault::ShortWrite), Operation::Write) => {
                let before = self.inodes[inode].clone();
                let result = run(self);
                let file = &mut self.inodes[inode];
                let was_dirty = |sector: &usize| before.dirty.binary_search(sector).is_ok();
                let changed = file.dirty.iter().copied().filter(|sector| !was_dirty(sector));
                let changed: Vec<usize> = changed.collect();
                let lost = &changed[changed.len().div_ceil(2)..];
                file.dirty.retain(|sector| !lost.contains(sector));
                for sector in lost {
                    file.present.take_sector(&before.present, *sector);
                }
                result.and_then(|_| Err(io::ErrorKind::WriteZero.into()))
            }
            (Some(Fault::WriteFails), Operation::Write) => {
                Err(io::Error::other("an injected failure of a write"))
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

    /// Notes that something went wrong.
    pub(super) fn strikes(&mut self, fault: Fault) {
        if !self.struck.contains(&fault) {
            self.struck.push(fault);
        }
    }

    pub(super) fn end_life(&mut self) {
        self.life += 1;
        self.locked = None;
        self.operations = 0;
        self.history.clear();
        self.faults.clear();
        self.struck.clear();
        self.crashed = false;
    }

    pub(super) fn crash(&mut self, loss: &Loss) {
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
            let sectors = std::mem::take(&mut file.dirty);
            let keep_length = match loss {
                Loss::Everything => false,
                Loss::Seeded(_) => chance.coin(),
                Loss::Nothing | Loss::Sectors(_) => true,
            };
            let mut after = file.durable.clone();
            after.resize(file.present.len().max(file.durable.len()));
            if matches!(loss, Loss::Seeded(_)) && self.sector_bytes > SECTOR_BYTES {
                chance.harm_neighbours(&mut after, &sectors, self.sector_bytes / SECTOR_BYTES);
            }
            for sector in sectors {
                match loss {
                    Loss::Nothing => after.take_sector(&file.present, sector),
                    Loss::Everything => {}
                    Loss::Seeded(_) => chance.tear(&mut after, &file.present, sector),
                    Loss::Sectors(_) => {
                        if bits.next().unwrap_or(false) {
                            after.take_sector(&file.present, sector);
                        }
                    }
                }
            }
            let length = if keep_length { file.present.len() } else { file.durable.len() };
            after.resize(length.min(after.len()));
            file.present.clone_from(&after);
            file.durable = after;
        }
        self.names = self.durable_names.clone();
        for inode in &mut self.inodes {
            inode.name = None;
        }
        for (name, inode) in &self.names {
            self.inodes[*inode].name = Some(name.as_str().into());
        }
    }

    /// Gives a file a name, in place of whatever has it.
    pub(super) fn call(&mut self, name: &str, inode: usize) {
        if let Some(before) = self.names.insert(name.to_owned(), inode) {
            self.inodes[before].name = None;
        }
        self.inodes[inode].name = Some(name.into());
    }

    /// Takes a name away.
    pub(super) fn uncall(&mut self, name: &str) {
        if let Some(inode) = self.names.remove(name) {
            self.inodes[inode].name = None;
        }
    }

    pub(super) fn used(&self) -> u64 {
        self.names.values().map(|&inode| self.inodes[inode].present.len() as u64).sum()
    }

    pub(super) fn find(&self, name: &str) -> io::Result<usize> {
        self.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl NameChange {
    pub(super) fn apply(self, names: &mut BTreeMap<String, usize>) {
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
    /// Notes that these sectors, one after the other, may differ.
    pub(super) fn soil(&mut self, sectors: std::ops::Range<usize>) {
        for sector in sectors {
            match self.dirty.last() {
                Some(last) if *last >= sector => {
                    if let Err(at) = self.dirty.binary_search(&sector) {
                        self.dirty.insert(at, sector);
                    }
                }
                _ => self.dirty.push(sector),
            }
        }
    }

    /// Drops what was not synced.
    pub(super) fn forget(&mut self) {
        self.present.clone_from(&self.durable);
        self.dirty.clear();
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

    /// Turns to zeros, now and then, what lies in a sector of the device in which something was being
    /// written, and was not itself written.
    fn harm_neighbours(&mut self, target: &mut Image, dirty: &[usize], wide: usize) {
        let zeros = Image::of(&vec![0; target.len()]);
        let mut devices: Vec<usize> = dirty.iter().map(|sector| sector / wide).collect();
        devices.dedup();
        for device in devices {
            if !self.next().is_multiple_of(4) {
                continue;
            }
            let within = device * wide..(device + 1) * wide;
            for sector in within.filter(|sector| dirty.binary_search(sector).is_err()) {
                target.take_sector(&zeros, sector);
            }
        }
    }

    /// Lets a sector survive, or not, or some of its chunks.
    fn tear(&mut self, target: &mut Image, source: &Image, sector: usize) {
        match self.next() % 5 {
            0 | 1 => {}
            2 | 3 => target.take_sector(source, sector),
            _ => {
                for chunk in 0..SECTOR_BYTES / CHUNK_BYTES {
                    let start = sector * SECTOR_BYTES + chunk * CHUNK_BYTES;
                    if self.coin() {
                        target.take_range(source, start, start + CHUNK_BYTES);
                    }
                }
            }
        }
    }
}
