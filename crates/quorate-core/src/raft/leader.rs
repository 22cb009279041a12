//! What a leader does with proposals and acknowledgements (Raft §5.3, §5.4.2).
//!
//! - Its term opens with an entry of its own kind, so that what came before can commit (Raft §8).
//! - It counts itself only as far as its own disk has come.
//! - Only an entry of its own term commits by counting (Raft §5.4.2, figure 8).
//! - An acknowledgement counts when it answers a request of this term to the peer's present boot.

use std::collections::VecDeque;

use super::Raft;
use super::role::{Leader, Role};
use crate::effect::{DropReason, Effect};
use crate::entry::{EntryKind, Run};
use crate::error::ProposeError;
use crate::id::{EntryId, Index, NodeId, RequestId};
use crate::membership::{committed, is_quorum};
use crate::message::AppendReply;
use crate::progress::{Mode, Progress};

/// Encoded size of an entry without payload, for flow control.
const OPENING_BYTES: u64 = 48;

impl Raft {
    /// Appends a command of `bytes` encoded bytes to the log. It reaches disk and peers with the
    /// next [`crate::Input::Flush`].
    ///
    /// # Errors
    ///
    /// Nothing was appended: this node does not lead, or too much waits for commitment, or for this
    /// node's own disk.
    pub fn propose(&mut self, bytes: u32) -> Result<EntryId, ProposeError> {
        self.propose_of(EntryKind::Command, bytes)
    }

    /// As [`Raft::propose`], for an entry that opens, keeps alive or closes a session.
    ///
    /// # Errors
    ///
    /// As [`Raft::propose`].
    pub fn propose_session(&mut self, bytes: u32) -> Result<EntryId, ProposeError> {
        self.propose_of(EntryKind::Session, bytes)
    }

    #[inline]
    fn propose_of(&mut self, kind: EntryKind, bytes: u32) -> Result<EntryId, ProposeError> {
        if self.halted.is_some() {
            return Err(ProposeError::Halted);
        }
        if !self.is_leader() {
            return Err(ProposeError::NotLeader { leader: self.leader() });
        }
        let last = self.log.last().index;
        // Others may commit what a disk that hangs here keeps in memory.
        let settled = self.commit_bytes.min(self.durable_bytes);
        let waiting = self.log.bytes().saturating_sub(settled);
        let bytes = u64::from(bytes);
        if waiting > 0 && waiting + bytes > self.config.max_uncommitted_bytes {
            return Err(ProposeError::Overloaded);
        }
        let run = Run::new(last.next(), 1, self.term(), kind, bytes);
        self.log.push(&run);
        self.write.entries = true;
        Ok(run.last_id())
    }

    pub(super) fn become_leader(&mut self, effects: &mut Vec<Effect>) {
        debug_assert_eq!(self.hard_state.vote, Some(self.id), "a leader voted for itself");
        let opening = EntryId::new(self.log.last().index.next(), self.term());
        let request = self.sender.next_request();
        let nodes = self.membership().nodes();
        let others = nodes.into_iter().filter(|peer| *peer != self.id);
        let peers = others.map(|peer| (peer, Progress::new(opening.index, request, self.now)));
        self.role = Role::Leader(Leader {
            opening: opening.index,
            peers: peers.collect(),
            quorum_check_at: self.now.after(self.config.election_max),
            reads: VecDeque::new(),
        });
        let kind = EntryKind::Opening;
        self.append_run(&Run::new(opening.index, 1, opening.term, kind, OPENING_BYTES));
        effects.push(Effect::Opened(opening));
        self.lead_local_reads();
    }

    pub(super) fn handle_append_reply(
        &mut self,
        from: NodeId,
        request: RequestId,
        reply: AppendReply,
        effects: &mut Vec<Effect>,
    ) {
        let (now, last, newest) = (self.now, self.log.last().index, self.sender.last_request);
        let reply = match reply {
            AppendReply::Rejected { prev: matched, .. } if mutant!(RefusalCounts) => {
                AppendReply::Accepted { matched }
            }
            AppendReply::Accepted { .. } | AppendReply::Rejected { .. } => reply,
        };
        let Some(progress) = self.peer_mut(from) else {
            return effects.push(Effect::Dropped(DropReason::StaleReply));
        };
        if request < progress.valid_from || request > newest {
            return effects.push(Effect::Dropped(DropReason::StaleReply));
        }
        let absurd = match reply {
            AppendReply::Accepted { matched } => matched > last,
            AppendReply::Rejected { prev, .. } => prev > last,
        };
        if absurd {
            return effects.push(Effect::Dropped(DropReason::Absurd));
        }
        progress.heard_at = now;
        progress.answered = progress.answered.max(request);
        match reply {
            AppendReply::Accepted { matched } => {
                let rose = progress.accept(matched);
                if matches!(progress.mode, Mode::Probe { .. }) && request >= progress.rejects_from {
                    progress.become_replicate();
                } else if matches!(progress.mode, Mode::Snapshot(_)) {
                    self.leave_snapshot_of(from);
                }
                // What is at or below the commit index raises it no further.
                if rose && matched > self.commit {
                    self.advance_commit(effects);
                    self.hand_out_committed(effects);
                }
            }
            AppendReply::Rejected { prev, hint } => {
                self.back_up(from, request, prev, hint, effects);
            }
        }
        self.answer_confirmed_reads(effects);
    }

