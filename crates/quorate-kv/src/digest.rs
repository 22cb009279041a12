//! A digest of what the store holds, to compare replicas.
//!
//! It covers every version that a readable revision up to the one asked for can see, and the
//! revision of the last compaction. What a compaction made invisible does not count, swept or
//! not, so replicas agree whatever portion each has swept.

use xxhash_rust::xxh3::Xxh3;

use crate::error::KvError;
use crate::key_range::KeyRange;
use crate::key_value::KeyValue;
use crate::revision::Revision;
use crate::tree::Iter;
use crate::view::View;

/// A digest, with what it covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest {
    /// The digest itself (XXH3, 64 bits).
    pub hash: u64,
    /// Revision up to which versions are covered.
    pub through: Revision,
    /// Oldest revision covered, if there was a compaction.
    pub compact_revision: Option<Revision>,
    /// Revision of the store when it was digested.
    pub revision: Revision,
}

impl View {
    /// Digests every version up to a revision; up to the latest for zero or less.
    ///
    /// Reads the whole store, so take a view and call this where nobody waits.
    ///
    /// # Errors
    ///
    /// When the revision is not made yet or compacted.
    pub fn digest(&self, through: Revision) -> Result<Digest, KvError> {
        self.check_readable(through)?;
        let through = if through <= Revision::ZERO { self.revision } else { through };
        let mut hash = Xxh3::new();
        hash.update(&self.compacted.get().to_le_bytes());
        for kv in self.visible_versions(through) {
            let kv = self.whole(kv);
            let size = u64::try_from(kv.size()).unwrap_or(u64::MAX);
            hash.update(&size.to_le_bytes());
            hash.update(kv.encoded());
        }
        Ok(Digest {
            hash: hash.digest(),
            through,
            compact_revision: self.compact_revision(),
            revision: self.revision,
        })
    }

    /// Every version and mark of deletion up to a revision that some readable revision can see,
    /// by key and revision.
    fn visible_versions(&self, through: Revision) -> impl Iterator<Item = &KeyValue> {
        let all = KeyRange::prefix(b"");
        let mut versions = Merge {
            current: self.current_in(&all).peekable(),
            history: self.history.iter(0..self.history.len()).peekable(),
        }
        .peekable();
        let compacted = self.compacted;
        core::iter::from_fn(move || {
            loop {
                let kv = versions.next()?;
                let replaced = versions
                    .peek()
                    .is_some_and(|next| next.key() == kv.key() && next.mod_revision() <= compacted);
                let gone = kv.is_tombstone() && kv.mod_revision() <= compacted;
                if !replaced && !gone && kv.mod_revision() <= through {
                    return Some(kv);
                }
            }
        })
    }
}

/// Both trees as one sequence, by key and revision.
#[derive(Debug)]
struct Merge<'a> {
    current: core::iter::Peekable<Iter<'a>>,
    history: core::iter::Peekable<Iter<'a>>,
}

impl<'a> Iterator for Merge<'a> {
    type Item = &'a KeyValue;

    fn next(&mut self) -> Option<&'a KeyValue> {
        // A current version is newer than all of its key in the history.
        let current = self.current.peek();
        let history_first = self
            .history
            .peek()
            .is_some_and(|past| current.is_none_or(|current| past.key() <= current.key()));
        if history_first { self.history.next() } else { self.current.next() }
    }
}
