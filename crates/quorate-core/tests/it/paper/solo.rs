//! One node, whose peers and disk the test plays.

use std::time::Duration;

use quorate_core::{
    Append, AppendReply, BootCounter, Config, Effect, EntryId, EntryKind, Envelope, HardState,
    Index, Input, Instant, Membership, Message, NodeId, Persist, PersistToken, Raft, RequestId,
    RequestVote, Run, Send, SnapshotId, Start, Term, VoteReply,
};

use crate::cluster::node;

/// Where the log begins: at the first entry, or after a snapshot.
#[derive(Clone, Copy, Debug)]
pub struct Base(EntryId);

/// Runs a test for each base.
pub fn each_base(test: impl Fn(Base)) {
    test(Base(EntryId::ZERO));
    test(Base(EntryId::new(Index(40), Term(6))));
}

impl Base {
    pub fn index(self, index: u64) -> Index {
        self.0.index.plus(index)
    }

    pub fn term(self, term: u64) -> Term {
        self.0.term.plus(term)
    }

    /// The snapshot that ends with the base, where there is one.
    fn snapshot(self) -> Option<SnapshotId> {
        let is_one = self.0 != EntryId::ZERO;
        is_one.then_some(SnapshotId { last: self.0, bytes: 1000, hash: 7 })
    }

    /// The entry `index` above the base, `term` above its term; `id(0, 0)` is the base.
    pub fn id(self, index: u64, term: u64) -> EntryId {
        EntryId::new(self.index(index), self.term(term))
    }

    /// Commands of the given terms from `first` on.
    pub fn entries(self, first: u64, terms: &[u64]) -> Vec<Run> {
        let one = |(at, term): (usize, &u64)| {
            let index = self.index(first + at as u64);
            Run::new(index, 1, self.term(*term), EntryKind::Command, 100)
        };
        terms.iter().enumerate().map(one).collect()
    }
}

pub struct Solo {
    pub base: Base,
    pub raft: Raft,
    pub now: Instant,
    /// Everything asked for since the last [`Solo::take`].
    effects: Vec<Effect>,
    token: PersistToken,
    requests: u64,
}

/// What a node begins with.
pub struct Setup {
    pub voters: u64,
    /// Terms of the entries above the base.
    pub log: Vec<u64>,
    pub term: u64,
    pub vote: Option<NodeId>,
    pub pre_vote: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self { voters: 3, log: Vec::new(), term: 1, vote: None, pre_vote: false }
    }
}

impl Solo {
    pub fn new(base: Base, setup: &Setup) -> Self {
        crate::pick_mutant();
        let config = Config::builder().pre_vote(setup.pre_vote).build().expect("it is allowed");
        let raft = Raft::new(Start {
            id: node(1),
            boot: BootCounter(1),
            config,
            seed: 7,
            now: Instant::ZERO,
            hard_state: HardState { term: base.term(setup.term), vote: setup.vote },
            base: base.0,
            membership: Membership::of_voters((1..=setup.voters).map(node)),
            runs: base.entries(1, &setup.log),
            commit: base.0.index,
            snapshot: base.snapshot(),
        });
        let raft = raft.expect("the setup is in order");
        let (effects, token) = (Vec::new(), PersistToken::ZERO);
        Self { base, raft, now: Instant::ZERO, effects, token, requests: 0 }
    }

    /// A follower of n2, in the term of the setup.
    pub fn follower(base: Base, setup: &Setup) -> Self {
        let mut solo = Self::new(base, setup);
        let prev = solo.raft.last();
        solo.append(2, setup.term, prev, Vec::new(), base.0.index);
        solo.persist();
        solo.take();
        solo
    }

    /// A candidate of the term after the setup's, whose own vote is durable.
    pub fn candidate(base: Base, setup: &Setup) -> Self {
        let mut solo = Self::new(base, setup);
        solo.time_out();
        solo.persist();
        solo
    }

    /// A leader of the term after the setup's; its opening entry is durable here.
    pub fn leader(base: Base, setup: &Setup) -> Self {
        let mut solo = Self::candidate(base, setup);
        let quorum = setup.voters / 2;
        for peer in 2..2 + quorum {
            solo.vote_reply(peer, true);
        }
        assert!(solo.raft.is_leader());
        solo.persist();
        solo
    }

    pub fn input(&mut self, input: Input) {
        self.raft.handle(self.now, input, &mut self.effects);
        self.raft.handle(self.now, Input::Flush, &mut self.effects);
    }

    /// The disk completes everything asked for.
    pub fn persist(&mut self) {
        loop {
            let newest = self.effects.iter().rev().find_map(|effect| match effect {
                Effect::Persist(persist) => Some(persist.token),
                _ => None,
            });
            match newest.filter(|token| *token > self.token) {
                Some(token) => {
                    self.token = token;
                    self.input(Input::Persisted(token));
                }
                None => return,
            }
        }
    }

    /// Time moves to the deadline, and the timer fires.
    pub fn time_out(&mut self) {
        self.now = self.raft.next_deadline().expect("the node waits for something");
        self.input(Input::Timer);
    }

