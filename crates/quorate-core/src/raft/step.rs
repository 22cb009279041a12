//! One step: what comes in, what it leads to, and what ends it.
//!
//! [`Raft::handle`] takes whatever happened; what comes with every command has a typed form beside
//! it, which does no more than can follow from it: most of what a step costs is its beginning and
//! its end.
//!
//! - A step hands out at most one write, before the messages that rest on it and name its token. A
//!   leader's proposals wait for [`Input::Flush`], so that a wake-up makes one write; its term and
//!   vote do not.
//! - What changed for all to see is told last.

use super::Raft;
use super::role::Role;
use crate::effect::{DropReason, Effect, Persist};
use crate::id::{Index, NodeId, PersistToken, Term};
use crate::input::Input;
use crate::message::Envelope;
use crate::status::RoleName;
use crate::time::Instant;

impl Raft {
    /// Takes one input and appends what it asks for to `effects`.
    ///
    /// `now` never goes back; where it does, the latest instant counts. The shell ends each
    /// wake-up with [`Input::Flush`].
    pub fn handle(&mut self, now: Instant, input: Input, effects: &mut Vec<Effect>) {
        match input {
            Input::Message(envelope) => self.receive(now, &envelope, effects),
            Input::Persisted(token) => self.persisted(now, token, effects),
            Input::Applied(index) => self.applied(now, index, effects),
            Input::Flush => self.flush(now, effects),
            Input::Propose { .. }
            | Input::Read(_)
            | Input::PeerConnected { .. }
            | Input::PeerClosed(_)
            | Input::SendDropped { .. }
            | Input::SnapshotTaken(_)
            | Input::Compacted(_)
            | Input::ChunkStored { .. }
            | Input::SnapshotInstalled { .. }
            | Input::SnapshotFailed(_)
            | Input::SnapshotUnreadable(_)
            | Input::Timer => self.handle_rare(now, &input, effects),
        }
    }

    /// What does not come with every command.
    fn handle_rare(&mut self, now: Instant, input: &Input, effects: &mut Vec<Effect>) {
        if self.halted.is_some() {
            return;
        }
        self.now = self.now.max(now);
        let start = effects.len();
        match *input {
            Input::Propose { bytes } => {
                if let Err(error) = self.propose(bytes) {
                    effects.push(Effect::ProposalRefused(error));
                }
            }
            Input::Read(id) => self.handle_read(id, effects),
            Input::PeerConnected { peer, boot } => {
                if self.handle_boot(peer, boot) {
                    self.ask_again(peer);
                }
            }
            Input::PeerClosed(peer) => self.handle_closed(peer),
            Input::SendDropped { to, request } => self.handle_send_dropped(to, request),
            Input::SnapshotTaken(id) => self.handle_snapshot_taken(id),
            Input::Compacted(base) => self.handle_compacted(base),
            Input::ChunkStored { id, received } => self.handle_chunk_stored(id, received, effects),
            Input::SnapshotInstalled { id, ref membership } => {
                self.handle_snapshot_installed(id, membership, effects);
            }
            Input::SnapshotFailed(id) => self.handle_snapshot_failed(id),
            Input::SnapshotUnreadable(id) => self.handle_snapshot_unreadable(id),
            Input::Timer => self.handle_timer(effects),
            Input::Message(_) | Input::Persisted(_) | Input::Applied(_) | Input::Flush => {
                unreachable!("they have typed forms")
            }
        }
        self.conclude(start, effects);
    }

    /// The typed form of [`Input::Message`].
    pub fn receive(&mut self, now: Instant, envelope: &Envelope, effects: &mut Vec<Effect>) {
        if self.halted.is_some() {
            return;
        }
        self.now = self.now.max(now);
        let start = effects.len();
        self.handle_message(envelope, effects);
        self.conclude(start, effects);
    }

    /// The typed form of [`Input::Persisted`].
    pub fn persisted(&mut self, now: Instant, token: PersistToken, effects: &mut Vec<Effect>) {
        if self.halted.is_some() {
            return;
        }
        self.now = self.now.max(now);
        let (start, commit) = (effects.len(), self.commit);
        let is_settled = matches!(self.role, Role::Follower(_) | Role::Leader(_));
        self.handle_persisted(token, effects);
        if is_settled {
            // Only a candidate becomes another by it. A leader's peers have something to hear only
            // where the commit index rose with it.
            self.unflushed |= self.is_leader() && self.commit > commit;
            self.check_positions();
        } else {
            self.conclude(start, effects);
        }
    }

