//! The log as the core sees it: terms, kinds and sizes by index, above a base.
//!
//! One deque of heads answers every question about the log: which term an index has, where two
//! logs part, what fits into a message. A head covers consecutive entries of one term and kind;
//! sizes inside a head are averaged, and heads are kept small enough for the error not to matter.
//! The base is the entry before the first that is held: `0@0`, or the end of a snapshot.
//!
//! - Terms never fall along the log (Raft §5.3).
//! - Heads touch: each begins where the one before ends.

mod durability;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;

pub(crate) use durability::Durability;

use crate::entry::{EntryKind, Run};
use crate::few::Few;
use crate::id::{EntryId, Index, Term};
use crate::membership::Membership;
use crate::recent;

/// Entries that one head may average over.
const MAX_HEAD_ENTRIES: u64 = 64;
/// Entries above this size get a head of their own, so that an average is never far off.
const MAX_AVERAGED_BYTES: u64 = 4096;

/// Heads for which room is never given back.
const SMALL_LOG_HEADS: usize = 256;

/// Heads of every entry above the base.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Log {
    base: EntryId,
    heads: VecDeque<Head>,
    /// The last entry; the base where there is none.
    last: EntryId,
    /// Bytes of all entries ever pushed, less those truncated; only differences mean anything.
    bytes: u64,
}

/// Consecutive entries of one term and kind; ends where the next head begins.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Head {
    first: Index,
    bytes_before: u64,
    term: Term,
    kind: EntryKind,
    membership: Option<Arc<Membership>>,
}

impl Log {
    /// An empty log that continues after `base`.
    pub(crate) const fn new(base: EntryId) -> Self {
        Self { base, heads: VecDeque::new(), last: base, bytes: 0 }
    }

    /// The entry before the first that is held.
    pub(crate) const fn base(&self) -> EntryId {
        self.base
    }

    /// The last entry; the base when there is none.
    pub(crate) const fn last(&self) -> EntryId {
        self.last
    }

    /// Term of the entry at `index`, where it is the base or held.
    pub(crate) fn term_at(&self, index: Index) -> Option<Term> {
        if index == self.last.index {
            return Some(self.last.term);
        }
        if index == self.base.index {
            return Some(self.base.term);
        }
        self.head_at(index).map(|at| self.heads[at].term)
    }

    /// Term of the entry at `index`, as [`Self::term_at`], and an index up to which, from there on,
    /// all entries have it.
    pub(crate) fn term_run(&self, index: Index) -> Option<(Term, Index)> {
        if index == self.base.index {
            return Some((self.base.term, index));
        }
        self.head_at(index).map(|at| (self.heads[at].term, self.head_last(at)))
    }

    /// Whether exactly this entry is the base or held.
    pub(crate) fn holds(&self, id: EntryId) -> bool {
        self.term_at(id.index) == Some(id.term)
    }

    /// Appends a run.
    ///
    /// # Panics
    ///
    /// When the run leaves a gap or its term is below the last entry's: the caller has checked.
    // One proposal is a run of one, of which the compiler knows nearly everything.
    #[inline(always)]
    pub(crate) fn push(&mut self, run: &Run) {
        assert!(run.count > 0 && run.first == self.last.index.next(), "a run continues the log");
        assert!(run.term >= self.last.term, "terms never fall along the log");
        if !self.joins_last_head(run) {
            self.begin_head(run);
        }
        self.last = run.last_id();
        self.bytes += run.bytes;
    }

    #[inline(never)]
    fn begin_head(&mut self, run: &Run) {
        self.heads.push_back(Head {
            first: run.first,
            bytes_before: self.bytes,
            term: run.term,
            kind: run.kind,
            membership: run.membership.clone(),
        });
    }

    /// Drops every entry from `from` on.
    ///
    /// # Panics
    ///
    /// When `from` is not above the base.
    pub(crate) fn truncate_from(&mut self, from: Index) {
        assert!(from > self.base.index, "nothing at or below the base is ever truncated");
        if from > self.last.index {
            return;
        }
        self.bytes = self.bytes_through(from.previous());
        self.heads.truncate(recent::partition_point(&self.heads, |head| head.first < from));
        let term = self.heads.back().map_or(self.base.term, |head| head.term);
        self.last = EntryId::new(from.previous(), term);
    }

    /// Lets the log begin after `base`, an entry that it holds.
    ///
    /// # Panics
    ///
    /// When it does not hold an entry of that index.
    pub(crate) fn compact_to(&mut self, base: EntryId) {
        assert!(self.term_at(base.index).is_some(), "the log begins after an entry that it held");
        let bytes_before = self.bytes_through(base.index);
        let covered = self.head_at(base.index.next()).unwrap_or(self.heads.len());
        self.heads.drain(..covered);
        if let Some(first) = self.heads.front_mut() {
            first.first = base.index.next();
            first.bytes_before = bytes_before;
        } else {
            self.last = base;
        }
        self.base = base;
        // What was kept for a peer that was away must not be kept room for afterwards.
        if self.heads.capacity() > 4 * self.heads.len().max(SMALL_LOG_HEADS) {
            self.heads.shrink_to(2 * self.heads.len().max(SMALL_LOG_HEADS));
        }
    }

    /// Lets everything go: the log begins, and ends, with `base`.
    pub(crate) fn replace(&mut self, base: EntryId) {
        self.heads.clear();
        (self.base, self.last) = (base, base);
    }

