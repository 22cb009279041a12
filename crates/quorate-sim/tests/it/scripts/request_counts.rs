//! The course scenario "RPC counts aren't too high", and how the counts come about.

use core::time::Duration;

use quorate_core::Config;
use quorate_sim::world::script::Traffic;

use super::course::{Course, T, slow_heartbeats, without_notices};

/// Twelve commands in this rhythm: the traffic until all servers executed them.
fn twelve_commands(course: &mut Course, leader: usize, apart: Duration) -> Traffic {
    let before = course.world.traffic();
    let term = course.world.highest_term();
    let first = course.world.propose(leader, &"first".to_owned()).expect("it leads").index;
    for later in 1..12 {
        course.world.let_pass(apart);
        let proposed = course.world.propose(leader, &format!("{later}")).expect("it leads");
        assert_eq!(proposed.index, first + later, "one after the other");
    }
    let all =
        |world: &quorate_sim::world::script::Scripted| world.how_many_executed(first + 11) == 3;
    course.world.wait_until("all executed all", 2 * T, all);
    assert_eq!(course.world.highest_term(), term);
    course.world.traffic() - before
}

fn counted(config: Config, seed: u64, apart: Duration) -> [Traffic; 3] {
    let mut course = Course::of(3, config, seed);
    let leader = course.one_leader();
    let elected = course.world.traffic();
    let served = twelve_commands(&mut course, leader, apart);
    let before = course.world.traffic();
    course.world.let_pass(T);
    [elected, served, course.world.traffic() - before]
}

#[test]
fn an_election_twelve_commands_and_an_idle_second_stay_within_their_budgets() {
    for seed in 1..=10 {
        let [elected, served, idle] = counted(slow_heartbeats(), seed, Duration::ZERO);
        println!("seed {seed}: first leader: {elected}");
        println!("seed {seed}: twelve commands at once: {served}");
        println!("seed {seed}: an idle second: {idle}");
        assert!((1..=30).contains(&elected.requests), "{elected}");
        assert!(served.requests <= 42, "{served}");
        assert!(idle.requests <= 60, "{idle}");
        // Over single messages a reply is a message, too: the budgets hold even then.
        assert!(served.messages() <= 42, "{served}");
        assert!(idle.messages() <= 60, "{idle}");
    }
}

/// One command at a time costs each follower an append and a notice of its commitment; a host that
/// counts requests switches the notices off, and followers learn with the next append or heartbeat.
#[test]
fn twelve_commands_apart_stay_within_the_budget_without_notices() {
    for apart in [100, 500, 1_000, 2_000, 5_000, 10_000].map(Duration::from_micros) {
        for seed in 1..=5 {
            let [_, served, _] = counted(slow_heartbeats(), seed, apart);
            println!("twelve commands {apart:?} apart, seed {seed}: {served}");
            assert!(served.requests <= 12 * 2 * 2 + 4, "{served}");
            let [_, served, _] = counted(without_notices(), seed, apart);
            println!("twelve commands {apart:?} apart without notices, seed {seed}: {served}");
            assert!(served.requests <= 42, "{served}");
        }
    }
}
