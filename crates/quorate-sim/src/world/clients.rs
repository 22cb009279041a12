//! Clients: what they ask for is due at times of its own, whether earlier requests were answered or
//! not; each has at most one request under way and catches up when it can.
//!
//! Some have a session, and send a call again until they know how it ended (`sessions.rs`).
//!
//! A client stays with the node that answers it and goes to another one when it is refused, hears
//! nothing for too long, or finds nobody there.

use core::time::Duration;
use std::collections::BTreeMap;

use quorate::Codec;
use quorate::StateMachine;
use quorate::replica::{CallId, CallOutcome, ForwardOutcome, RefusalCode, ReplicaInput};
use quorate::sessions::{Outcome, SessionRequest};
use quorate_core::ReadId;

use super::observed::{digest, fingerprint};
use super::plan::Fault;
use super::sessions::ClientSession;
use super::trace::{RequestEnd, TraceEvent, name};
use super::workload::{End, Request, Workload};
use super::{Event, World};
use crate::history::{ClientId, OperationId};
use crate::invariants::Broken;
use crate::rng::Rng;

/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// Parts in a million of its turns at which a client goes to another node.
const ROAMING: u32 = 50_000;
/// Requests that a client has due at most; what comes on top is never asked.
const MOST_DUE: u32 = 200;
/// Bytes from which a command is larger than others by far.
const LARGE: usize = 4 << 10;

/// All clients of a world.
pub(crate) struct Clients<M: StateMachine> {
    pub(super) rngs: Vec<Rng>,
    /// Time between two requests of one client.
    every: Duration,
    /// The node that each client turns to.
    pub(super) homes: Vec<usize>,
    /// Requests of each client that are due.
    due: Vec<u32>,
    pub(super) last_request: u64,
    /// The request that each client waits for.
    pub(super) waiting: BTreeMap<u32, Waiting>,
    /// Who sent which request, while its client waits.
    pub(super) senders: BTreeMap<u64, u32>,
    /// The session of each client, of those that use one.
    pub(super) sessions: Vec<Option<ClientSession>>,
    /// Requests about a session itself, those that have ended included.
    pub(super) errands: BTreeMap<u64, SessionRequest>,
    /// Queries whose read index is not known or not reached.
    pub(super) queries: BTreeMap<u64, M::Query>,
    pub(crate) stopped_at: Option<u64>,
    /// From this request on each is to be answered.
    expected_from: Option<u64>,
    /// The first that was not.
    unanswered: Option<String>,
}

impl<M: StateMachine> core::fmt::Debug for Clients<M> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Clients").field("waiting", &self.waiting).finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    pub(super) request: u64,
    pub(super) operation: Option<OperationId>,
    node: usize,
    /// Does not wait as long as clients usually do.
    is_impatient: bool,
}

impl<M: StateMachine> Clients<M> {
    pub(crate) fn new(
        seed: u64,
        clients: u32,
        request_every: Duration,
        has_sessions: bool,
    ) -> Self {
        let session = |at| ClientSession::draw(seed, at).filter(|_| has_sessions);
        Self {
            rngs: (0..clients).map(|at| Rng::stream(seed, "client", u64::from(at))).collect(),
            every: request_every * clients.max(1),
            homes: vec![0; clients as usize],
            due: vec![0; clients as usize],
            last_request: 0,
            waiting: BTreeMap::new(),
            senders: BTreeMap::new(),
            sessions: (0..clients).map(session).collect(),
            errands: BTreeMap::new(),
            queries: BTreeMap::new(),
            stopped_at: None,
            expected_from: None,
            unanswered: None,
        }
    }
}

impl<M: StateMachine> Clients<M> {
    /// Clients that wait for an answer, those that are about to ask again included.
    pub(super) fn waiting(&self) -> usize {
        let insists = |at: &u32| self.sessions[*at as usize].as_ref().is_some_and(|s| s.insists());
        let clients = 0..u32::try_from(self.sessions.len()).unwrap_or_default();
        let between = clients.filter(|at| !self.waiting.contains_key(at) && insists(at));
        self.waiting.len() + between.count()
    }
}

