//! The network of named servers and named clients: names for the ends of [`crate::network::Network`].

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::client::Client;
use super::server::Server;
use crate::context::{BoxFuture, Context, RealTime};
use crate::network::{self, Caller, Lost, Model};
use crate::raft::{Link, Peer};

/// Threads of a network's own runtime. No call blocks one, so that two are enough for any number of
/// clerks that hang.
const THREADS: usize = 2;
/// The number of a server that is never there: clients that are not connected call it.
const NOBODY: usize = 0;

/// A network; clones are the same one. A network that made its own runtime ends it with its last clone and
/// the last client.
#[derive(Clone)]
pub struct Network(Arc<Inner>);

struct Inner {
    network: network::Network,
    context: Context,
    names: Mutex<Names>,
    /// Last, so that all else is gone when its tasks are dropped.
    _runtime: Option<RealTime>,
}

#[derive(Default)]
struct Names {
    /// The number of each server that was ever added, and the server if it is there.
    servers: BTreeMap<String, (usize, Option<Server>)>,
    clients: BTreeMap<String, u64>,
    ends: BTreeMap<u64, End>,
}

/// What a client is connected to.
#[derive(Default)]
struct End {
    server: Option<usize>,
    is_enabled: bool,
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network").field("network", &self.0.network).finish_non_exhaustive()
    }
}

impl Default for Network {
    fn default() -> Self {
        Self::new()
    }
}

impl Network {
    /// A reliable network in real time, with a runtime of its own.
    #[must_use]
    pub fn new() -> Self {
        let seed = RandomState::new().hash_one("a network");
        let runtime = RealTime::threads(THREADS, seed);
        Self::with(runtime.context(), Some(runtime))
    }

    /// A reliable network on somebody else's executor.
    #[must_use]
    pub fn on(context: Context) -> Self {
        Self::with(context, None)
    }

    fn with(context: Context, runtime: Option<RealTime>) -> Self {
        let model = Model::LabRpc(Lost::Late);
        let network = network::Network::new(model, NOBODY + 1, context.clone());
        Self(Arc::new(Inner { network, context, names: Mutex::default(), _runtime: runtime }))
    }

    fn names(&self) -> MutexGuard<'_, Names> {
        self.0.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Clock, tasks and randomness of everything on this network.
    #[must_use]
    pub fn context(&self) -> &Context {
        &self.0.context
    }

    /// Puts a server there, in place of one with the same name.
    pub fn add_server(&self, server: Server) {
        let handler = Arc::new(server.clone());
        let number = {
            let mut names = self.names();
            let fresh = || (self.0.network.make_room(), None);
            let place = names.servers.entry(server.name().to_owned()).or_insert_with(fresh);
            place.1 = Some(server);
            place.0
        };
        self.0.network.add(number, handler).expect("room was made for it");
    }

    /// Takes a server away: calls to it fail, and so do those that it is executing.
    pub fn delete_server(&self, name: &str) {
        let number = {
            let mut names = self.names();
            let Some(place) = names.servers.get_mut(name) else { return };
            place.1 = None;
            place.0
        };
        self.0.network.remove(number).expect("room was made for it");
    }

    /// A client with this name, in place of one that had it. It is connected to nobody and disabled.
    #[must_use]
    pub fn create_client(&self, name: String) -> Client {
        let mut names = self.names();
        let number = names.ends.last_key_value().map_or(0, |(last, _)| last + 1);
        names.ends.insert(number, End::default());
        let peer = Peer::new(Named { network: self.clone(), number });
        let client = Client::over(&name, peer, self.0.context.clone());
        names.clients.insert(name, number);
        client
    }

    /// Connects a client to a server, which need not be there yet; one client has one server.
    ///
    /// # Panics
    ///
    /// If there is no such client.
    pub fn connect(&self, client: &str, server: &str) {
        let mut names = self.names();
        let fresh = || (self.0.network.make_room(), None);
        let server = names.servers.entry(server.to_owned()).or_insert_with(fresh).0;
        let (number, end) = names.end(client);
        let before = end.server.replace(server);
        let is_enabled = end.is_enabled;
        if let Some(before) = before {
            self.block(number, before, true);
        }
        self.block(number, server, !is_enabled);
    }

    /// Lets a client's calls pass, or not; those under way fail where they are disabled.
    ///
    /// # Panics
    ///
    /// If there is no such client.
    pub fn enable(&self, client: &str, is_enabled: bool) {
        let mut names = self.names();
        let (number, end) = names.end(client);
        end.is_enabled = is_enabled;
        let server = end.server;
        if let Some(server) = server {
            self.block(number, server, !is_enabled);
        }
    }

    fn block(&self, client: u64, server: usize, is_cut: bool) {
        let caller = Caller::Client(client);
        self.0.network.block(caller, server, is_cut).expect("room was made for it");
    }

    /// Sets whether calls arrive at once and none is lost.
    pub fn set_reliable(&self, is_reliable: bool) {
        self.0.network.set_reliable(is_reliable);
    }

    /// Sets whether two of three replies are held back.
    pub fn set_long_reordering(&self, has_long_reordering: bool) {
        self.0.network.set_long_reordering(has_long_reordering);
    }

    /// Sets whether calls to nobody take seconds to fail.
    pub fn set_long_delays(&self, has_long_delays: bool) {
        self.0.network.set_long_delays(has_long_delays);
    }

    /// Requests that a server began to execute since it was added.
    #[must_use]
    pub fn count(&self, server: &str) -> usize {
        let names = self.names();
        names.servers.get(server).and_then(|place| place.1.as_ref()).map_or(0, Server::count)
    }

    /// Calls that were made, whatever became of them.
    #[must_use]
    pub fn total_count(&self) -> usize {
        usize::try_from(self.0.network.counts().requests).expect("calls are fewer than addresses")
    }
}

impl Names {
    fn end(&mut self, client: &str) -> (u64, &mut End) {
        let number = *self
            .clients
            .get(client)
            .unwrap_or_else(|| panic!("there is no client `{client}`: create it first"));
        (number, self.ends.get_mut(&number).expect("every client has an end"))
    }
}

/// The link of one client.
struct Named {
    network: Network,
    number: u64,
}

impl Link for Named {
    fn call(&self, method: &str, args: Vec<u8>) -> BoxFuture<Option<Vec<u8>>> {
        let server = {
            let names = self.network.names();
            names.ends.get(&self.number).and_then(|end| end.server).unwrap_or(NOBODY)
        };
        self.network.0.network.end_of_client(self.number, server).call(method, args)
    }
}
