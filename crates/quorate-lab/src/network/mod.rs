//! What lies between peers: requests and their answers, lost, late, out of order and counted.
//!
//! A [`Network`] knows servers by number, and links: who calls whom. [`Model`] says what befalls a
//! call, with the figures of the labs; everything can be changed while calls are under way.
//!
//! - Each call is a task of its own, so that calls overtake each other, even where nothing is lost.
//! - A caller may be told that a call failed although it was executed.
//! - A handler whose server is removed while it runs is dropped within 100 ms, and a removed server
//!   answers nobody.
//! - A request is under way when it is called, not when its future is first polled.

mod count;
mod labrpc;
mod plain;
mod proxy;
mod trail;

use std::collections::BTreeSet;
use std::fmt;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use futures_util::future::{self, Either};
use tokio::sync::oneshot;

pub use self::count::Counts;
pub use self::labrpc::Lost;
use self::trail::Trail;
use crate::context::{BoxFuture, Context};
use crate::raft::{LabRaft, Link, NoSuchPeer, Peer, Peers};
use crate::recording::{Recorder, Way};

/// How often it is checked whether the server of a running handler is still there.
const CHECK: Duration = Duration::from_millis(100);

/// Answers requests; what a server is to the network.
pub trait Handler: Send + Sync + 'static {
    /// Answers one request.
    fn handle(self: Arc<Self>, method: String, args: Vec<u8>) -> BoxFuture<Vec<u8>>;
}

/// A server that is a peer and nothing more.
#[derive(Debug)]
pub struct RaftHandler<R>(pub Arc<R>);

impl<R: LabRaft> Handler for RaftHandler<R> {
    fn handle(self: Arc<Self>, method: String, args: Vec<u8>) -> BoxFuture<Vec<u8>> {
        Box::pin(Arc::clone(&self.0).handle(method, args))
    }
}

/// What befalls calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Model {
    /// Every call arrives, and at once.
    Plain,
    /// The network of the Go course lab and of the dss labs, which differ in when a caller learns
    /// that a request was lost.
    LabRpc(Lost),
    /// The proxies of the async Rust lab.
    Proxy,
}

/// Who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Caller {
    /// This server.
    Server(usize),
    /// Somebody outside the cluster.
    Client(u64),
}

/// See the module. Every clone is the same network.
#[derive(Clone)]
pub struct Network(Arc<Shared>);

struct Shared {
    model: Model,
    context: Context,
    state: Mutex<State>,
    recorder: OnceLock<Recorder>,
}

struct State {
    servers: Vec<Server>,
    /// Links that are cut beside what the servers' own state says.
    blocked: BTreeSet<(Caller, usize)>,
    conditions: Conditions,
    counts: Counts,
}

struct Server {
    /// Nothing while the server is not there.
    handler: Option<Arc<dyn Handler>>,
    /// Changes whenever the handler does.
    starts: u64,
    /// Changes whenever its ends are made anew: older ones reach nobody.
    ends: u64,
    is_connected: bool,
    /// Servers of different sides do not reach each other.
    side: usize,
}

impl Server {
    const fn absent() -> Self {
        Self { handler: None, starts: 0, ends: 0, is_connected: true, side: 0 }
    }
}

/// What the harness has switched on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Conditions {
    is_reliable: bool,
    has_long_delays: bool,
    has_long_reordering: bool,
}

/// What the network decided about one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// The caller learns after this time that it failed; it is never executed.
    Fails(Duration),
    /// It is executed.
    Arrives {
        /// Time until then.
        after: Duration,
        /// Time from the answer until the caller learns of it, or that it failed.
        answer_after: Duration,
        /// The answer is lost.
        is_answer_lost: bool,
    },
}

impl Model {
    /// What befalls a call to a server that can be reached.
    fn fate(self, conditions: Conditions, context: &Context) -> Fate {
        match self {
            Self::Plain => plain::fate(),
            Self::LabRpc(lost) => labrpc::fate(lost, conditions, context),
            Self::Proxy => proxy::fate(conditions, context),
        }
    }

    /// When a caller learns that there is nobody at the other end.
    fn refusal(self, conditions: Conditions, context: &Context) -> Duration {
        match self {
            Self::Plain => plain::REFUSAL,
            Self::LabRpc(_) => labrpc::refusal(conditions, context),
            Self::Proxy => proxy::REFUSAL,
        }
    }
}

