//! What the core knows of a snapshot: where it ends, and which bytes it is; never those bytes.

use std::fmt;

use crate::id::EntryId;

/// Names one snapshot: where it ends, and what its bytes are, so that two can never mix.
///
/// Deliberately without an order: which of two is newer is a question of the index of the last
/// entry alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SnapshotId {
    /// The last entry that it covers.
    pub last: EntryId,
    /// Bytes of the file.
    pub bytes: u64,
    /// Hash of the file; opaque here.
    pub hash: u128,
}

impl fmt::Display for SnapshotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}b#{:08x}", self.last, self.bytes, self.hash >> 96)
    }
}
