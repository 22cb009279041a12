//! The course scenarios "Figure 8" and "Figure 8 (unreliable)": leaders that vanish again and again
//! while entries of many terms are about. What was committed stays, and in the end all agree.

use core::time::Duration;

use quorate_sim::world::Delays;

use super::course::{Course, slow_heartbeats, unreliable};

const ROUNDS: u32 = 1000;
const SEEDS: core::ops::RangeInclusive<u64> = 1..=4;

/// Mostly a moment, sometimes up to half a second.
fn sleep(course: &mut Course) {
    let long = course.rng.chance(100_000);
    let most = Duration::from_millis(if long { 500 } else { 13 });
    let span = course.rng.span(Duration::ZERO, most);
    course.world.let_pass(span);
}

/// Gives a command to every server; one of those that took it.
fn submit_to_all(course: &mut Course) -> Option<usize> {
    let command = course.rng.next_u64().to_string();
    let servers = 0..course.world.len();
    servers.filter(|server| course.world.propose(*server, &command).is_some()).last()
}

fn print(what: &str, course: &Course) {
    let (world, now) = (&course.world, course.world.now());
    let [leaders, truncations] = ["leader", "truncation"].map(|what| world.count_of(what));
    let (executed, traffic) = (world.executed_by(0), world.traffic());
    println!(
        "{what}: {now:?}, {leaders} leaders, {truncations} truncations, {executed} commands, {traffic}"
    );
}

#[test]
fn leaders_that_die_in_a_thousand_rounds_lose_nothing() {
    SEEDS.for_each(leaders_die);
}

fn leaders_die(seed: u64) {
    let mut course = Course::of(5, slow_heartbeats(), seed);
    // Messages take as long as a leader lives, so that it leaves behind what never commits.
    let delay = Duration::ZERO..Duration::from_millis(13);
    course.world.set_delays(Delays { requests: delay.clone(), replies: delay, late_replies: 0 });
    course.one("first", 1, true);
    for _ in 0..ROUNDS {
        let leader = submit_to_all(&mut course);
        sleep(&mut course);
        if let Some(leader) = leader {
            course.world.take_down(leader);
        }
        let down: Vec<usize> = (0..5).filter(|server| !course.world.is_up(*server)).collect();
        if down.len() > 2 {
            let server = down[course.rng.index(down.len())];
            course.world.restart(server);
        }
    }
    (0..5).for_each(|server| course.world.restart(server));
    course.one("last", 5, true);
    print("figure 8", &course);
    assert!(course.world.count_of("leader") > 30, "many terms");
    assert!(course.world.count_of("truncation") > 0, "entries of dead leaders were about");
}

#[test]
fn leaders_that_vanish_from_an_unreliable_network_lose_nothing() {
    SEEDS.for_each(leaders_vanish);
}

fn leaders_vanish(seed: u64) {
    let mut course = Course::of(5, slow_heartbeats(), seed);
    course.make_unreliable();
    course.one("first", 1, true);
    for round in 0..ROUNDS {
        if round == 200 {
            course.world.set_delays(Delays { late_replies: 666_667, ..unreliable() });
        }
        let leader = submit_to_all(&mut course);
        sleep(&mut course);
        if let Some(leader) = leader.filter(|_| course.rng.coin()) {
            course.isolate(&[leader]);
        }
        let away: Vec<usize> = (0..5).filter(|server| course.world.is_isolated(*server)).collect();
        if away.len() > 2 {
            let server = away[course.rng.index(away.len())];
            course.reconnect(&[server]);
        }
    }
    course.reconnect(&[0, 1, 2, 3, 4]);
    let now = course.world.now();
    course.one("last", 5, true);
    print("figure 8 on an unreliable network", &course);
    println!("seed {seed}: all agree {:?} after the last came back", course.world.now() - now);
    assert!(course.world.count_of("leader") >= 5, "many terms");
    assert!(course.world.count_of("truncation") > 0, "entries of lost leaders were about");
}
