//! What the embedded library costs: three nodes in one process, as an application runs them, with
//! their threads and their TCP connections, and data directories in memory.
//!
//! `cargo bench -p quorate --bench library [-- --short] [--callers N] [--bytes N]`: each caller is a
//! task that proposes one empty command, awaits its reply, and proposes the next; callers share a
//! runtime of one thread. This is the shape of openraft's minimal benchmark, except that its nodes
//! call each other as functions and encode nothing. `peers/` runs both in the same minutes.

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

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use quorate::{Applying, Listening, Node, StateMachine};
use quorate_log::MemoryFs;
use tokio::runtime::{Builder, Runtime};

use measuring::{Effort, Machine, Samples, Table, significant};

const CALLERS: [usize; 5] = [1, 64, 256, 1024, 4096];

/// Counts commands.
#[derive(Default)]
struct Counter(u64);

impl StateMachine for Counter {
    type Command = Vec<u8>;
    type Reply = ();
    type Query = ();
    type Answer = u64;

    fn apply(&mut self, _: &Applying, _: Vec<u8>) {
        self.0 += 1;
    }

    fn query(&self, (): ()) -> u64 {
        self.0
    }
}

/// Three nodes; the leader comes first.
async fn cluster() -> Vec<Node<Counter>> {
    let sockets: Vec<Listening> = (0..3).map(|_| Listening::bind("127.0.0.1:0").unwrap()).collect();
    let peers: Vec<String> = sockets.iter().map(|socket| socket.address().to_string()).collect();
    let mut nodes = Vec::new();
    for (number, socket) in sockets.into_iter().enumerate() {
        let builder = Node::<Counter>::builder().listen_on(socket).join_or_form(peers.clone());
        let builder = builder.data_dir(format!("memory/{number}"));
        nodes.push(builder.start_on(MemoryFs::new(format!("memory/{number}"))).await.unwrap());
    }
    for node in &nodes {
        node.ready().await.unwrap();
    }
    let leads = nodes.iter().position(|node| node.leader() == Some(node.id())).unwrap();
    nodes.swap(0, leads);
    nodes
}

/// Calls per second, and processor time of the whole process per call, in seconds.
async fn window(node: &Node<Counter>, callers: usize, bytes: usize, span: Duration) -> (f64, f64) {
    let (done, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let client = node.client();
    let tasks: Vec<_> = (0..callers)
        .map(|_| {
            let (client, done, stop) = (client.clone(), Arc::clone(&done), Arc::clone(&stop));
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    client.call(vec![0x5A; bytes]).await.unwrap();
                    done.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    tokio::time::sleep(span / 5).await;
    let (began, before) = (Instant::now(), done.load(Ordering::Relaxed));
    let spent = measuring::own_seconds();
    tokio::time::sleep(span).await;
    let calls = (done.load(Ordering::Relaxed) - before) as f64;
    let (elapsed, spent) = (began.elapsed().as_secs_f64(), measuring::own_seconds() - spent);
    stop.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await.unwrap();
    }
    (calls / elapsed, spent / calls)
}

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

fn main() {
    let effort = Effort::from_arguments(5, 2000);
    let callers = measuring::number("--callers").map(|callers| callers as usize);
    let callers: Vec<usize> = callers.map_or_else(|| CALLERS.to_vec(), |callers| vec![callers]);
    let sizes = measuring::number("--bytes");
    let sizes = sizes.map_or_else(|| vec![0, 256], |bytes| vec![bytes as usize]);
    let machine = Machine::introduce("three nodes in one process, without disk, over loopback");
    let mut figures: BTreeMap<(usize, usize), (Samples, Samples)> = BTreeMap::new();
    let runtime = runtime();
    for _ in 0..effort.rounds {
        // A cluster per round: the log in memory keeps everything.
        let nodes = runtime.block_on(cluster());
        for &bytes in &sizes {
            for &callers in &callers {
                // Awaited in a task, so that the callers' thread is the one that measures, too.
                let (rate, spent) =
                    runtime.block_on(window(&nodes[0], callers, bytes, effort.window));
                let (rates, costs) = figures.entry((bytes, callers)).or_default();
                rates.push(rate);
                costs.push(spent);
            }
        }
        for node in nodes {
            runtime.block_on(node.shutdown()).unwrap();
        }
    }
    let mut table = Table::new(&["bytes", "callers", "calls/s", "ns/call", "CPU us/call"]);
    for ((bytes, callers), (rates, costs)) in &figures {
        let latency = significant(1e9 / rates.median());
        let cells = vec![bytes.to_string(), callers.to_string(), rates.show(1.0), latency];
        table.row(cells.into_iter().chain([costs.show(1e-6)]).collect());
    }
    table.print();
    let window = effort.window;
    println!("\nmedian [range] of {} interleaved rounds of {window:?} each", effort.rounds);
    machine.conclude();
}