impl<M: StateMachine + Default, W: Workload<M>> World<M, W> {
    /// Another request of this client is due.
    pub(super) fn client_turn(&mut self, client: u32) {
        let rng = &mut self.clients.rngs[client as usize];
        let pause = rng.span(self.clients.every / 2, self.clients.every * 3 / 2);
        // Now and then it turns to another node, so that all are asked in calm times, too.
        if rng.chance(ROAMING) {
            let home = rng.index(self.nodes.len());
            self.clients.homes[client as usize] = self.well_from(home);
        }
        self.after(pause, Event::Client(client));
        if self.clients.stopped_at.is_none() {
            self.count("offered");
            let due = &mut self.clients.due[client as usize];
            *due = (*due + 1).min(MOST_DUE);
            self.ask(client);
        }
    }

    /// A client asks for something if it is free and something is due.
    pub(super) fn ask(&mut self, client: u32) {
        let at = client as usize;
        let insists = self.clients.sessions[at].as_ref().is_some_and(ClientSession::insists);
        let has_more = self.clients.stopped_at.is_none() && self.clients.due[at] > 0;
        if self.clients.waiting.contains_key(&client) || !(insists || has_more) {
            return;
        }
        let node = self.clients.homes[at];
        if self.nodes[node].as_live().is_none() {
            // Nobody there: the next one, soon.
            self.clients.homes[at] = self.well_from((node + 1) % self.nodes.len());
            self.after(Duration::from_millis(20), Event::Ask(client));
            return;
        }
        if self.ask_of_session(client, node) {
            return;
        }
        self.clients.due[at] -= 1;
        let rng = &mut self.clients.rngs[at];
        let now = Duration::from_nanos(self.now);
        let (operation, request) = self.workload.next(ClientId(client), rng, now);
        let number = self.begin(client, node, operation);
        let workload = &self.workload;
        self.trace.note(self.now, || TraceEvent::Asks {
            client,
            request: number,
            node: name(node),
            what: workload.describe(&request),
        });
        let input = match request {
            Request::Call(command) => {
                let mut bytes = Vec::new();
                command.encode(&mut bytes).expect("a workload makes commands that encode");
                if bytes.len() >= LARGE && self.plan.has(Fault::Sizes) {
                    self.count(Fault::Sizes.name());
                }
                let stamp = self.stamp(client, number, operation, &bytes);
                let (call, command) = (CallId(number), bytes.into());
                ReplicaInput::Call { call, command, stamp }
            }
            Request::Read(query) => {
                self.clients.queries.insert(number, query);
                self.facts.read_came(node, ReadId(number));
                ReplicaInput::Read(ReadId(number))
            }
        };
        self.count("request");
        self.trace.step(self.now, [1, u64::from(client), number]);
        self.give(node, input);
    }

    /// A client begins to wait for a node; the number of its request.
    pub(super) fn begin(
        &mut self,
        client: u32,
        node: usize,
        operation: Option<OperationId>,
    ) -> u64 {
        self.clients.last_request += 1;
        let number = self.clients.last_request;
        let impatient = self.chances.strikes(&self.plan, Fault::ImpatientClients);
        let is_impatient = impatient.is_some();
        let limit = impatient.map_or(PATIENCE, |mut rng| {
            let most = self.plan.rate(Fault::ImpatientClients).lasts;
            rng.span(Duration::from_millis(100), most)
        });
        let waiting = Waiting { request: number, operation, node, is_impatient };
        self.clients.waiting.insert(client, waiting);
        self.clients.senders.insert(number, client);
        self.after(limit, Event::GiveUp { client, request: number });
        number
    }

