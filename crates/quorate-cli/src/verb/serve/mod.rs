//! `quorate serve`: one server in the foreground, with etcd's flag names.
//!
//! A flag wins over `QUORATE_…`, which wins over `ETCD_…`. Flags of etcd that cannot make a difference
//! here are accepted and said to be without effect; flags that would have to make one are refused.

mod refusal;
#[cfg(test)]
mod tests;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use clap::Args;
use quorate_server::{AutoCompaction, QUOTA_BYTES, Server, ServerConfig};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use crate::environment::{self, Prefix};
use crate::failure::{Exit, Failure};
use crate::runtime;

const AFTER_HELP: &str = "\
Every flag can be given as an environment variable, too: QUORATE_DATA_DIR or ETCD_DATA_DIR for
--data-dir. A flag wins over QUORATE_.., which wins over ETCD_...

A cluster is founded once, when every node of --initial-cluster answers and is empty. From then
on the data directories know who they are; a wiped directory is a new node, never the old one.";

/// Flags of etcd that are accepted, each with the reason why it makes no difference.
const WITHOUT_EFFECT: [(&str, &str); 5] = [
    ("initial-cluster-state", "a node finds out by itself whether its cluster exists"),
    ("initial-cluster-token", "the id of a cluster is drawn at random when it is founded"),
    ("pre-vote", "an election always starts with a dry run"),
    ("logger", "there is one form of log"),
    ("log-outputs", "what the server says goes to standard error"),
];

/// Flags of a server; `None` means not given.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Arguments {
    /// Name of this node among people [default: default]
    #[arg(long)]
    name: Option<String>,
    /// Directory that holds everything the node must not lose [default: NAME.quorate]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// Where clients are served [default: http://127.0.0.1:2379]
    #[arg(long, value_name = "URL,..")]
    listen_client_urls: Option<String>,
    /// Where clients are told to come; as of the founding [default: where they are served]
    #[arg(long, value_name = "URL,..")]
    advertise_client_urls: Option<String>,
    /// Where the other nodes are listened to [default: http://127.0.0.1:2380]
    #[arg(long, value_name = "URL")]
    listen_peer_urls: Option<String>,
    /// Where the other nodes are told to come [default: where they are listened to]
    #[arg(long, value_name = "URL")]
    initial_advertise_peer_urls: Option<String>,
    /// The nodes that found the cluster [default: this node alone]
    #[arg(long, value_name = "NAME=URL,..")]
    initial_cluster: Option<String>,
    /// Time between a leader's signs of life, in milliseconds [default: 100]
    #[arg(long, value_name = "MS")]
    heartbeat_interval: Option<String>,
    /// Shortest wait for a leader before an election, in milliseconds; drawn up to twice that
    /// [default: 300]
    #[arg(long, value_name = "MS")]
    election_timeout: Option<String>,
    /// Largest request, in bytes [default: 1572864]
    #[arg(long, value_name = "BYTES")]
    max_request_bytes: Option<String>,
    /// Executed entries after which a snapshot is taken and the log begins after it; 256 MiB of them
    /// are enough, unless the newest snapshot is larger [default: 500000]
    #[arg(long, value_name = "N")]
    snapshot_count: Option<String>,
    /// Bytes that the store may have before writes are refused; 0 for the default, below zero for
    /// no limit [default: 8589934592]
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true)]
    quota_backend_bytes: Option<String>,
    /// What --auto-compaction-retention counts: periodic or revision [default: periodic]
    #[arg(long, value_name = "MODE")]
    auto_compaction_mode: Option<String>,
    /// History to keep when the leader compacts without being asked: hours or a time such as 30m,
    /// or a number of revisions; 0 for never [default: 0]
    #[arg(long, value_name = "TIME|N")]
    auto_compaction_retention: Option<String>,
    /// Connections of clients that are served at the same time [default: 16384]
    #[arg(long, value_name = "COUNT")]
    max_client_connections: Option<String>,
    /// What is worth saying: error, warn, info, debug or trace [default: info]
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
    #[arg(long, hide = true)]
    initial_cluster_state: Option<String>,
    #[arg(long, hide = true)]
    initial_cluster_token: Option<String>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "")]
    pre_vote: Option<String>,
    #[arg(long, hide = true)]
    logger: Option<String>,
    #[arg(long, hide = true)]
    log_outputs: Option<String>,
    /// For a process that must not outlive the one that started it.
    #[arg(long, hide = true)]
    stop_when_input_closes: bool,
}

