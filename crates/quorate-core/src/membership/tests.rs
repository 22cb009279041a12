//! Majorities against their definition, for all small memberships and random large ones.

use std::sync::Arc;

use super::*;
use crate::entry::Run;
use crate::id::{Index, Term};
use crate::rng::Rng;

fn node(id: u64) -> NodeId {
    NodeId::new(id).unwrap()
}

fn some(rng: &mut Rng, limit: u64, universe: u64) -> Vec<NodeId> {
    let mut ids: Vec<NodeId> = (1..=universe).map(node).collect();
    for at in (1..ids.len()).rev() {
        ids.swap(at, usize::try_from(rng.below(at as u64 + 1)).unwrap());
    }
    ids.truncate(usize::try_from(rng.below(limit + 1)).unwrap());
    ids
}

/// More than half of `half`, and of the other half where there is one.
fn is_quorum_by_definition(membership: &Membership, set: &[NodeId]) -> bool {
    let has = |half: &[NodeId]| 2 * half.iter().filter(|id| set.contains(id)).count() > half.len();
    has(membership.voters()) && (membership.outgoing().is_empty() || has(membership.outgoing()))
}

/// R-RP1.
#[test]
fn quorums_are_majorities_of_both_halves() {
    let mut rng = Rng::new(1);
    for round in 0..4000 {
        let limit = if round % 10 == 0 { 25 } else { 7 };
        let (voters, outgoing) = (some(&mut rng, limit, 30), some(&mut rng, limit, 30));
        let outgoing = if round % 2 == 0 { Vec::new() } else { outgoing };
        let membership = Membership::new(voters, outgoing, some(&mut rng, 3, 30));
        let set = some(&mut rng, 30, 30);
        let expected = is_quorum_by_definition(&membership, &set);
        assert_eq!(
            is_quorum(&membership, |id| set.contains(&id)),
            expected,
            "{membership} {set:?}"
        );
    }
}

#[test]
fn any_two_quorums_meet() {
    for voters in 1..=5_u64 {
        for outgoing in 0..=4_u64 {
            let all = (1..=voters).map(node);
            let membership = Membership::new(all, (voters..voters + outgoing).map(node), []);
            let nodes = membership.nodes();
            let subset = |bits: u32| -> Vec<NodeId> {
                let chosen = nodes.iter().enumerate().filter(|(at, _)| bits & (1 << at) != 0);
                chosen.map(|(_, id)| *id).collect()
            };
            let quorums: Vec<u32> = (0..1_u32 << nodes.len())
                .filter(|bits| is_quorum(&membership, |id| subset(*bits).contains(&id)))
                .collect();
            assert!(!quorums.is_empty());
            for (one, other) in quorums.iter().flat_map(|a| quorums.iter().map(move |b| (a, b))) {
                assert!(one & other != 0, "{membership}: {one:b} and {other:b}");
            }
        }
    }
}

/// R-RP1.
#[test]
fn the_committed_index_is_the_highest_that_a_quorum_reached() {
    let mut rng = Rng::new(2);
    for round in 0..4000 {
        let limit = if round % 10 == 0 { 25 } else { 7 };
        let (voters, outgoing) = (some(&mut rng, limit, 30), some(&mut rng, limit, 30));
        let outgoing = if round % 2 == 0 { Vec::new() } else { outgoing };
        let membership = Membership::new(voters, outgoing, some(&mut rng, 3, 30));
        let matches: Vec<Index> = (0..=30).map(|_| Index(rng.below(10))).collect();
        let matched = |id: NodeId| matches[usize::try_from(id.get()).unwrap()];
        let reached = |index: &u64| is_quorum(&membership, |id| matched(id) >= Index(*index));
        let expected = (1..10).filter(reached).max().map_or(Index::ZERO, Index);
        assert_eq!(committed(&membership, matched), expected, "{membership} {matches:?}");
    }
}

#[test]
fn an_election_is_lost_when_no_vote_to_come_can_win_it() {
    let mut rng = Rng::new(3);
    for round in 0..3000 {
        let outgoing = if round % 2 == 0 { Vec::new() } else { some(&mut rng, 4, 7) };
        let membership = Membership::new(some(&mut rng, 5, 7), outgoing, some(&mut rng, 2, 7));
        let votes: Vec<Option<bool>> =
            (0..=7).map(|_| (rng.below(3) > 0).then(|| rng.below(2) == 0)).collect();
        let vote = |id: NodeId| votes[usize::try_from(id.get()).unwrap()];
        let granted: Vec<NodeId> = (1..=7).map(node).filter(|id| vote(*id) == Some(true)).collect();
        let open: Vec<NodeId> = (1..=7).map(node).filter(|id| vote(*id) != Some(false)).collect();
        let expected = if is_quorum_by_definition(&membership, &granted) {
            Outcome::Won
        } else if is_quorum_by_definition(&membership, &open) {
            Outcome::Open
        } else {
            Outcome::Lost
        };
        assert_eq!(tally(&membership, vote), expected, "{membership} {votes:?}");
    }
}

#[test]
fn nobody_decides_for_an_empty_membership() {
    let membership = Membership::default();
    assert!(!is_quorum(&membership, |_| true));
    assert_eq!(committed(&membership, |_| Index(7)), Index::ZERO);
}

#[test]
fn who_votes_is_no_learner() {
    let membership = Membership::new(
        [node(2), node(1), node(2)],
        [node(3)],
        [node(4), node(3), node(1), node(4)],
    );
    assert_eq!(membership.voters(), [node(1), node(2)]);
    assert_eq!(membership.learners(), [node(4)]);
    assert_eq!(membership.nodes(), [node(1), node(2), node(3), node(4)]);
    assert!(membership.is_voter(node(3)) && !membership.is_voter(node(4)));
    assert!(membership.contains(node(4)) && !membership.contains(node(5)));
}

#[test]
fn the_latest_membership_of_the_log_is_in_force() {
    let of = |id| Arc::new(Membership::of_voters([node(id)]));
    let mut history = History::new(of(1));
    assert_eq!(history.current(), &of(1));
    history.push(&Run::membership(Index(8), Term(1), 10, of(2)));
    history.push(&Run::new(Index(9), 1, Term(1), crate::EntryKind::Command, 10));
    history.push(&Run::membership(Index(10), Term(1), 10, of(3)));
    assert_eq!(history.current(), &of(3));
    history.truncate_from(Index(11));
    assert_eq!(history.current(), &of(3));
    history.truncate_from(Index(10));
    assert_eq!(history.current(), &of(2));
    history.truncate_from(Index(2));
    assert_eq!(history.current(), &of(1), "back to the base's");
}
