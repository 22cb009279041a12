//! What each kind of thread of the servers costs per request: where the time of a put goes.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::io;

use serde_json::{Value, json};

/// What the threads of one name had used up at one moment, all servers together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Thread {
    /// Nanoseconds on a processor.
    nanos: u64,
    /// How often it slept and was woken.
    wakes: u64,
}

/// Threads by name.
pub(super) type Threads = BTreeMap<String, Thread>;

/// Reads the figures of all threads of these processes.
pub(super) fn read(servers: &[u32]) -> io::Result<Threads> {
    let mut threads = Threads::new();
    for server in servers {
        for task in fs::read_dir(format!("/proc/{server}/task"))? {
            let task = task?.path();
            // A thread may end while it is looked at.
            let Ok(name) = fs::read_to_string(task.join("comm")) else { continue };
            let Ok(schedule) = fs::read_to_string(task.join("schedstat")) else { continue };
            let Ok(status) = fs::read_to_string(task.join("status")) else { continue };
            let thread = threads.entry(name.trim().to_owned()).or_default();
            thread.nanos += nanos(&schedule);
            thread.wakes += wakes(&status);
        }
    }
    Ok(threads)
}

/// Adds what was used between two readings to a sum.
pub(super) fn add(sum: &mut Threads, before: &Threads, after: &Threads) {
    for (name, after) in after {
        let before = before.get(name).copied().unwrap_or_default();
        let thread = sum.entry(name.clone()).or_default();
        thread.nanos += after.nanos.saturating_sub(before.nanos);
        thread.wakes += after.wakes.saturating_sub(before.wakes);
    }
}

/// Nanoseconds on a processor, the first figure of `schedstat`.
fn nanos(schedule: &str) -> u64 {
    schedule.split_whitespace().next().and_then(|field| field.parse().ok()).unwrap_or_default()
}

fn wakes(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    line.and_then(|field| field.trim().parse().ok()).unwrap_or_default()
}

/// A line for each name, the costliest first.
pub(super) fn table(threads: &Threads, requests: u64) -> String {
    let each = |sum: u64| sum as f64 / requests.max(1) as f64;
    let mut all: Vec<_> = threads.iter().collect();
    all.sort_by_key(|(_, thread)| core::cmp::Reverse(thread.nanos));
    let mut text = format!("{:28}{:>14}{:>14}\n", "threads of all servers", "CPU us", "wake-ups");
    for (name, thread) in all {
        let micros = each(thread.nanos) / 1e3;
        writeln!(text, "{name:28}{micros:>14.2}{:>14.3}", each(thread.wakes))
            .expect("a string grows");
    }
    text
}

pub(super) fn as_json(threads: &Threads, requests: u64) -> Value {
    let each = |sum: u64| sum as f64 / requests.max(1) as f64;
    let all = threads.iter().map(|(name, thread)| {
        let figures = json!({
            "micros_per_request": each(thread.nanos) / 1e3,
            "wakes_per_request": each(thread.wakes),
        });
        (name.clone(), figures)
    });
    Value::Object(all.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_found_in_what_the_kernel_writes() {
        assert_eq!(nanos("123456 789 10\n"), 123_456);
        let status = "Name:\tx\nvoluntary_ctxt_switches:\t42\nnonvoluntary_ctxt_switches:\t7\n";
        assert_eq!(wakes(status), 42);
    }

    #[test]
    fn threads_of_one_name_are_one_line_and_only_the_difference_counts() {
        let threads = |nanos, wakes| Threads::from([("a".to_owned(), Thread { nanos, wakes })]);
        let mut sum = Threads::new();
        add(&mut sum, &threads(1000, 5), &threads(3000, 9));
        add(&mut sum, &Threads::new(), &threads(2000, 2));
        assert_eq!(sum, threads(4000, 6));
        assert!(table(&sum, 2).contains("2.00         3.000"), "{}", table(&sum, 2));
        assert_eq!(as_json(&sum, 2)["a"]["wakes_per_request"], 3.0);
    }

    #[test]
    fn the_threads_of_this_process_can_be_read() {
        assert!(!read(&[std::process::id()]).unwrap().is_empty());
    }
}
