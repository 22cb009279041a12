//! The network's faults.

use quorate_sim::rng::MILLION;
use quorate_sim::world::script::Scripted;

use super::super::steps::{ELECTION, agree, end, ended, led, millis, others};
use super::Struck;

fn struck(world: Scripted) -> Struck {
    Struck::Scripted(Box::new(world))
}

/// Thirty commands, each executed by all, at indices without a hole.
fn thirty(world: &mut Scripted) {
    let first = agree(world, "first", 3, millis(10_000));
    for number in 1..30 {
        let index = agree(world, &format!("{number}"), 3, millis(10_000));
        assert!(index >= first + number, "{index}");
    }
}

pub(super) fn lost_messages_are_sent_again() -> Struck {
    let (mut world, _) = led(3);
    world.lose_messages(MILLION / 5);
    thirty(&mut world);
    struck(world)
}

pub(super) fn a_message_that_comes_twice_counts_once() -> Struck {
    let (mut world, _) = led(3);
    world.repeat_messages(MILLION);
    let before = world.executed_by(0);
    thirty(&mut world);
    assert_eq!(world.executed_by(0), before + 30, "each once");
    struck(world)
}

pub(super) fn messages_that_overtake_change_no_order() -> Struck {
    let (mut world, leader) = led(3);
    world.let_messages_overtake(true);
    let begin = world.count_of("reorder");
    for number in 0..100 {
        world.propose(leader, &format!("{number}")).expect("it leads");
        world.let_pass(millis(1) / 5);
    }
    world.wait_until("all is executed", 2 * ELECTION, |w| w.how_many_executed(101) == 3);
    for node in 0..3 {
        let executed = world.machine(node).expect("it runs").commands().skip(1);
        assert!(executed.eq((0..100).map(|number| number.to_string())), "in order");
    }
    assert!(world.count_of("reorder") > begin, "some overtook others");
    struck(world)
}

pub(super) fn messages_that_linger_hold_nobody_up() -> Struck {
    let (mut world, _) = led(3);
    world.let_messages_linger(true);
    thirty(&mut world);
    struck(world)
}

pub(super) fn damaged_messages_are_dropped() -> Struck {
    let (mut world, _) = led(3);
    world.damage_messages(MILLION / 5);
    thirty(&mut world);
    struck(world)
}

pub(super) fn frames_in_pieces_are_frames_or_nothing() -> Struck {
    let (mut world, _) = led(3);
    world.split_messages(MILLION / 10);
    thirty(&mut world);
    assert!(world.count_of("no connection") > 0, "some broke, and what came next was refused");
    struck(world)
}

/// A follower takes a broken connection for a hint of death; the dry run that follows finds the
/// leader alive.
pub(super) fn connections_that_break_lose_nothing() -> Struck {
    let (mut world, leader) = led(3);
    let follower = others(&world, leader)[0];
    let term = world.highest_term();
    for number in 0..20 {
        world.reset_connections(leader, follower);
        agree(&mut world, &format!("{number}"), 3, 2 * ELECTION);
        world.let_pass(ELECTION);
    }
    assert_eq!(world.leaders(), [(leader, term)]);
    struck(world)
}

/// Everything that was said in two terms and before a restart comes again, up to a minute old.
pub(super) fn messages_of_the_past_change_nothing() -> Struck {
    let (mut world, first) = led(3);
    world.record_messages();
    agree(&mut world, "in the first term", 3, ELECTION);
    world.let_pass(millis(10_000));
    world.take_down(first);
    world.wait_until("another leads", 10 * ELECTION, |w| w.leader().is_some());
    world.restart(first);
    agree(&mut world, "in a later term", 3, 10 * ELECTION);
    let read = world.read(0, ());
    ended(&mut world, read, ELECTION);
    world.let_pass(millis(60_000));

    let marks = |world: &Scripted| {
        let status = |node| world.status(node).expect("it runs");
        [0, 1, 2].map(status).map(|s| (s.role, s.hard_state, s.leader, s.last, s.commit))
    };
    let dropped = |world: &Scripted| {
        let of = |node| world.counters(node).expect("it runs").dropped.values().sum::<u64>();
        [0, 1, 2].map(of).iter().sum::<u64>()
    };
    let (before, dropped_before) = (marks(&world), dropped(&world));
    let replayed = world.replay_recorded();
    assert!(replayed > 1_000, "{replayed}");
    world.let_pass(millis(50));
    assert_eq!(marks(&world), before, "no term, role, leader or index moved");
    assert!(dropped(&world) > dropped_before + 100, "{}", dropped(&world));
    struck(world)
}

pub(super) fn a_leader_that_is_cut_off_serves_nothing_and_steps_down() -> Struck {
    let (mut world, old) = led(5);
    world.isolate(old);
    let read = world.read(old, ());
    let lost = world.call(old, &"lost".to_owned());
    world.wait_until("it steps down", 2 * ELECTION, |w| w.leaders().iter().all(|l| l.0 != old));
    agree(&mut world, "kept", 4, 10 * ELECTION);
    world.let_pass(20 * ELECTION);
    assert_eq!(end(&world, read), "refused", "no read is served by a minority");
    assert_ne!(end(&world, lost), "replied 2");
    assert_eq!(world.executed(old, 2), None);
    let term = world.highest_term();
    world.reconnect(old);
    agree(&mut world, "more", 5, 2 * ELECTION);
    assert_eq!(world.highest_term(), term, "its return disturbs nobody");
    struck(world)
}

