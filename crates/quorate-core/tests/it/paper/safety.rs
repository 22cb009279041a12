//! Figure 3 and §5.4, as far as one node can break them. The whole cluster is checked in the random
//! lives and in every scenario.

use quorate_core::{AppendReply, Effect, Input, RoleName};

use super::solo::{Setup, Solo, each_base};
use crate::cluster::node;

/// Figure 3, Election Safety: what a second leader of a term means.
#[test]
fn a_second_leader_of_a_term_stops_the_node() {
    each_base(|base| {
        let mut solo = Solo::follower(base, &Setup::default());
        solo.append(3, 1, base.id(0, 0), base.entries(1, &[1]), base.index(1));
        assert!(solo.effects().iter().any(|effect| matches!(effect, Effect::Halt(_))));
        assert!(solo.raft.halted().is_some());
        assert!(solo.log().is_empty());
        solo.take();
        solo.append(2, 1, base.id(0, 0), base.entries(1, &[1]), base.index(1));
        solo.input(Input::Timer);
        assert!(solo.effects().is_empty(), "it does nothing any more");
        assert_eq!(solo.raft.next_deadline(), None);
    });
}

/// Figure 3, Leader Append-Only.
#[test]
fn a_leader_takes_no_entries_from_anyone_in_its_term() {
    each_base(|base| {
        let mut solo = Solo::leader(base, &Setup { log: vec![1], ..Setup::default() });
        let before = solo.log();
        solo.append(9, 2, base.id(0, 0), base.entries(1, &[2]), base.index(1));
        assert_eq!(solo.log(), before);
        assert_eq!(solo.raft.status().role, RoleName::Leader, "a stranger is dropped");
    });
}

/// Figure 3, Log Matching: an append that agrees at prev makes the logs agree up to its end.
#[test]
fn logs_agree_up_to_what_was_accepted() {
    each_base(|base| {
        let setup = Setup { log: vec![1, 2, 2, 2], term: 4, ..Setup::default() };
        let mut solo = Solo::follower(base, &setup);
        solo.append(2, 4, base.id(1, 1), base.entries(2, &[2, 3, 4]), base.index(0));
        assert_eq!(solo.log(), [1, 2, 3, 4]);
        assert_eq!(solo.append_answer().0, AppendReply::Accepted { matched: base.index(4) });
    });
}

/// Figure 3, State Machine Safety: what is committed is never cut.
#[test]
fn a_committed_entry_is_never_cut() {
    each_base(|base| {
        let setup = Setup { log: vec![1, 1], ..Setup::default() };
        let mut solo = Solo::follower(base, &setup);
        solo.append(2, 1, base.id(2, 1), Vec::new(), base.index(2));
        assert_eq!(solo.commit(), 2);
        solo.append(3, 3, base.id(1, 1), base.entries(2, &[3]), base.index(2));
        assert_eq!(solo.log(), [1, 1]);
        assert_eq!(solo.raft.leader(), Some(node(3)));
    });
}

/// §5.4.2, and §8: the opening entry lets what came before be committed without a client.
#[test]
fn the_opening_entry_commits_what_came_before_it() {
    each_base(|base| {
        let mut solo = Solo::leader(base, &Setup { log: vec![1, 1], ..Setup::default() });
        solo.append_reply(3, AppendReply::Accepted { matched: base.index(3) });
        assert_eq!(solo.commit(), 3);
        assert_eq!(solo.applied(), [(1, 3)]);
    });
}
