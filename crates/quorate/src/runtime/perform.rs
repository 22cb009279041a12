//! The end of a wake-up: what the replica asked for goes out, each kind in one batch.

use quorate_core::{Index, Instant, ReadId};

use super::log_role::LogJob;
use super::port::{Asked, Ended};
use super::read_role::ReadJob;
use super::replica_role::{Phase, ReplicaRole, addresses};
use super::shared::ApplyJob;
use super::snapshot_role::SnapshotJob;
use crate::error::{HaltCause, Refusal, StopReason, UnknownReason};
use crate::machine::StateMachine;
use crate::replica::{
    CallOutcome, Frame, RefusalCode, ReplicaEffect, ReplicaHalt, ReplicaInput, UnknownCode,
};

/// Rounds in which dropped sends may cause other sends, before the rest waits for the next wake-up.
const ROUNDS: usize = 4;

impl<M: StateMachine> ReplicaRole<M> {
    /// Ends the wake-up.
    pub(super) fn finish(&mut self, now: Instant) {
        if !self.batch.is_empty() {
            self.last_read = ReadId(self.last_read.0 + 1);
            self.queries.insert(self.last_read, std::mem::take(&mut self.batch));
            self.give(now, ReplicaInput::Read(self.last_read));
        }
        self.give(now, ReplicaInput::Flush);
        self.perform(now);
        self.hand_out();
        self.publish(now);
    }

    fn perform(&mut self, now: Instant) {
        for _ in 0..ROUNDS {
            if self.effects.is_empty() {
                return;
            }
            let mut effects = std::mem::take(&mut self.effects);
            for effect in effects.drain(..) {
                self.perform_one(now, effect);
            }
            if self.effects.is_empty() {
                self.effects = effects;
            }
        }
    }

    fn perform_one(&mut self, now: Instant, effect: ReplicaEffect) {
        match effect {
            ReplicaEffect::Persist(write) => self.writes.push(LogJob::Write(write)),
            ReplicaEffect::Send { to, frame } => self.send(now, to, frame),
            ReplicaEffect::Apply { entries, answers } => {
                self.applies.push(ApplyJob::Entries { entries, answers });
            }
            ReplicaEffect::ReadLog { ticket, first, last, max_bytes } => {
                let job = ReadJob::Read { ticket, first, last, max_bytes };
                if self.reader.push(job).is_err() {
                    tracing::debug!("the reader has ended");
                }
            }
            ReplicaEffect::TakeSnapshot { last, meta } => {
                self.taking = true;
                self.publisher.mark();
                self.applies.push(ApplyJob::TakeSnapshot { last, meta });
            }
            ReplicaEffect::Restore(stored) => self.applies.push(ApplyJob::Restore(stored)),
            ReplicaEffect::Compact(compact) => self.writes.push(LogJob::Compact(compact)),
            ReplicaEffect::ReceiveSnapshot(id) => {
                tracing::info!(%id, "a snapshot comes from the leader: this node was away too long");
                self.publisher.mark();
                self.stores.push(SnapshotJob::Receive(id));
            }
            ReplicaEffect::StoreChunk { id, offset, data } => {
                self.stores.push(SnapshotJob::Store { id, offset, data });
            }
            ReplicaEffect::InstallSnapshot(id) => self.stores.push(SnapshotJob::Install(id)),
            ReplicaEffect::KeepSnapshots(ids) => self.stores.push(SnapshotJob::Keep(ids)),
            ReplicaEffect::ReadSnapshot { ticket, id, offset, bytes } => {
                if self.reader.push(ReadJob::Snapshot { ticket, id, offset, bytes }).is_err() {
                    tracing::debug!("the reader has ended");
                }
            }
            ReplicaEffect::CallEnded { call, outcome } => {
                let ended = self.ended(outcome);
                self.outgoing.push(&self.shared, call, ended);
            }
            ReplicaEffect::ReadReady { id, index } => self.read_ready(id, index),
            ReplicaEffect::ReadFailed(id) => {
                let refusal = Refusal::NoLeader { waited: self.config.leader_wait };
                for Asked { call, .. } in self.queries.remove(&id).unwrap_or_default() {
                    self.outgoing.push(&self.shared, call, Ended::refused(refusal.clone()));
                }
            }
            ReplicaEffect::Leadership { role, term, leader } => {
                let role = role.as_str();
                match leader {
                    Some(leader) => tracing::info!(%term, role, %leader, "leadership"),
                    None => tracing::info!(%term, role, "no leader is known"),
                }
                self.publisher.mark();
            }
            ReplicaEffect::Roster(roster) => {
                self.transport.set_peers(addresses(&roster));
                self.publisher.mark();
            }
            ReplicaEffect::Halt(halt) => self.stop(match halt {
                ReplicaHalt::Raft(reason) => StopReason::Halted(HaltCause(reason)),
                ReplicaHalt::ReadBack { first, last, reason } => {
                    StopReason::ReadBack { first, last, reason }
                }
            }),
        }
    }

