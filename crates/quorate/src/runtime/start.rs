//! Starting a node: everything that can fail is done before the first thread runs.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use quorate_core::{BootCounter, ClusterId, EntryId, Index, NodeId, ReadId, RoleName, Term};
use quorate_log::{EntryRef, Fs, Log, OpenOptions, OsFs, Recovered, SnapshotStore, open_blocking};
use tokio::runtime::Handle;

use super::clock::Clock;
use super::mailbox::Mailbox;
use super::publish::Publisher;
use super::replica_role::{Phase, ReplicaRole};
use super::seed::Seed;
use super::shared::{Outgoing, Shared};
use super::tasks;
use super::threads::{self, Parts, panic_text};
use crate::applier::Applier;
use crate::builder::{Listen, Settings, StartError};
use crate::founding::Founding;
use crate::machine::StateMachine;
use crate::node::Node;
use crate::replica::{Replica, ReplicaCounters};
use crate::roster::{FoundingRecord, Roster};
use crate::snapshot::SnapshotMeta;
use crate::status::Status;
use crate::transport::handshake::Caller;
use crate::transport::{Listening, Transport, TransportConfig};

/// Bytes that an entry has beside its command.
const ENTRY_OVERHEAD: usize = 1024;

/// Random numbers of this start.
struct Draws {
    node: NodeId,
    cluster: ClusterId,
    log: u64,
    elections: u64,
    process: u64,
    jitter: u64,
}

impl Draws {
    fn new() -> Result<Self, StartError> {
        let draw = || {
            let drawn = getrandom::u64();
            // Zero means "none" in several places.
            drawn
                .map(|number| number.max(1))
                .map_err(|error| StartError::NoEntropy { reason: error.to_string() })
        };
        let node = NodeId::new(draw()?).expect("a draw is never zero");
        Ok(Self {
            node,
            cluster: ClusterId(draw()?),
            log: draw()?,
            elections: draw()?,
            process: draw()?,
            jitter: draw()?,
        })
    }
}

/// Starts a node: checks and opens everything, then starts its threads.
pub(crate) async fn start<M: StateMachine>(
    machine: M,
    settings: Settings,
    listen: Listen,
) -> Result<Node<M>, StartError> {
    let fs = OsFs::new(&settings.data_dir);
    start_on(fs, machine, settings, listen).await
}

/// Starts a node whose data directory is on this file system.
pub(crate) async fn start_on<M: StateMachine, F: Fs>(
    fs: F,
    machine: M,
    settings: Settings,
    listen: Listen,
) -> Result<Node<M>, StartError> {
    let here = settings.without_threads.then(Handle::current);
    let opening = move || open(fs, machine, settings, listen, here);
    let opening = tokio::task::spawn_blocking(opening);
    opening.await.unwrap_or_else(|error| Err(StartError::Interrupted { reason: error.to_string() }))
}

/// A data directory, opened and taken apart.
struct Opened<M: StateMachine, F: Fs> {
    node: NodeId,
    boot: BootCounter,
    record: Option<FoundingRecord>,
    seed: Seed,
    log: Log<F>,
    snapshots: SnapshotStore<F>,
    applier: Applier<M>,
}

impl<M: StateMachine, F: Fs> Opened<M, F> {
    fn new(fs: F, machine: M, settings: &Settings, draws: &Draws) -> Result<Self, StartError> {
        let (config, format_as) = (settings.log, Some(draws.node));
        let options = OpenOptions { config, format_as, seed: draws.log, ..OpenOptions::default() };
        let directory = &settings.data_dir;
        let mut recovered = open_blocking(fs, options)?;
        report(&recovered, directory);
        let (node, boot) = (recovered.identity.node, recovered.boot);
        let record = founding_record(&recovered, directory)?;
        let base_meta = base_meta(&recovered, directory)?;
        let (applier, restored_ms) = restored(machine, &recovered.snapshots, directory)?;
        // A log without entries ends where its snapshot does.
        let log_time_ms = last_log_time(&mut recovered, directory)?.unwrap_or(restored_ms);
        let config = settings.replica.clone();
        let (seed, log, snapshots) =
            Seed::new(recovered, config, draws.elections, (base_meta, log_time_ms));
        Ok(Self { node, boot, record, seed, log, snapshots, applier })
    }
}

