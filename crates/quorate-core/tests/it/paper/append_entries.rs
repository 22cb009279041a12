//! Figure 2, "AppendEntries RPC", receiver implementation.

use quorate_core::AppendReply;

use super::solo::{Setup, Solo, each_base};

/// Receiver 1 (§5.1).
#[test]
fn an_append_of_an_earlier_term_is_refused_and_tells_the_later_one() {
    each_base(|base| {
        let mut solo = Solo::new(base, &Setup { term: 3, ..Setup::default() });
        solo.append(2, 2, base.id(0, 0), base.entries(1, &[2]), base.index(1));
        let (reply, _) = solo.append_answer();
        assert!(matches!(reply, AppendReply::Rejected { .. }));
        assert_eq!(solo.sends()[0].envelope.term, base.term(3));
        assert!(solo.log().is_empty() && solo.commit() == 0);
        assert_eq!(solo.raft.leader(), None, "it is no leader of this term");
    });
}

/// Receiver 2 (§5.3): no entry at prev, or one of another term.
#[test]
fn an_append_after_an_entry_that_is_not_held_is_refused() {
    each_base(|base| {
        for (prev, hint) in [
            (base.id(4, 2), base.id(3, 2)),
            (base.id(3, 3), base.id(3, 2)),
            (base.id(3, 1), base.id(2, 1)),
        ] {
            let mut solo =
                Solo::follower(base, &Setup { log: vec![1, 1, 2], term: 3, ..Setup::default() });
            let first = prev.index.distance(base.index(0)) + 1;
            solo.append(2, 3, prev, base.entries(first, &[3]), base.index(3));
            let (reply, _) = solo.append_answer();
            assert_eq!(reply, AppendReply::Rejected { prev: prev.index, hint }, "prev {prev}");
            assert_eq!(solo.log(), [1, 1, 2], "nothing changes");
            assert_eq!(solo.commit(), 0);
        }
    });
}

/// Receiver 3 (§5.3).
#[test]
fn a_conflicting_entry_is_deleted_with_all_that_follow_it() {
    each_base(|base| {
        let setup = Setup { log: vec![1, 2, 2, 2, 2], term: 3, ..Setup::default() };
        let mut solo = Solo::follower(base, &setup);
        solo.append(2, 3, base.id(2, 2), base.entries(3, &[3]), base.index(0));
        assert_eq!(solo.log(), [1, 2, 3]);
        let persist = solo.persists()[0];
        assert_eq!(persist.truncate_from, Some(base.index(3)));
        assert_eq!(persist.append, Some((base.index(3), base.index(3))));
    });
}

/// Receiver 3 (§5.3): "if an existing entry conflicts", and only then.
#[test]
fn entries_that_agree_are_kept_whatever_follows_them() {
    each_base(|base| {
        let setup = Setup { log: vec![1, 2, 2, 3, 3], term: 3, ..Setup::default() };
        let mut solo = Solo::follower(base, &setup);
        solo.append(2, 3, base.id(1, 1), base.entries(2, &[2, 2]), base.index(0));
        assert_eq!(solo.log(), [1, 2, 2, 3, 3]);
        solo.append(2, 3, base.id(1, 1), Vec::new(), base.index(0));
        assert_eq!(solo.log(), [1, 2, 2, 3, 3]);
        assert!(solo.persists().is_empty(), "nothing is written again");
    });
}

/// Receiver 4 (§5.3).
#[test]
fn entries_that_are_not_in_the_log_are_appended() {
    each_base(|base| {
        let setup = Setup { log: vec![1, 2], term: 3, ..Setup::default() };
        let mut solo = Solo::follower(base, &setup);
        solo.append(2, 3, base.id(1, 1), base.entries(2, &[2, 2, 3]), base.index(0));
        assert_eq!(solo.log(), [1, 2, 2, 3]);
        assert_eq!(solo.persists()[0].append, Some((base.index(3), base.index(4))));
        assert_eq!(solo.append_answer().0, AppendReply::Accepted { matched: base.index(4) });
    });
}

/// Receiver 5 (§5.3): min(leaderCommit, index of last new entry), and no further than verified.
#[test]
fn the_commit_index_follows_to_the_last_entry_that_the_append_verifies() {
    each_base(|base| {
        for (prev, entries, leader_commit, expected) in [
            (base.id(1, 1), vec![2], 5, 2),
            (base.id(1, 1), vec![2, 2], 2, 2),
            (base.id(1, 1), vec![], 5, 1),
            (base.id(3, 2), vec![], 2, 2),
        ] {
            let setup = Setup { log: vec![1, 2, 2, 2], term: 3, ..Setup::default() };
            let mut solo = Solo::follower(base, &setup);
            let first = prev.index.distance(base.index(0)) + 1;
            solo.append(2, 3, prev, base.entries(first, &entries), base.index(leader_commit));
            assert_eq!(solo.commit(), expected, "{prev} {entries:?} {leader_commit}");
        }
    });
}

/// §5.3: the commit index never goes back.
#[test]
fn an_earlier_commit_index_changes_nothing() {
    each_base(|base| {
        let setup = Setup { log: vec![1, 1, 1], term: 1, ..Setup::default() };
        let mut solo = Solo::follower(base, &setup);
        solo.append(2, 1, base.id(3, 1), Vec::new(), base.index(3));
        solo.append(2, 1, base.id(3, 1), Vec::new(), base.index(1));
        assert_eq!(solo.commit(), 3);
    });
}

/// Figure 2, "State": persistent state is on stable storage before the answer.
#[test]
fn an_append_is_acknowledged_when_its_entries_are_durable() {
    each_base(|base| {
        let mut solo = Solo::follower(base, &Setup::default());
        solo.append(2, 1, base.id(0, 0), base.entries(1, &[1, 1]), base.index(0));
        let persist = solo.persists()[0];
        let (reply, after) = solo.append_answer();
        assert_eq!(reply, AppendReply::Accepted { matched: base.index(2) });
        assert_eq!(after, Some(persist.token));
    });
}

/// §5.5: appends are idempotent.
#[test]
fn an_append_that_comes_twice_changes_nothing_the_second_time() {
    each_base(|base| {
        let mut solo = Solo::follower(base, &Setup::default());
        solo.append(2, 1, base.id(0, 0), base.entries(1, &[1, 1]), base.index(1));
        solo.persist();
        solo.take();
        solo.append(2, 1, base.id(0, 0), base.entries(1, &[1, 1]), base.index(1));
        assert_eq!(solo.log(), [1, 1]);
        assert!(solo.persists().is_empty());
        let matched = base.index(2);
        assert_eq!(solo.append_answer(), (AppendReply::Accepted { matched }, None));
    });
}
