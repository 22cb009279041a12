//! Counters of the client port, and the text that monitoring reads, under etcd's names.
//!
//! Only what is really measured is there; a name of etcd's that this server cannot fill is left
//! out rather than filled with zeros. Each server has its own registry: several may run in a
//! process.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, text};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use quorate_kv::Stats;

use crate::backend::Standing;
use crate::route::METHODS;
use crate::{process, version};

/// gRPC's codes, from 0.
const CODES: [&str; 17] = [
    "OK",
    "Canceled",
    "Unknown",
    "InvalidArgument",
    "DeadlineExceeded",
    "NotFound",
    "AlreadyExists",
    "PermissionDenied",
    "ResourceExhausted",
    "FailedPrecondition",
    "Aborted",
    "OutOfRange",
    "Unimplemented",
    "Internal",
    "Unavailable",
    "DataLoss",
    "Unauthenticated",
];

/// Counters that the requests move.
#[derive(Debug)]
pub(crate) struct Metrics {
    methods: Vec<MethodCounters>,
    health_successes: AtomicU64,
    health_failures: AtomicU64,
    leader_changes: AtomicU64,
}

/// Counters of one gRPC method.
#[derive(Debug, Default)]
struct MethodCounters {
    started: AtomicU64,
    handled: [AtomicU64; CODES.len()],
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            methods: METHODS.iter().map(|_| MethodCounters::default()).collect(),
            health_successes: AtomicU64::new(0),
            health_failures: AtomicU64::new(0),
            leader_changes: AtomicU64::new(0),
        }
    }
}

impl Metrics {
    /// Counts a call of the method with this number.
    pub(crate) fn started(&self, method: usize) {
        self.methods[method].started.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts the answer to a call; a stream counts with the code that it began with.
    pub(crate) fn handled(&self, method: usize, code: i32) {
        let code = usize::try_from(code).ok().filter(|&code| code < CODES.len()).unwrap_or(2);
        self.methods[method].handled[code].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts an answer of `/health`.
    pub(crate) fn health(&self, healthy: bool) {
        let counter = if healthy { &self.health_successes } else { &self.health_failures };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a change of the leader as this member sees it.
    pub(crate) fn leader_changed(&self) {
        self.leader_changes.fetch_add(1, Ordering::Relaxed);
    }

    /// Everything as text, in the OpenMetrics format.
    ///
    /// # Errors
    ///
    /// When the text cannot be made.
    pub(crate) fn text(
        &self,
        standing: Standing,
        stats: Option<Stats>,
        incoming_bytes: usize,
    ) -> Result<String, fmt::Error> {
        let mut registry = Registry::default();
        let incoming_bytes = u64::try_from(incoming_bytes).unwrap_or(u64::MAX);
        registry.register_collector(Box::new(self.snapshot(standing, stats, incoming_bytes)));
        let mut out = String::new();
        text::encode(&mut out, &registry)?;
        Ok(out)
    }

    /// The counters at this moment.
    fn snapshot(&self, standing: Standing, stats: Option<Stats>, incoming_bytes: u64) -> Snapshot {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let methods = self
            .methods
            .iter()
            .map(|method| (load(&method.started), method.handled.each_ref().map(load)))
            .collect();
        Snapshot {
            methods,
            health_successes: load(&self.health_successes),
            health_failures: load(&self.health_failures),
            leader_changes: load(&self.leader_changes),
            standing,
            stats,
            incoming_bytes,
        }
    }
}

/// Everything that is reported, at one moment.
#[derive(Debug)]
struct Snapshot {
    methods: Vec<(u64, [u64; CODES.len()])>,
    health_successes: u64,
    health_failures: u64,
    leader_changes: u64,
    standing: Standing,
    stats: Option<Stats>,
    incoming_bytes: u64,
}

/// Labels of a family, in the order in which they are written.
type Labels<'a> = Vec<(&'a str, &'a str)>;

/// Writes one family: name, help, and a value for each set of labels.
struct Writer<'a, 'e> {
    encoder: &'a mut DescriptorEncoder<'e>,
}

impl Writer<'_, '_> {
    /// A gauge without labels.
    fn gauge(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
        gauge.encode(self.encoder.encode_descriptor(name, help, None, gauge.metric_type())?)
    }

    /// A counter without labels; the format adds `_total` to its name.
    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let counter = ConstCounter::new(value);
        counter.encode(self.encoder.encode_descriptor(name, help, None, counter.metric_type())?)
    }

    /// A counter for each set of labels.
    fn counters<'l>(
        &mut self,
        name: &str,
        help: &str,
        values: impl Iterator<Item = (Labels<'l>, u64)>,
    ) -> fmt::Result {
        let kind = ConstCounter::new(0_u64).metric_type();
        let mut family = self.encoder.encode_descriptor(name, help, None, kind)?;
        for (labels, value) in values {
            let labels = labels.as_slice();
            ConstCounter::new(value).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }

    /// A gauge of value one whose labels are what it says.
    fn info(&mut self, name: &str, help: &str, label: (&str, &str)) -> fmt::Result {
        let gauge = ConstGauge::new(1_i64);
        let mut family = self.encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
        let labels = [label];
        gauge.encode(family.encode_family(&labels)?)
    }
}

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut out = Writer { encoder: &mut encoder };
        self.server(&mut out)?;
        self.grpc(&mut out)?;
        if let Some(stats) = &self.stats {
            store(stats, &mut out)?;
        }
        process(&mut out)
    }
}

impl Snapshot {
    fn server(&self, out: &mut Writer<'_, '_>) -> fmt::Result {
        let standing = &self.standing;
        let leads = standing.leader == Some(standing.member_id);
        let id = format!("{:x}", standing.member_id);
        out.info("etcd_server_id", "Id of this member in hexadecimal.", ("server_id", &id))?;
        let version = ("server_version", version::ETCD_SERVER);
        out.info("etcd_server_version", "Release of etcd whose behaviour is offered.", version)?;
        let version = ("cluster_version", version::ETCD_CLUSTER);
        out.info("etcd_cluster_version", "Level that the whole cluster offers.", version)?;
        let version = ("version", version::QUORATE);
        out.info("quorate_version", "Version of this program.", version)?;
        let leader = u64::from(standing.leader.is_some());
        out.gauge("etcd_server_has_leader", "Whether a leader is known.", leader)?;
        out.gauge("etcd_server_is_leader", "Whether this member leads.", u64::from(leads))?;
        out.gauge("quorate_term", "Term of this member.", standing.term)?;
        let help = "Changes of the leader seen.";
        out.counter("etcd_server_leader_changes_seen", help, self.leader_changes)?;
        let help = "Entries committed.";
        out.counter("etcd_server_proposals_committed", help, standing.commit_index)?;
        let help = "Entries applied.";
        out.counter("etcd_server_proposals_applied", help, standing.applied_index)?;
        let help = "Bytes of requests that are on their way in.";
        out.gauge("quorate_incoming_request_bytes", help, self.incoming_bytes)?;
        let help = "Answers of /health that said healthy.";
        out.counter("etcd_server_health_success", help, self.health_successes)?;
        let help = "Answers of /health that said unhealthy.";
        out.counter("etcd_server_health_failures", help, self.health_failures)
    }

