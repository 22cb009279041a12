//! Real nodes whose log begins after a snapshot: restarts, and nodes that were away.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use quorate::{
    Applying, CallError, Client, Consistency, Listening, MemoryNetwork, Node, NodeBuilder,
    Snapshot, SnapshotError, SnapshotRefusal, SnapshotView, StateMachine, Status,
};
use quorate_log::MemoryFs;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use crate::cluster::PATIENCE;

/// Counts what it was given, and keeps the latest value of each key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Ledger {
    applied: u64,
    log_time_ms: u64,
    values: BTreeMap<u32, Vec<u8>>,
}

impl StateMachine for Ledger {
    type Command = (u32, Vec<u8>);
    type Reply = u64;
    type Query = ();
    type Answer = Self;

    fn apply(&mut self, at: &Applying, (key, value): (u32, Vec<u8>)) -> u64 {
        self.applied += 1;
        assert_eq!(at.application_index, self.applied, "nothing is executed twice or left out");
        assert!(at.log_time_ms >= self.log_time_ms, "the log's time never goes back");
        self.log_time_ms = at.log_time_ms;
        self.values.insert(key, value);
        self.applied
    }

    fn query(&self, (): ()) -> Self {
        self.clone()
    }
}

struct Cluster {
    dir: TempDir,
    addresses: Vec<String>,
    nodes: Vec<Option<Node<Ledger>>>,
    written: u64,
    /// Bytes a second of a snapshot to a peer.
    rate: u64,
}

impl Cluster {
    async fn start(count: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listening: Vec<Listening> =
            (0..count).map(|_| Listening::bind("127.0.0.1:0").unwrap()).collect();
        let addresses = listening.iter().map(|l| l.address().to_string()).collect();
        drop(listening);
        let nodes = (0..count).map(|_| None).collect();
        let mut cluster = Self { dir, addresses, nodes, written: 0, rate: 0 };
        for at in 0..count {
            cluster.restart(at).await;
        }
        for node in cluster.nodes.iter().flatten() {
            timeout(PATIENCE, node.ready()).await.expect("a leader").expect("it runs");
        }
        cluster
    }

    fn data_dir(&self, at: usize) -> PathBuf {
        self.dir.path().join(format!("n{at}"))
    }

    /// Small figures, so that everything happens soon.
    fn builder(&self, at: usize) -> NodeBuilder<Ledger> {
        Node::builder()
            .name(format!("n{at}"))
            .listen(self.addresses[at].clone())
            .join_or_form(self.addresses.clone())
            .data_dir(self.data_dir(at))
            .segment_bytes(64 << 10)
            .snapshot_entries(100)
            .snapshot_rate(self.rate)
            .keep_bytes(16 << 10)
            .retain_bytes(64 << 10)
    }

    async fn restart(&mut self, at: usize) {
        let node = self.builder(at).start().await.expect("it starts");
        self.nodes[at] = Some(node);
    }

    fn node(&self, at: usize) -> &Node<Ledger> {
        self.nodes[at].as_ref().expect("it runs")
    }

    async fn shut_down(&mut self, at: usize) {
        let node = self.nodes[at].take().expect("it runs");
        timeout(PATIENCE, node.shutdown()).await.expect("it ends").expect("in order");
    }

    async fn shut_down_all(mut self) {
        for at in 0..self.nodes.len() {
            if self.nodes[at].is_some() {
                self.shut_down(at).await;
            }
        }
    }

