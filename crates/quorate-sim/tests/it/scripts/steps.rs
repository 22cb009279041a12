//! Steps that many scripts take.

use core::time::Duration;

use quorate_core::Config;
use quorate_sim::world::Setup;
use quorate_sim::world::script::{Asked, Scripted};
use quorate_sim::world::workload::End;

use super::course::slow_heartbeats;

/// The longest election timeout of these worlds.
pub(crate) const ELECTION: Duration = Duration::from_millis(500);

pub(crate) const fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// Switches on the deliberate bug that the environment names, in builds that hold any.
pub(crate) fn pick_mutant() {
    #[cfg(quorate_mutants)]
    quorate_core::mutant::pick(&std::env::var("QUORATE_MUTANT").unwrap_or_default());
}

/// A calm world in which one node leads and one command is executed everywhere.
pub(crate) fn led(nodes: usize) -> (Scripted, usize) {
    led_from(nodes, 1)
}

pub(crate) fn led_from(nodes: usize, seed: u64) -> (Scripted, usize) {
    led_with(nodes, seed, slow_heartbeats())
}

/// Settings by which nothing stays in a log behind a snapshot, and a snapshot of 200 KB is under way
/// for two seconds, in about fifty pieces.
pub(crate) fn small_pieces() -> Config {
    let config = slow_heartbeats().change().snapshot_chunk_bytes(4096);
    let config = config.snapshot_window_bytes(16 << 10).snapshot_bytes_per_second(100_000);
    config.keep_bytes(0).retain_bytes(0).build().expect("the settings are sound")
}

pub(crate) fn led_with(nodes: usize, seed: u64, raft: Config) -> (Scripted, usize) {
    pick_mutant();
    let setup = Setup::scripted(nodes).with_raft(raft).with_seed(seed);
    let mut world = Scripted::of(&setup);
    world.trace_mut().keep_recent();
    world.wait_until("somebody leads", 10 * ELECTION, |world| world.leader().is_some());
    agree(&mut world, "begin", nodes, 10 * ELECTION);
    let leader = world.leader().expect("it was just seen");
    (world, leader)
}

/// The others.
pub(crate) fn others(world: &Scripted, node: usize) -> Vec<usize> {
    (0..world.len()).filter(|other| *other != node).collect()
}

/// Proposes a command to whoever leads until so many nodes have executed it; says where.
pub(crate) fn agree(world: &mut Scripted, command: &str, nodes: usize, limit: Duration) -> u64 {
    let until = world.now() + limit;
    while world.now() < until {
        if let Some(index) = agrees_once(world, command, nodes, until) {
            return index;
        }
    }
    panic!("no agreement on {command} within {limit:?}: {}", world.describe())
}

fn agrees_once(world: &mut Scripted, command: &str, nodes: usize, until: Duration) -> Option<u64> {
    let proposed = world.leaders().into_iter().rev().find_map(|(leader, _)| {
        let leads_most = Some(leader) == world.leader();
        leads_most.then(|| world.propose(leader, &command.to_owned())).flatten()
    });
    let Some(proposed) = proposed else {
        world.let_pass(millis(10));
        return None;
    };
    let index = proposed.index;
    let patience = millis(1_000).min(until - world.now());
    let is_there = |world: &Scripted| {
        let executed = |node: &usize| world.executed(*node, index) == Some(command);
        (0..world.len()).filter(executed).count() >= nodes
    };
    let seen = world.run_until(patience, is_there);
    seen.unwrap_or_else(|broken| panic!("{broken}")).map(|_| index)
}

/// How a call or a read ended, in words; `waits` while it is under way.
pub(crate) fn end(world: &Scripted, asked: Asked) -> String {
    match world.end_of(asked) {
        None => "waits".to_owned(),
        Some(End::Replied(index)) => format!("replied {index}"),
        Some(End::Answered(answer)) => answer.clone().unwrap_or_else(|| "nothing".to_owned()),
        Some(End::Refused) => "refused".to_owned(),
        Some(End::Unknown) => "unknown".to_owned(),
    }
}

/// Waits until a call or read ends, and says how.
pub(crate) fn ended(world: &mut Scripted, asked: Asked, limit: Duration) -> String {
    world.wait_until("the request ends", limit, |world| world.end_of(asked).is_some());
    end(world, asked)
}

/// Everything is mended: soon all nodes execute the same.
pub(crate) fn recovers(world: &mut Scripted) {
    world.heal();
    let nodes = world.len();
    agree(world, "end", nodes, millis(10_000));
}
