//! One peer without clock, threads or channels: the replica of production, its blob, its messages.
//!
//! Whoever drives it gives it what happened and the present time, and takes what it asks for with
//! [`LabNode::drain`]: a save first, then requests and answers, then what is applied.
//!
//! - What is drained with a save rests on it: nothing of it leaves before the save is done. In return
//!   the replica is told at once that its writes are durable.
//! - A snapshot and the state that goes with it are one save.
//! - The service sees commands alone: entries that open a term have no number.
//! - Several starts before one [`LabNode::flush`] are one save and one request per peer.
//! - A snapshot travels whole, in one request, which is repeated with every heartbeat until the peer
//!   has it. Nothing waits for any request to fail.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use quorate::replica::{
    CallId, Frame, Replica, ReplicaConfig, ReplicaEffect, ReplicaInput, ReplicaStart,
};
use quorate::sessions::Stamp;
use quorate::{Member, Roster, SnapshotMeta};
use quorate_core::{
    BootCounter, Config, EntryId, EntryKind, Envelope, Few, HardState, Index, Instant, Message,
    NodeId, RequestId, RoleName, SnapshotChunk, SnapshotId, Term,
};
use quorate_log::{Entries, StoredSnapshot};

use super::io::{MakeError, NodeSetup, Outputs, Request, Saved, Ticket};
use super::messages::{self, Asked, Content};
use super::state::{Damaged, State};
use crate::raft::{ApplyMsg, NoSuchPeer, Start, Timing};
use crate::recording::Inside;

/// Nobody here starts with less than it saved, so that one boot is as good as another.
const BOOT: BootCounter = BootCounter(1);
/// Bytes of entries that stay behind a snapshot for peers that are only a little behind.
const RETAIN_BYTES: u64 = 512;

/// See the module.
pub struct LabNode {
    me: usize,
    replica: Replica,
    roster: Arc<Roster>,
    heartbeat: Duration,
    state: State,
    /// The snapshot that lies beside the state.
    snapshot: Vec<u8>,
    /// Commands that the service was given, or that lie in a snapshot that it was given.
    handed: u64,
    /// Commands of whose commitment each peer was told in this term.
    told: Vec<u64>,
    /// The request that is being handled, and its answer as far as there is one.
    answering: Option<(NodeId, RequestId)>,
    answer: Option<(Term, Message)>,
    /// The snapshot that came with it, and the commands up to its end.
    incoming: Option<(Vec<u8>, u64)>,
    received: u64,
    calls: u64,
    flush_due: bool,
    unsaved: bool,
    unsaved_snapshot: bool,
    requests: Vec<Request>,
    apply: Vec<ApplyMsg>,
    inputs: VecDeque<ReplicaInput>,
    effects: Vec<ReplicaEffect>,
    halted: Option<String>,
}

fn node_id(peer: usize) -> NodeId {
    NodeId::new(peer as u64 + 1).expect("one more than something is not zero")
}

fn instant(now: Duration) -> Instant {
    Instant::from_nanos(u64::try_from(now.as_nanos()).unwrap_or(u64::MAX))
}

/// A snapshot has at least one byte where the protocol counts them.
fn file(snapshot: &[u8]) -> Vec<u8> {
    if snapshot.is_empty() { vec![0] } else { snapshot.to_vec() }
}

fn snapshot_id(last: EntryId, snapshot: &[u8]) -> SnapshotId {
    let hash = u128::from(crc32c::crc32c(snapshot));
    SnapshotId { last, bytes: snapshot.len().max(1) as u64, hash }
}

fn settings(timing: Timing) -> Result<ReplicaConfig, String> {
    let raft = Config::builder()
        .heartbeat(timing.heartbeat)
        .election_timeout(timing.election_min, timing.election_max)
        .keep_bytes(0)
        .retain_bytes(RETAIN_BYTES)
        .build()
        .map_err(|error| error.to_string())?;
    Ok(ReplicaConfig { raft, max_command_bytes: usize::MAX, ..ReplicaConfig::default() })
}

fn roster(peers: usize) -> Result<Arc<Roster>, String> {
    let member = |peer: usize| Member {
        id: node_id(peer),
        name: peer.to_string(),
        peer_address: String::new(),
        client_urls: Vec::new(),
    };
    let roster = Roster::of_voters((0..peers).map(member)).map_err(|error| error.to_string())?;
    Ok(Arc::new(roster))
}

