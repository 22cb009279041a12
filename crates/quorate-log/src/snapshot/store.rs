//! The jobs of a store, and what it holds.
//!
//! Two lanes: what comes from a peer and what is to be removed goes first, in order; a snapshot
//! being taken has the steps that are left. It is the work that can wait, and the longest.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use quorate_core::{ClusterId, EntryId, SnapshotId};

use super::names::{final_name, part_name};
use super::read::{ContentReader, SnapshotReader};
use super::receive::Receiving;
use super::take::Taking;
use super::{Content, SnapshotError, SnapshotProgress, StoredSnapshot, Walk};
use crate::directory::{Directory, Named};
use crate::error::IoFailure;
use crate::fs::Fs;

/// Bytes written to a file after which it is synced: a device that is kept busy by one long sync at
/// the end would keep the log waiting for as long.
pub(super) const SYNC_BYTES: u64 = 4 << 20;

/// A whole snapshot and its open file.
#[derive(Clone, Debug)]
pub(crate) struct Held<T> {
    pub(crate) stored: StoredSnapshot,
    pub(crate) file: Named<T>,
}

/// What every handle to the store sees.
#[derive(Debug)]
pub(super) struct Shelf<T> {
    held: Vec<Held<T>>,
}

impl<T: Clone> Shelf<T> {
    /// The file of a snapshot.
    pub(super) fn file(&self, id: &SnapshotId) -> Option<Named<T>> {
        let held = self.held.iter().find(|held| held.stored.id == *id);
        held.map(|held| held.file.clone())
    }

    pub(super) fn stored(&self, id: &SnapshotId) -> Option<StoredSnapshot> {
        let held = self.held.iter().find(|held| held.stored.id == *id);
        held.map(|held| held.stored.clone())
    }

    fn newest(&self) -> Option<&StoredSnapshot> {
        // By index alone: terms say nothing about how much a snapshot covers.
        self.held.iter().map(|held| &held.stored).max_by_key(|stored| stored.id.last.index)
    }

    pub(super) fn put(&mut self, held: Held<T>) {
        self.held.retain(|other| other.stored.id.last != held.stored.id.last);
        self.held.push(held);
    }
}

/// What opening a directory found.
#[derive(Debug)]
pub(crate) struct Found<T> {
    /// Whole snapshots.
    pub(crate) held: Vec<Held<T>>,
    /// Files that were being received.
    pub(crate) parts: Vec<(EntryId, u128)>,
}

/// What waits.
enum Job {
    Receive(SnapshotId),
    Store { id: SnapshotId, offset: u64, data: Arc<Vec<u8>> },
    Install(SnapshotId),
    Keep(Vec<SnapshotId>),
}

/// A snapshot to be taken.
pub(super) struct Take {
    pub(super) last: EntryId,
    pub(super) meta: Vec<u8>,
    pub(super) content: Box<dyn Content>,
}

/// What remains of removing files.
#[derive(Debug)]
struct Removing {
    names: Vec<String>,
    removed: bool,
}

/// The snapshots of one data directory: see the module.
pub struct SnapshotStore<F: Fs> {
    pub(super) directory: Directory<F>,
    cluster: Arc<OnceLock<ClusterId>>,
    pub(super) shelf: Arc<Mutex<Shelf<F::File>>>,
    newest: Option<StoredSnapshot>,
    jobs: VecDeque<Job>,
    takes: VecDeque<Take>,
    pub(super) taking: Option<Taking<F::File>>,
    pub(super) receiving: Option<Receiving<F::File>>,
    removing: Option<Removing>,
    /// Parts that an earlier life left.
    pub(super) parts: Vec<(EntryId, u128)>,
    /// Names of files that could not be removed when they should have been.
    pub(super) litter: Vec<String>,
    stopped: Option<SnapshotError>,
}

impl<F: Fs> fmt::Debug for SnapshotStore<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SnapshotStore")
            .field("directory", &self.directory.root())
            .field("newest", &self.newest.as_ref().map(|stored| stored.id))
            .field("queued", &(self.jobs.len() + self.takes.len()))
            .field("stopped", &self.stopped)
            .finish_non_exhaustive()
    }
}

