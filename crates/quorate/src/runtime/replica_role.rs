//! The replica's thread: takes what came, lets the pure parts decide, and does what they ask for.
//!
//! One wake-up takes everything that waits (frames, calls, writes that became durable), gives it to
//! the replica, ends with a flush, and hands out the effects in batches: one push to the log, one
//! to the state machine, one write per peer. Nothing here blocks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use quorate_core::{BootCounter, Index, Instant, NodeId, ReadId};
use quorate_log::StoredSnapshot;
use tokio::time::Sleep;

use super::clock::Clock;
use super::log_role::LogJob;
use super::mailbox::Mailbox;
use super::port::{Asked, Ended, Queries, Submission, Wanted};
use super::publish::Publisher;
use super::read_role::ReadJob;
use super::seed::Seed;
use super::shared::{Applied, ApplyJob, Event, Outgoing, Shared, SnapshotWaiter};
use super::snapshot_role::SnapshotJob;
use super::step_back;
use crate::error::{Refusal, SnapshotRefusal, StopReason};
use crate::founding::{self, Founding};
use crate::machine::StateMachine;
use crate::replica::{Replica, ReplicaConfig, ReplicaEffect, ReplicaInput};
use crate::roster::{FoundingRecord, Roster, missing_majority};
use crate::sessions::Stamp;
use crate::transport::{self, Side, Transport};

/// What this node is part of.
pub(crate) enum Phase {
    /// Nothing yet; what the replica will begin with.
    Forming(Option<Box<Seed>>),
    /// A cluster.
    Running(Box<Replica>),
}

/// See the module.
pub(crate) struct ReplicaRole<M: StateMachine> {
    pub(crate) shared: Arc<Shared<M>>,
    pub(crate) clock: Clock,
    pub(crate) config: ReplicaConfig,
    pub(crate) transport: Transport,
    pub(crate) founding: Founding,
    pub(crate) phase: Phase,
    pub(crate) log: Arc<Mailbox<LogJob>>,
    pub(crate) reader: Arc<Mailbox<ReadJob>>,
    pub(crate) publisher: Publisher,
    /// Peers that frames can be sent to.
    pub(crate) reachable: BTreeMap<NodeId, BootCounter>,
    /// Batches of queries that wait for their read index.
    pub(crate) queries: BTreeMap<ReadId, Queries<M>>,
    pub(crate) last_read: ReadId,
    /// Queries of this wake-up.
    pub(crate) batch: Queries<M>,
    pub(crate) application_index: u64,
    pub(crate) applied: Index,
    pub(crate) effects: Vec<ReplicaEffect>,
    pub(crate) writes: Vec<LogJob>,
    pub(crate) applies: Vec<ApplyJob<M>>,
    /// For the snapshots' thread.
    pub(crate) stores: Vec<SnapshotJob>,
    /// Whether a snapshot is being taken.
    pub(crate) taking: bool,
    /// Who waits for a snapshot of what was executed up to an entry.
    pub(crate) snapshot_waiters: Vec<(Index, SnapshotWaiter)>,
    pub(crate) outgoing: Outgoing<M>,
    pub(crate) stopping: Option<StopReason>,
    /// Whether it is a task among those that it waits for.
    pub(crate) shares_thread: bool,
}

impl<M: StateMachine> ReplicaRole<M> {
    /// Runs until the node stops; says why.
    pub(crate) async fn run(&mut self) -> StopReason {
        let (mut events, mut inbox) = (Vec::new(), Vec::new());
        let mut timer = Box::pin(tokio::time::sleep(Duration::ZERO));
        let now = self.clock.now();
        self.begin(now);
        loop {
            self.finish(self.clock.now());
            if let Some(reason) = self.stopping.take() {
                return reason;
            }
            self.wait(&mut timer).await;
            if self.shares_thread {
                step_back().await;
            }
            self.transport.events().take(&mut events);
            self.shared.inbox.take(&mut inbox);
            let now = self.clock.now();
            for event in events.drain(..) {
                self.handle_transport(now, event);
            }
            for event in inbox.drain(..) {
                self.handle_event(now, event);
            }
            if self.next_deadline().is_some_and(|due| due <= now) {
                self.handle_timer(now);
            }
        }
    }

    /// The last entry that is known to be committed.
    pub(crate) fn known_committed(&self) -> Index {
        match &self.phase {
            Phase::Running(replica) => replica.commit(),
            Phase::Forming(_) => Index::ZERO,
        }
    }