impl LabNode {
    /// Begins with what was saved last; both are empty for a peer that never saved anything.
    ///
    /// # Errors
    ///
    /// Where its number is none of the cluster's, or what was saved cannot be used.
    pub fn new(setup: NodeSetup, state: &[u8], snapshot: &[u8]) -> Result<Self, MakeError> {
        let NodeSetup { me, peers, timing, now, .. } = setup;
        if me >= peers {
            return Err(NoSuchPeer { peer: me, peers }.into());
        }
        let in_settings = |reason| MakeError::Settings { me, reason };
        let (config, roster) =
            (settings(timing).map_err(in_settings)?, roster(peers).map_err(in_settings)?);
        let damaged = |damaged| MakeError::Damaged { me, damaged };
        let state = State::decode(state, snapshot).map_err(damaged)?;
        let mut node = Self {
            me,
            replica: begin(setup, config, &roster, &state, snapshot).map_err(damaged)?,
            roster,
            heartbeat: timing.heartbeat,
            handed: state.snapshot().map_or(0, |last| state.commands_through(last.index)),
            state,
            snapshot: snapshot.to_vec(),
            told: vec![0; peers],
            answering: None,
            answer: None,
            incoming: None,
            received: 0,
            calls: 0,
            flush_due: false,
            unsaved: false,
            unsaved_snapshot: false,
            requests: Vec::new(),
            apply: Vec::new(),
            inputs: VecDeque::new(),
            effects: Vec::new(),
            halted: None,
        };
        node.flush(now);
        Ok(node)
    }

    /// Appends a command where this peer leads; it leaves with the next [`LabNode::flush`].
    pub fn start(&mut self, now: Duration, command: &[u8]) -> Option<Start> {
        if self.replica.role() != RoleName::Leader || self.halted.is_some() {
            return None;
        }
        let before = self.replica.last();
        self.calls += 1;
        let call = CallId(self.calls);
        let input =
            ReplicaInput::Call { call, command: command.to_vec().into(), stamp: Stamp::None };
        self.feed(now, input);
        let last = self.replica.last();
        if last == before {
            return None;
        }
        self.flush_due = true;
        Some(Start { index: self.replica.commands_through(last), term: self.replica.term().0 })
    }

    /// Sends what was started since the last flush, and what else can wait a moment.
    pub fn flush(&mut self, now: Duration) {
        self.flush_due = false;
        self.feed(now, ReplicaInput::Flush);
    }

    /// Whether something waits for a flush.
    #[must_use]
    pub const fn wants_flush(&self) -> bool {
        self.flush_due
    }

    /// Answers a peer's request. What it drained with, is saved before the answer leaves.
    pub fn handle(&mut self, now: Duration, method: &str, args: &[u8]) -> Vec<u8> {
        let Some(request) = messages::decode(method, args) else { return Vec::new() };
        if request.from == self.me || request.from >= self.told.len() || self.halted.is_some() {
            return Vec::new();
        }
        let (peer, term, asked) = (node_id(request.from), request.term, request.asked);
        self.received += 1;
        let number = RequestId(self.received);
        self.answering = Some((peer, number));
        match request.content {
            Content::Message(message, entries) => {
                let frame = Frame::raft(self.letter_from(peer, term, number, message), entries);
                self.feed(now, ReplicaInput::Frame { from: peer, frame });
            }
            Content::Snapshot { last, commands, data } => {
                self.take_snapshot_of(now, (peer, term, number), last, (data, commands));
            }
        }
        self.flush(now);
        self.answering = None;
        let answer = self.answer.take();
        messages::encode_reply(asked, term, answer.as_ref().map(|(term, m)| (*term, m)))
    }