impl<F: Fs> SnapshotStore<F> {
    pub(crate) fn new(
        directory: Directory<F>,
        cluster: Arc<OnceLock<ClusterId>>,
        found: Found<F::File>,
    ) -> Self {
        let shelf = Shelf { held: found.held };
        Self {
            directory,
            cluster,
            newest: shelf.newest().cloned(),
            shelf: Arc::new(Mutex::new(shelf)),
            jobs: VecDeque::new(),
            takes: VecDeque::new(),
            taking: None,
            receiving: None,
            removing: None,
            parts: found.parts,
            litter: Vec::new(),
            stopped: None,
        }
    }

    /// The durable snapshot that covers most.
    #[must_use]
    pub const fn newest(&self) -> Option<&StoredSnapshot> {
        self.newest.as_ref()
    }

    /// Queues the taking of a snapshot that ends with `last`.
    ///
    /// The caller vouches that `content` is the state after exactly that entry, and that every entry
    /// up to it is durable. Ends with [`SnapshotProgress::Taken`] or
    /// [`SnapshotProgress::TakeFailed`].
    ///
    /// # Panics
    ///
    /// When the directory belongs to no cluster, or `meta` exceeds 16 MiB.
    pub fn take(&mut self, last: EntryId, meta: Vec<u8>, content: Box<dyn Content>) {
        assert!(self.cluster.get().is_some(), "a snapshot belongs to a founded cluster");
        assert!(meta.len() as u64 <= super::MAX_META_BYTES, "the meta of a snapshot is small");
        self.takes.push_back(Take { last, meta, content });
    }

    /// Queues the opening of the file for a snapshot that a peer has. Ends with
    /// [`SnapshotProgress::Received`] and what an earlier attempt left. What was being received
    /// before goes.
    pub fn receive(&mut self, id: SnapshotId) {
        self.jobs.push_back(Job::Receive(id));
    }

    /// Queues bytes of the snapshot that is being received. Ends with
    /// [`SnapshotProgress::Received`]; bytes that do not follow those that are there are dropped.
    pub fn store(&mut self, id: SnapshotId, offset: u64, data: impl Into<Arc<Vec<u8>>>) {
        self.jobs.push_back(Job::Store { id, offset, data: data.into() });
    }

    /// Queues the verification of what was received, after which the snapshot is one of those that
    /// are held. Ends with [`SnapshotProgress::Installed`] or [`SnapshotProgress::Rejected`].
    pub fn install(&mut self, id: SnapshotId) {
        self.jobs.push_back(Job::Install(id));
    }

    /// Queues the removal of every whole snapshot but these and the newest. Ends with
    /// [`SnapshotProgress::Removed`].
    pub fn keep(&mut self, ids: &[SnapshotId]) {
        self.jobs.push_back(Job::Keep(ids.to_vec()));
    }

    /// A reader for other threads.
    #[must_use]
    pub fn reader(&self) -> SnapshotReader<F> {
        SnapshotReader::new(Arc::clone(&self.shelf))
    }

    /// What a snapshot holds, from its beginning, verified block by block; nothing when no such
    /// snapshot is held.
    #[must_use]
    pub fn content(&self, id: &SnapshotId) -> Option<ContentReader<F>> {
        self.reader().content(id)
    }

