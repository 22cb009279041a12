//! Snapshots: what a leader hears of those it sends, how a follower receives and installs one, and
//! what of the log a snapshot sets free (Raft §7).
//!
//! - A snapshot is named by its last entry, its length and its hash; pieces of another are never
//!   put beside its own.
//! - Pieces are stored in order, and no more of them wait for the disk than this node's own window
//!   holds, whatever its leader sends. What a closed connection, a lost piece or a restart interrupts goes
//!   on where the file ends, also under another leader that offers the same one.
//! - While a snapshot takes the place of the log this node neither campaigns nor takes entries: what
//!   the log is, is being decided on the disk.
//! - An installed snapshot is durable, and the log durably begins after it, before anybody hears of
//!   it.
//! - Where the log holds the snapshot's last entry, what follows it stays; else all of it goes, for
//!   it cannot be known to agree.
//! - A snapshot that the receiver had all of and gave up is not sent for ever: a newer one of the
//!   leader's takes its place.
//! - What receivers will need stays in the log, up to a bound in bytes: who is away for ever must
//!   not fill the disk.
//!
//! Deviation: the paper's leader sends a snapshot piece by piece as calls of one stream, and begins
//! again when that breaks. Here pieces and heartbeats travel on channels of their own.

use std::sync::Arc;

use super::Raft;
use super::role::Role;
use crate::effect::{DropReason, Effect};
use crate::id::{EntryId, Index, NodeId, RequestId, Term};
use crate::membership::Membership;
use crate::message::{AppendReply, Message, SnapshotChunk, SnapshotReply};
use crate::progress::{Mode, Progress, Transfer};
use crate::snapshot::SnapshotId;
use crate::status::ReceivingStatus;

/// Part of the bytes that may be kept for receivers that has to come free before less is kept: each
/// time costs the log a few operations.
const WORTHWHILE: u64 = 16;

/// A snapshot that is being received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Receiving {
    id: SnapshotId,
    /// The leader that sends it.
    from: NodeId,
    /// Its latest request about it.
    request: RequestId,
    /// Where the next piece begins: pieces before it are on their way into the file.
    expected: u64,
    /// Bytes in the file.
    stored: u64,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// How much an earlier attempt left is not known yet.
    Opening,
    /// Pieces come in.
    Storing,
    /// All of it is there and takes the place of the log. Nothing but its end, or its failure, ends
    /// this.
    Installing,
}

impl Receiving {
    const fn new(id: SnapshotId, from: NodeId, request: RequestId) -> Self {
        Self { id, from, request, expected: 0, stored: 0, stage: Stage::Opening }
    }

    pub(super) fn status(&self) -> ReceivingStatus {
        let installing = self.stage == Stage::Installing;
        ReceivingStatus { id: self.id, stored: self.stored, installing }
    }

    pub(super) fn check(&self) {
        let is_ordered = self.stored <= self.expected && self.expected <= self.id.bytes;
        assert!(is_ordered, "what is stored was sent before");
    }
}

// What a shell asks.
impl Raft {
    /// The entry up to which the log may be given up, where that is worth the work: the newest
    /// snapshot covers it, some bytes stay behind that in any case, and what peers need that live or
    /// receive a snapshot stays, as far as the bound in bytes allows.
    #[must_use]
    pub fn compaction_target(&self) -> Option<EntryId> {
        let covered = self.snapshot?.last.index;
        let base = self.log.base().index;
        if covered <= base || self.installing().is_some() {
            return None;
        }
        let keep_from = self.log.bytes_through(covered).saturating_sub(self.config.keep_bytes);
        let free = self.log.index_within(keep_from).min(covered);
        let target = self.needed_by_peers(base).map_or(free, |needed| needed.min(free));
        if target <= base {
            return None;
        }
        let gain = self.log.bytes_through(target) - self.log.bytes_through(base);
        let is_worthwhile = target == free || gain >= self.config.retain_bytes / WORTHWHILE;
        let term = self.log.term_at(target)?;
        is_worthwhile.then_some(EntryId::new(target, term))
    }

    /// The lowest entry after which peers need all there is, of those for whom that is not too much.
    fn needed_by_peers(&self, base: Index) -> Option<Index> {
        let Role::Leader(leader) = &self.role else { return None };
        let needed = leader.peers.values().filter_map(|peer| match &peer.mode {
            Mode::Snapshot(transfer) => Some(transfer.id.last.index),
            Mode::Probe { .. } | Mode::Replicate(_) => {
                let is_alive = self.now.since(peer.heard_at) < self.config.election_max;
                is_alive.then_some(peer.matched)
            }
        });
        let kept = |from: Index| self.log.bytes() - self.log.bytes_through(from.max(base));
        needed.filter(|from| kept(*from) <= self.config.retain_bytes).min()
    }

