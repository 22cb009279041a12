//! The pure composition of one node: the protocol, the bytes of its entries, and who waits for what.
//!
//! [`Replica::handle`] takes one input and appends what it asks for to a vector of effects. It does
//! no I/O, reads no clock and draws no random number, so that a simulator runs the very code that
//! serves clients.
//!
//! Each concern has its file: `tail` holds recent entries, `outbox` holds messages back until what
//! they rest on is durable, `proposals` knows who waits for which entry, `calls` those that are not
//! in this log, `feed` hands committed entries to the state machine, `snapshots` has the state written
//! down, sent and restored. `steady` takes what nearly every step is in a straight line.
//!
//! Invariants:
//! - After every step the tail ends where the protocol's log ends.
//! - Bytes are attached to an append, to a write or to an apply only when the index and term of
//!   every entry are those that the protocol named.
//! - A call is proposed at most once by this node, and is answered as applied only by the very
//!   entry that carries it.

mod calls;
mod command;
mod feed;
pub mod frame;
pub mod heads;
mod io;
mod outbox;
mod proposals;
mod snapshots;
mod steady;
mod tail;
mod view;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use quorate_core::{
    BootCounter, Config, Effect, EntryId, EntryKind, Envelope, Few, HardState, Index, Input,
    Instant, Message, NodeId, Persist, PersistToken, ProposeError, Raft, Run, Send, Start,
    StartError, Term,
};
use quorate_log::{Entries, Envelope as EntryEnvelope, RECORD_HEADER_BYTES, StoredSnapshot, Write};

pub use self::command::Command;
pub use self::frame::{Chunk, Forward, ForwardNumber, ForwardOutcome, ForwardReply, Frame, Letter};
pub use self::heads::{HeadsError, heads};
pub use self::io::{
    CallId, CallOutcome, Effects, Origin, ReadFault, RefusalCode, ReplicaEffect, ReplicaHalt,
    ReplicaInput, Ticket, UnknownCode,
};
pub use self::view::{ReplicaCounters, ReplicaStatus};

use self::calls::{Calls, Held};
use self::feed::{Feed, Want};
use self::outbox::{Dropped, Outbox, Slot};
use self::proposals::{Lost, Proposals};
use self::snapshots::Snapshots;
use self::tail::Tail;
use crate::roster::{Roster, RosterError};
use crate::sessions::{SessionId, SessionRequest, Stamp};
use crate::snapshot::SnapshotMeta;

/// Limits and times of a replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaConfig {
    /// Settings of the protocol.
    pub raft: Config,
    /// Bytes of recent entries kept in memory; what is not durable yet comes on top.
    pub tail_bytes: usize,
    /// Bytes of messages held back per peer.
    pub outbox_bytes: usize,
    /// Bytes of entries handed to the state machine and not executed yet.
    pub apply_bytes: usize,
    /// Bytes of calls that wait for a leader or for its answer.
    pub call_bytes: usize,
    /// Bytes of one encoded command.
    pub max_command_bytes: usize,
    /// Committed entries that may wait for the state machine before calls are refused.
    pub max_apply_backlog: u64,
    /// How long a call waits for a leader before it is refused.
    pub leader_wait: Duration,
    /// How long a forwarded call waits for the leader's answer before it is unknown.
    pub answer_wait: Duration,
    /// Entries executed after which a snapshot is taken.
    pub snapshot_entries: u64,
    /// Bytes of entries executed after which a snapshot is taken, if the newest one has fewer.
    pub snapshot_bytes: u64,
}

impl Default for ReplicaConfig {
    fn default() -> Self {
        Self {
            raft: Config::default(),
            tail_bytes: 32 << 20,
            outbox_bytes: 16 << 20,
            apply_bytes: 16 << 20,
            call_bytes: 64 << 20,
            max_command_bytes: 16 << 20,
            max_apply_backlog: 1 << 20,
            leader_wait: Duration::from_secs(3),
            answer_wait: Duration::from_secs(10),
            snapshot_entries: u64::MAX,
            snapshot_bytes: u64::MAX,
        }
    }
}

/// Everything a replica begins with, all of it durable.
#[derive(Clone, Debug)]
pub struct ReplicaStart {
    /// This node.
    pub id: NodeId,
    /// Its boot counter.
    pub boot: BootCounter,
    /// Settings.
    pub config: ReplicaConfig,
    /// Seed of the election timeouts.
    pub seed: u64,
    /// The present instant.
    pub now: Instant,
    /// Term and vote.
    pub hard_state: HardState,
    /// The entry before the first of the log.
    pub base: EntryId,
    /// The roster at the base: that of the founding record, or of the snapshot.
    pub roster: Arc<Roster>,
    /// Commands up to and with the base.
    pub application_index: u64,
    /// The newest durable snapshot; the state machine begins with it.
    pub snapshot: Option<StoredSnapshot>,
    /// Heads of every entry above the base; membership runs without their content.
    pub runs: Vec<Run>,
    /// Payload of every membership entry above the base, in order.
    pub memberships: Vec<(Index, Vec<u8>)>,
    /// A commit index known to hold.
    pub commit: Index,
    /// Log time of the last entry, in milliseconds; zero for an empty log.
    pub log_time_ms: u64,
}

