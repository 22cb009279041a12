//! Identifiers and positions: every number of the protocol has a type of its own.
//!
//! - A [`NodeId`] is drawn at random when a data directory is formatted: it is the incarnation of
//!   that directory. A wiped directory is another node.
//! - [`Term`] and [`Index`] are Raft's (Raft §5.1, §5.3). The first entry has index 1.
//! - An [`EntryId`] names one entry for ever: two entries with equal index and term are equal
//!   (Log Matching, Raft §5.3). Traces write it `index@term`.

use core::fmt;
use core::num::NonZeroU64;

/// Identity of one formatted data directory, and of the node that runs on it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(NonZeroU64);

impl NodeId {
    /// Makes an id from a number; `None` for zero, which no node has.
    #[must_use]
    pub const fn new(id: u64) -> Option<Self> {
        match NonZeroU64::new(id) {
            Some(id) => Some(Self(id)),
            None => None,
        }
    }

    /// The number itself.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0.get()
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{:x}", self.0)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{:x}", self.0)
    }
}

/// Defines a newtype over `u64` that starts at zero and prints with a prefix.
macro_rules! number {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);

        impl $name {
            /// The value before the first.
            pub const ZERO: Self = Self(0);

            /// The number itself.
            #[must_use]
            pub const fn get(self) -> u64 {
                self.0
            }

            /// The value after this one.
            ///
            /// # Panics
            ///
            /// When the numbers are used up, which takes centuries.
            #[must_use]
            pub const fn next(self) -> Self {
                match self.0.checked_add(1) {
                    Some(next) => Self(next),
                    None => panic!("a 64-bit counter is used up"),
                }
            }

            /// The value before this one, or zero.
            #[must_use]
            pub const fn previous(self) -> Self {
                Self(self.0.saturating_sub(1))
            }

            /// This value moved forward, held at the largest number.
            #[must_use]
            pub const fn plus(self, by: u64) -> Self {
                Self(self.0.saturating_add(by))
            }

            /// How far this value lies beyond another; zero when it does not.
            #[must_use]
            pub const fn distance(self, from: Self) -> u64 {
                self.0.saturating_sub(from.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }
    };
}

number!(
    /// Logical election epoch (Raft §5.1); zero only before the first election.
    Term, "t"
);
number!(
    /// Position in the log (Raft §5.3): the first entry is 1, zero is before the log.
    Index, ""
);
number!(
    /// Identity of a cluster, drawn at random when it is founded; zero before that.
    ClusterId, "c"
);
number!(
    /// Number of times a data directory was started; durable before the first message is sent.
    BootCounter, "b"
);
number!(
    /// Names one write that the shell was asked to make durable. Tokens complete in order.
    PersistToken, "p"
);
number!(
    /// Number of a request, unique over all boots of its sender; its reply echoes it.
    RequestId, "r"
);
number!(
    /// Names one batch of reads that waits for a read index.
    ReadId, "read"
);

impl RequestId {
    /// Requests of one boot that fit below the first of the next boot.
    const PER_BOOT_BITS: u32 = 44;

    /// The number before the first request of a boot, so that no reply to an earlier boot's
    /// request can echo a number of this one.
    #[must_use]
    pub const fn before_first(boot: BootCounter) -> Self {
        Self(boot.0 << Self::PER_BOOT_BITS)
    }

    /// The boot of the sender that made the request.
    #[must_use]
    pub const fn boot(self) -> BootCounter {
        BootCounter(self.0 >> Self::PER_BOOT_BITS)
    }

    /// The request's place among those of its boot; the first is 1.
    #[must_use]
    pub const fn within_boot(self) -> u64 {
        self.0 & ((1 << Self::PER_BOOT_BITS) - 1)
    }
}

/// Names one entry: equal ids mean equal entries and equal logs before them (Raft §5.3).
///
/// The order is Raft's "more up-to-date" (Raft §5.4.1): by term first, then by index.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct EntryId {
    /// Position in the log.
    pub index: Index,
    /// Term of the leader that made the entry.
    pub term: Term,
}

impl EntryId {
    /// Before the first entry.
    pub const ZERO: Self = Self { index: Index::ZERO, term: Term::ZERO };

    /// Names the entry at `index` of `term`.
    #[must_use]
    pub const fn new(index: Index, term: Term) -> Self {
        Self { index, term }
    }
}

impl PartialOrd for EntryId {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for EntryId {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        (self.term, self.index).cmp(&(other.term, other.index))
    }
}

impl fmt::Debug for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.index.0, self.term.0)
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.index.0, self.term.0)
    }
}
