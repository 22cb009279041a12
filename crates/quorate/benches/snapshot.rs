//! What snapshots cost: how long one takes and for how long the state machine stands still, how fast
//! a node that was away is back, what that does to the writes meanwhile, and how long a start takes.
//!
//! `cargo bench -p quorate --bench snapshot -- [--keys N] [--value-bytes N] [--rate BYTES_PER_SECOND]
//! [--dir DIR] [--short]`. Real files, real sockets, one process. The store here shares what it
//! holds with its views, a thousand and some keys at a time; it stands for any that does.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a benchmark"
)]

#[path = "../../../benches/measuring.rs"]
mod measuring;

use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use measuring::{Machine, file_system, flag, number, resident_bytes, significant, value};
use quorate::{
    Applying, Codec, CodecError, Consistency, Listening, Node, Snapshot, SnapshotError,
    SnapshotView, StateMachine,
};

/// Keys that are shared together.
const SHARED: usize = 1024;

type Values = Vec<Box<[u8]>>;

/// Values by number.
#[derive(Default)]
struct Store {
    groups: Vec<Arc<Values>>,
}

struct StoreView {
    groups: std::vec::IntoIter<Arc<Values>>,
}

/// Sets a value.
struct Put {
    key: u32,
    value: Vec<u8>,
}

impl Codec for Put {
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), CodecError> {
        out.extend_from_slice(&self.key.to_le_bytes());
        out.extend_from_slice(&self.value);
        Ok(())
    }

    fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let (key, value) = bytes.split_first_chunk::<4>().ok_or(CodecError::Empty)?;
        Ok(Self { key: u32::from_le_bytes(*key), value: value.to_vec() })
    }
}

impl StateMachine for Store {
    type Command = Put;
    type Reply = ();
    type Query = ();
    type Answer = usize;

    fn apply(&mut self, _: &Applying, Put { key, value }: Put) {
        let (group, place) = (key as usize / SHARED, key as usize % SHARED);
        if self.groups.len() <= group {
            self.groups.resize_with(group + 1, Arc::default);
        }
        let values = Arc::make_mut(&mut self.groups[group]);
        if values.len() <= place {
            values.resize_with(place + 1, Box::default);
        }
        values[place] = value.into();
    }

    fn query(&self, (): ()) -> usize {
        self.groups.iter().map(|values| values.len()).sum()
    }
}

impl Snapshot for Store {
    type View = StoreView;

    fn view(&self) -> StoreView {
        StoreView { groups: self.groups.clone().into_iter() }
    }

    fn restore(&mut self, from: &mut dyn Read) -> Result<(), SnapshotError> {
        self.groups.clear();
        let mut count = [0; 4];
        while from.read(&mut count[..1])? > 0 {
            from.read_exact(&mut count[1..])?;
            let mut values = Values::new();
            for _ in 0..u32::from_le_bytes(count) {
                let mut length = [0; 4];
                from.read_exact(&mut length)?;
                let mut value = Vec::new();
                let length = u64::from(u32::from_le_bytes(length));
                (&mut *from).take(length).read_to_end(&mut value)?;
                values.push(value.into());
            }
            self.groups.push(Arc::new(values));
        }
        Ok(())
    }
}

impl SnapshotView for StoreView {
    fn next(&mut self, room: &mut Vec<u8>) -> Result<bool, SnapshotError> {
        let Some(values) = self.groups.next() else { return Ok(false) };
        room.extend_from_slice(&u32::try_from(values.len()).unwrap().to_le_bytes());
        for value in values.iter() {
            room.extend_from_slice(&u32::try_from(value.len()).unwrap().to_le_bytes());
            room.extend_from_slice(value);
        }
        Ok(true)
    }
}

/// What is measured with.
struct Settings {
    dir: PathBuf,
    keys: u32,
    value_bytes: usize,
    rate: u64,
}

struct Cluster {
    settings: Settings,
    addresses: Vec<String>,
    nodes: Vec<Option<Node<Store>>>,
}