    /// The snapshots whose files are needed: the newest, those on their way to peers, and the one
    /// that is being received.
    #[must_use]
    pub fn snapshots_in_use(&self) -> Vec<SnapshotId> {
        let mut ids = Vec::new();
        let mut add = |id: SnapshotId| {
            if !ids.contains(&id) {
                ids.push(id);
            }
        };
        self.snapshot.into_iter().for_each(&mut add);
        if let Role::Leader(leader) = &self.role {
            let transfers = leader.peers.values().filter_map(Progress::transfer);
            transfers.map(|transfer| transfer.id).for_each(&mut add);
        }
        self.receiving.iter().map(|receiving| receiving.id).for_each(&mut add);
        ids
    }

    /// The newest durable snapshot.
    #[must_use]
    pub const fn snapshot(&self) -> Option<SnapshotId> {
        self.snapshot
    }

    /// The entry before the first that the log still holds.
    #[must_use]
    pub const fn base(&self) -> EntryId {
        self.log.base()
    }
}

// What its shell tells a node of its own disk.
impl Raft {
    pub(super) fn handle_snapshot_taken(&mut self, id: SnapshotId) {
        let term = self.log.term_at(id.last.index);
        let is_own = id.last.index <= self.applying && term.is_none_or(|term| term == id.last.term);
        assert!(is_own, "a snapshot ends with an entry that was executed here");
        // What was installed meanwhile may be newer.
        if self.snapshot.is_none_or(|newest| newest.last.index < id.last.index) {
            self.snapshot = Some(id);
        }
    }

    pub(super) fn handle_compacted(&mut self, base: EntryId) {
        if base.index <= self.log.base().index {
            return;
        }
        let covered = self.snapshot.is_some_and(|newest| newest.last.index >= base.index);
        assert!(covered && self.log.holds(base), "a snapshot covers what the log gives up");
        self.log.compact_to(base);
        self.memberships.compact_to(base.index);
    }
}

// A leader.
impl Raft {
    pub(super) fn handle_snapshot_reply(
        &mut self,
        from: NodeId,
        request: RequestId,
        reply: SnapshotReply,
        effects: &mut Vec<Effect>,
    ) {
        let (now, newest) = (self.now, self.sender.last_request);
        let patience = self.config.election_min.max(self.config.heartbeat.saturating_mul(3));
        let Some(progress) = self.peer_mut(from) else {
            return effects.push(Effect::Dropped(DropReason::StaleReply));
        };
        if request < progress.valid_from || request > newest {
            return effects.push(Effect::Dropped(DropReason::StaleReply));
        }
        if reply.received > reply.id.bytes {
            return effects.push(Effect::Dropped(DropReason::Absurd));
        }
        progress.heard_at = now;
        progress.answered = progress.answered.max(request);
        if let Mode::Snapshot(transfer) = &mut progress.mode
            && transfer.id == reply.id
            && request >= progress.rejects_from
        {
            let had_all = transfer.acked == transfer.id.bytes;
            transfer.stored(reply.received, request, now, patience);
            // The peer had all of it and gave it up: it is not what it claims to be, and would not be
            // the next time.
            if had_all && transfer.acked < transfer.id.bytes {
                transfer.give_up_for_newer();
            }
        }
        self.answer_confirmed_reads(effects);
    }

    pub(super) fn handle_snapshot_unreadable(&mut self, id: SnapshotId) {
        let Role::Leader(leader) = &mut self.role else { return };
        let transfers = leader.peers.values_mut().filter_map(Progress::transfer_mut);
        transfers.filter(|transfer| transfer.id == id).for_each(Transfer::give_up_for_newer);
    }

    /// A peer acknowledged entries: where the log goes on after them, it needs no snapshot.
    #[cold]
    pub(super) fn leave_snapshot_of(&mut self, peer: NodeId) {
        let Role::Leader(leader) = &mut self.role else { return };
        let Some(progress) = leader.peers.get_mut(peer) else { return };
        if self.log.term_at(progress.matched).is_some() {
            progress.leave_snapshot();
        }
    }
}

// A follower.
impl Raft {
    /// The snapshot that is about to take the place of the log.
    pub(super) fn installing(&self) -> Option<&Receiving> {
        self.receiving.as_deref().filter(|receiving| receiving.stage == Stage::Installing)
    }

