//! The state machine's thread: executes what the replica hands over, and answers.
//!
//! Local calls get their reply as a value, without encoding it; forwarded ones get it encoded.
//! Queries wait here until their read index is applied. A panic of the state machine is caught only
//! to say where it happened: the state is never used again.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use quorate_core::{EntryId, Index, NodeId};
use quorate_log::{Entries, StoredSnapshot};

use super::port::{Asked, Ended, Queries};
use super::shared::{Applied, ApplyJob, Contents, Event, Outgoing, Shared};
use super::snapshot_role::{SnapshotJob, Written};
use super::threads::panic_text;
use super::waiting::Waiting;
use crate::applier::Applier;
use crate::error::StopReason;
use crate::machine::StateMachine;
use crate::replica::{ForwardNumber, ForwardOutcome, Origin};
use crate::sessions::Outcome;
use crate::snapshot::SnapshotMeta;

/// How long the replica may go without knowing that entries were executed. It is in no hurry: a
/// wake for each of them would cost more than executing it.
const QUIET: Duration = Duration::from_millis(10);

struct Role<M: StateMachine> {
    applier: Applier<M>,
    /// What snapshots hold.
    contents: Box<dyn Contents>,
    shared: Arc<Shared<M>>,
    outgoing: Outgoing<M>,
    /// Replies to forwarded calls since the last report.
    answers: Vec<(NodeId, ForwardNumber, ForwardOutcome)>,
    /// Queries whose read index is not applied yet.
    waiting: Waiting<Index, Queries<M>>,
    /// The last entry known committed when the node started: before it is executed, the state is
    /// one that was left behind long ago.
    floor: Index,
    /// Bytes after which the replica is woken: it may wait for room.
    wake_bytes: usize,
    /// Bytes executed since the replica was woken.
    quiet_bytes: usize,
    /// Whether a report lies in the replica's mailbox without having woken it.
    is_quiet: bool,
}

/// Runs until it is told to stop, or the state machine cannot go on. The replica, which sleeps, is
/// woken after `wake_bytes` at the latest. No query is answered before entry `floor` is executed.
pub(crate) fn run<M: StateMachine>(
    applier: Applier<M>,
    contents: Box<dyn Contents>,
    shared: &Arc<Shared<M>>,
    (wake_bytes, floor): (usize, Index),
) {
    let mut role = Role::new(applier, contents, shared, (wake_bytes, floor));
    let mut jobs = Vec::new();
    loop {
        shared.apply.wait(&mut jobs, role.is_quiet.then_some(QUIET));
        if !role.serve(&mut jobs) {
            return;
        }
    }
}

/// As [`run`], as a task.
pub(crate) async fn run_here<M: StateMachine>(
    applier: Applier<M>,
    contents: Box<dyn Contents>,
    shared: Arc<Shared<M>>,
    (wake_bytes, floor): (usize, Index),
) {
    let mut role = Role::new(applier, contents, &shared, (wake_bytes, floor));
    let mut jobs = Vec::new();
    loop {
        shared.apply.wait_here(&mut jobs, role.is_quiet.then_some(QUIET)).await;
        if !role.serve(&mut jobs) {
            return;
        }
    }
}

impl<M: StateMachine> Role<M> {
    fn new(
        applier: Applier<M>,
        contents: Box<dyn Contents>,
        shared: &Arc<Shared<M>>,
        (wake_bytes, floor): (usize, Index),
    ) -> Self {
        shared.facts.set_applied(applier.applied());
        Self {
            applier,
            contents,
            shared: Arc::clone(shared),
            outgoing: Outgoing::default(),
            answers: Vec::new(),
            waiting: Waiting::new(),
            floor,
            wake_bytes,
            quiet_bytes: 0,
            is_quiet: false,
        }
    }

    /// Does what was taken; says whether to go on.
    fn serve(&mut self, jobs: &mut Vec<ApplyJob<M>>) -> bool {
        if jobs.is_empty() {
            self.shared.inbox.nudge();
            self.is_quiet = false;
        }
        let before = self.applier.applied();
        let mut ended = false;
        for job in jobs.drain(..) {
            let done = match job {
                ApplyJob::Entries { entries, answers } => self.execute(&entries, &answers),
                ApplyJob::Queries { min_index, queries } => self.ask(min_index, queries),
                ApplyJob::TakeSnapshot { last, meta } => {
                    self.outgoing.flush();
                    self.take_snapshot(last, meta)
                }
                ApplyJob::Restore(stored) => self.restore(&stored),
                ApplyJob::Stop => {
                    ended = true;
                    break;
                }
            };
            if let Err(reason) = done {
                tracing::error!(%reason, "the state machine cannot go on");
                self.outgoing.flush();
                self.stop(reason);
                return false;
            }
        }
        self.report(before);
        if ended {
            self.shared.apply.close(jobs);
        }
        !ended
    }

