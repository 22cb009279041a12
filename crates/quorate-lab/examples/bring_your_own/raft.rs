//! A Raft to read, and to break: figure 2 of the Raft paper ("In Search of an Understandable Consensus
//! Algorithm", extended version) and little else. Sections in comments are the paper's, and so are
//! the names of what a server keeps.
//!
//! It has elections, replication and persistence, and no snapshots. Everything is behind one lock,
//! and nobody waits while holding it: a task of its own waits for the answer to each request.
//! Another task looks at the clock every ten milliseconds.
//!
//! Three mistakes can be switched on ([`Bug`]); each is one condition, and says `Bug::` where it is.
#![allow(clippy::cast_possible_truncation, reason = "no log of the lab is that long")]

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use prost::{DecodeError, Message};
use quorate_lab::context::Context;
use quorate_lab::persister::Persister;
use quorate_lab::raft::{ApplyMsg, ApplySender, LabRaft, Peers, Setup, Start, Timing};
use quorate_lab::recording::{Inside, Kind, RoleName, Wire, Words};

use super::bugs::Bug;

/// How often a server looks at the clock.
const LOOK: Duration = Duration::from_millis(10);

const REQUEST_VOTE: &str = "RequestVote";
const APPEND_ENTRIES: &str = "AppendEntries";
/// Nobody but this Raft writes what it reads.
const OURS: &str = "this Raft wrote it";

// What is saved, and what goes over the network. Field by field it is figure 2; the derive makes it
// bytes, and numbers the fields in their order.

/// A command, and the term in which a leader took it (§5.3).
#[derive(Clone, PartialEq, Message)]
struct Entry {
    #[prost(uint64)]
    term: u64,
    #[prost(bytes = "vec")]
    command: Vec<u8>,
}

/// "Persistent state on all servers": saved before anything that rests on it leaves the server.
#[derive(Clone, PartialEq, Message)]
struct Persistent {
    #[prost(uint64)]
    current_term: u64,
    #[prost(uint64, optional)]
    voted_for: Option<u64>,
    /// The first entry has index 1, and lies at 0.
    #[prost(message, repeated)]
    log: Vec<Entry>,
}

#[derive(Clone, PartialEq, Message)]
struct RequestVote {
    #[prost(uint64)]
    term: u64,
    #[prost(uint64)]
    candidate_id: u64,
    #[prost(uint64)]
    last_log_index: u64,
    #[prost(uint64)]
    last_log_term: u64,
}

#[derive(Clone, PartialEq, Message)]
struct RequestVoteReply {
    #[prost(uint64)]
    term: u64,
    #[prost(bool)]
    vote_granted: bool,
}

#[derive(Clone, PartialEq, Message)]
struct AppendEntries {
    #[prost(uint64)]
    term: u64,
    #[prost(uint64)]
    prev_log_index: u64,
    #[prost(uint64)]
    prev_log_term: u64,
    #[prost(message, repeated)]
    entries: Vec<Entry>,
    #[prost(uint64)]
    leader_commit: u64,
}

#[derive(Clone, PartialEq, Message)]
struct AppendEntriesReply {
    #[prost(uint64)]
    term: u64,
    #[prost(bool)]
    success: bool,
    /// Where the leader shall try next, after a refusal (§5.3, where it is called an optimization).
    #[prost(uint64)]
    retry_at: u64,
}

/// What a server is, and what it keeps only while it is that.
enum Role {
    Follower,
    Candidate {
        votes: usize,
    },
    Leader {
        /// Where the next entries for each peer begin: a guess, until a peer agrees.
        next_index: Vec<u64>,
        /// The last entry that each peer is known to have.
        match_index: Vec<u64>,
    },
}

struct State {
    persistent: Persistent,
    /// The last entry known to be committed, and the last one that the service got. A server that
    /// restarts knows of none, and learns it from the next leader.
    commit_index: u64,
    last_applied: u64,
    role: Role,
    /// When the clock makes it act: a leader sends, everybody else campaigns.
    due: Duration,
    killed: bool,
}

/// See the module.
pub(crate) struct Raft {
    me: usize,
    peers: Peers,
    persister: Arc<Persister>,
    apply: ApplySender,
    context: Context,
    timing: Timing,
    bug: Option<Bug>,
    state: Mutex<State>,
}

