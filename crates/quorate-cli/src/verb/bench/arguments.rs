//! The flags of `quorate bench`.

use std::time::Duration;

use clap::{Args, ValueEnum};

use super::load::{Operation, Shape};
use crate::connection::parse_time;
use crate::failure::Failure;

const AFTER_HELP: &str = "\
Examples:
  quorate bench                                     puts, 64 clients, against a cluster of its own
  quorate bench get --clients 256 --endpoints 127.0.0.1:2379,127.0.0.1:22379,127.0.0.1:32379
  quorate bench put --rate 5000                     a fixed rate: latency counts from when each was due
  quorate bench put --rate 5000 --catch-up 1000000  a server misses a million entries and comes back
  quorate bench put --compare HOST:1,HOST:2,HOST:3 --with HOST:4,HOST:5,HOST:6
                                                    two clusters in turns, and their ratios

Any server that speaks the etcd v3 API will do. The load goes to the leader unless --target says
otherwise. On a shared machine, trust the ratios of --compare more than any figure alone.";

/// What to measure.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Arguments {
    /// What the clients do
    #[arg(value_enum, default_value = "put")]
    operation: What,
    /// Servers to load; without any, a cluster is started in a temporary directory
    #[arg(long, value_name = "HOST:PORT,..", value_delimiter = ',')]
    pub(super) endpoints: Vec<String>,
    /// Number of servers of a cluster that is started for the measurement
    #[arg(long, default_value_t = 3, value_parser = parse_nodes, conflicts_with = "endpoints")]
    pub(super) nodes: usize,
    /// Which of them get the load
    #[arg(long, value_enum, default_value = "leader")]
    pub(super) target: Target,
    /// Requests under way at the same time
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    clients: u32,
    /// Connections that the clients share
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    connections: u32,
    /// Bytes of a value
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(0..=1_500_000))]
    value_bytes: u32,
    /// Number of keys
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=9_999_999))]
    keys: u64,
    /// Read from what the server holds itself, without asking the others
    #[arg(long)]
    serializable: bool,
    /// Reads among a hundred requests of `mixed`
    #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u32).range(0..=100))]
    reads: u32,
    /// Requests per second of all clients; without it each client sends when it has its answer
    #[arg(long, value_name = "PER_SECOND", value_parser = parse_rate)]
    rate: Option<f64>,
    /// How long to measure
    #[arg(long, default_value = "10s", value_name = "TIME", value_parser = parse_time)]
    pub(super) duration: Duration,
    /// How long to load before measuring
    #[arg(long, default_value = "2s", value_name = "TIME", value_parser = parse_time)]
    pub(super) warm_up: Duration,
    /// Processes of the servers, to count their processor time
    #[arg(long, value_name = "PID,..", value_delimiter = ',')]
    pub(super) pids: Vec<u32>,
    /// A cluster to compare with the one of --with, in windows that take turns
    #[arg(
        long,
        value_name = "HOST:PORT,..",
        value_delimiter = ',',
        requires = "with",
        conflicts_with = "endpoints"
    )]
    pub(super) compare: Vec<String>,
    /// The other cluster
    #[arg(long, value_name = "HOST:PORT,..", value_delimiter = ',', requires = "compare")]
    pub(super) with: Vec<String>,
    /// Processes of the other cluster
    #[arg(long, value_name = "PID,..", value_delimiter = ',', requires = "with")]
    pub(super) with_pids: Vec<u32>,
    /// Windows for each of two clusters; together they take --duration
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(2..=1000))]
    pub(super) windows: u32,
    /// Show what each kind of thread of the servers costs
    #[arg(long, conflicts_with = "compare")]
    pub(super) threads: bool,
    /// At the end, kill all servers and measure how long they take to serve again
    #[arg(long, conflicts_with_all = ["compare", "endpoints"])]
    pub(super) restart: bool,
    /// At the end, kill a server, let it miss so many entries under the same load, start it again, and
    /// measure how long it takes to be back and what the clients notice
    #[arg(
        long,
        value_name = "ENTRIES",
        value_parser = clap::value_parser!(u64).range(1..),
        conflicts_with_all = ["compare", "endpoints"]
    )]
    pub(super) catch_up: Option<u64>,
    /// Measure one sync of the disk and one round trip over loopback as well, in turns with the load
    #[arg(long, conflicts_with_all = ["compare", "endpoints"])]
    pub(super) floor: bool,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Kinds of load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    Put,
    Get,
    Mixed,
}

/// Which servers get the load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Target {
    /// The leader alone
    Leader,
    /// Servers that do not lead
    Followers,
    /// All of them
    All,
}

impl Arguments {
    pub(super) fn shape(&self) -> Result<Shape, Failure> {
        if self.serializable && self.operation != What::Get {
            return Err(Failure::usage(
                "--serializable belongs to reads",
                "writes and mixed loads have no such choice",
                "quorate bench get --serializable",
            ));
        }
        let operation = match self.operation {
            What::Put => Operation::Put,
            What::Get => Operation::Get { serializable: self.serializable },
            What::Mixed => Operation::Mixed { reads: self.reads },
        };
        Ok(Shape {
            operation,
            clients: self.clients as usize,
            connections: self.connections as usize,
            value_bytes: self.value_bytes as usize,
            keys: self.keys,
            rate: self.rate,
        })
    }
}

fn parse_nodes(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(nodes) if (1..=9).contains(&nodes) => Ok(nodes),
        _ => Err("a cluster for a measurement has 1 to 9 servers".to_owned()),
    }
}

fn parse_rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if (0.1..=10_000_000.0).contains(&rate) => Ok(rate),
        _ => Err("a rate is a number of requests per second, 0.1 to 10000000".to_owned()),
    }
}
