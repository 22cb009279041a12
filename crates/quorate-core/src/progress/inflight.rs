//! The window of appends sent and unanswered, bounded in messages and bytes.

use std::collections::VecDeque;

use crate::id::Index;

/// Appends with entries that are under way to one peer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Inflight {
    /// Last index and bytes of each append, in the order sent.
    appends: VecDeque<(Index, u64)>,
    bytes: u64,
}

impl Inflight {
    pub(crate) fn len(&self) -> usize {
        self.appends.len()
    }

    /// Bytes of entries under way.
    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether one more append may leave.
    pub(crate) fn has_room(&self, max_messages: usize, max_bytes: u64) -> bool {
        self.appends.len() < max_messages && self.bytes < max_bytes
    }

    /// An append that ends at `end` has left.
    pub(crate) fn push(&mut self, end: Index, bytes: u64) {
        self.appends.push_back((end, bytes));
        self.bytes += bytes;
    }

    /// Everything up to `matched` has arrived.
    pub(crate) fn free_through(&mut self, matched: Index) {
        while let Some((end, bytes)) = self.appends.front().copied() {
            if end > matched {
                break;
            }
            self.bytes -= bytes;
            self.appends.pop_front();
        }
    }
}
