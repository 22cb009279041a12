//! Faults of processes and clocks.

use core::time::Duration;

use quorate_sim::world::script::Scripted;

use super::super::steps::{ELECTION, agree, end, ended, led, led_from, millis, others, recovers};
use super::Struck;

fn struck(world: Scripted) -> Struck {
    Struck::Scripted(Box::new(world))
}

/// Calls the leader, and lets it die before each of the effects that follow.
pub(super) fn a_crash_before_any_effect_loses_nothing_acknowledged() -> Struck {
    let mut died = 0;
    for later in 0..12 {
        let (mut world, leader) = led(3);
        world.crash_at_effect(leader, later);
        let calls = ["a", "b", "c"].map(|command| world.call(leader, &command.to_owned()));
        world.let_pass(2 * ELECTION);
        died += world.count_of("crash-at-effect");
        agree(&mut world, "after", 3, 20 * ELECTION);
        let executed = |command: &str| {
            let journal = world.machine(leader).expect("it runs");
            journal.commands().filter(|executed| *executed == command).count()
        };
        for (call, command) in calls.into_iter().zip(["a", "b", "c"]) {
            let times = executed(command);
            assert!(times <= 1, "{command} {times} times");
            if end(&world, call).starts_with("replied") {
                assert_eq!(times, 1, "{command} was acknowledged");
            }
        }
    }
    assert_eq!(died, 12);
    Struck::Times(died)
}

/// It dies in the moment when it alone knows that a command is committed: who follows it reads
/// nothing before it knows that, too.
pub(super) fn a_dead_leader_is_replaced_and_returns_with_its_log() -> Struck {
    let (mut world, old) = led(3);
    let proposed = world.propose(old, &"committed".to_owned()).expect("it leads");
    world.wait_until("it executes it", ELECTION, |w| w.executed(old, proposed.index).is_some());
    assert_eq!(world.how_many_executed(proposed.index), 1, "nobody else knows");
    world.take_down(old);
    world.wait_until("another leads", 10 * ELECTION, |w| w.leader().is_some());
    let new = world.leader().expect("it was just seen");
    let read = world.read(new, ());
    assert_eq!(ended(&mut world, read, 2 * ELECTION), "committed");
    world.let_pass(millis(10_000));
    assert!(!world.is_up(old), "it stays down");
    agree(&mut world, "without it", 2, ELECTION);
    let term = world.highest_term();
    world.restart(old);
    agree(&mut world, "with it", 3, 2 * ELECTION);
    assert_eq!(world.highest_term(), term, "its return disturbs nobody");
    assert_eq!(world.executed(old, 1), Some("begin"));
    struck(world)
}

pub(super) fn a_recovery_that_dies_at_any_step_begins_again() -> Struck {
    let (mut world, leader) = led(3);
    let node = others(&world, leader)[0];
    agree(&mut world, "kept", 3, ELECTION);
    world.cut_power(node);
    for later in 0..40 {
        let died = world.count_of("crash-in-recovery");
        world.crash_in_recovery(node, later);
        world.restart(node);
        world.wait_until("it died or runs", millis(1_000), |w| {
            w.count_of("crash-in-recovery") > died || w.is_up(node)
        });
        let is_through = world.is_up(node);
        // It starts again by itself; the next round decides how far it comes.
        world.cut_power(node);
        if is_through {
            break;
        }
    }
    world.restart(node);
    agree(&mut world, "after all of them", 3, 2 * ELECTION);
    assert_eq!(world.executed(node, 2), Some("kept"));
    let steps = world.count_of("crash-in-recovery");
    assert!((10..40).contains(&steps), "every step of a recovery: {steps}");
    struck(world)
}

pub(super) fn what_was_acknowledged_survives_power_failure_everywhere() -> Struck {
    let (mut world, leader) = led(5);
    let calls = [0, 1, 2, 3, 4].map(|node| world.call(node, &format!("of {node}")));
    for call in calls {
        assert!(ended(&mut world, call, ELECTION).starts_with("replied"));
    }
    world.cut_all_power();
    (0..5).for_each(|node| world.restart(node));
    agree(&mut world, "with power", 5, 20 * ELECTION);
    let commands: Vec<&str> = world.machine(leader).expect("it runs").commands().collect();
    for node in 0..5 {
        assert!(commands.contains(&format!("of {node}").as_str()), "{commands:?}");
    }
    struck(world)
}