fn open<M: StateMachine, F: Fs>(
    fs: F,
    machine: M,
    settings: Settings,
    listen: Listen,
    here: Option<Handle>,
) -> Result<Node<M>, StartError> {
    let draws = Draws::new()?;
    let listening = match listen {
        Listen::Address(address) => Listening::bind(&address)?,
        Listen::Bound(listening) => listening,
    };
    let directory = settings.data_dir.clone();
    let opened = Opened::new(fs, machine, &settings, &draws)?;
    let Opened { node: id, boot, record, seed, log, snapshots, applier } = opened;
    let (applied, application_index) = (applier.applied(), applier.application_index());
    let clock = Clock::start();
    let now = clock.now();
    let (me, peers) = (settings.member(id), settings.peers.clone());
    Roster::of_voters([me.clone()]).map_err(StartError::Member)?;
    let founding = Founding::new(now, me, peers, draws.cluster, record.clone())?;
    let phase = match &record {
        None => Phase::Forming(Some(Box::new(seed))),
        Some(record) => {
            let replica = Replica::new(seed.start(record, now));
            let replica = replica.map_err(|source| StartError::Replica { directory, source })?;
            Phase::Running(Box::new(replica))
        }
    };
    // The node's own runtime, where it does not run on the caller's.
    let own = here.is_none().then(threads::runtime).transpose()?;
    let handle = here.or_else(|| own.as_ref().map(|own| own.handle().clone()));
    let handle = handle.expect("it is the one or the other");
    let cluster = record.map_or(ClusterId::ZERO, |record| record.cluster);
    let me = Caller { node: id, boot, process: draws.process };
    let transport = connect(&handle, listening, &settings, draws.jitter, (me, cluster))?;
    transport.set_answer(founding.answer());
    let waiting_for = founding.waiting(now).map(|waiting| waiting.to_string());
    let mut status = status_of(id, &settings.name, &settings.address);
    status.waiting_for = waiting_for;
    (status.applied, status.application_index) = (applied, application_index);
    let shared = Arc::new(Shared::new(status, settings.call_timeout, settings.limits.call_bytes));
    let role = ReplicaRole {
        shared: Arc::clone(&shared),
        clock,
        config: settings.replica,
        transport,
        founding,
        phase,
        log: Arc::new(Mailbox::default()),
        reader: Arc::new(Mailbox::default()),
        publisher: Publisher::new(boot),
        reachable: BTreeMap::new(),
        queries: BTreeMap::new(),
        last_read: ReadId::ZERO,
        batch: Vec::new(),
        application_index,
        applied,
        effects: Vec::new(),
        writes: Vec::new(),
        applies: Vec::new(),
        stores: Vec::new(),
        taking: false,
        snapshot_waiters: Vec::new(),
        outgoing: Outgoing::default(),
        stopping: None,
        shares_thread: own.is_none(),
    };
    match own {
        Some(runtime) => threads::spawn(Parts { runtime, role, log, snapshots, applier })?,
        None => drop(handle.spawn(tasks::run(role, log, snapshots, applier))),
    }
    Ok(Node::new(id, shared))
}

/// Begins to serve the peers' port, on the runtime that the replica's thread will run.
fn connect(
    runtime: &Handle,
    listening: Listening,
    settings: &Settings,
    jitter: u64,
    (me, cluster): (Caller, ClusterId),
) -> Result<Transport, StartError> {
    let _entered = runtime.enter();
    let max_entry_bytes = settings.replica.max_command_bytes + ENTRY_OVERHEAD;
    let config = TransportConfig {
        max_entry_bytes,
        send_queue_bytes: settings.limits.send_queue_bytes,
        bulk_queue_bytes: settings.limits.bulk_queue_bytes,
        max_connections: settings.limits.peer_connections,
        seed: jitter,
        ..TransportConfig::default()
    };
    let started = Transport::start(listening, config, me, cluster);
    started.map_err(|source| StartError::System { what: "the listening socket", source })
}

