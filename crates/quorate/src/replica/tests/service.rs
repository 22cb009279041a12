//! What clients get from healthy and less healthy clusters.

use super::*;

fn others(leader: usize) -> [usize; 2] {
    [(leader + 1) % 3, (leader + 2) % 3]
}

#[test]
fn a_call_is_applied_on_every_node_whoever_takes_it() {
    let mut world = World::new(3);
    let leader = world.leader();
    let [follower, other] = others(leader);
    world.call(leader, 1, "one");
    world.flush(leader);
    world.until("the first", |w| w.hosts.iter().all(|host| host.applied.len() == 1));
    world.call(follower, 2, "two");
    world.call(other, 3, "three");
    world.flush(follower);
    world.flush(other);
    world.until("all", |w| w.hosts.iter().all(|host| host.applied.len() == 3));
    assert_eq!(world.hosts[leader].replies[&CallId(1)], b"one");
    let expected = world.hosts[leader].applied.clone();
    assert!(world.hosts.iter().all(|host| host.applied == expected));
}

#[test]
fn a_thousand_calls_of_one_wake_up_are_one_write_and_one_append_per_peer() {
    let mut world = World::new(3);
    let leader = world.leader();
    world.settle();
    world.sent.clear();
    world.hosts[leader].holds_disk = true;
    for call in 0..1000 {
        world.call(leader, call, "x");
    }
    world.flush(leader);
    assert_eq!(world.hosts[leader].writes.len(), 1);
    assert_eq!(world.sent.len(), 2, "one frame for each follower");
    world.hosts[leader].holds_disk = false;
    world.until("all", |w| w.hosts[leader].replies.len() == 1000);
}

#[test]
fn a_read_is_ready_on_leader_and_followers() {
    let mut world = World::new(3);
    let leader = world.leader();
    world.call(leader, 1, "one");
    world.flush(leader);
    world.settle();
    for host in 0..3 {
        world.tell(host, ReplicaInput::Read(ReadId(7)));
    }
    world.until("reads", |w| w.hosts.iter().all(|host| host.reads.contains_key(&ReadId(7))));
    let index = world.hosts[leader].replica.commit();
    assert!(world.hosts.iter().all(|host| host.reads[&ReadId(7)] == index));
}

#[test]
fn a_call_without_a_leader_waits_for_one_and_then_is_refused() {
    let mut world = World::new(3);
    world.call(0, 1, "early");
    world.until("its reply", |w| {
        w.hosts[0].replies.contains_key(&CallId(1)) || !w.hosts[0].ended.is_empty()
    });
    assert!(world.hosts.iter().all(|host| host.applied.len() <= 1));
    let leader = world.leader();
    world.isolate(others(leader)[0], true);
    let alone = others(leader)[0];
    world.until("it to notice", |w| w.hosts[alone].replica.leader().is_none());
    world.call(alone, 2, "late");
    world.flush(alone);
    world.until("its end", |w| w.hosts[alone].ended.contains_key(&CallId(2)));
    let refused = CallOutcome::Refused(RefusalCode::NoLeader);
    assert_eq!(world.hosts[alone].ended[&CallId(2)], refused);
}

#[test]
fn state_and_log_time_come_back_from_the_disk() {
    let mut world = World::new(3);
    let leader = world.leader();
    for call in 0..10 {
        world.call(leader, call, &format!("c{call}"));
        world.flush(leader);
        world.tick();
    }
    world.until("all", |w| w.hosts.iter().all(|host| host.applied.len() == 10));
    let before = world.hosts[leader].applied.clone();
    for host in 0..3 {
        world.restart(host);
    }
    assert!(world.hosts.iter().all(|host| host.applied.is_empty()));
    world.until("replay", |w| w.hosts.iter().all(|host| host.applied.len() == 10));
    let leader = world.leader();
    world.call(leader, 99, "after");
    world.flush(leader);
    world.until("the next", |w| w.hosts.iter().all(|host| host.applied.len() == 11));
    for host in &world.hosts {
        assert_eq!(host.applied[..10], before);
        assert!(host.log_times.is_sorted(), "log time never goes back: {:?}", host.log_times);
        assert!(host.log_times.last() > host.log_times.first());
    }
}

