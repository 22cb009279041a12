//! Figure 2, "Rules for Servers: Candidates" (§5.2), and the dry run before it (thesis §9.6).

use std::collections::BTreeSet;

use quorate_core::{Message, RoleName};

use super::solo::{Setup, Solo, each_base};
use crate::cluster::node;

/// Candidates 1.
#[test]
fn a_campaign_raises_the_term_votes_for_itself_and_asks_all_others() {
    each_base(|base| {
        let mut solo = Solo::new(base, &Setup { voters: 5, log: vec![1], ..Setup::default() });
        solo.time_out();
        let persist = solo.persists()[0];
        let state = persist.hard_state.unwrap();
        assert_eq!((state.term, state.vote), (base.term(2), Some(node(1))));
        let sends = solo.sends();
        let asked: BTreeSet<_> = sends.iter().map(|send| send.envelope.to).collect();
        assert_eq!(asked, (2..=5).map(node).collect());
        for send in sends {
            let Message::RequestVote(vote) = send.envelope.message else { panic!("a request") };
            assert_eq!((vote.campaign, vote.last), (base.term(2), base.id(1, 1)));
            assert_eq!(send.after, Some(persist.token), "not before its own vote is durable");
        }
    });
}

/// Candidates 2.
#[test]
fn a_majority_of_votes_makes_a_leader_and_fewer_do_not() {
    each_base(|base| {
        for voters in 1..=7 {
            let mut solo = Solo::candidate(base, &Setup { voters, ..Setup::default() });
            for peer in 2..=voters {
                let votes = peer - 1;
                assert_eq!(solo.raft.is_leader(), votes * 2 > voters, "{votes} of {voters}");
                solo.vote_reply(peer, true);
            }
            assert!(solo.raft.is_leader(), "all of {voters}");
        }
    });
}

#[test]
fn a_voter_counts_once_and_a_stranger_not_at_all() {
    each_base(|base| {
        let mut solo = Solo::candidate(base, &Setup { voters: 5, ..Setup::default() });
        solo.vote_reply(2, true);
        solo.vote_reply(2, true);
        assert!(!solo.raft.is_leader());
        let request = solo.sends()[0].envelope.request;
        let (campaign, pre_vote, granted) = (solo.raft.term(), false, true);
        let vote = quorate_core::VoteReply { campaign, pre_vote, granted };
        solo.tell(9, 2, request, Message::VoteReply(vote));
        assert!(!solo.raft.is_leader());
    });
}

/// §5.2: its own vote is one, and counts when it is durable.
#[test]
fn a_candidate_is_no_majority_with_a_vote_that_is_not_durable() {
    each_base(|base| {
        let mut solo = Solo::new(base, &Setup { voters: 1, ..Setup::default() });
        solo.time_out();
        assert!(!solo.raft.is_leader());
        solo.persist();
        assert!(solo.raft.is_leader());
    });
}

/// Candidates 3.
#[test]
fn a_candidate_follows_a_leader_of_its_own_term() {
    each_base(|base| {
        let mut solo = Solo::candidate(base, &Setup::default());
        solo.append(2, 2, base.id(0, 0), Vec::new(), base.index(0));
        assert_eq!(solo.raft.status().role, RoleName::Follower);
        assert_eq!(solo.raft.leader(), Some(node(2)));
        solo.vote_reply(3, true);
        assert!(!solo.raft.is_leader(), "the election is over");
    });
}

/// Candidates 4; §5.2: timeouts are drawn anew each time.
#[test]
fn an_undecided_election_is_held_again_in_the_next_term_after_another_timeout() {
    each_base(|base| {
        let mut solo = Solo::candidate(base, &Setup { voters: 4, ..Setup::default() });
        let mut waits = BTreeSet::new();
        for term in 3..20 {
            let since = solo.now;
            solo.time_out();
            waits.insert(solo.now.since(since));
            assert_eq!(solo.raft.term(), base.term(term));
            solo.persist();
        }
        assert!(waits.len() > 10, "the timeouts differ");
    });
}

#[test]
fn a_lost_election_ends_the_campaign() {
    each_base(|base| {
        let mut solo = Solo::candidate(base, &Setup::default());
        solo.vote_reply(2, false);
        assert_eq!(solo.raft.status().role, RoleName::Candidate);
        solo.vote_reply(3, false);
        assert_eq!(solo.raft.status().role, RoleName::Follower);
        assert_eq!(solo.raft.term(), base.term(2));
    });
}

/// Thesis §9.6.
#[test]
fn the_dry_run_changes_no_term_and_no_vote() {
    each_base(|base| {
        let mut solo = Solo::new(base, &Setup { pre_vote: true, ..Setup::default() });
        solo.time_out();
        assert_eq!(solo.raft.status().role, RoleName::PreCandidate);
        assert_eq!(solo.raft.term(), base.term(1));
        assert!(solo.persists().is_empty());
        for send in solo.sends() {
            let Message::RequestVote(vote) = send.envelope.message else { panic!("a request") };
            assert!(vote.pre_vote && vote.campaign == base.term(2));
            assert_eq!(send.after, None);
        }
    });
}