impl Cluster {
    async fn start(settings: Settings) -> Self {
        let listening: Vec<Listening> =
            (0..3).map(|_| Listening::bind("127.0.0.1:0").unwrap()).collect();
        let addresses = listening.iter().map(|l| l.address().to_string()).collect();
        drop(listening);
        let mut cluster = Self { settings, addresses, nodes: vec![None, None, None] };
        for at in 0..3 {
            cluster.restart(at).await;
        }
        for node in cluster.nodes.iter().flatten() {
            node.ready().await.unwrap();
        }
        cluster
    }

    async fn restart(&mut self, at: usize) -> Duration {
        let begun = Instant::now();
        let node = Node::builder_with(Store::default())
            .name(format!("n{at}"))
            .listen(self.addresses[at].clone())
            .join_or_form(self.addresses.clone())
            .data_dir(self.settings.dir.join(format!("n{at}")))
            .snapshot_rate(self.settings.rate)
            .start()
            .await
            .unwrap();
        self.nodes[at] = Some(node);
        begun.elapsed()
    }

    fn node(&self, at: usize) -> &Node<Store> {
        self.nodes[at].as_ref().unwrap()
    }

    async fn shut_down(&mut self, at: usize) {
        self.nodes[at].take().unwrap().shutdown().await.unwrap();
    }

