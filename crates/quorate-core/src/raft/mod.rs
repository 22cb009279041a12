//! The protocol: one node of one group, as a pure state machine.
//!
//! Everything enters through [`Raft::handle`] and leaves as effects, in order; time is passed in
//! and [`Raft::next_deadline`] says when to come back. The files beside this one hold one concern
//! each, `step.rs` the way in and out; this one holds what is common to all: terms, dispatch, the
//! write in the making.
//!
//! - A message of a later term makes the node a follower of that term first (Raft §5.1), except
//!   pre-votes, which change nothing, and vote requests while a leader is alive (thesis §4.2.3).
//! - Requests of an earlier term are refused with this node's term, so that their sender learns of
//!   it; replies of an earlier term are dropped.
//!
//! Deviation: the paper's servers act on an election timer that only heartbeats reset. Here a
//! closed connection to the leader brings the timer forward and ends stickiness: it is a hint of
//! death, and the dry run keeps a false alarm from disturbing anyone.

mod election;
mod follower;
mod invariant;
mod leader;
pub(crate) mod read;
mod replication;
mod role;
mod snapshot;
mod start;
mod steady;
mod step;
mod timers;

use std::sync::Arc;

pub use start::Start;
pub use steady::Desk;

use self::read::ForwardedReads;
use self::role::{Follower, Role};
use self::snapshot::Receiving;
use crate::config::Config;
use crate::effect::{DropReason, Effect, HaltReason, Send};
use crate::entry::Run;
use crate::hard_state::HardState;
use crate::id::{BootCounter, EntryId, Index, NodeId, PersistToken, RequestId, Term};
use crate::log::{Durability, Log};
use crate::membership::{History, Membership};
use crate::message::{AppendReply, Envelope, Message, ReadIndexReply, SnapshotReply, VoteReply};
use crate::node_map::NodeMap;
use crate::rng::Rng;
use crate::snapshot::SnapshotId;
use crate::status::{PeerStatus, RoleName, Status, TransferStatus};
use crate::time::Instant;

/// Terms above this are refused: they could only come from damage, and would use up the numbers.
const MAX_TERM: Term = Term(1 << 62);

/// One node of one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raft {
    id: NodeId,
    config: Config,
    /// Shortest and longest election timeout: one is drawn with every append.
    election_nanos: (u64, u64),
    rng: Rng,
    /// The latest instant passed in; never goes back.
    now: Instant,
    /// Term and vote as they hold in memory; the disk may be one write behind.
    hard_state: HardState,
    log: Log,
    durability: Durability,
    write: Write,
    memberships: History,
    /// The newest durable snapshot: it covers the base, and nothing that was not executed here.
    snapshot: Option<SnapshotId>,
    /// The snapshot that is being received.
    receiving: Option<Box<Receiving>>,
    /// Highest entry known committed; never falls.
    commit: Index,
    /// Highest entry handed out for apply.
    applying: Index,
    /// Highest entry executed.
    applied: Index,
    role: Role,
    /// Reads of this node that a leader elsewhere must confirm.
    reads: ForwardedReads,
    /// Highest boot counter seen of each peer.
    boots: NodeMap<BootCounter>,
    sender: Sender,
    /// What [`Effect::Leadership`] last told.
    shown: (RoleName, Term, Option<NodeId>),
    /// Bytes of the log up to the commit index; with each step of it they are looked up once.
    commit_bytes: u64,
    /// Bytes of the log up to the last entry that is durable here.
    durable_bytes: u64,
    /// A leader's flush may find something to do.
    unflushed: bool,
    halted: Option<HaltReason>,
}

/// The write in the making: sealed at the end of the call, or for a leader at the flush.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Write {
    hard_state: bool,
    truncate_from: Option<Index>,
    /// Entries above what was handed out exist.
    entries: bool,
}

/// Makes envelopes with fresh numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Sender {
    id: NodeId,
    boot: BootCounter,
    last_request: RequestId,
}

impl Sender {
    const fn next_request(&self) -> RequestId {
        self.last_request.next()
    }

    /// The number of a request that is made now.
    const fn number(&mut self) -> RequestId {
        self.last_request = self.next_request();
        self.last_request
    }

    /// A request with a number of its own, or the reply to one.
    #[inline]
    const fn letter(
        &self,
        term: Term,
        to: NodeId,
        request: RequestId,
        message: Message,
    ) -> Envelope {
        Envelope { from: self.id, boot: self.boot, to, term, request, message }
    }
}

impl Raft {
    /// This node.
    #[must_use]
    pub const fn id(&self) -> NodeId {
        self.id
    }

