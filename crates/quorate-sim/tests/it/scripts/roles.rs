//! What stands between the parts of a node and between nodes: what is refused, what waits for the
//! disk, what comes late.

use super::steps::{ELECTION, agree, end, ended, led, millis, others};

#[test]
fn what_is_sent_to_nobody_is_refused_and_sent_again() {
    let (mut world, leader) = led(3);
    let follower = others(&world, leader)[0];
    let before = world.count_of("no connection");
    world.reset_connections(leader, follower);
    world.let_pass(millis(6));
    let proposed = world.propose(leader, &"soon".to_owned()).expect("it leads");
    world.let_pass(millis(2));
    assert!(world.count_of("no connection") > before, "the append to it was refused at once");
    assert_eq!(world.executed(follower, proposed.index), None);
    world.wait_until("it has it as soon as it is back", millis(200), |w| {
        w.executed(follower, proposed.index).is_some()
    });
}

#[test]
fn a_full_queue_refuses_what_does_not_fit() {
    let (mut world, leader) = led(3);
    let follower = others(&world, leader)[0];
    world.fill_link(leader, follower, millis(3_000), 2);
    for number in 0..20 {
        agree(&mut world, &format!("{number}"), 2, millis(100));
    }
    world.let_pass(millis(500));
    assert!(world.count_of("queue full") > 0);
    let index = world.executed_by(leader);
    assert_eq!(world.executed(follower, index), None);
    world.wait_until("it catches up", millis(4_000), |w| w.executed(follower, index).is_some());
    assert_eq!(world.count_of("clog"), 1);
}

#[test]
fn a_call_for_which_there_is_no_room_on_the_way_is_refused_at_once() {
    let (mut world, leader) = led(3);
    let follower = others(&world, leader)[0];
    world.fill_link(follower, leader, millis(200), 0);
    let call = world.call(follower, &"no room".to_owned());
    assert_eq!(ended(&mut world, call, millis(5)), "refused");
    world.let_pass(2 * ELECTION);
    let call = world.call(follower, &"room".to_owned());
    assert_eq!(ended(&mut world, call, ELECTION), "replied 2", "the first had no effect");
}

#[test]
fn a_paused_node_does_not_recover() {
    let (mut world, leader) = led(3);
    let node = others(&world, leader)[0];
    world.take_down(node);
    world.pause(node, millis(5_000));
    world.restart(node);
    world.let_pass(millis(4_990));
    assert!(!world.is_up(node));
    world.wait_until("it goes on", millis(200), |w| w.is_up(node));
}

#[test]
fn a_recovery_takes_as_long_as_its_disk() {
    let took = |times: u32| {
        let (mut world, leader) = led(3);
        let node = others(&world, leader)[0];
        world.take_down(node);
        world.slow_disk(node, times);
        world.restart(node);
        world.wait_until("it is up", millis(60_000), |w| w.is_up(node))
    };
    let (fast, slow) = (took(1), took(100));
    assert!(fast < millis(50), "{fast:?}");
    assert!((fast * 50..fast * 200).contains(&slow), "{fast:?} and {slow:?}");
}

#[test]
fn a_stuck_disk_holds_up_a_recovery() {
    let (mut world, leader) = led(3);
    let node = others(&world, leader)[0];
    world.take_down(node);
    world.stick_disk(node, millis(5_000));
    world.restart(node);
    world.let_pass(millis(4_990));
    assert!(!world.is_up(node));
    assert_eq!(world.count_of("stuck-disk"), 1);
    world.wait_until("it is up", millis(200), |w| w.is_up(node));
}

#[test]
fn the_replica_hears_later_what_was_executed() {
    let (mut world, leader) = led(3);
    let mut later = 0;
    for number in 0..20 {
        let command = format!("{number}");
        let call = world.call(leader, &command);
        world.wait_until("it is answered", ELECTION, |w| end(w, call) != "waits");
        let knows = |w: &quorate_sim::world::script::Scripted| {
            let status = w.status(leader).expect("it runs");
            status.applied >= status.commit
        };
        later += u32::from(!knows(&world));
        world.wait_until("it knows", millis(11), knows);
        world.let_pass(millis(7));
    }
    assert!(later > 10, "{later} times of 20");
}