    async fn leader(&self) -> usize {
        let find = async {
            loop {
                let leads = |node: &Option<Node<Ledger>>| {
                    node.as_ref().is_some_and(|node| node.status().borrow().is_leader())
                };
                if let Some(at) = self.nodes.iter().position(leads) {
                    return at;
                }
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(PATIENCE, find).await.expect("a leader")
    }

    /// Writes through a node; values of so many bytes.
    async fn write(&mut self, at: usize, count: u64, bytes: usize) {
        let client = self.node(at).client();
        let first = self.written;
        let mut calls = Vec::new();
        for number in first..first + count {
            let client = client.clone();
            calls.push(tokio::spawn(async move { call(&client, number, bytes).await }));
            if calls.len() == 50 {
                for call in calls.drain(..) {
                    call.await.unwrap();
                }
            }
        }
        for call in calls {
            call.await.unwrap();
        }
        self.written += count;
    }

    /// Waits until what a node shows is as expected.
    async fn until(&self, at: usize, what: &str, is_met: impl FnMut(&Status) -> bool) -> Status {
        let mut status = self.node(at).status();
        match timeout(PATIENCE, status.wait_for(is_met)).await {
            Ok(seen) => seen.unwrap().clone(),
            Err(_) => panic!("{what}: {:?}", *self.node(at).status().borrow()),
        }
    }

    /// Waits until every node that runs has executed everything; their states are equal.
    async fn agree(&self) -> Ledger {
        let leader = self.leader().await;
        let expected = read(&self.node(leader).client()).await;
        assert_eq!(expected.applied, self.written);
        for node in self.nodes.iter().flatten() {
            let begun = Instant::now();
            loop {
                let seen = node.client().read((), Consistency::Local).await.unwrap();
                if seen.applied == expected.applied {
                    assert_eq!(seen, expected);
                    break;
                }
                assert!(begun.elapsed() < PATIENCE, "{:?}", *node.status().borrow());
                sleep(Duration::from_millis(10)).await;
            }
        }
        expected
    }
}

async fn call(client: &Client<Ledger>, number: u64, bytes: usize) {
    let key = u32::try_from(number % 400).unwrap();
    let until_applied = async {
        loop {
            let mut value = number.to_le_bytes().to_vec();
            value.resize(bytes.max(8), 7);
            match client.call((key, value)).await {
                Ok(_) => return,
                Err(CallError::Refused(_)) => sleep(Duration::from_millis(5)).await,
                Err(error) => panic!("{number}: {error}"),
            }
        }
    };
    timeout(PATIENCE, until_applied).await.expect("an answer");
}

async fn read(client: &Client<Ledger>) -> Ledger {
    let until_answered = async {
        loop {
            if let Ok(answer) = client.read((), Consistency::Linearizable).await {
                return answer;
            }
        }
    };
    timeout(PATIENCE, until_answered).await.expect("an answer")
}

#[tokio::test]
async fn a_log_begins_after_a_snapshot_and_a_restart_begins_with_it() {
    let mut cluster = Cluster::start(1).await;
    cluster.write(0, 1000, 500).await;
    let seen = cluster.until(0, "a shorter log", |status| status.first.0 > 500).await;
    let snapshot = seen.snapshot.expect("it was taken");
    assert!(snapshot.last.index >= seen.first.previous());
    let before = cluster.agree().await;
    for _ in 0..2 {
        cluster.shut_down(0).await;
        cluster.restart(0).await;
        let status = cluster.node(0).status().borrow().clone();
        assert!(status.applied >= snapshot.last.index, "the state is that of the snapshot");
        assert!(status.application_index > 0 && status.application_index <= 1000);
        timeout(PATIENCE, cluster.node(0).ready()).await.unwrap().unwrap();
        assert_eq!(cluster.agree().await, before);
    }
    cluster.write(0, 300, 500).await;
    cluster.agree().await;
    let files = std::fs::read_dir(cluster.data_dir(0)).unwrap();
    let names: Vec<String> =
        files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    let segments = names.iter().filter(|name| name.ends_with(".seg")).count();
    assert!(segments <= 4, "of 700 kB in files of 64 KiB each: {names:?}");
    cluster.shut_down_all().await;
}

#[tokio::test]
async fn a_node_that_was_away_too_long_catches_up_by_a_snapshot() {
    let mut cluster = Cluster::start(3).await;
    cluster.write(0, 50, 500).await;
    let away = (cluster.leader().await + 1) % 3;
    cluster.shut_down(away).await;
    let leader = cluster.leader().await;
    cluster.write(leader, 1500, 500).await;
    let leader = cluster.leader().await;
    let first = cluster.until(leader, "a shorter log", |status| status.first.0 > 1000).await.first;
    cluster.restart(away).await;
    let status =
        cluster.until(away, "the leader's entries", |status| status.applied.0 >= first.0).await;
    assert!(status.first.0 > 51, "its log begins after what it was sent: {status:?}");
    cluster.agree().await;
    // It serves like any other, and survives a restart of its own.
    cluster.write(away, 100, 500).await;
    cluster.shut_down(away).await;
    cluster.restart(away).await;
    timeout(PATIENCE, cluster.node(away).ready()).await.unwrap().unwrap();
    cluster.agree().await;
    cluster.shut_down_all().await;
}

#[tokio::test]
async fn a_transfer_goes_on_where_a_restart_of_the_receiver_cut_it() {
    let mut cluster = Cluster::start(3).await;
    cluster.rate = 400 << 10;
    for at in 0..3 {
        cluster.shut_down(at).await;
        cluster.restart(at).await;
    }
    let leader = cluster.leader().await;
    let away = (leader + 1) % 3;
    cluster.shut_down(away).await;
    cluster.write(leader, 800, 4000).await;
    let leader = cluster.leader().await;
    cluster.until(leader, "a shorter log", |status| status.first.0 > 500).await;
    cluster.restart(away).await;
    let is_under_way = |status: &Status| {
        status.receiving.is_some_and(|receiving| receiving.stored > receiving.id.bytes / 4)
    };
    let seen = cluster.until(away, "a transfer under way", is_under_way).await;
    let receiving = seen.receiving.expect("it was checked");
    cluster.shut_down(away).await;
    cluster.restart(away).await;
    let is_back = |status: &Status| {
        status.receiving.is_some_and(|again| again.id == receiving.id && again.stored > 0)
            || status.applied >= receiving.id.last.index
    };
    let resumed = cluster.until(away, "the rest of it", is_back).await;
    if let Some(again) = resumed.receiving {
        assert!(again.stored + (64 << 10) + 8 >= receiving.stored, "{again:?} {receiving:?}");
    }
    cluster.agree().await;
    cluster.shut_down_all().await;
}

#[tokio::test]
async fn a_snapshot_on_demand_ends_with_what_was_executed() {
    let mut cluster = Cluster::start(1).await;
    cluster.write(0, 20, 100).await;
    let node = cluster.node(0);
    let id = timeout(PATIENCE, node.snapshot()).await.unwrap().expect("there is something");
    assert!(id.last.index.0 >= 20);
    let again = timeout(PATIENCE, node.snapshot()).await.unwrap().expect("it is there");
    assert_eq!(again, id, "nothing was executed since");
    let (one, two) = tokio::join!(node.snapshot(), node.snapshot());
    assert_eq!((one, two), (Ok(id), Ok(id)));
    cluster.write(0, 5, 100).await;
    let node = cluster.node(0);
    let later = timeout(PATIENCE, node.snapshot()).await.unwrap().unwrap();
    assert!(later.last.index.0 >= id.last.index.0 + 5);
    let status = cluster.until(0, "no take", |status| !status.taking).await;
    assert_eq!(status.snapshot, Some(later));
    cluster.shut_down_all().await;
}

#[tokio::test]
async fn before_anything_was_executed_there_is_nothing_to_take() {
    let listening: Vec<Listening> =
        (0..3).map(|_| Listening::bind("127.0.0.1:0").unwrap()).collect();
    let addresses: Vec<String> = listening.iter().map(|l| l.address().to_string()).collect();
    drop(listening);
    let dir = tempfile::tempdir().unwrap();
    let node = Node::<Ledger>::builder()
        .listen(addresses[0].clone())
        .join_or_form(addresses)
        .data_dir(dir.path())
        .segment_bytes(256 << 10)
        .start()
        .await
        .unwrap();
    assert_eq!(node.snapshot().await, Err(SnapshotRefusal::Nothing));
    node.shutdown().await.unwrap();
}

#[tokio::test]
async fn nodes_that_executed_the_same_write_the_same_file() {
    let mut cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    cluster.write(leader, 450, 200).await;
    cluster.agree().await;
    let mut ids = Vec::new();
    for at in 0..3 {
        let node = cluster.node(at);
        ids.push(timeout(PATIENCE, node.snapshot()).await.unwrap().unwrap());
    }
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    cluster.shut_down_all().await;
}

#[tokio::test]
async fn a_node_without_threads_does_the_same() {
    let disk = MemoryFs::new("memory");
    let network = MemoryNetwork::new();
    let mut total = 0;
    for life in 0..3 {
        let socket = network.listen();
        let builder = Node::<Ledger>::builder().listen_on(socket).data_dir("memory");
        let builder = builder.segment_bytes(64 << 10).snapshot_entries(50).keep_bytes(0);
        let node = builder.without_threads().start_on(disk.another()).await.unwrap();
        let status = node.status().borrow().clone();
        assert!(life == 0 || status.applied.0 >= total, "{status:?}");
        timeout(PATIENCE, node.ready()).await.unwrap().unwrap();
        let client = node.client();
        for number in total..total + 120 {
            call(&client, number, 300).await;
        }
        total += 120;
        assert_eq!(read(&client).await.applied, total);
        let id = timeout(PATIENCE, node.snapshot()).await.unwrap().unwrap();
        assert!(id.last.index.0 > total);
        let mut status = node.status();
        let is_cut = |status: &Status| status.first > id.last.index;
        timeout(PATIENCE, status.wait_for(is_cut)).await.expect("an empty log").unwrap();
        timeout(PATIENCE, node.shutdown()).await.unwrap().unwrap();
    }
}

/// Understands no state that was ever written.
#[derive(Debug)]
struct Stranger;

impl StateMachine for Stranger {
    type Command = (u32, Vec<u8>);
    type Reply = u64;
    type Query = ();
    type Answer = ();

    fn apply(&mut self, _: &Applying, _: (u32, Vec<u8>)) -> u64 {
        0
    }

    fn query(&self, (): ()) {}
}

impl Snapshot for Stranger {
    type View = Self;

    fn view(&self) -> Self {
        Self
    }

    fn restore(&mut self, _: &mut dyn std::io::Read) -> Result<(), SnapshotError> {
        Err(SnapshotError::Malformed("these are somebody else's bytes".to_owned()))
    }
}

impl SnapshotView for Stranger {
    fn next(&mut self, _: &mut Vec<u8>) -> Result<bool, SnapshotError> {
        panic!("this view cannot be borne")
    }
}

#[tokio::test]
async fn a_snapshot_that_cannot_be_restored_says_what_to_do() {
    let mut cluster = Cluster::start(1).await;
    cluster.write(0, 20, 100).await;
    timeout(PATIENCE, cluster.node(0).snapshot()).await.unwrap().unwrap();
    cluster.shut_down(0).await;
    let started = Node::builder_with(Stranger)
        .listen(cluster.addresses[0].clone())
        .data_dir(cluster.data_dir(0))
        .start()
        .await;
    let text = started.unwrap_err().to_string();
    assert!(text.contains("somebody else's bytes") && text.contains("start the program"), "{text}");
}

#[tokio::test]
async fn a_view_that_panics_costs_the_snapshot_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::builder_with(Stranger)
        .listen_on(Listening::bind("127.0.0.1:0").unwrap())
        .data_dir(dir.path())
        .segment_bytes(64 << 10)
        .start()
        .await;
    let node = node.unwrap();
    timeout(PATIENCE, node.ready()).await.unwrap().unwrap();
    let client = node.client();
    assert_eq!(timeout(PATIENCE, client.call((1, vec![1]))).await.unwrap(), Ok(0));
    match timeout(PATIENCE, node.snapshot()).await.unwrap() {
        Err(SnapshotRefusal::Failed { reason }) => {
            assert!(reason.contains("cannot be borne"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(timeout(PATIENCE, client.call((1, vec![1]))).await.unwrap(), Ok(0));
    node.shutdown().await.unwrap();
}
