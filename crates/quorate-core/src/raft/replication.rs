//! What a leader sends, and when: appends, heartbeats, notices of a commit index.
//!
//! - A leader sends while its own write is under way: its appends wait for no token of their own.
//! - To a peer in probe mode one append at a time; in replicate mode as many as the window allows.
//! - A heartbeat is an empty append, sent when nothing else was for a heartbeat interval. It heals
//!   whatever was lost: its refusal starts a probe, its acceptance repeats a lost acknowledgement.

use super::Raft;
use super::role::Role;
use crate::effect::Effect;
use crate::id::{EntryId, Index, NodeId};
use crate::message::{Append, Message};
use crate::progress::Mode;

impl Raft {
    /// The end of a wake-up: one append per peer for everything that came, and what reads need.
    pub(super) fn flush_leader(&mut self, effects: &mut Vec<Effect>) {
        let mut at = 0;
        while let Some(peer) = self.peer_at(at) {
            self.replicate(peer, effects);
            self.ask_for_reads(peer, effects);
            if self.config.commit_notices {
                self.notify_commit(peer, effects);
            }
            at += 1;
        }
        self.answer_confirmed_reads(effects);
    }

    /// Whoever heard nothing for a heartbeat interval hears something.
    pub(super) fn send_heartbeats(&mut self, effects: &mut Vec<Effect>) {
        let (now, every) = (self.now, self.config.heartbeat);
        let mut next = 0;
        while let Some(peer) = self.peer_at(next) {
            next += 1;
            let Some(progress) = self.peer_mut(peer) else { return };
            if now.since(progress.sent_at) < every {
                continue;
            }
            match &mut progress.mode {
                Mode::Probe { waiting, retry } if *waiting => {
                    *waiting = false;
                    *retry = true;
                    self.probe(peer, effects);
                }
                Mode::Probe { .. } => self.probe(peer, effects),
                Mode::Replicate(_) => self.heartbeat(peer, effects),
            }
        }
    }

    /// An empty append at the end of what was sent.
    pub(super) fn heartbeat(&mut self, peer: NodeId, effects: &mut Vec<Effect>) {
        let Some(progress) = self.peer_mut(peer) else { return };
        let prev = progress.next.previous();
        let prev = self.id_at_or_base(prev);
        self.send_append(peer, Part { prev, runs: Vec::new(), wants_reply: true }, effects);
    }

    fn replicate(&mut self, peer: NodeId, effects: &mut Vec<Effect>) {
        let Some(progress) = self.peer_mut(peer) else { return };
        match &progress.mode {
            Mode::Probe { waiting: true, .. } => {}
            Mode::Probe { waiting: false, .. } => self.probe(peer, effects),
            Mode::Replicate(_) => self.stream(peer, effects),
        }
    }

    /// Asks whether the logs agree before `next`; carries entries the first time.
    fn probe(&mut self, peer: NodeId, effects: &mut Vec<Effect>) {
        let max_bytes = self.config.max_append_bytes;
        let Some(progress) = self.peer_mut(peer) else { return };
        let next = progress.next;
        let Mode::Probe { waiting, retry } = &mut progress.mode else { return };
        *waiting = true;
        let bare = *retry;
        let prev = next.previous();
        let Some(term) = self.log.term_at(prev) else {
            effects.push(Effect::NeedsSnapshot(peer));
            let prev = self.log.base();
            self.send_append(peer, Part { prev, runs: Vec::new(), wants_reply: true }, effects);
            return;
        };
        let runs = if bare { Vec::new() } else { self.log.slice(next, max_bytes) };
        let prev = EntryId::new(prev, term);
        self.send_append(peer, Part { prev, runs, wants_reply: true }, effects);
    }

    /// Sends what is left, as far as the window allows.
    fn stream(&mut self, peer: NodeId, effects: &mut Vec<Effect>) {
        let last = self.log.last().index;
        let max_bytes = self.config.max_append_bytes;
        let (max_messages, max_inflight) =
            (self.config.max_inflight_messages, self.config.max_inflight_bytes);
        loop {
            let Some(progress) = self.peer_mut(peer) else { return };
            let next = progress.next;
            let Mode::Replicate(inflight) = &progress.mode else { return };
            if next > last || !inflight.has_room(max_messages, max_inflight) {
                return;
            }
            let Some(term) = self.log.term_at(next.previous()) else {
                return effects.push(Effect::NeedsSnapshot(peer));
            };
            let prev = EntryId::new(next.previous(), term);
            let runs = self.log.slice(next, max_bytes);
            let (end, bytes) = (
                runs.last().expect("an entry above the match is in the log").last(),
                runs.iter().map(|run| run.bytes).sum(),
            );
            self.send_append(peer, Part { prev, runs, wants_reply: true }, effects);
            let Some(progress) = self.peer_mut(peer) else { return };
            progress.next = end.next();
            if let Mode::Replicate(inflight) = &mut progress.mode {
                inflight.push(end, bytes);
            }
        }
    }

    /// Tells a commit index that no append has told, as far as the peer is known to match; wants no
    /// reply, so that it costs one message.
    fn notify_commit(&mut self, peer: NodeId, effects: &mut Vec<Effect>) {
        let commit = self.commit;
        let Some(progress) = self.peer_mut(peer) else { return };
        let known = commit.min(progress.matched);
        if known <= progress.told_commit {
            return;
        }
        let matched = progress.matched;
        let Some(term) = self.log.term_at(matched) else { return };
        let prev = EntryId::new(matched, term);
        self.send_append(peer, Part { prev, runs: Vec::new(), wants_reply: false }, effects);
    }

    fn send_append(&mut self, peer: NodeId, part: Part, effects: &mut Vec<Effect>) {
        let (now, commit) = (self.now, self.commit);
        let recorded_boot = self.boots.get(peer).copied().unwrap_or_default();
        let Some(progress) = self.peer_mut(peer) else { return };
        let Part { prev, runs, wants_reply } = part;
        let recorded = progress.matched;
        let append = Append { prev, commit, recorded, recorded_boot, wants_reply, runs };
        if wants_reply {
            progress.sent_at = now;
        }
        progress.told_commit = progress.told_commit.max(commit.min(append.end()));
        let request = self.send_request(peer, Message::Append(append), effects);
        if let Some(progress) = self.peer_mut(peer).filter(|_| wants_reply) {
            progress.asked = request;
        }
    }

    /// The peers of a leader, one after the other: what is sent to one may end the lead.
    fn peer_at(&self, at: usize) -> Option<NodeId> {
        match &self.role {
            Role::Leader(leader) => leader.peers.id_at(at),
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => None,
        }
    }

    fn id_at_or_base(&self, index: Index) -> EntryId {
        self.log.term_at(index).map_or_else(|| self.log.base(), |term| EntryId::new(index, term))
    }
}

/// What one append says, apart from what all say.
struct Part {
    prev: EntryId,
    runs: Vec<crate::entry::Run>,
    wants_reply: bool,
}
