//! The course scenario "basic agreement": the application's index begins at 1 and has no holes,
//! although every leader opens its term with an entry of its own.

use super::course::{Course, fast_heartbeats, slow_heartbeats};

#[test]
fn the_first_three_commands_have_the_first_three_indices() {
    for (servers, config) in
        [(3, slow_heartbeats()), (5, slow_heartbeats()), (3, fast_heartbeats())]
    {
        let mut course = Course::of(servers, config, 1);
        for index in 1..=3 {
            assert_eq!(course.world.how_many_executed(index), 0, "nothing is there yet");
            let command = (index * 100).to_string();
            assert_eq!(course.one(&command, servers, false), index);
        }
        println!("basic agreement of {servers}: {}", course.world.traffic());
    }
}

#[test]
fn a_change_of_leader_leaves_no_hole_in_the_application_s_index() {
    let mut course = Course::of(3, slow_heartbeats(), 2);
    for index in 1..=6 {
        assert_eq!(course.one(&format!("{index}"), 3, false), index);
        let leader = course.one_leader();
        let before = course.world.highest_term();
        course.world.isolate(leader);
        course.one_leader();
        course.world.reconnect(leader);
        assert!(course.world.highest_term() > before, "another term opened");
        course.world.let_pass(core::time::Duration::from_secs(1));
    }
    // Each of the leaders opened its term with an entry.
    let leader = course.one_leader();
    let status = course.world.status(leader).expect("it leads");
    assert!(status.last.index.get() >= 12, "{status:?}");
    assert_eq!(course.world.executed_by(leader), 6);
}
