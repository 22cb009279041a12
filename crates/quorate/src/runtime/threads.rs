//! The threads of a node: how they begin, and in which order they end.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use quorate_core::RoleName;
use quorate_log::{Fs, Log, SnapshotStore};
use tokio::runtime::Runtime;

use super::apply_role;
use super::log_role::{self, LogJob};
use super::port::Ended;
use super::read_role::{self, ReadJob, Readers};
use super::replica_role::ReplicaRole;
use super::shared::{ApplyJob, Event, Outgoing, Shared};
use super::snapshot_role::{self, SnapshotJob};
use crate::applier::Applier;
use crate::builder::StartError;
use crate::error::{Refusal, StopReason};
use crate::machine::StateMachine;

/// Turns that the connections get to write what is queued when a node stops.
const LAST_ROUNDS: usize = 8;

/// What the threads are made of.
pub(crate) struct Parts<M: StateMachine, F: Fs> {
    pub(crate) runtime: Runtime,
    pub(crate) role: ReplicaRole<M>,
    pub(crate) log: Log<F>,
    pub(crate) snapshots: SnapshotStore<F>,
    pub(crate) applier: Applier<M>,
}

/// The runtime of the replica's thread.
pub(crate) fn runtime() -> Result<Runtime, StartError> {
    let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
    built.map_err(|source| StartError::System { what: "an event queue", source })
}

/// Starts all threads.
pub(crate) fn spawn<M: StateMachine, F: Fs>(parts: Parts<M, F>) -> Result<(), StartError> {
    let Parts { runtime, role, log, snapshots, applier } = parts;
    let shared = Arc::clone(&role.shared);
    let (jobs, reads) = (Arc::clone(&role.log), Arc::clone(&role.reader));
    let mut readers = Readers { log: log.reader(), snapshots: snapshots.reader() };
    let contents = Box::new(snapshots.reader());
    let (wake_bytes, floor) = (role.config.apply_bytes / 4, role.known_committed());
    let mut others = Others { shared: Arc::clone(&shared), role: Some(role), threads: Vec::new() };
    others.spawn("log", {
        let shared = Arc::clone(&shared);
        move || log_role::run(log, &jobs, &shared)
    })?;
    others.spawn("reader", {
        let shared = Arc::clone(&shared);
        move || read_role::run(&mut readers, &reads, &shared)
    })?;
    others.spawn("apply", {
        let shared = Arc::clone(&shared);
        move || apply_role::run(applier, contents, &shared, (wake_bytes, floor))
    })?;
    others.spawn("snapshots", {
        let shared = Arc::clone(&shared);
        move || snapshot_role::run(snapshots, &shared)
    })?;
    let name = "quorate-replica".to_owned();
    let spawned = Builder::new().name(name).spawn(move || replica(runtime, others));
    spawned.map(drop).map_err(|source| StartError::System { what: "a thread", source })
}

/// The replica, and the threads that end with it.
struct Others<M: StateMachine> {
    shared: Arc<Shared<M>>,
    role: Option<ReplicaRole<M>>,
    threads: Vec<(&'static str, JoinHandle<()>)>,
}

impl<M: StateMachine> Others<M> {
    fn spawn(
        &mut self,
        part: &'static str,
        run: impl FnOnce() + Send + 'static,
    ) -> Result<(), StartError> {
        let shared = Arc::clone(&self.shared);
        let body = move || {
            if let Err(panic) = catch_unwind(AssertUnwindSafe(run)) {
                let reason = panic_text(&*panic);
                // Where the replica has ended, its reason for it is the one that counts.
                drop(shared.inbox.push(Event::Stop(StopReason::PartFailed { part, reason })));
            }
        };
        let spawned = Builder::new().name(format!("quorate-{part}")).spawn(body);
        let thread = spawned.map_err(|source| StartError::System { what: "a thread", source })?;
        self.threads.push((part, thread));
        Ok(())
    }

    /// Tells the other threads to end, when everything before is done, and waits for it.
    fn join(&mut self) {
        if let Some(role) = self.role.take() {
            // The log and the state machine end of themselves where they failed: then nobody
            // listens any more.
            drop(role.log.push(LogJob::Stop));
            drop(role.reader.push(ReadJob::Stop));
        }
        drop(self.shared.apply.push(ApplyJob::Stop));
        drop(self.shared.snapshots.push(SnapshotJob::Stop));
        for (part, thread) in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!(part, "a thread ended with a panic that was not caught");
            }
        }
    }
}

impl<M: StateMachine> Drop for Others<M> {
    fn drop(&mut self) {
        self.join();
    }
}

/// The replica's thread, from its first wake-up to the end of the node.
fn replica<M: StateMachine>(runtime: Runtime, mut others: Others<M>) {
    let shared = Arc::clone(&others.shared);
    let mut role = others.role.take().expect("it was put there");
    let ran = catch_unwind(AssertUnwindSafe(|| runtime.block_on(role.run())));
    let is_sound = ran.is_ok();
    let reason = ran.unwrap_or_else(|panic| StopReason::PartFailed {
        part: "replica",
        reason: panic_text(&*panic),
    });
    let reason = shared.set_stop_reason(reason);
    refuse_unserved(&shared);
    if is_sound {
        role.end_calls();
        runtime.block_on(last_words());
    }
    others.role = Some(role);
    others.join();
    // The sockets go with the runtime: whoever hears of the stop may use their addresses.
    drop(runtime);
    conclude(&shared, reason);
}

/// Tells everybody that the node has stopped.
pub(super) fn conclude<M: StateMachine>(shared: &Shared<M>, reason: StopReason) {
    if reason == StopReason::Shutdown {
        tracing::info!("the node has stopped: {reason}");
    } else {
        tracing::error!("the node has stopped: {reason}");
    }
    shared.stop_ports();
    shared.status.send_modify(|status| {
        status.role = RoleName::Follower;
        status.leader = None;
        status.stopped = Some(reason);
    });
}

/// Lets the connections write what was queued in the last wake-up.
pub(super) async fn last_words() {
    for _ in 0..LAST_ROUNDS {
        tokio::task::yield_now().await;
    }
}

/// Refuses the calls that were handed over and never looked at.
pub(super) fn refuse_unserved<M: StateMachine>(shared: &Shared<M>) {
    let (mut unserved, mut outgoing) = (Vec::new(), Outgoing::default());
    shared.inbox.close(&mut unserved);
    let refusal = Refusal::Stopped(shared.stop_reason());
    for event in unserved {
        let Event::Submitted { bytes, batch } = event else { continue };
        shared.discharge(bytes);
        for submission in batch {
            let ended = Ended::refused(refusal.clone());
            outgoing.push(shared, submission.call, ended);
        }
    }
    outgoing.flush();
}

/// What a panic said.
pub(super) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".to_owned())
}
