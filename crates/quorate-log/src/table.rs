//! What the log holds and where: segments, their batches, and the terms.
//!
//! The table describes what is durable, never what is under way. The log changes it when a job's
//! sync returned; readers on other threads look places up in it.
//!
//! Invariants: the spots of all segments in order have ascending indices without overlap and cover
//! `base + 1 ..= last`. While opening scans, the log as it once was begins at `origin`; from then
//! on `origin` is `base`.

use quorate_core::{EntryId, Index, Term};

use crate::segment::{Segment, Spot};

/// What the log holds and where.
#[derive(Clone, Debug)]
pub(crate) struct Table<File> {
    /// The entry before the first that counts; everything up to it is compacted.
    pub(crate) base: EntryId,
    /// The entry before the first whose term is known here.
    pub(crate) origin: EntryId,
    /// Last entry.
    pub(crate) last: EntryId,
    /// First index of each stretch of one term, above the origin.
    terms: Vec<(Index, Term)>,
    /// Oldest first; the last one takes the writes.
    pub(crate) segments: Vec<Segment<File>>,
}

impl<File> Table<File> {
    /// An empty log after `base`.
    pub(crate) const fn new(base: EntryId) -> Self {
        Self { base, origin: base, last: base, terms: Vec::new(), segments: Vec::new() }
    }

    /// Term of the entry at `index`, if it is in a segment or the origin.
    pub(crate) fn term_at(&self, index: Index) -> Option<Term> {
        if index == self.origin.index {
            return Some(self.origin.term);
        }
        if index < self.origin.index || index > self.last.index {
            return None;
        }
        let after = self.terms.partition_point(|&(first, _)| first <= index);
        self.terms.get(after.checked_sub(1)?).map(|&(_, term)| term)
    }

    /// Drops the entries from `from` on.
    pub(crate) fn truncate(&mut self, from: Index) {
        if from > self.last.index {
            return;
        }
        let last = from.previous();
        let term = self.term_at(last).expect("the entry before a truncation is in the log");
        'segments: for segment in self.segments.iter_mut().rev() {
            while let Some(spot) = segment.spots.last_mut() {
                if spot.last < from {
                    break 'segments;
                }
                if spot.first < from {
                    spot.last = last;
                    break 'segments;
                }
                segment.spots.pop();
            }
        }
        while self.terms.last().is_some_and(|&(first, _)| first >= from) {
            self.terms.pop();
        }
        self.last = EntryId::new(last, term);
    }

    /// Notes that entries of one term follow the last.
    pub(crate) fn extend(&mut self, last: EntryId) {
        let first = self.last.index.next();
        let known = self.terms.last().map_or(self.origin.term, |&(_, term)| term);
        if self.terms.is_empty() || known != last.term {
            self.terms.push((first, last.term));
        }
        self.last = last;
    }

    /// Notes where a batch stands, in the last segment.
    pub(crate) fn place(&mut self, spot: Spot) {
        let segment = self.segments.last_mut().expect("a batch stands in a segment");
        segment.spots.push(spot);
    }

    /// The segment and batch that hold `index`.
    pub(crate) fn find(&self, index: Index) -> Option<(&Segment<File>, Spot)> {
        let segment = self
            .segments
            .iter()
            .rev()
            .find(|segment| segment.spots.first().is_some_and(|spot| spot.first <= index))?;
        let after = segment.spots.partition_point(|spot| spot.last < index);
        let spot = *segment.spots.get(after)?;
        (spot.first <= index).then_some((segment, spot))
    }

    /// Whether the log holds exactly this entry.
    pub(crate) fn holds(&self, id: EntryId) -> bool {
        self.term_at(id.index) == Some(id.term)
    }

    /// Sets the base.
    ///
    /// A log that does not hold the base holds nothing that follows it: all of it goes, but the
    /// segments stay until a segment that begins at the base exists.
    pub(crate) fn rebase(&mut self, base: EntryId) {
        if self.holds(base) {
            let after = self.terms.partition_point(|&(first, _)| first <= base.index);
            self.terms.drain(..after.saturating_sub(1));
        } else {
            self.last = base;
            self.terms.clear();
            for segment in &mut self.segments {
                segment.spots.clear();
            }
        }
        self.origin = base;
        self.base = base;
    }

    /// Number of leading segments whose successor begins at or before the base.
    pub(crate) fn unneeded(&self) -> usize {
        let needed = self.segments.iter().rposition(|s| s.header.start.index <= self.base.index);
        needed.unwrap_or(0)
    }
}
