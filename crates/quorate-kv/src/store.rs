//! Executes commands: the only place that changes the store.
//!
//! A command is checked whole before it changes anything, so that one that fails has no effect.
//! A change makes the next revision; a command that changes nothing makes none.
//!
//! A compaction takes effect at once for every read, but what it makes unreachable is swept in
//! small portions by the commands that follow, so that no command takes long. The portions depend
//! on the commands alone; replicas stay equal.

#[cfg(test)]
mod tests;

use crate::archive::{ArchiveStorage, Archivist};
use crate::command::{Append, Command, DeleteRange, MAX_APPENDED_BYTES, Put};
use crate::error::KvError;
use crate::event::{Event, EventKind};
use crate::key_value::{KeyValue, Stamp};
use crate::reply::{AppendReply, DeleteRangeReply, Outcome, PutReply, Reply};
use crate::retired::Retired;
use crate::revision::{LeaseId, Revision};
use crate::tree::Position;
use crate::txn;
use crate::view::View;

/// Versions swept by the compaction itself.
const SWEEP_AT_COMPACTION: usize = 1024;

/// Versions swept by every command after it.
const SWEEP_PER_COMMAND: usize = 32;

/// A multi-version store.
#[derive(Debug, Default)]
pub struct Store {
    view: View,
    archivist: Archivist,
    /// What the history holds, in the order in which compactions may drop it.
    retired: Retired,
    /// Whether something may be there that retired by the compacted revision.
    unswept: bool,
}

impl Store {
    /// An empty store that keeps the values of replaced versions in this storage.
    #[must_use]
    pub fn with_archive(storage: Box<dyn ArchiveStorage>) -> Self {
        Self { archivist: Archivist::new(storage), ..Self::default() }
    }

    /// Executes a command; appends what changed to `events`, in order.
    pub fn apply(&mut self, command: Command, events: &mut Vec<Event>) -> Reply {
        let result = self.execute(command, events);
        self.sweep(SWEEP_PER_COMMAND);
        Reply { revision: self.view.revision, result }
    }

    /// The whole store as it stands, in constant time.
    #[must_use]
    pub fn view(&self) -> View {
        self.view.clone()
    }

    /// The store as it stands, borrowed.
    #[must_use]
    pub const fn as_view(&self) -> &View {
        &self.view
    }

    /// Replaces everything by what `read` puts into an empty view; leaves nothing when it fails.
    pub(crate) fn refill<E>(
        &mut self,
        read: impl FnOnce(&mut Archivist, &mut View) -> Result<Retired, E>,
    ) -> Result<(), E> {
        // First, so that two stores need not be in memory at once.
        self.clear();
        match read(&mut self.archivist, &mut self.view) {
            Ok(retired) => self.retired = retired,
            Err(error) => {
                self.clear();
                return Err(error);
            }
        }
        Ok(())
    }

    fn clear(&mut self) {
        self.view = View::default();
        self.archivist.clear(&mut self.view.archive);
        self.retired = Retired::default();
        self.unswept = false;
    }

    fn execute(&mut self, command: Command, events: &mut Vec<Event>) -> Result<Outcome, KvError> {
        command.validate()?;
        self.view.alarms.check(&command)?;
        match command {
            Command::Put(put) => {
                self.check_put(&put)?;
                Ok(Outcome::Put(self.begin(events).put(put)))
            }
            Command::DeleteRange(delete) => {
                Ok(Outcome::DeleteRange(self.begin(events).delete_range(&delete)))
            }
            Command::Txn(txn) => {
                let path = txn::choose(&self.view, &txn);
                txn::check(self, &txn, &mut path.iter().copied())?;
                let reply = txn::execute(&mut self.begin(events), txn, &mut path.into_iter());
                Ok(Outcome::Txn(reply))
            }
            Command::Compact(revision) => self.compact(revision).map(|()| Outcome::Compact),
            Command::Alarm(change) => self.view.alarms.change(change).map(Outcome::Alarms),
            Command::Append(append) => self.append(&append, events).map(Outcome::Append),
        }
    }

    /// Whether a put can be executed on the present state.
    pub(crate) fn check_put(&self, put: &Put) -> Result<(), KvError> {
        if (put.ignore_value || put.ignore_lease) && self.view.key(put.key()).is_none() {
            return Err(KvError::KeyNotFound);
        }
        // No lease can exist yet, so naming one names an unknown one.
        if put.lease == LeaseId::NONE { Ok(()) } else { Err(KvError::LeaseNotFound) }
    }

    fn append(&mut self, append: &Append, events: &mut Vec<Event>) -> Result<AppendReply, KvError> {
        let previous = self.view.key(&append.key);
        let before = previous.map_or(&[][..], KeyValue::value);
        let length = before.len() + append.suffix.len();
        if length > MAX_APPENDED_BYTES {
            return Err(KvError::ValueTooLarge);
        }
        let value = [before, &append.suffix].concat();
        let mut put = Put::new(&append.key, &value);
        put.ignore_lease = previous.is_some();
        let revision = self.begin(events).put(put).revision;
        Ok(AppendReply { revision, length: length as u64 })
    }