/// What the flags and the environment say together.
struct Start {
    config: ServerConfig,
    log_level: String,
    /// Flags that were given and make no difference, each with the reason.
    without_effect: Vec<(&'static str, &'static str)>,
    stop_when_input_closes: bool,
}

impl Arguments {
    fn settle(self, lookup: impl Fn(&str) -> Option<String>) -> Result<Start, Failure> {
        let pick = |given: Option<String>, flag: &str| given.or_else(|| lookup(flag));
        let given = [
            self.initial_cluster_state.is_some(),
            self.initial_cluster_token.is_some(),
            self.pre_vote.is_some(),
            self.logger.is_some(),
            self.log_outputs.is_some(),
        ];
        let without_effect =
            WITHOUT_EFFECT.into_iter().zip(given).filter(|(_, given)| *given).map(|(flag, _)| flag);
        let without_effect = without_effect.collect();
        let name = pick(self.name, "name").unwrap_or_else(|| "default".to_owned());
        let data_dir = pick(self.data_dir, "data-dir");
        let data_dir = data_dir.unwrap_or_else(|| format!("{name}.quorate"));
        let mut config = ServerConfig::new(name, PathBuf::from(data_dir));
        if let Some(urls) = pick(self.listen_client_urls, "listen-client-urls") {
            config.listen_client_urls = list(&urls);
        }
        if let Some(urls) = pick(self.advertise_client_urls, "advertise-client-urls") {
            config.advertise_client_urls = list(&urls);
        }
        if let Some(urls) = pick(self.listen_peer_urls, "listen-peer-urls") {
            config.listen_peer_url = one("listen-peer-urls", &urls)?;
        }
        let flag = "initial-advertise-peer-urls";
        if let Some(urls) = pick(self.initial_advertise_peer_urls, flag) {
            config.advertise_peer_url = Some(one(flag, &urls)?);
        }
        if let Some(cluster) = pick(self.initial_cluster, "initial-cluster") {
            config.initial_cluster = cluster;
        }
        let milliseconds = |given, flag: &str| -> Result<Option<Duration>, Failure> {
            let number = pick(given, flag).map(|text| number(flag, &text)).transpose()?;
            Ok(number.map(Duration::from_millis))
        };
        config.heartbeat_interval = milliseconds(self.heartbeat_interval, "heartbeat-interval")?;
        config.election_timeout = milliseconds(self.election_timeout, "election-timeout")?;
        if let Some(bytes) = pick(self.max_request_bytes, "max-request-bytes") {
            let bytes = number("max-request-bytes", &bytes)?;
            config.max_request_bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        }
        if let Some(count) = pick(self.snapshot_count, "snapshot-count") {
            config.snapshot_count = Some(number("snapshot-count", &count)?);
        }
        if let Some(bytes) = pick(self.quota_backend_bytes, "quota-backend-bytes") {
            config.quota_backend_bytes = quota(&bytes)?;
        }
        let mode = pick(self.auto_compaction_mode, "auto-compaction-mode").unwrap_or_default();
        let retention = pick(self.auto_compaction_retention, "auto-compaction-retention");
        let retention = retention.as_deref().unwrap_or("0");
        config.auto_compaction = AutoCompaction::parse(&mode, retention)
            .map_err(|error| refusal::explain(&error.into()))?;
        if let Some(count) = pick(self.max_client_connections, "max-client-connections") {
            let count = number("max-client-connections", &count)?;
            config.max_connections = usize::try_from(count).unwrap_or(usize::MAX);
        }
        let log_level = pick(self.log_level, "log-level").unwrap_or_else(|| "info".to_owned());
        let stop_when_input_closes = self.stop_when_input_closes;
        Ok(Start { config, log_level, without_effect, stop_when_input_closes })
    }
}

