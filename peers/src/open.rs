//! openraft in the shape of its own minimal benchmark: no network, no disk, empty commands.

use std::collections::BTreeMap;
use std::fmt::{self, Debug};
use std::io;
use std::ops::RangeBounds;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::{Stream, TryStreamExt};
use openraft::alias::{LogIdOf, SnapshotMetaOf, SnapshotOf, StoredMembershipOf, VoteOf};
use openraft::entry::RaftEntry;
use openraft::errors::{RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::RPCOption;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse,
};
use openraft::storage::{EntryResponder, IOFlushed, RaftLogStorage, RaftStateMachine};
use openraft::{
    AnyError, Config, Entry, EntryPayload, LogState, OptionalSend, Raft, RaftLogReader,
    RaftNetworkFactory, RaftNetworkV2, RaftSnapshotBuilder, RaftTypeConfig,
};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::RwLock;

/// Threads of the nodes' runtime, as in the original.
const THREADS: usize = 16;

/// A command, and a reply: nothing.
#[derive(Clone, Debug)]
pub struct Nothing;

impl fmt::Display for Nothing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nothing")
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Types;

impl RaftTypeConfig for Types {
    type D = Nothing;
    type R = Nothing;
    type NodeId = u64;
    type Node = ();
    type Term = u64;
    type LeaderId = openraft::impls::leader_id_adv::LeaderId<u64, u64>;
    type Vote = openraft::impls::Vote<Self::LeaderId>;
    type Payload = EntryPayload<Nothing, u64, ()>;
    type Entry = Entry<<Self::LeaderId as openraft::vote::RaftLeaderId>::Committed, Self::Payload>;
    type AsyncRuntime = openraft::impls::TokioRuntime;
    type Responder<T>
        = openraft::impls::OneshotResponder<Self, T>
    where
        T: Send + 'static;
    type Batch<T>
        = openraft::impls::InlineBatch<T>
    where
        T: Send + 'static;
    type ErrorSource = AnyError;
}

type Node = Raft<Types, Arc<Machine>>;

/// A log in memory; an append is acknowledged at once.
#[derive(Default)]
struct Log {
    vote: RwLock<Option<VoteOf<Types>>>,
    entries: RwLock<BTreeMap<u64, <Types as RaftTypeConfig>::Entry>>,
    purged: RwLock<Option<LogIdOf<Types>>>,
}

impl RaftLogReader<Types> for Arc<Log> {
    async fn try_get_log_entries<R: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: R,
    ) -> Result<Vec<<Types as RaftTypeConfig>::Entry>, io::Error> {
        Ok(self.entries.read().await.range(range).map(|(_, entry)| entry.clone()).collect())
    }

    async fn read_vote(&mut self) -> Result<Option<VoteOf<Types>>, io::Error> {
        Ok(*self.vote.read().await)
    }
}

impl RaftLogStorage<Types> for Arc<Log> {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, io::Error> {
        let last_purged_log_id = *self.purged.read().await;
        let last = self.entries.read().await.values().next_back().map(RaftEntry::log_id);
        Ok(LogState { last_purged_log_id, last_log_id: last.or(last_purged_log_id) })
    }

    async fn get_log_reader(&mut self) -> Self {
        Arc::clone(self)
    }

    async fn save_vote(&mut self, vote: &VoteOf<Types>) -> Result<(), io::Error> {
        *self.vote.write().await = Some(*vote);
        Ok(())
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = <Types as RaftTypeConfig>::Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut log = self.entries.write().await;
        log.extend(entries.into_iter().map(|entry| (entry.index(), entry)));
        drop(log);
        callback.io_completed(Ok(()));
        Ok(())
    }

    async fn truncate_after(&mut self, last: Option<LogIdOf<Types>>) -> Result<(), io::Error> {
        let from = last.map_or(0, |last| last.index() + 1);
        self.entries.write().await.split_off(&from);
        Ok(())
    }

    async fn purge(&mut self, until: LogIdOf<Types>) -> Result<(), io::Error> {
        *self.purged.write().await = Some(until);
        let mut log = self.entries.write().await;
        *log = log.split_off(&(until.index() + 1));
        Ok(())
    }
}

/// A state machine that remembers where it is.
#[derive(Default)]
struct Machine {
    state: RwLock<(Option<LogIdOf<Types>>, StoredMembershipOf<Types>)>,
}

impl RaftSnapshotBuilder<Types> for Arc<Machine> {
    type SnapshotData = ();

    async fn build_snapshot(&mut self) -> Result<SnapshotOf<Types, ()>, io::Error> {
        let (last_log_id, last_membership) = self.state.read().await.clone();
        let meta = SnapshotMetaOf::<Types> { last_log_id, last_membership };
        Ok(SnapshotOf::<Types, ()> { meta, snapshot: () })
    }
}

impl RaftStateMachine<Types> for Arc<Machine> {
    type SnapshotData = ();
    type SnapshotBuilder = Self;

