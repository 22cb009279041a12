//! The log's thread: steps the durable log, which decides; this only waits and passes on.
//!
//! - Every wake-up takes all that waits, so that one sync serves it (group commit).
//! - When nothing came for a while after a batch, the idle fence follows, and the next segment is
//!   made ready; under load the log makes it between the batches. Writes go in between its pieces.
//! - An error of the log is final: it is reported, and nothing is written any more.

use std::sync::Arc;
use std::time::Duration;

use quorate_core::{ClusterId, PersistToken};
use quorate_log::{Compact, Fs, Log, LogError, Progress, Write};

use super::mailbox::Mailbox;
use super::shared::{Event, Shared};
use crate::error::StopReason;
use crate::machine::StateMachine;

/// Time without a write after which the last batch is fenced.
const IDLE: Duration = Duration::from_millis(20);

/// What the log's thread shall do.
#[derive(Debug)]
pub(crate) enum LogJob {
    /// Make a write durable.
    Write(Write),
    /// Make the founding record durable.
    Found(ClusterId, Vec<u8>),
    /// Let the log begin after an entry.
    Compact(Compact),
    /// End, when everything before is durable.
    Stop,
}

/// Runs until it is told to stop, or the log fails. The log is closed when this returns.
pub(crate) fn run<M: StateMachine, F: Fs>(
    mut log: Log<F>,
    jobs: &Mailbox<LogJob>,
    shared: &Arc<Shared<M>>,
) {
    let mut taken = Vec::new();
    loop {
        jobs.wait(&mut taken, idle(&log));
        if !serve(&mut log, jobs, &mut taken, shared) {
            break;
        }
    }
    jobs.close(&mut taken);
}

/// As [`run`], as a task.
pub(crate) async fn run_here<M: StateMachine, F: Fs>(
    mut log: Log<F>,
    jobs: Arc<Mailbox<LogJob>>,
    shared: Arc<Shared<M>>,
) {
    let mut taken = Vec::new();
    loop {
        jobs.wait_here(&mut taken, idle(&log)).await;
        if !serve(&mut log, &jobs, &mut taken, &shared) {
            break;
        }
    }
    jobs.close(&mut taken);
}

/// How long to wait for jobs before there is something else to do.
fn idle<F: Fs>(log: &Log<F>) -> Option<Duration> {
    let maintenance = log.maintenance();
    (maintenance.fence || maintenance.prepare_segment).then_some(IDLE)
}

/// Does what was taken, or what an idle log does; says whether to go on.
fn serve<M: StateMachine, F: Fs>(
    log: &mut Log<F>,
    jobs: &Mailbox<LogJob>,
    taken: &mut Vec<LogJob>,
    shared: &Arc<Shared<M>>,
) -> bool {
    if taken.is_empty() {
        let maintenance = log.maintenance();
        if maintenance.fence {
            log.fence();
        }
        if maintenance.prepare_segment {
            log.prepare_segment();
        }
    }
    let mut stopping = false;
    if let Err(error) = work(log, jobs, taken, &mut stopping, shared) {
        tracing::error!(%error, "the log failed");
        // The replica may be gone already; then nobody needs to know.
        drop(shared.inbox.push(Event::Stop(StopReason::LogFailed { reason: error.to_string() })));
        return false;
    }
    !stopping
}

/// Steps the log until nothing is left to do, taking in what comes meanwhile.
fn work<M: StateMachine, F: Fs>(
    log: &mut Log<F>,
    jobs: &Mailbox<LogJob>,
    taken: &mut Vec<LogJob>,
    stopping: &mut bool,
    shared: &Arc<Shared<M>>,
) -> Result<(), LogError> {
    loop {
        for job in taken.drain(..) {
            match job {
                LogJob::Write(write) => log.enqueue(write),
                LogJob::Found(cluster, record) => {
                    // The founding asks once, and only while the directory has no record.
                    log.found(cluster, record).expect("a directory is founded once");
                }
                LogJob::Compact(compact) => log.compact(compact),
                LogJob::Stop => *stopping = true,
            }
        }
        match log.step()? {
            Progress::Idle => return Ok(()),
            Progress::Persisted(token) => {
                report(shared, Event::Persisted(token), Some(token));
                // Whatever waits by now goes into the next batch together.
                jobs.take(taken);
            }
            Progress::Compacted(base) => report(shared, Event::Compacted(base), None),
            Progress::Founded(_) => report(shared, Event::Founded, None),
            // A segment to come takes many steps; writes go in between.
            Progress::Working if log.is_preparing() => jobs.take(taken),
            _ => {}
        }
    }
}

fn report<M: StateMachine>(shared: &Shared<M>, event: Event<M>, token: Option<PersistToken>) {
    if shared.inbox.push(event).is_err() {
        tracing::debug!(?token, "a write became durable after the node had stopped");
    }
}