    fn send(&mut self, now: Instant, to: quorate_core::NodeId, frame: Frame) {
        let dropped = match (&frame, frame.envelope()) {
            (Frame::Forward(forward), _) => Some(ReplicaInput::ForwardDropped(forward.number)),
            (_, envelope) => {
                envelope.map(|envelope| ReplicaInput::SendDropped { to, request: envelope.request })
            }
        };
        if let Err(error) = self.transport.send(to, frame) {
            tracing::trace!(%to, %error, "not sent");
            if let Some(dropped) = dropped {
                self.give(now, dropped);
            }
        }
    }

    fn read_ready(&mut self, id: ReadId, index: Index) {
        if let Some(queries) = self.queries.remove(&id) {
            self.applies.push(ApplyJob::Queries { min_index: Some(index), queries });
        }
    }

    pub(super) fn ended(&self, outcome: CallOutcome) -> Ended<M> {
        match outcome {
            CallOutcome::Applied(reply) => Ended::Encoded(reply.into()),
            CallOutcome::Faulted(fault) => Ended::Faulted(fault),
            CallOutcome::Refused(code) => Ended::refused(self.refusal(code)),
            CallOutcome::Unknown(code) => Ended::unknown(match code {
                UnknownCode::ConnectionLost => UnknownReason::ConnectionLost,
                UnknownCode::LeaderChanged => UnknownReason::LeaderChanged,
                UnknownCode::TimedOut => {
                    UnknownReason::TimedOut { waited: self.config.answer_wait }
                }
                UnknownCode::Stopping => UnknownReason::Stopped(self.shared.stop_reason()),
            }),
        }
    }

    fn refusal(&self, code: RefusalCode) -> Refusal {
        match code {
            RefusalCode::NoLeader | RefusalCode::NotLeader => {
                Refusal::NoLeader { waited: self.config.leader_wait }
            }
            RefusalCode::Overloaded => Refusal::Overloaded,
            RefusalCode::LeaderChanged => Refusal::LeaderChanged,
            RefusalCode::TooLarge => Refusal::TooLarge { limit: self.config.max_command_bytes },
            RefusalCode::Stopping => Refusal::Stopped(self.shared.stop_reason()),
        }
    }

    /// Hands the batches out: one push, and at most one wake, for each receiver.
    fn hand_out(&mut self) {
        if self.log.append(&mut self.writes).is_err() {
            // The log has failed; its report is on the way or here already.
            self.writes.clear();
        }
        if self.shared.snapshots.append(&mut self.stores).is_err() {
            self.stores.clear();
        }
        if self.shared.apply.append(&mut self.applies).is_err() {
            self.applies.clear();
        }
        self.outgoing.flush();
    }

    /// Ends what the replica still holds, because the node stops.
    pub(super) fn end_calls(&mut self) {
        let now = self.clock.now();
        if let Phase::Running(replica) = &mut self.phase {
            replica.stop(&mut self.effects);
        }
        self.perform(now);
        self.snapshot_waiters.clear();
        let refusal = Refusal::Stopped(self.shared.stop_reason());
        let queries = std::mem::take(&mut self.queries).into_values().flatten();
        for Asked { call, .. } in queries.chain(std::mem::take(&mut self.batch)) {
            self.outgoing.push(&self.shared, call, Ended::refused(refusal.clone()));
        }
        self.hand_out();
    }
}
