//! What a measurement is printed as: a table for people, JSON for programs.

use std::fmt::Write;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use super::floor::Floor;
use super::load::{Operation, Shape, Window};
use super::meter::Used;
use super::threads::{self, Threads};

/// Everything that one cluster showed.
#[derive(Clone, Debug)]
pub(super) struct Measured {
    pub(super) window: Window,
    pub(super) used: Used,
    /// Whether the processes of the servers are known.
    pub(super) servers_known: bool,
    /// Resident memory of the largest server, in bytes.
    pub(super) memory: Option<u64>,
    pub(super) threads: Threads,
}

impl Measured {
    pub(super) fn new(servers_known: bool) -> Self {
        let (window, used) = (Window::new(), Used::default());
        Self { window, used, servers_known, memory: None, threads: Threads::new() }
    }

    fn millis(&self, quantile: f64) -> f64 {
        self.window.latencies.value_at_quantile(quantile) as f64 / 1e3
    }

    /// Requests that ended, one way or the other.
    pub(super) fn requests(&self) -> u64 {
        self.window.latencies.len() + self.errors()
    }

    fn errors(&self) -> u64 {
        self.window.errors.values().sum()
    }

    /// Microseconds of processor time per request.
    fn micros_each(&self, seconds: f64) -> f64 {
        seconds * 1e6 / self.requests().max(1) as f64
    }

    pub(super) fn p99(&self) -> f64 {
        self.millis(0.99)
    }

    /// Microseconds of the servers' processor time per request, where their processes are known.
    pub(super) fn server_micros(&self) -> Option<f64> {
        self.servers_known.then(|| self.micros_each(self.used.servers))
    }

    /// Processors' worth of work that was neither ours nor the servers'.
    fn others(&self) -> f64 {
        self.used.others / self.used.wall.max(1e-9)
    }

    /// What disk and network took by themselves, and how many times that a request took: microseconds
    /// in the middle of all.
    pub(super) fn above(&self, floor: &Floor) -> Value {
        let micros = |all: &Histogram<u64>| all.value_at_quantile(0.5) as f64 / 1e3;
        json!({
            "sync_p50_us": micros(&floor.syncs),
            "second_of_three_syncs_p50_us": micros(&floor.quorums),
            "round_trip_p50_us": micros(&floor.trips),
            "p50_ratio": self.millis(0.5) * 1e3 / floor.micros(0.5),
        })
    }

    pub(super) fn as_json(&self) -> Value {
        let errors: Vec<Value> = self
            .window
            .errors
            .iter()
            .map(|(error, count)| json!({ "error": error.to_string(), "count": count }))
            .collect();
        json!({
            "requests": self.window.answered,
            "seconds": self.window.length.as_secs_f64(),
            "per_second": self.window.rate(),
            "p50_ms": self.millis(0.5),
            "p99_ms": self.p99(),
            "p999_ms": self.millis(0.999),
            "max_ms": self.window.latencies.max() as f64 / 1e3,
            "errors": errors,
            "own_micros_per_request": self.micros_each(self.used.own),
            "server_micros_per_request": self.server_micros(),
            "other_processors_busy": if self.servers_known { Some(self.others()) } else { None },
            "largest_server_bytes": self.memory,
            "threads": threads::as_json(&self.threads, self.requests()),
        })
    }
}

/// What was done, in words.
pub(super) fn title(shape: &Shape) -> String {
    let operation = match shape.operation {
        Operation::Put => "put".to_owned(),
        Operation::Get { serializable: false } => "get, linearizable".to_owned(),
        Operation::Get { serializable: true } => "get, serializable".to_owned(),
        Operation::Mixed { reads } => format!("mixed, {reads} % linearizable gets"),
    };
    let pace = match shape.rate {
        Some(rate) => format!("{rate} requests per second"),
        None => "closed loop".to_owned(),
    };
    format!(
        "{operation}; {} clients on {} connections, {pace}, values of {} bytes, {} keys",
        shape.clients,
        shape.connections.min(shape.clients),
        shape.value_bytes,
        shape.keys
    )
}

/// What [`Measured::above`] found, for people.
pub(super) fn above(found: &Value) -> String {
    let number = |name: &str| found[name].as_f64().unwrap_or_default();
    format!(
        "one sync takes {:.0} us and one round trip over loopback {:.0} us, a request {:.2} times both;\n\
         the second of three syncs on this disk at the same time takes {:.0} us",
        number("sync_p50_us"),
        number("round_trip_p50_us"),
        number("p50_ratio"),
        number("second_of_three_syncs_p50_us")
    )
}

/// A table with a column per cluster.
pub(super) fn table(columns: &[(&str, &Measured)]) -> String {
    let mut text = String::new();
    row(&mut text, "", columns, |name, _| name.to_owned());
    row(&mut text, "requests per second", columns, |_, all| format!("{:.0}", all.window.rate()));
    for (name, quantile) in [("p50 ms", 0.5), ("p99 ms", 0.99), ("p99.9 ms", 0.999)] {
        row(&mut text, name, columns, |_, all| format!("{:.2}", all.millis(quantile)));
    }
    row(&mut text, "max ms", columns, |_, all| {
        format!("{:.2}", all.window.latencies.max() as f64 / 1e3)
    });
    row(&mut text, "errors", columns, |_, all| all.errors().to_string());
    row(&mut text, "own CPU us per request", columns, |_, all| {
        format!("{:.1}", all.micros_each(all.used.own))
    });
    let or_dash = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    row(&mut text, "server CPU us per request", columns, |_, all| {
        or_dash(all.server_micros().map(|micros| format!("{micros:.1}")))
    });
    row(&mut text, "largest server MiB", columns, |_, all| {
        or_dash(all.memory.map(|bytes| format!("{:.1}", bytes as f64 / f64::from(1 << 20))))
    });
    row(&mut text, "processors busy elsewhere", columns, |_, all| {
        or_dash(all.servers_known.then(|| format!("{:.2}", all.others())))
    });
    for (name, all) in columns {
        for (error, count) in &all.window.errors {
            writeln!(text, "{count} of {name}: {error}").expect("a string grows");
        }
    }
    text
}

fn row(
    text: &mut String,
    name: &str,
    columns: &[(&str, &Measured)],
    cell: impl Fn(&str, &Measured) -> String,
) {
    write!(text, "{name:28}").expect("a string grows");
    for (column, all) in columns {
        write!(text, "{:>14}", cell(column, all)).expect("a string grows");
    }
    text.push('\n');
}
