//! Other consensus libraries and this one in the same benchmarks, in rounds that take turns.

#[allow(dead_code, reason = "shared with a benchmark that uses more of it")]
#[path = "../../crates/quorate/benches/embedded/mod.rs"]
mod embedded;
#[path = "../../benches/measuring.rs"]
mod measuring;
mod omni;
mod open;
mod raft_rs;
#[allow(dead_code, reason = "shared with a benchmark that uses more of it")]
#[path = "../../crates/quorate/benches/three/mod.rs"]
mod three;

use std::time::{Duration, Instant};

use measuring::{Effort, Machine, Samples, Table};

const USAGE: &str = "Usage: peers all|cores|library [--short] [--rounds N] [--window-ms N]
       peers fixed --library quorate|raft-rs|omnipaxos --batch N, to count its instructions
       library also takes [--callers N] and [--alone], which leaves the other library out";
const BATCHES: [u64; 3] = [1, 64, 1024];
const CALLERS: [usize; 5] = [1, 64, 256, 1024, 4096];

/// Three nodes in one thread.
trait Core {
    /// Proposes `batch` commands and goes on until all three nodes have executed them.
    fn round(&mut self, batch: u64);

    /// Lets a millisecond pass.
    fn tick(&mut self);

    /// Commands that every node executed.
    fn executed(&self) -> u64;
}

/// This library.
struct Ours {
    cluster: three::Cluster,
    leader: usize,
}

impl Ours {
    fn new() -> Self {
        let mut cluster = three::Cluster::new();
        let leader = cluster.elect();
        Self { cluster, leader }
    }
}

impl Core for Ours {
    fn round(&mut self, batch: u64) {
        self.cluster.round(self.leader, batch);
    }

    fn tick(&mut self) {
        self.cluster.tick();
    }

    fn executed(&self) -> u64 {
        self.cluster.executed()
    }
}

/// Commands executed by all three nodes per second, and seconds of processor time for each.
fn window(core: &mut dyn Core, batch: u64, span: Duration) -> (f64, f64) {
    let (began, before, spent) = (Instant::now(), core.executed(), measuring::thread_seconds());
    let mut proposed = 0;
    while began.elapsed() < span {
        for _ in 0..16 {
            core.round(batch);
        }
        proposed += 16 * batch;
        core.tick();
    }
    let elapsed = began.elapsed().as_secs_f64();
    let spent = measuring::thread_seconds() - spent;
    assert_eq!(core.executed() - before, proposed, "every node executed everything");
    (proposed as f64 / elapsed, spent / proposed as f64)
}

/// Proposals of a run whose instructions are counted, where `--proposals` says nothing else.
const FIXED: u64 = 65_536;

/// A fixed number of proposals of one library, and no time: for counting instructions from outside.
fn fixed() {
    let batch = measuring::number("--batch").unwrap_or(1);
    let mut core: Box<dyn Core> = match measuring::value("--library").as_deref() {
        Some("quorate") => Box::new(Ours::new()),
        Some("raft-rs") => Box::new(raft_rs::Cluster::new()),
        Some("omnipaxos") => Box::new(omni::Cluster::new()),
        _ => return println!("{USAGE}"),
    };
    for _ in 0..measuring::number("--proposals").unwrap_or(FIXED) / batch {
        core.round(batch);
    }
    println!("{} commands in rounds of {batch}", core.executed());
}

fn cores(effort: &Effort) {
    let machine = Machine::introduce("cores: three nodes in one thread, 256-byte proposals");
    let heads = [
        "proposals a round",
        "library",
        "million commits/s",
        "processor time per commit, ns",
        "Quorate takes less by",
    ];
    let mut table = Table::new(&heads);
    for batch in BATCHES {
        let mut all: [(&str, Box<dyn Core>); 3] = [
            ("Quorate", Box::new(Ours::new())),
            ("raft-rs 0.7, batch_append", Box::new(raft_rs::Cluster::new())),
            ("OmniPaxos 0.2", Box::new(omni::Cluster::new())),
        ];
        let [mut rates, mut costs, mut ratios] = [const { [const { Samples::new() }; 3] }; 3];
        for _ in 0..effort.rounds {
            let mut ours = f64::NAN;
            for (place, (_, core)) in all.iter_mut().enumerate() {
                let (rate, cost) = window(&mut **core, batch, effort.window);
                if place == 0 {
                    ours = cost;
                }
                rates[place].push(rate);
                costs[place].push(cost);
                ratios[place].push(cost / ours);
            }
        }
        for (place, (name, _)) in all.iter().enumerate() {
            let ratio = if place == 0 { "-".to_owned() } else { ratios[place].show(1.0) };
            let (rate, cost) = (rates[place].show(1e6), costs[place].show(1e-9));
            table.row(vec![batch.to_string(), (*name).to_owned(), rate, cost, ratio]);
        }
    }
    table.print();
    machine.conclude();
}

/// Both libraries at one number of callers.
#[derive(Default)]
struct Beside {
    ours: Samples,
    theirs: Samples,
    /// Of each round.
    ratios: Samples,
    /// Processor time of the whole process per call, in seconds.
    our_costs: Samples,
    their_costs: Samples,
}

fn library(effort: &Effort) {
    let machine = Machine::introduce("library: three nodes in one process, empty commands");
    let heads = [
        "callers",
        "Quorate calls/s",
        "openraft 0.10 calls/s",
        "Quorate is faster by",
        "CPU us/call",
        "openraft CPU us/call",
    ];
    let mut table = Table::new(&heads);
    let chosen = measuring::number("--callers").map(|callers| callers as usize);
    let callers = CALLERS.into_iter().filter(|callers| chosen.is_none_or(|one| one == *callers));
    let mut figures: Vec<_> = callers.map(|callers| (callers, Beside::default())).collect();
    let callers_runtime = embedded::runtime();
    for _ in 0..effort.rounds {
        // Clusters per round: the logs in memory keep everything.
        let ours = embedded::Cluster::new(embedded::Kind::Tasks);
        let peer = (!measuring::flag("--alone")).then(open::Cluster::new);
        for (callers, samples) in &mut figures {
            let run = embedded::window(&ours.nodes[0], *callers, 0, effort.window);
            let (rate, cost) = callers_runtime.block_on(run);
            samples.ours.push(rate);
            samples.our_costs.push(cost);
            let Some(peer) = &peer else { continue };
            let run = peer.window(*callers, effort.window);
            let (theirs, cost) = callers_runtime.block_on(run);
            samples.theirs.push(theirs);
            samples.their_costs.push(cost);
            samples.ratios.push(rate / theirs);
        }
        ours.shutdown();
        if let Some(peer) = peer {
            peer.shutdown();
        }
    }
    for (callers, samples) in &figures {
        let [ours, theirs] = [samples.ours.show(1.0), samples.theirs.show(1.0)];
        let costs = [samples.our_costs.show(1e-6), samples.their_costs.show(1e-6)];
        let cells = [callers.to_string(), ours, theirs, samples.ratios.show(1.0)];
        table.row(cells.into_iter().chain(costs).collect());
    }
    table.print();
    machine.conclude();
}

fn main() {
    let effort = Effort::from_arguments(7, 700);
    match std::env::args().nth(1).as_deref() {
        Some("cores") => cores(&effort),
        Some("library") => library(&effort),
        Some("fixed") => fixed(),
        Some("all") => {
            cores(&effort);
            println!();
            library(&effort);
        }
        _ => println!("{USAGE}"),
    }
}
