//! What nodes say to each other, as the core sees it: heads of entries, never their bytes.
//!
//! Every message travels in an [`Envelope`]. Requests carry a number that is unique over all boots
//! of their sender; a reply echoes it. So a late, duplicated or replayed reply is recognised by
//! its number, and a read index is confirmed by replies to requests numbered after the read.

use crate::entry::Run;
use crate::id::{BootCounter, EntryId, Index, NodeId, RequestId, Term};

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
}

impl Message {
    /// Whether this message answers another.
    #[must_use]
    pub const fn is_reply(&self) -> bool {
        matches!(self, Self::VoteReply(_) | Self::AppendReply(_) | Self::ReadIndexReply(_))
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
    pub runs: Vec<Run>,
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
