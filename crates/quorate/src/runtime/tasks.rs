//! A node without threads of its own: its roles are tasks of the runtime that it is started on.
//!
//! For several nodes in one process, and for tests: a hop between roles is no wake-up of a thread
//! then. The log's file operations and the state machine keep that runtime from anything else while
//! they last, so it is no way to serve from a real disk. What is promised of the end of a node holds
//! here, too: when a stop is reported, all roles have ended and the data directory is free.

use std::sync::Arc;

use quorate_log::{Fs, Log, SnapshotStore};
use tokio::task::{JoinError, JoinHandle};

use super::apply_role;
use super::log_role::{self, LogJob};
use super::read_role::{self, ReadJob, Readers};
use super::replica_role::ReplicaRole;
use super::shared::{ApplyJob, Event, Shared};
use super::snapshot_role::{self, SnapshotJob};
use super::threads::{conclude, last_words, panic_text, refuse_unserved};
use crate::applier::Applier;
use crate::error::StopReason;
use crate::machine::StateMachine;

/// Runs a node, from its first wake-up to its end.
pub(crate) async fn run<M: StateMachine, F: Fs>(
    mut role: ReplicaRole<M>,
    log: Log<F>,
    snapshots: SnapshotStore<F>,
    applier: Applier<M>,
) {
    let shared = Arc::clone(&role.shared);
    let (jobs, reads) = (Arc::clone(&role.log), Arc::clone(&role.reader));
    let readers = Readers { log: log.reader(), snapshots: snapshots.reader() };
    let contents = Box::new(snapshots.reader());
    let bounds = (role.config.apply_bytes / 4, role.known_committed());
    let log = log_role::run_here(log, Arc::clone(&jobs), Arc::clone(&shared));
    let reader = read_role::run_here(readers, Arc::clone(&reads), Arc::clone(&shared));
    let apply = apply_role::run_here(applier, contents, Arc::clone(&shared), bounds);
    let snapshots = snapshot_role::run_here(snapshots, Arc::clone(&shared));
    let parts = [
        watch("log", tokio::spawn(log), &shared),
        watch("reader", tokio::spawn(reader), &shared),
        watch("apply", tokio::spawn(apply), &shared),
        watch("snapshots", tokio::spawn(snapshots), &shared),
    ];
    let running = tokio::spawn(async move {
        let reason = role.run().await;
        (role, reason)
    });
    let (mut role, reason) = match running.await {
        Ok((role, reason)) => (Some(role), reason),
        Err(error) => (None, failed("replica", error)),
    };
    let reason = shared.set_stop_reason(reason);
    refuse_unserved(&shared);
    if let Some(role) = &mut role {
        role.end_calls();
        last_words().await;
    }
    // The log and the state machine end of themselves where they failed: then nobody listens any
    // more.
    drop(jobs.push(LogJob::Stop));
    drop(reads.push(ReadJob::Stop));
    drop(shared.apply.push(ApplyJob::Stop));
    drop(shared.snapshots.push(SnapshotJob::Stop));
    for part in parts {
        drop(part.await);
    }
    // The sockets go with the transport, in the turns that its tasks get to end.
    drop(role);
    last_words().await;
    conclude(&shared, reason);
}

/// Reports a part that ends with a panic.
fn watch<M: StateMachine>(
    part: &'static str,
    task: JoinHandle<()>,
    shared: &Arc<Shared<M>>,
) -> JoinHandle<()> {
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        if let Err(error) = task.await {
            // Where the replica has ended, its reason for it is the one that counts.
            drop(shared.inbox.push(Event::Stop(failed(part, error))));
        }
    })
}

fn failed(part: &'static str, error: JoinError) -> StopReason {
    let reason = match error.try_into_panic() {
        Ok(panic) => panic_text(&*panic),
        Err(cancelled) => cancelled.to_string(),
    };
    StopReason::PartFailed { part, reason }
}
