//! The course scenario "leader backs up quickly over incorrect follower logs".

use quorate_sim::world::script::Scripted;

use super::course::{Course, T, slow_heartbeats};

/// Fifty commands that a leader without a majority takes into its log.
fn fifty_in_vain(world: &mut Scripted, leader: usize, name: &str) {
    for number in 0..50 {
        let taken = world.propose(leader, &format!("{name} {number}"));
        assert!(taken.is_some(), "a leader that lost its followers a moment ago accepts");
    }
}

fn fifty_for(course: &mut Course, servers: usize, name: &str) {
    for number in 0..50 {
        course.one(&format!("{name} {number}"), servers, true);
    }
}

#[test]
fn logs_that_differ_by_a_hundred_entries_agree_quickly() {
    let mut course = Course::of(5, slow_heartbeats(), 1);
    course.one("first", 5, true);

    // A leader and one follower hold fifty entries that never commit.
    let first = course.one_leader();
    let others = [2, 3, 4].map(|places| course.after(first, places));
    course.isolate(&others);
    fifty_in_vain(&mut course.world, first, "never");
    course.world.let_pass(T / 2);
    let pair = [first, course.after(first, 1)];
    course.isolate(&pair);

    // The other three commit fifty; then one of them is cut off and their leader takes fifty more.
    course.reconnect(&others);
    fifty_for(&mut course, 3, "three");
    let second = course.one_leader();
    let usual = course.after(first, 2);
    let lost = if second == usual { course.after(second, 1) } else { usual };
    course.isolate(&[lost]);
    fifty_in_vain(&mut course.world, second, "nor these");
    course.world.let_pass(T / 2);

    // Those who have been away the longest, and the one who holds what was committed.
    for server in 0..5 {
        course.isolate(&[server]);
    }
    course.reconnect(&[pair[0], pair[1], lost]);
    let (before, now) = (course.world.traffic(), course.world.now());
    course.one("back", 3, true);
    let (spent, took) = (course.world.traffic() - before, course.world.now() - now);
    println!("three logs agree after {took:?}: {spent}");
    // An election, then one refusal per follower and term: no entry is asked for by itself.
    assert!(spent.requests < 100, "{spent}");
    fifty_for(&mut course, 3, "again");

    for server in 0..5 {
        course.reconnect(&[server]);
    }
    let (before, now) = (course.world.traffic(), course.world.now());
    course.one("last", 5, true);
    let (spent, took) = (course.world.traffic() - before, course.world.now() - now);
    println!("five logs agree after {took:?}: {spent}");
    assert!(spent.requests < 100, "{spent}");
    let world = &course.world;
    println!("the whole scenario: {:?} and {}", world.now(), world.traffic());
    let leader = world.leader().expect("one leads");
    let commands = world.machine(leader).expect("it runs").commands();
    assert_eq!(commands.filter(|text| text.starts_with("never")).count(), 0);
}
