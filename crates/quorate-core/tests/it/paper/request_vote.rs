//! Figure 2, "RequestVote RPC", receiver implementation.

use super::solo::{Setup, Solo, each_base};
use crate::cluster::node;

/// Receiver 1 (§5.1).
#[test]
fn a_request_of_an_earlier_term_is_refused_and_tells_the_later_one() {
    each_base(|base| {
        let mut solo = Solo::new(base, &Setup { term: 3, ..Setup::default() });
        solo.request_vote(2, 2, base.id(9, 2));
        assert!(!solo.vote_answer().0.granted);
        assert_eq!(solo.sends()[0].envelope.term, base.term(3));
        assert_eq!(solo.raft.status().hard_state.vote, None);
    });
}

/// Receiver 2 (§5.2): votedFor is null.
#[test]
fn a_vote_that_is_free_is_given_when_it_is_durable() {
    each_base(|base| {
        let mut solo = Solo::new(base, &Setup { term: 3, ..Setup::default() });
        solo.request_vote(2, 3, base.id(0, 0));
        let (reply, after) = solo.vote_answer();
        let persist = solo.persists()[0];
        assert!(reply.granted);
        assert_eq!(persist.hard_state.map(|state| state.vote), Some(Some(node(2))));
        assert_eq!(after, Some(persist.token));
    });
}

/// Receiver 2 (§5.2): votedFor is the candidate.
#[test]
fn the_same_candidate_gets_the_same_vote_again() {
    each_base(|base| {
        let setup = Setup { term: 3, vote: Some(node(2)), ..Setup::default() };
        let mut solo = Solo::new(base, &setup);
        solo.request_vote(2, 3, base.id(0, 0));
        assert!(solo.vote_answer().0.granted);
        assert!(solo.persists().is_empty(), "the vote is durable already");
    });
}

/// Receiver 2 (§5.2): at most one candidate per term.
#[test]
fn another_candidate_of_the_term_is_refused() {
    each_base(|base| {
        let setup = Setup { term: 3, vote: Some(node(2)), ..Setup::default() };
        let mut solo = Solo::new(base, &setup);
        solo.request_vote(3, 3, base.id(9, 3));
        assert!(!solo.vote_answer().0.granted);
        solo.request_vote(3, 4, base.id(9, 3));
        assert!(solo.vote_answer().0.granted, "a later term frees the vote");
    });
}

/// §5.2: a vote is not given back, whatever makes a node follow in the same term.
#[test]
fn a_vote_is_kept_when_a_candidate_follows_a_leader_of_its_term() {
    each_base(|base| {
        let mut solo = Solo::candidate(base, &Setup { voters: 5, ..Setup::default() });
        solo.append(2, 2, base.id(7, 2), Vec::new(), base.index(0));
        assert_eq!(solo.raft.status().hard_state.vote, Some(node(1)));
        solo.request_vote(3, 2, base.id(9, 2));
        assert!(!solo.vote_answer().0.granted);
    });
}

/// Receiver 2 (§5.4.1): all nine orders of last term and last index.
#[test]
fn the_vote_goes_to_a_log_that_is_at_least_as_up_to_date() {
    each_base(|base| {
        for term in 1..=3 {
            for index in 2..=4 {
                let setup = Setup { log: vec![1, 2, 2], term: 3, ..Setup::default() };
                let mut solo = Solo::new(base, &setup);
                solo.request_vote(2, 4, base.id(index, term));
                let expected = term > 2 || (term == 2 && index >= 3);
                let last = base.id(index, term);
                assert_eq!(solo.vote_answer().0.granted, expected, "last {last} against 3@2");
            }
        }
    });
}

/// §5.4.1, on a log that holds nothing above its base.
#[test]
fn the_base_counts_as_the_last_entry() {
    each_base(|base| {
        let mut solo = Solo::new(base, &Setup { term: 3, ..Setup::default() });
        let below = quorate_core::EntryId::new(base.index(5), base.term(0).previous());
        if below.term < base.term(0) {
            solo.request_vote(2, 4, below);
            assert!(!solo.vote_answer().0.granted, "a longer log of an earlier last term");
        }
        solo.request_vote(2, 5, base.id(0, 0));
        assert!(solo.vote_answer().0.granted);
    });
}
