//! A digest of what the store holds, to compare replicas.
//!
//! It covers every version that a readable revision up to the one asked for can see, and the
//! revision of the last compaction. What a compaction made invisible does not count, swept or
//! not, so replicas agree whatever portion each has swept.

use xxhash_rust::xxh3::Xxh3;

use crate::error::KvError;
use crate::revision::Revision;
use crate::versions::Cursor;
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

impl Digest {
    /// The digest in 32 bits, which is what etcd's clients take.
    #[must_use]
    pub const fn folded(&self) -> u32 {
        let [a, b, c, d, e, f, g, h] = self.hash.to_le_bytes();
        u32::from_le_bytes([a, b, c, d]) ^ u32::from_le_bytes([e, f, g, h])
    }
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
        let visible = self.walk(Cursor::default()).filter(|walked| walked.is_visible);
        for walked in visible.filter(|walked| walked.kv.mod_revision() <= through) {
            let kv = self.whole(walked.kv);
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
}
