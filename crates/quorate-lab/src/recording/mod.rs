//! What happened in a run, as events that the simulator's page plays.
//!
//! Whatever the Raft is, the lab sees its requests and their answers, what it saves and applies, what
//! `start` and `state` say, who crashes, and who reaches whom. A Raft that tells more of itself
//! ([`LabRaft::inside`], [`LabRaft::words`]) has its log, its votes and its messages on the page; of one
//! that does not, the log is what `start` promised and what was applied.
//!
//! - A run that is recorded is the same run: recording draws no randomness, and it looks at a server
//!   when nothing else is ready.
//! - It never asks a server anything while that may hold a lock of its own: not from inside a call,
//!   and not from inside a save.
//! - Servers have numbers from 1 in events, as in the simulator; the page shows them from 0.
//!
//! [`LabRaft::inside`]: crate::raft::LabRaft::inside
//! [`LabRaft::words`]: crate::raft::LabRaft::words

mod page;
mod server;
mod told;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quorate_sim::world::trace::{Arrival, FrameWords, RequestEnd};
use quorate_sim::world::{TraceEvent, Traced};

pub use self::page::Recording;
use self::server::Server;
pub use self::told::{Inside, Kind, RoleName, Wire, Words};
use crate::context::Context;
use crate::harness::{Failure, FailureKind, tell};
use crate::persister::{Persister, Store};
use crate::raft::{LabRaft, Start};

/// Time between two looks at servers that nobody called.
const LOOK: Duration = Duration::from_millis(5);
/// Lanes of commands that are shown beside each other.
const MOST_LANES: usize = 16;

type WordsOf = fn(Wire<'_>) -> Option<Words>;
type Probe = Arc<dyn Fn() -> Option<Seen> + Send + Sync>;

/// What a look at a server shows.
#[derive(Debug)]
pub(crate) struct Seen {
    /// What [`LabRaft::state`] says.
    pub(crate) state: (u64, bool),
    /// What the Raft tells of itself.
    pub(crate) inside: Option<Inside>,
    /// The last index that was applied, where the harness does not see each.
    pub(crate) applied: Option<u64>,
}

impl Seen {
    /// A look at a Raft.
    pub(crate) fn of<R: LabRaft>(raft: &R) -> Self {
        Self { state: raft.state(), inside: raft.inside(), applied: None }
    }
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// It arrives after this time.
    Arrives(Duration),
    /// It is lost.
    Lost,
    /// The way is cut.
    Cut,
    /// Nobody is there.
    Nobody,
}

/// A message on its way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Passage {
    frame: u64,
    from: usize,
    to: usize,
    kind: Kind,
    is_answer: bool,
}

impl Passage {
    pub(crate) const fn is_answer(self) -> bool {
        self.is_answer
    }
}

/// Records a run. Every clone is the same one.
#[derive(Clone)]
pub struct Recorder(Arc<Shared>);

struct Shared {
    context: Context,
    /// What the run is to show.
    about: &'static str,
    state: Mutex<State>,
}

struct State {
    words: WordsOf,
    events: Vec<Traced>,
    has_ended: bool,
    is_broken: bool,
    servers: Vec<Server>,
    /// Pairs of servers between whom nothing passes.
    cut: BTreeSet<(usize, usize)>,
    frames: u64,
    requests: u64,
    /// Commands that were accepted and are not applied yet.
    waiting: Vec<Waiting>,
    lanes: usize,
}

struct Waiting {
    lane: usize,
    request: u64,
    index: u64,
    command: Vec<u8>,
}

/// The number that a server has in events.
pub(crate) const fn number(server: usize) -> u64 {
    server as u64 + 1
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder")
            .field("events", &self.state().events.len())
            .finish_non_exhaustive()
    }
}

