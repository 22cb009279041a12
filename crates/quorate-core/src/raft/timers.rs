//! Deadlines: when the shell must come back, and what is due when it does.
//!
//! One deadline per role; a late or early timer does no harm, because each handler looks at its own
//! instant. A burst of late timers starts at most one dry run.

use super::Raft;
use super::read::LeaderRead;
use super::role::Role;
use crate::effect::Effect;
use crate::progress::Progress;
use crate::time::Instant;

impl Raft {
    /// When [`crate::Input::Timer`] is due, unless something else happens first.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        if self.halted.is_some() {
            return None;
        }
        let role = match &self.role {
            Role::Follower(follower) => self.may_campaign().then_some(follower.election_at),
            Role::PreCandidate(candidate) | Role::Candidate(candidate) => {
                Some(candidate.election_at)
            }
            Role::Leader(leader) => {
                let beats = leader.peers.values().map(|peer| peer.sent_at);
                let beat = beats.min().map(|sent_at| sent_at.after(self.config.heartbeat));
                let transfers = leader.peers.values().filter_map(Progress::transfer);
                let pieces = transfers.filter_map(|transfer| transfer.next_deadline(&self.config));
                let check = self.config.check_quorum.then_some(leader.quorum_check_at);
                let read = leader.reads.front().map(LeaderRead::expires_at);
                [beat, check, read, pieces.min()].into_iter().flatten().min()
            }
        };
        let reads = self.reads.next_deadline(self.leader().is_some());
        [role, reads].into_iter().flatten().min()
    }

    pub(super) fn handle_timer(&mut self, effects: &mut Vec<Effect>) {
        self.expire_reads(effects);
        match &self.role {
            Role::Follower(follower) => {
                if self.may_campaign() && follower.election_at <= self.now {
                    self.campaign(effects);
                }
            }
            Role::PreCandidate(candidate) | Role::Candidate(candidate) => {
                if candidate.election_at <= self.now {
                    self.campaign(effects);
                }
            }
            Role::Leader(_) => {
                self.check_quorum();
                self.send_heartbeats(effects);
            }
        }
    }

    /// Only a voter stands for election, and none whose log is about to be another.
    fn may_campaign(&self) -> bool {
        self.membership().is_voter(self.id) && self.installing().is_none()
    }

    /// A fresh election timeout from this instant on (Raft §5.2: drawn anew each time).
    #[inline]
    pub(super) fn election_deadline(&mut self) -> Instant {
        let (mut min, mut max) = self.election_nanos;
        if mutant!(SlowElections) {
            (min, max) = (min * 30, max * 30);
        }
        self.now.after_nanos(self.rng.between(min, max))
    }

    pub(super) fn reset_election_timer(&mut self) {
        let deadline = self.election_deadline();
        match &mut self.role {
            Role::Follower(follower) => follower.election_at = deadline,
            Role::PreCandidate(candidate) | Role::Candidate(candidate) => {
                candidate.election_at = deadline;
            }
            Role::Leader(_) => {}
        }
    }

    /// Whether writes are under way of which none has completed for an election timeout.
    pub(super) fn is_disk_stuck(&self) -> bool {
        let owing = self.durability.owing_since();
        owing.is_some_and(|since| self.now.since(since) >= self.config.election_max)
    }

    /// A peer closed its connection. Where it led, it may be dead: its silence need not be waited
    /// for, and it is no reason any more to refuse a vote.
    pub(super) fn handle_closed(&mut self, peer: crate::id::NodeId) {
        let soon = self.rng.span(core::time::Duration::ZERO, self.config.election_min / 2);
        let soon = self.now.after_nanos(soon);
        match &mut self.role {
            Role::Follower(follower) if follower.leader == Some(peer) => {
                follower.heard_at = None;
                follower.election_at = follower.election_at.min(soon);
            }
            Role::Leader(_) => self.forget_inflight_of(peer),
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => {}
        }
    }
}