impl LabRaft for Raft {
    fn make(setup: Setup) -> Arc<Self> {
        let Setup { me, peers, persister, apply, context, timing } = setup;
        // Of a server that never saved there is nothing, which reads as term 0 and an empty log.
        let persistent = Persistent::decode(persister.state().as_slice()).expect(OURS);
        let state = State {
            persistent,
            commit_index: 0,
            last_applied: 0,
            role: Role::Follower,
            due: Duration::ZERO,
            killed: false,
        };
        let (bug, state) = (Bug::planted(), Mutex::new(state));
        let raft = Arc::new(Self { me, peers, persister, apply, context, timing, bug, state });
        raft.restart_election_timer(&mut raft.state());
        raft.context.spawn(Self::watch_the_clock(Arc::downgrade(&raft), raft.context.clone()));
        raft
    }

    /// "If command received from client: append entry to local log, respond after entry applied": the
    /// lab hears of the second through the apply channel.
    fn start(&self, command: &[u8]) -> Option<Start> {
        let mut state = self.state();
        let Role::Leader { .. } = state.role else { return None };
        let term = state.persistent.current_term;
        state.persistent.log.push(Entry { term, command: command.to_vec() });
        self.save(&state);
        // With the next look at the clock, so that commands that come together leave together.
        state.due = Duration::ZERO;
        Some(Start { index: state.last_index(), term })
    }

    fn state(&self) -> (u64, bool) {
        let state = self.state();
        (state.persistent.current_term, matches!(state.role, Role::Leader { .. }))
    }

    async fn handle(self: Arc<Self>, method: String, args: Vec<u8>) -> Vec<u8> {
        let args = args.as_slice();
        if method == REQUEST_VOTE {
            self.request_vote(&RequestVote::decode(args).expect(OURS)).encode_to_vec()
        } else {
            self.append_entries(AppendEntries::decode(args).expect(OURS)).encode_to_vec()
        }
    }

    fn kill(&self) {
        self.state().killed = true;
        self.apply.close();
    }

    // The rest is for the page that plays a run, and may be left out.

    fn inside(&self) -> Option<Inside> {
        let state = self.state();
        let Persistent { current_term, voted_for, log } = &state.persistent;
        Some(Inside {
            role: match state.role {
                Role::Follower => RoleName::Follower,
                Role::Candidate { .. } => RoleName::Candidate,
                Role::Leader { .. } => RoleName::Leader,
            },
            term: *current_term,
            vote: voted_for.map(|candidate| candidate as usize),
            commit: state.commit_index,
            base: (0, 0),
            terms: log.iter().map(|entry| entry.term).collect(),
        })
    }

    fn words(wire: Wire<'_>) -> Option<Words> {
        say(wire).ok()
    }
}

/// What a message says, in words.
fn say(wire: Wire<'_>) -> Result<Words, DecodeError> {
    let (kind, term, says) = match wire {
        Wire::Request { method: REQUEST_VOTE, args } => {
            let request = RequestVote::decode(args)?;
            let says = format!("last={}@{}", request.last_log_index, request.last_log_term);
            (Kind::Vote, request.term, says)
        }
        Wire::Answer { method: REQUEST_VOTE, answer, .. } => {
            let reply = RequestVoteReply::decode(answer)?;
            let says = if reply.vote_granted { "granted" } else { "refused" };
            (Kind::Vote, reply.term, says.to_owned())
        }
        Wire::Request { args, .. } => {
            let AppendEntries { term, prev_log_index, prev_log_term, entries, leader_commit } =
                AppendEntries::decode(args)?;
            let more = entries.len();
            let says =
                format!("prev={prev_log_index}@{prev_log_term} +{more} commit={leader_commit}");
            (if more == 0 { Kind::Heartbeat } else { Kind::Append }, term, says)
        }
        Wire::Answer { answer, .. } => {
            let AppendEntriesReply { term, success, retry_at } =
                AppendEntriesReply::decode(answer)?;
            let says = if success { "yes".to_owned() } else { format!("no, retry at {retry_at}") };
            (Kind::Append, term, says)
        }
    };
    Ok(Words { kind, term: Some(term), says })
}

impl State {
    fn last_index(&self) -> u64 {
        self.persistent.log.len() as u64
    }

    /// The term of an entry. Before the first entry all logs agree, and that has term 0.
    fn term_at(&self, index: u64) -> Option<u64> {
        let Some(at) = index.checked_sub(1) else { return Some(0) };
        self.persistent.log.get(at as usize).map(|entry| entry.term)
    }
}

impl Raft {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // Rules for all servers.

    /// Saves, and waits for it: what was promised in an answer has to be true after a crash.
    fn save(&self, state: &State) {
        let mut saved = state.persistent.clone();
        if self.bug == Some(Bug::ForgetsVote) {
            saved.voted_for = None;
        }
        self.persister.save_state(saved.encode_to_vec());
    }

    /// Draws an election timeout. They differ, so that most of the time one server is first (§5.2).
    fn restart_election_timer(&self, state: &mut State) {
        let Timing { election_min, election_max, .. } = self.timing;
        let more = self.context.random_time(election_max - election_min);
        state.due = self.context.now() + election_min + more;
    }