pub(super) fn a_leader_that_hears_nobody_steps_down() -> Struck {
    let (mut world, deaf) = led(3);
    world.deafen(deaf);
    // It goes on to say that it leads, and is believed: only it can know better.
    world.wait_until("it steps down", 2 * ELECTION + millis(100), |w| {
        w.leaders().iter().all(|(leader, _)| *leader != deaf)
    });
    agree(&mut world, "without it", 2, 10 * ELECTION);
    let term = world.highest_term();
    world.let_pass(20 * ELECTION);
    assert_eq!(world.highest_term(), term, "a deaf node disturbs nobody");
    // And one that nobody hears does not, either.
    world.mute(deaf);
    world.let_pass(20 * ELECTION);
    assert_eq!(world.highest_term(), term, "nor does a mute one");
    struck(world)
}

pub(super) fn both_sides_of_a_bridge_follow_one_leader() -> Struck {
    let (mut world, leader) = led(5);
    let rest = others(&world, leader);
    let (left, right) = ([leader, rest[0]], [rest[2], rest[3]]);
    world.partition(&left, &right);
    agree(&mut world, "over the bridge", 3, 10 * ELECTION);
    struck(world)
}

pub(super) fn a_ring_follows_one_leader() -> Struck {
    let (mut world, _) = led(5);
    world.make_ring(&[0, 1, 2, 3, 4]);
    agree(&mut world, "round", 3, 10 * ELECTION);
    struck(world)
}

pub(super) fn a_chain_follows_one_leader() -> Struck {
    let (mut world, leader) = led(5);
    let mut order = others(&world, leader);
    order.insert(0, leader);
    world.make_chain(&order);
    agree(&mut world, "along the chain", 3, 10 * ELECTION);
    struck(world)
}

pub(super) fn a_flapping_link_deposes_nobody() -> Struck {
    let (mut world, leader) = led(3);
    let follower = others(&world, leader)[0];
    let term = world.highest_term();
    for round in 0..200 {
        let cut = round % 2 == 0;
        world.flap(leader, follower, cut);
        world.flap(follower, leader, cut);
        world.let_pass(millis(1 + round * 13 % 400));
    }
    assert_eq!(world.leaders(), [(leader, term)], "the other follower hears it all the time");
    struck(world)
}

/// All but one go off the network one by one, the leader first, and come back in another order.
pub(super) fn nodes_that_go_one_by_one_come_back_to_one_leader() -> Struck {
    let (mut world, leader) = led(5);
    let rest = others(&world, leader);
    let term = world.highest_term();
    let doubted = world.call(leader, &"in doubt".to_owned());
    for node in [leader, rest[0], rest[1], rest[2]] {
        world.swizzle(node, true);
        world.let_pass(2 * ELECTION);
    }
    assert!(world.leaders().is_empty(), "nobody hears a majority");
    assert!(world.highest_term().0 <= term.0 + 2, "two could still elect somebody");
    for node in [rest[1], leader, rest[0], rest[2]] {
        world.swizzle(node, false);
        world.let_pass(millis(300));
    }
    agree(&mut world, "together again", 5, 10 * ELECTION);
    assert!(ended(&mut world, doubted, ELECTION) != "waits");
    struck(world)
}

pub(super) fn a_slow_link_holds_up_one_follower_alone() -> Struck {
    let (mut world, leader) = led(3);
    let follower = others(&world, leader)[0];
    let term = world.highest_term();
    world.slow_link(leader, follower, 1_000);
    let index = agree(&mut world, "to the other", 2, millis(50));
    assert_eq!(world.executed(follower, index), None);
    world.wait_until("it comes late", millis(4_000), |w| w.executed(follower, index).is_some());
    assert_eq!(world.highest_term(), term, "late heartbeats come as often as others");
    struck(world)
}

pub(super) fn a_narrow_link_holds_up_one_follower_alone() -> Struck {
    let (mut world, leader) = led(3);
    let follower = others(&world, leader)[0];
    let term = world.highest_term();
    world.limit_link(leader, follower, 20_000);
    let large = "x".repeat(100_000);
    let index = agree(&mut world, &large, 2, millis(50));
    world.let_pass(millis(1_000));
    assert_eq!(world.executed(follower, index), None, "it takes five seconds");
    world.wait_until("it is through", millis(6_000), |w| w.executed(follower, index).is_some());
    // Heartbeats waited behind it: the follower asked for votes, and nobody gave it one.
    assert_eq!(world.leaders(), [(leader, term)]);
    struck(world)
}

pub(super) fn what_a_link_held_back_arrives_and_does_no_harm() -> Struck {
    let (mut world, leader) = led(3);
    let follower = others(&world, leader)[0];
    let term = world.highest_term();
    world.clog_link(leader, follower, millis(5_000));
    for number in 0..20 {
        agree(&mut world, &format!("{number}"), 2, millis(50));
    }
    let index = world.executed_by(leader);
    world.let_pass(millis(4_000));
    assert_eq!(world.executed(follower, index), None);
    world.wait_until("the burst", millis(1_500), |w| w.executed(follower, index).is_some());
    assert_eq!(world.leaders(), [(leader, term)]);
    struck(world)
}
