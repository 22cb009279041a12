//! The steady state, in straight lines: what nearly every step of a cluster at work is.
//!
//! An append that goes on where the log ends, its answer, a write that is durable, the end of a
//! leader's wake-up. Each function here first sees, without changing anything, whether a step is
//! one of these; where not, it says so, and the general code of the other files takes the step.
//! What follows is a number or two, or shows in what the node is then: no list of effects is written
//! and read.
//!
//! - A step that is taken here leaves the same state and asks for the same, in the same order, as
//!   the general code: a test compares both, input by input, over all its random lives.
//! - Whatever is rare, stale, forged or evidence of a fault is none of these.

use super::role::Role;
use super::{Raft, Write};
use crate::effect::{Effect, Persist, Send};
use crate::entry::{EntryKind, Run};
use crate::id::PersistToken;
use crate::message::{AppendReply, Envelope, Message};
use crate::progress::Mode;
use crate::time::Instant;

/// Takes what a flush asks for, one after the other.
pub trait Desk {
    /// As [`Effect::Persist`].
    fn persist(&mut self, persist: Persist);

    /// As [`Effect::Send`].
    fn send(&mut self, envelope: Envelope, after: Option<PersistToken>);
}

impl Desk for Vec<Effect> {
    fn persist(&mut self, persist: Persist) {
        self.push(Effect::Persist(persist));
    }

    fn send(&mut self, envelope: Envelope, after: Option<PersistToken>) {
        self.push(Effect::Send(Send { envelope: Box::new(envelope), after }));
    }
}

impl Raft {
    /// Takes an append of the known leader that goes on where the log ends, with one run or none,
    /// and makes the envelope its answer, where one is wanted. `None` where it is none of these:
    /// then nothing was changed, and it is for [`Raft::receive`].
    ///
    /// `run` is what its entries are, whatever the message says. They are to be written under the
    /// token that is given back, where there are any; the answer waits for it in any case. Before
    /// both come the entries that may be executed since ([`Raft::executable_through`]).
    #[must_use]
    pub fn follow_on(
        &mut self,
        now: Instant,
        envelope: &mut Envelope,
        run: Option<&Run>,
    ) -> Option<Option<PersistToken>> {
        let Message::Append(append) = &envelope.message else { return None };
        let Role::Follower(follower) = &self.role else { return None };
        let last = self.log.last();
        let is_of_leader = follower.leader == Some(envelope.from)
            && follower.heard_at.is_some()
            && envelope.to == self.id
            && envelope.term == self.hard_state.term
            && self.boots.get(envelope.from) == Some(&envelope.boot);
        let goes_on = append.prev == last
            && append.recorded <= last.index
            && run.is_none_or(|run| {
                run.first.previous() == last.index
                    && run.term == self.hard_state.term
                    && run.kind != EntryKind::Membership
                    && run.is_well_formed()
                    && run.first.get().checked_add(u64::from(run.count)).is_some()
            });
        let is_settled = self.is_steady() && self.write.is_empty() && self.receiving.is_none();
        if !(is_of_leader && goes_on && is_settled) {
            return None;
        }
        let (commit, wants_reply) = (append.commit, append.wants_reply);
        self.now = self.now.max(now);
        let (now, election_at) = (self.now, self.election_deadline());
        if let Role::Follower(follower) = &mut self.role {
            follower.heard_at = Some(now);
            follower.election_at = election_at;
        }
        if let Some(run) = run {
            self.log.push(run);
        }
        let end = self.log.last().index;
        self.raise_commit(self.commit.max(commit.min(end)));
        self.executable();
        let token = run.map(|_| self.durability.issue(self.now, end, false));
        let mut after = token;
        if wants_reply {
            let mut matched = end;
            if token.is_none() {
                matched = end.min(self.durability.persisted());
                after = self.after_entries(matched);
            }
            let reply = Message::AppendReply(AppendReply::Accepted { matched });
            let (to, request) = (envelope.from, envelope.request);
            *envelope = self.sender.letter(self.hard_state.term, to, request, reply);
        }
        self.check_positions();
        Some(after)
    }

