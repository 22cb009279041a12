//! Hands committed entries to the state machine, no more at a time than it can take.
//!
//! The core says up to where entries may be executed; this says which of them go now. What lies
//! before the tail is read back first, one read at a time, so that a long log is replayed in
//! pieces. Entries are handed out in order, each exactly once.

use std::collections::VecDeque;

use quorate_core::Index;
use quorate_log::Entries;

use super::Ticket;

/// See the module.
#[derive(Debug)]
pub(crate) struct Feed {
    /// Entries up to here may be executed.
    target: Index,
    /// Entries up to here were handed out.
    handed: Index,
    /// What was handed out and not reported as executed: last index and bytes of each piece.
    outstanding: VecDeque<(Index, usize)>,
    bytes: usize,
    /// Bytes that may be outstanding; one piece may always be.
    limit: usize,
    /// The read that is under way, with its range.
    reading: Option<(Ticket, Index, Index)>,
}

/// What the feed does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Want {
    /// Nothing, or nothing yet.
    Nothing,
    /// These entries, in pieces of at most so many bytes together.
    Entries { first: Index, last: Index, max_bytes: usize },
}

impl Feed {
    pub(crate) const fn new(base: Index, limit: usize) -> Self {
        let outstanding = VecDeque::new();
        Self { target: base, handed: base, outstanding, bytes: 0, limit, reading: None }
    }

    /// Bytes handed out and not executed yet.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Entries that may be executed and were not handed out yet.
    pub(crate) const fn backlog(&self) -> u64 {
        self.target.distance(self.handed)
    }

    /// Entries up to here were handed out.
    pub(crate) const fn handed_out(&self) -> Index {
        self.handed
    }

    /// The state machine gets the state as it is after `last`: what comes before is handed out no
    /// more, and what is being read for it is of no use.
    pub(crate) fn restored(&mut self, last: Index) {
        self.handed = self.handed.max(last);
        self.target = self.target.max(last);
        self.reading = None;
    }

    /// The entries up to `last` may be executed.
    pub(crate) fn extend(&mut self, last: Index) {
        self.target = self.target.max(last);
    }

    pub(crate) fn want(&self) -> Want {
        let full = self.bytes >= self.limit && !self.outstanding.is_empty();
        if self.handed >= self.target || self.reading.is_some() || full {
            return Want::Nothing;
        }
        let (first, last) = (self.handed.next(), self.target);
        Want::Entries { first, last, max_bytes: self.limit - self.bytes.min(self.limit) }
    }

    /// Whether the entries from `first` on come next, and so many bytes of them may be handed out.
    #[inline]
    pub(crate) fn has_room(&self, first: Index, bytes: usize) -> bool {
        first == self.handed.next() && self.reading.is_none() && self.bytes + bytes <= self.limit
    }

    /// Notes that a read for entries `first..=last` is under way.
    pub(crate) fn read(&mut self, ticket: Ticket, first: Index, last: Index) {
        self.reading = Some((ticket, first, last));
    }

    /// The range that a finished read was for; nothing where it was none of the feed's.
    pub(crate) fn read_done(&mut self, ticket: Ticket) -> Option<(Index, Index)> {
        let (_, first, last) = self.reading.take_if(|(reading, ..)| *reading == ticket)?;
        Some((first, last))
    }

    /// Notes that a piece was handed out.
    pub(crate) fn handed(&mut self, entries: &Entries) {
        assert!(entries.first() == self.handed.next(), "entries are executed in order");
        assert!(entries.last() <= self.target, "only committed entries are executed");
        let bytes = entries.bytes().len();
        self.handed = entries.last();
        self.bytes += bytes;
        self.outstanding.push_back((entries.last(), bytes));
    }

    /// Notes that everything up to `index` was executed.
    pub(crate) fn applied(&mut self, index: Index) {
        while let Some((_, bytes)) = self.outstanding.pop_front_if(|(last, _)| *last <= index) {
            self.bytes -= bytes;
        }
    }
}
