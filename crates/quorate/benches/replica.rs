//! What agreement costs: three replicas in one thread, in memory, without sockets and disks.
//!
//! `cargo bench -p quorate --bench replica [-- --short]`: each proposal has 256 bytes, shared by
//! reference count with its client, and is a call of its own; a round proposes 1, 64 or 1024 of them
//! and ends when all three nodes have executed them. `peers/` runs the same beside other libraries.
//!
//! Figures are of the machine at hand: compare runs of the same minutes only.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "a benchmark"
)]

#[path = "../../../benches/measuring.rs"]
mod measuring;
mod three;

use std::time::{Duration, Instant};

use measuring::{Effort, Machine, Samples, Table};
use three::Cluster;

/// Proposals of a run whose instructions are counted, where `--proposals` says nothing else.
const FIXED: u64 = 65_536;
const BATCHES: [u64; 3] = [1, 64, 1024];

/// With `-- --fixed BATCH` it proposes a fixed number in rounds of that size and prints no time, to
/// count instructions from outside.
fn main() {
    if let Some(batch) = measuring::number("--fixed") {
        let mut cluster = Cluster::new();
        let leader = cluster.elect();
        for _ in 0..measuring::number("--proposals").unwrap_or(FIXED) / batch {
            cluster.round(leader, batch);
        }
        cluster.check();
        println!("{} proposals in rounds of {batch}", cluster.proposed());
        return;
    }
    let effort = Effort::from_arguments(7, 700);
    let machine = Machine::introduce("three replicas in one thread, 256-byte proposals");
    let mut figures = BATCHES.map(|batch| {
        let mut cluster = Cluster::new();
        let leader = cluster.elect();
        (batch, cluster, leader, Samples::new(), Samples::new())
    });
    for _ in 0..effort.rounds {
        for (batch, cluster, leader, rates, costs) in &mut figures {
            let (rate, cost) = window(cluster, *leader, *batch, effort.window);
            rates.push(rate);
            costs.push(cost);
        }
    }
    let heads = ["proposals a round", "million commits/s", "processor time per commit, ns"];
    let mut table = Table::new(&heads);
    for (batch, cluster, _, rates, costs) in &figures {
        cluster.check();
        table.row(vec![batch.to_string(), rates.show(1e6), costs.show(1e-9)]);
    }
    table.print();
    println!("\nmedian [range] of {} rounds of {:?} each", effort.rounds, effort.window);
    machine.conclude();
}

/// Commits per second, and seconds of processor time per commit.
fn window(cluster: &mut Cluster, leader: usize, batch: u64, span: Duration) -> (f64, f64) {
    let (began, before, spent) = (Instant::now(), cluster.proposed(), measuring::thread_seconds());
    while began.elapsed() < span {
        for _ in 0..16 {
            cluster.round(leader, batch);
        }
        // Time passes for the leader's heartbeats, too.
        cluster.tick();
    }
    let proposed = (cluster.proposed() - before) as f64;
    (proposed / began.elapsed().as_secs_f64(), (measuring::thread_seconds() - spent) / proposed)
}