/// Says what opening the directory noticed.
fn report<F: Fs>(recovered: &Recovered<F>, directory: &Path) {
    let (directory, report) = (directory.display(), &recovered.report);
    let (node, boot, last) = (recovered.identity.node, recovered.boot, recovered.log.last());
    tracing::info!(%directory, %node, %boot, %last, formatted = report.formatted, "opened");
    if let Some(torn) = &report.torn {
        tracing::info!(
            file = %torn.file.display(),
            offset = torn.offset,
            bytes = torn.bytes,
            "cut a torn tail that was never acknowledged"
        );
    }
    for file in &report.hard_state_repaired {
        tracing::warn!(file = %file.display(), "a copy of term and vote was unreadable; repaired");
    }
    if let Some(base) = report.installed {
        tracing::info!(%base, "finished the install of a snapshot that a crash had cut in two");
    }
    for damage in &report.damaged_snapshots {
        tracing::warn!(%damage, "a snapshot is damaged and was set aside; an older one serves");
    }
    for file in &report.unknown_files {
        tracing::warn!(file = %file.display(), "this file does not belong here; left alone");
    }
}

/// What was true where the log begins, if that is not the very beginning.
fn base_meta<F: Fs>(
    recovered: &Recovered<F>,
    directory: &Path,
) -> Result<Option<SnapshotMeta>, StartError> {
    if recovered.base == EntryId::ZERO {
        return Ok(None);
    }
    let (directory, index) = (directory.to_owned(), recovered.base.index);
    let meta = SnapshotMeta::decode(&recovered.base_meta);
    meta.map(Some).map_err(|error| {
        let reason = format!("what goes with it cannot be read: {error}");
        StartError::Restore { directory, index, reason }
    })
}

/// The state machine as the newest snapshot left it, and the log's time there.
fn restored<M: StateMachine, F: Fs>(
    machine: M,
    snapshots: &SnapshotStore<F>,
    directory: &Path,
) -> Result<(Applier<M>, u64), StartError> {
    let mut applier = Applier::new(machine);
    let Some(stored) = snapshots.newest() else { return Ok((applier, 0)) };
    let index = stored.id.last.index;
    let failed =
        |reason: String| StartError::Restore { directory: directory.to_owned(), index, reason };
    let meta = SnapshotMeta::decode(&stored.meta).map_err(|error| failed(error.to_string()))?;
    let mut content = snapshots.content(&stored.id).expect("the newest snapshot is held");
    let begun = std::time::Instant::now();
    let state = catch_unwind(AssertUnwindSafe(|| applier.restore(index, &meta, &mut content)));
    match state {
        Ok(state) => state.map_err(|error| failed(error.to_string()))?,
        Err(panic) => return Err(failed(format!("it panicked: {}", panic_text(&*panic)))),
    }
    tracing::info!(id = %stored.id, took = ?begun.elapsed(), "restored a snapshot");
    Ok((applier, meta.log_time_ms))
}

fn founding_record<F: Fs>(
    recovered: &Recovered<F>,
    directory: &Path,
) -> Result<Option<FoundingRecord>, StartError> {
    let record = recovered.identity.founding.as_deref().map(FoundingRecord::decode).transpose();
    record.map_err(|source| StartError::BadRecord { directory: directory.to_owned(), source })
}

/// The log time of the last entry, if there is one; a later leader continues from it.
fn last_log_time<F: Fs>(
    recovered: &mut Recovered<F>,
    directory: &Path,
) -> Result<Option<u64>, StartError> {
    if recovered.runs.is_empty() {
        return Ok(None);
    }
    let last = recovered.log.last().index;
    let slices = recovered.log.read(last, last, usize::MAX).map_err(|error| {
        let (directory, reason) = (directory.to_owned(), error.to_string());
        StartError::LastEntry { directory, reason }
    })?;
    let entry: Option<EntryRef<'_>> = slices.last().and_then(|slice| slice.entry(last));
    Ok(entry.map(|entry| entry.envelope.log_time_ms))
}

/// The status of a node that has done nothing yet.
pub(super) fn status_of(node: NodeId, name: &str, address: &str) -> Status {
    Status {
        node,
        name: name.to_owned(),
        peer_address: address.to_owned(),
        cluster: None,
        members: None,
        role: RoleName::Follower,
        term: Term::ZERO,
        leader: None,
        first: Index(1),
        commit: Index::ZERO,
        applied: Index::ZERO,
        application_index: 0,
        persisted: Index::ZERO,
        last: Index::ZERO,
        snapshot: None,
        taking: false,
        view_pause: Duration::ZERO,
        receiving: None,
        peers: Vec::new(),
        connected: Vec::new(),
        waiting_for: None,
        stopped: None,
        counters: ReplicaCounters::default(),
    }
}