    /// A peer offers a snapshot, and here it is.
    fn take_snapshot_of(
        &mut self,
        now: Duration,
        (peer, term, number): (NodeId, Term, RequestId),
        last: EntryId,
        incoming: (Vec<u8>, u64),
    ) {
        let id = snapshot_id(last, &incoming.0);
        let data = Arc::new(file(&incoming.0));
        self.incoming = Some(incoming);
        let offer = self.letter_from(peer, term, number, Message::OfferSnapshot(id));
        let frame = Frame::raft(offer, Few::new());
        self.feed(now, ReplicaInput::Frame { from: peer, frame });
        let receiving = self.replica.status().raft.receiving;
        if receiving.is_some_and(|receiving| receiving.id == id && !receiving.installing) {
            let bytes = u32::try_from(data.len()).unwrap_or(u32::MAX);
            let chunk = Message::SnapshotChunk(SnapshotChunk { id, offset: 0, bytes });
            let frame = Frame::chunk(self.letter_from(peer, term, number, chunk), data);
            self.feed(now, ReplicaInput::Frame { from: peer, frame });
        }
        self.incoming = None;
    }

    /// Takes a peer's answer; nothing where there was none.
    pub fn answered(&mut self, now: Duration, ticket: Ticket, reply: Option<&[u8]>) {
        let Ticket { peer, term, request, asked, sent_at } = ticket;
        let from = node_id(peer);
        let Some(reply) = reply else {
            // A failure that is told late tells nothing: what was lost was sent again long ago.
            let is_soon = now.saturating_sub(sent_at) < self.heartbeat;
            if is_soon && matches!(asked, Asked::Append { prev, end, .. } if end > prev) {
                self.feed(now, ReplicaInput::SendDropped { to: from, request });
            }
            return;
        };
        let Some((term, message)) = messages::decode_reply(asked, term, reply) else { return };
        let envelope = self.letter_from(from, term, request, message);
        let (was_leader, commit) = (self.is_leader(), self.replica.commit());
        let frame = Frame::raft(envelope, Few::new());
        self.feed(now, ReplicaInput::Frame { from, frame });
        if was_leader && self.is_leader() && self.replica.commit() > commit {
            // The next command may be on its way already, and takes the news along.
            self.flush_due = true;
        } else if !self.flush_due {
            self.flush(now);
        }
    }

    /// Does what is due.
    pub fn tick(&mut self, now: Duration) {
        if self.replica.next_deadline().is_some_and(|deadline| deadline <= instant(now)) {
            self.feed(now, ReplicaInput::Timer);
            self.flush(now);
        }
    }

    /// When [`LabNode::tick`] has something to do next.
    #[must_use]
    pub fn next_deadline(&self) -> Duration {
        let deadline = self.replica.next_deadline();
        deadline.map_or(Duration::MAX, |deadline| Duration::from_nanos(deadline.as_nanos()))
    }

    /// The service's state after the command with this number; what is not ahead of an earlier one, or
    /// was never handed to the service, is ignored.
    pub fn snapshot(&mut self, now: Duration, index: u64, data: &[u8]) {
        let Some(last) = self.state.entry_of_command(index).filter(|_| index <= self.handed) else {
            return;
        };
        if self.state.snapshot().is_some_and(|newest| newest.index >= last.index) {
            return;
        }
        data.clone_into(&mut self.snapshot);
        self.state.set_snapshot(last, data);
        (self.unsaved, self.unsaved_snapshot) = (true, true);
        let stored = StoredSnapshot { id: snapshot_id(last, data), meta: self.meta(index) };
        self.feed(now, ReplicaInput::SnapshotTaken(stored));
    }

    /// The command with this number, where it is known to be committed and not covered by a snapshot.
    #[must_use]
    pub fn committed(&self, index: u64) -> Option<Vec<u8>> {
        let entry = self.state.entry_of_command(index).filter(|_| index <= self.handed)?;
        self.state.command(entry.index).map(<[u8]>::to_vec)
    }

    /// The term, and whether this peer leads it.
    #[must_use]
    pub fn state(&self) -> (u64, bool) {
        (self.replica.term().0, self.is_leader())
    }

    /// How this peer is at this moment. Its log is told in commands, which is how the service counts:
    /// entries that open a term are left out.
    #[must_use]
    pub fn inside(&self) -> Inside {
        let base = (self.state.base_commands, self.state.base.term.0);
        Inside {
            role: self.replica.role(),
            term: self.replica.term().0,
            vote: self.state.hard_state.vote.and_then(|id| usize::try_from(id.get() - 1).ok()),
            commit: self.replica.commands_through(self.replica.commit()),
            base,
            terms: self.state.command_terms(),
        }
    }

    /// Why this peer stopped for good, if it did.
    #[must_use]
    pub fn halted(&self) -> Option<&str> {
        self.halted.as_deref()
    }