/// Why a replica cannot start from what its data directory says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplicaStartError {
    /// The log contradicts itself or the hard state.
    #[error(transparent)]
    Raft(#[from] StartError),
    /// A membership entry cannot be read.
    #[error(transparent)]
    Membership(#[from] HeadsError),
    /// The head of the snapshot cannot be read.
    #[error("the head of the snapshot cannot be read: {0}")]
    Snapshot(RosterError),
}

/// Why entries are being read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    /// For the state machine.
    Feed,
    /// For an append that waits in the outbox.
    Append,
}

/// The memory of their boxes is what is kept.
type UsedLetters = Vec<Box<Letter>>;

/// See the module.
#[derive(Debug)]
pub struct Replica {
    id: NodeId,
    boot: BootCounter,
    config: ReplicaConfig,
    raft: Raft,
    tail: Tail,
    outbox: Outbox,
    proposals: Proposals,
    calls: Calls,
    feed: Feed,
    snapshots: Snapshots,
    /// Peers whose connection stands, with the boot that its handshake named.
    connected: BTreeMap<NodeId, BootCounter>,
    /// The roster at the base, and that of each membership entry above it.
    rosters: Vec<(Index, Arc<Roster>)>,
    /// Reads of the log under way.
    reads: BTreeMap<Ticket, Reading>,
    last_ticket: Ticket,
    /// When this node's term as leader began, with the log time at that instant.
    term_began: (Instant, u64),
    /// Who answered in which term that it does not lead, and until when it is not asked again.
    shunned: Option<(NodeId, Term, Instant)>,
    /// Appends that were dropped in this step; the core is told at its end.
    undelivered: Vec<Dropped>,
    /// The core's effects; kept for its memory.
    effects: Vec<Effect>,
    /// Letters that were read; kept for their memory.
    letters: UsedLetters,
    counters: ReplicaCounters,
    halted: bool,
}

impl Replica {
    /// Begins as a follower.
    ///
    /// # Errors
    ///
    /// When the log contradicts itself or the hard state, or holds a membership that cannot be
    /// read.
    pub fn new(start: ReplicaStart) -> Result<Self, ReplicaStartError> {
        let ReplicaStart { id, boot, config, base, .. } = start;
        let mut rosters = vec![(base.index, start.roster)];
        for (index, payload) in &start.memberships {
            rosters.push((*index, Arc::new(heads::decode(*index, payload)?)));
        }
        let mut runs = start.runs;
        for run in runs.iter_mut().filter(|run| run.kind == EntryKind::Membership) {
            let roster = rosters.iter().find(|(index, _)| *index == run.first);
            run.membership = roster.map(|(_, roster)| Arc::new(roster.membership()));
        }
        let raft = Raft::new(Start {
            id,
            boot,
            config: config.raft.clone(),
            seed: start.seed,
            now: start.now,
            hard_state: start.hard_state,
            base,
            membership: rosters[0].1.membership(),
            runs,
            commit: start.commit,
            snapshot: start.snapshot.as_ref().map(|snapshot| snapshot.id),
        })?;
        let last = raft.last();
        let newest = match &start.snapshot {
            Some(StoredSnapshot { id, meta }) => {
                let meta = SnapshotMeta::decode(meta).map_err(ReplicaStartError::Snapshot)?;
                Some((*id, meta.log_time_ms))
            }
            None => None,
        };
        let restored = newest.map_or(base, |(id, _)| id.last);
        Ok(Self {
            id,
            boot,
            tail: Tail::new(config.tail_bytes, last, start.log_time_ms),
            outbox: Outbox::new(config.outbox_bytes, config.raft.heartbeat()),
            proposals: Proposals::default(),
            calls: Calls::new(boot, config.call_bytes, config.answer_wait),
            feed: Feed::new(restored.index, config.apply_bytes),
            snapshots: Snapshots::new(&config, start.application_index, newest),
            config,
            raft,
            connected: BTreeMap::new(),
            rosters,
            reads: BTreeMap::new(),
            last_ticket: Ticket(0),
            term_began: (start.now, start.log_time_ms),
            shunned: None,
            undelivered: Vec::new(),
            effects: Vec::new(),
            letters: Vec::new(),
            counters: ReplicaCounters::default(),
            halted: false,
        })
    }