    /// The typed form of [`Input::Applied`]. Nothing follows from it but a number.
    #[inline]
    pub fn applied(&mut self, now: Instant, index: Index, effects: &mut Vec<Effect>) {
        if self.halted.is_some() {
            return;
        }
        self.now = self.now.max(now);
        if index > self.applying {
            return effects.push(Effect::Dropped(DropReason::UnknownToken));
        }
        self.applied = self.applied.max(index);
    }

    /// The typed form of [`Input::Flush`].
    pub fn flush(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        if !self.wants_flush() {
            return;
        }
        self.now = self.now.max(now);
        let start = effects.len();
        if self.is_leader() {
            self.flush_leader(effects);
        } else {
            self.flush_forwarded_reads(effects);
        }
        self.hand_out_committed(effects);
        self.unflushed = false;
        self.seal(start, effects);
        self.check_positions();
    }

    /// The end of a step: what it wrote, if that may leave, and what it changed for all to see.
    fn conclude(&mut self, start: usize, effects: &mut Vec<Effect>) {
        if self.halted.is_some() {
            return;
        }
        self.unflushed |= self.is_leader();
        // A leader's proposals wait for the flush, its term and vote do not.
        if self.write.hard_state || !self.is_leader() {
            self.seal(start, effects);
        }
        self.show_leadership(effects);
        self.check_invariants();
    }

    /// Whether [`Input::Flush`] has anything to do; where not, it may be left out.
    #[must_use]
    #[inline]
    pub fn wants_flush(&self) -> bool {
        let has_work = self.unflushed || !self.write.is_empty() || !self.reads.is_empty();
        has_work && self.halted.is_none()
    }

    fn handle_persisted(&mut self, token: PersistToken, effects: &mut Vec<Effect>) {
        if !self.complete_write(token) {
            return effects.push(Effect::Dropped(DropReason::UnknownToken));
        }
        self.count_own_vote(token, effects);
        if self.durability.persisted() > self.commit {
            self.advance_commit(effects);
        }
        self.hand_out_committed(effects);
    }

    /// Notes that a write is durable; says whether it was under way.
    #[inline]
    pub(super) fn complete_write(&mut self, token: PersistToken) -> bool {
        let was_open = self.durability.complete(self.now, token);
        if was_open {
            self.durable_bytes = self.log.bytes_through(self.durability.persisted());
        }
        was_open
    }

    /// Hands out the write in the making, before the messages that rest on it.
    #[inline]
    fn seal(&mut self, start: usize, effects: &mut Vec<Effect>) {
        if !self.write.is_empty() {
            self.hand_out_write(start, effects);
        }
    }

    fn hand_out_write(&mut self, start: usize, effects: &mut Vec<Effect>) {
        let mut write = core::mem::take(&mut self.write);
        if mutant!(StaleTailStays) {
            write.truncate_from = None;
        }
        let first = self.durability.handed_out().next();
        let last = self.log.last().index;
        let token = self.durability.issue(self.now, last, write.hard_state);
        let mut hard_state = self.hard_state;
        if mutant!(TermWithoutVote) {
            hard_state.vote = None;
        }
        let persist = Persist {
            token,
            hard_state: write.hard_state.then_some(hard_state),
            truncate_from: write.truncate_from,
            append: write.entries.then_some((first, last)),
            commit: self.commit,
        };
        let is_send = |effect: &Effect| matches!(effect, Effect::Send(_));
        let at = effects[start..].iter().position(is_send).map_or(effects.len(), |at| start + at);
        effects.insert(at, Effect::Persist(persist));
    }

    fn show_leadership(&mut self, effects: &mut Vec<Effect>) {
        let present = (self.role.name(), self.term(), self.leader());
        if present != self.shown {
            self.show(present, effects);
        }
    }

    #[cold]
    fn show(&mut self, shown: (RoleName, Term, Option<NodeId>), effects: &mut Vec<Effect>) {
        self.shown = shown;
        let (role, term, leader) = shown;
        effects.push(Effect::Leadership { role, term, leader });
    }
}
