//! Linearizable reads without a log entry: the read index (thesis §6.4).
//!
//! - A read index is the commit index at the moment the read came, and never one from before the
//!   entry that opened the leader's term was committed: until then the leader may not know what is
//!   committed.
//! - It is confirmed when a quorum has answered requests that were sent after the read came: the
//!   number of a request is the read context. Answers to earlier requests prove nothing about now.
//! - Elsewhere than on the leader a read asks the leader: one question, under a fresh number, for
//!   all reads that came since the last. An answer serves every read that came before its question
//!   was asked, and none that came later. A read has no effect, so asking again is safe; it waits
//!   while there is no leader, up to a limit.

use std::collections::VecDeque;

use super::Raft;
use super::role::Role;
use crate::effect::{DropReason, Effect};
use crate::id::{Index, NodeId, ReadId, RequestId};
use crate::membership::is_quorum;
use crate::message::{Message, ReadIndexReply};
use crate::time::Instant;

/// A read that the leader has to confirm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LeaderRead {
    origin: Origin,
    /// Answers to requests from this one on confirm the read.
    requests_from: RequestId,
    /// Set once the opening entry is committed.
    index: Option<Index>,
    /// When to give up; holds across a change of leader.
    expires_at: Instant,
}

impl LeaderRead {
    pub(super) const fn expires_at(&self) -> Instant {
        self.expires_at
    }

    /// Answers to requests from this one on confirm it.
    pub(super) const fn requests_from(&self) -> RequestId {
        self.requests_from
    }
}

/// Who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Local(ReadId),
    Remote { from: NodeId, request: RequestId },
}

/// Reads of this node that a leader elsewhere must confirm.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ForwardedReads {
    /// In the order in which they came: by first question and by limit, those never asked last.
    waiting: VecDeque<ForwardedRead>,
    /// When to ask again for what was asked before.
    retry_at: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ForwardedRead {
    id: ReadId,
    /// The first question that was asked after the read came; this and later ones answer it.
    first_question: Option<RequestId>,
    /// When to give up.
    expires_at: Instant,
}

impl ForwardedReads {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// When the limit of a read is reached, or where there is a leader to ask, its answer is late.
    pub(super) fn next_deadline(&self, has_leader: bool) -> Option<Instant> {
        let first = self.waiting.front()?;
        Some(if has_leader { first.expires_at.min(self.retry_at) } else { first.expires_at })
    }

    /// What was asked before is asked again from `at` on.
    pub(super) const fn ask_at(&mut self, at: Instant) {
        self.retry_at = at;
    }
}

impl Raft {
    pub(super) fn handle_read(&mut self, id: ReadId, effects: &mut Vec<Effect>) {
        if self.reads_waiting() >= self.config.max_pending_reads {
            return effects.push(Effect::ReadFailed(id));
        }
        let expires_at = self.read_limit();
        if self.is_leader() {
            self.push_leader_read(Origin::Local(id), expires_at);
        } else {
            self.forward(id, expires_at);
        }
    }

    /// A follower asks for a read index.
    pub(super) fn handle_read_index(
        &mut self,
        from: NodeId,
        request: RequestId,
        effects: &mut Vec<Effect>,
    ) {
        if self.is_leader() && self.reads_waiting() < self.config.max_pending_reads {
            let expires_at = self.read_limit();
            self.push_leader_read(Origin::Remote { from, request }, expires_at);
        } else {
            let reply = Message::ReadIndexReply(ReadIndexReply { index: None });
            self.send_reply(from, request, reply, None, effects);
        }
    }

    pub(super) fn handle_read_index_reply(
        &mut self,
        request: RequestId,
        reply: ReadIndexReply,
        effects: &mut Vec<Effect>,
    ) {
        let is_answered =
            |read: &ForwardedRead| read.first_question.is_some_and(|first| first <= request);
        let is_ours = request <= self.sender.last_request;
        if !is_ours || !self.reads.waiting.front().is_some_and(is_answered) {
            return effects.push(Effect::Dropped(DropReason::StaleReply));
        }
        // Whoever was asked leads no more; the next question goes to who does.
        let Some(index) = reply.index else { return };
        // scenario: read/old_answer_serves_no_later_read
        while let Some(read) = self.reads.waiting.pop_front_if(|read| is_answered(read)) {
            effects.push(Effect::ReadReady { id: read.id, index });
        }
    }