    /// Whether the log is about to be another, so that nothing can be said of entries. The leader
    /// hears that this node is there, and when it is done.
    pub(super) fn is_installing(
        &mut self,
        from: NodeId,
        request: RequestId,
        wants_reply: bool,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let installing = |receiving: &&mut Box<Receiving>| receiving.stage == Stage::Installing;
        let Some(receiving) = self.receiving.as_mut().filter(installing) else { return false };
        (receiving.from, receiving.request) = (from, request);
        let reply = SnapshotReply { id: receiving.id, received: receiving.stored };
        if wants_reply {
            self.send_reply(from, request, Message::SnapshotReply(reply), None, effects);
        }
        true
    }

    pub(super) fn handle_offer(
        &mut self,
        from: NodeId,
        request: RequestId,
        id: SnapshotId,
        effects: &mut Vec<Effect>,
    ) {
        if !self.follow(from, effects) || self.is_installing(from, request, true, effects) {
            return;
        }
        if id.bytes == 0 || id.last.term > self.term() || id.last.term == Term::ZERO {
            return effects.push(Effect::Dropped(DropReason::Absurd));
        }
        match self.has_all_of(id) {
            Err(reason) => return effects.push(Effect::Dropped(reason)),
            Ok(true) => return self.need_no_snapshot(from, request, id, effects),
            Ok(false) => {}
        }
        let is_late = |receiving: &Receiving| receiving.from == from && request < receiving.request;
        match self.receiving.as_deref_mut() {
            Some(receiving) if receiving.id == id => {
                if receiving.from != from || receiving.request < request {
                    (receiving.from, receiving.request) = (from, request);
                }
                let is_opening = receiving.stage == Stage::Opening;
                if is_opening {
                    self.not_yet(from, request, id, effects);
                } else {
                    self.tell_stored(effects);
                    self.install_if_whole(effects);
                }
            }
            // scenario: snapshot/late_offer_replaces_nothing
            Some(receiving) if is_late(receiving) => {
                effects.push(Effect::Dropped(DropReason::StaleChunk));
            }
            Some(_) | None => {
                self.receiving = Some(Box::new(Receiving::new(id, from, request)));
                effects.push(Effect::ReceiveSnapshot(id));
                self.not_yet(from, request, id, effects);
            }
        }
    }

    pub(super) fn handle_chunk(
        &mut self,
        from: NodeId,
        request: RequestId,
        chunk: SnapshotChunk,
        effects: &mut Vec<Effect>,
    ) {
        if !self.follow(from, effects) || self.is_installing(from, request, true, effects) {
            return;
        }
        let SnapshotChunk { id, offset, bytes } = chunk;
        if !chunk.is_well_formed() || id.last.term > self.term() {
            return effects.push(Effect::Dropped(DropReason::Absurd));
        }
        let is_wanted = |receiving: &&mut Receiving| {
            receiving.id == id && receiving.from == from && receiving.stage == Stage::Storing
        };
        let Some(receiving) = self.receiving.as_deref_mut().filter(is_wanted) else {
            return effects.push(Effect::Dropped(DropReason::StaleChunk));
        };
        receiving.request = receiving.request.max(request);
        let under_way = receiving.expected - receiving.stored;
        if offset == receiving.expected && under_way < self.config.snapshot_window_bytes {
            receiving.expected += u64::from(bytes);
            effects.push(Effect::StoreChunk { id, offset, bytes });
        } else {
            self.tell_stored(effects);
        }
    }

    pub(super) fn handle_chunk_stored(
        &mut self,
        id: SnapshotId,
        received: u64,
        effects: &mut Vec<Effect>,
    ) {
        let Some(receiving) = self.receiving.as_deref_mut() else { return };
        // An answer about one that was given up for another comes late.
        if receiving.id != id {
            return;
        }
        assert!(received <= id.bytes, "a file holds no more than was sent");
        match receiving.stage {
            Stage::Opening => {
                receiving.stage = Stage::Storing;
                (receiving.stored, receiving.expected) = (received, received);
            }
            Stage::Storing => {
                receiving.stored = receiving.stored.max(received);
                receiving.expected = receiving.expected.max(received);
            }
            Stage::Installing => return,
        }
        self.tell_stored(effects);
        self.install_if_whole(effects);
    }

    pub(super) fn handle_snapshot_failed(&mut self, id: SnapshotId) {
        let was_installing = self.installing().is_some();
        if self.receiving.take_if(|receiving| receiving.id == id).is_some() && was_installing {
            self.reset_election_timer();
        }
    }