// What a harness does to it.
impl Network {
    /// A network for so many servers, none of which is there yet. All links stand, and nothing is
    /// lost.
    #[must_use]
    pub fn new(model: Model, servers: usize, context: Context) -> Self {
        let state = State {
            servers: (0..servers).map(|_| Server::absent()).collect(),
            blocked: BTreeSet::new(),
            conditions: Conditions {
                is_reliable: true,
                has_long_delays: false,
                has_long_reordering: false,
            },
            counts: Counts::new(servers),
        };
        let recorder = OnceLock::new();
        Self(Arc::new(Shared { model, context, state: Mutex::new(state), recorder }))
    }

    /// Has a recorder told of everything from here on; the first one stays.
    pub(crate) fn record(&self, recorder: &Recorder) {
        self.0.recorder.get_or_init(|| recorder.clone());
    }

    fn recorder(&self) -> Option<&Recorder> {
        self.0.recorder.get()
    }

    /// Tells who is cut off from whom, where somebody wants to know.
    fn tell_cuts(&self) {
        let Some(recorder) = self.recorder() else { return };
        let cut = {
            let state = self.state();
            let all = 0..state.servers.len();
            let pairs = all.clone().flat_map(|from| all.clone().map(move |to| (from, to)));
            pairs.filter(|(from, to)| from != to && !state.is_joined(*from, *to)).collect()
        };
        recorder.network(cut);
    }

    /// Its model.
    #[must_use]
    pub fn model(&self) -> Model {
        self.0.model
    }

    /// How many servers it has room for.
    #[must_use]
    pub fn servers(&self) -> usize {
        self.state().servers.len()
    }

    /// Ends for a server, to all servers including itself. Those that it had before reach nobody from
    /// then on.
    ///
    /// # Errors
    ///
    /// Where there is no such server.
    pub fn ends_of(&self, server: usize) -> Result<Peers, NoSuchPeer> {
        let ends = self.with(server, |server| {
            server.ends += 1;
            server.ends
        })?;
        Ok(self.ends(Caller::Server(server), ends))
    }

    /// Ends for a client, to all servers.
    #[must_use]
    pub fn ends_of_client(&self, client: u64) -> Peers {
        self.ends(Caller::Client(client), 0)
    }

    fn ends(&self, caller: Caller, ends: u64) -> Peers {
        let end = |server| Peer::new(End { network: self.clone(), caller, ends, server });
        (0..self.servers()).map(end).collect()
    }

    /// One end for a client, to one server. Calls to a server that does not exist fail like those to one
    /// that is not there.
    #[must_use]
    pub fn end_of_client(&self, client: u64, server: usize) -> Peer {
        Peer::new(End { network: self.clone(), caller: Caller::Client(client), ends: 0, server })
    }

    /// Makes room for one more server, and answers its number. Ends that were made before do not reach
    /// it.
    #[must_use]
    pub fn make_room(&self) -> usize {
        let mut state = self.state();
        state.servers.push(Server::absent());
        state.counts.make_room();
        state.servers.len() - 1
    }

    /// Puts a server there, in place of whatever was.
    ///
    /// # Errors
    ///
    /// Where there is no room with this number.
    pub fn add(&self, server: usize, handler: Arc<dyn Handler>) -> Result<(), NoSuchPeer> {
        self.replace(server, Some(handler))
    }

    /// Takes a server away: calls to it fail, those that it is executing, too, and its own ends reach
    /// nobody.
    ///
    /// # Errors
    ///
    /// Where there is no such server.
    pub fn remove(&self, server: usize) -> Result<(), NoSuchPeer> {
        self.replace(server, None)
    }

    fn replace(&self, server: usize, by: Option<Arc<dyn Handler>>) -> Result<(), NoSuchPeer> {
        // What a handler takes with it may be anything: it goes when the lock is free again.
        let gone = self.with(server, |server| {
            server.starts += 1;
            if by.is_none() {
                server.ends += 1;
            }
            std::mem::replace(&mut server.handler, by)
        })?;
        drop(gone);
        Ok(())
    }

    /// Lets a server reach all others that are connected, and them reach it.
    ///
    /// # Errors
    ///
    /// Where there is no such server.
    pub fn connect(&self, server: usize) -> Result<(), NoSuchPeer> {
        self.with(server, |server| server.is_connected = true)?;
        self.tell_cuts();
        Ok(())
    }

