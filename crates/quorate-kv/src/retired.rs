//! Replaced versions and marks of deletions, in the order in which they become invisible.
//!
//! A version is visible up to the revision before the one that replaced it, and a mark of deletion
//! is invisible from its own revision on. So a compaction need not search the store for what it
//! can drop: it is what retired up to the compacted revision.
//!
//! They are kept in chunks, so that growing never copies what is there.

use std::collections::VecDeque;

use crate::key_value::KeyValue;
use crate::revision::Revision;

/// Versions in a chunk.
const CHUNK: usize = 512;

/// Versions with the revisions at which they retired, in the order of those.
#[derive(Debug, Default)]
pub(crate) struct Retired {
    chunks: VecDeque<VecDeque<(Revision, KeyValue)>>,
}

impl Retired {
    /// Adds a version or mark that retires at a revision, not older than the last.
    pub(crate) fn push(&mut self, at: Revision, version: KeyValue) {
        match self.chunks.back_mut() {
            Some(chunk) if chunk.len() < CHUNK => chunk.push_back((at, version)),
            _ => {
                let mut chunk = VecDeque::with_capacity(CHUNK);
                chunk.push_back((at, version));
                self.chunks.push_back(chunk);
            }
        }
    }

    /// Takes the version that retired first, if it did so by a revision.
    pub(crate) fn pop_through(&mut self, revision: Revision) -> Option<KeyValue> {
        let chunk = self.chunks.front_mut()?;
        if chunk.front()?.0 > revision {
            return None;
        }
        let (_, version) = chunk.pop_front()?;
        if chunk.is_empty() {
            self.chunks.pop_front();
        }
        Some(version)
    }
}
