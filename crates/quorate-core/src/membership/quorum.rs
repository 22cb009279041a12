//! Majorities, of one half or of both (Raft §5.2, thesis §4.3).
//!
//! An empty half has no majority, so a node without a membership decides nothing.

use crate::id::{Index, NodeId};
use crate::membership::Membership;

/// Votes that are sorted without an allocation.
const SMALL: usize = 8;

/// How an election stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A majority of each half granted.
    Won,
    /// A majority of each half can no longer be had.
    Lost,
    /// Undecided.
    Open,
}

/// Whether the nodes that `agrees` names are a majority of each half.
pub(crate) fn is_quorum(membership: &Membership, agrees: impl Fn(NodeId) -> bool) -> bool {
    if mutant!(LearnersCount) {
        return half_agrees(&membership.nodes(), &agrees);
    }
    half_agrees(membership.voters(), &agrees)
        && (membership.outgoing().is_empty() || half_agrees(membership.outgoing(), &agrees))
}

/// How an election stands in which `vote` tells what each voter answered, if it did.
pub(crate) fn tally(membership: &Membership, vote: impl Fn(NodeId) -> Option<bool>) -> Outcome {
    if mutant!(UnionElects) {
        let union = Membership::of_voters([membership.voters(), membership.outgoing()].concat());
        return tally_of(&union, vote);
    }
    tally_of(membership, vote)
}

fn tally_of(membership: &Membership, vote: impl Fn(NodeId) -> Option<bool>) -> Outcome {
    if is_quorum(membership, |id| vote(id) == Some(true)) {
        Outcome::Won
    } else if is_quorum(membership, |id| vote(id) != Some(false)) {
        Outcome::Open
    } else {
        Outcome::Lost
    }
}

/// The highest index that a majority of each half has reached.
pub(crate) fn committed(membership: &Membership, matched: impl Fn(NodeId) -> Index) -> Index {
    let incoming = half_committed(membership.voters(), &matched);
    if membership.outgoing().is_empty() || mutant!(JointCommitByOneHalf) {
        return incoming;
    }
    incoming.min(half_committed(membership.outgoing(), &matched))
}

fn half_agrees(voters: &[NodeId], agrees: &impl Fn(NodeId) -> bool) -> bool {
    let count = voters.iter().filter(|id| agrees(**id)).count();
    count > voters.len() / 2 || mutant!(HalfIsQuorum) && count == voters.len() / 2 && count > 0
}

fn half_committed(voters: &[NodeId], matched: &impl Fn(NodeId) -> Index) -> Index {
    if voters.len() <= SMALL {
        let mut indices = [Index::ZERO; SMALL];
        for (at, id) in voters.iter().enumerate() {
            insert(&mut indices[..=at], matched(*id));
        }
        return majority_index(&indices[..voters.len()]);
    }
    let mut indices: Vec<Index> = voters.iter().map(|id| matched(*id)).collect();
    if !mutant!(MatchesUnsorted) {
        indices.sort_unstable();
    }
    majority_index(&indices)
}

/// Puts a number into the last place of a list, and up to where it belongs: for a handful the
/// library's sort costs more than all else that an acknowledgement does.
fn insert(sorted: &mut [Index], index: Index) {
    let mut at = sorted.len() - 1;
    while at > 0 && sorted[at - 1] > index && !mutant!(MatchesUnsorted) {
        sorted[at] = sorted[at - 1];
        at -= 1;
    }
    sorted[at] = index;
}

/// The value that more than half of all are at or above.
fn majority_index(sorted: &[Index]) -> Index {
    if sorted.is_empty() {
        return Index::ZERO;
    }
    sorted[(sorted.len() - 1) / 2]
}
