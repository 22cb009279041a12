//! Snapshots: when they are taken, what the log gives up, who is sent one and what becomes of it.

use std::time::Duration;

use super::*;

fn config(entries: u64) -> ReplicaConfig {
    let raft = Config::builder()
        .keep_bytes(0)
        .retain_bytes(0)
        .snapshot_chunk_bytes(64)
        .snapshot_window_bytes(200)
        .build()
        .unwrap();
    ReplicaConfig { raft, snapshot_entries: entries, ..ReplicaConfig::default() }
}

/// Calls one after another, each applied before the next.
fn calls(world: &mut World, host: usize, numbers: std::ops::Range<u64>) {
    for number in numbers {
        world.call(host, number, &format!("command {number}"));
        world.flush(host);
        world.settle();
    }
}

fn newest(world: &World, host: usize) -> SnapshotId {
    world.hosts[host].replica.snapshot().expect("one was taken")
}

#[test]
fn every_node_takes_it_at_the_same_entry_and_its_log_begins_there() {
    let mut world = World::with(3, config(10));
    let leader = world.leader();
    // Whole batches are handed out at once, and the boundary lies within one of them.
    for call in 0..15 {
        world.call(leader, call, "x");
    }
    world.flush(leader);
    world.until("snapshots", |w| {
        let ids = |host: &Host| host.replica.snapshot().map(|id| id.last.index);
        w.hosts.iter().all(|host| ids(host) == Some(Index(10)))
    });
    let first = newest(&world, 0);
    assert!(world.hosts.iter().all(|host| host.replica.snapshot() == Some(first)));
    world.until("short logs", |w| w.hosts.iter().all(|host| host.base == first.last));
    for host in &world.hosts {
        assert_eq!(host.store.ids(), [first], "older ones are gone");
        assert_eq!(host.replica.commands_through(Index(12)), 11, "the opening entry counts not");
        assert_eq!(host.replica.counters().snapshots_begun, 1);
    }
}

/// R-ST2.
#[test]
fn a_snapshot_says_where_it_ends() {
    let mut world = World::with(3, config(10));
    let leader = world.leader();
    calls(&mut world, leader, 0..12);
    let id = newest(&world, leader);
    let stored = world.hosts[leader].store.newest().unwrap();
    let meta = SnapshotMeta::decode(&stored.meta).unwrap();
    assert_eq!((id.last.index, meta.application_index), (Index(10), 9));
    let state = world.hosts[leader].store.state(id);
    assert_eq!(
        state.last().map(|(at, _)| *at),
        Some(id.last),
        "the last command is the last entry"
    );
    assert_eq!(meta.log_time_ms, world.hosts[leader].log_times[9]);
    assert_eq!(meta.roster, world.hosts[leader].replica.roster());
}

#[test]
fn bytes_make_one_due_as_entries_do() {
    let limits = ReplicaConfig { snapshot_bytes: 1000, ..config(u64::MAX) };
    let mut world = World::with(1, limits);
    let leader = world.leader();
    calls(&mut world, leader, 0..9);
    // The opening entry has 48 bytes, each command 57.
    assert_eq!(world.hosts[leader].replica.snapshot(), None);
    calls(&mut world, leader, 10..30);
    assert_eq!(newest(&world, leader).last.index, Index(18));
}

#[test]
fn entries_outweigh_the_newest_snapshot_before_the_next() {
    let limits = ReplicaConfig { snapshot_bytes: 100, ..config(u64::MAX) };
    let mut world = World::with(1, limits);
    let leader = world.leader();
    let mut taken: Vec<SnapshotId> = Vec::new();
    // Commands of two digits have 58 bytes each.
    for number in 10..100 {
        calls(&mut world, leader, number..number + 1);
        let newest = world.hosts[leader].replica.snapshot();
        taken.extend(newest.filter(|newest| taken.last() != Some(newest)));
    }
    assert!(taken.iter().filter(|id| id.bytes > 100).count() >= 2, "{taken:?}");
    for pair in taken.windows(2) {
        let between = pair[1].last.index.distance(pair[0].last.index);
        assert_eq!(between, pair[0].bytes.max(100).div_ceil(58), "{taken:?}");
    }
}

/// R-SN3.
#[test]
fn what_comes_due_while_one_is_taken_is_made_up_for() {
    let mut world = World::with(1, config(10));
    let leader = world.leader();
    calls(&mut world, leader, 0..8);
    world.hosts[leader].holds_apply = true;
    calls(&mut world, leader, 8..26);
    assert_eq!(world.hosts[leader].replica.counters().snapshots_begun, 1, "one at a time");
    world.hosts[leader].holds_apply = false;
    world.settle();
    assert_eq!(world.hosts[leader].replica.counters().snapshots_begun, 2);
    assert_eq!(newest(&world, leader).last.index, Index(27));
}

