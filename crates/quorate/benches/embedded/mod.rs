//! Three nodes in one process, with data directories in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use quorate::{Applying, Listening, MemoryNetwork, Node, StateMachine};
use quorate_log::MemoryFs;
use serde::{Deserialize, Serialize};
use tokio::runtime::{Builder, Runtime};

/// Counts commands.
#[derive(Default, Serialize, Deserialize)]
pub struct Counter(u64);

impl StateMachine for Counter {
    type Command = Vec<u8>;
    type Reply = ();
    type Query = ();
    type Answer = u64;

    fn apply(&mut self, _: &Applying, _: Vec<u8>) {
        self.0 += 1;
    }

    fn query(&self, (): ()) -> u64 {
        self.0
    }
}

/// How the nodes run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// As three servers would: four threads each, connected over loopback.
    Threads,
    /// As tasks of one thread, connected in memory.
    Tasks,
}

/// Three nodes; the leader comes first.
pub struct Cluster {
    pub nodes: Vec<Node<Counter>>,
    /// What they run on, where that is not threads of their own.
    runtime: Runtime,
}

impl Cluster {
    pub fn new(kind: Kind) -> Self {
        let runtime = runtime();
        let nodes = runtime.block_on(runtime.spawn(start(kind))).unwrap();
        Self { nodes, runtime }
    }

    pub fn shutdown(self) {
        for node in self.nodes {
            self.runtime.block_on(node.shutdown()).unwrap();
        }
    }
}

async fn start(kind: Kind) -> Vec<Node<Counter>> {
    let network = MemoryNetwork::new();
    let listen = |_| match kind {
        Kind::Threads => Listening::bind("127.0.0.1:0").unwrap(),
        Kind::Tasks => network.listen(),
    };
    let sockets: Vec<Listening> = (0..3).map(listen).collect();
    let peers: Vec<String> = sockets.iter().map(|socket| socket.address().to_string()).collect();
    let mut nodes = Vec::new();
    for (number, socket) in sockets.into_iter().enumerate() {
        let builder = Node::<Counter>::builder().listen_on(socket).join_or_form(peers.clone());
        let builder = builder.data_dir(format!("memory/{number}"));
        let builder = if kind == Kind::Tasks { builder.without_threads() } else { builder };
        nodes.push(builder.start_on(MemoryFs::new(format!("memory/{number}"))).await.unwrap());
    }
    for node in &nodes {
        node.ready().await.unwrap();
    }
    let leads = nodes.iter().position(|node| node.leader() == Some(node.id())).unwrap();
    nodes.swap(0, leads);
    nodes
}

/// Calls per second, and processor time of the whole process per call, in seconds.
pub async fn window(
    node: &Node<Counter>,
    callers: usize,
    bytes: usize,
    span: Duration,
) -> (f64, f64) {
    let (done, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let client = node.client();
    let tasks: Vec<_> = (0..callers)
        .map(|_| {
            let (client, done, stop) = (client.clone(), Arc::clone(&done), Arc::clone(&stop));
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    client.call(vec![0x5A; bytes]).await.unwrap();
                    done.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    tokio::time::sleep(span / 5).await;
    let (began, before) = (Instant::now(), done.load(Ordering::Relaxed));
    let spent = super::measuring::own_seconds();
    tokio::time::sleep(span).await;
    let calls = (done.load(Ordering::Relaxed) - before) as f64;
    let (elapsed, spent) = (began.elapsed().as_secs_f64(), super::measuring::own_seconds() - spent);
    stop.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await.unwrap();
    }
    (calls / elapsed, spent / calls)
}

/// A runtime of one thread.
pub fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}
