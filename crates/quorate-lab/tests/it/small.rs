//! A Raft of a page and a half for the lab to find faults in: correct with [`NONE`], and with one
//! planted fault otherwise. It shows that a scenario fails when it should, and that the lab serves a
//! Raft that has nothing in common with Quorate's.
//!
//! Everything is behind one lock, nothing waits while holding it. A task looks at the clock every ten
//! milliseconds; each request to a peer is a task of its own.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use prost::Message;
use quorate_lab::context::Context;
use quorate_lab::persister::Persister;
use quorate_lab::raft::{ApplyMsg, ApplySender, LabRaft, Peers, Setup, Start, Timing};

/// Nothing is wrong.
pub(crate) const NONE: u8 = 0;
/// The log is not saved.
pub(crate) const FORGETS_LOG: u8 = 2;
/// A leader commits what nobody else has.
pub(crate) const NEEDS_NOBODY: u8 = 3;
/// Entries of earlier terms are committed by counting (figure 8 of the Raft paper).
pub(crate) const COUNTS_OLD_TERMS: u8 = 4;
/// Every third entry is applied twice.
pub(crate) const APPLIES_TWICE: u8 = 5;
/// Votes go to candidates whose logs lack entries.
pub(crate) const ELECTS_ANYBODY: u8 = 6;
/// A follower keeps what it has at an index, whatever the leader has there.
pub(crate) const KEEPS_CONFLICTS: u8 = 7;
/// A leader stays one when it hears of a later term.
pub(crate) const STAYS_LEADER: u8 = 8;
/// Election timeouts are all the same.
pub(crate) const SAME_TIMEOUTS: u8 = 9;
/// The first entry of a term is one of the leader's own.
pub(crate) const HAS_NO_OPS: u8 = 10;
/// The whole log goes along with every append.
pub(crate) const SENDS_EVERYTHING: u8 = 11;
/// Heartbeats come with every look at the clock.
pub(crate) const CHATTERS: u8 = 12;
/// A leader waits for the majority before it answers `start`, on the thread.
pub(crate) const BLOCKS: u8 = 13;
/// Calls to all peers are made one after another.
pub(crate) const WAITS_FOR_CALLS: u8 = 14;
/// The first command is too much.
pub(crate) const PANICS: u8 = 15;
/// Who is not due yet looks again at once.
pub(crate) const SPINS: u8 = 16;

/// What is wrong with every server from its start on: a type for each would be every scenario compiled
/// for each.
static PLANTED: AtomicU8 = AtomicU8::new(NONE);
static PLANTING: Mutex<()> = Mutex::new(());

/// Does something while a fault is planted; one at a time.
pub(crate) fn plant<T>(fault: u8, act: impl FnOnce() -> T) -> T {
    let _one = PLANTING.lock().unwrap_or_else(PoisonError::into_inner);
    PLANTED.store(fault, Ordering::Relaxed);
    act()
}

const LOOK: Duration = Duration::from_millis(10);