    /// The replica itself, to look at.
    #[must_use]
    pub const fn replica(&self) -> &Replica {
        &self.replica
    }

    /// Takes what is to be done.
    pub fn drain(&mut self) -> Outputs {
        let save = std::mem::take(&mut self.unsaved).then(|| Saved {
            state: self.state.encode(),
            snapshot: std::mem::take(&mut self.unsaved_snapshot).then(|| self.snapshot.clone()),
        });
        Outputs {
            save,
            requests: std::mem::take(&mut self.requests),
            apply: std::mem::take(&mut self.apply),
        }
    }

    fn is_leader(&self) -> bool {
        self.replica.role() == RoleName::Leader && self.halted.is_none()
    }

    fn meta(&self, commands: u64) -> Vec<u8> {
        let roster = Arc::clone(&self.roster);
        SnapshotMeta { roster, log_time_ms: 0, application_index: commands }.encode()
    }

    fn letter_from(
        &self,
        from: NodeId,
        term: Term,
        request: RequestId,
        message: Message,
    ) -> Envelope {
        Envelope { from, boot: BOOT, to: node_id(self.me), term, request, message }
    }
}

/// The replica of a peer that begins.
fn begin(
    setup: NodeSetup,
    config: ReplicaConfig,
    roster: &Arc<Roster>,
    state: &State,
    snapshot: &[u8],
) -> Result<Replica, Damaged> {
    let snapshot = state.snapshot().map(|last| {
        let application_index = state.commands_through(last.index);
        let meta =
            SnapshotMeta { roster: Arc::clone(roster), log_time_ms: 0, application_index }.encode();
        StoredSnapshot { id: snapshot_id(last, snapshot), meta }
    });
    let start = ReplicaStart {
        id: node_id(setup.me),
        boot: BOOT,
        config,
        seed: setup.seed,
        now: instant(setup.now),
        hard_state: state.hard_state,
        base: state.base,
        roster: Arc::clone(roster),
        application_index: state.base_commands,
        snapshot,
        runs: state.runs(),
        memberships: Vec::new(),
        commit: Index::ZERO,
        log_time_ms: 0,
    };
    Replica::new(start).map_err(|error| Damaged::Contradiction(error.to_string()))
}

// What the replica asks for.
impl LabNode {
    /// Gives the replica one input, and all that follows from it.
    fn feed(&mut self, now: Duration, input: ReplicaInput) {
        let at = instant(now);
        self.inputs.push_back(input);
        while let Some(input) = self.inputs.pop_front() {
            let mut effects = std::mem::take(&mut self.effects);
            self.replica.handle(at, input, &mut effects);
            for effect in effects.drain(..) {
                self.perform(now, effect);
            }
            self.effects = effects;
        }
    }

    fn perform(&mut self, now: Duration, effect: ReplicaEffect) {
        match effect {
            ReplicaEffect::Persist(write) => {
                self.state.write(&write);
                self.unsaved = true;
                self.inputs.push_back(ReplicaInput::Persisted(write.token));
            }
            ReplicaEffect::Send { to, frame: Frame::Raft(letter) } => {
                self.send(now, to, &letter.envelope, &letter.entries);
            }
            ReplicaEffect::Apply { entries, .. } => self.apply(&entries),
            ReplicaEffect::ReadLog { ticket, first, last, max_bytes } => {
                let read = self.state.read(first, last, max_bytes);
                let outcome = read.map(|entries| vec![entries]);
                let outcome = outcome.ok_or(quorate::replica::ReadFault::Gone);
                self.inputs.push_back(ReplicaInput::LogRead { ticket, outcome });
            }
            ReplicaEffect::Compact(compact) => {
                let meta = SnapshotMeta::decode(&compact.meta).expect("this node encoded it");
                self.state.compact(&compact, meta.application_index);
                self.unsaved = true;
                self.inputs.push_back(ReplicaInput::Compacted(compact.base));
            }
            ReplicaEffect::Leadership { .. } => self.told.fill(0),
            ReplicaEffect::Halt(why) => self.halted = Some(format!("{why:?}")),
            rare => self.perform_for_snapshot(rare),
        }
    }