    /// Takes an acknowledgement of a peer to which entries stream; says whether it was one. Where
    /// not, or where reads wait, nothing was changed, and it is for [`Raft::receive`].
    ///
    /// Entries may be executed since ([`Raft::executable_through`]).
    #[must_use]
    pub fn acknowledged(&mut self, now: Instant, envelope: &Envelope) -> bool {
        let Message::AppendReply(AppendReply::Accepted { matched }) = envelope.message else {
            return false;
        };
        let is_known = envelope.to == self.id
            && envelope.term == self.hard_state.term
            && self.boots.get(envelope.from) == Some(&envelope.boot)
            && self.is_steady()
            && !self.write.hard_state;
        let (last, newest) = (self.log.last().index, self.sender.last_request);
        let Role::Leader(leader) = &mut self.role else { return false };
        let Some(progress) = leader.peers.get_mut(envelope.from) else { return false };
        let is_open = matches!(progress.mode, Mode::Replicate(_))
            && (progress.valid_from..=newest).contains(&envelope.request)
            && matched <= last
            && leader.reads.is_empty();
        if !(is_known && is_open) {
            return false;
        }
        self.now = self.now.max(now);
        progress.heard_at = self.now;
        progress.answered = progress.answered.max(envelope.request);
        self.unflushed = true;
        if progress.accept(matched) && matched > self.commit {
            self.count_matches();
            self.executable();
            self.check_positions();
        }
        true
    }

    /// Notes that a write is durable, and every earlier one; says whether nothing else follows from
    /// it than that entries may be executed since ([`Raft::executable_through`]). Where it may elect
    /// a candidate or answer reads, or the token is none that is open, nothing was changed, and it is
    /// for [`Raft::persisted`].
    #[must_use]
    pub fn written(&mut self, now: Instant, token: PersistToken) -> bool {
        let is_settled = match &self.role {
            Role::Follower(_) => true,
            Role::Leader(leader) => leader.reads.is_empty(),
            Role::PreCandidate(_) | Role::Candidate(_) => false,
        };
        if !is_settled || !self.is_steady() || !self.durability.is_open(token) {
            return false;
        }
        self.now = self.now.max(now);
        self.complete_write(token);
        // A leader's peers have something to hear only where the commit index rises by it.
        self.unflushed |= self.durability.persisted() > self.commit && self.count_matches();
        self.executable();
        self.check_positions();
        true
    }

    /// The flush of a leader on whom no reads wait; says whether it was one. Where not, nothing was
    /// changed, and it is for [`Raft::flush`].
    #[must_use]
    pub fn flush_to(&mut self, now: Instant, desk: &mut impl Desk) -> bool {
        let Role::Leader(leader) = &self.role else { return false };
        let Write { hard_state, truncate_from, entries } = self.write;
        let is_settled = !hard_state
            && truncate_from.is_none()
            && leader.reads.is_empty()
            && self.durability.term_token().is_none()
            && self.commit.min(self.durability.persisted()) <= self.applying
            && self.is_steady();
        if !is_settled {
            return false;
        }
        self.now = self.now.max(now);
        if entries {
            self.write.entries = false;
            let persist = self.write_entries();
            desk.persist(persist);
        }
        self.replicate(None, desk);
        self.unflushed = false;
        self.check_positions();
        true
    }

    /// Builds with deliberate bugs have none of this: the bugs are in the general code.
    const fn is_steady(&self) -> bool {
        self.halted.is_none() && !cfg!(quorate_mutants)
    }

    /// The write of every entry that was not handed out.
    fn write_entries(&mut self) -> Persist {
        let (first, last) = (self.durability.handed_out().next(), self.log.last().index);
        let token = self.durability.issue(self.now, last, false);
        Persist {
            token,
            hard_state: None,
            truncate_from: None,
            append: Some((first, last)),
            commit: self.commit,
        }
    }
}
