//! Each bound is kept by a sound cluster, and noticed where something stands in its way.

use super::*;
use crate::store::{Store, StoreWorkload};
use crate::world::{Plan, Setup, usual_raft};

type Stores = World<Store, StoreWorkload>;

/// Three nodes that have served for a while, mended.
fn mended() -> Stores {
    let setup = Setup {
        clients: 10,
        request_every: Duration::from_millis(50),
        plan: Plan::calm(),
        raft: usual_raft(),
        ..Setup::scripted(3)
    };
    let mut world = World::new(&setup, StoreWorkload::new(false));
    world.run_for(Duration::from_secs(5)).unwrap();
    world.heal();
    world
}

fn recovery(world: &mut Stores) -> Recovery<'_, Store, StoreWorkload> {
    let (mended, transfer) = (world.now(), world.transfer_time());
    Recovery { mended, world, timeout: usual_raft().election_timeout().1, transfer }
}

fn assert_noticed(outcome: Result<(), Broken>, words: &str) {
    let broken = outcome.unwrap_err();
    assert_eq!(broken.invariant, "liveness");
    assert!(broken.what.contains(words), "{broken}");
}

#[test]
fn a_sound_cluster_keeps_every_bound() {
    check(&mut mended(), usual_raft().election_timeout().1).unwrap();
}

#[test]
fn a_cluster_without_a_leader_is_noticed() {
    let mut world = mended();
    for node in 0..3 {
        world.isolate(node);
    }
    world.run_for(Duration::from_secs(5)).unwrap();
    assert_noticed(recovery(&mut world).elects(), "nobody leads");
    assert_eq!(world.count_of(LATE), 1);
}

#[test]
fn a_cluster_that_writes_nothing_is_noticed() {
    let mut world = mended();
    for node in 0..3 {
        world.stick_disk(node, Duration::from_secs(60));
    }
    let before = world.requests() + 10;
    assert_eq!(recovery(&mut world).elects(), Ok(()));
    assert_noticed(recovery(&mut world).writes(before), "no command was executed");
}

#[test]
fn a_node_that_answers_nobody_is_noticed() {
    let mut world = mended();
    let leader = world.leader().unwrap();
    world.isolate((leader + 1) % 3);
    assert_noticed(recovery(&mut world).serves(), "a healthy quorum serves, but request");
}

#[test]
fn a_cluster_that_serves_slowly_is_noticed() {
    let mut world = mended();
    for node in 0..3 {
        world.slow_node(node, 1_000);
    }
    assert_noticed(recovery(&mut world).serves(), "were offered");
}

#[test]
fn a_node_that_is_left_behind_is_noticed() {
    let mut world = mended();
    let leader = world.leader().unwrap();
    let behind = (leader + 1) % 3;
    // Its own clients are answered by others: only what it executes tells.
    world.stop_clients();
    world.stick_disk(behind, Duration::from_secs(60));
    world.propose(leader, &crate::store::Change::Delete("x".to_owned())).unwrap();
    world.run_for(Duration::from_secs(1)).unwrap();
    assert_noticed(recovery(&mut world).serves(), "not everybody has executed");
}

#[test]
fn a_node_that_does_not_come_back_is_noticed() {
    let mut world = mended();
    world.stop_clients();
    let leader = world.leader().unwrap();
    world.propose(leader, &crate::store::Change::Delete("x".to_owned())).unwrap();
    let behind = (leader + 1) % 3;
    world.take_down(behind);
    assert_noticed(recovery(&mut world).catches_up(), "do not catch up");
}

#[test]
fn a_leader_that_is_deposed_is_noticed() {
    let mut world = mended();
    world.stop_clients();
    let leader = world.leader().unwrap();
    world.pause(leader, Duration::from_secs(5));
    assert_noticed(recovery(&mut world).keeps_its_leader(), "was deposed");
}

#[test]
fn a_deaf_leader_that_nobody_replaces_is_noticed() {
    let mut world = mended();
    world.stop_clients();
    let leader = world.leader().unwrap();
    let (one, other) = ((leader + 1) % 3, (leader + 2) % 3);
    world.cut_way(one, other, true);
    world.cut_way(other, one, true);
    assert_noticed(recovery(&mut world).replaces_a_deaf_leader(), "is not replaced");
}