fn list(text: &str) -> Vec<String> {
    text.split(',').map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

/// The one URL of a flag that etcd lets hold several.
fn one(flag: &str, text: &str) -> Result<String, Failure> {
    match list(text).as_slice() {
        [url] => Ok(url.clone()),
        urls => Err(Failure::usage(
            format!("--{flag} has {} addresses: {text:?}", urls.len()),
            "a node talks to the others at one address",
            format!("--{flag} http://HOST:PORT; to listen on every interface, http://0.0.0.0:PORT"),
        )),
    }
}

/// A quota as etcd's flag has it: none below zero, the default for zero.
fn quota(text: &str) -> Result<Option<u64>, Failure> {
    match text.trim().parse::<i64>() {
        Ok(0) => Ok(Some(QUOTA_BYTES)),
        Ok(bytes) => Ok(u64::try_from(bytes).ok()),
        Err(_) => Err(Failure::usage(
            format!("--quota-backend-bytes is {text:?}"),
            "it must be a number of bytes, without a unit",
            "--quota-backend-bytes 8589934592; 0 for the default, -1 for no limit",
        )),
    }
}

fn number(flag: &str, text: &str) -> Result<u64, Failure> {
    text.trim().parse().ok().filter(|number| *number > 0).ok_or_else(|| {
        Failure::usage(
            format!("--{flag} is {text:?}"),
            "it must be a number above zero, without a unit",
            format!("--{flag} 500"),
        )
    })
}

pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    let start = arguments.settle(|flag| environment::value(Prefix::Server, flag))?;
    for (flag, why) in &start.without_effect {
        eprintln!("note: --{flag} makes no difference: {why}");
    }
    log_to_standard_error(&start.log_level)?;
    runtime::single_threaded()?.block_on(async {
        let shutdown = shutdown(start.stop_when_input_closes)?;
        let server = Server::start(start.config).await.map_err(|error| refusal::explain(&error))?;
        server.run_until(shutdown).await.map_err(|error| refusal::explain(&error))
    })
}

fn log_to_standard_error(level: &str) -> Result<(), Failure> {
    // etcd's own words for its two quietest levels.
    let level = if matches!(level, "panic" | "fatal") { "error" } else { level };
    let level: tracing::level_filters::LevelFilter = level.parse().map_err(|_| {
        Failure::new(
            Exit::Start,
            format!("--log-level is {level:?}"),
            "it is no level that is known",
            "--log-level error, warn, info, debug or trace",
        )
    })?;
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal() && !no_color)
        .init();
    Ok(())
}

/// Ends when the server is told to stop: by a signal, or by the end of its input where asked for.
fn shutdown(when_input_closes: bool) -> Result<impl Future<Output = ()>, Failure> {
    let listen = |kind| {
        signal(kind).map_err(|error| {
            Failure::new(
                Exit::Start,
                format!("cannot listen for signals: {error}"),
                "the system is out of resources",
                "raise the limits of the process and start it again",
            )
        })
    };
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    let closed = when_input_closes.then(input_closes);
    Ok(async move {
        let closed = async {
            match closed {
                Some(closed) => drop(closed.await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = interrupt.recv() => tracing::info!("stops: interrupted"),
            _ = terminate.recv() => tracing::info!("stops: asked to terminate"),
            () = closed => tracing::info!("stops: whoever started it is gone"),
        }
    })
}

/// Reads standard input to its end, on a thread of its own, because such a read blocks.
fn input_closes() -> oneshot::Receiver<()> {
    let (sender, receiver) = oneshot::channel();
    thread::spawn(move || {
        // An error means that there is nobody at the other end, too.
        drop(std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink()));
        drop(sender);
    });
    receiver
}
