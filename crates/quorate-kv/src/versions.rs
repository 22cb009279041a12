//! Walks what readable revisions see: both trees as one sequence, by key and revision.
//!
//! What a compaction made invisible may be in a tree still, until it is swept. Digests and
//! snapshots must not show how far a replica has swept, so they look at versions through this walk.

use core::iter::Peekable;

use crate::key_value::KeyValue;
use crate::revision::Revision;
use crate::tree::Iter;
use crate::view::View;

/// How many versions of each tree were walked over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cursor {
    current: usize,
    history: usize,
}

/// A version on the way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Walked<'a> {
    pub(crate) kv: &'a KeyValue,
    /// Whether a newer version or mark of the same key follows, or this is a mark.
    pub(crate) is_replaced: bool,
    /// Whether a readable revision sees it.
    pub(crate) is_visible: bool,
}

/// Every version and mark of deletion, by key and revision.
#[derive(Debug)]
pub(crate) struct Walk<'a> {
    current: Peekable<Iter<'a>>,
    history: Peekable<Iter<'a>>,
    compacted: Revision,
    cursor: Cursor,
}

impl View {
    /// Walks from where another walk over the same view stood.
    pub(crate) fn walk(&self, from: Cursor) -> Walk<'_> {
        Walk {
            current: self.current.iter(from.current..self.current.len()).peekable(),
            history: self.history.iter(from.history..self.history.len()).peekable(),
            compacted: self.compacted,
            cursor: from,
        }
    }
}

impl<'a> Walk<'a> {
    /// Where the walk stands.
    pub(crate) const fn cursor(&self) -> Cursor {
        self.cursor
    }

    /// The next version, and whether it is of the history.
    fn peek(&mut self) -> Option<(&'a KeyValue, bool)> {
        // A current version is newer than all of its key in the history.
        match (self.current.peek(), self.history.peek()) {
            (Some(current), Some(past)) if past.key() > current.key() => Some((*current, false)),
            (_, Some(past)) => Some((*past, true)),
            (Some(current), None) => Some((*current, false)),
            (None, None) => None,
        }
    }
}

impl<'a> Iterator for Walk<'a> {
    type Item = Walked<'a>;

    fn next(&mut self) -> Option<Walked<'a>> {
        let (kv, is_replaced) = self.peek()?;
        if is_replaced {
            self.history.next();
            self.cursor.history += 1;
        } else {
            self.current.next();
            self.cursor.current += 1;
        }
        let compacted = self.compacted;
        let gone = kv.is_tombstone() && kv.mod_revision() <= compacted;
        let is_visible = !gone
            && !self.peek().is_some_and(|(next, _)| {
                next.key() == kv.key() && next.mod_revision() <= compacted
            });
        Some(Walked { kv, is_replaced, is_visible })
    }
}
