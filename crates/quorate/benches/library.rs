//! What the embedded library costs: three nodes in one process, with data directories in memory.
//!
//! `cargo bench -p quorate --bench library [-- --short] [--callers N] [--bytes N]`: each caller is a
//! task that proposes one command, awaits its reply, and proposes the next; callers share a runtime
//! of one thread. The nodes run as servers would, with threads of their own over loopback, and as
//! tasks of one thread, connected in memory. The second, with empty commands, is what openraft's
//! minimal benchmark measures, except that its nodes call each other as functions and encode
//! nothing. `peers/` runs both in the same minutes.

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

mod embedded;
#[path = "../../../benches/measuring.rs"]
mod measuring;

use std::collections::BTreeMap;

use embedded::{Cluster, Kind, runtime, window};
use measuring::{Effort, Machine, Samples, Table, significant};

const CALLERS: [usize; 5] = [1, 64, 256, 1024, 4096];

fn main() {
    let effort = Effort::from_arguments(5, 2000);
    let callers = measuring::number("--callers").map(|callers| callers as usize);
    let callers: Vec<usize> = callers.map_or_else(|| CALLERS.to_vec(), |callers| vec![callers]);
    let sizes = measuring::number("--bytes");
    let sizes = sizes.map_or_else(|| vec![0, 256], |bytes| vec![bytes as usize]);
    let kinds = match measuring::value("--nodes").as_deref() {
        Some("threads") => vec![Kind::Threads],
        Some("tasks") => vec![Kind::Tasks],
        _ => vec![Kind::Tasks, Kind::Threads],
    };
    let machine = Machine::introduce("three nodes in one process, without disk");
    let mut figures: BTreeMap<(Kind, usize, usize), (Samples, Samples)> = BTreeMap::new();
    let runtime = runtime();
    for _ in 0..effort.rounds {
        for &kind in &kinds {
            // A cluster per round: the log in memory keeps everything.
            let cluster = Cluster::new(kind);
            for (bytes, callers) in each(&sizes, &callers) {
                let run = window(&cluster.nodes[0], callers, bytes, effort.window);
                let (rate, spent) = runtime.block_on(run);
                let (rates, costs) = figures.entry((kind, bytes, callers)).or_default();
                rates.push(rate);
                costs.push(spent);
            }
            cluster.shutdown();
        }
    }
    let heads = ["nodes", "bytes", "callers", "calls/s", "ns/call", "CPU us/call"];
    let mut table = Table::new(&heads);
    for ((kind, bytes, callers), (rates, costs)) in &figures {
        let kind = match kind {
            Kind::Threads => "threads, loopback",
            Kind::Tasks => "tasks, in memory",
        };
        let cells = [kind.to_owned(), bytes.to_string(), callers.to_string(), rates.show(1.0)];
        let rest = [significant(1e9 / rates.median()), costs.show(1e-6)];
        table.row(cells.into_iter().chain(rest).collect());
    }
    table.print();
    println!(
        "\nmedian [range] of {} interleaved rounds of {:?} each",
        effort.rounds, effort.window
    );
    machine.conclude();
}

fn each(sizes: &[usize], callers: &[usize]) -> Vec<(usize, usize)> {
    let with = |&bytes: &usize| callers.iter().map(move |&callers| (bytes, callers));
    sizes.iter().flat_map(with).collect()
}
