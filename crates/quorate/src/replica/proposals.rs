//! Who waits for which entry of this node's own.
//!
//! A call is answered by the apply of the very entry that carries it, index and term. An entry that
//! was cut away answers too: refused where it never left this node's memory, else unknown, because
//! a copy of it may be committed elsewhere yet.

use std::collections::VecDeque;

use quorate_core::{EntryId, Few, Index, Term};

use super::Origin;

#[derive(Clone, Copy, Debug)]
struct Pending {
    id: EntryId,
    origin: Origin,
}

/// See the module. In ascending order of index.
#[derive(Debug, Default)]
pub(crate) struct Proposals {
    pending: VecDeque<Pending>,
    /// Entries up to here were handed to the disk or to a peer, or may have been.
    flushed: Index,
}

/// What became of a call whose entry is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    /// Nobody but this node's memory ever had it.
    NeverSent,
    /// A copy may exist.
    Sent,
}

impl Proposals {
    pub(crate) fn len(&self) -> usize {
        self.pending.len()
    }

    pub(crate) fn insert(&mut self, id: EntryId, origin: Origin) {
        let last = self.pending.back().map(|pending| pending.id.index);
        assert!(last.is_none_or(|last| last < id.index), "proposals come in the order of the log");
        self.pending.push_back(Pending { id, origin });
    }

    /// Notes that entries up to `index` may have left this node's memory.
    pub(crate) fn flushed(&mut self, index: Index) {
        self.flushed = self.flushed.max(index);
    }

    /// Takes out what waited for entries from `from` on, which are gone.
    pub(crate) fn truncated(&mut self, from: Index, lost: &mut Vec<(Origin, Lost)>) {
        while let Some(pending) = self.pending.pop_back_if(|pending| pending.id.index >= from) {
            let sent = pending.id.index <= self.flushed;
            lost.push((pending.origin, if sent { Lost::Sent } else { Lost::NeverSent }));
        }
        self.flushed = self.flushed.min(from.previous());
    }

    /// Takes out what waits for entries up to `last`, which are handed to the state machine now. An
    /// entry of another term in its place means that it was overwritten.
    pub(crate) fn applied(
        &mut self,
        last: Index,
        mut term_of: impl FnMut(Index) -> Option<Term>,
        answers: &mut Few<(Index, Origin)>,
        lost: &mut Vec<(Origin, Lost)>,
    ) {
        let Some(first) = self.pending.front().filter(|pending| pending.id.index <= last) else {
            return;
        };
        let most = usize::try_from(last.distance(first.id.index) + 1).unwrap_or(usize::MAX);
        answers.reserve(most.min(self.pending.len()));
        while let Some(pending) = self.pending.pop_front_if(|pending| pending.id.index <= last) {
            if term_of(pending.id.index) == Some(pending.id.term) {
                answers.push((pending.id.index, pending.origin));
            } else {
                lost.push((pending.origin, Lost::Sent));
            }
        }
    }

    /// As [`Self::applied`], for entries that all have the term of the last; nothing, where one that
    /// waits was overwritten.
    #[inline]
    pub(crate) fn applied_run(&mut self, last: EntryId) -> Option<Few<(Index, Origin)>> {
        let Some(first) = self.pending.front() else { return Some(Few::new()) };
        // Nearly always nobody but this node proposed what it executes: a call for each entry.
        let most = (last.index.0 + 1).saturating_sub(first.id.index.0);
        let most = usize::try_from(most).unwrap_or(usize::MAX).min(self.pending.len());
        let is_below = |pending: &Pending| pending.id.index <= last.index;
        let is_all = most > 0 && is_below(&self.pending[most - 1]);
        let count = if is_all { most } else { self.pending.partition_point(is_below) };
        if self.pending.range(..count).any(|pending| pending.id.term != last.term) {
            return None;
        }
        if count == 1 {
            return self.pending.pop_front().map(|one| Few::one((one.id.index, one.origin)));
        }
        let taken = self.pending.drain(..count);
        Some(Few::from(taken.map(|one| (one.id.index, one.origin)).collect::<Vec<_>>()))
    }

    /// Takes out what waits for entries up to `last`, which a snapshot covers: they may be executed
    /// elsewhere, and are not here.
    pub(crate) fn covered(&mut self, last: Index, lost: &mut Vec<(Origin, Lost)>) {
        while let Some(pending) = self.pending.pop_front_if(|pending| pending.id.index <= last) {
            lost.push((pending.origin, Lost::Sent));
        }
        self.flushed = self.flushed.max(last);
    }

    /// Takes out everything.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = Origin> {
        self.pending.drain(..).map(|pending| pending.origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replica::CallId;

    const fn id(index: u64, term: u64) -> EntryId {
        EntryId::new(Index(index), Term(term))
    }

    const fn local(call: u64) -> Origin {
        Origin::Local(CallId(call))
    }

    #[test]
    fn a_truncated_proposal_is_refused_only_while_nobody_else_had_it() {
        let mut proposals = Proposals::default();
        proposals.insert(id(5, 2), local(1));
        proposals.flushed(Index(5));
        proposals.insert(id(6, 2), local(2));
        let mut lost = Vec::new();
        proposals.truncated(Index(5), &mut lost);
        assert_eq!(lost, [(local(2), Lost::NeverSent), (local(1), Lost::Sent)]);
        // What takes the place of a flushed entry was itself never sent.
        proposals.insert(id(5, 4), local(3));
        lost.clear();
        proposals.truncated(Index(5), &mut lost);
        assert_eq!(lost, [(local(3), Lost::NeverSent)]);
    }

    #[test]
    fn only_the_very_entry_answers() {
        let mut proposals = Proposals::default();
        proposals.insert(id(5, 2), local(1));
        proposals.insert(id(6, 2), local(2));
        proposals.insert(id(7, 2), local(3));
        let (mut answers, mut lost) = (Few::new(), Vec::new());
        let term_of = |index: Index| Some(Term(if index == Index(6) { 3 } else { 2 }));
        proposals.applied(Index(6), term_of, &mut answers, &mut lost);
        assert_eq!(answers[..], [(Index(5), local(1))]);
        assert_eq!(lost, [(local(2), Lost::Sent)]);
        assert_eq!(proposals.len(), 1);
    }
}
