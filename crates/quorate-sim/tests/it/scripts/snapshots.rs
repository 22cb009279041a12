//! Snapshots by hand: a follower that was away for too long gets one, whatever happens on the way.

use quorate_sim::world::script::Scripted;

use super::steps::{ELECTION, agree, led_with, millis, others, small_pieces};

/// Commands that the follower misses.
const MISSED: usize = 40;
/// Pieces of a snapshot of them.
const PIECES: u64 = 49;

/// A follower was away while the others executed 200 KB; their logs begin after snapshots of that,
/// which are one file. Who leads, who is away, and the other one.
fn away(seed: u64) -> (Scripted, [usize; 3]) {
    let (mut world, leader) = led_with(3, seed, small_pieces());
    let [away, other] = others(&world, leader)[..] else { panic!("three nodes") };
    world.isolate(away);
    for number in 0..MISSED {
        agree(&mut world, &format!("{number:5}").repeat(1_000), 2, ELECTION);
    }
    world.let_pass(2 * ELECTION);
    for node in [leader, other] {
        world.order_snapshot(node);
    }
    world.wait_until("logs begin later", ELECTION, |w| w.count_of("log begins later") == 2);
    assert_eq!(world.snapshot_of(leader), world.snapshot_of(other), "one file everywhere");
    (world, [leader, away, other])
}

/// The one that was away has everything.
fn has_it(world: &Scripted, away: usize) -> bool {
    (1..=MISSED as u64 + 1).all(|index| world.executed(away, index).is_some())
}

fn catches_up(world: &mut Scripted, away: usize) {
    world.wait_until("it has everything", millis(30_000), |w| has_it(w, away));
    agree(world, "with it", 3, 20 * ELECTION);
}

fn wait_for_half(world: &mut Scripted) {
    world.wait_until("half of it is there", millis(10_000), |w| {
        w.count_of("piece stored") >= PIECES / 2
    });
}

#[test]
fn a_follower_that_was_away_for_too_long_gets_a_snapshot() {
    let (mut world, [leader, away, _]) = away(1);
    world.reconnect(away);
    catches_up(&mut world, away);
    assert_eq!(world.count_of("piece stored"), PIECES);
    assert_eq!(world.snapshot_of(away), world.snapshot_of(leader));
    assert_eq!(world.count_of("snapshot received"), 1);
}

#[test]
fn lost_pieces_and_lost_answers_are_sent_again() {
    for seed in 1..4 {
        let (mut world, [_, away, _]) = away(seed);
        world.lose_messages(150_000);
        world.reconnect(away);
        world.wait_until("it has everything", millis(120_000), |w| has_it(w, away));
        world.lose_messages(0);
        catches_up(&mut world, away);
        assert!(world.count_of("drop") > 10);
    }
}

#[test]
fn a_transfer_goes_on_when_its_receiver_started_again() {
    let (mut world, [_, away, _]) = away(1);
    world.reconnect(away);
    wait_for_half(&mut world);
    world.take_down(away);
    world.restart(away);
    catches_up(&mut world, away);
    assert_eq!(world.count_of("snapshot resumed"), 1);
    // What was there of a block that was not whole, and of a window that was under way.
    let again = world.count_of("piece stored") - PIECES;
    assert!(again <= 16 + 4, "{again} pieces came twice");
}

#[test]
fn a_transfer_goes_on_when_its_sender_is_gone_for_good() {
    let (mut world, [leader, away, other]) = away(1);
    world.reconnect(away);
    wait_for_half(&mut world);
    world.take_down(leader);
    world.wait_until("it has everything", millis(30_000), |w| has_it(w, away));
    assert_eq!(world.leader(), Some(other));
    let again = world.count_of("piece stored") - PIECES;
    assert!(again <= 4, "{again} pieces came twice");
    world.restart(leader);
    catches_up(&mut world, away);
}

#[test]
fn a_crash_between_the_two_halves_of_an_installation_leaves_a_whole_one() {
    let (mut world, [_, away, _]) = away(1);
    world.reconnect(away);
    world
        .wait_until("the file is durable", millis(30_000), |w| w.count_of("snapshot received") > 0);
    world.cut_power(away);
    world.restart(away);
    catches_up(&mut world, away);
    assert_eq!(world.count_of("interrupted installation completed"), 1);
    assert_eq!(world.count_of("snapshot received"), 1, "it is not sent again");
}

#[test]
fn a_crash_anywhere_in_a_transfer_loses_nothing() {
    let mut resumed = 0;
    for later in (0..130).step_by(9) {
        let (mut world, [_, away, _]) = away(1);
        world.crash_at_effect(away, later);
        world.reconnect(away);
        catches_up(&mut world, away);
        assert_eq!(world.count_of("crash-at-effect"), 1, "before effect {later}");
        resumed += world.count_of("snapshot resumed");
    }
    assert!(resumed > 0);
}

/// The leader reads what rotted, and the receiver finds that it is not what it claims to be: neither
/// sends and checks it for ever, for the leader's next snapshot is whole.
#[test]
fn a_snapshot_that_rots_where_it_is_sent_from_gives_way_to_the_next() {
    let (mut world, [leader, away, _]) = away(1);
    world.rot_snapshot(leader, 3);
    world.reconnect(away);
    world.wait_until("it is rejected", millis(30_000), |w| w.count_of("snapshot rejected") > 0);
    agree(&mut world, "more", 2, ELECTION);
    world.order_snapshot(leader);
    catches_up(&mut world, away);
    assert_eq!(world.snapshot_of(away), world.snapshot_of(leader));
}

/// What an earlier life left is believed as far as it verifies.
#[test]
fn a_part_that_rots_while_its_receiver_is_down_is_never_installed() {
    for seed in 0..6 {
        let (mut world, [_, away, _]) = away(1);
        world.reconnect(away);
        wait_for_half(&mut world);
        world.take_down(away);
        world.rot_snapshot(away, seed);
        world.restart(away);
        catches_up(&mut world, away);
    }
}