    /// Every client gives up, and asks again at once and so many times. Says whether anybody gave up
    /// or asked.
    pub(super) fn storm(&mut self, times: u32) -> bool {
        let waiting: Vec<(u32, u64)> = self
            .clients
            .waiting
            .iter()
            .map(|(client, waiting)| (*client, waiting.request))
            .collect();
        let (gave_up, asked) = (!waiting.is_empty(), self.clients.last_request);
        for (client, request) in waiting {
            self.give_up(client, request);
        }
        for client in 0..self.clients.due.len() {
            let due = &mut self.clients.due[client];
            let more = times.min(MOST_DUE.saturating_sub(*due));
            *due += more;
            self.counts.add_many("offered", u64::from(more));
            self.ask(u32::try_from(client).expect("clients are few"));
        }
        gave_up || self.clients.last_request > asked
    }

    /// A client waits no longer.
    pub(super) fn give_up(&mut self, client: u32, request: u64) {
        let waiting = self.clients.waiting.get(&client).copied();
        if let Some(waiting) = waiting.filter(|waiting| waiting.request == request) {
            self.count("client gave up");
            if waiting.is_impatient {
                self.count(Fault::ImpatientClients.name());
            }
            self.missed(request, "was not answered in time");
            self.end_request(request, End::Unknown);
        }
    }

    /// A request that was to be answered ends without an answer.
    fn missed(&mut self, request: u64, how: &str) {
        let expected = self.clients.expected_from.is_some_and(|from| request >= from);
        if expected && self.clients.unanswered.is_none() {
            self.clients.unanswered = Some(format!("request {request} {how}"));
        }
    }

    /// A call ended at the node that took it.
    pub(super) fn end_call(&mut self, call: CallId, outcome: CallOutcome) -> Result<(), Broken> {
        let end = match outcome {
            CallOutcome::Applied(bytes) if self.clients.errands.contains_key(&call.0) => {
                return self.end_errand(call.0, &bytes);
            }
            CallOutcome::Applied(bytes) => {
                // The reply of another node, as it observed it.
                let reply = <(Vec<u8>, u64)>::decode(&bytes).map_err(|error| {
                    Broken::new("replies are true", format!("a reply cannot be read: {error}"))
                })?;
                return self.end_with_reply(call, &reply);
            }
            CallOutcome::Refused(code) => {
                // That a command is too large is an answer as good as any.
                let is_too_large = code == RefusalCode::TooLarge;
                self.refuse_call(call.0, is_too_large)?;
                if !is_too_large {
                    self.missed(call.0, "was refused");
                }
                End::Refused
            }
            CallOutcome::Faulted(fault) => return self.end_fault(call.0, fault),
            CallOutcome::Unknown(_) => {
                self.missed(call.0, "ended in the unknown");
                End::Unknown
            }
        };
        self.end_request(call.0, end);
        Ok(())
    }

    /// The state machine answered a call of this node's own client.
    pub(super) fn answer_call(
        &mut self,
        call: CallId,
        outcome: Outcome<(Vec<u8>, u64)>,
    ) -> Result<(), Broken> {
        match outcome {
            Outcome::Reply(reply) => self.end_with_reply(call, &reply),
            other => match other.forwarded() {
                ForwardOutcome::Applied(bytes) => self.end_call(call, CallOutcome::Applied(bytes)),
                ForwardOutcome::Faulted(fault) => self.end_call(call, CallOutcome::Faulted(fault)),
                ForwardOutcome::Refused(_) | ForwardOutcome::Unknown => Ok(()),
            },
        }
    }

    fn end_with_reply(&mut self, call: CallId, reply: &(Vec<u8>, u64)) -> Result<(), Broken> {
        let (bytes, index) = reply;
        let print = digest(bytes);
        self.trace.step(self.now, [10, *index, print]);
        self.facts.acknowledged(call.0, *index, print)?;
        let reply = M::Reply::decode(bytes).map_err(|error| {
            let what = format!("the reply of entry {index} does not decode: {error}");
            Broken::new("replies are true", what)
        })?;
        self.end_request(call.0, End::Replied(reply));
        Ok(())
    }

    /// A read ended without an answer.
    pub(super) fn end_read(&mut self, id: ReadId) {
        self.missed(id.0, "was refused");
        self.end_request(id.0, End::Refused);
    }