impl Recorder {
    /// Records from the context's present time on; `about` is what the run is to show.
    #[must_use]
    pub fn new(context: Context, about: &'static str) -> Self {
        let state = State {
            words: |_| None,
            events: Vec::new(),
            has_ended: false,
            is_broken: false,
            servers: Vec::new(),
            cut: BTreeSet::new(),
            frames: 0,
            requests: 0,
            waiting: Vec::new(),
            lanes: 0,
        };
        Self(Arc::new(Shared { context, about, state: Mutex::new(state) }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.0.context.now().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Notes what happens at this moment.
    fn note(&self, happen: impl FnOnce(&mut State, &mut Vec<TraceEvent>)) {
        let at = self.now();
        let mut state = self.state();
        if state.has_ended {
            return;
        }
        let mut events = Vec::new();
        happen(&mut state, &mut events);
        state.events.extend(events.into_iter().map(|event| Traced { at, event }));
    }

    // A cluster begins, and the run ends.

    /// Takes up a cluster of so many servers. False where it has one already: one is shown.
    pub(crate) fn begin<R: LabRaft>(&self, servers: usize) -> bool {
        let mut state = self.state();
        if !state.servers.is_empty() {
            return false;
        }
        state.words = R::words;
        state.servers = (0..servers).map(|_| Server::default()).collect();
        drop(state);
        let recorder = self.clone();
        self.0.context.spawn(async move {
            while !recorder.state().has_ended {
                recorder.0.context.sleep(LOOK).await;
                (0..servers).for_each(|server| recorder.look(server));
            }
        });
        true
    }

    /// Something went wrong; the first thing is shown.
    pub(crate) fn broken(&self, what: &str) {
        let invariant = self.0.about;
        self.note(|state, events| {
            if !std::mem::replace(&mut state.is_broken, true) {
                events.push(TraceEvent::Broken { invariant, what: what.to_owned() });
            }
        });
    }

    /// Ends the recording with how the run ended, and hands it out.
    pub(crate) fn end(&self, failure: Option<&Failure>) -> Recording {
        if let Some(Failure { what, .. }) = failure.filter(|one| one.kind == FailureKind::Broken) {
            self.broken(what);
        }
        let length = self.now();
        let mut state = self.state();
        state.has_ended = true;
        Recording {
            servers: state.servers.len(),
            lanes: state.lanes,
            length,
            events: std::mem::take(&mut state.events),
        }
    }

    // What is done to servers.

    /// A server was started, and can be looked at.
    pub(crate) fn started(
        &self,
        server: usize,
        probe: impl Fn() -> Option<Seen> + Send + Sync + 'static,
    ) {
        let Some(seen) = probe() else { return };
        self.note(|state, events| {
            let server_state = &mut state.servers[server];
            server_state.probe = Some(Arc::new(probe));
            events.push(server_state.starts(number(server), seen));
        });
    }

    /// A server crashed.
    pub(crate) fn died(&self, server: usize) {
        self.note(|state, events| {
            // Whatever it still says, nobody hears.
            if state.servers[server].probe.take().is_some() {
                events.push(TraceEvent::Dies { node: number(server), unsynced: false });
            }
        });
    }

    /// Who is cut off from whom is another.
    pub(crate) fn network(&self, cut: BTreeSet<(usize, usize)>) {
        self.note(|state, events| {
            if state.cut == cut {
                return;
            }
            let shape = shape(state.servers.len(), &cut);
            let pairs = cut.iter().map(|(from, to)| (number(*from), number(*to))).collect();
            events.push(TraceEvent::Network { shape, cut: pairs });
            state.cut = cut;
        });
    }

    // What servers do.

    /// Looks at a server: what changed since the last look is noted.
    pub(crate) fn look(&self, server: usize) {
        let probe = self.state().servers.get(server).and_then(|server| server.probe.clone());
        // Without the lock: a server that saves has its own lock, and wants this one.
        let Some(seen) = probe.and_then(|probe| probe()) else { return };
        self.note(|state, events| state.servers[server].is_seen(number(server), seen, events));
    }

    /// A server sends a message.
    pub(crate) fn sends(&self, from: usize, to: usize, wire: Wire<'_>, way: Way) -> Passage {
        let (method, bytes, is_answer) = match wire {
            Wire::Request { method, args } => (method, args.len(), false),
            Wire::Answer { method, answer, .. } => (method, answer.len(), true),
        };
        let words = (self.state().words)(wire).unwrap_or_else(|| Words {
            kind: Kind::of_method(method),
            term: None,
            says: method.to_owned(),
        });
        let Words { kind, term, says } = words;
        let mut passage = Passage { frame: 0, from, to, kind, is_answer };
        let now = self.now();
        let arrives = match way {
            Way::Arrives(after) => vec![now + u64::try_from(after.as_nanos()).unwrap_or(0)],
            Way::Cut | Way::Nobody => vec![now],
            Way::Lost => Vec::new(),
        };
        if !is_answer && matches!(kind, Kind::Vote | Kind::PreVote) {
            self.state().servers[from].campaigns = true;
        }
        self.look(from);
        self.note(|state, events| {
            state.frames += 1;
            passage.frame = state.frames;
            let words = FrameWords { kind: kind.name(is_answer), term, says };
            let (frame, from, to) = (passage.frame, number(from), number(to));
            events.push(TraceEvent::Sends { frame, from, to, words, bytes: bytes as u64, arrives });
        });
        match way {
            Way::Cut => self.ends(passage, Arrival::CutOff),
            Way::Nobody => self.ends(passage, Arrival::Nobody),
            Way::Arrives(_) | Way::Lost => {}
        }
        passage
    }

    /// A message arrives, where somebody is there.
    pub(crate) fn arrives(&self, passage: Passage, is_there: bool) {
        if !is_there {
            return self.ends(passage, Arrival::Nobody);
        }
        if passage.kind.is_of_leader() && !passage.is_answer {
            self.state().servers[passage.to].campaigns = false;
        }
        self.ends(passage, Arrival::Taken);
    }

    fn ends(&self, passage: Passage, fate: Arrival) {
        let Passage { frame, from, to, .. } = passage;
        let (from, to) = (number(from), number(to));
        self.note(|_, events| {
            events.push(TraceEvent::Arrives { frame, from, to, fate, words: None });
        });
    }

    /// A command was given to a server, and this is what it said.
    pub(crate) fn submitted(&self, server: usize, command: &[u8], start: Option<Start>) {
        self.look(server);
        self.note(|state, events| {
            let (request, lane) = state.ask(server, &format!("start {}", tell(command)), events);
            let Some(Start { index, term }) = start else {
                let (outcome, what) = (RequestEnd::Refused, "it does not lead".to_owned());
                events.push(TraceEvent::Ends { client: lane_number(lane), request, outcome, what });
                return;
            };
            state.servers[server].promises(number(server), index, term, events);
            state.waiting.push(Waiting { lane, request, index, command: command.to_vec() });
        });
    }

    /// A server applied a command.
    pub(crate) fn applied(&self, server: usize, index: u64, term: u64, command: &[u8]) {
        self.look(server);
        self.note(|state, events| {
            state.servers[server].applies(number(server), index, Some(term), events);
            let all = std::mem::take(&mut state.waiting);
            let (decided, waiting) = all.into_iter().partition(|one| one.index == index);
            state.waiting = waiting;
            let decided: Vec<Waiting> = decided;
            for Waiting { lane, request, command: given, .. } in decided {
                let (outcome, what) = if given == command {
                    (RequestEnd::Answered, format!("applied at index {index}"))
                } else {
                    (RequestEnd::Refused, format!("index {index} went to {}", tell(command)))
                };
                events.push(TraceEvent::Ends { client: lane_number(lane), request, outcome, what });
            }
        });
    }

    /// A server took a snapshot up to an index from another.
    pub(crate) fn installed(&self, server: usize, index: u64) {
        self.look(server);
        self.note(|state, events| {
            state.servers[server].applies(number(server), index, None, events);
        });
    }

    /// A server saves so many bytes. It may hold its own lock: nobody asks it anything.
    fn saves(&self, server: usize, bytes: usize) {
        let mut state = self.state();
        if let Some(server) = state.servers.get_mut(server) {
            server.saved = Some(bytes as u64);
        }
    }

    // What clients of a service ask for.

    /// A client asks a server.
    pub(crate) fn asks(&self, client: u64, server: usize, what: &str) -> u64 {
        let mut number_of_request = 0;
        self.note(|state, events| {
            state.requests += 1;
            number_of_request = state.requests;
            let client = usize::try_from(client).unwrap_or(0) % MOST_LANES;
            state.lanes = state.lanes.max(client + 1);
            events.push(TraceEvent::Asks {
                client: lane_number(client),
                request: number_of_request,
                node: number(server),
                what: what.to_owned(),
            });
        });
        number_of_request
    }

    /// A client's request ended.
    pub(crate) fn answers(&self, client: u64, request: u64, is_answered: bool) {
        self.note(|_, events| {
            let client = lane_number(usize::try_from(client).unwrap_or(0) % MOST_LANES);
            let outcome = if is_answered { RequestEnd::Answered } else { RequestEnd::Unknown };
            events.push(TraceEvent::Ends { client, request, outcome, what: String::new() });
        });
    }
}

impl State {
    /// Notes that a command is given to a server, in the first lane that is free.
    fn ask(&mut self, server: usize, what: &str, events: &mut Vec<TraceEvent>) -> (u64, usize) {
        self.requests += 1;
        let request = self.requests;
        let is_free = |lane: &usize| self.waiting.iter().all(|one| one.lane != *lane);
        let oldest = || self.waiting.first().map_or(0, |one| one.lane);
        let lane = (0..MOST_LANES).find(is_free).unwrap_or_else(oldest);
        self.lanes = self.lanes.max(lane + 1);
        let (client, node) = (lane_number(lane), number(server));
        events.push(TraceEvent::Asks { client, request, node, what: what.to_owned() });
        (request, lane)
    }
}

fn lane_number(lane: usize) -> u32 {
    u32::try_from(lane).expect("lanes are few")
}

/// Who is cut off from whom, in words.
fn shape(servers: usize, cut: &BTreeSet<(usize, usize)>) -> String {
    if cut.is_empty() {
        return "whole".to_owned();
    }
    let reaches = |a: usize, b: usize| !cut.contains(&(a, b)) && !cut.contains(&(b, a));
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for server in 0..servers {
        match groups.iter_mut().find(|group| group.iter().all(|other| reaches(*other, server))) {
            Some(group) => group.push(server),
            None => groups.push(vec![server]),
        }
    }
    let within = groups.iter().map(|group| group.len() * (group.len() - 1)).sum::<usize>();
    if servers * (servers - 1) - within != cut.len() {
        return format!("cut in {} directions", cut.len());
    }
    let name = |group: &Vec<usize>| {
        group.iter().map(|server| format!("n{server}")).collect::<Vec<_>>().join(" ")
    };
    format!("cut into {}", groups.iter().map(name).collect::<Vec<_>>().join(" | "))
}

/// Tells a recorder what a server saves.
pub(crate) struct Saves {
    recorder: Recorder,
    server: usize,
}

impl Saves {
    /// An empty persister for a server, whose saves are told where somebody records.
    pub(crate) fn persister(recorder: Option<&Recorder>, server: usize) -> Arc<Persister> {
        recorder.map_or_else(Persister::new, |recorder| {
            let saves = Self { recorder: recorder.clone(), server };
            Persister::with_store(Vec::new(), Vec::new(), saves)
        })
    }
}

impl Store for Saves {
    fn keep(&mut self, state: &[u8], snapshot: Option<&[u8]>) {
        self.recorder.saves(self.server, state.len() + snapshot.map_or(0, <[u8]>::len));
    }
}

#[cfg(test)]
mod tests;