    fn execute(
        &mut self,
        entries: &Entries,
        answers: &[(Index, Origin)],
    ) -> Result<(), StopReason> {
        self.quiet_bytes += entries.bytes().len();
        let Self { applier, shared, outgoing, answers: remote, .. } = self;
        let reply = |origin, outcome: Outcome<M::Reply>| match origin {
            Origin::Local(call) => outgoing.push(shared, call, outcome.into()),
            Origin::Remote { peer, number } => remote.push((peer, number, outcome.forwarded())),
        };
        match catch_unwind(AssertUnwindSafe(|| applier.apply(entries, answers, reply))) {
            Ok(Ok(())) => {}
            Ok(Err(undecodable)) => {
                let (index, source) = (undecodable.index, undecodable.source);
                return Err(StopReason::Undecodable { index, source });
            }
            Err(panic) => {
                let (index, reason) = (self.applier.applying(), panic_text(&*panic));
                return Err(StopReason::ApplyPanicked { index, reason });
            }
        }
        self.answer_waiting()
    }

    /// Makes a view, and has it written down elsewhere.
    fn take_snapshot(&mut self, last: EntryId, meta: Vec<u8>) -> Result<(), StopReason> {
        let applier = &mut self.applier;
        assert_eq!(last.index, applier.applied(), "a snapshot ends with what was executed last");
        let begun = Instant::now();
        let view = catch_unwind(AssertUnwindSafe(|| applier.view()));
        let view = view.map_err(|panic| StopReason::QueryPanicked {
            index: last.index,
            reason: panic_text(&*panic),
        })?;
        let paused = begun.elapsed();
        self.shared.facts.set_view_pause(paused);
        tracing::debug!(%last, ?paused, "a view for a snapshot");
        let job = SnapshotJob::Take { last, meta, content: Box::new(Written(view)) };
        if self.shared.snapshots.push(job).is_err() {
            tracing::debug!(%last, "no snapshot is taken: the node stops");
        }
        Ok(())
    }

    /// Takes over the state of a snapshot that came from a peer.
    fn restore(&mut self, stored: &StoredSnapshot) -> Result<(), StopReason> {
        let index = stored.id.last.index;
        let failed = |reason: String| StopReason::RestoreFailed { index, reason };
        let meta = SnapshotMeta::decode(&stored.meta).map_err(|error| failed(error.to_string()))?;
        let content = self.contents.open(&stored.id);
        let mut content = content.ok_or_else(|| failed("its file is gone".to_owned()))?;
        let applier = &mut self.applier;
        let restored =
            catch_unwind(AssertUnwindSafe(|| applier.restore(index, &meta, &mut *content)));
        match restored {
            Ok(restored) => restored.map_err(|error| failed(error.to_string()))?,
            Err(panic) => return Err(failed(format!("it panicked: {}", panic_text(&*panic)))),
        }
        // The replica waits for this one.
        self.quiet_bytes = self.wake_bytes;
        self.answer_waiting()
    }

    fn ask(&mut self, min_index: Option<Index>, queries: Queries<M>) -> Result<(), StopReason> {
        let index = min_index.unwrap_or_default().max(self.floor);
        if index > self.applier.applied() {
            self.waiting.push(index, queries);
            return Ok(());
        }
        self.answer(queries)
    }

    fn answer_waiting(&mut self) -> Result<(), StopReason> {
        let applied = self.applier.applied();
        while let Some(due) = self.waiting.next_due(&applied) {
            for queries in due {
                self.answer(queries)?;
            }
        }
        Ok(())
    }

    fn answer(&mut self, queries: Queries<M>) -> Result<(), StopReason> {
        let Self { applier, shared, outgoing, .. } = self;
        let all = || {
            for Asked { call, query, charge } in queries {
                outgoing.push(shared, call, Ended::Answer(applier.query(query)));
                drop(charge);
            }
        };
        catch_unwind(AssertUnwindSafe(all)).map_err(|panic| StopReason::QueryPanicked {
            index: self.applier.applied(),
            reason: panic_text(&*panic),
        })
    }

    /// Sends out what has gathered: one batch per port, one report to the replica.
    fn report(&mut self, before: Index) {
        self.outgoing.flush();
        let index = self.applier.applied();
        if index == before {
            return;
        }
        self.shared.facts.set_applied(index);
        let application_index = self.applier.application_index();
        let answers = std::mem::take(&mut self.answers);
        let is_urgent = !answers.is_empty() || self.quiet_bytes >= self.wake_bytes;
        let event = Event::Applied(Applied { index, application_index, answers });
        let inbox = &self.shared.inbox;
        let sent = if is_urgent { inbox.push(event) } else { inbox.push_quietly(event) };
        self.is_quiet = !is_urgent;
        if is_urgent {
            self.quiet_bytes = 0;
        }
        if sent.is_err() {
            tracing::debug!(%index, "entries were executed after the node had stopped");
        }
    }

    fn stop(&self, reason: StopReason) {
        let mut unserved = Vec::new();
        self.shared.apply.close(&mut unserved);
        if self.shared.inbox.push(Event::Stop(reason)).is_err() {
            tracing::debug!("the state machine ended after the node had stopped");
        }
    }
}
