//! The store at one moment: what reads, digests and statistics look at.
//!
//! Two trees hold everything: the current version of every key that exists, and what is behind
//! them, which is replaced versions and the marks of deletions. A read of the latest revision
//! looks at the first tree alone. A read of revision R takes, for each key, the last version not
//! above R from either.
//!
//! Invariants:
//! - per key and revision there is one version or mark, in one of the trees;
//! - a current version is newer than all of its key in the history;
//! - what a revision from the compacted one on can see is there; what none of them can see may be
//!   there until it is swept, and nothing here may depend on it.

use core::iter::Peekable;
use core::ops;

use crate::alarm::{Alarm, Alarms};
use crate::archive::Archive;
use crate::error::KvError;
use crate::key_range::{KeyRange, Span};
use crate::key_value::KeyValue;
use crate::query::{Range, SortOrder, SortTarget};
use crate::reply::RangeReply;
use crate::revision::Revision;
use crate::tree::{ByKey, ByRevision, Iter, Order, Position, Tree};

/// The store at one moment. Cloning it takes constant time and stops nobody.
#[derive(Clone, Debug)]
pub struct View {
    /// The version of each key that exists.
    pub(crate) current: Tree<ByKey>,
    /// Replaced versions and marks of deletions.
    pub(crate) history: Tree<ByRevision>,
    /// Values of the replaced versions.
    pub(crate) archive: Archive,
    /// Revision of the last change.
    pub(crate) revision: Revision,
    /// Revisions below it are not readable; zero before any compaction.
    pub(crate) compacted: Revision,
    /// Bytes of all versions in both trees.
    pub(crate) bytes: u64,
    pub(crate) alarms: Alarms,
}

/// Figures of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Revision of the last change.
    pub revision: Revision,
    /// Oldest readable revision, if there was a compaction.
    pub compact_revision: Option<Revision>,
    /// Number of keys.
    pub keys: u64,
    /// Number of versions kept, current ones and marks of deletions included.
    pub versions: u64,
    /// Bytes of those versions.
    pub bytes: u64,
}

impl Default for View {
    fn default() -> Self {
        Self {
            current: Tree::default(),
            history: Tree::default(),
            archive: Archive::default(),
            revision: Revision::FIRST,
            compacted: Revision::ZERO,
            bytes: 0,
            alarms: Alarms::default(),
        }
    }
}

impl View {
    /// Revision of the last change.
    #[must_use]
    pub const fn revision(&self) -> Revision {
        self.revision
    }

    /// Oldest readable revision, if there was a compaction.
    #[must_use]
    pub fn compact_revision(&self) -> Option<Revision> {
        (self.compacted > Revision::ZERO).then_some(self.compacted)
    }