#[test]
fn one_that_cannot_be_taken_is_no_end_and_comes_again() {
    let mut world = World::with(1, config(10));
    let leader = world.leader();
    world.hosts[leader].store.is_full = true;
    calls(&mut world, leader, 0..15);
    assert_eq!(world.hosts[leader].replica.counters().snapshots_failed, 1);
    assert_eq!(world.hosts[leader].base, EntryId::ZERO, "nothing is given up for it");
    world.hosts[leader].store.is_full = false;
    world.tell(leader, ReplicaInput::TakeSnapshot);
    world.settle();
    assert_eq!(newest(&world, leader).last.index, Index(16), "on demand");
    let taken = world.hosts[leader].replica.counters().snapshots_begun;
    world.tell(leader, ReplicaInput::TakeSnapshot);
    world.settle();
    assert_eq!(
        world.hosts[leader].replica.counters().snapshots_begun,
        taken,
        "there is nothing new"
    );
}

#[test]
fn a_node_that_was_away_gets_state_and_log_from_a_snapshot() {
    let mut world = World::with(3, config(10));
    let leader = world.leader();
    let away = (leader + 1) % 3;
    calls(&mut world, leader, 0..3);
    world.isolate(away, true);
    calls(&mut world, leader, 3..25);
    world.until("a log that begins later", |w| w.hosts[leader].base.index >= Index(20));
    world.isolate(away, false);
    calls(&mut world, leader, 25..27);
    let all = world.hosts[leader].applied.clone();
    world.until("the same state", |w| w.hosts[away].applied == all);
    let host = &world.hosts[away];
    assert_eq!(host.replica.counters().snapshots_installed, 1);
    assert_eq!(host.base, newest(&world, leader).last);
    let commit = host.replica.commit();
    assert_eq!(
        host.replica.commands_through(commit),
        world.hosts[leader].replica.commands_through(commit),
        "the application's count goes on"
    );
    // What it holds is durable.
    world.restart(away);
    calls(&mut world, leader, 27..28);
    world.until("again", |w| w.hosts[away].applied == w.hosts[leader].applied);
}

/// R-ST7, R-SN4.
#[test]
fn an_interrupted_installation_is_completed_by_the_next_start() {
    let mut world = World::with(3, config(10));
    let leader = world.leader();
    let away = (leader + 1) % 3;
    world.isolate(away, true);
    calls(&mut world, leader, 0..25);
    world.until("a log that begins later", |w| w.hosts[leader].base.index >= Index(20));
    world.isolate(away, false);
    world.hosts[away].holds_disk = true;
    world.until("a durable file", |w| w.hosts[away].store.newest().is_some());
    assert!(world.hosts[away].base < newest(&world, leader).last);
    world.restart(away);
    assert_eq!(world.hosts[away].base, newest(&world, leader).last);
    world.until("the same state", |w| w.hosts[away].applied == w.hosts[leader].applied);
    assert_eq!(world.hosts[away].replica.counters().snapshots_installed, 0);
}

/// Seed 944 of the store's worlds found it.
#[test]
fn entries_that_an_installation_takes_the_place_of_may_be_gone() {
    let mut world = World::with(3, config(10));
    let leader = world.leader();
    let away = (leader + 1) % 3;
    calls(&mut world, leader, 0..5);
    world.isolate(away, true);
    world.restart(away);
    world.hosts[away].holds_reads = true;
    calls(&mut world, leader, 5..25);
    world.until("a log that begins later", |w| w.hosts[leader].base.index >= Index(20));
    world.isolate(away, false);
    world.hosts[away].holds_disk = true;
    world.until("a durable file", |w| w.hosts[away].store.newest().is_some());

    // The log begins anew, and the report of it is still on its way.
    let mut report = None;
    while world.hosts[away].base == EntryId::ZERO {
        report.into_iter().for_each(|done| world.tell(away, done));
        report = world.hosts[away].write();
        assert!(report.is_some(), "the log is to begin after the snapshot");
    }
    let read = world.hosts[away].read_backs.pop_front();
    let (ticket, first, ..) = read.expect("entries to execute are being read");
    assert!(first <= world.hosts[away].base.index);
    world.tell(away, ReplicaInput::LogRead { ticket, outcome: Err(ReadFault::Gone) });
    assert!(world.hosts[away].halt.is_none(), "{:?}", world.hosts[away].halt);

    report.into_iter().for_each(|done| world.tell(away, done));
    (world.hosts[away].holds_disk, world.hosts[away].holds_reads) = (false, false);
    world.until("the same state", |w| w.hosts[away].applied == w.hosts[leader].applied);
}

#[test]
fn a_call_whose_entry_a_snapshot_covers_is_unknown() {
    let mut world = World::with(3, config(10));
    let old = world.leader();
    calls(&mut world, old, 0..2);
    world.isolate(old, true);
    world.call(old, 100, "lost");
    world.flush(old);
    world.settle();
    world.until("another leader", |w| {
        w.hosts.iter().enumerate().any(|(at, h)| at != old && h.is_leader())
    });
    let leader = world.leader();
    calls(&mut world, leader, 200..230);
    world.until("a log that begins later", |w| w.hosts[leader].base.index >= Index(20));
    world.isolate(old, false);
    world.until("the same state", |w| w.hosts[old].applied == w.hosts[leader].applied);
    assert_eq!(world.hosts[old].replica.counters().snapshots_installed, 1);
    let outcome = world.hosts[old].ended.get(&CallId(100));
    assert_eq!(outcome, Some(&CallOutcome::Unknown(UnknownCode::LeaderChanged)));
}