    /// The present term.
    #[must_use]
    pub const fn term(&self) -> Term {
        self.hard_state.term
    }

    /// Highest entry known committed.
    #[must_use]
    pub const fn commit(&self) -> Index {
        self.commit
    }

    /// Highest entry that may be executed: each was handed out with [`Effect::Apply`], or by a step
    /// that says so.
    #[must_use]
    #[inline]
    pub const fn executable_through(&self) -> Index {
        self.applying
    }

    /// Highest entry durable here.
    #[must_use]
    #[inline]
    pub const fn durable(&self) -> Index {
        self.durability.persisted()
    }

    /// Highest entry that a leader knows to be durable on each of its peers; on any other node the
    /// last one, because nobody gets entries from it.
    #[must_use]
    pub fn durable_everywhere(&self) -> Index {
        let last = self.log.last().index;
        let Role::Leader(leader) = &self.role else { return last };
        leader.peers.values().map(|peer| peer.matched).min().unwrap_or(last)
    }

    /// The last entry of the log.
    #[must_use]
    #[inline]
    pub const fn last(&self) -> EntryId {
        self.log.last()
    }

    /// Term of the entry at `index`, where it is held or the base.
    #[must_use]
    pub fn term_at(&self, index: Index) -> Option<Term> {
        self.log.term_at(index)
    }

    /// Term of the entry at `index`, where it is held or the base, and an index up to which, from
    /// there on, all entries have it.
    #[must_use]
    pub fn term_run(&self, index: Index) -> Option<(Term, Index)> {
        self.log.term_run(index)
    }

    /// Number of commands in the log above its base, up to and including `index`: what the
    /// application counts, without the entries that the protocol makes for itself.
    #[must_use]
    pub fn commands_through(&self, index: Index) -> u64 {
        self.log.commands_through(index)
    }

    /// Whether this node leads its term.
    #[must_use]
    #[inline]
    pub const fn is_leader(&self) -> bool {
        matches!(self.role, Role::Leader(_))
    }

    /// The leader of the present term, where known.
    #[must_use]
    pub fn leader(&self) -> Option<NodeId> {
        match &self.role {
            Role::Follower(follower) => follower.leader.filter(|_| follower.heard_at.is_some()),
            Role::PreCandidate(_) | Role::Candidate(_) => None,
            Role::Leader(_) => Some(self.id),
        }
    }

    /// The membership in force.
    #[must_use]
    pub fn membership(&self) -> &Arc<Membership> {
        self.memberships.current()
    }

    /// Why the node halted, if it did.
    #[must_use]
    pub const fn halted(&self) -> Option<HaltReason> {
        self.halted
    }

    /// What the node is at this moment.
    #[must_use]
    pub fn status(&self) -> Status {
        let peers = match &self.role {
            Role::Leader(leader) => {
                let peer = |(id, progress): (NodeId, &crate::progress::Progress)| PeerStatus {
                    id,
                    matched: progress.matched,
                    next: progress.next,
                    replicating: matches!(progress.mode, crate::progress::Mode::Replicate(_)),
                    inflight: progress.inflight(),
                    inflight_bytes: progress.inflight_bytes(),
                    transfer: progress.transfer().map(|transfer| TransferStatus {
                        id: transfer.id,
                        sent: transfer.next,
                        acked: transfer.acked,
                    }),
                };
                leader.peers.iter().map(peer).collect()
            }
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => Vec::new(),
        };
        Status {
            id: self.id,
            role: self.role.name(),
            hard_state: self.hard_state,
            leader: self.leader(),
            base: self.log.base(),
            last: self.log.last(),
            persisted: self.durability.persisted(),
            commit: self.commit,
            applying: self.applying,
            applied: self.applied,
            snapshot: self.snapshot,
            receiving: self.receiving.as_deref().map(Receiving::status),
            peers,
        }
    }

    fn handle_message(&mut self, envelope: &Envelope, effects: &mut Vec<Effect>) {
        let from = envelope.from;
        if envelope.to != self.id || from == self.id {
            return effects.push(Effect::Dropped(DropReason::Misdirected));
        }
        if envelope.term > MAX_TERM {
            return effects.push(Effect::Dropped(DropReason::TermOverflow));
        }
        // Only a dry run happens in the term before the first.
        if envelope.term == Term::ZERO && !is_pre_vote(&envelope.message) {
            return effects.push(Effect::Dropped(DropReason::Absurd));
        }
        // Nearly always the boot is the one that is known.
        let is_known = self.boots.get(from) == Some(&envelope.boot);
        if !is_known && !self.handle_boot(from, envelope.boot) {
            return effects.push(Effect::Dropped(DropReason::OldBoot));
        }
        if envelope.term > self.term() && !self.handle_later_term(envelope, effects) {
            return;
        }
        if envelope.term < self.term() && !is_pre_vote(&envelope.message) {
            return self.handle_earlier_term(envelope, effects);
        }
        self.dispatch(envelope, effects);
    }

