//! Clients with a session: they send a call again, with the same number, until they know how it
//! ended. Some of what they send is sent once more on purpose, through any node and at any time.
//!
//! About half of the clients have one; whatever a client asks for beside commands it asks without.

use core::time::Duration;
use std::rc::Rc;

use quorate::StateMachine;
use quorate::replica::{CallId, ReplicaInput};
use quorate::sessions::{SessionFault, SessionId, SessionLimits, SessionRequest, Stamp};

use super::observed::digest;
use super::plan::{Fault, Plan};
use super::trace::{TraceEvent, name};
use super::workload::{End, Workload};
use super::{Event, World};
use crate::history::OperationId;
use crate::invariants::Broken;
use crate::rng::Rng;

/// Counts committed commands that were not executed, because they had been or their session was
/// gone.
pub(crate) const DUPLICATES: &str = "duplicates";
/// Parts in a million of a client's turns at which it only keeps its session alive.
const KEEPS_ALIVE: u32 = 20_000;
/// Parts in a million at which it closes it.
const CLOSES: u32 = 10_000;
/// Bytes of the sessions of a world where they are scarce, for each client.
const SCARCE: usize = 200;

/// The bounds that all nodes of a world have: in one world of four there is no room for the
/// sessions of all clients.
pub(super) fn limits(seed: u64, clients: u32, plan: &Plan) -> SessionLimits {
    let standard = SessionLimits::STANDARD;
    let one_of_four = Rng::stream(seed, "session room", 0).index(4) == 0;
    let is_scarce = one_of_four && plan.has(Fault::Resend);
    let total_bytes = if is_scarce { SCARCE * clients as usize } else { standard.total_bytes };
    SessionLimits { total_bytes: total_bytes.max(4 * SCARCE), ..standard }
}

/// The session of one client.
#[derive(Debug)]
pub(super) struct ClientSession {
    rng: Rng,
    ttl_ms: u64,
    /// None while there is none.
    id: SessionId,
    /// The last sequence that was used.
    last: u32,
    /// The call whose end is not known yet.
    open: Option<OpenCall>,
}

/// A call that is sent until its end is known.
#[derive(Debug)]
struct OpenCall {
    /// The request that said it first.
    first: u64,
    operation: Option<OperationId>,
    command: Rc<Vec<u8>>,
    stamp: Stamp,
    /// Whether it may have been executed, for all that is known.
    in_doubt: bool,
    /// Whether its session is gone.
    is_expired: bool,
}

/// Something that is sent once more.
#[derive(Clone, Debug)]
pub(super) struct Resend {
    node: usize,
    first: u64,
    command: Rc<Vec<u8>>,
    stamp: Stamp,
}

impl ClientSession {
    /// What this client has of a session, if it uses one.
    pub(super) fn draw(seed: u64, client: u32) -> Option<Self> {
        let mut rng = Rng::stream(seed, "session", u64::from(client));
        let ttl_ms = rng.range(3_000..60_000);
        let is_used = rng.coin();
        is_used.then_some(Self { rng, ttl_ms, id: SessionId::NONE, last: 0, open: None })
    }

    /// Whether there is a call that it will send again.
    pub(super) const fn insists(&self) -> bool {
        self.open.is_some()
    }
}

impl<M: StateMachine + Default, W: Workload<M>> World<M, W> {
    /// What a client with a session has to do before anything else that is due: says whether there
    /// was something.
    pub(super) fn ask_of_session(&mut self, client: u32, node: usize) -> bool {
        let Some(session) = &mut self.clients.sessions[client as usize] else { return false };
        let request = if session.id == SessionId::NONE {
            Some(SessionRequest::Open { ttl_ms: session.ttl_ms })
        } else if session.open.is_some() {
            None
        } else if session.rng.chance(KEEPS_ALIVE) {
            Some(SessionRequest::KeepAlive)
        } else if session.rng.chance(CLOSES) {
            Some(SessionRequest::Close)
        } else {
            return false;
        };
        match request {
            Some(request) => self.send_errand(client, node, request),
            None => self.send_again(client, node),
        }
        true
    }

