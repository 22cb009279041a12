//! A follower that is away for long while clients go on, and a leader that is alone and does not know
//! it: nothing grows beyond its bounds. The caps of memory are looked at after every step; here are
//! those of disks and logs. `QUORATE_AWAY_HOURS` says for how long, in virtual time.

use core::time::Duration;

use quorate_sim::store::{Store, StoreWorkload};
use quorate_sim::world::{Plan, Setup, World, usual_raft};

use super::steps::{ELECTION, agree, led_with, others, small_pieces};

const SECOND: Duration = Duration::from_secs(1);
/// Entries in a log: what comes between two snapshots, and what the settings keep behind the older.
const ENTRIES: u64 = 1_500;
/// Bytes of all files of a node: a batch of each entry and its fence, whole sectors both, and little
/// beside them.
const DISK_BYTES: u64 = ENTRIES * 2 * 4096 + (1 << 20);
/// Bytes of a leader's entries that are not committed.
const UNCOMMITTED_BYTES: u64 = 2 << 20;

#[expect(
    clippy::disallowed_methods,
    reason = "a soak says for how long; a run is told as a setting"
)]
fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |text| text.parse().expect("a number"))
}

/// World time to be away for: five minutes, or so many hours.
fn minutes() -> u64 {
    number("QUORATE_AWAY_HOURS", 0).checked_mul(60).filter(|all| *all > 0).unwrap_or(5)
}

#[test]
fn a_follower_that_is_away_for_long_costs_no_more_than_its_bounds() {
    let raft = usual_raft().change().keep_bytes(16 << 10).retain_bytes(64 << 10);
    let raft = raft.snapshot_chunk_bytes(4096).snapshot_window_bytes(64 << 10);
    let setup = Setup {
        seed: number("QUORATE_AWAY_SEED", 1),
        nodes: 3,
        clients: 4,
        // A day has fewer of them, for the checks remember every one.
        request_every: if minutes() > 5 { SECOND / 2 } else { SECOND / 30 },
        plan: Plan::calm(),
        raft: raft.build().expect("the settings are sound"),
    };
    let mut world: World<Store, StoreWorkload> = World::new(&setup, StoreWorkload::new(false));
    world.snapshot_every(200);
    world.wait_until("somebody leads", 10 * SECOND, |world| world.leader().is_some());
    let away = others_than(world.leader().expect("it was just seen"))[0];
    world.isolate(away);
    let (mut most_bytes, mut most_entries) = (0, 0);
    for _ in 0..minutes() {
        world.let_pass(60 * SECOND);
        for node in others_than(away) {
            let status = world.status(node).expect("it runs");
            most_entries = most_entries.max(status.last.index.0 - status.base.index.0);
            most_bytes = most_bytes.max(world.disk_bytes(node));
        }
    }
    assert!(most_bytes <= DISK_BYTES, "{most_bytes} bytes on a disk");
    assert!(most_entries <= ENTRIES, "{most_entries} entries in a log");
    world.stop_clients();
    world.reconnect(away);
    let took = world.wait_until("it has caught up", 30 * SECOND, World::has_converged);
    assert_eq!(world.count_of("snapshot received"), 1);
    let (acknowledged, minutes) = (world.count_of("acknowledged"), minutes());
    println!(
        "soak: a follower was away for {minutes} minutes and {acknowledged} requests; at most \
         {most_entries} entries in a log and {most_bytes} bytes on a disk; back after {took:?}"
    );
}

fn others_than(node: usize) -> Vec<usize> {
    (0..3).filter(|other| *other != node).collect()
}

/// Nothing tells it to step down: it takes what it can hold and refuses the rest.
#[test]
fn a_leader_that_is_alone_takes_no_more_than_its_bounds() {
    let raft = small_pieces().change().check_quorum(false);
    let raft = raft.max_uncommitted_bytes(UNCOMMITTED_BYTES).build();
    let (mut world, alone) = led_with(3, 1, raft.expect("the settings are sound"));
    world.isolate(alone);
    let command = "x".repeat(10_000);
    let (mut taken, mut refused) = (0_u64, 0_u64);
    for _ in 0..minutes() * 60 {
        let is_taken = world.propose(alone, &command).is_some();
        taken += u64::from(is_taken);
        refused += u64::from(!is_taken);
        world.let_pass(SECOND);
    }
    let status = world.status(alone).expect("it runs");
    assert_eq!(status.role.as_str(), "leader", "nothing told it");
    let uncommitted = status.last.index.0 - status.commit.0;
    assert_eq!(uncommitted, taken);
    assert!(taken * 10_000 <= UNCOMMITTED_BYTES + 10_000, "{taken} commands of 10 KB");
    assert!(refused > taken / 4, "{refused} of them were refused");
    let new =
        others(&world, alone).into_iter().find(|node| world.leaders().iter().any(|l| l.0 == *node));
    assert!(new.is_some(), "the others have a leader of their own");
    world.reconnect(alone);
    agree(&mut world, "together", 3, 20 * ELECTION);
    println!(
        "soak: a leader was alone for {} minutes: it took {taken} commands and refused {refused}",
        minutes()
    );
}
