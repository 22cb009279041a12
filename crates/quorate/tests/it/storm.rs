//! A retry storm: callers that do not know what waiting means leave elections undisturbed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use quorate::{Applying, CallError, Client, Limits, Listening, Node, Refusal, StateMachine, Term};
use quorate_log::MemoryFs;
use serde::{Deserialize, Serialize};
use tokio::time::{sleep, timeout};

/// What anything may take on a machine that is busy with the storm and with other tests.
const PATIENCE: Duration = Duration::from_secs(240);
const CALLERS: usize = 10_000;
/// Terms that one loss of the leader may take: one, and some more where votes are split.
const TERMS_PER_LOSS: u64 = 5;

#[derive(Default, Serialize, Deserialize)]
struct Sum(u64);

impl StateMachine for Sum {
    type Command = u64;
    type Reply = u64;
    type Query = ();
    type Answer = u64;

    fn apply(&mut self, _: &Applying, add: u64) -> u64 {
        self.0 += add;
        self.0
    }

    fn query(&self, (): ()) -> u64 {
        self.0
    }
}

struct Cluster {
    disks: Vec<MemoryFs>,
    addresses: Vec<String>,
    nodes: Vec<Option<Node<Sum>>>,
}

impl Cluster {
    async fn start() -> Self {
        let bound: Vec<_> = (0..3).map(|_| Listening::bind("127.0.0.1:0").unwrap()).collect();
        let addresses = bound.iter().map(|listening| listening.address().to_string()).collect();
        drop(bound);
        let disks = (0..3).map(|number| MemoryFs::new(format!("memory/{number}"))).collect();
        let mut cluster = Self { disks, addresses, nodes: vec![None, None, None] };
        for at in 0..3 {
            cluster.restart(at).await;
        }
        cluster
    }

    async fn restart(&mut self, at: usize) {
        // Room for far fewer calls than there are callers, so that most are refused at once.
        let limits = Limits { call_bytes: 64 << 10, ..Limits::default() };
        let builder = Node::<Sum>::builder()
            .listen(self.addresses[at].clone())
            .join_or_form(self.addresses.clone())
            .data_dir("memory")
            .segment_bytes(4 << 20)
            .election_timeout(Duration::from_secs(1), Duration::from_secs(2))
            .limits(limits);
        self.nodes[at] = Some(builder.start_on(self.disks[at].another()).await.unwrap());
    }

    async fn ready(&self) {
        for node in self.nodes.iter().flatten() {
            timeout(PATIENCE, node.ready()).await.expect("a leader").unwrap();
        }
    }

    /// The place of the node that leads, once one of those that run does.
    async fn leader(&self) -> usize {
        let leads = |node: &Option<Node<Sum>>| {
            node.as_ref().is_some_and(|node| node.status().borrow().is_leader())
        };
        let find = async {
            loop {
                if let Some(at) = self.nodes.iter().position(leads) {
                    return at;
                }
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(PATIENCE, find).await.expect("a leader")
    }

    fn term(&self) -> Term {
        let terms = self.nodes.iter().flatten().map(|node| node.status().borrow().term);
        terms.max().expect("some run")
    }
}

/// What the callers and the test tell each other.
#[derive(Default)]
struct Storm {
    /// Losses of a leader so far.
    losses: AtomicUsize,
    /// Callers whose last call was applied after as many losses.
    served: Vec<AtomicUsize>,
    refused: AtomicUsize,
    over: AtomicBool,
}

impl Storm {
    /// Calls, and calls again at once whatever came of it, now here, now there.
    async fn caller(self: Arc<Self>, clients: Arc<Vec<Client<Sum>>>, number: usize) {
        let mut turn = number;
        let mut next = 0;
        while !self.over.load(Ordering::Relaxed) {
            turn += 1;
            let losses = self.losses.load(Ordering::Relaxed);
            match clients[turn % clients.len()].call(1).await {
                Ok(_) if losses >= next => {
                    self.served[losses].fetch_add(1, Ordering::Relaxed);
                    next = losses + 1;
                }
                Err(CallError::Refused(refusal)) => {
                    if refusal == Refusal::Overloaded {
                        self.refused.fetch_add(1, Ordering::Relaxed);
                    }
                    tokio::task::yield_now().await;
                }
                // A call that counts already, or whose end nobody knows.
                Ok(_) | Err(_) => {}
            }
        }
    }

    /// Waits until each caller had a call applied that it made after that many losses.
    async fn all_served(&self, losses: usize) {
        let waiting = async {
            while self.served[losses].load(Ordering::Relaxed) < CALLERS {
                sleep(Duration::from_millis(20)).await;
            }
        };
        let served = timeout(PATIENCE, waiting).await;
        let count = self.served[losses].load(Ordering::Relaxed);
        assert!(served.is_ok(), "after {losses} losses {count} of {CALLERS} callers were served");
    }
}

fn losses_wanted() -> usize {
    std::env::var("QUORATE_STORM_LOSSES").map_or(1, |text| text.parse().expect("a number"))
}

/// Fault C1: ten thousand callers retry at once after every refusal while leaders are lost. A leader
/// comes each time, all callers are served, and no more terms pass than the losses explain.
#[tokio::test]
async fn ten_thousand_callers_that_retry_at_once_leave_elections_undisturbed() {
    let losses = losses_wanted();
    let mut cluster = Cluster::start().await;
    cluster.ready().await;
    let before = cluster.term();
    let served = (0..=losses).map(|_| AtomicUsize::new(0)).collect();
    let storm = Arc::new(Storm { served, ..Storm::default() });
    let clients: Vec<_> = cluster.nodes.iter().flatten().map(Node::client).collect();
    let mut clients = Arc::new(clients);
    let mut callers = tokio::task::JoinSet::new();
    for number in 0..CALLERS {
        callers.spawn(Arc::clone(&storm).caller(Arc::clone(&clients), number));
    }
    storm.all_served(0).await;
    for loss in 1..=losses {
        let leader = cluster.leader().await;
        let node = cluster.nodes[leader].take().expect("it runs");
        timeout(PATIENCE, node.shutdown()).await.expect("it ends").expect("in order");
        storm.losses.store(loss, Ordering::Relaxed);
        storm.all_served(loss).await;
        let spent = cluster.term().0 - before.0;
        assert!(spent <= TERMS_PER_LOSS * loss as u64, "{spent} terms for {loss} losses");
        cluster.restart(leader).await;
        cluster.ready().await;
        // Its callers go to the node that took its place.
        clients = Arc::new(cluster.nodes.iter().flatten().map(Node::client).collect());
        callers.abort_all();
        while callers.join_next().await.is_some() {}
        for number in 0..CALLERS {
            callers.spawn(Arc::clone(&storm).caller(Arc::clone(&clients), number));
        }
    }
    storm.over.store(true, Ordering::Relaxed);
    while callers.join_next().await.is_some() {}
    let refused = storm.refused.load(Ordering::Relaxed);
    assert!(refused > CALLERS, "{refused} refusals are no storm");
    let spent = cluster.term().0 - before.0;
    println!("soak: {losses} leaders lost, {spent} terms, {refused} calls refused and repeated");
}
