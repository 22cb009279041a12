//! The servers of one service in a scenario: started, crashed, cut apart, and asked by clients.
//!
//! Servers are cut from servers; clients reach whom they were made to reach, whatever befalls the
//! links between servers. A crash leaves what was persisted, and nothing else.

use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::clerk::Clerk;
use super::driver::Seat;
use super::hosted::Service;
use crate::context::BoxFuture;
use crate::harness::{Failure, Tally, World};
use crate::network::{Handler, Network};
use crate::persister::Persister;
use crate::raft::LabRaft;
use crate::recording::{Recorder, Saves, Seen};

const EXISTS: &str = "a scenario names servers that there are";
/// How long a leader may take to be there.
const ELECTION: Duration = Duration::from_secs(5);

/// A service, as the network asks it.
struct Answers<R, S>(Arc<S>, PhantomData<fn() -> R>);

impl<R: LabRaft, S: Service<R>> Handler for Answers<R, S> {
    fn handle(self: Arc<Self>, method: String, args: Vec<u8>) -> BoxFuture<Vec<u8>> {
        Box::pin(Arc::clone(&self.0).answer(method, args))
    }
}

/// Which servers a client reaches.
#[derive(Clone, Copy, Debug)]
pub enum Way<'a> {
    /// All of them.
    ToAll,
    /// These.
    To(&'a [usize]),
}

impl Way<'_> {
    fn leads_to(self, server: usize) -> bool {
        match self {
            Self::ToAll => true,
            Self::To(servers) => servers.contains(&server),
        }
    }
}

/// All servers of a service; clones are the same ones.
pub struct Group<R, S>(Arc<Inner<R, S>>);

struct Inner<R, S> {
    world: World<R>,
    network: Network,
    max_state: Option<usize>,
    inside: Mutex<Inside<S>>,
    /// Is told what happens, where a page is wanted.
    recorder: Option<Recorder>,
}

struct Inside<S> {
    places: Vec<Place<S>>,
    clients: u64,
    /// The last index that any server executed.
    applied: u64,
}

struct Place<S> {
    server: Option<Arc<S>>,
    persister: Arc<Persister>,
    /// Whether it reaches a majority of the others, as far as the scenario cut it itself.
    is_connected: bool,
}

impl<R, S> Clone for Group<R, S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<R, S> fmt::Debug for Group<R, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group").finish_non_exhaustive()
    }
}

impl<R: LabRaft, S: Service<R>> Group<R, S> {
    /// Starts so many servers, all connected, on a reliable network.
    #[must_use]
    pub fn new(world: &World<R>, servers: usize, max_state: Option<usize>) -> Self {
        let network = Network::new(world.settings().model, servers, world.context().clone());
        let recorder = world.record(&network);
        let place = |server| Place {
            server: None,
            persister: Saves::persister(recorder.as_ref(), server),
            is_connected: true,
        };
        let places = (0..servers).map(place).collect();
        let inside = Mutex::new(Inside { places, clients: 0, applied: 0 });
        let inner = Inner { world: world.clone(), network, max_state, inside, recorder };
        let group = Self(Arc::new(inner));
        group.start_all();
        group.connect_all();
        let ending = group.clone();
        world.at_end(move || ending.end());
        group
    }

