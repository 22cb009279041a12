//! Figure 2, "State" and "Rules for Servers: All Servers".

use quorate_core::{
    AppendReply, DropReason, Effect, EntryId, Index, Input, Message, RequestId, RoleName, Term,
    VoteReply,
};

use super::solo::{Setup, Solo, each_base};
use crate::cluster::node;

/// All servers 1 (§5.3): commitIndex > lastApplied.
#[test]
fn what_is_committed_is_executed_in_order_once_and_when_it_is_durable_here() {
    each_base(|base| {
        let mut solo = Solo::follower(base, &Setup::default());
        solo.append(2, 1, base.id(0, 0), base.entries(1, &[1, 1, 1]), base.index(2));
        assert_eq!(solo.commit(), 2);
        assert!(solo.applied().is_empty(), "not durable here");
        solo.persist();
        solo.append(2, 1, base.id(3, 1), Vec::new(), base.index(3));
        solo.append(2, 1, base.id(3, 1), Vec::new(), base.index(3));
        assert_eq!(solo.applied(), [(1, 2), (3, 3)]);
    });
}

/// All servers 2 (§5.1): any request or reply of a later term makes a follower of it.
#[test]
fn a_later_term_in_any_message_makes_a_follower_of_that_term() {
    each_base(|base| {
        let campaign = base.term(8);
        let vote = VoteReply { campaign, pre_vote: false, granted: false };
        let (prev, hint) = (Index(1), EntryId::ZERO);
        for message in [
            Message::VoteReply(vote),
            Message::AppendReply(AppendReply::Rejected { prev, hint }),
            Message::AppendReply(AppendReply::Accepted { matched: Index(1) }),
            Message::ReadIndex,
            Message::ReadIndexReply(quorate_core::ReadIndexReply { index: None }),
        ] {
            for make in [Solo::candidate, Solo::leader] {
                let mut solo = make(base, &Setup::default());
                solo.tell(2, 8, RequestId(1), message.clone());
                let status = solo.raft.status();
                assert_eq!(status.role, RoleName::Follower, "{message}");
                assert_eq!(status.hard_state.term, base.term(8), "{message}");
                assert_eq!(status.hard_state.vote, None, "the vote of a new term is free");
                let state = solo.persists().last().and_then(|persist| persist.hard_state);
                assert_eq!(state.map(|state| state.term), Some(base.term(8)), "it is written");
            }
        }
    });
}

/// All servers 2 (§5.1), for requests of leaders and candidates.
#[test]
fn a_later_leader_or_candidate_is_followed() {
    each_base(|base| {
        let mut solo = Solo::leader(base, &Setup::default());
        let last = solo.raft.last();
        solo.append(2, 8, last, Vec::new(), base.index(0));
        assert_eq!(solo.raft.leader(), Some(node(2)));
        let mut solo = Solo::candidate(base, &Setup::default());
        solo.request_vote(2, 8, base.id(0, 0));
        assert_eq!(solo.raft.status().role, RoleName::Follower);
        assert!(solo.vote_answer().0.granted);
    });
}

/// §5.1: a term is durable before anything is said in it.
#[test]
fn nothing_is_said_in_a_term_that_is_not_durable() {
    each_base(|base| {
        let mut solo = Solo::new(base, &Setup::default());
        solo.request_vote(2, 5, base.id(0, 0));
        solo.append(3, 5, base.id(9, 5), Vec::new(), base.index(0));
        solo.input(Input::Timer);
        let token = solo.persists()[0].token;
        let waits = solo.sends().iter().all(|send| send.after >= Some(token));
        assert!(waits, "{:?}", solo.sends());
        solo.persist();
        solo.take();
        solo.append(3, 5, base.id(9, 5), Vec::new(), base.index(0));
        assert_eq!(solo.append_answer().1, None);
    });
}

/// Figure 2, "State": terms, votes and logs survive a restart, and nothing else does.
#[test]
fn a_node_begins_as_a_follower_of_nobody() {
    each_base(|base| {
        let setup = Setup { log: vec![1, 2], term: 4, vote: Some(node(3)), ..Setup::default() };
        let solo = Solo::new(base, &setup);
        let status = solo.raft.status();
        assert_eq!((status.role, status.leader), (RoleName::Follower, None));
        assert_eq!(status.hard_state.term, base.term(4));
        assert_eq!(status.hard_state.vote, Some(node(3)));
        assert_eq!(status.last, base.id(2, 2));
        assert_eq!(solo.commit(), 0);
    });
}

/// §5.1: the first election is for the first term; in the term before it there is only a dry run.
#[test]
fn nobody_votes_or_leads_in_the_term_before_the_first() {
    each_base(|base| {
        if base.term(0) > Term::ZERO {
            return;
        }
        let mut solo = Solo::new(base, &Setup { term: 0, ..Setup::default() });
        solo.request_vote(2, 0, base.id(0, 0));
        solo.append(2, 0, base.id(0, 0), Vec::new(), base.index(0));
        let drops = [Effect::Dropped(DropReason::Absurd), Effect::Dropped(DropReason::Absurd)];
        assert_eq!(solo.effects(), drops);
        assert_eq!(solo.raft.leader(), None);
    });
}