    /// Cuts a server off from all others, both ways. Clients reach it as before.
    ///
    /// # Errors
    ///
    /// Where there is no such server.
    pub fn disconnect(&self, server: usize) -> Result<(), NoSuchPeer> {
        self.with(server, |server| server.is_connected = false)?;
        self.tell_cuts();
        Ok(())
    }

    /// Whether a server is connected.
    ///
    /// # Errors
    ///
    /// Where there is no such server.
    pub fn is_connected(&self, server: usize) -> Result<bool, NoSuchPeer> {
        self.with(server, |server| server.is_connected)
    }

    /// Cuts all links between servers of different groups; whoever is in no group is alone.
    ///
    /// # Errors
    ///
    /// Where a group names a server that does not exist; nothing is changed then.
    pub fn partition(&self, groups: &[&[usize]]) -> Result<(), NoSuchPeer> {
        let mut state = self.state();
        let peers = state.servers.len();
        if let Some(peer) = groups.iter().copied().flatten().find(|server| **server >= peers) {
            return Err(NoSuchPeer { peer: *peer, peers });
        }
        for (number, server) in state.servers.iter_mut().enumerate() {
            server.side = groups.len() + number;
        }
        for (side, group) in groups.iter().enumerate() {
            for server in *group {
                state.servers[*server].side = side;
            }
        }
        drop(state);
        self.tell_cuts();
        Ok(())
    }

    /// Mends what [`Network::partition`], [`Network::disconnect`] and [`Network::block`] cut.
    pub fn heal(&self) {
        let mut state = self.state();
        state.blocked.clear();
        for server in &mut state.servers {
            (server.is_connected, server.side) = (true, 0);
        }
        drop(state);
        self.tell_cuts();
    }

    /// Cuts, or mends, the way of one caller to one server.
    ///
    /// # Errors
    ///
    /// Where there is no such server.
    pub fn block(&self, caller: Caller, server: usize, is_cut: bool) -> Result<(), NoSuchPeer> {
        self.with(server, |_| ())?;
        let mut state = self.state();
        if is_cut {
            state.blocked.insert((caller, server));
        } else {
            state.blocked.remove(&(caller, server));
        }
        drop(state);
        self.tell_cuts();
        Ok(())
    }

    /// Lets a client reach these servers and no others.
    pub fn connect_client(&self, client: u64, servers: &[usize]) {
        let mut state = self.state();
        let caller = Caller::Client(client);
        for server in 0..state.servers.len() {
            if servers.contains(&server) {
                state.blocked.remove(&(caller, server));
            } else {
                state.blocked.insert((caller, server));
            }
        }
    }

    /// Sets whether every call that can arrive does so.
    pub fn set_reliable(&self, is_reliable: bool) {
        self.state().conditions.is_reliable = is_reliable;
    }

    /// Sets whether calls to nobody take seconds to fail, where the model knows of that.
    pub fn set_long_delays(&self, has_long_delays: bool) {
        self.state().conditions.has_long_delays = has_long_delays;
    }

    /// Sets whether most answers are held back, where the model knows of that.
    pub fn set_long_reordering(&self, has_long_reordering: bool) {
        self.state().conditions.has_long_reordering = has_long_reordering;
    }

    /// What was counted so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.state().counts.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, server: usize, act: impl FnOnce(&mut Server) -> T) -> Result<T, NoSuchPeer> {
        let mut state = self.state();
        let peers = state.servers.len();
        let found = state.servers.get_mut(server).ok_or(NoSuchPeer { peer: server, peers })?;
        Ok(act(found))
    }
}

impl State {
    /// Whether requests of one server get to another, if both are there.
    fn is_joined(&self, from: usize, to: usize) -> bool {
        let (here, there) = (&self.servers[from], &self.servers[to]);
        let is_open = here.is_connected && there.is_connected && here.side == there.side;
        is_open && !self.blocked.contains(&(Caller::Server(from), to))
    }
}

// What a recorder asks.
impl Network {
    /// Whether whoever calls through this end is the instance that runs.
    fn is_present(&self, end: &End) -> bool {
        match end.caller {
            Caller::Client(_) => true,
            Caller::Server(caller) => {
                let state = self.state();
                state.servers[caller].ends == end.ends && state.servers[caller].handler.is_some()
            }
        }
    }

    fn is_up(&self, server: usize) -> bool {
        self.state().servers.get(server).is_some_and(|server| server.handler.is_some())
    }

    /// Whether a server is the instance that began with this start.
    fn is_start(&self, server: usize, start: u64) -> bool {
        let state = self.state();
        state
            .servers
            .get(server)
            .is_some_and(|there| there.handler.is_some() && there.starts == start)
    }
}