    pub fn advance(&mut self, millis: u64) {
        self.now = self.now.after(Duration::from_millis(millis));
    }

    /// A message of a peer in a term above the base's.
    pub fn tell(&mut self, from: u64, term: u64, request: RequestId, message: Message) {
        let (from, boot) = (node(from), BootCounter(1));
        let term = self.base.term(term);
        self.input(Input::Message(Box::new(Envelope {
            from,
            boot,
            to: node(1),
            term,
            request,
            message,
        })));
    }

    fn next_request(&mut self) -> RequestId {
        self.requests += 1;
        RequestId::before_first(BootCounter(1)).plus(self.requests)
    }

    pub fn append(&mut self, from: u64, term: u64, prev: EntryId, runs: Vec<Run>, commit: Index) {
        let request = self.next_request();
        let (recorded, recorded_boot) = (Index::ZERO, BootCounter::ZERO);
        let append =
            Append { prev, commit, recorded, recorded_boot, wants_reply: true, runs: runs.into() };
        self.tell(from, term, request, Message::Append(append));
    }

    pub fn request_vote(&mut self, from: u64, term: u64, last: EntryId) {
        let request = self.next_request();
        let vote = RequestVote { campaign: self.base.term(term), last, pre_vote: false };
        self.tell(from, term, request, Message::RequestVote(vote));
    }

    /// A peer answers the latest request for votes.
    pub fn vote_reply(&mut self, from: u64, granted: bool) {
        let request = self.last_request_to(from);
        let campaign = self.raft.term();
        let reply = VoteReply { campaign, pre_vote: false, granted };
        let term = campaign.distance(self.base.0.term);
        self.tell(from, term, request, Message::VoteReply(reply));
    }

    /// A peer answers the latest append to it.
    pub fn append_reply(&mut self, from: u64, reply: AppendReply) {
        let request = self.last_request_to(from);
        let term = self.raft.term().distance(self.base.0.term);
        self.tell(from, term, request, Message::AppendReply(reply));
    }

    fn last_request_to(&self, peer: u64) -> RequestId {
        let to_peer = self.sends().into_iter().filter(|send| send.envelope.to == node(peer));
        let requests = to_peer.filter(|send| !send.envelope.message.is_reply());
        requests.last().expect("the peer was asked something").envelope.request
    }

    /// Forgets what was asked for so far, and returns it.
    pub fn take(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// Adds what counts as asked for.
    pub fn put(&mut self, effects: Vec<Effect>) {
        self.effects.extend(effects);
    }

    pub fn effects(&self) -> &[Effect] {
        &self.effects
    }

    pub fn sends(&self) -> Vec<Send> {
        let send = |effect: &Effect| match effect {
            Effect::Send(send) => Some(send.clone()),
            _ => None,
        };
        self.effects.iter().filter_map(send).collect()
    }

    pub fn persists(&self) -> Vec<Persist> {
        let persist = |effect: &Effect| match effect {
            Effect::Persist(persist) => Some(*persist),
            _ => None,
        };
        self.effects.iter().filter_map(persist).collect()
    }

    /// The latest answer to an append, and the write that it waits for.
    pub fn append_answer(&self) -> (AppendReply, Option<PersistToken>) {
        let answer = |send: Send| match send.envelope.message {
            Message::AppendReply(reply) => Some((reply, send.after)),
            _ => None,
        };
        self.sends().into_iter().rev().find_map(answer).expect("an append was answered")
    }

    /// The latest vote given or refused, and the write that it waits for.
    pub fn vote_answer(&self) -> (VoteReply, Option<PersistToken>) {
        let answer = |send: Send| match send.envelope.message {
            Message::VoteReply(reply) => Some((reply, send.after)),
            _ => None,
        };
        self.sends().into_iter().rev().find_map(answer).expect("a request was answered")
    }

    /// Appends to a peer, in order.
    pub fn appends_to(&self, peer: u64) -> Vec<Append> {
        let append = |send: Send| match send.envelope.message {
            Message::Append(append) if send.envelope.to == node(peer) => Some(append),
            _ => None,
        };
        self.sends().into_iter().filter_map(append).collect()
    }

    /// Terms of the log above the base, counted from the base's.
    pub fn log(&self) -> Vec<u64> {
        let indices = self.base.0.index.get() + 1..=self.raft.last().index.get();
        let term = |index| self.raft.term_at(Index(index)).expect("the log has no gap");
        indices.map(|index| term(index).distance(self.base.0.term)).collect()
    }

    /// How far above the base is committed.
    pub fn commit(&self) -> u64 {
        self.raft.commit().distance(self.base.0.index)
    }

    pub fn applied(&self) -> Vec<(u64, u64)> {
        let above = |index: &Index| index.distance(self.base.0.index);
        let apply = |effect: &Effect| match effect {
            Effect::Apply { first, last } => Some((above(first), above(last))),
            _ => None,
        };
        self.effects.iter().filter_map(apply).collect()
    }
}