    /// "If RPC request or response contains term T > currentTerm: set currentTerm = T, convert to
    /// follower (§5.1)." In the new term the vote is free again.
    fn meet_term(&self, state: &mut State, term: u64) {
        if term <= state.persistent.current_term {
            return;
        }
        state.persistent.current_term = term;
        state.persistent.voted_for = None;
        self.save(state);
        if let Role::Leader { .. } = state.role {
            // It was waiting for its next heartbeat.
            self.restart_election_timer(state);
        }
        state.role = Role::Follower;
    }

    /// "If commitIndex > lastApplied: increment lastApplied, apply log[lastApplied] (§5.3)."
    fn apply_what_is_committed(&self, state: &mut State) {
        let State { persistent, commit_index, last_applied, .. } = state;
        let entries = (1_u64..).zip(&persistent.log).take(*commit_index as usize);
        for (index, entry) in entries.skip(*last_applied as usize) {
            let (data, term) = (entry.command.clone(), entry.term);
            self.apply.send(ApplyMsg::Command { data, index, term });
            *last_applied = index;
        }
    }

    async fn watch_the_clock(raft: Weak<Self>, context: Context) {
        loop {
            context.sleep(LOOK).await;
            let Some(raft) = raft.upgrade() else { return };
            let mut state = raft.state();
            if state.killed {
                return;
            }
            if context.now() < state.due {
                continue;
            }
            match state.role {
                Role::Leader { .. } => raft.replicate(&mut state),
                Role::Follower | Role::Candidate { .. } => raft.campaign(&mut state),
            }
        }
    }

    // Elections (§5.2).

    /// "On conversion to candidate, start election."
    fn campaign(self: &Arc<Self>, state: &mut State) {
        state.persistent.current_term += 1;
        state.persistent.voted_for = Some(self.me as u64);
        state.role = Role::Candidate { votes: 1 };
        self.save(state);
        self.restart_election_timer(state);
        let last_log_index = state.last_index();
        let request = RequestVote {
            term: state.persistent.current_term,
            candidate_id: self.me as u64,
            last_log_index,
            last_log_term: state.term_at(last_log_index).unwrap_or(0),
        };
        for (_, peer) in self.peers.others(self.me) {
            let answer = peer.call(REQUEST_VOTE, request.encode_to_vec());
            let (raft, term) = (Arc::clone(self), request.term);
            self.context.spawn(async move {
                let Some(answer) = answer.await else { return };
                raft.count_vote(term, &RequestVoteReply::decode(answer.as_slice()).expect(OURS));
            });
        }
    }

    fn request_vote(&self, request: &RequestVote) -> RequestVoteReply {
        let mut state = self.state();
        self.meet_term(&mut state, request.term);
        let Persistent { current_term, voted_for, .. } = state.persistent;
        // One vote in a term, first come first served: two majorities share a server, and that one
        // has to disappoint one of two candidates.
        let is_free = voted_for.is_none_or(|candidate| candidate == request.candidate_id);
        // "If the logs have last entries with different terms, then the log with the later term is
        // more up-to-date. If the logs end with the same term, then whichever log is longer" (§5.4.1).
        let last = state.last_index();
        let own = (state.term_at(last).unwrap_or(0), last);
        let is_up_to_date = (request.last_log_term, request.last_log_index) >= own;
        let vote_granted = request.term == current_term && is_free && is_up_to_date;
        if vote_granted {
            state.persistent.voted_for = Some(request.candidate_id);
            self.save(&state);
            self.restart_election_timer(&mut state);
        }
        RequestVoteReply { term: current_term, vote_granted }
    }

    fn count_vote(self: &Arc<Self>, asked_in: u64, reply: &RequestVoteReply) {
        let mut state = self.state();
        self.meet_term(&mut state, reply.term);
        // A vote counts in the term it was asked for in, and in no other.
        if state.killed || state.persistent.current_term != asked_in || !reply.vote_granted {
            return;
        }
        let Role::Candidate { votes } = &mut state.role else { return };
        *votes += 1;
        if *votes * 2 <= self.peers.len() {
            return;
        }
        let next_index = vec![state.last_index() + 1; self.peers.len()];
        let match_index = vec![0; self.peers.len()];
        state.role = Role::Leader { next_index, match_index };
        self.replicate(&mut state);
    }

    // Replication (§5.3).