    /// The highest entry up to which there are no more than `limit` bytes, on the scale of
    /// [`Self::bytes_through`]; the base where there are more before the first.
    pub(crate) fn index_within(&self, limit: u64) -> Index {
        let begins = |head: &Head| head.bytes_before <= limit;
        let Some(at) = recent::partition_point(&self.heads, begins).checked_sub(1) else {
            return self.base.index;
        };
        let head = &self.heads[at];
        let fits = (limit - head.bytes_before).checked_div(self.average_bytes(at));
        let count = self.head_last(at).distance(head.first) + 1;
        head.first.previous().plus(fits.map_or(count, |fits| fits.min(count)))
    }

    /// Bytes of all entries, on the scale of [`Self::bytes_through`].
    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Runs from `from` on that fit into `max_bytes`; at least one entry where there is one.
    pub(crate) fn slice(&self, from: Index, max_bytes: u64) -> Few<Run> {
        let Some(start) = self.head_at(from) else { return Few::new() };
        let rest = self.bytes - self.heads[start].bytes_before;
        if start + 1 == self.heads.len() && rest <= max_bytes {
            // Nearly always: all of it lies in the last head, and fits.
            let count = self.last.index.distance(from) + 1;
            return Few::one(self.run_of(start, from, count, self.average_bytes(start)));
        }
        let mut runs = Few::new();
        let mut room = max_bytes;
        let mut first = from;
        for at in start..self.heads.len() {
            let count = self.head_last(at).distance(first) + 1;
            let average = self.average_bytes(at);
            let fits = room.checked_div(average).map_or(count, |fits| fits.min(count));
            let take = if runs.is_empty() { fits.max(1) } else { fits };
            if take == 0 {
                break;
            }
            runs.push(self.run_of(at, first, take, average));
            if take < count {
                break;
            }
            room = room.saturating_sub(take * average);
            first = first.plus(take);
        }
        runs
    }

    /// The highest entry at or below `index` whose term does not pass `term`: two logs of which
    /// one has `term` at `index` and the other has this entry cannot agree in between. `None`
    /// where it would lie below the base.
    pub(crate) fn highest_at_or_below(&self, index: Index, term: Term) -> Option<EntryId> {
        if index < self.base.index {
            return None;
        }
        let index = index.min(self.last.index);
        let follows = |head: &Head| head.first <= index && head.term <= term;
        let end = recent::partition_point(&self.heads, follows);
        if end == 0 {
            return (self.base.term <= term).then_some(self.base);
        }
        let last = self.head_last(end - 1).min(index);
        Some(EntryId::new(last, self.heads[end - 1].term))
    }

    /// First index at which `runs` and this log differ: in term, or because it is not held.
    /// `None` where every entry of `runs` is held. What lies at or below the base counts as held.
    pub(crate) fn first_difference(&self, runs: &[Run]) -> Option<Index> {
        for run in runs {
            let mut index = run.first.max(self.base.index.next());
            while index <= run.last() {
                let Some(at) = self.head_at(index) else { return Some(index) };
                if self.heads[at].term != run.term {
                    return Some(index);
                }
                index = self.head_last(at).next();
            }
        }
        None
    }

    /// Number of commands above the base, up to and including `index`.
    pub(crate) fn commands_through(&self, index: Index) -> u64 {
        let heads = self.heads.iter().enumerate().take_while(|(_, head)| head.first <= index);
        let commands = heads.filter(|(_, head)| head.kind == EntryKind::Command);
        commands.map(|(at, head)| self.head_last(at).min(index).distance(head.first) + 1).sum()
    }

    #[inline(always)]
    fn joins_last_head(&self, run: &Run) -> bool {
        let Some(head) = self.heads.back() else { return false };
        let (held, more) = (self.last.index.distance(head.first) + 1, u64::from(run.count));
        head.term == run.term
            && head.kind == run.kind
            && head.membership.is_none()
            && run.membership.is_none()
            && held + more <= MAX_HEAD_ENTRIES
            && run.bytes <= MAX_AVERAGED_BYTES * more
            && self.bytes - head.bytes_before <= MAX_AVERAGED_BYTES * held
    }

    fn run_of(&self, at: usize, first: Index, count: u64, average: u64) -> Run {
        let head = &self.heads[at];
        Run {
            first,
            count: u32::try_from(count).expect("a head holds fewer than 2^32 entries"),
            term: head.term,
            kind: head.kind,
            bytes: count * average,
            membership: head.membership.clone(),
        }
    }

    /// Position of the head that covers `index`.
    fn head_at(&self, index: Index) -> Option<usize> {
        if index <= self.base.index || index > self.last.index {
            return None;
        }
        // Nearly always what is asked for is in the last head.
        if self.heads.back().is_some_and(|head| head.first <= index) {
            return Some(self.heads.len() - 1);
        }
        Some(recent::partition_point(&self.heads, |head| head.first <= index) - 1)
    }

    fn head_last(&self, at: usize) -> Index {
        self.heads.get(at + 1).map_or(self.last.index, |next| next.first.previous())
    }

    fn average_bytes(&self, at: usize) -> u64 {
        let head = &self.heads[at];
        let end = self.heads.get(at + 1).map_or(self.bytes, |next| next.bytes_before);
        (end - head.bytes_before) / (self.head_last(at).distance(head.first) + 1)
    }

    /// Estimated bytes of every entry up to and including `index`; only differences mean anything.
    pub(crate) fn bytes_through(&self, index: Index) -> u64 {
        if index >= self.last.index {
            return self.bytes;
        }
        match self.head_at(index) {
            Some(at) if index == self.head_last(at) => self.heads[at + 1].bytes_before,
            Some(at) => {
                let head = &self.heads[at];
                head.bytes_before + (index.distance(head.first) + 1) * self.average_bytes(at)
            }
            None => self.heads.front().map_or(self.bytes, |head| head.bytes_before),
        }
    }
}
