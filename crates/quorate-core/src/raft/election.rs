//! Elections: the dry run, the campaign, votes and their tally (Raft §5.2, §5.4.1, thesis §9.6).
//!
//! - A vote is given once per term, to a candidate whose log is at least as up-to-date.
//! - A vote, and a request for votes, leave only when term and vote are durable.
//! - The dry run changes no term, no vote and no timer of anyone who answers it.
//! - While a leader is alive no vote is given and no term adopted from a candidate
//!   (thesis §4.2.3), so that a node that was cut off disturbs nobody when it returns.

use std::collections::BTreeMap;

use super::Raft;
use super::role::{Candidate, Role};
use crate::effect::{DropReason, Effect};
use crate::hard_state::HardState;
use crate::id::{EntryId, NodeId, PersistToken, RequestId};
use crate::membership::{Outcome, tally};
use crate::message::{Message, RequestVote, VoteReply};

impl Raft {
    /// The election timer ran out. A node whose disk gives no answer stands for nothing: it could
    /// not even vote for itself.
    pub(super) fn campaign(&mut self, effects: &mut Vec<Effect>) {
        if self.config.check_quorum && self.is_disk_stuck() {
            self.reset_election_timer();
        } else if self.config.pre_vote {
            self.become_pre_candidate(effects);
        } else {
            self.become_candidate(effects);
        }
    }

    #[cold]
    pub(super) fn handle_request_vote(
        &mut self,
        from: NodeId,
        request: RequestId,
        message: RequestVote,
        effects: &mut Vec<Effect>,
    ) {
        let granted =
            if message.pre_vote { self.would_vote(message) } else { self.vote(from, message) };
        let RequestVote { campaign, pre_vote, .. } = message;
        let reply = Message::VoteReply(VoteReply { campaign, pre_vote, granted });
        self.send_reply(from, request, reply, None, effects);
    }

    #[cold]
    pub(super) fn handle_vote_reply(
        &mut self,
        from: NodeId,
        request: RequestId,
        message: VoteReply,
        effects: &mut Vec<Effect>,
    ) {
        let candidate = match (&mut self.role, message.pre_vote) {
            (Role::Candidate(candidate), true) if mutant!(PreVotesElect) => candidate,
            (Role::PreCandidate(candidate), true) | (Role::Candidate(candidate), false) => {
                candidate
            }
            (Role::PreCandidate(_), false)
            | (Role::Candidate(_), true)
            | (Role::Follower(_) | Role::Leader(_), _) => {
                return effects.push(Effect::Dropped(DropReason::StaleReply));
            }
        };
        let answers_this = message.campaign == candidate.campaign
            && request >= candidate.requests_from
            && request <= self.sender.last_request;
        if !answers_this && !mutant!(PreVotesElect) {
            return effects.push(Effect::Dropped(DropReason::StaleReply));
        }
        candidate.votes.insert(from, message.granted);
        self.decide_election(effects);
    }

    /// The candidate's own vote counts when it is durable.
    pub(super) fn count_own_vote(&mut self, token: PersistToken, effects: &mut Vec<Effect>) {
        let id = self.id;
        let Role::Candidate(candidate) = &mut self.role else { return };
        if candidate.own_vote.is_some_and(|waiting| waiting <= token) {
            candidate.own_vote = None;
            candidate.votes.insert(id, true);
            self.decide_election(effects);
        }
    }

    /// Whether a live leader makes this node ignore candidates (thesis §4.2.3).
    pub(super) fn is_leader_alive(&self) -> bool {
        if !self.config.leader_stickiness || mutant!(NoStickiness) {
            return false;
        }
        match &self.role {
            Role::Leader(_) => true,
            Role::Follower(follower) => follower
                .heard_at
                .is_some_and(|heard_at| self.now.since(heard_at) < self.config.election_min),
            Role::PreCandidate(_) | Role::Candidate(_) => false,
        }
    }

    fn become_pre_candidate(&mut self, effects: &mut Vec<Effect>) {
        let mut candidate = self.candidacy(self.term().next());
        candidate.votes.insert(self.id, true);
        self.role = Role::PreCandidate(candidate);
        self.request_votes(true, effects);
        self.decide_election(effects);
    }

    fn become_candidate(&mut self, effects: &mut Vec<Effect>) {
        let term = self.term().next();
        self.hard_state = HardState { term, vote: Some(self.id) };
        self.write.hard_state = true;
        let mut candidate = self.candidacy(term);
        candidate.own_vote = Some(self.durability.next_token());
        self.role = Role::Candidate(candidate);
        self.request_votes(false, effects);
    }

    fn candidacy(&mut self, campaign: crate::id::Term) -> Candidate {
        Candidate {
            campaign,
            votes: BTreeMap::new(),
            requests_from: self.sender.next_request(),
            election_at: self.election_deadline(),
            own_vote: None,
        }
    }

    fn request_votes(&mut self, pre_vote: bool, effects: &mut Vec<Effect>) {
        let campaign = if pre_vote { self.term().next() } else { self.term() };
        let message = RequestVote { campaign, last: self.log.last(), pre_vote };
        for peer in self.membership().nodes() {
            if peer != self.id && self.membership().is_voter(peer) {
                self.send_request(peer, Message::RequestVote(message), effects);
            }
        }
    }

    fn decide_election(&mut self, effects: &mut Vec<Effect>) {
        let (Role::PreCandidate(candidate) | Role::Candidate(candidate)) = &self.role else {
            return;
        };
        let outcome = tally(self.membership(), |id| candidate.votes.get(&id).copied());
        let is_dry_run = matches!(self.role, Role::PreCandidate(_));
        match outcome {
            Outcome::Won if is_dry_run => self.become_candidate(effects),
            Outcome::Won => self.become_leader(effects),
            Outcome::Lost => self.become_follower(self.term()),
            Outcome::Open => {}
        }
    }

    /// The dry run: what this node would answer, changing nothing.
    fn would_vote(&self, message: RequestVote) -> bool {
        message.campaign > self.term()
            && !self.is_leader_alive()
            && self.is_up_to_date(message.last)
    }

    /// Raft §5.4.1: the later last term wins, among equal ones the longer log.
    fn is_up_to_date(&self, candidate: EntryId) -> bool {
        let own = self.log.last();
        if mutant!(VoteForAnyLog) {
            return true;
        }
        if mutant!(LengthBeforeTerm) {
            return (candidate.index, candidate.term) >= (own.index, own.term);
        }
        candidate >= own
    }

    /// Gives the vote of the present term where Raft figure 2 allows it.
    fn vote(&mut self, candidate: NodeId, message: RequestVote) -> bool {
        let is_free = self.hard_state.vote.is_none_or(|vote| vote == candidate);
        let may = message.campaign == self.term()
            && is_free
            && !self.is_leader_alive()
            && self.is_up_to_date(message.last);
        if !may {
            return false;
        }
        if self.hard_state.vote.is_none() {
            self.hard_state.vote = Some(candidate);
            self.write.hard_state = true;
        }
        if matches!(self.role, Role::PreCandidate(_)) {
            self.become_follower(self.term());
        } else {
            self.reset_election_timer();
        }
        true
    }
}
