//! Linearizable reads without a log entry: the read index (thesis §6.4).
//!
//! - A read index is the commit index at the moment the read came, and never one from before the
//!   entry that opened the leader's term was committed: until then the leader may not know what is
//!   committed.
//! - It is confirmed when a quorum has answered requests that were sent after the read came: the
//!   number of a request is the read context. Answers to earlier requests prove nothing about now.
//! - Elsewhere than on the leader a read asks the leader, each time under a fresh number; it waits
//!   while there is no leader, up to a limit. A read has no effect, so asking again is safe.

use std::collections::VecDeque;

use super::Raft;
use super::role::Role;
use crate::effect::{DropReason, Effect};
use crate::id::{Index, NodeId, ReadId, RequestId};
use crate::membership::is_quorum;
use crate::message::{Message, ReadIndexReply};
use crate::time::Instant;

/// A read that the leader has to confirm.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LeaderRead {
    origin: Origin,
    /// Answers to requests from this one on confirm the read.
    requests_from: RequestId,
    /// Set once the opening entry is committed.
    index: Option<Index>,
    /// When a local read came, so that its limit holds across a change of leader.
    came_at: Instant,
}

/// Who asked.
#[derive(Clone, Copy, Debug)]
enum Origin {
    Local(ReadId),
    Remote { from: NodeId, request: RequestId },
}

/// Reads of this node that a leader elsewhere must confirm.
#[derive(Clone, Debug, Default)]
pub(super) struct ForwardedReads {
    waiting: VecDeque<ForwardedRead>,
}

#[derive(Clone, Copy, Debug)]
struct ForwardedRead {
    id: ReadId,
    /// The question under way; only an answer to the latest counts.
    asked: Option<RequestId>,
    /// When to ask again.
    retry_at: Instant,
    /// When to give up.
    expires_at: Instant,
}

impl ForwardedReads {
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.waiting.iter().map(|read| read.retry_at.min(read.expires_at)).min()
    }
}

impl Raft {
    pub(super) fn handle_read(&mut self, id: ReadId, effects: &mut Vec<Effect>) {
        if self.reads_waiting() >= self.config.max_pending_reads {
            return effects.push(Effect::ReadFailed(id));
        }
        if self.is_leader() {
            self.push_leader_read(Origin::Local(id), self.now);
        } else {
            self.forward(id, self.now);
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
            self.push_leader_read(Origin::Remote { from, request }, self.now);
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
        // A question asked anew makes the answer to the earlier one worthless: see R-RD2, where an
        // old answer confirmed a read at a deposed leader.
        let asked = |read: &&mut ForwardedRead| read.asked == Some(request);
        let Some(read) = self.reads.waiting.iter_mut().find(asked) else {
            return effects.push(Effect::Dropped(DropReason::StaleReply));
        };
        let Some(index) = reply.index else {
            read.asked = None;
            return;
        };
        let id = read.id;
        self.reads.waiting.retain(|read| read.id != id);
        effects.push(Effect::ReadReady { id, index });
    }

    /// Sends every read that waits for its first or next question.
    pub(super) fn flush_forwarded_reads(&mut self, effects: &mut Vec<Effect>) {
        let Some(leader) = self.leader() else { return };
        let (now, every) = (self.now, self.config.heartbeat);
        let mut waiting = core::mem::take(&mut self.reads.waiting);
        for read in &mut waiting {
            if read.asked.is_none() && read.retry_at <= now {
                read.asked = Some(self.send_request(leader, Message::ReadIndex, effects));
                read.retry_at = now.after(every);
            }
        }
        self.reads.waiting = waiting;
    }

    /// Gives up reads past their limit and asks again where no answer came.
    pub(super) fn expire_forwarded_reads(&mut self, effects: &mut Vec<Effect>) {
        let (now, every) = (self.now, self.config.heartbeat);
        let has_leader = self.leader().is_some();
        self.reads.waiting.retain_mut(|read| {
            let expired = read.expires_at <= now;
            if expired {
                effects.push(Effect::ReadFailed(read.id));
            } else if read.retry_at <= now {
                read.asked = None;
                if !has_leader {
                    read.retry_at = now.after(every);
                }
            }
            !expired
        });
    }

    /// Makes sure that a peer is asked something after the latest read came.
    pub(super) fn ask_for_reads(&mut self, peer: NodeId, effects: &mut Vec<Effect>) {
        let Role::Leader(leader) = &self.role else { return };
        let Some(newest) = leader.reads.back() else { return };
        let is_voter = self.membership().is_voter(peer);
        let asked = leader.peers.get(&peer).is_some_and(|peer| peer.asked >= newest.requests_from);
        if is_voter && !asked {
            self.heartbeat(peer, effects);
        }
    }

    /// Answers the reads whose index is known and confirmed, in the order in which they came.
    pub(super) fn answer_confirmed_reads(&mut self, effects: &mut Vec<Effect>) {
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
                self.forward(id, read.came_at);
            }
        }
    }

    /// This node leads: the reads that waited for a leader are its own to confirm.
    pub(super) fn lead_local_reads(&mut self) {
        for read in core::mem::take(&mut self.reads.waiting) {
            self.push_leader_read(Origin::Local(read.id), self.now);
        }
    }

    fn reads_waiting(&self) -> usize {
        let own = match &self.role {
            Role::Leader(leader) => leader.reads.len(),
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => 0,
        };
        own + self.reads.waiting.len()
    }

    fn forward(&mut self, id: ReadId, came_at: Instant) {
        let expires_at = came_at.after(self.config.election_max * 4);
        let read = ForwardedRead { id, asked: None, retry_at: self.now, expires_at };
        self.reads.waiting.push_back(read);
    }

    fn push_leader_read(&mut self, origin: Origin, came_at: Instant) {
        let requests_from = self.sender.next_request();
        if let Role::Leader(leader) = &mut self.role {
            leader.reads.push_back(LeaderRead { origin, requests_from, index: None, came_at });
        }
        self.index_reads();
    }

    /// Gives reads their index, once the opening entry is committed.
    fn index_reads(&mut self) {
        let commit = self.commit;
        let Role::Leader(leader) = &mut self.role else { return };
        if commit < leader.opening {
            return;
        }
        let unindexed = leader.reads.iter_mut().rev().take_while(|read| read.index.is_none());
        unindexed.for_each(|read| read.index = Some(commit));
    }

    fn next_confirmed_read(&mut self) -> Option<(LeaderRead, Index)> {
        let membership = std::sync::Arc::clone(self.membership());
        let id = self.id;
        let Role::Leader(leader) = &mut self.role else { return None };
        let read = *leader.reads.front()?;
        let index = read.index?;
        let confirms = |peer: NodeId| {
            let answered = leader.peers.get(&peer).map(|peer| peer.answered);
            peer == id || answered.is_some_and(|answered| answered >= read.requests_from)
        };
        if !is_quorum(&membership, confirms) {
            return None;
        }
        leader.reads.pop_front();
        Some((read, index))
    }
}
