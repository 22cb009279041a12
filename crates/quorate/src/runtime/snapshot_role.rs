//! The snapshots' thread: steps the store of snapshots, which decides; this waits and passes on.
//!
//! - What comes from a peer goes first; a snapshot being taken has the rest of the time, and of that
//!   only half: a node on few cores has better things to do.
//! - The state is written down from a view, here: the state machine goes on meanwhile.
//! - What fails while a snapshot is taken or received is reported and costs that snapshot. Only names
//!   that could not be made durable stop the node.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use quorate_core::{EntryId, SnapshotId};
use quorate_log::{Content, Fs, SnapshotError, SnapshotProgress, SnapshotStore};

use super::shared::{Event, Shared};
use super::threads::panic_text;
use crate::error::StopReason;
use crate::machine::StateMachine;
use crate::snapshot::SnapshotView;

/// How long a snapshot is worked on before others have their turn.
const SLICE: Duration = Duration::from_millis(2);

/// What the snapshots' thread shall do.
pub(crate) enum SnapshotJob {
    /// Write a state down.
    Take { last: EntryId, meta: Vec<u8>, content: Box<dyn Content> },
    /// Open the file for a snapshot of a peer.
    Receive(SnapshotId),
    /// Put a piece into it.
    Store { id: SnapshotId, offset: u64, data: Arc<Vec<u8>> },
    /// Verify it and make it durable.
    Install(SnapshotId),
    /// Remove all but these.
    Keep(Vec<SnapshotId>),
    /// End; what is under way is given up.
    Stop,
}

/// The view of a state as the content of a file. A panic of the state machine's code costs the
/// snapshot, and nothing else: the view is not the state.
pub(crate) struct Written<V>(pub(crate) V);

impl<V: SnapshotView> Content for Written<V> {
    fn next(&mut self, room: &mut Vec<u8>) -> Result<bool, String> {
        match catch_unwind(AssertUnwindSafe(|| self.0.next(room))) {
            Ok(written) => written.map_err(|error| error.to_string()),
            Err(panic) => Err(format!("it panicked: {}", panic_text(&*panic))),
        }
    }
}

/// Runs until it is told to stop, or the store fails.
pub(crate) fn run<M: StateMachine, F: Fs>(mut store: SnapshotStore<F>, shared: &Arc<Shared<M>>) {
    let mut taken = Vec::new();
    let mut pause = None;
    loop {
        shared.snapshots.wait(&mut taken, pause);
        match serve(&mut store, &mut taken, shared) {
            Some(next) => pause = next,
            None => break,
        }
    }
    shared.snapshots.close(&mut taken);
}

/// As [`run`], as a task.
pub(crate) async fn run_here<M: StateMachine, F: Fs>(
    mut store: SnapshotStore<F>,
    shared: Arc<Shared<M>>,
) {
    let mut taken = Vec::new();
    let mut pause = None;
    loop {
        shared.snapshots.wait_here(&mut taken, pause).await;
        match serve(&mut store, &mut taken, &shared) {
            Some(next) => pause = next,
            None => break,
        }
    }
    shared.snapshots.close(&mut taken);
}

/// Does what was taken and goes on with what is under way, for a while. Gives how long to wait for
/// other things before going on, for ever where nothing is left to do; or nothing, to end.
#[expect(clippy::option_option, reason = "whether to go on, and how long to wait")]
fn serve<M: StateMachine, F: Fs>(
    store: &mut SnapshotStore<F>,
    taken: &mut Vec<SnapshotJob>,
    shared: &Arc<Shared<M>>,
) -> Option<Option<Duration>> {
    for job in taken.drain(..) {
        match job {
            SnapshotJob::Take { last, meta, content } => store.take(last, meta, content),
            SnapshotJob::Receive(id) => store.receive(id),
            SnapshotJob::Store { id, offset, data } => store.store(id, offset, data),
            SnapshotJob::Install(id) => store.install(id),
            SnapshotJob::Keep(ids) => store.keep(&ids),
            SnapshotJob::Stop => return None,
        }
    }
    let begun = Instant::now();
    loop {
        match store.step() {
            Ok(SnapshotProgress::Idle) => return Some(None),
            Ok(progress) => report(shared, progress),
            Err(error) => {
                fail(shared, &error);
                return None;
            }
        }
        let worked = begun.elapsed();
        if worked >= SLICE {
            let rests = store.is_taking();
            return Some(Some(if rests { worked } else { Duration::ZERO }));
        }
    }
}

fn report<M: StateMachine>(shared: &Shared<M>, progress: SnapshotProgress) {
    let event = match progress {
        SnapshotProgress::Taken(stored) => {
            tracing::info!(id = %stored.id, "took a snapshot");
            Event::SnapshotTaken(stored)
        }
        SnapshotProgress::TakeFailed(reason) => {
            tracing::warn!(%reason, "no snapshot was taken; the log stays longer");
            Event::SnapshotTakeFailed { reason: reason.to_string() }
        }
        SnapshotProgress::Received { id, received } => Event::ChunkStored { id, received },
        SnapshotProgress::Installed(stored) => {
            tracing::info!(id = %stored.id, "received a snapshot");
            Event::SnapshotVerified(stored)
        }
        SnapshotProgress::Rejected { id, reason } => {
            tracing::warn!(%id, %reason, "what was received is no snapshot; it begins again");
            Event::SnapshotRejected(id)
        }
        _ => return,
    };
    if shared.inbox.push(event).is_err() {
        tracing::debug!("a snapshot was finished after the node had stopped");
    }
}

fn fail<M: StateMachine>(shared: &Shared<M>, error: &SnapshotError) {
    tracing::error!(%error, "the snapshots failed");
    // The replica may be gone already; then nobody needs to know.
    let reason = error.to_string();
    drop(shared.inbox.push(Event::Stop(StopReason::SnapshotsFailed { reason })));
}