    /// Sleeps until something comes, or a deadline does.
    async fn wait(&mut self, timer: &mut std::pin::Pin<Box<Sleep>>) {
        let due = self.next_deadline().into_iter().chain(self.publisher.due()).min();
        if let Some(due) = due {
            let due = self.clock.instant(due);
            if timer.deadline() != due {
                timer.as_mut().reset(due);
            }
        }
        tokio::select! {
            () = self.transport.events().ready() => {}
            () = self.shared.inbox.ready() => {}
            () = timer.as_mut(), if due.is_some() => {}
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        let replica = match &self.phase {
            Phase::Running(replica) => replica.next_deadline(),
            Phase::Forming(_) => None,
        };
        replica.into_iter().chain(self.founding.next_deadline()).min()
    }

    fn begin(&mut self, now: Instant) {
        if let (Phase::Running(replica), Some(record)) = (&self.phase, self.founding.record()) {
            self.transport.set_peers(addresses(&replica.roster()));
            self.shared.facts.set_cluster(record.cluster);
        }
        self.handle_founding(now, founding::Input::Timer);
    }

    fn handle_timer(&mut self, now: Instant) {
        if self.founding.next_deadline().is_some_and(|due| due <= now) {
            self.handle_founding(now, founding::Input::Timer);
        }
        self.give(now, ReplicaInput::Timer);
    }

    /// Gives the replica one input, where there is one.
    pub(crate) fn give(&mut self, now: Instant, input: ReplicaInput) {
        if let Phase::Running(replica) = &mut self.phase {
            replica.handle(now, input, &mut self.effects);
        }
    }

    fn handle_transport(&mut self, now: Instant, event: transport::Event) {
        match event {
            transport::Event::Frames { peer, frames } => {
                for frame in frames {
                    self.give(now, ReplicaInput::Frame { from: peer, frame });
                }
            }
            transport::Event::Connected { peer, boot, side } => {
                self.handle_founding(now, founding::Input::Confirmed(peer));
                if side == Side::Outgoing {
                    self.reachable.insert(peer, boot);
                    self.give(now, ReplicaInput::PeerConnected { peer, boot });
                }
                self.publisher.mark();
            }
            transport::Event::Closed { peer, side } => {
                self.give(now, ReplicaInput::PeerClosed(peer));
                match side {
                    Side::Outgoing => {
                        self.reachable.remove(&peer);
                    }
                    // What was forwarded may have lost its answer; the way there still stands.
                    Side::Incoming => {
                        if let Some(&boot) = self.reachable.get(&peer) {
                            self.give(now, ReplicaInput::PeerConnected { peer, boot });
                        }
                    }
                }
                self.publisher.mark();
            }
            transport::Event::ChunksLost { peer: to, requests } => {
                for request in requests {
                    self.give(now, ReplicaInput::SendDropped { to, request });
                }
            }
            transport::Event::Refused { peer, refusal } => {
                if refusal.supersedes_dialer() {
                    let reason = refusal.to_string();
                    self.stop(StopReason::Superseded { peer, reason });
                }
            }
            transport::Event::Twin { boot } => self.handle_twin(boot),
            transport::Event::Founding(input) => self.handle_founding(now, input),
        }
    }

    fn handle_twin(&mut self, boot: BootCounter) {
        let own = self.publisher.boot();
        if boot > own {
            self.stop(StopReason::Twin { own, other: boot });
        } else {
            tracing::error!(%own, other = %boot, "a copy of this data directory is in use");
        }
    }

    fn handle_event(&mut self, now: Instant, event: Event<M>) {
        match event {
            Event::Submitted { bytes, batch } => {
                self.shared.discharge(bytes);
                self.submit(now, batch);
            }
            Event::Persisted(token) => self.give(now, ReplicaInput::Persisted(token)),
            Event::Founded => self.handle_founding(now, founding::Input::Persisted),
            Event::Applied(Applied { index, application_index, answers }) => {
                self.applied = index;
                self.application_index = application_index;
                self.give(now, ReplicaInput::Applied(index));
                for (peer, number, outcome) in answers {
                    self.give(now, ReplicaInput::Answered { peer, number, outcome });
                }
            }
            Event::LogRead { ticket, outcome } => {
                self.give(now, ReplicaInput::LogRead { ticket, outcome });
            }
            Event::Compacted(base) => {
                self.publisher.mark();
                self.give(now, ReplicaInput::Compacted(base));
                if !self.snapshot_waiters.is_empty() {
                    self.answer_snapshot_waiters();
                }
            }
            Event::ChunkStored { id, received } => {
                self.give(now, ReplicaInput::ChunkStored { id, received });
            }
            Event::SnapshotVerified(stored) => {
                self.publisher.mark();
                self.give(now, ReplicaInput::SnapshotVerified(stored));
            }
            Event::SnapshotRejected(id) => self.give(now, ReplicaInput::SnapshotRejected(id)),
            Event::SnapshotRead { ticket, outcome } => {
                self.give(now, ReplicaInput::SnapshotRead { ticket, outcome });
            }
            Event::SnapshotTaken(stored) => self.snapshot_taken(now, stored),
            Event::SnapshotTakeFailed { reason } => {
                self.taking = false;
                self.publisher.mark();
                for (_, waiter) in self.snapshot_waiters.drain(..) {
                    let reason = reason.clone();
                    // Who gave up waiting needs not to know.
                    drop(waiter.send(Err(SnapshotRefusal::Failed { reason })));
                }
                self.give(now, ReplicaInput::SnapshotTakeFailed { reason });
            }
            Event::SnapshotWanted(waiter) => self.want_snapshot(now, waiter),
            Event::Stop(reason) => self.stop(reason),
        }
    }

    fn snapshot_taken(&mut self, now: Instant, stored: StoredSnapshot) {
        self.taking = false;
        self.publisher.mark();
        self.give(now, ReplicaInput::SnapshotTaken(stored));
        self.answer_snapshot_waiters();
        if !self.snapshot_waiters.is_empty() {
            self.give(now, ReplicaInput::TakeSnapshot);
        }
    }

    /// Tells those who wait for a snapshot that covers no more than the newest does.
    fn answer_snapshot_waiters(&mut self) {
        let Phase::Running(replica) = &self.phase else { return };
        let Some(id) = replica.status().raft.snapshot else { return };
        for (index, waiter) in std::mem::take(&mut self.snapshot_waiters) {
            if index <= id.last.index {
                // Who gave up waiting needs not to know.
                drop(waiter.send(Ok(id)));
            } else {
                self.snapshot_waiters.push((index, waiter));
            }
        }
    }

    fn want_snapshot(&mut self, now: Instant, waiter: SnapshotWaiter) {
        let Phase::Running(replica) = &self.phase else {
            return drop(waiter.send(Err(SnapshotRefusal::Nothing)));
        };
        let shown = replica.status().raft;
        match shown.snapshot {
            Some(id) if id.last.index >= shown.applying => drop(waiter.send(Ok(id))),
            _ if shown.applying == Index::ZERO => drop(waiter.send(Err(SnapshotRefusal::Nothing))),
            _ => {
                self.snapshot_waiters.push((shown.applying, waiter));
                if !self.taking {
                    self.give(now, ReplicaInput::TakeSnapshot);
                }
            }
        }
    }

    fn submit(&mut self, now: Instant, batch: Vec<Submission<M>>) {
        if matches!(self.phase, Phase::Forming(_)) {
            let waiting_for = self.waiting_for(now).unwrap_or_default();
            let refusal = Refusal::NotFounded { waiting_for };
            for Submission { call, .. } in batch {
                self.outgoing.push(&self.shared, call, Ended::refused(refusal.clone()));
            }
            return;
        }
        for Submission { call, what } in batch {
            match what {
                Wanted::Call(command) => {
                    let (command, stamp) = (command.into(), Stamp::None);
                    self.give(now, ReplicaInput::Call { call, command, stamp });
                }
                Wanted::Stamped(stamped) => {
                    let (command, stamp) = *stamped;
                    let command = command.into();
                    self.give(now, ReplicaInput::Call { call, command, stamp });
                }
                Wanted::Read(query, charge) => self.batch.push(Asked { call, query, charge }),
            }
        }
    }

    /// Why this node cannot serve yet, in words: it belongs to no cluster, or reaches no majority.
    pub(crate) fn waiting_for(&self, now: Instant) -> Option<String> {
        match &self.phase {
            Phase::Forming(_) => self.founding.waiting(now).map(|waiting| waiting.to_string()),
            Phase::Running(replica) if replica.leader().is_none() => {
                let here = self.shared.status.borrow().node;
                let answers = |id| id == here || self.reachable.contains_key(&id);
                missing_majority(&replica.roster(), answers).map(|missing| missing.to_string())
            }
            Phase::Running(_) => None,
        }
    }

    pub(crate) fn handle_founding(&mut self, now: Instant, input: founding::Input) {
        let before = self.founding.answer();
        for action in self.founding.handle(now, input) {
            match action {
                founding::Action::Ask { address, asked } => self.transport.ask(address, asked),
                founding::Action::Persist(record) => {
                    self.writes.push(LogJob::Found(record.cluster, record.encode()));
                }
                founding::Action::Offer { address, to, record } => {
                    self.transport.offer(address, to, record);
                }
                founding::Action::Founded(record) => self.join(now, &record),
                founding::Action::Refused(refusal) => tracing::warn!("{refusal}"),
            }
        }
        let answer = self.founding.answer();
        if answer != before {
            self.transport.set_answer(answer);
        }
        self.publisher.mark();
    }

    /// Becomes part of a cluster: the protocol begins.
    fn join(&mut self, now: Instant, record: &FoundingRecord) {
        let Phase::Forming(seed) = &mut self.phase else { return };
        let Some(seed) = seed.take() else { return };
        match Replica::new(seed.start(record, now)) {
            Ok(replica) => {
                tracing::info!(cluster = %record.cluster, "belongs to a cluster");
                self.transport.join_cluster(record.cluster);
                self.transport.set_peers(addresses(&replica.roster()));
                self.phase = Phase::Running(Box::new(replica));
                self.shared.facts.set_cluster(record.cluster);
            }
            // Everything in it was checked before the node started.
            Err(error) => {
                let reason = error.to_string();
                self.stop(StopReason::PartFailed { part: "replica", reason });
            }
        }
    }

    /// Notes that the node must stop; the first reason counts.
    pub(crate) fn stop(&mut self, reason: StopReason) {
        if self.stopping.is_none() {
            self.stopping = Some(reason);
        }
    }
}

/// Where the members of a cluster are.
pub(crate) fn addresses(roster: &Roster) -> Vec<(NodeId, String)> {
    roster.members().map(|member| (member.id, member.peer_address.clone())).collect()
}
