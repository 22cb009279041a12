//! The snapshots of a directory: which one holds, and the second half of an install.
//!
//! The newest by index that is whole counts, if it reaches the base. A damaged one is set aside only
//! when an older one reaches the base or the log goes back to its beginning; else nothing is
//! changed and the directory is refused.
//!
//! A received snapshot becomes durable before the log gives way to it. Where a crash came between
//! the two, the log does not hold the entry that the snapshot ends with: the log gives way here,
//! before anybody sees it. Nothing was acknowledged on the strength of either half alone.

use std::collections::VecDeque;

use quorate_core::{EntryId, Few, HardState, Index, PersistToken};

use super::{FinishStep, OpenProgress, Opening, Recovered, Stage};
use crate::directory::Named;
use crate::error::{Damage, DamageKind, IoFailure, LogError, OpenError};
use crate::fs::Fs;
use crate::log::{Compact, Progress, Write};
use crate::segment::{FORMAT, HeaderError};
use crate::snapshot::{Found, Held, Name, Walk, Walked, damaged_name};

/// What is known of the snapshots while a directory is opened.
#[derive(Debug)]
pub(super) struct Snapshots<T> {
    /// Names of whole snapshots that were not looked at, the newest first.
    candidates: VecDeque<(EntryId, String)>,
    reading: Option<(Named<T>, Option<Walk>)>,
    held: Option<Held<T>>,
    /// Those that cannot be believed.
    damaged: Vec<(EntryId, String, Damage)>,
    parts: Vec<(EntryId, u128, String)>,
    /// Files that are not needed.
    unneeded: Vec<String>,
}

impl<T> Default for Snapshots<T> {
    fn default() -> Self {
        Self {
            candidates: VecDeque::new(),
            reading: None,
            held: None,
            damaged: Vec::new(),
            parts: Vec::new(),
            unneeded: Vec::new(),
        }
    }
}

impl<T> Snapshots<T> {
    /// What the names of a directory say.
    pub(super) fn of(names: &[String]) -> Self {
        let mut snapshots = Self::default();
        let mut found = Vec::new();
        for name in names {
            match Name::parse(name) {
                Some(Name::Final(last)) => found.push((last, name.clone())),
                Some(Name::Part(last, hash)) => snapshots.parts.push((last, hash, name.clone())),
                Some(Name::Damaged(_)) | None => {}
            }
        }
        // By index: a term says nothing about how much a snapshot covers.
        found.sort_by_key(|(last, _)| std::cmp::Reverse((last.index, last.term)));
        snapshots.candidates = found.into();
        snapshots
    }

    /// What the store begins with.
    pub(super) fn take_found(&mut self) -> Found<T> {
        let parts = std::mem::take(&mut self.parts);
        Found {
            held: self.held.take().into_iter().collect(),
            parts: parts.into_iter().map(|(last, hash, _)| (last, hash)).collect(),
        }
    }

    fn covered(&self) -> Index {
        self.held.as_ref().map_or(Index::ZERO, |held| held.stored.id.last.index)
    }
}

impl<F: Fs> Opening<F> {
    /// One operation of looking at the snapshots.
    pub(super) fn read_snapshot(&mut self) -> Result<(), OpenError> {
        let base = self.base_id();
        let next = self.snapshots.candidates.front().cloned();
        let next =
            next.filter(|(last, _)| self.snapshots.held.is_none() && last.index >= base.index);
        let Some((last, name)) = next else { return self.judge_snapshots() };
        if last.term < base.term || (last.index == base.index && last.term != base.term) {
            self.distrust(last, 0, DamageKind::Misplaced);
            return Ok(());
        }
        let Some((file, walk)) = &mut self.snapshots.reading else {
            self.snapshots.reading = Some((self.directory().open(&name)?, None));
            return Ok(());
        };
        let Some(walk) = walk else {
            *walk = Some(Walk::new(file.length()?));
            return Ok(());
        };
        let walked = match walk.step(file) {
            Ok(walked) => walked,
            Err(failure) => {
                let offset = failure.offset.unwrap_or(0);
                self.distrust(last, offset, DamageKind::Unreadable);
                return Ok(());
            }
        };
        match walked {
            Walked::Going => {}
            Walked::Bad(HeaderError::Newer(found)) => {
                return Err(OpenError::NewerFormat {
                    file: file.path.clone(),
                    found,
                    known: FORMAT,
                });
            }
            Walked::Bad(HeaderError::Bad(kind)) => {
                let offset = walk.offset();
                self.distrust(last, offset, kind);
            }
            Walked::Whole(stored) if stored.id.last != last => {
                self.distrust(last, 0, DamageKind::Misplaced);
            }
            Walked::Whole(stored) => {
                let cluster = walk.header().map(|header| header.cluster).unwrap_or_default();
                let file = file.clone();
                self.check_cluster(cluster)?;
                self.snapshots.held = Some(Held { stored, file });
                self.snapshots.reading = None;
                self.snapshots.candidates.pop_front();
            }
        }
        Ok(())
    }