// The way of a call.
impl Network {
    /// The handler that a call reaches now, with its start.
    fn reach(&self, end: &End) -> Option<(Arc<dyn Handler>, u64)> {
        let state = self.state();
        let there = state.servers.get(end.server)?;
        let is_open = match end.caller {
            Caller::Client(_) => true,
            Caller::Server(caller) => {
                let here = &state.servers[caller];
                let is_joined = here.is_connected && there.is_connected && here.side == there.side;
                here.ends == end.ends && (is_joined || caller == end.server)
            }
        };
        let handler = there.handler.as_ref()?;
        let is_blocked = state.blocked.contains(&(end.caller, end.server));
        (is_open && !is_blocked).then(|| (Arc::clone(handler), there.starts))
    }

    fn is_still_there(&self, end: &End, start: u64) -> bool {
        self.reach(end).is_some_and(|(_, present)| present == start)
    }

    async fn carry(
        &self,
        end: &End,
        trail: &mut Trail,
        method: String,
        args: Vec<u8>,
    ) -> Option<Vec<u8>> {
        let Shared { model, context, .. } = &*self.0;
        let conditions = self.state().conditions;
        let Some((handler, start)) = self.reach(end) else {
            trail.refused();
            context.sleep(model.refusal(conditions, context)).await;
            return None;
        };
        let (after, answer_after, is_answer_lost) = match model.fate(conditions, context) {
            Fate::Fails(after) => {
                trail.request(Way::Lost);
                context.sleep(after).await;
                return None;
            }
            Fate::Arrives { after, answer_after, is_answer_lost } => {
                trail.request(Way::Arrives(after));
                (after, answer_after, is_answer_lost)
            }
        };
        if after > Duration::ZERO {
            context.sleep(after).await;
        }
        trail.arrives(start);
        self.state().counts.received(end.server);
        let answer = self.execute(end, start, handler.handle(method, args)).await?;
        trail.handled();
        if !self.is_still_there(end, start) {
            trail.answer(&answer, Way::Cut);
            return None;
        }
        trail.answer(&answer, if is_answer_lost { Way::Lost } else { Way::Arrives(answer_after) });
        if answer_after > Duration::ZERO {
            context.sleep(answer_after).await;
        }
        if is_answer_lost {
            return None;
        }
        trail.arrives(start);
        self.state().counts.answered(answer.len());
        Some(answer)
    }

    /// The answer of a handler; nothing where its server goes while it runs.
    async fn execute(
        &self,
        end: &End,
        start: u64,
        handling: BoxFuture<Vec<u8>>,
    ) -> Option<Vec<u8>> {
        let context = &self.0.context;
        let mut handling = handling;
        let mut handling = pin!(future::poll_fn(move |cx| {
            context.watched("handle", end.server, || handling.as_mut().poll(cx))
        }));
        if let Some(answer) = future::poll_immediate(handling.as_mut()).await {
            return Some(answer);
        }
        loop {
            match future::select(handling, context.sleep(CHECK)).await {
                Either::Left((answer, _)) => return Some(answer),
                Either::Right(((), unfinished)) => handling = unfinished,
            }
            if !self.is_still_there(end, start) {
                return None;
            }
        }
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("Network")
            .field("model", &self.0.model)
            .field("servers", &state.servers.len())
            .field("conditions", &state.conditions)
            .field("counts", &state.counts)
            .finish_non_exhaustive()
    }
}

/// One end of a link.
#[derive(Clone)]
struct End {
    network: Network,
    caller: Caller,
    ends: u64,
    server: usize,
}

impl Link for End {
    fn call(&self, method: &str, args: Vec<u8>) -> BoxFuture<Option<Vec<u8>>> {
        let network = self.network.clone();
        network.state().counts.called(args.len());
        let (answer, answered) = oneshot::channel();
        let (end, method) = (self.clone(), method.to_owned());
        let context = network.0.context.clone();
        context.spawn(async move {
            let mut trail = Trail::of(&network, &end, &method, &args);
            let outcome = network.carry(&end, &mut trail, method, args).await;
            let is_answered = outcome.is_some();
            // Whoever called may have lost interest.
            answer.send(outcome).unwrap_or_default();
            trail.ends(is_answered).await;
        });
        Box::pin(async move { answered.await.ok().flatten() })
    }
}

#[cfg(test)]
mod tests;
