//! Processor time and memory of processes, and how busy the machine was with anything else.

use std::fs;
use std::io;
use std::time::Instant;

/// What had been used up at one moment.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    at: Instant,
    own: f64,
    servers: f64,
    busy: f64,
}

/// What was used between two readings, in seconds of processor time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Used {
    /// Wall time.
    pub(super) wall: f64,
    /// By this process.
    pub(super) own: f64,
    /// By the servers.
    pub(super) servers: f64,
    /// By anything else on the machine.
    pub(super) others: f64,
}

impl Used {
    pub(super) fn add(&mut self, other: Self) {
        self.wall += other.wall;
        self.own += other.own;
        self.servers += other.servers;
        self.others += other.others;
    }
}

/// Reads the figures of this process, of the servers, and of the machine.
pub(super) fn read(servers: &[u32]) -> io::Result<Reading> {
    let mut of_servers = 0.0;
    for server in servers {
        of_servers += process_seconds(&fs::read_to_string(format!("/proc/{server}/stat"))?);
    }
    Ok(Reading {
        at: Instant::now(),
        own: process_seconds(&fs::read_to_string("/proc/self/stat")?),
        servers: of_servers,
        busy: busy_seconds(&fs::read_to_string("/proc/stat")?),
    })
}

/// Processor time that this process has used, where the system tells.
pub(in crate::verb) fn own_seconds() -> Option<f64> {
    fs::read_to_string("/proc/self/stat").ok().map(|stat| process_seconds(&stat))
}

/// Resident memory of the largest of these processes, in bytes.
pub(super) fn largest_memory(servers: &[u32]) -> io::Result<u64> {
    let mut largest = 0;
    for server in servers {
        let text = fs::read_to_string(format!("/proc/{server}/status"))?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib: u64 =
            line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default();
        largest = largest.max(kib * 1024);
    }
    Ok(largest)
}

impl Reading {
    /// What was used since an earlier reading.
    pub(super) fn since(&self, earlier: &Self) -> Used {
        let (own, servers) = (self.own - earlier.own, self.servers - earlier.servers);
        Used {
            wall: (self.at - earlier.at).as_secs_f64(),
            own,
            servers,
            others: (self.busy - earlier.busy - own - servers).max(0.0),
        }
    }
}

/// User and system time in the text of `/proc/PID/stat`: the 12th and 13th field after the name,
/// which may hold anything and ends with the last parenthesis.
fn process_seconds(stat: &str) -> f64 {
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks =
        fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok());
    seconds(ticks.sum())
}

/// Time that all processors together were not idle, in the text of `/proc/stat`.
fn busy_seconds(stat: &str) -> f64 {
    let line = stat.lines().next().unwrap_or_default();
    let fields: Vec<u64> =
        line.split_whitespace().skip(1).filter_map(|field| field.parse().ok()).collect();
    // User, nice, system; idle, iowait; irq, softirq, steal; guests are counted in user.
    seconds(fields.iter().take(8).sum::<u64>() - fields.iter().skip(3).take(2).sum::<u64>())
}

fn seconds(ticks: u64) -> f64 {
    ticks as f64 / rustix::param::clock_ticks_per_second() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_process_is_found_behind_any_name() {
        let stat = "7 (a b) c) S 1 7 7 0 -1 4194560 1 2 3 4 150 50 0 0 20 0 1 0 5 6 7";
        let ticks = rustix::param::clock_ticks_per_second() as f64;
        assert!((process_seconds(stat) - 200.0 / ticks).abs() < 1e-9);
    }

    #[test]
    fn idle_time_is_not_busy() {
        let stat = "cpu  100 0 50 1000 30 0 5 15 7 0\ncpu0 1 2 3";
        let ticks = rustix::param::clock_ticks_per_second() as f64;
        assert!((busy_seconds(stat) - 170.0 / ticks).abs() < 1e-9);
    }

    #[test]
    fn this_process_and_machine_can_be_read() {
        let before = read(&[std::process::id()]).unwrap();
        let used = read(&[std::process::id()]).unwrap().since(&before);
        assert!(used.wall >= 0.0 && used.own >= 0.0 && used.others >= 0.0);
        assert!(largest_memory(&[std::process::id()]).unwrap() > 100_000);
    }
}
