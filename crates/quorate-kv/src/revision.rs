//! The numbers of the store: revisions and lease ids.
//!
//! Both are `i64`, because that is what etcd's clients send and expect; a client may send negative
//! ones, which are then wrong rather than impossible.

use core::fmt;

/// Number of one change of the store; the keys of one command share it.
///
/// An empty store stands at [`Revision::FIRST`], so that the first write makes revision 2.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub i64);

impl Revision {
    /// No revision: what an absent key compares as, and "the latest" in a request.
    pub const ZERO: Self = Self(0);

    /// Where an empty store stands.
    pub const FIRST: Self = Self(1);

    /// The number itself.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }

    /// The revision after this one.
    ///
    /// # Panics
    ///
    /// When the numbers are used up, which takes centuries.
    #[must_use]
    pub const fn next(self) -> Self {
        match self.0.checked_add(1) {
            Some(next) => Self(next),
            None => panic!("the revisions are used up"),
        }
    }
}

impl fmt::Debug for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rev{}", self.0)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Names the lease that a key is attached to.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseId(pub i64);

impl LeaseId {
    /// Attached to no lease.
    pub const NONE: Self = Self(0);

    /// The number itself.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }
}

impl fmt::Debug for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "lease{:x}", self.0)
    }
}

impl fmt::Display for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}
