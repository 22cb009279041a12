//! What a leader sends, and when: appends, heartbeats, notices of a commit index.
//!
//! - A leader sends while its own write is under way: its appends wait for no token of their own.
//! - To a peer in probe mode one append at a time; in replicate mode as many as the window allows.
//! - To a peer that needs what the log holds no more, a snapshot travels in pieces.
//! - A heartbeat is an empty append, sent when nothing else was for a heartbeat interval. It heals
//!   whatever was lost: its refusal starts a probe, its acceptance repeats a lost acknowledgement.

use super::read::LeaderRead;
use super::role::Role;
use super::steady::Desk;
use super::{Raft, Sender};
use crate::config::Config;
use crate::effect::Effect;
use crate::entry::Run;
use crate::few::Few;
use crate::id::{BootCounter, EntryId, Index, NodeId, PersistToken, RequestId, Term};
use crate::log::Log;
use crate::membership::Membership;
use crate::message::{Append, Envelope, Message, SnapshotChunk};
use crate::node_map::NodeMap;
use crate::progress::{Mode, Progress};
use crate::snapshot::SnapshotId;
use crate::time::Instant;

impl Raft {
    /// The end of a wake-up: one append per peer for everything that came, and what reads need.
    pub(super) fn flush_leader(&mut self, effects: &mut Vec<Effect>) {
        let newest_read = match &self.role {
            Role::Leader(leader) => leader.reads.back().map(LeaderRead::requests_from),
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => None,
        };
        self.replicate(newest_read, effects);
        self.answer_confirmed_reads(effects);
    }

    /// One append per peer for everything that it was not sent; and a question for who was asked
    /// nothing since the newest read came.
    #[inline]
    pub(super) fn replicate(&mut self, newest_read: Option<RequestId>, desk: &mut impl Desk) {
        let Some((mut letters, peers)) = self.letters(desk) else { return };
        for (peer, progress) in peers.iter_mut() {
            letters.peer = peer;
            letters.replicate(progress);
            if newest_read.is_some_and(|newest| progress.asked < newest) {
                letters.ask_for_reads(progress);
            }
            if letters.config.commit_notices {
                letters.notify_commit(progress);
            }
        }
    }

    /// Whoever heard nothing for a heartbeat interval hears something.
    pub(super) fn send_heartbeats(&mut self, effects: &mut Vec<Effect>) {
        let Some((mut letters, peers)) = self.letters(effects) else { return };
        for (peer, progress) in peers.iter_mut() {
            letters.peer = peer;
            if letters.now.since(progress.sent_at) < letters.config.heartbeat {
                continue;
            }
            match &mut progress.mode {
                Mode::Probe { waiting, retry } => {
                    *retry |= *waiting;
                    *waiting = false;
                    letters.probe(progress);
                }
                Mode::Replicate(_) => letters.heartbeat(progress),
                Mode::Snapshot(_) => letters.offer(progress),
            }
        }
    }

    /// What a leader's letters are made from, and what is known of those who get them; nothing where
    /// this node does not lead.
    fn letters<'a, D: Desk>(
        &'a mut self,
        desk: &'a mut D,
    ) -> Option<(Letters<'a, D>, &'a mut NodeMap<Progress>)> {
        let after = self.after_term();
        let Role::Leader(leader) = &mut self.role else { return None };
        let letters = Letters {
            peer: self.id,
            term: self.hard_state.term,
            now: self.now,
            commit: self.commit,
            after,
            boots: &self.boots,
            log: &self.log,
            snapshot: self.snapshot,
            membership: self.memberships.current(),
            config: &self.config,
            sender: &mut self.sender,
            desk,
        };
        Some((letters, &mut leader.peers))
    }
}

/// A leader's letters.
struct Letters<'a, D> {
    /// Whom they are for.
    peer: NodeId,
    term: Term,
    now: Instant,
    commit: Index,
    /// The write that every message of the term waits for.
    after: Option<PersistToken>,
    boots: &'a NodeMap<BootCounter>,
    log: &'a Log,
    snapshot: Option<SnapshotId>,
    membership: &'a Membership,
    config: &'a Config,
    sender: &'a mut Sender,
    desk: &'a mut D,
}

