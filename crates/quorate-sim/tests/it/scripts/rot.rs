//! Bits that rot while a node is down: it comes back with everything or refuses, and only damage
//! excuses a refusal.

use quorate_sim::world::script::Scripted;

use super::steps::{ELECTION, agree, led, millis, others};

/// Three nodes that have agreed on something, and a follower that is down.
fn one_down() -> (Scripted, usize) {
    let (mut world, leader) = led(3);
    for number in 0..5 {
        agree(&mut world, &format!("command {number}").repeat(100), 3, ELECTION);
    }
    let victim = others(&world, leader)[0];
    world.take_down(victim);
    (world, victim)
}

/// The node refuses again and again, and the others go on without it.
fn assert_refuses(mut world: Scripted, victim: usize) {
    world.restart(victim);
    world.let_pass(millis(3_000));
    assert!(!world.is_up(victim));
    assert!(world.count_of("recovery failed") > 0);
    agree(&mut world, "without it", 2, 10 * ELECTION);
}

#[test]
fn a_node_whose_log_rotted_refuses_and_loses_nothing() {
    let (mut world, victim) = one_down();
    world.rot_first_entry(victim);
    assert_refuses(world, victim);
}

#[test]
fn one_copy_of_term_and_vote_is_enough() {
    for copy in 0..2 {
        let (mut world, victim) = one_down();
        world.rot_vote(victim, copy);
        world.restart(victim);
        agree(&mut world, "with it", 3, 10 * ELECTION);
        assert_eq!(world.count_of("recovery failed"), 0);
    }
}

#[test]
fn a_node_without_a_sound_copy_of_term_and_vote_refuses() {
    let (mut world, victim) = one_down();
    world.rot_vote(victim, 0);
    world.rot_vote(victim, 1);
    assert_refuses(world, victim);
}
