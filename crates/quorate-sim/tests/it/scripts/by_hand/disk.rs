//! Faults of disks.

use quorate_sim::world::script::Scripted;

use super::super::steps::{
    ELECTION, agree, end, led, led_from, led_with, millis, others, recovers, small_pieces,
};
use super::Struck;

fn struck(world: Scripted) -> Struck {
    Struck::Scripted(Box::new(world))
}

/// A follower loses its power while entries are on their way to its disk.
pub(super) fn what_was_torn_was_never_acknowledged() -> Struck {
    let mut torn = 0;
    let mut times = 0;
    for seed in 0..20 {
        // Sectors of disks differ from world to world.
        let (mut world, leader) = led_from(3, seed + 1);
        let victim = others(&world, leader)[0];
        world.slow_disk(victim, 20 + u32::try_from(seed).expect("few seeds"));
        for number in 0..5 {
            world.propose(leader, &format!("{number}").repeat(1_000)).expect("it leads");
            world.let_pass(millis(2));
        }
        // What it acknowledged must come back: an invariant, which the world checks.
        world.cut_power_tearing(victim, seed);
        world.restart(victim);
        agree(&mut world, "after", 3, 10 * ELECTION);
        torn += world.count_of("torn tail cut");
        times += world.count_of("unsynced");
    }
    assert!(torn > 0, "some tail was torn");
    Struck::Times(times)
}

/// The leader's disk fails at the next operation: it never tries again in this life.
fn a_leader_fails(fail: fn(&mut Scripted, usize)) -> Scripted {
    let (mut world, leader) = led(3);
    fail(&mut world, leader);
    let call = world.call(leader, &"in doubt".to_owned());
    world.wait_until("it stops", millis(100), |w| !w.is_up(leader));
    assert_eq!(world.count_of("log failed"), 1);
    assert_eq!(end(&world, call), "unknown");
    agree(&mut world, "without it", 2, 10 * ELECTION);
    agree(&mut world, "with it", 3, millis(20_000));
    let commands = world.machine(leader).expect("it runs").commands();
    assert!(commands.filter(|command| *command == "in doubt").count() <= 1);
    world
}

pub(super) fn a_failed_write_stops_the_node() -> Struck {
    struck(a_leader_fails(Scripted::fail_next_write))
}

pub(super) fn a_short_write_stops_the_node() -> Struck {
    struck(a_leader_fails(Scripted::shorten_next_write))
}

/// What the sync was to write is gone; or it can still be read and would be gone with the power, had
/// the node not written it again before it served it.
pub(super) fn a_failed_sync_stops_the_node() -> Struck {
    recovers(&mut a_leader_fails(Scripted::fail_next_sync));
    let mut world = a_leader_fails(Scripted::forget_next_sync);
    world.cut_all_power();
    (0..3).for_each(|node| world.restart(node));
    agree(&mut world, "with power", 3, 20 * ELECTION);
    struck(world)
}

/// The leader's log grows until it needs a segment for which there is no room. The process ends
/// rather than guess; the others go on; with room it comes back and has lost nothing.
pub(super) fn a_full_disk_stops_its_node_and_loses_nothing() -> Struck {
    let (mut world, leader) = led(3);
    world.fill_disk(leader);
    let large = "x".repeat(10_000);
    let mut taken = Vec::new();
    for _ in 0..50 {
        if let Some(proposed) = world.propose(leader, &large) {
            taken.push(proposed);
        }
        world.let_pass(millis(5));
    }
    assert!(world.count_of("log failed") > 0, "no room for a segment: {}", world.describe());
    let acknowledged = taken.iter().filter(|p| end(&world, p.asked).starts_with("replied"));
    let acknowledged: Vec<u64> = acknowledged.map(|proposed| proposed.index).collect();
    assert!(!acknowledged.is_empty());
    agree(&mut world, "without it", 2, 10 * ELECTION);
    world.make_room(leader);
    agree(&mut world, "with it", 3, millis(30_000));
    for index in acknowledged {
        assert_eq!(world.executed(leader, index), Some(large.as_str()), "at {index}");
    }
    struck(world)
}

/// Its log begins after the snapshot, so that it has nothing else to begin with; it never takes the
/// state of what was damaged.
pub(super) fn a_node_whose_snapshot_rots_refuses_until_it_is_put_back() -> Struck {
    let mut times = 0;
    for seed in 0..8 {
        let (mut world, victim) = with_snapshot();
        world.take_down(victim);
        world.rot_snapshot(victim, seed);
        world.restart(victim);
        agree(&mut world, "without it", 2, 10 * ELECTION);
        world.let_pass(millis(3_000));
        assert!(!world.is_up(victim) && world.count_of("recovery failed") > 0);
        world.put_back();
        agree(&mut world, "with it", 3, millis(20_000));
        times += world.count_of("snapshot-rot");
    }
    Struck::Times(times)
}

/// Three nodes, one of whose followers has a log that begins after a snapshot.
fn with_snapshot() -> (Scripted, usize) {
    let (mut world, leader) = led_with(3, 1, small_pieces());
    for number in 0..5 {
        agree(&mut world, &format!("{number}"), 3, ELECTION);
    }
    let follower = others(&world, leader)[0];
    world.order_snapshot(follower);
    world.wait_until("its log begins later", ELECTION, |w| w.count_of("log begins later") > 0);
    (world, follower)
}

/// It sends while it writes: a quorum without it is enough.
pub(super) fn a_slow_disk_of_the_leader_holds_up_no_commit() -> Struck {
    let (mut world, leader) = led(3);
    world.slow_disk(leader, 2_000);
    let proposed = world.propose(leader, &"by the others".to_owned()).expect("it leads");
    let followers = others(&world, leader);
    world.wait_until("the followers execute it", millis(50), |w| {
        followers.iter().all(|node| w.executed(*node, proposed.index).is_some())
    });
    assert_eq!(world.executed(leader, proposed.index), None, "not durable there");
    world.wait_until("so does the leader", millis(2_000), |w| w.how_many_executed(2) == 3);
    struck(world)
}

/// A leader whose disk is stuck steps down, and the others serve without it. What it had proposed
/// is committed; its client hears of it when the disk answers again.
pub(super) fn a_stuck_disk_of_the_leader_ends_its_lead() -> Struck {
    let (mut world, leader) = led(3);
    let follower = others(&world, leader)[0];
    world.stick_disk(leader, millis(30_000));
    let here = world.call(leader, &"here".to_owned());
    world.wait_until("its followers execute it", ELECTION, |w| w.how_many_executed(2) == 2);
    world.wait_until("another leads", 5 * ELECTION, |w| {
        w.leader().is_some_and(|other| other != leader)
    });
    let there = world.call(follower, &"there".to_owned());
    world.wait_until("writes go on", ELECTION, |w| w.end_of(there).is_some());
    let again = world.call(leader, &"again".to_owned());
    world.wait_until("on the stuck node, too", ELECTION, |w| w.end_of(again).is_some());
    let read = world.read(follower, ());
    world.wait_until("a follower reads", ELECTION, |w| w.end_of(read).is_some());
    assert_eq!(end(&world, read), "again");
    assert_eq!(end(&world, here), "waits");
    world.wait_until("its client is answered", millis(30_000), |w| w.end_of(here).is_some());
    assert_eq!(
        [here, there, again].map(|call| end(&world, call)),
        ["replied 2", "replied 3", "replied 4"]
    );
    struck(world)
}