impl<D: Desk> Letters<'_, D> {
    fn replicate(&mut self, progress: &mut Progress) {
        match &progress.mode {
            Mode::Probe { waiting: true, .. } => {}
            Mode::Probe { waiting: false, .. } => self.probe(progress),
            Mode::Replicate(_) => self.stream(progress),
            Mode::Snapshot(_) => self.transfer(progress),
        }
    }

    /// Asks whether the logs agree before `next`; carries entries the first time.
    fn probe(&mut self, progress: &mut Progress) {
        let next = progress.next;
        let Mode::Probe { waiting, retry } = &mut progress.mode else { return };
        *waiting = true;
        let bare = *retry;
        let prev = next.previous();
        let Some(term) = self.log.term_at(prev) else {
            return self.begin_transfer(progress);
        };
        let max_bytes = self.config.max_append_bytes;
        let runs = if bare { Few::new() } else { self.log.slice(next, max_bytes) };
        self.ask(progress, EntryId::new(prev, term), runs);
    }

    /// Sends what is left, as far as the window allows.
    fn stream(&mut self, progress: &mut Progress) {
        let last = self.log.last().index;
        let config = self.config;
        while progress.next <= last {
            let Mode::Replicate(inflight) = &mut progress.mode else { return };
            if !inflight.has_room(config.max_inflight_messages, config.max_inflight_bytes) {
                return;
            }
            let next = progress.next;
            let Some(term) = self.log.term_at(next.previous()) else {
                return self.begin_transfer(progress);
            };
            let runs = self.log.slice(next, config.max_append_bytes);
            let end = runs.last().expect("an entry above the match is in the log").last();
            inflight.push(end, runs.iter().map(|run| run.bytes).sum());
            progress.next = end.next();
            self.ask(progress, EntryId::new(next.previous(), term), runs);
        }
    }

    /// An empty append at the end of what was sent.
    fn heartbeat(&mut self, progress: &mut Progress) {
        let prev = progress.next.previous();
        let term = self.log.term_at(prev);
        let prev = term.map_or_else(|| self.log.base(), |term| EntryId::new(prev, term));
        self.ask(progress, prev, Few::new());
    }

    /// Makes sure that a voter is asked something after the latest read came: nothing was yet.
    fn ask_for_reads(&mut self, progress: &mut Progress) {
        if !self.membership.is_voter(self.peer) {
            return;
        }
        if progress.transfer().is_some() {
            self.offer(progress);
        } else {
            self.heartbeat(progress);
        }
    }

    /// Tells a commit index that no append has told, as far as the peer is known to match; wants no
    /// reply, so that it costs one message.
    fn notify_commit(&mut self, progress: &mut Progress) {
        let known = self.commit.min(progress.matched);
        if known <= progress.told_commit || progress.transfer().is_some() {
            return;
        }
        let matched = progress.matched;
        let Some(term) = self.log.term_at(matched) else { return };
        self.send(progress, EntryId::new(matched, term), Few::new(), false);
    }

    /// What the peer needs next is in the log no more: it gets the newest snapshot.
    #[cold]
    fn begin_transfer(&mut self, progress: &mut Progress) {
        let id = self.snapshot.expect("a snapshot covers what the log lacks");
        progress.become_snapshot(id, self.sender.next_request(), self.now);
        self.transfer(progress);
    }

    /// Sends what is left of a snapshot, as far as window and pace allow.
    #[cold]
    fn transfer(&mut self, progress: &mut Progress) {
        let Mode::Snapshot(transfer) = &mut progress.mode else { return };
        // scenario: snapshot/retained_until_the_bound
        let is_followed = self.log.term_at(transfer.id.last.index).is_some();
        let is_replaced = transfer.is_unreadable && self.snapshot != Some(transfer.id);
        if !is_followed || is_replaced {
            // Where the log begins after its last entry the peer would need yet another.
            return self.begin_transfer(progress);
        }
        if transfer.offer_due {
            self.offer(progress);
        }
        let Mode::Snapshot(transfer) = &mut progress.mode else { return };
        while let Some((offset, bytes)) = transfer.piece(self.now, self.config) {
            let chunk = SnapshotChunk { id: transfer.id, offset, bytes };
            let request = self.letter(Message::SnapshotChunk(chunk));
            transfer.sent(bytes, request, self.now, self.config);
        }
    }

    /// Says which snapshot travels, and asks how much of it is there. It travels beside the pieces,
    /// so that these delay no heartbeat.
    #[cold]
    fn offer(&mut self, progress: &mut Progress) {
        let Mode::Snapshot(transfer) = &mut progress.mode else { return };
        transfer.offer_due = false;
        let offer = Message::OfferSnapshot(transfer.id);
        progress.sent_at = self.now;
        progress.asked = self.letter(offer);
    }

    fn letter(&mut self, message: Message) -> RequestId {
        let request = self.sender.number();
        let envelope = self.sender.letter(self.term, self.peer, request, message);
        self.desk.send(envelope, self.after);
        request
    }

    /// Sends an append that wants an answer.
    fn ask(&mut self, progress: &mut Progress, prev: EntryId, runs: Few<Run>) {
        progress.sent_at = self.now;
        progress.asked = self.send(progress, prev, runs, true);
    }

    fn send(
        &mut self,
        progress: &mut Progress,
        prev: EntryId,
        runs: Few<Run>,
        wants_reply: bool,
    ) -> RequestId {
        let end = runs.last().map_or(prev.index, Run::last);
        progress.told_commit = progress.told_commit.max(self.commit.min(end));
        let request = self.sender.number();
        // Written in one piece: it is large, and must not be moved from part to part.
        let envelope = Envelope {
            from: self.sender.id,
            boot: self.sender.boot,
            to: self.peer,
            term: self.term,
            request,
            message: Message::Append(Append {
                prev,
                commit: self.commit,
                recorded: progress.matched,
                recorded_boot: self.boots.get(self.peer).copied().unwrap_or_default(),
                wants_reply,
                runs,
            }),
        };
        self.desk.send(envelope, self.after);
        request
    }
}