    /// A read may be answered from the present state of its node.
    pub(super) fn answer_read(&mut self, node: usize, id: ReadId) {
        let Some(query) = self.clients.queries.remove(&id.0) else { return };
        let Some(live) = self.nodes[node].as_live() else { return };
        let (answer, index) = (live.applier.query(query), live.applier.applied());
        let waiting = self.clients.senders.get(&id.0).and_then(|at| self.clients.waiting.get(at));
        let operation = waiting.and_then(|waiting| waiting.operation);
        self.trace.step(self.now, [11, id.0, index.0]);
        self.note_read(index, operation);
        self.end_request(id.0, End::Answered(answer));
    }

    /// Clients go to nodes that are well, and wait for no other.
    pub(super) fn turn_to_the_well(&mut self) {
        for client in 0..self.clients.homes.len() {
            self.clients.homes[client] = self.well_from(self.clients.homes[client]);
        }
        for node in 0..self.nodes.len() {
            if self.well_from(node) != node {
                self.abandon_clients_of(node);
            }
        }
    }

    /// Requests so far.
    pub(crate) const fn requests(&self) -> u64 {
        self.clients.last_request
    }

    /// From here on every request is to be answered.
    pub(crate) fn expect_answers(&mut self) {
        self.clients.expected_from = Some(self.requests() + 1);
    }

    /// The first request that was to be answered and was not, in words.
    pub(crate) fn take_unanswered(&mut self) -> Option<String> {
        self.clients.expected_from = None;
        self.clients.unanswered.take()
    }

    /// A node died: whoever waits for it learns nothing.
    pub(super) fn abandon_clients_of(&mut self, node: usize) {
        let of_node = |(_, waiting): &(&u32, &Waiting)| waiting.node == node;
        let waiting: Vec<u64> =
            self.clients.waiting.iter().filter(of_node).map(|(_, w)| w.request).collect();
        for request in waiting {
            self.missed(request, "was lost with its node");
            self.end_request(request, End::Unknown);
        }
        self.script.abandon(node);
    }

    pub(super) fn end_request(&mut self, request: u64, end: End<M>) {
        self.clients.queries.remove(&request);
        let Some(end) = self.script.take_end(request, end) else { return };
        let is_errand = self.clients.errands.contains_key(&request);
        let Some(client) = self.clients.senders.remove(&request) else { return };
        let Some(waiting) = self.clients.waiting.remove(&client) else { return };
        let outcome = match &end {
            End::Replied(_) | End::Answered(_) => {
                self.count("acknowledged");
                RequestEnd::Answered
            }
            End::Refused => {
                self.count("refused");
                RequestEnd::Refused
            }
            End::Unknown => {
                self.count("unknown");
                RequestEnd::Unknown
            }
        };
        let workload = &self.workload;
        self.trace.note(self.now, || {
            let what = workload.describe_end(&end);
            TraceEvent::Ends { client, request, outcome, what }
        });
        self.trace.step(self.now, [2, u64::from(client), request]);
        let told = fingerprint(self.workload.describe_end(&end).as_bytes());
        self.trace.step(self.now, [9, outcome as u64, told]);
        if is_errand {
            self.give_up_errand(client);
            return self.go_on(client, false);
        }
        let Some(end) = self.settle(client, request, end) else {
            return self.go_on(client, false);
        };
        if let Some(operation) = waiting.operation {
            let at = self.now();
            self.workload.ended(operation, end, at);
        }
        self.go_on(client, outcome == RequestEnd::Answered);
    }

    /// A client is free: it asks for what is due meanwhile. One that was not answered waits first,
    /// and turns to another node.
    pub(super) fn go_on(&mut self, client: u32, answered: bool) {
        let rng = &mut self.clients.rngs[client as usize];
        let pause = if answered {
            Duration::from_millis(1)
        } else {
            let home = rng.index(self.nodes.len());
            let pause = rng.span(Duration::from_millis(50), Duration::from_millis(200));
            self.clients.homes[client as usize] = self.well_from(home);
            pause
        };
        self.after(pause, Event::Ask(client));
    }
}