    async fn applied_state(
        &mut self,
    ) -> Result<(Option<LogIdOf<Types>>, StoredMembershipOf<Types>), io::Error> {
        Ok(self.state.read().await.clone())
    }

    async fn apply<S>(&mut self, mut entries: S) -> Result<(), io::Error>
    where
        S: Stream<Item = Result<EntryResponder<Types>, io::Error>> + Unpin + OptionalSend,
    {
        let mut state = self.state.write().await;
        while let Some((entry, responder)) = entries.try_next().await? {
            state.0 = Some(entry.log_id());
            if let EntryPayload::Membership(membership) = entry.payload {
                state.1 = StoredMembershipOf::<Types>::new(state.0, membership);
            }
            if let Some(responder) = responder {
                responder.send(Nothing);
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Self {
        Arc::clone(self)
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMetaOf<Types>,
        (): (),
    ) -> Result<(), io::Error> {
        *self.state.write().await = (meta.last_log_id, meta.last_membership.clone());
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<SnapshotOf<Types, ()>>, io::Error> {
        Ok(None)
    }
}

/// Calls of functions in place of a network.
#[derive(Clone, Default)]
struct Router(Arc<Mutex<BTreeMap<u64, Node>>>);

impl Router {
    fn node(&self, id: u64) -> Node {
        self.0.lock().expect("nothing panics while it is held")[&id].clone()
    }
}

impl RaftNetworkFactory<Types> for Router {
    type Network = Network;

    async fn new_client(&mut self, target: u64, (): &()) -> Network {
        Network(self.node(target))
    }
}

struct Network(Node);

impl RaftNetworkV2<Types> for Network {
    type SnapshotData = ();

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<Types>,
        _: RPCOption,
    ) -> Result<AppendEntriesResponse<Types>, RPCError<Types>> {
        self.0.append_entries(request).await.map_err(|error| Unreachable::new(&error).into())
    }

    async fn vote(
        &mut self,
        request: VoteRequest<Types>,
        _: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        self.0.vote(request).await.map_err(|error| Unreachable::new(&error).into())
    }

    async fn full_snapshot(
        &mut self,
        vote: VoteOf<Types>,
        snapshot: SnapshotOf<Types, ()>,
        _: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        let installed = self.0.install_full_snapshot(vote, snapshot).await;
        installed.map_err(|error| Unreachable::new(&error).into())
    }
}

/// Three nodes, the first of which leads.
pub struct Cluster {
    runtime: Runtime,
    nodes: Vec<Node>,
}

impl Cluster {
    pub fn new() -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(THREADS).enable_all().build();
        let runtime = runtime.expect("the system has threads");
        let nodes = runtime.block_on(found());
        Self { runtime, nodes }
    }

    /// Calls per second, and processor time per call; the same as for this library.
    pub async fn window(&self, callers: usize, span: Duration) -> (f64, f64) {
        let (done, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let tasks: Vec<_> = (0..callers)
            .map(|_| {
                let (node, done, stop) =
                    (self.nodes[0].clone(), Arc::clone(&done), Arc::clone(&stop));
                tokio::spawn(async move {
                    while !stop.load(Ordering::Relaxed) {
                        node.client_write(Nothing).await.expect("the leader takes writes");
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        tokio::time::sleep(span / 5).await;
        let (began, before) = (Instant::now(), done.load(Ordering::Relaxed));
        let spent = crate::measuring::own_seconds();
        tokio::time::sleep(span).await;
        let calls = (done.load(Ordering::Relaxed) - before) as f64;
        let rate = calls / began.elapsed().as_secs_f64();
        let spent = crate::measuring::own_seconds() - spent;
        stop.store(true, Ordering::Relaxed);
        for task in tasks {
            task.await.expect("no call failed");
        }
        (rate, spent / calls)
    }

    pub fn shutdown(self) {
        for node in &self.nodes {
            self.runtime.block_on(node.shutdown()).expect("it stops when told");
        }
    }
}

async fn found() -> Vec<Node> {
    let config = Config {
        election_timeout_min: 200,
        election_timeout_max: 2000,
        purge_batch_size: 1024,
        max_payload_entries: 1024,
        ..Config::default()
    };
    let config = Arc::new(config.validate().expect("the configuration is sound"));
    let router = Router::default();
    let mut nodes = Vec::new();
    for id in 0..3 {
        let (log, machine) = (Arc::new(Log::default()), Arc::new(Machine::default()));
        let node = Raft::new(id, Arc::clone(&config), router.clone(), log, machine).await;
        nodes.push(node.expect("a node starts"));
    }
    let named = nodes.iter().cloned().enumerate().map(|(id, node)| (id as u64, node));
    *router.0.lock().expect("nothing panics while it is held") = named.collect();
    let members: std::collections::BTreeSet<u64> = (0..3).collect();
    nodes[0].initialize(members).await.expect("the cluster is empty");
    for node in &nodes {
        let wait = node.wait(Some(Duration::from_secs(10)));
        wait.applied_index_at_least(Some(1), "founded").await.expect("the cluster is founded");
    }
    nodes
}
