//! Figure 2, "Rules for Servers: Followers" (§5.2).

use std::time::Duration;

use quorate_core::{Input, Instant, RoleName};

use super::solo::{Setup, Solo, each_base};

/// Followers 2: an election timeout without a word of a leader and without a vote given.
#[test]
fn a_follower_campaigns_when_its_election_timeout_passes() {
    each_base(|base| {
        let mut solo = Solo::follower(base, &Setup::default());
        let deadline = solo.raft.next_deadline().unwrap();
        let wait = deadline.since(solo.now);
        assert!((Duration::from_millis(300)..Duration::from_millis(600)).contains(&wait));
        solo.now = Instant::from_nanos(deadline.as_nanos() - 1);
        solo.input(Input::Timer);
        assert_eq!(solo.raft.status().role, RoleName::Follower, "an early timer does nothing");
        solo.now = deadline;
        solo.input(Input::Timer);
        assert_eq!(solo.raft.status().role, RoleName::Candidate);
    });
}

#[test]
fn a_word_of_the_leader_puts_the_election_off() {
    each_base(|base| {
        let mut solo = Solo::follower(base, &Setup::default());
        for _ in 0..20 {
            solo.advance(250);
            solo.append(2, 1, base.id(0, 0), Vec::new(), base.index(0));
            solo.input(Input::Timer);
        }
        assert_eq!(solo.raft.status().role, RoleName::Follower);
    });
}

#[test]
fn a_vote_that_is_given_puts_the_election_off_and_one_that_is_refused_does_not() {
    each_base(|base| {
        let setup = Setup { log: vec![1], ..Setup::default() };
        let mut solo = Solo::new(base, &setup);
        let before = solo.raft.next_deadline().unwrap();
        solo.advance(250);
        solo.request_vote(2, 2, base.id(0, 0));
        assert!(!solo.vote_answer().0.granted);
        assert_eq!(solo.raft.next_deadline(), Some(before));
        solo.request_vote(3, 2, base.id(1, 1));
        assert!(solo.vote_answer().0.granted);
        let after = solo.raft.next_deadline().unwrap();
        assert!(after >= solo.now.after(Duration::from_millis(300)));
    });
}

/// §5.2: a message of an earlier term is no word of a leader.
#[test]
fn a_deposed_leader_does_not_put_the_election_off() {
    each_base(|base| {
        let mut solo = Solo::new(base, &Setup { term: 3, ..Setup::default() });
        let before = solo.raft.next_deadline();
        solo.advance(250);
        solo.append(2, 2, base.id(0, 0), Vec::new(), base.index(0));
        assert_eq!(solo.raft.next_deadline(), before);
    });
}