#[derive(Clone, PartialEq, Message)]
struct Entry {
    #[prost(uint64)]
    term: u64,
    #[prost(bytes = "vec")]
    command: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct Saved {
    #[prost(uint64)]
    term: u64,
    #[prost(uint64, optional)]
    vote: Option<u64>,
    #[prost(message, repeated)]
    log: Vec<Entry>,
}

#[derive(Clone, PartialEq, Message)]
struct VoteRequest {
    #[prost(uint64)]
    term: u64,
    #[prost(uint64)]
    candidate: u64,
    #[prost(uint64)]
    last_index: u64,
    #[prost(uint64)]
    last_term: u64,
}

#[derive(Clone, PartialEq, Message)]
struct Append {
    #[prost(uint64)]
    term: u64,
    #[prost(uint64)]
    before_index: u64,
    #[prost(uint64)]
    before_term: u64,
    #[prost(message, repeated)]
    entries: Vec<Entry>,
    #[prost(uint64)]
    commit: u64,
}

/// To both: whether it was done, and where an append may go on instead.
#[derive(Clone, PartialEq, Message)]
struct Reply {
    #[prost(uint64)]
    term: u64,
    #[prost(bool)]
    done: bool,
    #[prost(uint64)]
    next: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Follower,
    Candidate,
    Leader,
}

struct State {
    term: u64,
    vote: Option<u64>,
    /// Index 1 is at 0.
    log: Vec<Entry>,
    role: Role,
    votes: usize,
    commit: u64,
    applied: u64,
    next: Vec<u64>,
    matched: Vec<u64>,
    /// Time of the next election, or of the next heartbeat.
    due: Duration,
    dead: bool,
}

pub(crate) struct Small {
    /// The planted one.
    fault: u8,
    me: usize,
    peers: Peers,
    persister: Arc<Persister>,
    apply: ApplySender,
    context: Context,
    timing: Timing,
    state: Mutex<State>,
}

impl State {
    fn last(&self) -> u64 {
        self.log.len() as u64
    }

    fn term_at(&self, index: u64) -> u64 {
        index.checked_sub(1).and_then(|at| self.log.get(at as usize)).map_or(0, |entry| entry.term)
    }
}

impl LabRaft for Small {
    fn make(setup: Setup) -> Arc<Self> {
        let Setup { me, peers, persister, apply, context, timing } = setup;
        let fault = PLANTED.load(Ordering::Relaxed);
        let saved = Saved::decode(persister.state().as_slice()).expect("it saved this itself");
        let state = State {
            term: saved.term,
            vote: saved.vote,
            log: saved.log,
            role: Role::Follower,
            votes: 0,
            commit: 0,
            applied: 0,
            next: vec![1; peers.len()],
            matched: vec![0; peers.len()],
            due: Duration::ZERO,
            dead: false,
        };
        let state = Mutex::new(state);
        let raft = Arc::new(Self { fault, me, peers, persister, apply, context, timing, state });
        raft.rest(&mut raft.state());
        raft.context.spawn(Self::look(Arc::downgrade(&raft), raft.context.clone()));
        raft
    }

    fn start(&self, command: &[u8]) -> Option<Start> {
        let mut state = self.state();
        if state.role != Role::Leader || state.dead {
            return None;
        }
        assert!(self.fault != PANICS, "no room for a command");
        if self.fault == BLOCKS {
            std::thread::sleep(Duration::from_secs(3600));
        }
        let term = state.term;
        state.log.push(Entry { term, command: command.to_vec() });
        self.save(&state);
        self.advance(&mut state);
        state.due = Duration::ZERO;
        Some(Start { index: state.last(), term })
    }

    fn state(&self) -> (u64, bool) {
        let state = self.state();
        (state.term, state.role == Role::Leader)
    }

    async fn handle(self: Arc<Self>, method: String, args: Vec<u8>) -> Vec<u8> {
        match method.as_str() {
            "vote" => self.answer_vote(&VoteRequest::decode(args.as_slice()).expect("a peer's")),
            _ => self.answer_append(Append::decode(args.as_slice()).expect("a peer's")),
        }
        .encode_to_vec()
    }

    fn kill(&self) {
        self.state().dead = true;
        self.apply.close();
    }
}

impl Small {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while holding it")
    }

    fn save(&self, state: &State) {
        let log = if self.fault == FORGETS_LOG { Vec::new() } else { state.log.clone() };
        self.persister
            .save_state(Saved { term: state.term, vote: state.vote, log }.encode_to_vec());
    }

    /// Draws when to campaign.
    fn rest(&self, state: &mut State) {
        let Timing { election_min, election_max, .. } = self.timing;
        let more = self.context.random_time(election_max - election_min);
        let more = if self.fault == SAME_TIMEOUTS { Duration::ZERO } else { more };
        state.due = self.context.now() + election_min + more;
    }

