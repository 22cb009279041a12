//! What the core knows of an entry: index, term, kind and size; never its payload.
//!
//! Consecutive entries of one term and kind form a [`Run`], so that a thousand proposals of one
//! batch cost the core one record. The content of a membership entry rides in its run: it is the
//! one kind that the core reads.

use std::sync::Arc;

use crate::id::{EntryId, Index, Term};
use crate::membership::Membership;

/// What an entry is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum EntryKind {
    /// Opens a leader's term (Raft §8: the no-op), so that earlier entries may commit.
    Opening = 1,
    /// Carries a membership, in force from the moment it is in the log (thesis §4.1).
    Membership = 2,
    /// A command for the state machine: the only kind that the application's index counts.
    Command = 3,
    /// Opens, keeps alive or closes a client's session; the state machine does not see it.
    Session = 4,
}

impl EntryKind {
    /// The kind with this number on disk and wire, if this version knows it.
    #[must_use]
    pub const fn from_u8(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Opening),
            2 => Some(Self::Membership),
            3 => Some(Self::Command),
            4 => Some(Self::Session),
            _ => None,
        }
    }

    /// Whether the application sees entries of this kind, and its index counts them.
    #[must_use]
    pub const fn is_application(self) -> bool {
        matches!(self, Self::Command)
    }
}

/// Consecutive entries of one term and kind. A membership entry is always a run of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Index of the first entry.
    pub first: Index,
    /// Number of entries, at least 1; exactly 1 when `membership` is set.
    pub count: u32,
    /// Term of every entry in the run.
    pub term: Term,
    /// Kind of every entry in the run.
    pub kind: EntryKind,
    /// Encoded bytes of all entries together, for flow control.
    pub bytes: u64,
    /// Content, exactly when `kind` is [`EntryKind::Membership`].
    pub membership: Option<Arc<Membership>>,
}

impl Run {
    /// One entry, or several of one kind that the core does not read.
    #[must_use]
    pub const fn new(first: Index, count: u32, term: Term, kind: EntryKind, bytes: u64) -> Self {
        Self { first, count, term, kind, bytes, membership: None }
    }

    /// One membership entry.
    #[must_use]
    pub const fn membership(
        index: Index,
        term: Term,
        bytes: u64,
        membership: Arc<Membership>,
    ) -> Self {
        let kind = EntryKind::Membership;
        Self { first: index, count: 1, term, kind, bytes, membership: Some(membership) }
    }

    /// Whether there is an entry in it, and a membership exactly where the kind says so.
    #[must_use]
    pub const fn is_well_formed(&self) -> bool {
        match self.kind {
            EntryKind::Membership => self.count == 1 && self.membership.is_some(),
            EntryKind::Opening | EntryKind::Command | EntryKind::Session => {
                self.count > 0 && self.membership.is_none()
            }
        }
    }

    /// Index of the last entry.
    #[must_use]
    pub const fn last(&self) -> Index {
        self.first.plus(self.count.saturating_sub(1) as u64)
    }

    /// Id of the last entry.
    #[must_use]
    pub const fn last_id(&self) -> EntryId {
        EntryId::new(self.last(), self.term)
    }
}
