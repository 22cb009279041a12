//! The course scenario "no agreement if too many followers disconnect".

use super::course::{Course, T, fast_heartbeats, slow_heartbeats};

#[test]
fn a_leader_without_a_majority_takes_a_command_and_never_commits_it() {
    let mut course = Course::of(5, slow_heartbeats(), 1);
    course.one("10", 5, false);
    let leader = course.one_leader();
    let lost = [1, 2, 3].map(|places| course.after(leader, places));
    course.isolate(&lost);
    let proposed = course.world.propose(leader, &"20".to_owned());
    let proposed = proposed.expect("a leader that lost its followers a moment ago accepts");
    assert_eq!(proposed.index, 2);
    course.world.let_pass(2 * T);
    assert_eq!(course.world.how_many_executed(2), 0);

    course.reconnect(&lost);
    let leader = course.one_leader();
    let proposed = course.world.propose(leader, &"30".to_owned()).expect("it leads");
    assert!((2..=3).contains(&proposed.index), "{proposed:?}");
    course.one("1000", 5, true);
    println!("no agreement without a majority: {}", course.world.traffic());
}

#[test]
fn a_leader_of_three_that_stands_alone_commits_nothing() {
    let mut course = Course::of(3, fast_heartbeats(), 1);
    course.one("cmd-1", 3, false);
    let leader = course.one_leader();
    let lost = [1, 2].map(|places| course.after(leader, places));
    course.isolate(&lost);
    let proposed = course.world.propose(leader, &"no-quorum".to_owned()).expect("it leads");
    assert_eq!(proposed.index, 2);
    course.world.let_pass(2 * T);
    assert_eq!(course.world.how_many_executed(2), 0);
    course.reconnect(&lost);
    course.one("healed", 3, true);
}