#[test]
fn a_piece_without_its_bytes_is_none() {
    let mut world = World::with(3, config(10));
    let leader = world.leader();
    let away = (leader + 1) % 3;
    world.isolate(away, true);
    calls(&mut world, leader, 0..25);
    world.until("a log that begins later", |w| w.hosts[leader].base.index >= Index(20));
    world.isolate(away, false);
    world.sent.clear();
    world.until("the same state", |w| w.hosts[away].applied == w.hosts[leader].applied);
    let pieces: Vec<_> = world
        .sent
        .iter()
        .filter_map(|(from, to, frame)| match frame {
            Frame::Chunk(chunk) => Some((*from, *to, (**chunk).clone())),
            _ => None,
        })
        .collect();
    assert!(pieces.len() > 3, "it came in pieces");
    for (from, to, Chunk { envelope, data }) in pieces {
        assert!(data.len() <= 64, "no larger than they may be");
        let at = world.hosts.iter().position(|host| host.id == to).unwrap();
        let dropped = world.hosts[at].replica.counters().frames_dropped;
        let bare = Frame::raft(envelope.clone(), Few::new());
        world.tell(at, ReplicaInput::Frame { from, frame: bare });
        let short = Frame::chunk(envelope, Arc::new(data[1..].to_vec()));
        world.tell(at, ReplicaInput::Frame { from, frame: short });
        assert_eq!(world.hosts[at].replica.counters().frames_dropped, dropped + 2);
    }
}

#[test]
fn what_cannot_be_read_is_asked_for_again_at_the_pace_of_heartbeats() {
    let mut world = World::with(3, config(10));
    let leader = world.leader();
    let away = (leader + 1) % 3;
    world.isolate(away, true);
    calls(&mut world, leader, 0..25);
    world.until("a log that begins later", |w| w.hosts[leader].base.index >= Index(20));
    world.isolate(away, false);
    world.hosts[leader].store.is_held = true;
    world.until("pieces to read", |w| !w.hosts[leader].store.jobs.is_empty());
    let mut failed = 0;
    let began = world.now;
    while world.now < began.after(Duration::from_secs(1)) {
        while let Some(job) = world.hosts[leader].store.jobs.pop_front() {
            let ReplicaEffect::ReadSnapshot { ticket, .. } = job else { continue };
            failed += 1;
            let outcome = Err("a bad sector".to_owned());
            world.tell(leader, ReplicaInput::SnapshotRead { ticket, outcome });
        }
        world.tick();
    }
    assert!((5..60).contains(&failed), "{failed} pieces in a second");
    world.hosts[leader].store.is_held = false;
    world.until("the same state", |w| w.hosts[away].applied == w.hosts[leader].applied);
}

/// A leader whose newest snapshot cannot be read has nothing else to send to who needs one.
#[test]
fn a_snapshot_whose_file_is_spoilt_is_taken_once_more() {
    for goes_on in [false, true] {
        let mut world = World::with(3, config(u64::MAX));
        let leader = world.leader();
        let away = (leader + 1) % 3;
        world.isolate(away, true);
        calls(&mut world, leader, 0..25);
        world.tell(leader, ReplicaInput::TakeSnapshot);
        world.until("a log that begins later", |w| w.hosts[leader].base.index >= Index(20));
        let spoilt = world.hosts[leader].replica.snapshot().unwrap();
        world.hosts[leader].store.spoilt = Some(spoilt);
        if goes_on {
            calls(&mut world, leader, 25..30);
        }
        let begun = world.hosts[leader].replica.counters().snapshots_begun;
        world.isolate(away, false);
        world.until("the same state", |w| w.hosts[away].applied == w.hosts[leader].applied);
        assert_eq!(world.hosts[leader].replica.counters().snapshots_begun, begun + 1, "once");
        let newest = world.hosts[leader].replica.snapshot().unwrap();
        assert_eq!(newest != spoilt, goes_on, "equal states are equal bytes");
    }
}

#[test]
fn a_disk_that_is_stuck_is_asked_for_each_piece_once() {
    let mut world = World::with(3, config(10));
    let leader = world.leader();
    let away = (leader + 1) % 3;
    world.isolate(away, true);
    calls(&mut world, leader, 0..25);
    world.until("a log that begins later", |w| w.hosts[leader].base.index >= Index(20));
    world.isolate(away, false);
    world.hosts[leader].store.is_held = true;
    world.until("pieces to read", |w| !w.hosts[leader].store.jobs.is_empty());
    let end = world.now.after(Duration::from_secs(10));
    while world.now < end {
        world.tick();
    }
    assert!(world.hosts[leader].store.jobs.len() <= 5, "a window of pieces");
    assert!(world.hosts[leader].replica.status().piece_bytes <= 200 + 64);
    world.hosts[leader].store.is_held = false;
    world.until("the same state", |w| w.hosts[away].applied == w.hosts[leader].applied);
}