    /// The matrix of messages: each has one handler, which knows what to do in each role.
    fn dispatch(&mut self, envelope: &Envelope, effects: &mut Vec<Effect>) {
        let (from, request) = (envelope.from, envelope.request);
        match &envelope.message {
            Message::RequestVote(message) => {
                self.handle_request_vote(from, request, *message, effects);
            }
            Message::VoteReply(message) => {
                self.handle_vote_reply(from, request, *message, effects);
            }
            Message::Append(message) => self.handle_append(from, request, message, effects),
            Message::AppendReply(message) => {
                self.handle_append_reply(from, request, *message, effects);
            }
            Message::ReadIndex => self.handle_read_index(from, request, effects),
            Message::ReadIndexReply(message) => {
                self.handle_read_index_reply(request, *message, effects);
            }
            Message::OfferSnapshot(id) => self.handle_offer(from, request, *id, effects),
            Message::SnapshotChunk(chunk) => self.handle_chunk(from, request, *chunk, effects),
            Message::SnapshotReply(reply) => {
                self.handle_snapshot_reply(from, request, *reply, effects);
            }
        }
    }

    /// Raft §5.1: a later term is adopted. Says whether the message is still to be handled.
    #[cold]
    fn handle_later_term(&mut self, envelope: &Envelope, effects: &mut Vec<Effect>) -> bool {
        match &envelope.message {
            Message::RequestVote(vote) if vote.pre_vote => true,
            Message::AppendReply(_) if mutant!(AppendReplyTermIgnored) => false,
            Message::RequestVote(_) if self.is_leader_alive() => {
                effects.push(Effect::Dropped(DropReason::LeaderAlive));
                false
            }
            Message::RequestVote(_)
            | Message::VoteReply(_)
            | Message::Append(_)
            | Message::AppendReply(_)
            | Message::ReadIndex
            | Message::ReadIndexReply(_)
            | Message::OfferSnapshot(_)
            | Message::SnapshotChunk(_)
            | Message::SnapshotReply(_) => {
                self.become_follower(envelope.term);
                true
            }
        }
    }

    /// A request of an earlier term is refused, so that its sender learns of this one; a reply is
    /// of no use.
    #[cold]
    fn handle_earlier_term(&self, envelope: &Envelope, effects: &mut Vec<Effect>) {
        let refusal = match &envelope.message {
            Message::RequestVote(vote) => {
                let (campaign, pre_vote) = (vote.campaign, vote.pre_vote);
                Message::VoteReply(VoteReply { campaign, pre_vote, granted: false })
            }
            Message::Append(append) if append.wants_reply => {
                let (prev, hint) = (append.prev.index, EntryId::ZERO);
                Message::AppendReply(AppendReply::Rejected { prev, hint })
            }
            Message::ReadIndex => Message::ReadIndexReply(ReadIndexReply { index: None }),
            Message::OfferSnapshot(id) => {
                Message::SnapshotReply(SnapshotReply { id: *id, received: 0 })
            }
            Message::Append(_)
            | Message::VoteReply(_)
            | Message::AppendReply(_)
            | Message::ReadIndexReply(_)
            | Message::SnapshotChunk(_)
            | Message::SnapshotReply(_) => {
                return effects.push(Effect::Dropped(DropReason::OldTerm));
            }
        };
        self.send_reply(envelope.from, envelope.request, refusal, None, effects);
    }

    /// Remembers the boot of a peer; says whether it is the latest one seen.
    #[cold]
    fn handle_boot(&mut self, peer: NodeId, boot: BootCounter) -> bool {
        let known = self.boots.get_or_insert(peer, boot);
        if boot < *known {
            return false;
        }
        if boot > *known {
            *known = boot;
            self.forget_boot_of(peer);
        }
        true
    }

    /// Steps down to follower of `term`, which is the present one or a later one.
    #[cold]
    fn become_follower(&mut self, term: Term) {
        debug_assert!(term >= self.term(), "a term never falls");
        if term > self.term() {
            self.hard_state = HardState { term, vote: None };
            self.write.hard_state = true;
        }
        let election_at = match &self.role {
            Role::Follower(follower) => follower.election_at,
            Role::PreCandidate(_) | Role::Candidate(_) | Role::Leader(_) => {
                self.election_deadline()
            }
        };
        self.keep_local_reads();
        self.role = Role::Follower(Follower { leader: None, heard_at: None, election_at });
    }

