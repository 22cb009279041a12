//! The four roles and what each of them owns. A role's data lives and dies with the role.

use std::collections::{BTreeMap, VecDeque};

use crate::id::{Index, NodeId, PersistToken, RequestId, Term};
use crate::node_map::NodeMap;
use crate::progress::Progress;
use crate::raft::read::LeaderRead;
use crate::status::RoleName;
use crate::time::Instant;

/// The role a node plays, with its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Follower(Follower),
    PreCandidate(Candidate),
    Candidate(Candidate),
    Leader(Leader),
}

/// Follows a leader, or waits for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Follower {
    /// The leader of this term, once it made itself known.
    pub(super) leader: Option<NodeId>,
    /// When the leader last spoke. Cleared by a closed connection to it: the leader is then no
    /// reason to refuse a vote.
    pub(super) heard_at: Option<Instant>,
    /// When to campaign unless the leader speaks or a vote is given.
    pub(super) election_at: Instant,
}

/// Stands for election, or for the dry run of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    /// The term stood for: the present one, or in a dry run the next.
    pub(super) campaign: Term,
    /// What each voter answered in this campaign.
    pub(super) votes: BTreeMap<NodeId, bool>,
    /// Replies to requests before this one belong to an earlier campaign.
    pub(super) requests_from: RequestId,
    /// When to give up and begin again.
    pub(super) election_at: Instant,
    /// The write of the candidate's own vote, which counts when it is durable.
    pub(super) own_vote: Option<PersistToken>,
}

/// Leads the term.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Leader {
    /// The entry that opened the term.
    pub(super) opening: Index,
    /// What is known of every other node of the membership.
    pub(super) peers: NodeMap<Progress>,
    /// When to see whether a quorum still answers.
    pub(super) quorum_check_at: Instant,
    /// Reads that wait for the opening entry or for confirmation, oldest first.
    pub(super) reads: VecDeque<LeaderRead>,
}

impl Role {
    pub(super) const fn name(&self) -> RoleName {
        match self {
            Self::Follower(_) => RoleName::Follower,
            Self::PreCandidate(_) => RoleName::PreCandidate,
            Self::Candidate(_) => RoleName::Candidate,
            Self::Leader(_) => RoleName::Leader,
        }
    }
}