    fn perform_for_snapshot(&mut self, effect: ReplicaEffect) {
        match effect {
            ReplicaEffect::ReceiveSnapshot(id) => {
                self.inputs.push_back(ReplicaInput::ChunkStored { id, received: 0 });
            }
            ReplicaEffect::StoreChunk { id, offset, data } => {
                let received = offset + data.len() as u64;
                self.inputs.push_back(ReplicaInput::ChunkStored { id, received });
            }
            ReplicaEffect::InstallSnapshot(id) => {
                let Some((data, commands)) = self.incoming.take() else {
                    return self.inputs.push_back(ReplicaInput::SnapshotRejected(id));
                };
                self.state.set_snapshot(id.last, &data);
                self.snapshot = data;
                (self.unsaved, self.unsaved_snapshot) = (true, true);
                let stored = StoredSnapshot { id, meta: self.meta(commands) };
                self.inputs.push_back(ReplicaInput::SnapshotVerified(stored));
            }
            ReplicaEffect::Restore(stored) => {
                let EntryId { index, term } = stored.id.last;
                self.handed = self.state.commands_through(index);
                let (data, term) = (self.snapshot.clone(), term.0);
                self.apply.push(ApplyMsg::Snapshot { data, term, index: self.handed });
            }
            ReplicaEffect::ReadSnapshot { ticket, .. } => {
                let outcome = Err("a snapshot travels whole".to_owned());
                self.inputs.push_back(ReplicaInput::SnapshotRead { ticket, outcome });
            }
            ReplicaEffect::TakeSnapshot { .. } => {
                let reason = "the service decides when".to_owned();
                self.inputs.push_back(ReplicaInput::SnapshotTakeFailed { reason });
            }
            // Nobody here forwards a command, reads by index, or has more than one snapshot.
            _ => {}
        }
    }

    fn apply(&mut self, entries: &Entries) {
        for entry in entries.iter().filter(|entry| entry.envelope.kind == EntryKind::Command) {
            self.handed += 1;
            let (data, term) = (entry.payload.to_vec(), entry.id.term.0);
            self.apply.push(ApplyMsg::Command { data, index: self.handed, term });
        }
        self.inputs.push_back(ReplicaInput::Applied(entries.last()));
    }

    fn send(&mut self, now: Duration, to: NodeId, envelope: &Envelope, entries: &Few<Entries>) {
        let (term, request) = (envelope.term, envelope.request);
        if envelope.message.is_reply() {
            if self.answering == Some((to, request)) {
                self.answer = Some((term, envelope.message.clone()));
            }
            return;
        }
        let peer = usize::try_from(to.get() - 1).expect("peers are few");
        let (method, asked, args) = match &envelope.message {
            Message::RequestVote(vote) => {
                let asked = Asked::Vote { campaign: vote.campaign, pre_vote: vote.pre_vote };
                let args = messages::encode_vote(self.me, term, *vote);
                (messages::REQUEST_VOTE, asked, args)
            }
            Message::Append(append) => {
                let (prev, wants_reply) = (append.prev.index, append.wants_reply);
                let end = append.end();
                let told = self.replica.commands_through(append.commit.min(end));
                if !wants_reply && told <= self.told[peer] {
                    // It would learn of nothing that its service sees.
                    return;
                }
                self.told[peer] = self.told[peer].max(told);
                let args = messages::encode_append(self.me, term, append, entries);
                (messages::APPEND_ENTRIES, Asked::Append { prev, end, wants_reply }, args)
            }
            Message::OfferSnapshot(_) => {
                // The newest there is: where another was begun with, this one is as good.
                let Some(last) = self.state.snapshot() else { return };
                let commands = self.state.commands_through(last.index);
                let args = messages::encode_snapshot(self.me, term, last, commands, &self.snapshot);
                (messages::INSTALL_SNAPSHOT, Asked::Snapshot { last: last.index }, args)
            }
            _ => return,
        };
        let wants_reply = !matches!(asked, Asked::Append { wants_reply: false, .. });
        let ticket = wants_reply.then_some(Ticket { peer, term, request, asked, sent_at: now });
        self.requests.push(Request { peer, method, args, ticket });
    }
}

impl fmt::Debug for LabNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let HardState { term, .. } = self.state.hard_state;
        f.debug_struct("LabNode")
            .field("me", &self.me)
            .field("role", &self.replica.role())
            .field("term", &term)
            .field("handed", &self.handed)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