    fn grpc(&self, out: &mut Writer<'_, '_>) -> fmt::Result {
        let called = || METHODS.iter().zip(&self.methods).filter(|(_, (started, _))| *started > 0);
        let started = called().map(|(method, (started, _))| (method.labels(), *started));
        out.counters("grpc_server_started", "Calls begun.", started)?;
        let handled = called().flat_map(|(method, (_, handled))| {
            CODES.iter().zip(handled).filter(|(_, count)| **count > 0).map(|(code, count)| {
                let mut labels = method.labels();
                labels.push(("grpc_code", code));
                (labels, *count)
            })
        });
        out.counters("grpc_server_handled", "Calls answered, by code.", handled)
    }
}

fn store(stats: &Stats, out: &mut Writer<'_, '_>) -> fmt::Result {
    let positive = |revision: i64| u64::try_from(revision).unwrap_or_default();
    out.gauge("etcd_mvcc_db_total_size_in_bytes", "Bytes of all versions kept.", stats.bytes)?;
    let help = "Bytes of all versions kept; there is no other space.";
    out.gauge("etcd_mvcc_db_total_size_in_use_in_bytes", help, stats.bytes)?;
    out.gauge("etcd_debugging_mvcc_keys_total", "Keys in the store.", stats.keys)?;
    let revision = positive(stats.revision.get());
    out.gauge("etcd_debugging_mvcc_current_revision", "Revision of the store.", revision)?;
    let compacted = stats.compact_revision.map_or(0, |revision| positive(revision.get()));
    let help = "Oldest readable revision; 0 before any compaction.";
    out.gauge("etcd_debugging_mvcc_compact_revision", help, compacted)
}

fn process(out: &mut Writer<'_, '_>) -> fmt::Result {
    let Some(usage) = process::usage() else { return Ok(()) };
    let help = "Bytes of memory in use.";
    out.gauge("process_resident_memory_bytes", help, usage.resident_bytes)?;
    let counter = ConstCounter::new(usage.cpu_seconds);
    let help = "Seconds of processor time used.";
    let kind = counter.metric_type();
    counter.encode(out.encoder.encode_descriptor("process_cpu_seconds", help, None, kind)?)?;
    match usage.open_files {
        Some(files) => out.gauge("process_open_fds", "Files and sockets open.", files),
        None => Ok(()),
    }
}