    /// The entries to execute, first and last, which count as handed out from here on. An entry is
    /// executed only when it is both committed and persisted here.
    #[inline]
    fn executable(&mut self) -> Option<(Index, Index)> {
        let persisted = self.durability.persisted();
        let last =
            if mutant!(AppliedUnpersisted) { self.commit } else { self.commit.min(persisted) };
        if last <= self.applying {
            return None;
        }
        let first = self.applying.next();
        self.applying = last;
        Some((first, last))
    }

    fn hand_out_committed(&mut self, effects: &mut Vec<Effect>) {
        if let Some((first, last)) = self.executable() {
            effects.push(Effect::Apply { first, last });
        }
    }

    /// Takes a higher commit index.
    fn raise_commit(&mut self, commit: Index) {
        debug_assert!(commit >= self.commit, "a commit index never falls");
        if commit > self.commit {
            self.commit = commit;
            self.commit_bytes = self.log.bytes_through(commit);
        }
    }

    fn append_run(&mut self, run: &Run) {
        self.log.push(run);
        if !mutant!(MembershipNotOnAppend) {
            self.memberships.push(run);
        }
        self.write.entries = true;
    }

    /// Cuts a conflicting suffix (Raft §5.3). Committed entries are never among it.
    #[cold]
    fn truncate_from(&mut self, from: Index, effects: &mut Vec<Effect>) {
        assert!(from > self.commit, "a committed entry is never truncated");
        if from <= self.durability.handed_out() {
            let earlier = self.write.truncate_from.unwrap_or(from);
            self.write.truncate_from = Some(earlier.min(from));
        }
        self.log.truncate_from(from);
        if !mutant!(MembershipNotRolledBack) {
            self.memberships.truncate_from(from);
        }
        self.durability.truncate_from(from);
        self.durable_bytes = self.log.bytes_through(self.durability.persisted());
        self.write.entries = self.log.last().index > self.durability.handed_out();
        effects.push(Effect::Truncated { from });
    }

    /// The write that a message of the present term must wait for.
    fn after_term(&self) -> Option<PersistToken> {
        if self.write.hard_state {
            return Some(self.durability.next_token());
        }
        self.durability.term_token()
    }

    /// The write that an acknowledgement of everything up to `index` must wait for.
    fn after_entries(&self, index: Index) -> Option<PersistToken> {
        if index > self.durability.handed_out() {
            return Some(self.durability.next_token());
        }
        self.durability.covering(index).max(self.after_term())
    }

    fn send_reply(
        &self,
        to: NodeId,
        request: RequestId,
        message: Message,
        after: Option<PersistToken>,
        effects: &mut Vec<Effect>,
    ) {
        let too_early = mutant!(VoteBeforeDurable) && matches!(message, Message::VoteReply(_));
        let after = after.max(self.after_term()).filter(|_| !too_early);
        let envelope = Box::new(self.sender.letter(self.term(), to, request, message));
        effects.push(Effect::Send(Send { envelope, after }));
    }

    fn send_request(
        &mut self,
        to: NodeId,
        message: Message,
        effects: &mut Vec<Effect>,
    ) -> RequestId {
        let too_early = mutant!(RequestBeforeOwnVote) && matches!(message, Message::RequestVote(_));
        let after = self.after_term().filter(|_| !too_early);
        let request = self.sender.number();
        let envelope = Box::new(self.sender.letter(self.hard_state.term, to, request, message));
        effects.push(Effect::Send(Send { envelope, after }));
        request
    }

    #[cold]
    fn halt(&mut self, reason: HaltReason, effects: &mut Vec<Effect>) {
        self.halted = Some(reason);
        effects.push(Effect::Halt(reason));
    }
}

impl Write {
    const fn is_empty(self) -> bool {
        !self.hard_state && self.truncate_from.is_none() && !self.entries
    }
}

/// A dry run happens between terms: whoever answers may be behind the candidate's term.
const fn is_pre_vote(message: &Message) -> bool {
    match message {
        Message::RequestVote(vote) => vote.pre_vote,
        Message::VoteReply(vote) => vote.pre_vote,
        Message::Append(_)
        | Message::AppendReply(_)
        | Message::ReadIndex
        | Message::ReadIndexReply(_)
        | Message::OfferSnapshot(_)
        | Message::SnapshotChunk(_)
        | Message::SnapshotReply(_) => false,
    }
}