    fn follow(&self, state: &mut State, term: u64) {
        if self.fault == STAYS_LEADER && state.role == Role::Leader {
            return;
        }
        state.role = Role::Follower;
        if term > state.term {
            state.term = term;
            state.vote = None;
            self.save(state);
        }
    }

    async fn look(raft: Weak<Self>, context: Context) {
        loop {
            let Some(fault) = raft.upgrade().map(|raft| raft.fault) else { return };
            if fault == SPINS {
                context.yield_now().await;
            } else {
                context.sleep(LOOK).await;
            }
            let Some(raft) = raft.upgrade() else { return };
            let mut state = raft.state();
            if state.dead {
                return;
            }
            if context.now() < state.due && !(raft.fault == CHATTERS && state.role == Role::Leader)
            {
                continue;
            }
            if state.role == Role::Leader {
                raft.broadcast(&mut state);
            } else {
                raft.campaign(&mut state);
            }
        }
    }

    fn campaign(self: &Arc<Self>, state: &mut State) {
        state.term += 1;
        state.vote = Some(self.me as u64);
        state.role = Role::Candidate;
        state.votes = 1;
        self.save(state);
        self.rest(state);
        let (last_index, term) = (state.last(), state.term);
        let request = VoteRequest {
            term,
            candidate: self.me as u64,
            last_index,
            last_term: state.term_at(last_index),
        };
        for (_, peer) in self.peers.others(self.me) {
            let call = peer.call("vote", request.encode_to_vec());
            let raft = Arc::clone(self);
            self.context.spawn(async move {
                let Some(reply) = call.await else { return };
                let reply = Reply::decode(reply.as_slice()).expect("a peer's");
                raft.take_vote(term, &reply);
            });
        }
    }

    fn answer_vote(&self, request: &VoteRequest) -> Reply {
        let mut state = self.state();
        if request.term > state.term {
            self.follow(&mut state, request.term);
        }
        let last = state.last();
        let is_current = (request.last_term, request.last_index) >= (state.term_at(last), last);
        let is_free = state.vote.is_none_or(|vote| vote == request.candidate);
        let done = request.term == state.term
            && is_free
            && (is_current || self.fault == ELECTS_ANYBODY)
            && state.role == Role::Follower;
        if done {
            state.vote = Some(request.candidate);
            self.save(&state);
            self.rest(&mut state);
        }
        Reply { term: state.term, done, next: 0 }
    }

    fn take_vote(self: &Arc<Self>, term: u64, reply: &Reply) {
        let mut state = self.state();
        if reply.term > state.term {
            self.follow(&mut state, reply.term);
        }
        if state.dead || state.term != term || state.role != Role::Candidate || !reply.done {
            return;
        }
        state.votes += 1;
        if state.votes * 2 > self.peers.len() {
            state.role = Role::Leader;
            if self.fault == HAS_NO_OPS {
                state.log.push(Entry { term, command: Vec::new() });
                self.save(&state);
            }
            state.next = vec![state.last() + 1; self.peers.len()];
            state.matched = vec![0; self.peers.len()];
            self.broadcast(&mut state);
        }
    }

    /// Sends each peer what it lacks, which may be nothing.
    fn broadcast(self: &Arc<Self>, state: &mut State) {
        state.due = self.context.now() + self.timing.heartbeat;
        let mut calls = Vec::new();
        for (peer, end) in self.peers.others(self.me) {
            let next = if self.fault == SENDS_EVERYTHING { 1 } else { state.next[peer] };
            let append = Append {
                term: state.term,
                before_index: next - 1,
                before_term: state.term_at(next - 1),
                entries: state.log[next as usize - 1..].to_vec(),
                commit: state.commit,
            };
            calls.push((peer, end.clone(), append));
        }
        let raft = Arc::clone(self);
        if self.fault == WAITS_FOR_CALLS {
            // The state says when the next round is due; it is not before these are answered.
            state.due = Duration::MAX;
            self.context.spawn(async move {
                for (peer, end, append) in calls {
                    raft.send(peer, end.call("append", append.encode_to_vec()), &append).await;
                }
                let mut state = raft.state();
                if state.role == Role::Leader {
                    state.due = raft.context.now() + raft.timing.heartbeat;
                } else {
                    raft.rest(&mut state);
                }
            });
            return;
        }
        for (peer, end, append) in calls {
            let raft = Arc::clone(&raft);
            let call = end.call("append", append.encode_to_vec());
            self.context.spawn(async move { raft.send(peer, call, &append).await });
        }
    }