    /// Takes one input and appends what it asks for to `out`. After a halt it does nothing.
    ///
    /// The shell ends each wake-up with [`ReplicaInput::Flush`].
    pub fn handle(&mut self, now: Instant, input: ReplicaInput, out: &mut Vec<ReplicaEffect>) {
        match input {
            ReplicaInput::Frame { from, frame } => self.receive(now, from, frame, out),
            ReplicaInput::Call { call, command, stamp } => {
                self.call(now, call, command, stamp, out);
            }
            ReplicaInput::Persisted(token) => self.written(now, token, out),
            ReplicaInput::Applied(index) => self.executed(now, index, out),
            ReplicaInput::Flush => self.flush(now, out),
            _ if self.halted => {}
            rare => self.handle_rare(now, rare, out),
        }
    }

    /// The typed form of [`ReplicaInput::Frame`], for any taker of effects, like those that follow.
    pub fn receive(&mut self, now: Instant, from: NodeId, frame: Frame, out: &mut impl Effects) {
        if !self.halted {
            self.handle_frame(now, from, frame, out);
        }
    }

    /// The typed form of [`ReplicaInput::Call`].
    pub fn call(
        &mut self,
        now: Instant,
        call: CallId,
        command: Command,
        stamp: Stamp,
        out: &mut impl Effects,
    ) {
        if !self.halted {
            self.handle_call(now, call, (command, stamp), out);
        }
    }

    /// The typed form of [`ReplicaInput::Persisted`].
    pub fn written(&mut self, now: Instant, token: PersistToken, out: &mut impl Effects) {
        if !self.halted {
            self.handle_persisted(now, token, out);
        }
    }

    /// The typed form of [`ReplicaInput::Applied`].
    pub fn executed(&mut self, now: Instant, index: Index, out: &mut impl Effects) {
        if !self.halted {
            self.handle_applied(now, index, out);
        }
    }

    /// The typed form of [`ReplicaInput::Flush`].
    #[inline]
    pub fn flush(&mut self, now: Instant, out: &mut impl Effects) {
        let has_work =
            self.raft.wants_flush() || !self.undelivered.is_empty() || self.calls.waiting() > 0;
        if has_work && !self.halted {
            self.do_flush(now, out);
        }
    }

    /// What does not come with every call.
    #[cold]
    fn handle_rare(&mut self, now: Instant, input: ReplicaInput, out: &mut impl Effects) {
        match input {
            ReplicaInput::Read(id) => self.step(now, Input::Read(id), out),
            ReplicaInput::Answered { peer, number, outcome } => {
                reply_to(peer, number, outcome, out);
            }
            ReplicaInput::LogRead { ticket, outcome } => {
                self.handle_log_read(now, ticket, outcome, out);
            }
            ReplicaInput::PeerConnected { peer, boot } => {
                self.connected.insert(peer, boot);
                self.step(now, Input::PeerConnected { peer, boot }, out);
                self.route_waiting(now, out);
            }
            ReplicaInput::PeerClosed(peer) => {
                self.connected.remove(&peer);
                for call in self.calls.lost(peer) {
                    end(call, CallOutcome::Unknown(UnknownCode::ConnectionLost), out);
                }
                self.step(now, Input::PeerClosed(peer), out);
            }
            ReplicaInput::SendDropped { to, request } => {
                self.counters.sends_dropped += 1;
                self.step(now, Input::SendDropped { to, request }, out);
            }
            ReplicaInput::ForwardDropped(number) => {
                if let Some(held) = self.calls.take_forwarded(number) {
                    end(held.call, CallOutcome::Refused(RefusalCode::Overloaded), out);
                }
            }
            ReplicaInput::Timer => self.handle_timer(now, out),
            ReplicaInput::TakeSnapshot
            | ReplicaInput::SnapshotTaken(_)
            | ReplicaInput::SnapshotTakeFailed { .. }
            | ReplicaInput::Compacted(_)
            | ReplicaInput::ChunkStored { .. }
            | ReplicaInput::SnapshotVerified(_)
            | ReplicaInput::SnapshotRejected(_)
            | ReplicaInput::SnapshotRead { .. } => self.handle_snapshots(now, input, out),
            ReplicaInput::Frame { .. }
            | ReplicaInput::Call { .. }
            | ReplicaInput::Persisted(_)
            | ReplicaInput::Applied(_)
            | ReplicaInput::Flush => unreachable!("they have handlers of their own"),
        }
    }