    /// Whether a step would find nothing to do.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        let quiet = self.jobs.is_empty() && self.takes.is_empty() && self.taking.is_none();
        let settled =
            self.removing.is_none() && self.receiving.as_ref().is_none_or(Receiving::is_waiting);
        quiet && settled && self.stopped.is_none()
    }

    /// Whether the only thing left to do is to go on taking a snapshot: work that can wait.
    #[must_use]
    pub fn is_taking(&self) -> bool {
        let others = !self.jobs.is_empty()
            || self.removing.is_some()
            || self.receiving.as_ref().is_some_and(|receiving| !receiving.is_waiting());
        !others && (self.taking.is_some() || !self.takes.is_empty())
    }

    /// Does at most one file operation.
    ///
    /// # Errors
    ///
    /// When names could not be made durable, in this step or any before. Final.
    pub fn step(&mut self) -> Result<SnapshotProgress, SnapshotError> {
        if let Some(error) = &self.stopped {
            return Err(error.clone());
        }
        let worked = self.work();
        let progress = worked.map_err(|failure| self.stop(failure))?;
        if let SnapshotProgress::Taken(_) | SnapshotProgress::Installed(_) = progress {
            let newest = self.shelf().newest().cloned();
            self.newest = newest;
        }
        Ok(progress)
    }

    /// Keeps the first failure for ever.
    fn stop(&mut self, failure: IoFailure) -> SnapshotError {
        let error = SnapshotError::Names(failure);
        self.stopped = Some(error.clone());
        self.jobs.clear();
        self.takes.clear();
        error
    }

    fn work(&mut self) -> Result<SnapshotProgress, IoFailure> {
        if self.removing.is_some() {
            return self.remove();
        }
        if self.receiving.as_ref().is_some_and(|receiving| !receiving.is_waiting()) {
            return self.receive_step();
        }
        if let Some(job) = self.jobs.pop_front() {
            return self.begin(job);
        }
        if self.taking.is_none() {
            let Some(take) = self.takes.pop_front() else { return Ok(SnapshotProgress::Idle) };
            let cluster = *self.cluster.get().expect("checked when it was queued");
            self.taking = Some(Taking::new(cluster, take));
        }
        self.take_step()
    }

    fn begin(&mut self, job: Job) -> Result<SnapshotProgress, IoFailure> {
        match job {
            Job::Receive(id) => Ok(self.begin_receiving(id)),
            Job::Store { id, offset, data } => self.store_data(id, offset, &data),
            Job::Install(id) => Ok(self.begin_installing(id)),
            Job::Keep(ids) => {
                let newest = self.newest.as_ref().map(|stored| stored.id);
                let mut shelf = self.shelf();
                let is_kept = |held: &Held<_>| {
                    ids.contains(&held.stored.id) || newest == Some(held.stored.id)
                };
                let gone = shelf.held.iter().filter(|held| !is_kept(held));
                let names = gone.map(|held| final_name(held.stored.id.last)).collect();
                shelf.held.retain(is_kept);
                drop(shelf);
                self.removing = Some(Removing { names, removed: false });
                self.remove()
            }
        }
    }

    /// Removes one file that is not kept; syncs the names at the end.
    fn remove(&mut self) -> Result<SnapshotProgress, IoFailure> {
        let removing = self.removing.as_mut().expect("files are being removed");
        if let Some(name) = removing.names.pop() {
            removing.removed = true;
            if self.directory.remove(&name).is_err() {
                // It is not served any more; what is made next removes it first, or the next start.
                self.litter.push(name);
            }
            return Ok(SnapshotProgress::Working);
        }
        if removing.removed {
            self.directory.sync_dir()?;
        }
        self.removing = None;
        Ok(SnapshotProgress::Removed)
    }

    /// Removes one file that an attempt left, if there is any; says whether there was.
    pub(super) fn tidy(&mut self) -> Result<bool, IoFailure> {
        let Some(name) = self.litter.last() else { return Ok(false) };
        match self.directory.remove(name) {
            Err(failure) if failure.source.kind() != std::io::ErrorKind::NotFound => Err(failure),
            _ => {
                self.litter.pop();
                Ok(true)
            }
        }
    }

    /// The parts of earlier lives, but that of `id`, become litter.
    pub(super) fn discard_parts(&mut self, id: &SnapshotId) {
        for (last, hash) in std::mem::take(&mut self.parts) {
            if (last, hash) == (id.last, id.hash) {
                self.parts.push((last, hash));
            } else {
                self.litter.push(part_name(&SnapshotId { last, bytes: 0, hash }));
            }
        }
    }

    /// Whether a file belongs to the cluster of this directory.
    pub(super) fn is_ours(&self, walk: &Walk) -> bool {
        walk.header().is_some_and(|header| self.cluster.get() == Some(&header.cluster))
    }

    pub(super) fn shelf(&self) -> MutexGuard<'_, Shelf<F::File>> {
        lock(&self.shelf)
    }
}

/// Nothing panics while the shelf is locked.
pub(super) fn lock<T>(shelf: &Mutex<Shelf<T>>) -> MutexGuard<'_, Shelf<T>> {
    shelf.lock().unwrap_or_else(PoisonError::into_inner)
}
