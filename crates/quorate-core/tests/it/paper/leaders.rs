//! Figure 2, "Rules for Servers: Leaders" (§5.3, §5.4, §8).

use quorate_core::{AppendReply, EntryKind, Input, ProposeError};

use super::solo::{Setup, Solo, each_base};

/// Leaders 1, first half (§5.2), with the entry that §8 asks for.
#[test]
fn a_new_leader_appends_to_every_peer_at_once() {
    each_base(|base| {
        let solo = Solo::leader(base, &Setup { log: vec![1, 1], ..Setup::default() });
        for peer in [2, 3] {
            let append = &solo.appends_to(peer)[0];
            assert_eq!(append.prev, base.id(2, 1), "it begins at the end of its own log");
            assert_eq!(append.runs[0].kind, EntryKind::Opening);
            assert_eq!(append.runs[0].last_id(), base.id(3, 2));
        }
    });
}

/// Leaders 1, second half (§5.2).
#[test]
fn an_idle_leader_sends_heartbeats_before_any_election_timeout() {
    each_base(|base| {
        let mut solo = Solo::leader(base, &Setup::default());
        for peer in [2, 3] {
            solo.append_reply(peer, AppendReply::Accepted { matched: base.index(1) });
        }
        for _ in 0..5 {
            solo.take();
            let since = solo.now;
            solo.time_out();
            assert_eq!(solo.now.since(since).as_millis(), 100);
            for peer in [2, 3] {
                let append = &solo.appends_to(peer)[0];
                assert!(append.runs.is_empty() && append.wants_reply);
                assert_eq!(append.prev, base.id(1, 2));
                solo.append_reply(peer, AppendReply::Accepted { matched: base.index(1) });
            }
        }
    });
}

/// Leaders 2 (§5.3).
#[test]
fn a_command_is_appended_and_only_by_a_leader() {
    each_base(|base| {
        let mut solo = Solo::leader(base, &Setup::default());
        assert_eq!(solo.raft.propose(10), Ok(base.id(2, 2)));
        solo.input(Input::Flush);
        assert_eq!(solo.log(), [2, 2]);
        let mut solo = Solo::follower(base, &Setup::default());
        let leader = solo.raft.leader();
        assert_eq!(solo.raft.propose(10), Err(ProposeError::NotLeader { leader }));
        assert!(solo.log().is_empty());
    });
}

/// Leaders 3 (§5.3).
#[test]
fn a_peer_gets_what_it_lacks_from_next_on() {
    each_base(|base| {
        let mut solo = Solo::leader(base, &Setup::default());
        solo.append_reply(2, AppendReply::Accepted { matched: base.index(1) });
        solo.take();
        for _ in 0..3 {
            solo.raft.propose(10).unwrap();
        }
        solo.input(Input::Flush);
        let appends = solo.appends_to(2);
        assert_eq!(appends.len(), 1);
        assert_eq!((appends[0].prev, appends[0].end()), (base.id(1, 2), base.index(4)));
        assert!(solo.appends_to(3).is_empty(), "its place is asked for already");
    });
}

/// Leaders 3, on success (§5.3).
#[test]
fn an_acknowledgement_raises_match_and_next() {
    each_base(|base| {
        let mut solo = Solo::leader(base, &Setup { log: vec![1, 1], ..Setup::default() });
        solo.append_reply(2, AppendReply::Accepted { matched: base.index(3) });
        let peer = solo.raft.status().peers[0];
        assert_eq!((peer.matched, peer.next), (base.index(3), base.index(4)));
    });
}

/// Leaders 3, on refusal (§5.3): next goes back, and the append is tried again.
#[test]
fn a_refusal_lowers_next_and_is_tried_again() {
    each_base(|base| {
        let mut solo = Solo::leader(base, &Setup { log: vec![1, 1, 1], ..Setup::default() });
        solo.take_requests_then(|solo| {
            let hint = base.id(1, 1);
            solo.append_reply(2, AppendReply::Rejected { prev: base.index(3), hint });
        });
        let peer = solo.raft.status().peers[0];
        assert_eq!((peer.matched.get(), peer.next), (0, base.index(2)));
        let append = solo.appends_to(2).pop().unwrap();
        assert_eq!((append.prev, append.end()), (base.id(1, 1), base.index(4)));
    });
}

/// §5.3: a refusal commits and matches nothing.
#[test]
fn a_refusal_is_no_acknowledgement() {
    each_base(|base| {
        let mut solo = Solo::leader(base, &Setup { log: vec![1, 1], ..Setup::default() });
        for peer in [2, 3] {
            let (prev, hint) = (base.index(2), base.id(2, 0));
            solo.append_reply(peer, AppendReply::Rejected { prev, hint });
        }
        assert_eq!(solo.commit(), 0);
        assert!(solo.raft.status().peers.iter().all(|peer| peer.matched.get() == 0));
    });
}

/// Leaders 4 (§5.3): a majority of matches.
#[test]
fn an_entry_on_a_majority_is_committed_and_one_on_fewer_is_not() {
    each_base(|base| {
        for voters in 2..=7 {
            let mut solo = Solo::leader(base, &Setup { voters, ..Setup::default() });
            for peer in 2..=voters {
                let holders = peer - 1;
                let expected = u64::from(holders * 2 > voters);
                assert_eq!(solo.commit(), expected, "{holders} of {voters}");
                solo.append_reply(peer, AppendReply::Accepted { matched: base.index(1) });
            }
            assert_eq!(solo.commit(), 1);
        }
    });
}

/// Leaders 4 (§5.4.2): log[N].term == currentTerm.
#[test]
fn an_entry_of_an_earlier_term_is_committed_only_with_one_of_its_own() {
    each_base(|base| {
        let mut solo = Solo::leader(base, &Setup { log: vec![1, 1], ..Setup::default() });
        solo.append_reply(2, AppendReply::Accepted { matched: base.index(2) });
        solo.append_reply(3, AppendReply::Accepted { matched: base.index(2) });
        assert_eq!(solo.commit(), 0, "2@1 is everywhere, and of an earlier term");
        solo.append_reply(2, AppendReply::Accepted { matched: base.index(3) });
        assert_eq!(solo.commit(), 3);
    });
}

/// Leaders 4, thesis §10.2.1: the leader counts itself when its own disk has the entry.
#[test]
fn a_leader_counts_itself_when_its_own_write_is_durable() {
    each_base(|base| {
        let mut solo = Solo::candidate(base, &Setup::default());
        solo.vote_reply(2, true);
        assert!(solo.raft.is_leader());
        solo.append_reply(2, AppendReply::Accepted { matched: base.index(1) });
        assert_eq!(solo.commit(), 0, "one peer is no majority of three");
        solo.persist();
        assert_eq!(solo.commit(), 1);
    });
}

/// Thesis §10.2.1: appends leave while the leader writes.
#[test]
fn a_leader_sends_before_its_own_write_is_durable() {
    each_base(|base| {
        let mut solo = Solo::candidate(base, &Setup::default());
        solo.take_requests_then(|solo| solo.vote_reply(2, true));
        let appends: Vec<_> = solo.sends();
        assert!(!appends.is_empty() && appends.iter().all(|send| send.after.is_none()));
        assert_eq!(solo.persists().len(), 1, "and it does write");
    });
}

impl Solo {
    /// Keeps only what `act` asks for, but lets it answer what was asked before.
    fn take_requests_then(&mut self, act: impl FnOnce(&mut Self)) {
        let before = self.effects().len();
        act(self);
        let after = self.take().split_off(before);
        self.put(after);
    }
}
