//! What the entries of one block are, a line for many: term, kind and size where they are equal.
//!
//! A block is gathered into heads once, when it is made or decoded; whoever asks for the terms, kinds
//! or sizes of its entries walks the heads. Most blocks have a single one, which needs no memory of
//! its own.
//!
//! - Heads touch: each begins where the one before ends, the first with the first entry.
//! - A membership entry has a head of its own.
//! - Entries of unequal size share a head only while they are few, so that an average is of use.

use quorate_core::{EntryKind, Term};

/// Entries of unequal size that share a head.
const AVERAGED_ENTRIES: u32 = 64;

/// Entries of one term and kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// Position of the first in the block.
    pub(crate) start: u32,
    pub(crate) count: u32,
    pub(crate) term: Term,
    pub(crate) kind: EntryKind,
    /// Bytes of each record, while all are equal.
    each: Option<u32>,
}

/// Gathers entries into heads, and holds them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Heads {
    /// Every head but the last.
    done: Vec<Head>,
    last: Option<Head>,
}

impl Heads {
    pub(crate) const fn new() -> Self {
        Self { done: Vec::new(), last: None }
    }

    /// Adds the entry that follows, a record of so many bytes.
    #[inline]
    pub(crate) fn push(&mut self, term: Term, kind: EntryKind, bytes: u32) {
        let mut start = 0;
        if let Some(last) = &mut self.last {
            if last.takes(term, kind, bytes) {
                return;
            }
            self.done.push(*last);
            start = last.end();
        }
        self.last = Some(Head { start, count: 1, term, kind, each: Some(bytes) });
    }

    /// Every head, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Head> {
        self.done.iter().chain(&self.last)
    }

    /// The head of all entries, where there is a single one.
    #[inline]
    pub(crate) fn only(&self) -> Option<&Head> {
        self.last.as_ref().filter(|_| self.done.is_empty())
    }

    /// The head that covers a position.
    #[inline]
    pub(crate) fn at(&self, position: u32) -> Option<&Head> {
        let last = self.last.as_ref()?;
        if position >= last.start {
            return (position - last.start < last.count).then_some(last);
        }
        let at = self.done.partition_point(|head| head.start <= position);
        self.done.get(at.checked_sub(1)?)
    }
}

impl Head {
    /// Takes one more entry where it fits.
    #[inline]
    fn takes(&mut self, term: Term, kind: EntryKind, bytes: u32) -> bool {
        if self.term != term || self.kind != kind || kind == EntryKind::Membership {
            return false;
        }
        let each = self.each.filter(|each| *each == bytes);
        if each.is_none() && self.count >= AVERAGED_ENTRIES {
            return false;
        }
        self.each = each;
        self.count += 1;
        true
    }

    /// Position behind its last entry.
    pub(crate) const fn end(&self) -> u32 {
        self.start + self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_position_has_the_head_that_was_pushed_for_it() {
        let mut heads = Heads::new();
        assert_eq!(heads.at(0), None);
        let mut pushed = Vec::new();
        let (command, membership) = (EntryKind::Command, EntryKind::Membership);
        for (term, kind, bytes, count) in [
            (1, EntryKind::Opening, 48, 1),
            (1, command, 60, 100),
            (1, command, 61, 100),
            (1, membership, 90, 2),
            (2, command, 61, 3),
        ] {
            for at in 0..count {
                // The third group has entries of two sizes.
                let bytes = bytes + u32::from(bytes == 61 && at % 2 == 1);
                heads.push(Term(term), kind, bytes);
                pushed.push((Term(term), kind));
            }
        }
        for (at, pushed) in pushed.iter().enumerate() {
            let head = heads.at(u32::try_from(at).unwrap()).unwrap();
            assert_eq!((head.term, head.kind), *pushed, "position {at}");
        }
        assert_eq!(heads.at(u32::try_from(pushed.len()).unwrap()), None);
        let counts: Vec<u32> = heads.iter().map(|head| head.count).collect();
        // Equal sizes share a head without a limit; unequal ones do not, nor do memberships.
        assert_eq!(counts, [1, 100, 64, 36, 1, 1, 3]);
        let ends: Vec<u32> = heads.iter().map(Head::end).collect();
        let starts: Vec<u32> = heads.iter().map(|head| head.start).collect();
        assert_eq!(starts[1..], ends[..ends.len() - 1], "heads touch");
    }
}