    /// Asks the leader for every read that was not asked for, and again for those asked long ago.
    pub(super) fn flush_forwarded_reads(&mut self, effects: &mut Vec<Effect>) {
        let Some(leader) = self.leader() else { return };
        let Some(newest) = self.reads.waiting.back() else { return };
        if newest.first_question.is_some() && self.reads.retry_at > self.now {
            return;
        }
        let question = self.send_request(leader, Message::ReadIndex, effects);
        for read in self.reads.waiting.iter_mut().rev() {
            if read.first_question.is_some() {
                break;
            }
            read.first_question = Some(question);
        }
        self.reads.retry_at = self.now.after(self.config.heartbeat);
    }

    /// Gives up reads past their limit.
    pub(super) fn expire_reads(&mut self, effects: &mut Vec<Effect>) {
        let now = self.now;
        let forwarded = |read: &mut ForwardedRead| read.expires_at <= now;
        while let Some(read) = self.reads.waiting.pop_front_if(forwarded) {
            effects.push(Effect::ReadFailed(read.id));
        }
        let Role::Leader(leader) = &mut self.role else { return };
        while let Some(read) = leader.reads.pop_front_if(|read| read.expires_at <= now) {
            if let Origin::Local(id) = read.origin {
                effects.push(Effect::ReadFailed(id));
            }
        }
    }

    /// Answers the reads whose index is known and confirmed, in the order in which they came.
    #[inline]
    pub(super) fn answer_confirmed_reads(&mut self, effects: &mut Vec<Effect>) {
        if matches!(&self.role, Role::Leader(leader) if !leader.reads.is_empty()) {
            self.answer_reads(effects);
        }
    }

    fn answer_reads(&mut self, effects: &mut Vec<Effect>) {
        self.index_reads();
        while let Some((read, index)) = self.next_confirmed_read() {
            match read.origin {
                Origin::Local(id) => effects.push(Effect::ReadReady { id, index }),
                Origin::Remote { from, request } => {
                    let reply = Message::ReadIndexReply(ReadIndexReply { index: Some(index) });
                    self.send_reply(from, request, reply, None, effects);
                }
            }
        }
    }

    /// This node leads no more: its own reads ask the next leader, others' ask again themselves.
    pub(super) fn keep_local_reads(&mut self) {
        let Role::Leader(leader) = &mut self.role else { return };
        for read in core::mem::take(&mut leader.reads) {
            if let Origin::Local(id) = read.origin {
                self.forward(id, read.expires_at);
            }
        }
    }

    /// This node leads: the reads that waited for a leader are its own to confirm.
    pub(super) fn lead_local_reads(&mut self) {
        for read in core::mem::take(&mut self.reads.waiting) {
            self.push_leader_read(Origin::Local(read.id), read.expires_at);
        }
    }

    fn reads_waiting(&self) -> usize {
        let own = match &self.role {
            Role::Leader(leader) => leader.reads.len(),
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => 0,
        };
        own + self.reads.waiting.len()
    }

    fn read_limit(&self) -> Instant {
        self.now.after(self.config.election_max.saturating_mul(4))
    }

    fn forward(&mut self, id: ReadId, expires_at: Instant) {
        self.reads.waiting.push_back(ForwardedRead { id, first_question: None, expires_at });
    }

    fn push_leader_read(&mut self, origin: Origin, expires_at: Instant) {
        let requests_from = self.sender.next_request();
        if let Role::Leader(leader) = &mut self.role {
            leader.reads.push_back(LeaderRead { origin, requests_from, index: None, expires_at });
        }
        self.index_reads();
    }

    /// Gives reads their index, once the opening entry is committed.
    fn index_reads(&mut self) {
        let commit = self.commit;
        let Role::Leader(leader) = &mut self.role else { return };
        if leader.reads.is_empty() || commit < leader.opening && !mutant!(ReadBeforeOpening) {
            return;
        }
        let unindexed = leader.reads.iter_mut().rev().take_while(|read| read.index.is_none());
        unindexed.for_each(|read| read.index = Some(commit));
    }

    fn next_confirmed_read(&mut self) -> Option<(LeaderRead, Index)> {
        let id = self.id;
        let Role::Leader(leader) = &mut self.role else { return None };
        let read = *leader.reads.front()?;
        let index = read.index?;
        let membership = self.memberships.current();
        let confirms = |peer: NodeId| {
            let answered = leader.peers.get(peer).map(|peer| peer.answered);
            peer == id || answered.is_some_and(|answered| answered >= read.requests_from)
        };
        if !is_quorum(membership, confirms) {
            return None;
        }
        leader.reads.pop_front();
        Some((read, index))
    }
}