    fn begin<'a>(&'a mut self, events: &'a mut Vec<Event>) -> Change<'a> {
        let revision = self.view.revision.next();
        Change { store: self, events, revision }
    }

    fn compact(&mut self, revision: Revision) -> Result<(), KvError> {
        if revision <= self.view.compacted {
            return Err(KvError::Compacted);
        }
        if revision > self.view.revision {
            return Err(KvError::FutureRevision);
        }
        self.view.compacted = revision;
        self.unswept = true;
        self.sweep(SWEEP_AT_COMPACTION);
        Ok(())
    }

    /// Drops up to this many versions that no readable revision can see.
    fn sweep(&mut self, portion: usize) {
        if !self.unswept {
            return;
        }
        for _ in 0..portion {
            let Some(version) = self.retired.pop_through(self.view.compacted) else {
                self.unswept = false;
                return;
            };
            self.forget(&version);
        }
    }

    /// Moves a version that was replaced or deleted behind the current ones.
    fn retire(&mut self, kv: &KeyValue, at: Revision) {
        let archived = match self.archivist.keep(&mut self.view.archive, kv.value()) {
            Some(place) => kv.archived(place),
            None => kv.clone(),
        };
        self.view.history.insert(archived.clone());
        self.retired.push(at, archived);
    }

    /// Drops a version of the history.
    fn forget(&mut self, version: &KeyValue) {
        let at = Position { key: version.key(), revision: version.mod_revision().get() };
        if self.view.history.remove(at).is_some() {
            self.view.bytes -= size(version);
        }
        if let Some(place) = version.place() {
            self.archivist.release(&mut self.view.archive, place);
        }
    }
}

fn size(kv: &KeyValue) -> u64 {
    u64::try_from(kv.size()).unwrap_or(u64::MAX)
}

/// One revision in the making. What it does is visible in the view at once.
#[derive(Debug)]
pub(crate) struct Change<'a> {
    store: &'a mut Store,
    events: &'a mut Vec<Event>,
    /// The revision that the change makes, if it changes anything.
    revision: Revision,
}

impl Change<'_> {
    /// Revision of the store if the change ended here.
    pub(crate) const fn revision(&self) -> Revision {
        self.store.view.revision
    }

    /// The store with what the change did so far.
    pub(crate) const fn view(&self) -> &View {
        &self.store.view
    }

    /// Sets a key; the put was checked.
    pub(crate) fn put(&mut self, put: Put) -> PutReply {
        let view = &self.store.view;
        let previous = view.key(put.key());
        let stamp = Stamp {
            create_revision: previous.map_or(self.revision, KeyValue::create_revision).get(),
            mod_revision: self.revision.get(),
            version: previous.map_or(0, KeyValue::version) + 1,
            lease: match previous {
                Some(previous) if put.ignore_lease => previous.lease().get(),
                _ => put.lease.get(),
            },
        };
        let return_previous = put.return_previous;
        let kv = match previous {
            Some(previous) if put.ignore_value => {
                KeyValue::assemble(put.key(), previous.value(), stamp)
            }
            _ => put.into_pair().stamped(stamp),
        };
        let previous = self.store.view.current.insert(kv.clone());
        self.store.view.bytes += size(&kv);
        if let Some(previous) = &previous {
            self.store.retire(previous, self.revision);
        }
        self.record(EventKind::Put, kv, previous.clone());
        PutReply { revision: self.revision(), previous: previous.filter(|_| return_previous) }
    }

    /// Deletes the keys of a range.
    pub(crate) fn delete_range(&mut self, delete: &DeleteRange) -> DeleteRangeReply {
        let doomed: Vec<_> = self.store.view.current_in(&delete.range).cloned().collect();
        for kv in &doomed {
            let tombstone = KeyValue::tombstone(kv.key(), self.revision);
            self.store.view.current.remove(Position::first_of(kv.key()));
            self.store.view.bytes += size(&tombstone);
            self.store.retire(kv, self.revision);
            self.store.retire(&tombstone, self.revision);
            self.record(EventKind::Delete, tombstone, Some(kv.clone()));
        }
        DeleteRangeReply {
            revision: self.revision(),
            deleted: u64::try_from(doomed.len()).unwrap_or(u64::MAX),
            previous: if delete.return_previous { doomed } else { Vec::new() },
        }
    }

    fn record(&mut self, kind: EventKind, kv: KeyValue, previous: Option<KeyValue>) {
        self.store.view.revision = self.revision;
        self.events.push(Event { kind, kv, previous });
    }
}