    async fn leader(&self) -> usize {
        loop {
            let leads = |node: &Option<Node<Store>>| {
                node.as_ref().is_some_and(|node| node.status().borrow().is_leader())
            };
            if let Some(at) = self.nodes.iter().position(leads) {
                return at;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Sets every key once, from many clients.
    async fn fill(&self, at: usize) {
        let (keys, bytes) = (self.settings.keys, self.settings.value_bytes);
        let clients = 512;
        let tasks = (0..clients).map(|first| {
            let client = self.node(at).client();
            tokio::spawn(async move {
                for key in (first..keys).step_by(clients as usize) {
                    let value = vec![u8::try_from(key % 251).unwrap(); bytes];
                    client.call(Put { key, value }).await.unwrap();
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
    }

    /// Writes from a few clients until told to stop; how long each write took.
    fn load(&self, at: usize, stop: &Arc<AtomicBool>) -> tokio::task::JoinHandle<Vec<Duration>> {
        let (keys, bytes) = (self.settings.keys, self.settings.value_bytes);
        let (client, stop) = (self.node(at).client(), Arc::clone(stop));
        tokio::spawn(async move {
            let tasks = (0..8_u32).map(|number| {
                let (client, stop) = (client.clone(), Arc::clone(&stop));
                tokio::spawn(async move {
                    let (mut took, mut key) = (Vec::new(), number);
                    while !stop.load(Ordering::Relaxed) {
                        key = key.wrapping_mul(2_654_435_761).wrapping_add(number + 1);
                        let put = Put { key: key % keys, value: vec![7; bytes] };
                        let begun = Instant::now();
                        client.call(put).await.unwrap();
                        took.push(begun.elapsed());
                    }
                    took
                })
            });
            let mut all = Vec::new();
            for task in tasks.collect::<Vec<_>>() {
                all.append(&mut task.await.unwrap());
            }
            all.sort_unstable();
            all
        })
    }
}

fn show(what: &str, took: &[Duration]) {
    let at = |share: f64| {
        let place = ((took.len() - 1) as f64 * share) as usize;
        significant(took[place].as_secs_f64() * 1e3)
    };
    println!(
        "{what}: {} writes, p50 {} ms, p99 {} ms, longest {} ms",
        took.len(),
        at(0.5),
        at(0.99),
        at(1.0)
    );
}

fn megabytes(bytes: u64) -> String {
    significant(bytes as f64 / 1e6)
}

/// How long each run of the load is.
fn window() -> Duration {
    if flag("--short") { Duration::from_secs(1) } else { Duration::from_secs(10) }
}

/// One snapshot, under load.
async fn take(cluster: &Cluster) {
    let leader = cluster.leader().await;
    let stop = Arc::new(AtomicBool::new(false));
    let load = cluster.load(leader, &stop);
    tokio::time::sleep(window()).await;
    stop.store(true, Ordering::Relaxed);
    show("nothing else", &load.await.unwrap());

    let stop = Arc::new(AtomicBool::new(false));
    let load = cluster.load(leader, &stop);
    let begun = Instant::now();
    let id = cluster.node(leader).snapshot().await.unwrap();
    let took = begun.elapsed();
    stop.store(true, Ordering::Relaxed);
    show("while a snapshot is taken", &load.await.unwrap());
    let pause = cluster.node(leader).status().borrow().view_pause;
    let bytes = megabytes(id.bytes);
    println!("a snapshot: {bytes} MB in {took:.1?}, the state machine stood still for {pause:.1?}");
}

/// A node that is away while every key is written, under load when it comes back.
async fn catch_up(cluster: &mut Cluster) {
    let leader = cluster.leader().await;
    let away = (leader + 1) % 3;
    cluster.shut_down(away).await;
    cluster.fill(leader).await;
    let leader = cluster.leader().await;
    let id = cluster.node(leader).snapshot().await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let load = cluster.load(leader, &stop);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let begun = Instant::now();
    let opened = cluster.restart(away).await;
    let mut status = cluster.node(away).status();
    let mut transferred = None;
    loop {
        let (applied, receiving) = {
            let seen = status.borrow_and_update();
            (seen.applied, seen.receiving)
        };
        if receiving.is_some() && transferred.is_none() {
            transferred = Some(Instant::now());
        }
        if applied >= id.last.index {
            break;
        }
        status.changed().await.unwrap();
    }
    let back = begun.elapsed();
    stop.store(true, Ordering::Relaxed);
    show("while a node catches up", &load.await.unwrap());
    let by = transferred.map_or_else(
        || "by entries".to_owned(),
        |from| {
            let rate = id.bytes as f64 / 1e6 / from.elapsed().as_secs_f64();
            format!("by {} MB at {} MB/s", megabytes(id.bytes), significant(rate))
        },
    );
    println!("a node that was away: open in {opened:.1?}, back after {back:.1?}, {by}");
}

/// All nodes stopped and started again.
async fn restart(cluster: &mut Cluster) {
    for at in 0..3 {
        cluster.node(at).snapshot().await.unwrap();
    }
    for at in 0..3 {
        cluster.shut_down(at).await;
    }
    let begun = Instant::now();
    for at in 0..3 {
        cluster.restart(at).await;
    }
    let keys = loop {
        let client = cluster.node(cluster.leader().await).client();
        if let Ok(keys) = client.read((), Consistency::Linearizable).await {
            break keys;
        }
    };
    let served = begun.elapsed();
    println!("all three again, started one by one in one process: {keys} keys after {served:.1?}");
}

async fn measure(mut cluster: Cluster) {
    let leader = cluster.leader().await;
    let begun = Instant::now();
    cluster.fill(leader).await;
    let held = megabytes(resident_bytes().unwrap_or(0));
    println!("filled in {:.1?}; this process holds {held} MB", begun.elapsed());
    take(&cluster).await;
    catch_up(&mut cluster).await;
    restart(&mut cluster).await;
}

fn main() {
    let machine =
        Machine::introduce("snapshots: three nodes in one process, real files and sockets");
    let kept = value("--dir").map(PathBuf::from);
    let temporary = tempfile::tempdir_in(kept.unwrap_or_else(std::env::temp_dir)).unwrap();
    let dir = temporary.path().to_owned();
    let default_keys = if flag("--short") { 20_000 } else { 1_000_000 };
    let settings = Settings {
        keys: u32::try_from(number("--keys").unwrap_or(default_keys)).unwrap(),
        value_bytes: usize::try_from(number("--value-bytes").unwrap_or(256)).unwrap(),
        rate: number("--rate").unwrap_or(64 << 20),
        dir,
    };
    println!(
        "{} keys of {} bytes on {}",
        settings.keys,
        settings.value_bytes,
        file_system(&settings.dir)
    );
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { measure(Cluster::start(settings).await).await });
    machine.conclude();
}
