//! What a node's disk holds, and the writes that are under way to it.
//!
//! A write is hard state, then truncation, then entries. A crash keeps any number of whole writes,
//! in order, and any beginning of the next one. That the log begins elsewhere is a write, too.
//!
//! A snapshot is a file of its own, durable or not there; what is being received grows in another.

use std::collections::VecDeque;

use quorate_core::{BootCounter, EntryId, HardState, Index, Persist, PersistToken, SnapshotId};

/// What survives a crash.
#[derive(Clone, Debug)]
pub struct Disk {
    pub boot: BootCounter,
    pub hard_state: HardState,
    pub base: EntryId,
    /// Entries above the base.
    pub entries: Vec<EntryId>,
    /// The commit index that came with the last whole write.
    pub commit: Index,
    /// Whole snapshots, oldest first.
    pub snapshots: Vec<SnapshotId>,
    /// What is being received, and how much of it is there.
    pub partial: Option<(SnapshotId, u64)>,
}

/// A job for the log.
#[derive(Clone, Debug)]
pub enum Job {
    Write(Write),
    /// Begin after an entry that is held, and where it is not, hold nothing else.
    Begin(EntryId, Why),
}

/// Why the log is to begin elsewhere.
#[derive(Clone, Copy, Debug)]
pub enum Why {
    Compaction,
    Installation(SnapshotId),
}

/// A job for the store of snapshots.
#[derive(Clone, Copy, Debug)]
pub enum Store {
    Open(SnapshotId),
    Piece { id: SnapshotId, offset: u64, bytes: u32 },
    Verify(SnapshotId),
}

/// A write under way.
#[derive(Clone, Debug)]
pub struct Write {
    pub persist: Persist,
    pub entries: Vec<EntryId>,
}

/// How much of a write a crash leaves behind.
#[derive(Clone, Copy, Debug)]
pub enum Torn {
    Nothing,
    HardState,
    Truncated,
    Entries(usize),
}

impl Disk {
    pub fn last(&self) -> EntryId {
        self.entries.last().copied().unwrap_or(self.base)
    }

    /// Whether exactly this entry would be there after a restart.
    pub fn holds(&self, id: EntryId) -> bool {
        if id.index <= self.base.index {
            return id.index < self.base.index || id == self.base;
        }
        self.at(id.index) == Some(id)
    }

    pub fn at(&self, index: Index) -> Option<EntryId> {
        let at = index.get().checked_sub(self.base.index.get() + 1)?;
        self.entries.get(usize::try_from(at).ok()?).copied()
    }

    pub fn snapshot(&self) -> Option<SnapshotId> {
        self.snapshots.last().copied()
    }

    pub fn do_job(&mut self, job: &Job) -> Option<PersistToken> {
        match job {
            Job::Write(write) => {
                self.apply(write);
                Some(write.persist.token)
            }
            Job::Begin(base, _) => {
                self.begin_after(*base);
                None
            }
        }
    }

    /// The log begins after an entry; where it does not hold that, everything goes.
    pub fn begin_after(&mut self, base: EntryId) {
        if self.at(base.index) == Some(base) {
            self.entries.retain(|id| id.index > base.index);
        } else if base.index > self.base.index {
            self.entries.clear();
        }
        self.base = base;
    }

    /// What opening does before anything else: an installation that was interrupted is completed.
    pub fn recover(&mut self) {
        if let Some(id) = self.snapshot().filter(|id| !self.holds(id.last)) {
            self.begin_after(id.last);
        }
    }

    /// A snapshot is durable; only those in use stay.
    pub fn keep(&mut self, id: SnapshotId, in_use: &[SnapshotId]) {
        self.snapshots.retain(|other| in_use.contains(other) && *other != id);
        self.snapshots.push(id);
        self.snapshots.sort_by_key(|id| id.last.index);
    }

    pub fn apply(&mut self, write: &Write) {
        self.apply_part(write, Torn::Entries(write.entries.len()));
        self.commit = write.persist.commit;
    }

    pub fn apply_part(&mut self, write: &Write, torn: Torn) {
        if matches!(torn, Torn::Nothing) {
            return;
        }
        self.hard_state = write.persist.hard_state.unwrap_or(self.hard_state);
        if matches!(torn, Torn::HardState) {
            return;
        }
        if let Some(from) = write.persist.truncate_from {
            self.entries.retain(|id| id.index < from);
        }
        let Torn::Entries(count) = torn else { return };
        for id in &write.entries[..count] {
            assert_eq!(id.index, self.last().index.next(), "a write continues the log on disk");
            self.entries.push(*id);
        }
    }

    /// Does the first `whole` jobs, and of the write after them what `torn` says.
    pub fn crash(&mut self, jobs: &VecDeque<Job>, whole: usize, torn: Torn) {
        for job in jobs.iter().take(whole) {
            self.do_job(job);
        }
        if let Some(Job::Write(write)) = jobs.get(whole) {
            let torn = match torn {
                Torn::Entries(count) => Torn::Entries(count.min(write.entries.len())),
                Torn::Nothing | Torn::HardState | Torn::Truncated => torn,
            };
            self.apply_part(write, torn);
        }
    }
}