/// The old leader wakes up with what it knew, before it hears of anything.
fn a_leader_pauses(span: Duration) -> Struck {
    let (mut world, old) = led(3);
    let begin = world.now();
    world.pause(old, span);
    let read = world.read(old, ());
    world.wait_until("another leads", 10 * ELECTION, |w| w.leader() != Some(old));
    agree(&mut world, "newer", 2, ELECTION);
    world.wait_until("it steps down", span + millis(100), |w| {
        w.leaders().iter().all(|l| l.0 != old)
    });
    assert!(world.now() >= begin + span, "not before it went on");
    let answer = ended(&mut world, read, millis(5_000));
    assert!(answer == "newer" || answer == "refused", "{answer}");
    struck(world)
}

pub(super) fn a_paused_leader_serves_nothing_stale_and_steps_down() -> Struck {
    a_leader_pauses(millis(5_000))
}

#[test]
fn a_leader_that_was_paused_for_ten_minutes_serves_nothing_stale() {
    let Struck::Scripted(mut world) = a_leader_pauses(millis(600_000)) else { unreachable!() };
    recovers(&mut world);
}

pub(super) fn a_slow_follower_holds_up_nobody() -> Struck {
    let (mut world, leader) = led(3);
    let slow = others(&world, leader)[0];
    world.slow_node(slow, 1_000);
    for number in 0..10 {
        let index = agree(&mut world, &format!("{number}"), 2, millis(50));
        let faster = others(&world, slow);
        assert!(faster.iter().all(|node| world.executed(*node, index).is_some()));
    }
    struck(world)
}

/// A node's read after each command of another, with clocks at half and at one and a half speed.
pub(super) fn clocks_of_any_speed_serve_nothing_stale() -> Struck {
    let (mut world, leader) = led(3);
    let rest = others(&world, leader);
    world.set_clock_gain(leader, -500_000);
    world.set_clock_gain(rest[0], 500_000);
    for number in 0..10 {
        let command = format!("{number}");
        agree(&mut world, &command, 2, 10 * ELECTION);
        let reads = [0, 1, 2].map(|node| world.read(node, ()));
        for read in reads {
            assert_eq!(ended(&mut world, read, 10 * ELECTION), command);
        }
        world.let_pass(ELECTION);
    }
    struck(world)
}

pub(super) fn a_clock_that_jumps_serves_nothing_stale() -> Struck {
    let (mut world, _) = led(3);
    for number in 0..10 {
        let node = number % 3;
        world.jump_clock(node, millis(10_000));
        let command = format!("{number}");
        agree(&mut world, &command, 2, 10 * ELECTION);
        let read = world.read(node, ());
        let answer = ended(&mut world, read, 10 * ELECTION);
        assert!(answer == command || answer == "refused", "{answer}");
    }
    struck(world)
}

pub(super) fn late_timers_stop_nothing() -> Struck {
    let (mut world, _) = led_from(3, 2);
    world.let_timers_be_late(true);
    for number in 0..10 {
        agree(&mut world, &format!("{number}"), 3, 10 * ELECTION);
        world.let_pass(ELECTION);
    }
    struck(world)
}

/// A command at which every state machine panics: all stop there, in each life, and none goes on.
/// With a machine that can do with it all go on from there.
#[test]
fn a_command_that_is_poison_stops_every_node_at_one_index() {
    let (mut world, leader) = led(3);
    let before = agree(&mut world, "sound", 3, ELECTION);
    world.poison(Some(before + 1));
    let poison = world.propose(leader, &"poison".to_owned()).expect("it leads");
    assert_eq!(poison.index, before + 1);
    let behind = world.propose(leader, &"behind it".to_owned()).expect("it leads");
    let mut died = [0; 3];
    for _ in 0..6_000 {
        world.let_pass(millis(5));
        for (node, times) in died.iter_mut().enumerate() {
            *times += usize::from(!world.is_up(node));
            assert!(world.executed_by(node) <= before, "n{} went on", node + 1);
        }
    }
    assert!(died.iter().all(|times| *times > 10), "each dies again and again: {died:?}");
    assert_eq!(world.how_many_executed(poison.index), 0);
    world.poison(None);
    world.wait_until("all are through", 60 * ELECTION, |w| w.how_many_executed(behind.index) == 3);
    assert_eq!(world.executed(leader, poison.index), Some("poison"));
}

pub(super) fn a_machine_that_panics_stops_its_node_alone() -> Struck {
    let (mut world, leader) = led(3);
    let follower = others(&world, leader)[0];
    world.panic_at_next_command(follower);
    let index = agree(&mut world, "poison", 2, millis(100));
    world.wait_until("it died", millis(100), |w| w.count_of("death") > 0);
    world.wait_until("it returns", millis(20_000), |w| w.executed(follower, index).is_some());
    struck(world)
}
