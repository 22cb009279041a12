//! What waits is bounded, whoever makes it wait: a disk, the peers, the state machine, nobody's lead.
//! `docs/bounds.md` lists all of it.

use super::*;

/// Calls `bytes` bytes on a host until it refuses one as overloaded; how many it took.
fn calls_until_overloaded(world: &mut World, host: usize, bytes: usize) -> u64 {
    let command = "x".repeat(bytes);
    for call in 1..2000 {
        world.call(host, call, &command);
        world.flush(host);
        world.settle();
        if let Some(outcome) = world.hosts[host].ended.get(&CallId(call)) {
            assert_eq!(*outcome, CallOutcome::Refused(RefusalCode::Overloaded));
            return call - 1;
        }
    }
    panic!("nothing bounds what is taken");
}

fn config(
    build: impl FnOnce(quorate_core::config::ConfigBuilder) -> quorate_core::config::ConfigBuilder,
) -> ReplicaConfig {
    let raft = build(Config::builder()).build().unwrap();
    ReplicaConfig { raft, ..ReplicaConfig::default() }
}

#[test]
fn a_leader_whose_disk_hangs_refuses_calls_though_the_others_commit() {
    let config = config(|raft| raft.max_uncommitted_bytes(20_000));
    let mut world = World::with(3, ReplicaConfig { tail_bytes: 1, ..config });
    let leader = world.leader();
    world.settle();
    world.hosts[leader].holds_disk = true;
    let taken = calls_until_overloaded(&mut world, leader, 1000);
    assert!((15..20).contains(&taken), "{taken} calls");
    let commit = world.hosts[leader].replica.commit();
    assert_eq!(commit, world.hosts[leader].replica.last(), "the others committed all of it");
    let held = world.hosts[leader].replica.status().tail_bytes;
    assert!(held <= 25_000, "{held} bytes are held for the disk");
    world.hosts[leader].holds_disk = false;
    world.settle();
    world.call(leader, 5000, "again");
    world.flush(leader);
    world.until("it serves again", |w| w.hosts[leader].replies.contains_key(&CallId(5000)));
}

#[test]
fn a_leader_alone_refuses_calls_when_too_much_waits_for_commitment() {
    let config = config(|raft| raft.max_uncommitted_bytes(20_000).check_quorum(false));
    let mut world = World::with(3, ReplicaConfig { tail_bytes: 4_000, ..config });
    let leader = world.leader();
    world.isolate(leader, true);
    let taken = calls_until_overloaded(&mut world, leader, 1000);
    assert!((15..20).contains(&taken), "{taken} calls");
    // They are durable, so that memory need not keep them.
    let held = world.hosts[leader].replica.status().tail_bytes;
    assert!(held <= 4_000, "{held} bytes are held");
    // However long it is alone, nothing more gathers.
    let end = world.now.after(time_alone());
    while world.now < end {
        world.tick();
        world.sent.clear();
        let status = world.hosts[leader].replica.status();
        assert!(status.held_bytes <= 20_000 && status.tail_bytes <= 4_000, "{status:?}");
    }
    assert!(world.hosts[leader].is_leader(), "it does not check its quorum");
    println!("soak: a leader alone for {:?}", time_alone());
}

/// How long the leader is alone; a soak asks for more.
fn time_alone() -> Duration {
    let hours = std::env::var("QUORATE_ALONE_HOURS").map(|text| text.parse().expect("a number"));
    hours.map_or(Duration::from_secs(60), |hours: u64| Duration::from_secs(hours * 3600))
}

#[test]
fn what_a_peer_lacks_stays_in_memory_and_goes_when_all_have_it() {
    let mut world = World::with(3, ReplicaConfig::default());
    let leader = world.leader();
    let (away, present) = ((leader + 1) % 3, (leader + 2) % 3);
    let tail = |world: &World, host: usize| world.hosts[host].replica.status().tail_bytes;
    world.isolate(away, true);
    let command = "x".repeat(100_000);
    for call in 1..=40 {
        world.call(leader, call, &command);
        world.flush(leader);
        world.settle();
    }
    world.until("replies", |w| w.hosts[leader].replies.len() == 40);
    assert!(tail(&world, leader) > 4_000_000, "one peer lacks all of it");
    assert!(tail(&world, present) <= 1 << 20, "nobody asks a follower for it");
    world.isolate(away, false);
    world.until("it to catch up", |w| w.hosts[away].applied.len() == 40);
    assert_eq!(world.hosts[leader].replica.counters().read_backs, 0);
    world.call(leader, 41, &command);
    world.flush(leader);
    world.settle();
    world.until("another write", |w| tail(w, leader) <= (1 << 20) + 200_000);
}

#[test]
fn calls_that_find_no_leader_wait_in_bounded_room() {
    let config = ReplicaConfig { call_bytes: 10_000, ..ReplicaConfig::default() };
    let mut world = World::with(3, config);
    world.isolate(0, true);
    let taken = calls_until_overloaded(&mut world, 0, 1000);
    assert_eq!(taken, 8, "each is charged with its command and 128 bytes");
    assert!(world.hosts[0].replica.status().call_bytes <= 10_000);
    world.until("they are refused in time", |w| w.hosts[0].ended.len() == 9);
    assert_eq!(world.hosts[0].replica.status().call_bytes, 0, "all of the room is back");
}

#[test]
fn calls_without_an_answer_of_the_leader_wait_in_bounded_room() {
    let config = ReplicaConfig { call_bytes: 10_000, ..ReplicaConfig::default() };
    let mut world = World::with(3, config);
    let leader = world.leader();
    let follower = (leader + 1) % 3;
    world.settle();
    let (from, to) = (world.hosts[leader].id, world.hosts[follower].id);
    world.cut.insert((from, to));
    let taken = calls_until_overloaded(&mut world, follower, 1000);
    assert_eq!(taken, 8);
}

#[test]
fn a_disk_that_answers_no_reads_gathers_no_more_than_a_bounded_number_of_them() {
    let config = ReplicaConfig { tail_bytes: 1, ..ReplicaConfig::default() };
    let mut world = World::with(3, config);
    let leader = world.leader();
    let away = (leader + 1) % 3;
    world.isolate(away, true);
    for call in 1..=20 {
        world.call(leader, call, "x");
        world.flush(leader);
        world.settle();
    }
    world.hosts[leader].holds_reads = true;
    world.isolate(away, false);
    for _ in 0..3000 {
        world.tick();
        if world.hosts[leader].read_backs.len() >= 256 {
            break;
        }
    }
    for _ in 0..200 {
        world.tick();
    }
    let reads = world.hosts[leader].read_backs.len();
    assert!((2..=256).contains(&reads), "{reads} reads wait for the disk");
}
