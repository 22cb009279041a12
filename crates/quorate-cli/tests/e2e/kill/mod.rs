//! kill -9: sixteen writers and three readers while nodes get SIGKILL and are restarted on their data.
//!
//! What must hold: every acknowledged write is there once, on every node, with the revision that was
//! acknowledged; a refused write is nowhere; a write of unknown outcome is there at most once; no
//! linearizable read shows less than was known before it began.
//!
//! `QUORATE_KILL_SEED`, `QUORATE_KILLS` and `QUORATE_KILLS_OF_ALL` set who dies when and how often.

mod history;
mod load;

use std::time::{Duration, Instant};

use quorate_client::{Client, Options};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::harness::{Cluster, PATIENCE, Random, number, runtime};
use load::Load;

const WRITERS: usize = 16;
const READERS: usize = 3;

#[test]
fn no_acknowledged_write_is_lost_while_nodes_are_killed() {
    let seed = number("QUORATE_KILL_SEED", 1);
    let kills = number("QUORATE_KILLS", 30);
    let kills_of_all = number("QUORATE_KILLS_OF_ALL", 5);
    let mut cluster = Cluster::start(3);
    let load = Load::new(&cluster.plan.endpoints());
    let history = runtime().block_on(async {
        let mut tasks = JoinSet::new();
        for writer in 0..WRITERS {
            tasks.spawn(load.clone().write(writer));
        }
        for reader in 0..READERS {
            tasks.spawn(load.clone().read(reader));
        }
        let killed = kill_all_the_time(&mut cluster, &load, seed, kills, kills_of_all).await;
        load.stop();
        while let Some(ended) = tasks.join_next().await {
            ended.expect("no writer and no reader finds anything wrong");
        }
        println!("soak: seed {seed}: {killed}");
        load.history()
    });
    println!("soak: seed {seed}: {history}");
    history.check_it_shows_something(kills);
    cluster.wait_for_leader();
    history.check(&cluster);
}

/// Kills single nodes every 300 to 1500 ms, and all at once in between; says what it did.
async fn kill_all_the_time(
    cluster: &mut Cluster,
    load: &Load,
    seed: u64,
    kills: u64,
    kills_of_all: u64,
) -> String {
    let mut random = Random::new(seed);
    let mut leaders = 0;
    let mut gaps = Vec::new();
    let (mut single, mut all) = (0, 0);
    while single < kills || all < kills_of_all {
        sleep(Duration::from_millis(300 + random.next() % 1200)).await;
        // The kills of all are spread evenly among the others.
        let of_all = single == kills || all * (kills + 1) < single * kills_of_all;
        let killed = Instant::now();
        if of_all && all < kills_of_all {
            cluster.kill_all();
            for at in 0..cluster.processes.len() {
                cluster.start_node(at);
            }
            all += 1;
        } else {
            let leader = leader(cluster).await;
            let at = match leader {
                Some(leader) if random.below(2) == 0 => leader,
                _ => random.below(cluster.processes.len()),
            };
            leaders += u64::from(leader == Some(at));
            cluster.kill(at);
            cluster.start_node(at);
            single += 1;
        }
        // Killing a cluster that is not back yet would show nothing.
        let written = load.next_acknowledged(killed);
        let written = timeout(PATIENCE, written).await.expect("writes go on after a kill");
        gaps.push(written.duration_since(killed));
    }
    gaps.sort_unstable();
    format!(
        "{single} kills of one node ({leaders} of the leader), {all} of all three; first \
         acknowledged write after a kill: median {:?}, longest {:?}",
        gaps[gaps.len() / 2],
        gaps[gaps.len() - 1]
    )
}

/// Who leads, if somebody says so.
async fn leader(cluster: &Cluster) -> Option<usize> {
    let options = Options::default().timeout(Duration::from_millis(500));
    for node in &cluster.plan.nodes {
        let client = Client::new([node.endpoint()], options).expect("the plan's ports are ports");
        let Ok(status) = client.status().await else { continue };
        let own = status.header.map_or(0, |header| header.member_id);
        if status.leader != 0 && status.leader == own {
            return cluster.plan.nodes.iter().position(|other| other.name == node.name);
        }
    }
    None
}
