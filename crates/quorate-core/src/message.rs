//! What nodes say to each other, as the core sees it: heads of entries, never their bytes.
//!
//! Every message travels in an [`Envelope`]. Requests carry a number that is unique over all boots
//! of their sender; a reply echoes it. So a late, duplicated or replayed reply is recognised by
//! its number, and a read index is confirmed by replies to requests numbered after the read.

use crate::entry::Run;
use crate::few::Few;
use crate::id::{BootCounter, EntryId, Index, NodeId, RequestId, Term};
use crate::snapshot::SnapshotId;

/// A message with its sender, receiver, term and number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The sender.
    pub from: NodeId,
    /// The sender's boot counter; a message of an earlier boot than one already seen is dropped.
    pub boot: BootCounter,
    /// The receiver.
    pub to: NodeId,
    /// The sender's term when it made the message.
    pub term: Term,
    /// The request's own number, or in a reply the number of the request it answers.
    pub request: RequestId,
    /// What is said.
    pub message: Message,
}

/// One thing that a node says to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A candidate asks for a vote (Raft §5.2), or whether it would get one (thesis §9.6).
    RequestVote(RequestVote),
    /// Answers [`Message::RequestVote`].
    VoteReply(VoteReply),
    /// A leader replicates entries (Raft §5.3). Without entries it is the heartbeat, and its number
    /// is the read context.
    Append(Append),
    /// Answers [`Message::Append`].
    AppendReply(AppendReply),
    /// A follower asks the leader for a read index (thesis §6.4).
    ReadIndex,
    /// Answers [`Message::ReadIndex`].
    ReadIndexReply(ReadIndexReply),
    /// A leader says which snapshot it is about to send, or is sending (Raft §7). It is also the
    /// heartbeat of a peer that receives one.
    OfferSnapshot(SnapshotId),
    /// A piece of a snapshot; its bytes travel beside it, on the bulk channel.
    SnapshotChunk(SnapshotChunk),
    /// Answers [`Message::OfferSnapshot`] and [`Message::SnapshotChunk`].
    SnapshotReply(SnapshotReply),
}

impl Message {
    /// Whether this message answers another.
    #[must_use]
    pub const fn is_reply(&self) -> bool {
        matches!(
            self,
            Self::VoteReply(_)
                | Self::AppendReply(_)
                | Self::ReadIndexReply(_)
                | Self::SnapshotReply(_)
        )
    }
}

/// A candidate's request for a vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestVote {
    /// Term of the election; for a pre-vote one above the sender's term, else equal to it.
    pub campaign: Term,
    /// The candidate's last entry, for the up-to-date check (Raft §5.4.1).
    pub last: EntryId,
    /// A dry run: changes no term and no vote.
    pub pre_vote: bool,
}

/// Answer to a request for a vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VoteReply {
    /// Term of the election that is answered.
    pub campaign: Term,
    /// Whether the request was a pre-vote.
    pub pre_vote: bool,
    /// Whether the vote is granted.
    pub granted: bool,
}

/// Entries from a leader, or its heartbeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Append {
    /// The entry before the first of `runs`; the follower must hold it (Raft §5.3).
    pub prev: EntryId,
    /// The leader's commit index. The follower takes no more of it than this message verifies.
    pub commit: Index,
    /// The match index that the leader has recorded for the receiver.
    pub recorded: Index,
    /// The receiver's boot that `recorded` was acknowledged in; zero while unknown.
    pub recorded_boot: BootCounter,
    /// Whether an answer is wanted; a mere notice of a commit index wants none.
    pub wants_reply: bool,
    /// The entries after `prev`, in order and without a gap.
    pub runs: Few<Run>,
}

impl Append {
    /// Index of the last entry that this message verifies: the end of its entries, or `prev`.
    #[must_use]
    pub fn end(&self) -> Index {
        self.runs.last().map_or(self.prev.index, Run::last)
    }

    /// Whether the entries follow `prev` without a gap, in terms that never fall nor pass `term`,
    /// and each carries what its kind demands.
    #[must_use]
    pub fn is_well_formed(&self, term: Term) -> bool {
        let mut before = self.prev;
        for run in &self.runs {
            let first = before.index.get().checked_add(1);
            let has_room = run.first.get().checked_add(u64::from(run.count)).is_some();
            let follows = first == Some(run.first.get()) && has_room && run.term >= before.term;
            if !follows || !run.is_well_formed() {
                return false;
            }
            before = run.last_id();
        }
        before.term <= term
    }
}