/// R-RP8.
#[test]
fn a_log_longer_than_memory_is_replayed_and_sent_in_pieces() {
    let config = ReplicaConfig { tail_bytes: 500, apply_bytes: 300, ..ReplicaConfig::default() };
    let mut world = World::with(3, config);
    let leader = world.leader();
    let away = others(leader)[0];
    world.isolate(away, true);
    for call in 0..100 {
        world.call(leader, call, &format!("c{call}"));
        world.flush(leader);
        world.settle();
    }
    world.until("replies", |w| w.hosts[leader].replies.len() == 100);
    assert!(world.hosts[leader].replica.status().tail_bytes <= 800);
    world.isolate(away, false);
    world.until("it to catch up", |w| w.hosts[away].applied.len() == 100);
    assert!(world.hosts[leader].replica.counters().read_backs > 0);
    world.restart(away);
    world.until("replay", |w| w.hosts[away].applied.len() == 100);
    assert_eq!(world.hosts[away].applied, world.hosts[leader].applied);
}

/// R-RP8.
#[test]
fn the_state_machine_is_handed_no_more_than_it_can_take() {
    let config = ReplicaConfig { apply_bytes: 300, ..ReplicaConfig::default() };
    let mut world = World::with(1, config);
    let leader = world.leader();
    world.hosts[leader].holds_apply = true;
    for call in 0..100 {
        world.call(leader, call, "command");
        world.flush(leader);
        world.settle();
    }
    let handed = world.hosts[leader].handed.iter();
    let bytes = |job: &ApplyJob| match job {
        ApplyJob::Entries(entries, _) => entries.bytes().len(),
        ApplyJob::Take(..) | ApplyJob::Restore(_) => 0,
    };
    assert!(handed.map(bytes).sum::<usize>() <= 400);
    world.hosts[leader].holds_apply = false;
    world.until("replies", |w| w.hosts[leader].replies.len() == 100);
}

/// R-RP10.
#[test]
fn calls_are_refused_while_the_state_machine_is_far_behind() {
    let config = ReplicaConfig { apply_bytes: 1, max_apply_backlog: 5, ..ReplicaConfig::default() };
    let mut world = World::with(1, config);
    let leader = world.leader();
    world.hosts[leader].holds_apply = true;
    for call in 0..20 {
        world.call(leader, call, "x");
        world.flush(leader);
        world.settle();
    }
    let refused = CallOutcome::Refused(RefusalCode::Overloaded);
    assert_eq!(world.hosts[leader].ended[&CallId(19)], refused);
    world.hosts[leader].holds_apply = false;
    world.settle();
    world.call(leader, 20, "x");
    world.flush(leader);
    world.until("a reply", |w| w.hosts[leader].replies.contains_key(&CallId(20)));
}

#[test]
fn a_command_above_the_limit_is_refused() {
    let config = ReplicaConfig { max_command_bytes: 4, ..ReplicaConfig::default() };
    let mut world = World::with(3, config);
    let leader = world.leader();
    for host in 0..3 {
        world.call(host, 1, "12345");
        world.flush(host);
        let refused = CallOutcome::Refused(RefusalCode::TooLarge);
        assert_eq!(world.hosts[host].ended[&CallId(1)], refused);
    }
    world.call(leader, 2, "1234");
    world.flush(leader);
    world.until("a reply", |w| w.hosts[leader].replies.contains_key(&CallId(2)));
}

/// Entries of a leader and those that a follower forwards to it say the same of their session.
#[test]
fn what_a_call_says_of_its_session_is_in_its_entry_whoever_took_it() {
    let mut world = World::new(3);
    let leader = world.leader();
    let session = SessionId(5);
    let stamp = Stamp::Command { session, sequence: 9, acknowledged: 6 };
    let close = Stamp::Session { session, request: SessionRequest::Close };
    for (host, call) in [(leader, 1), ((leader + 1) % 3, 3)] {
        let (name, command) = (CallId(call), b"of a session".to_vec().into());
        world.give(host, ReplicaInput::Call { call: name, command, stamp });
        let (name, command) = (CallId(call + 1), Vec::new().into());
        world.give(host, ReplicaInput::Call { call: name, command, stamp: close });
        world.flush(host);
        world.settle();
    }
    world.until("their apply", |w| w.hosts.iter().all(|host| host.applied.len() == 2));
    for host in &world.hosts {
        let of_session = host.entries().filter(|(envelope, _)| envelope.session == session.0);
        let seen: Vec<_> = of_session
            .map(|(e, payload)| (e.kind, e.sequence, e.acknowledged_distance, payload))
            .collect();
        let command = (EntryKind::Command, 9, 3, b"of a session".to_vec());
        let close = (EntryKind::Session, 0, 0, SessionRequest::Close.encode());
        assert_eq!(seen, [command.clone(), close.clone(), command, close]);
    }
}
