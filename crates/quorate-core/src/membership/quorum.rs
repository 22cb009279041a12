//! Majorities, of one half or of both (Raft §5.2, thesis §4.3).
//!
//! An empty half has no majority, so a node without a membership decides nothing.

use crate::id::{Index, NodeId};
use crate::membership::Membership;

/// Votes that are sorted without an allocation.
const SMALL: usize = 16;

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
        for (slot, id) in indices.iter_mut().zip(voters) {
            *slot = matched(*id);
        }
        return majority_index(&mut indices[..voters.len()]);
    }
    let mut indices: Vec<Index> = voters.iter().map(|id| matched(*id)).collect();
    majority_index(&mut indices)
}

/// Sorts a handful of numbers where they are: a call to the library's sort costs more than the rest
/// of an acknowledgement.
fn sort(indices: &mut [Index]) {
    for end in 1..indices.len() {
        let mut at = end;
        while at > 0 && indices[at] < indices[at - 1] {
            indices.swap(at, at - 1);
            at -= 1;
        }
    }
}

/// The value that more than half of all are at or above.
fn majority_index(indices: &mut [Index]) -> Index {
    if indices.is_empty() {
        return Index::ZERO;
    }
    if !mutant!(MatchesUnsorted) {
        sort(indices);
    }
    indices[(indices.len() - 1) / 2]
}