    fn inside(&self) -> MutexGuard<'_, Inside<S>> {
        self.0.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many servers there are, running or not.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "no group is empty")]
    pub fn len(&self) -> usize {
        self.0.network.servers()
    }

    /// The network between them.
    #[must_use]
    pub fn network(&self) -> &Network {
        &self.0.network
    }

    /// Whether calls arrive, as they do at first.
    pub fn set_reliable(&self, is_reliable: bool) {
        self.0.network.set_reliable(is_reliable);
    }

    /// A server that runs.
    #[must_use]
    pub fn server(&self, server: usize) -> Option<Arc<S>> {
        self.inside().places.get(server)?.server.clone()
    }

    /// Every server that runs and was not cut off, with its number.
    pub fn connected(&self) -> impl Iterator<Item = (usize, Arc<S>)> + use<R, S> {
        let inside = self.inside();
        let places = inside.places.iter().enumerate();
        let connected = places.filter(|(_, place)| place.is_connected);
        let running: Vec<(usize, Arc<S>)> =
            connected.filter_map(|(number, place)| Some((number, place.server.clone()?))).collect();
        running.into_iter()
    }

    /// Starts a server that does not run.
    pub fn start(&self, server: usize) {
        let Inner { world, network, max_state, .. } = &*self.0;
        let persister = Arc::clone(&self.inside().places[server].persister);
        let seat = Seat {
            me: server,
            peers: network.ends_of(server).expect(EXISTS),
            persister,
            context: world.context().clone(),
            timing: world.settings().timing,
            max_raft_state: *max_state,
        };
        let started = S::start(seat);
        if let Some(recorder) = &self.0.recorder {
            let service = Arc::downgrade(&started);
            recorder.started(server, move || {
                let service = service.upgrade()?;
                Some(Seen { applied: Some(service.applied()), ..Seen::of(&**service.raft()) })
            });
        }
        let answers = Answers(Arc::clone(&started), PhantomData);
        network.add(server, Arc::new(answers)).expect(EXISTS);
        self.inside().places[server].server = Some(started);
    }

    /// Starts every server that does not run.
    pub fn start_all(&self) {
        for server in (0..self.len()).filter(|server| self.server(*server).is_none()) {
            self.start(server);
        }
    }

    /// Crashes a server: it keeps what it persisted.
    pub fn crash(&self, server: usize) {
        if let Some(recorder) = &self.0.recorder {
            recorder.died(server);
        }
        self.disconnect(server);
        self.0.network.remove(server).expect(EXISTS);
        let mut inside = self.inside();
        let place = &mut inside.places[server];
        place.persister = place.persister.copy();
        let Some(crashed) = place.server.take() else { return };
        inside.applied = inside.applied.max(crashed.applied());
        drop(inside);
        crashed.kill();
    }

    /// Crashes every server.
    pub fn crash_all(&self) {
        (0..self.len()).for_each(|server| self.crash(server));
    }

    /// Cuts a server off from the other servers.
    pub fn disconnect(&self, server: usize) {
        self.inside().places[server].is_connected = false;
        self.0.network.disconnect(server).expect(EXISTS);
    }

    /// Connects a server with all servers that are not cut off.
    pub fn connect(&self, server: usize) {
        self.inside().places[server].is_connected = true;
        self.0.network.connect(server).expect(EXISTS);
    }

    /// Ends every partition and connects all servers.
    pub fn connect_all(&self) {
        let all: Vec<usize> = (0..self.len()).collect();
        self.0.network.partition(&[&all]).expect(EXISTS);
        (0..self.len()).for_each(|server| self.connect(server));
    }

    /// Cuts the servers into two sides.
    pub fn partition(&self, one: &[usize], other: &[usize]) {
        self.connect_all();
        self.0.network.partition(&[one, other]).expect(EXISTS);
    }

    /// The server that leads.
    ///
    /// # Errors
    ///
    /// If there is none in five seconds.
    pub async fn leader(&self) -> Result<usize, Failure> {
        let world = &self.0.world;
        let until = world.context().now() + ELECTION;
        while world.context().now() < until {
            let state = |(number, server): (usize, Arc<S>)| (server.raft().state(), number);
            let leaders = self.connected().map(state).filter(|((_, leads), _)| *leads);
            if let Some((_, leader)) = leaders.max() {
                return Ok(leader);
            }
            world.sleep_ms(20).await;
            world.check()?;
        }
        Err(Failure::new("no server leads after 5 s"))
    }

    /// A client with a name of its own.
    #[must_use]
    pub fn clerk(&self, way: Way<'_>) -> GroupClerk {
        let number = {
            let mut inside = self.inside();
            inside.clients += 1;
            inside.clients
        };
        let servers = self.0.network.ends_of_client(number);
        self.connect_client(number, way);
        let clerk = Clerk::new(format!("c{number}"), servers, self.0.world.context().clone());
        GroupClerk { clerk, number }
    }

    /// Changes which servers a client reaches.
    pub fn connect_client(&self, client: u64, way: Way<'_>) {
        let reached: Vec<usize> = (0..self.len()).filter(|one| way.leads_to(*one)).collect();
        self.0.network.connect_client(client, &reached);
    }

    /// Bytes of the largest Raft state that any server persisted last.
    #[must_use]
    pub fn largest_state(&self) -> usize {
        self.largest(Persister::state_len)
    }

    /// Bytes of the largest snapshot that any server persisted last.
    #[must_use]
    pub fn largest_snapshot(&self) -> usize {
        self.largest(Persister::snapshot_len)
    }

    fn largest(&self, length: impl Fn(&Persister) -> usize) -> usize {
        self.inside().places.iter().map(|place| length(&place.persister)).max().unwrap_or(0)
    }

    /// Stops every server and says what was counted.
    fn end(&self) -> Tally {
        self.crash_all();
        let counts = self.0.network.counts();
        Tally {
            peers: self.len(),
            requests: counts.total_received(),
            bytes: counts.bytes,
            commits: self.inside().applied,
        }
    }
}

/// A client of a group.
#[derive(Debug)]
pub struct GroupClerk {
    clerk: Clerk,
    number: u64,
}

impl GroupClerk {
    /// Its number, by which it is connected.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.number
    }
}

impl std::ops::Deref for GroupClerk {
    type Target = Clerk;

    fn deref(&self) -> &Clerk {
        &self.clerk
    }
}