    /// Notes that the snapshot that is being read cannot be believed.
    fn distrust(&mut self, last: EntryId, offset: u64, kind: DamageKind) {
        self.snapshots.reading = None;
        let Some((_, name)) = self.snapshots.candidates.pop_front() else { return };
        let file = self.directory().path(&name);
        let damage = Damage { file, offset, kind, first: None, last: None };
        self.snapshots.damaged.push((last, name, damage));
    }

    /// Refuses a directory whose log begins where no snapshot reaches.
    fn judge_snapshots(&mut self) -> Result<(), OpenError> {
        let base = self.base_id();
        let is_needed = base.index > Index::ZERO && self.snapshots.held.is_none();
        if is_needed && let Some((_, _, damage)) = self.snapshots.damaged.first() {
            return Err(OpenError::SnapshotDamaged { damage: damage.clone(), base });
        }
        if is_needed && !self.options.external_snapshots {
            let directory = self.directory().root();
            return Err(OpenError::SnapshotMissing { directory, base });
        }
        let covered = self.snapshots.covered();
        let older = std::mem::take(&mut self.snapshots.candidates);
        self.snapshots.unneeded.extend(older.into_iter().map(|(_, name)| name));
        let (parts, past) = std::mem::take(&mut self.snapshots.parts)
            .into_iter()
            .partition(|(last, ..)| last.index > covered);
        self.snapshots.parts = parts;
        self.snapshots.unneeded.extend(past.into_iter().map(|(_, _, name)| name));
        self.stage = Stage::Headers;
        Ok(())
    }

    /// Plans what opening does with the files of snapshots.
    pub(super) fn plan_snapshots(&mut self) {
        let (damaged, unneeded) = (self.snapshots.damaged.len(), self.snapshots.unneeded.len());
        self.finish.extend(std::iter::repeat_n(FinishStep::SetAsideSnapshot, damaged));
        self.finish.extend(std::iter::repeat_n(FinishStep::RemoveSnapshot, unneeded));
    }

    /// Renames one damaged snapshot.
    pub(super) fn set_aside(&mut self) -> Result<(), IoFailure> {
        let Some((last, name, damage)) = self.snapshots.damaged.pop() else { return Ok(()) };
        self.directory().rename(&name, &damaged_name(last))?;
        self.report.damaged_snapshots.push(damage);
        Ok(())
    }

    /// Removes one file that is not needed.
    pub(super) fn remove_snapshot(&mut self) -> Result<(), IoFailure> {
        let name = self.snapshots.unneeded.pop();
        name.map_or(Ok(()), |name| self.directory().remove(&name))
    }

    /// Hands everything over; has the log give way to a snapshot first, if it must.
    pub(super) fn settle(&mut self, mut recovered: Box<Recovered<F>>) -> OpenProgress<F> {
        let Recovered { log, snapshots, .. } = &mut *recovered;
        let newest = snapshots.newest().filter(|newest| !log.holds(newest.id.last));
        let Some(newest) = newest else {
            self.stage = Stage::Done;
            return OpenProgress::Ready(recovered);
        };
        let (base, state) = (newest.id.last, log.hard_state());
        if base.term > state.term {
            // The term of the leader that sent it was to be written, and was not: no vote was given
            // in it.
            let hard_state = Some(HardState { term: base.term, vote: None });
            log.enqueue(Write {
                token: PersistToken::default(),
                hard_state,
                truncate_from: None,
                entries: Few::new(),
                commit: Index::ZERO,
            });
        }
        log.compact(Compact { base, meta: newest.meta.clone() });
        self.installing = Some(recovered);
        self.stage = Stage::Install;
        OpenProgress::Working
    }

    /// One operation of letting the log give way to a snapshot.
    pub(super) fn install(&mut self) -> Result<OpenProgress<F>, OpenError> {
        let recovered = self.installing.as_mut().expect("a snapshot is being installed");
        let progress = recovered.log.step().map_err(|error| match error {
            LogError::Failed(failure) | LogError::Full(failure) => OpenError::from(failure),
        })?;
        let Progress::Compacted(base) = progress else { return Ok(OpenProgress::Working) };
        let mut recovered = self.installing.take().expect("it was there above");
        let meta = recovered.snapshots.newest().map(|newest| newest.meta.clone());
        recovered.base = base;
        recovered.base_meta = meta.unwrap_or_default();
        recovered.runs.clear();
        recovered.memberships.clear();
        recovered.commit = base.index;
        recovered.hard_state = recovered.log.hard_state();
        recovered.report.installed = Some(base);
        self.stage = Stage::Done;
        Ok(OpenProgress::Ready(recovered))
    }
}