    fn send_errand(&mut self, client: u32, node: usize, request: SessionRequest) {
        let Some(session) = &self.clients.sessions[client as usize] else { return };
        let stamp = Stamp::Session { session: session.id, request };
        let number = self.begin(client, node, None);
        self.clients.errands.insert(number, request);
        let what = || format!("{request:?}");
        self.trace.note(self.now, || TraceEvent::Asks {
            client,
            request: number,
            node: name(node),
            what: what(),
        });
        self.count("request");
        self.trace.step(self.now, [1, u64::from(client), number]);
        let (call, command) = (CallId(number), Vec::new().into());
        self.give(node, ReplicaInput::Call { call, command, stamp });
    }

    fn send_again(&mut self, client: u32, node: usize) {
        let at = client as usize;
        let Some(session) = &mut self.clients.sessions[at] else { return };
        let Some(open) = &mut session.open else { return };
        if open.stamp == Stamp::None {
            // Its session had expired before it could be executed: the next one takes it over.
            session.last += 1;
            let (sequence, acknowledged) = (session.last, session.last - 1);
            open.stamp = Stamp::Command { session: session.id, sequence, acknowledged };
        }
        let (first, operation) = (open.first, open.operation);
        let (command, stamp) = (Rc::clone(&open.command), open.stamp);
        let number = self.begin(client, node, operation);
        self.facts.called_in_session(number, first, digest(&command));
        self.trace.note(self.now, || TraceEvent::Asks {
            client,
            request: number,
            node: name(node),
            what: format!("what request {first} asked for"),
        });
        self.count("sent again");
        self.count("request");
        self.trace.step(self.now, [1, u64::from(client), number]);
        self.give_command(node, number, &command, stamp);
    }

    fn give_command(&mut self, node: usize, number: u64, command: &[u8], stamp: Stamp) {
        let (call, command) = (CallId(number), command.to_vec().into());
        self.give(node, ReplicaInput::Call { call, command, stamp });
    }

    /// What a command of this client says of its session, and notes that it will be sent again.
    pub(super) fn stamp(
        &mut self,
        client: u32,
        number: u64,
        operation: Option<OperationId>,
        command: &[u8],
    ) -> Stamp {
        let Some(session) = &mut self.clients.sessions[client as usize] else {
            return Stamp::None;
        };
        session.last += 1;
        let (sequence, acknowledged) = (session.last, session.last - 1);
        let stamp = Stamp::Command { session: session.id, sequence, acknowledged };
        let command = Rc::new(command.to_vec());
        let open = OpenCall {
            first: number,
            operation,
            command: Rc::clone(&command),
            stamp,
            in_doubt: false,
            is_expired: false,
        };
        self.facts.called_in_session(number, number, digest(&command));
        let strike = self.chances.strikes(&self.plan, Fault::Resend);
        let in_doubt = strike.is_some();
        if let Some(mut rng) = strike {
            let late = rng.span(Duration::ZERO, self.plan.rate(Fault::Resend).lasts);
            let node = rng.index(self.nodes.len());
            let resend = Resend { node, first: number, command, stamp };
            self.after(late, Event::Resend(Rc::new(resend)));
        }
        if let Some(session) = &mut self.clients.sessions[client as usize] {
            session.open = Some(OpenCall { in_doubt, ..open });
        }
        stamp
    }

    /// Something is sent once more, by whoever kept it.
    pub(super) fn resend(&mut self, resend: &Resend) {
        if self.calm || self.nodes[resend.node].as_live().is_none() {
            return;
        }
        self.clients.last_request += 1;
        let number = self.clients.last_request;
        self.facts.called_in_session(number, resend.first, digest(&resend.command));
        self.count(Fault::Resend.name());
        self.note_strike(Fault::Resend, Some(resend.node), None);
        self.trace.step(self.now, [12, resend.node as u64, number]);
        self.give_command(resend.node, number, &resend.command, resend.stamp);
    }