/// Answer to an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendReply {
    /// The follower's log equals the leader's up to `matched`, durably.
    Accepted {
        /// Highest entry known equal and durable on the follower.
        matched: Index,
    },
    /// The follower does not hold `prev`.
    Rejected {
        /// Index of the `prev` that was refused.
        prev: Index,
        /// The follower's highest entry at or below `prev` whose term does not pass `prev`'s: the
        /// logs cannot agree between it and `prev`.
        hint: EntryId,
    },
}

/// Answer to a request for a read index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadIndexReply {
    /// The read index, or nothing where the receiver is no leader.
    pub index: Option<Index>,
}

/// A piece of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotChunk {
    /// The snapshot.
    pub id: SnapshotId,
    /// Where in its file the piece begins.
    pub offset: u64,
    /// Bytes of the piece; at least one.
    pub bytes: u32,
}

impl SnapshotChunk {
    /// Whether the piece lies within its snapshot.
    #[must_use]
    pub const fn is_well_formed(&self) -> bool {
        match self.offset.checked_add(self.bytes as u64) {
            Some(end) => self.bytes > 0 && end <= self.id.bytes,
            None => false,
        }
    }
}

/// How much of a snapshot its receiver holds durably.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotReply {
    /// The snapshot.
    pub id: SnapshotId,
    /// Bytes from its beginning on.
    pub received: u64,
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::entry::EntryKind;
    use crate::membership::Membership;

    fn append(prev: EntryId, runs: Vec<Run>) -> Append {
        let (commit, recorded) = (Index::ZERO, Index::ZERO);
        let recorded_boot = BootCounter::ZERO;
        Append { prev, commit, recorded, recorded_boot, wants_reply: true, runs: runs.into() }
    }

    fn commands(first: u64, count: u32, term: u64) -> Run {
        Run::new(Index(first), count, Term(term), EntryKind::Command, 10)
    }

    #[test]
    fn runs_follow_each_other_in_terms_that_never_fall() {
        let prev = EntryId::new(Index(5), Term(2));
        let good = append(prev, vec![commands(6, 3, 2), commands(9, 1, 4)]);
        assert!(good.is_well_formed(Term(4)));
        assert_eq!(good.end(), Index(9));
        assert_eq!(append(prev, Vec::new()).end(), Index(5));
        for (why, runs) in [
            ("a later term than the message", vec![commands(6, 1, 5)]),
            ("a gap", vec![commands(7, 1, 2)]),
            ("a gap between runs", vec![commands(6, 1, 2), commands(8, 1, 2)]),
            ("overlap", vec![commands(6, 2, 2), commands(7, 1, 2)]),
            ("a falling term", vec![commands(6, 1, 1)]),
            ("a falling term between runs", vec![commands(6, 1, 3), commands(7, 1, 2)]),
            ("an empty run", vec![commands(6, 0, 2)]),
        ] {
            assert!(!append(prev, runs).is_well_formed(Term(4)), "{why}");
        }
        assert!(!append(prev, Vec::new()).is_well_formed(Term(1)), "prev of a later term");
    }

    #[test]
    fn content_fits_its_kind() {
        let prev = EntryId::ZERO;
        let membership = Arc::new(Membership::default());
        let content = Run::membership(Index(1), Term(1), 10, Arc::clone(&membership));
        assert!(append(prev, vec![content.clone()]).is_well_formed(Term(1)));
        let several = Run { count: 2, ..content };
        let without = Run::new(Index(1), 1, Term(1), EntryKind::Membership, 10);
        let on_command = Run { membership: Some(membership), ..commands(1, 1, 1) };
        for run in [several, without, on_command] {
            assert!(!append(prev, vec![run.clone()]).is_well_formed(Term(1)), "{run}");
        }
    }

    #[test]
    fn the_end_of_the_numbers_is_no_panic() {
        let last = EntryId::new(Index(u64::MAX), Term(1));
        let past = Run { first: Index(u64::MAX), ..commands(0, 1, 1) };
        assert!(!append(last, vec![past.clone()]).is_well_formed(Term(1)));
        let before = EntryId::new(Index(u64::MAX - 1), Term(1));
        let long = Run { count: u32::MAX, ..past };
        assert!(!append(before, vec![long]).is_well_formed(Term(1)));
    }
}
