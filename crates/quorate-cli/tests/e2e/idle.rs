//! What an idle cluster costs.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::Cluster;

/// Ticks of `/proc/PID/stat` in a second.
const TICKS: f64 = 100.0;
const MEASURED: Duration = Duration::from_secs(5);
/// The aim is one hundredth; the limit is loose, because other tests run at the same time and a
/// machine without much to do runs slowly.
const LIMIT: f64 = 0.05;

#[test]
fn an_idle_cluster_uses_close_to_no_processor_time() {
    let cluster = Cluster::start(3);
    let ids: Vec<u32> = cluster.processes.iter().flatten().map(|process| process.id()).collect();
    let before: Vec<f64> = ids.iter().map(|id| seconds_used(*id)).collect();
    let started = Instant::now();
    // A span is what is measured here; nothing is waited for.
    thread::sleep(MEASURED);
    for (id, before) in ids.iter().zip(before) {
        let share = (seconds_used(*id) - before) / started.elapsed().as_secs_f64();
        println!("soak: an idle server used {:.2} % of a core", share * 100.0);
        assert!(share < LIMIT, "an idle server used {:.1} % of a core", share * 100.0);
    }
}

/// Processor time of a process, its own and the system's on its behalf.
fn seconds_used(id: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks = |at: usize| fields[at].parse::<f64>().unwrap();
    (ticks(11) + ticks(12)) / TICKS
}