    /// Raft §5.3, quick back-up: the next place to ask lies below every entry of a term that the
    /// follower cannot have.
    #[cold]
    fn back_up(
        &mut self,
        peer: NodeId,
        request: RequestId,
        prev: Index,
        hint: EntryId,
        effects: &mut Vec<Effect>,
    ) {
        let agree = self.log.highest_at_or_below(hint.index, hint.term);
        let base = self.log.base().index;
        let fresh = self.sender.next_request();
        let Some(progress) = self.peer_mut(peer) else { return };
        if matches!(progress.mode, Mode::Snapshot(_)) {
            // It receives a snapshot because of just that.
            return;
        }
        // scenario: replication/stale_reject
        if request < progress.rejects_from || prev <= progress.matched {
            return effects.push(Effect::Dropped(DropReason::StaleReply));
        }
        let next = agree.map_or(base, |id| id.index.next());
        let next = next.min(prev).max(progress.matched.next());
        progress.become_probe(next, fresh);
    }

    /// Raft §5.3, §5.4.2: an entry of this term that a quorum holds durably is committed, and with
    /// it everything before.
    pub(super) fn advance_commit(&mut self, effects: &mut Vec<Effect>) {
        if self.count_matches() {
            self.answer_confirmed_reads(effects);
        }
    }

    /// As [`Self::advance_commit`], but for the reads that may be answered then; says whether the
    /// commit index rose.
    pub(super) fn count_matches(&mut self) -> bool {
        let Role::Leader(leader) = &self.role else { return false };
        let (persisted, handed_out) = (self.durability.persisted(), self.durability.handed_out());
        let own = if mutant!(OwnCountUnsynced) { handed_out } else { persisted };
        let reached = committed(self.membership(), |id| {
            let peer = || leader.peers.get(id).map_or(Index::ZERO, |peer| peer.matched);
            if id == self.id { own } else { peer() }
        });
        // scenario: replication/figure_8
        let is_own_term = self.log.term_at(reached) == Some(self.term());
        let rises = reached > self.commit && (is_own_term || mutant!(EarlierTermsCommit));
        if rises {
            self.raise_commit(reached);
        }
        rises
    }

    /// Thesis §6.2: a leader that hears from no quorum within an election timeout steps down. So
    /// does one that waits that long for its own disk while others could lead: they commit without
    /// it, but it executes nothing, and its clients wait.
    pub(super) fn check_quorum(&mut self) {
        let (id, now, is_stuck) = (self.id, self.now, self.is_disk_stuck());
        let (min, max) = (self.config.election_min, self.config.election_max);
        if !self.config.check_quorum {
            return;
        }
        let Role::Leader(leader) = &mut self.role else { return };
        if leader.quorum_check_at > now {
            return;
        }
        let membership = self.memberships.current();
        leader.quorum_check_at = now.after(min);
        let answers = |peer: NodeId| {
            let heard = leader.peers.get(peer).map(|peer| peer.heard_at);
            peer == id || heard.is_some_and(|heard_at| now.since(heard_at) < max)
        };
        // scenario: election/stuck_disk_step_down
        let steps_down = is_stuck && membership.voters() != [id] || !is_quorum(membership, answers);
        if steps_down && !mutant!(NoCheckQuorum) {
            self.become_follower(self.term());
        }
    }

    pub(super) fn peer_mut(&mut self, peer: NodeId) -> Option<&mut Progress> {
        match &mut self.role {
            Role::Leader(leader) => leader.peers.get_mut(peer),
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => None,
        }
    }

    /// The peer began a new boot: what it acknowledged before counts no more.
    pub(super) fn forget_boot_of(&mut self, peer: NodeId) {
        let (next, request) = (self.log.last().index.next(), self.sender.next_request());
        if let Some(progress) = self.peer_mut(peer) {
            progress.forget_boot(next, request);
        }
    }

    /// A connection to the peer broke: what was under way is lost. Where nothing is known of the
    /// peer yet it is asked where it was asked last: the first entry may be far away, or gone.
    pub(super) fn forget_inflight_of(&mut self, peer: NodeId) {
        let request = self.sender.next_request();
        if let Some(progress) = self.peer_mut(peer) {
            if let Mode::Snapshot(transfer) = &mut progress.mode {
                transfer.rewind();
                progress.rejects_from = request;
                return;
            }
            let is_streaming = matches!(progress.mode, Mode::Replicate(_));
            let is_known = is_streaming && progress.matched > Index::ZERO;
            let next = if is_known { progress.matched.next() } else { progress.next };
            progress.become_probe(next, request);
        }
    }

    /// A connection to the peer stands: a question that was lost with an earlier one need not wait
    /// for the timer.
    pub(super) fn ask_again(&mut self, peer: NodeId) {
        match self.peer_mut(peer).map(|peer| &mut peer.mode) {
            Some(Mode::Probe { waiting, .. }) => *waiting = false,
            Some(Mode::Snapshot(transfer)) => transfer.offer_due = true,
            Some(Mode::Replicate(_)) | None => {}
        }
    }

    pub(super) fn handle_send_dropped(&mut self, to: NodeId, request: RequestId) {
        let is_open = |progress: &mut Progress| request >= progress.rejects_from;
        if self.peer_mut(to).is_some_and(is_open) {
            self.forget_inflight_of(to);
            if let Some(Mode::Probe { waiting, retry }) = self.peer_mut(to).map(|p| &mut p.mode) {
                (*waiting, *retry) = (true, true);
            }
        }
    }
}