    /// Figures of the store.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        Stats {
            revision: self.revision,
            compact_revision: self.compact_revision(),
            keys: count(self.current.len()),
            versions: count(self.current.len() + self.history.len()),
            bytes: self.bytes,
        }
    }

    /// The alarms that are raised, in order.
    pub fn alarms(&self) -> impl ExactSizeIterator<Item = Alarm> {
        self.alarms.iter()
    }

    /// The current version of a key.
    #[must_use]
    pub fn key(&self, key: &[u8]) -> Option<&KeyValue> {
        self.current.get(Position::first_of(key))
    }

    /// Reads a range of keys.
    ///
    /// # Errors
    ///
    /// When the key is empty, or the revision is not made yet or compacted.
    pub fn range(&self, range: &Range) -> Result<RangeReply, KvError> {
        range.validate()?;
        self.check_readable(range.revision)?;
        Ok(self.read(range))
    }

    /// Whether a read may name this revision.
    pub(crate) fn check_readable(&self, revision: Revision) -> Result<(), KvError> {
        if revision <= Revision::ZERO {
            Ok(())
        } else if revision > self.revision {
            Err(KvError::FutureRevision)
        } else if revision < self.compacted {
            Err(KvError::Compacted)
        } else {
            Ok(())
        }
    }

    /// Reads a range at a readable revision.
    pub(crate) fn read(&self, range: &Range) -> RangeReply {
        let at = self.resolve(range.revision);
        let limit = usize::try_from(range.limit).ok().filter(|&limit| limit > 0);
        let limit = limit.unwrap_or(usize::MAX);
        let current = self.current_in(&range.range);
        if at == self.revision && range.is_in_key_order() {
            let count = current.len();
            let kvs = if range.count_only {
                Vec::new()
            } else if range.sort_order == SortOrder::Descend && count > 1 {
                let ranks = ranks(&self.current, &range.range);
                self.project(range, self.current.iter_back(ranks).take(limit))
            } else {
                self.project(range, current.take(limit))
            };
            return self.page(kvs, !range.count_only && count > limit, count);
        }
        let mut found: Vec<_> = if at == self.revision {
            current.cloned().collect()
        } else {
            self.versions_at(&range.range, at).cloned().collect()
        };
        let count = found.len();
        if range.count_only {
            return self.page(Vec::new(), false, count);
        }
        found.retain(|kv| range.keeps(kv));
        if range.sort_target == SortTarget::Value {
            found.iter_mut().for_each(|kv| *kv = self.whole(kv));
        }
        range.sort(&mut found);
        let kvs = self.project(range, found.iter().take(limit));
        self.page(kvs, found.len() > limit, count)
    }

    /// Collects versions as the reply shows them.
    fn project<'a>(&self, range: &Range, kvs: impl Iterator<Item = &'a KeyValue>) -> Vec<KeyValue> {
        if range.keys_only {
            kvs.map(KeyValue::without_value).collect()
        } else {
            kvs.map(|kv| self.whole(kv)).collect()
        }
    }

    /// A version of this view with its value.
    pub(crate) fn whole(&self, kv: &KeyValue) -> KeyValue {
        match kv.place() {
            Some(place) => kv.restored(place, |room| self.archive.read(place, room)),
            None => kv.clone(),
        }
    }

    fn page(&self, kvs: Vec<KeyValue>, more: bool, count: usize) -> RangeReply {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        RangeReply { revision: self.revision, kvs, more, count }
    }

    /// The revision that a request means.
    fn resolve(&self, revision: Revision) -> Revision {
        if revision <= Revision::ZERO { self.revision } else { revision }
    }

    /// The current versions of a range's keys, in key order.
    pub(crate) fn current_in(&self, range: &KeyRange) -> Iter<'_> {
        match range.span() {
            Span::Key(key) => Iter::of(self.key(key)),
            Span::From(_) | Span::Between(..) => self.current.iter(ranks(&self.current, range)),
        }
    }

    /// The versions of a range's keys at a readable revision, in key order.
    pub(crate) fn versions_at(&self, range: &KeyRange, at: Revision) -> VersionsAt<'_> {
        let ranks = ranks(&self.history, range);
        VersionsAt {
            view: self,
            at,
            current: self.current_in(range).peekable(),
            past: self.history.iter(ranks.clone()).peekable(),
            past_end: ranks.end,
        }
    }

    /// The last replaced version of a key, or mark of its deletion, not above a revision.
    pub(crate) fn last_in_history(&self, key: &[u8], at: Revision) -> Option<&KeyValue> {
        let behind = Position { key, revision: at.get().saturating_add(1) };
        let rank = self.history.rank(behind).checked_sub(1)?;
        self.history.nth(rank).filter(|kv| kv.key() == key)
    }
}

/// Where a range's keys stand in a tree.
fn ranks<O: Order>(tree: &Tree<O>, range: &KeyRange) -> ops::Range<usize> {
    let (first, end) = match range.span() {
        Span::Key(key) => {
            (tree.rank(Position::first_of(key)), tree.rank(Position::after_all_of(key)))
        }
        Span::From(key) => (tree.rank(Position::first_of(key)), tree.len()),
        Span::Between(key, end) => {
            (tree.rank(Position::first_of(key)), tree.rank(Position::first_of(end)))
        }
    };
    // An inverted range holds nothing.
    first..end.max(first)
}

/// Walks the keys of a range as they were at a revision.
#[derive(Debug)]
pub(crate) struct VersionsAt<'a> {
    view: &'a View,
    at: Revision,
    current: Peekable<Iter<'a>>,
    past: Peekable<Iter<'a>>,
    /// Rank behind the last of the history that lies in the range.
    past_end: usize,
}

impl<'a> VersionsAt<'a> {
    /// Versions of one key that are walked over before searching instead.
    const PATIENCE: usize = 8;

    /// Consumes a key's history; returns the last of it that is not above the revision.
    fn last_of(&mut self, key: &[u8]) -> Option<&'a KeyValue> {
        let mut last = None;
        for _ in 0..Self::PATIENCE {
            let Some(kv) = self.past.next_if(|kv| kv.key() == key) else { return last };
            if kv.mod_revision() <= self.at {
                last = Some(kv);
            }
        }
        let history = &self.view.history;
        let next = history.rank(Position::after_all_of(key));
        self.past = history.iter(next..self.past_end).peekable();
        self.view.last_in_history(key, self.at)
    }
}

impl<'a> Iterator for VersionsAt<'a> {
    type Item = &'a KeyValue;

    fn next(&mut self) -> Option<&'a KeyValue> {
        loop {
            let key = match (self.current.peek(), self.past.peek()) {
                (Some(current), Some(past)) => current.key().min(past.key()),
                (Some(only), None) | (None, Some(only)) => only.key(),
                (None, None) => return None,
            };
            let current = self.current.next_if(|kv| kv.key() == key);
            let last = self.last_of(key);
            let visible = current.filter(|kv| kv.mod_revision() <= self.at).or(last);
            if let Some(kv) = visible.filter(|kv| !kv.is_tombstone()) {
                return Some(kv);
            }
        }
    }
}
