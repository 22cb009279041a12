//! What a node's disk holds, and the writes that are under way to it.
//!
//! A write is hard state, then truncation, then entries. A crash keeps any number of whole writes,
//! in order, and any beginning of the next one.

use std::collections::VecDeque;

use quorate_core::{BootCounter, EntryId, HardState, Index, Persist};

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

    /// Applies the first `whole` writes, and of the one after them what `torn` says.
    pub fn crash(&mut self, writes: &VecDeque<Write>, whole: usize, torn: Torn) {
        for write in writes.iter().take(whole) {
            self.apply(write);
        }
        if let Some(write) = writes.get(whole) {
            let torn = match torn {
                Torn::Entries(count) => Torn::Entries(count.min(write.entries.len())),
                Torn::Nothing | Torn::HardState | Torn::Truncated => torn,
            };
            self.apply_part(write, torn);
        }
    }
}