    pub(super) fn handle_snapshot_installed(
        &mut self,
        id: SnapshotId,
        membership: &Arc<Membership>,
        effects: &mut Vec<Effect>,
    ) {
        let is_it = |receiving: &mut Box<Receiving>| {
            receiving.id == id && receiving.stage == Stage::Installing
        };
        let Some(receiving) = self.receiving.take_if(is_it) else {
            return effects.push(Effect::Dropped(DropReason::UnknownToken));
        };
        let last = id.last;
        let by_index = mutant!(SuffixOfAnotherTermKept) && last.index <= self.log.last().index;
        let keeps_suffix = self.log.holds(last) || by_index;
        if keeps_suffix {
            self.log.compact_to(last);
        } else {
            self.log.replace(last);
            self.memberships.truncate_from(last.index.next());
        }
        if !mutant!(SnapshotMembershipIgnored) {
            self.memberships.install(last.index, Arc::clone(membership));
        }
        self.durability.install(last.index, keeps_suffix);
        self.write.truncate_from = self.write.truncate_from.filter(|_| keeps_suffix);
        self.write.entries = self.log.last().index > self.durability.handed_out();
        self.raise_commit(self.commit.max(last.index));
        self.applying = self.applying.max(last.index);
        self.applied = self.applied.max(last.index);
        self.snapshot = Some(id);
        self.reset_election_timer();
        if self.follows(receiving.from) {
            self.accept_up_to(receiving.from, receiving.request, last.index, effects);
        }
        self.hand_out_committed(effects);
    }

    /// Whether this log holds everything that a snapshot covers, and nothing that it contradicts.
    fn has_all_of(&self, id: SnapshotId) -> Result<bool, DropReason> {
        let held = self.log.term_at(id.last.index);
        if id.last.index > self.commit {
            return Ok(held == Some(id.last.term));
        }
        // What is committed here is what any leader's snapshot covers.
        if held.is_none_or(|term| term == id.last.term) {
            Ok(true)
        } else {
            Err(DropReason::Absurd)
        }
    }

    fn need_no_snapshot(
        &mut self,
        from: NodeId,
        request: RequestId,
        id: SnapshotId,
        effects: &mut Vec<Effect>,
    ) {
        self.receiving = None;
        self.accept_up_to(from, request, id.last.index, effects);
    }

    fn accept_up_to(
        &self,
        to: NodeId,
        request: RequestId,
        matched: Index,
        effects: &mut Vec<Effect>,
    ) {
        let reply = Message::AppendReply(AppendReply::Accepted { matched });
        self.send_reply(to, request, reply, self.after_entries(matched), effects);
    }

    /// Answers an offer while nothing can be said of the file yet: this node is there, and its log
    /// does not reach to the snapshot's last entry.
    fn not_yet(&self, to: NodeId, request: RequestId, id: SnapshotId, effects: &mut Vec<Effect>) {
        let (prev, hint) = (id.last.index, self.log.last());
        let reply = Message::AppendReply(AppendReply::Rejected { prev, hint });
        self.send_reply(to, request, reply, None, effects);
    }

    fn follows(&self, leader: NodeId) -> bool {
        matches!(&self.role, Role::Follower(follower) if follower.leader == Some(leader))
    }

    /// Tells the leader how much is in the file.
    fn tell_stored(&self, effects: &mut Vec<Effect>) {
        let Some(receiving) = &self.receiving else { return };
        if self.follows(receiving.from) {
            let reply = SnapshotReply { id: receiving.id, received: receiving.stored };
            let message = Message::SnapshotReply(reply);
            self.send_reply(receiving.from, receiving.request, message, None, effects);
        }
    }

    /// All of it is there: the log is to begin after it. Who stands for election, or leads, lets the
    /// next leader offer it again.
    fn install_if_whole(&mut self, effects: &mut Vec<Effect>) {
        let Some(receiving) = self.receiving.as_deref() else { return };
        let &Receiving { id, from, request, stored, .. } = receiving;
        if stored < id.bytes || !matches!(self.role, Role::Follower(_)) {
            return;
        }
        match self.has_all_of(id) {
            Ok(false) => {}
            // Entries came another way meanwhile.
            Ok(true) if self.follows(from) => {
                return self.need_no_snapshot(from, request, id, effects);
            }
            Ok(true) | Err(_) => return self.receiving = None,
        }
        if let Some(receiving) = &mut self.receiving {
            receiving.stage = Stage::Installing;
        }
        effects.push(Effect::InstallSnapshot(id));
    }
}