    /// Sends every peer what it lacks. Where that is nothing, it is the heartbeat.
    fn replicate(self: &Arc<Self>, state: &mut State) {
        state.due = self.context.now() + self.timing.heartbeat;
        let Role::Leader { next_index, .. } = &state.role else { return };
        for (peer, link) in self.peers.others(self.me) {
            let prev_log_index = next_index[peer] - 1;
            let request = AppendEntries {
                term: state.persistent.current_term,
                prev_log_index,
                prev_log_term: state.term_at(prev_log_index).unwrap_or(0),
                entries: state.persistent.log[prev_log_index as usize..].to_vec(),
                leader_commit: state.commit_index,
            };
            let (answer, raft) =
                (link.call(APPEND_ENTRIES, request.encode_to_vec()), Arc::clone(self));
            self.context.spawn(async move {
                let Some(answer) = answer.await else { return };
                let reply = AppendEntriesReply::decode(answer.as_slice()).expect(OURS);
                raft.take_answer(peer, &request, &reply);
            });
        }
    }

    fn append_entries(&self, request: AppendEntries) -> AppendEntriesReply {
        let mut state = self.state();
        self.meet_term(&mut state, request.term);
        let term = state.persistent.current_term;
        if request.term < term {
            return AppendEntriesReply { term, success: false, retry_at: 0 };
        }
        // Nobody but this term's leader sends this: whoever campaigned in the term has lost.
        state.role = Role::Follower;
        self.restart_election_timer(&mut state);
        // The consistency check: two logs that agree on one entry agree on all before it (§5.3). A
        // heartbeat claims the same as any other request, and needs the same check.
        let trusts = self.bug == Some(Bug::TrustsHeartbeats) && request.entries.is_empty();
        let found = state.term_at(request.prev_log_index);
        if found != Some(request.prev_log_term) && !trusts {
            // One step back for a whole term, not for an entry: all of that term may be wrong.
            let retry_at = match found {
                None => state.last_index() + 1,
                Some(wrong) => {
                    state.persistent.log.partition_point(|entry| entry.term < wrong) as u64 + 1
                }
            };
            return AppendEntriesReply { term, success: false, retry_at };
        }
        let last_new = request.prev_log_index + request.entries.len() as u64;
        let mut changed = false;
        for (index, entry) in (request.prev_log_index + 1..).zip(request.entries) {
            // "If an existing entry conflicts with a new one, delete the existing entry and all that
            // follow it", and only then: what a request does not mention, a later one brought.
            if state.term_at(index) != Some(entry.term) {
                state.persistent.log.truncate(index as usize - 1);
                state.persistent.log.push(entry);
                changed = true;
            }
        }
        if changed {
            self.save(&state);
        }
        // Not beyond the last new entry: of what follows it nobody said that it is the leader's.
        state.commit_index = state.commit_index.max(request.leader_commit.min(last_new));
        self.apply_what_is_committed(&mut state);
        AppendEntriesReply { term, success: true, retry_at: 0 }
    }

    fn take_answer(&self, peer: usize, request: &AppendEntries, reply: &AppendEntriesReply) {
        let mut state = self.state();
        self.meet_term(&mut state, reply.term);
        if state.killed || state.persistent.current_term != request.term {
            return;
        }
        let Role::Leader { next_index, match_index } = &mut state.role else { return };
        if reply.success {
            // What the request brought, not what the log has by now; and answers overtake each other.
            let last_new = request.prev_log_index + request.entries.len() as u64;
            match_index[peer] = match_index[peer].max(last_new);
            next_index[peer] = match_index[peer] + 1;
            self.advance_commit_index(&mut state);
        } else if next_index[peer] == request.prev_log_index + 1 {
            next_index[peer] =
                reply.retry_at.min(request.prev_log_index).max(match_index[peer] + 1);
            state.due = Duration::ZERO;
        }
    }

    /// "If there exists an N such that N > commitIndex, a majority of matchIndex[i] >= N, and
    /// log[N].term == currentTerm: set commitIndex = N (§5.3, §5.4)."
    fn advance_commit_index(&self, state: &mut State) {
        let last = state.last_index();
        let Role::Leader { match_index, .. } = &mut state.role else { return };
        match_index[self.me] = last;
        let mut sorted = match_index.clone();
        sorted.sort_unstable();
        let on_majority = sorted[(sorted.len() - 1) / 2];
        // An entry of an earlier term may lie on a majority and still be overwritten (figure 8). It is
        // committed together with the first entry of this term (§5.4.2).
        let is_of_this_term = state.term_at(on_majority) == Some(state.persistent.current_term)
            || self.bug == Some(Bug::CountsOldTerms);
        if on_majority > state.commit_index && is_of_this_term {
            state.commit_index = on_majority;
            // The followers shall hear of it soon.
            state.due = Duration::ZERO;
            self.apply_what_is_committed(state);
        }
    }
}