    /// What shell and disk say of snapshots.
    fn handle_snapshots(&mut self, now: Instant, input: ReplicaInput, out: &mut impl Effects) {
        match input {
            ReplicaInput::TakeSnapshot => self.want_snapshot(out),
            ReplicaInput::SnapshotTaken(snapshot) => self.snapshot_taken(now, &snapshot, out),
            ReplicaInput::SnapshotTakeFailed { .. } => self.snapshot_take_failed(out),
            ReplicaInput::Compacted(base) => self.log_begins(now, base, out),
            ReplicaInput::ChunkStored { id, received } => {
                self.step(now, Input::ChunkStored { id, received }, out);
            }
            ReplicaInput::SnapshotVerified(snapshot) => self.snapshot_verified(now, snapshot, out),
            ReplicaInput::SnapshotRejected(id) => {
                self.counters.snapshots_failed += 1;
                self.step(now, Input::SnapshotFailed(id), out);
            }
            ReplicaInput::SnapshotRead { ticket, outcome } => {
                self.piece_read(now, ticket, outcome, out);
            }
            _ => unreachable!("they have handlers of their own"),
        }
    }

    /// When [`ReplicaInput::Timer`] is due.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        if self.halted {
            return None;
        }
        let again = self.shunned.filter(|_| self.calls.waiting() > 0).map(|(.., until)| until);
        let deadlines = [self.raft.next_deadline(), self.calls.next_deadline(), again];
        deadlines.into_iter().flatten().min()
    }

    /// Ends every call that is not with the state machine, because the node stops.
    pub fn stop(&mut self, out: &mut impl Effects) {
        self.halted = true;
        for held in self.calls.take_waiting() {
            end(held.call, CallOutcome::Refused(RefusalCode::Stopping), out);
        }
        let peers: Vec<NodeId> = self.connected.keys().copied().collect();
        for call in peers.into_iter().flat_map(|peer| self.calls.lost(peer)) {
            end(call, CallOutcome::Unknown(UnknownCode::Stopping), out);
        }
        for origin in self.proposals.drain() {
            if let Origin::Local(call) = origin {
                end(call, CallOutcome::Unknown(UnknownCode::Stopping), out);
            }
        }
    }

    fn handle_frame(&mut self, now: Instant, from: NodeId, frame: Frame, out: &mut impl Effects) {
        match frame {
            Frame::Raft(letter) if letter.envelope.from == from => {
                self.handle_letter(now, letter, out);
            }
            Frame::Chunk(chunk) if chunk.envelope.from == from => {
                let Chunk { envelope, data } = *chunk;
                self.handle_chunk(now, &envelope, data, out);
            }
            Frame::Raft(_) | Frame::Chunk(_) => self.counters.frames_dropped += 1,
            Frame::Forward(forward) => self.handle_forward(now, from, *forward, out),
            Frame::ForwardReply(reply) => self.handle_forward_reply(now, from, *reply, out),
        }
    }

    fn handle_any_letter(&mut self, now: Instant, letter: &mut Letter, out: &mut impl Effects) {
        let Letter { envelope, entries } = letter;
        // A piece comes with its bytes, or is none.
        if matches!(envelope.message, Message::SnapshotChunk(_)) {
            self.counters.frames_dropped += 1;
            return;
        }
        // The heads come from the bytes themselves, so that they cannot contradict them.
        if let Message::Append(append) = &mut envelope.message {
            let Ok(runs) = heads(entries) else {
                self.counters.frames_dropped += 1;
                return;
            };
            append.runs = runs;
        }
        self.raft.receive(now, envelope, &mut self.effects);
        self.obey(now, entries, out);
    }

    fn handle_applied(&mut self, now: Instant, index: Index, out: &mut impl Effects) {
        self.feed.applied(index);
        self.raft.applied(now, index, &mut self.effects);
        if !self.effects.is_empty() {
            self.obey(now, &[], out);
        }
        self.pump(out);
    }

    fn handle_timer(&mut self, now: Instant, out: &mut impl Effects) {
        let (waited, sent) = self.calls.expire(now);
        for call in waited {
            end(call, CallOutcome::Refused(RefusalCode::NoLeader), out);
        }
        for call in sent {
            end(call, CallOutcome::Unknown(UnknownCode::TimedOut), out);
        }
        self.shunned = self.shunned.filter(|(.., until)| now < *until);
        self.step(now, Input::Timer, out);
        self.tidy_snapshots(out);
    }

    fn do_flush(&mut self, now: Instant, out: &mut impl Effects) {
        if self.raft.wants_flush() {
            self.flush_raft(now, out);
        }
        if !self.undelivered.is_empty() {
            self.report_undelivered(now, out);
        }
        if self.calls.waiting() > 0 {
            self.route_waiting(now, out);
        }
    }
}

mod bytes;
mod routing;

/// Ends a call.
fn end(call: CallId, outcome: CallOutcome, out: &mut impl Effects) {
    out.push(ReplicaEffect::CallEnded { call, outcome });
}

/// Answers a forwarded call.
fn reply_to(peer: NodeId, number: ForwardNumber, outcome: ForwardOutcome, out: &mut impl Effects) {
    out.send(peer, Frame::forward_reply(number, outcome));
}

#[cfg(test)]
mod tests;