    async fn send(
        self: &Arc<Self>,
        peer: usize,
        call: impl Future<Output = Option<Vec<u8>>>,
        append: &Append,
    ) {
        let Some(reply) = call.await else { return };
        let reply = Reply::decode(reply.as_slice()).expect("a peer's");
        let mut state = self.state();
        if reply.term > state.term {
            self.follow(&mut state, reply.term);
        }
        if state.dead || state.term != append.term || state.role != Role::Leader {
            return;
        }
        if reply.done {
            let matched = append.before_index + append.entries.len() as u64;
            state.matched[peer] = state.matched[peer].max(matched);
            state.next[peer] = state.next[peer].max(matched + 1);
            self.advance(&mut state);
        } else if append.before_index + 1 == state.next[peer] {
            // An answer to anything older would move it twice.
            let next = reply.next.min(append.before_index);
            state.next[peer] = next.max(state.matched[peer] + 1);
            state.due = Duration::ZERO;
        }
    }

    /// Commits what a majority has.
    fn advance(&self, state: &mut State) {
        state.matched[self.me] = state.last();
        let mut matched = state.matched.clone();
        matched.sort_unstable();
        let mut index = matched[(matched.len() - 1) / 2];
        if self.fault == NEEDS_NOBODY {
            index = state.last();
        }
        let is_own = state.term_at(index) == state.term || self.fault == COUNTS_OLD_TERMS;
        if index > state.commit && is_own {
            state.commit = index;
            state.due = Duration::ZERO;
            self.deliver(state);
        }
    }

    fn deliver(&self, state: &mut State) {
        while state.applied < state.commit {
            state.applied += 1;
            let index = state.applied;
            let Entry { term, command } = state.log[index as usize - 1].clone();
            let message = ApplyMsg::Command { data: command, index, term };
            self.apply.send(message.clone());
            if self.fault == APPLIES_TWICE && index.is_multiple_of(3) {
                self.apply.send(message);
            }
        }
    }

    fn answer_append(&self, append: Append) -> Reply {
        let mut state = self.state();
        let no = |state: &State, next| Reply { term: state.term, done: false, next };
        if append.term < state.term {
            return no(&state, 0);
        }
        self.follow(&mut state, append.term);
        self.rest(&mut state);
        if append.before_index > state.last() {
            return no(&state, state.last() + 1);
        }
        let wrong = state.term_at(append.before_index);
        if wrong != append.before_term {
            // All of that term, in one step.
            let mut next = append.before_index;
            while next > 1 && state.term_at(next - 1) == wrong {
                next -= 1;
            }
            return no(&state, next);
        }
        let matched = append.before_index + append.entries.len() as u64;
        for (index, entry) in (append.before_index + 1..).zip(append.entries) {
            if index <= state.last() && state.term_at(index) == entry.term {
                continue;
            }
            if index <= state.last() && self.fault == KEEPS_CONFLICTS {
                continue;
            }
            state.log.truncate(index as usize - 1);
            state.log.push(entry);
        }
        self.save(&state);
        state.commit = state.commit.max(append.commit.min(matched));
        self.deliver(&mut state);
        Reply { term: state.term, done: true, next: 0 }
    }
}
