//! Every change since the last compaction, in the order of the revisions.
//!
//! A compaction need not search the store for what it can drop: each change up to the compacted
//! revision made exactly one version invisible, the one of its key before it, and a mark of
//! deletion makes itself invisible too.
//!
//! Changes are kept in chunks, so that growing never copies what is there.

use std::collections::VecDeque;

use crate::key_value::KeyValue;
use crate::revision::Revision;

/// Changes in a chunk.
const CHUNK: usize = 512;

/// Changes in the order of their revisions.
#[derive(Debug, Default)]
pub(crate) struct ChangeLog {
    chunks: VecDeque<VecDeque<KeyValue>>,
}

impl ChangeLog {
    /// Adds a version or mark, not older than the last.
    pub(crate) fn push(&mut self, change: KeyValue) {
        match self.chunks.back_mut() {
            Some(chunk) if chunk.len() < CHUNK => chunk.push_back(change),
            _ => {
                let mut chunk = VecDeque::with_capacity(CHUNK);
                chunk.push_back(change);
                self.chunks.push_back(chunk);
            }
        }
    }

    /// Takes the oldest change if it is not above a revision.
    pub(crate) fn pop_through(&mut self, revision: Revision) -> Option<KeyValue> {
        let chunk = self.chunks.front_mut()?;
        if chunk.front()?.mod_revision() > revision {
            return None;
        }
        let change = chunk.pop_front()?;
        if chunk.is_empty() {
            self.chunks.pop_front();
        }
        Some(change)
    }
}
