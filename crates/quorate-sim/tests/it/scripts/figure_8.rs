//! The course scenarios "Figure 8" and "Figure 8 (unreliable)": leaders that vanish again and again
//! while entries of many terms are about. What was committed stays, and in the end all agree.

use core::time::Duration;

use quorate_core::Config;
use quorate_sim::world::Delays;
use quorate_sim::world::script::Scripted;

use super::course::{Course, T, slow_heartbeats, unreliable};

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

/// The figure itself. An entry of the first term reaches a quorum in the third; the leader that
/// brought it there dies before its own entry is there, too, and a node that never had it is elected.
#[test]
fn an_entry_of_an_earlier_term_on_a_quorum_is_not_committed_yet() {
    let (min, max) = slow_heartbeats().election_timeout();
    // One entry per append, so that the two can be told apart.
    let config = Config::builder().election_timeout(min, max).max_append_bytes(1);
    let mut course = Course::of(5, config.build().expect("the settings are sound"), 1);
    course.world.set_delays(Delays {
        requests: Duration::from_millis(1)..Duration::from_millis(2),
        replies: Duration::from_millis(1)..Duration::from_millis(2),
        late_replies: 0,
    });
    course.one("begin", 5, false);
    let s1 = course.one_leader();
    let s2 = course.after(s1, 1);
    let rest = [2, 3, 4].map(|places| course.after(s1, places));
    let world = &mut course.world;

    // (a) The first leader replicates an entry to one follower.
    world.partition(&[s1, s2], &rest);
    let entry = world.propose(s1, &"of the first term".to_owned()).expect("it leads").id;
    let holds = |w: &Scripted, node| w.status(node).is_some_and(|s| s.persisted >= entry.index);
    world.wait_until("two hold it", T, |w| holds(w, s1) && holds(w, s2));

    // (b) Another is elected, writes its own entry at the same index and dies alone with it.
    world.take_down(s1);
    world.wait_until("another leads", 5 * T, |w| w.leader().is_some());
    let s5 = world.leader().expect("it was just seen");
    world.isolate(s5);
    world.let_pass(Duration::from_millis(20));
    assert!(holds(world, s5), "its own entry");
    world.take_down(s5);
    let [s3, s4]: [usize; 2] =
        rest.into_iter().filter(|n| *n != s5).collect::<Vec<_>>().try_into().expect("two are left");

    // (c) A holder of the first entry leads and brings it to a third node, but not yet its own.
    world.mend_links();
    world.isolate(s4);
    world.restart(s1);
    let third = |w: &Scripted| {
        let leader = w.leader()?;
        let status = w.status(leader)?;
        let peer = status.peers.iter().find(|peer| peer.id.get() == s3 as u64 + 1)?;
        (peer.matched == entry.index).then_some(leader)
    };
    world.wait_until("a third holds it", 5 * T, |w| third(w).is_some());
    let leader = third(world).expect("it was just seen");
    assert!(leader == s1 || leader == s2);
    world.let_pass(Duration::from_micros(300));
    assert_eq!(world.how_many_executed(2), 0, "on a quorum, and not committed");

    // (d) The leader and the other holder are gone: who died alone with its own entry leads.
    course.isolate(&[s1, s2]);
    course.reconnect(&[s4]);
    let world = &mut course.world;
    world.restart(s5);
    world.wait_until("it leads", 5 * T, |w| w.leaders().iter().any(|(leader, _)| *leader == s5));
    world.let_pass(T);
    course.one("of the last term", 3, true);
    course.reconnect(&[s1, s2]);
    course.one("end", 5, true);
    assert_eq!(course.world.executed(s1, 2), Some("of the last term"));
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
