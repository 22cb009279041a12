//! Networks in which no node need see all others. Where one sees a quorum, the cluster makes
//! progress within ten election timeouts, whoever led before; and the terms stand still.

use quorate_sim::world::script::Scripted;

use super::steps::{ELECTION, agree, led_from, others, recovers};

/// Makes a shape of the network, with the nodes in this order.
type Reshape = fn(&mut Scripted, &[usize]);

/// Tries a shape with the old leader in every place of it.
fn in_every_place(name: &str, nodes: usize, reshape: Reshape) {
    for place in 0..nodes {
        for seed in 1..=4 {
            let (mut world, leader) = led_from(nodes, seed);
            let order = with_leader_at(&world, leader, place);
            let before = world.highest_term().get();
            reshape(&mut world, &order);
            makes_progress(&format!("{name} of {nodes}, leader at {place}"), world, before);
        }
    }
}

/// The same where the leader dies in that moment, in the places where a quorum is left to others.
fn without_the_leader(name: &str, nodes: usize, places: &[usize], reshape: Reshape) {
    for place in places {
        for seed in 1..=4 {
            let (mut world, leader) = led_from(nodes, seed);
            let order = with_leader_at(&world, leader, *place);
            let before = world.highest_term().get();
            reshape(&mut world, &order);
            world.take_down(leader);
            makes_progress(&format!("{name} of {nodes}, dead leader at {place}"), world, before);
        }
    }
}

fn with_leader_at(world: &Scripted, leader: usize, place: usize) -> Vec<usize> {
    let mut order = others(world, leader);
    order.insert(place, leader);
    order
}

fn makes_progress(name: &str, mut world: Scripted, before: u64) {
    let (quorum, now) = (world.len() / 2 + 1, world.now());
    agree(&mut world, "progress", quorum, 10 * ELECTION);
    println!("{name}: progress after {:?}", world.now() - now);
    let settled = world.highest_term().get();
    assert!(settled <= before + 3, "{name}: terms {before} to {settled}");
    world.let_pass(60 * ELECTION);
    let later = world.highest_term().get();
    assert!(later <= settled + 1, "{name}: terms {settled} to {later}");
    agree(&mut world, "still", quorum, 10 * ELECTION);
    recovers(&mut world);
}

fn bridge(world: &mut Scripted, order: &[usize]) {
    world.partition(&order[..2], &order[3..]);
}

/// Every link is cut but those of the node in the middle.
fn star(world: &mut Scripted, order: &[usize]) {
    let leaves = [order[0], order[1], order[3], order[4]];
    for (left, right) in leaves.iter().flat_map(|l| leaves.iter().map(move |r| (*l, *r))) {
        if left != right {
            world.flap(left, right, true);
        }
    }
}

#[test]
fn a_bridge_between_two_sides_makes_progress() {
    in_every_place("a bridge", 5, bridge);
    without_the_leader("a bridge", 5, &[0, 1, 3, 4], bridge);
}

#[test]
fn a_node_that_alone_sees_the_others_makes_progress() {
    in_every_place("a star", 5, star);
    without_the_leader("a star", 5, &[0, 1, 3, 4], star);
}

#[test]
fn a_chain_makes_progress() {
    in_every_place("a chain", 3, Scripted::make_chain);
    in_every_place("a chain", 5, Scripted::make_chain);
    without_the_leader("a chain", 3, &[0, 2], Scripted::make_chain);
    without_the_leader("a chain", 5, &[0, 1, 3, 4], Scripted::make_chain);
}

#[test]
fn a_ring_makes_progress() {
    in_every_place("a ring", 4, Scripted::make_ring);
    in_every_place("a ring", 5, Scripted::make_ring);
    without_the_leader("a ring", 4, &[0, 1, 2, 3], Scripted::make_ring);
    without_the_leader("a ring", 5, &[0, 1, 2, 3, 4], Scripted::make_ring);
}

/// A limit of Raft itself: who alone sees a quorum, but missed an entry that a quorum holds, cannot
/// be elected, and nobody else can. The cluster waits for a link; no term is used up meanwhile.
#[test]
fn a_node_that_alone_sees_the_others_and_missed_an_entry_cannot_lead() {
    let (mut world, leader) = led_from(5, 1);
    let order = with_leader_at(&world, leader, 0);
    world.isolate(order[2]);
    agree(&mut world, "missed", 4, 2 * ELECTION);
    star(&mut world, &order);
    world.take_down(leader);
    world.reconnect(order[2]);
    let term = world.highest_term();
    world.let_pass(60 * ELECTION);
    assert_eq!((world.leader(), world.highest_term()), (None, term));
    world.mend_links();
    agree(&mut world, "with links", 4, 10 * ELECTION);
    recovers(&mut world);
}