    /// A call was refused where it was taken; what is too large is refused everywhere and for ever.
    pub(super) fn refuse_call(&mut self, request: u64, is_too_large: bool) -> Result<(), Broken> {
        if self.clients.errands.contains_key(&request) {
            return Ok(());
        }
        if !self.facts.is_of_session(request) {
            return self.facts.refused(request);
        }
        self.facts.attempt_refused(request);
        let mut open = self.open_call(request);
        if let Some(open) = open.as_mut().filter(|_| is_too_large) {
            open.in_doubt = false;
        }
        match open.filter(|open| !open.in_doubt).map(|open| open.first) {
            Some(first) => self.facts.refused_in_session(first),
            None => Ok(()),
        }
    }

    /// The open call of which this request is the latest attempt.
    fn open_call(&mut self, request: u64) -> Option<&mut OpenCall> {
        let client = *self.clients.senders.get(&request)?;
        let session = self.clients.sessions[client as usize].as_mut()?;
        let operation = self.clients.waiting.get(&client)?.operation;
        session.open.as_mut().filter(|open| open.operation == operation)
    }

    /// What an end means for a call of a session: nothing where it is to be sent again.
    pub(super) fn settle(&mut self, client: u32, request: u64, end: End<M>) -> Option<End<M>> {
        let is_of_session = self.facts.is_of_session(request);
        let session = self.clients.sessions[client as usize].as_mut();
        let Some(session) = session.filter(|_| is_of_session) else { return Some(end) };
        let Some(open) = &mut session.open else { return Some(end) };
        match end {
            End::Replied(_) | End::Answered(_) => {}
            End::Refused if open.stamp == Stamp::None => return None,
            End::Refused if !open.in_doubt => {}
            End::Refused | End::Unknown if open.is_expired => {
                session.open = None;
                return Some(End::Unknown);
            }
            End::Refused => return None,
            End::Unknown => {
                open.in_doubt = true;
                return None;
            }
        }
        session.open = None;
        Some(end)
    }

    /// A session was opened, kept alive or closed.
    pub(super) fn end_errand(&mut self, request: u64, bytes: &[u8]) -> Result<(), Broken> {
        let id = SessionId::from_bytes(bytes).map_err(|error| {
            Broken::new("replies are true", format!("a session cannot be read: {error}"))
        })?;
        let Some(errand) = self.clients.errands.get(&request).copied() else { return Ok(()) };
        self.script.note_session(request, id);
        let Some(client) = self.clients.senders.remove(&request) else { return Ok(()) };
        self.clients.waiting.remove(&client);
        if let Some(session) = &mut self.clients.sessions[client as usize] {
            match errand {
                SessionRequest::Open { .. } => (session.id, session.last) = (id, 0),
                SessionRequest::KeepAlive => {}
                SessionRequest::Close => session.id = SessionId::NONE,
            }
        }
        self.count("session errand");
        self.trace.step(self.now, [13, u64::from(client), id.0]);
        self.go_on(client, true);
        Ok(())
    }

    /// Nobody knows what became of a request about a session.
    pub(super) fn give_up_errand(&mut self, client: u32) {
        // One that may have been closed is not used any more; one that may have been opened
        // expires by itself.
        if let Some(session) = &mut self.clients.sessions[client as usize]
            && session.open.is_none()
        {
            session.id = SessionId::NONE;
        }
    }

    /// A call was not executed, or its reply is gone.
    pub(super) fn end_fault(&mut self, request: u64, fault: SessionFault) -> Result<(), Broken> {
        self.script.note_fault(request, fault);
        self.count(match fault {
            SessionFault::Expired => "session expired",
            _ => "session fault",
        });
        if let Some(open) = self.open_call(request) {
            if fault != SessionFault::Expired {
                let what = format!("request {request}, whose client waits, is told: {fault}");
                return Err(Broken::new("a session remembers what is waited for", what));
            }
            // Where nothing was sent before that could have been executed, another session may
            // take it over.
            open.is_expired = open.in_doubt;
            if !open.in_doubt {
                open.stamp = Stamp::None;
            }
        }
        let client = self.clients.senders.get(&request).copied();
        let session = client.and_then(|client| self.clients.sessions[client as usize].as_mut());
        if let Some(session) = session {
            session.id = SessionId::NONE;
        }
        self.facts.attempt_refused(request);
        self.end_request(request, End::Refused);
        Ok(())
    }
}
