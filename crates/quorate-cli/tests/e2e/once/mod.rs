//! Exactly once: writers add to counters while nodes are killed, leaders are stopped, and replies
//! are lost on purpose after their requests went through. R-CL1.
//!
//! What must hold: every call ends as carried out, and the counters hold exactly as much as was
//! added, on every node. Replies tell the truth: each length of a value is told once. A leader that is
//! stopped goes on only when another one leads in a later term, and only then counts as stopped.
//!
//! `QUORATE_ONCE_SEED`, `QUORATE_ONCE_KILLS` and `QUORATE_ONCE_STOPS` set who is struck how often.

mod proxy;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use quorate_client::{Client, Options, Session, SessionOptions};
use rustix::process::{Pid, Signal, kill_process};
use tokio::task::JoinSet;
use tokio::time::sleep;

use self::proxy::Proxy;
use crate::harness::{Cluster, PATIENCE, Random, client, number, runtime};

const SESSIONS: usize = 3;
/// Tasks that share one session.
const WRITERS: usize = 3;
/// Pause after each call.
const PAUSE: Duration = Duration::from_millis(5);
/// How long a leader is stopped at least: longer than an election usually takes.
const STOPPED: Duration = Duration::from_millis(1500);

#[derive(Default)]
struct Shared {
    stopped: AtomicBool,
    /// Calls that were answered: appends, and compare-and-sets that set.
    appended: AtomicU64,
    set: AtomicU64,
    /// Lengths that were told.
    lengths: Mutex<BTreeSet<u64>>,
}

#[test]
fn every_call_of_a_session_is_carried_out_exactly_once() {
    let seed = number("QUORATE_ONCE_SEED", 1);
    let kills = number("QUORATE_ONCE_KILLS", 20);
    let stops = number("QUORATE_ONCE_STOPS", 5);
    let mut cluster = Cluster::start(3);
    let runtime = runtime();
    let shared = Arc::new(Shared::default());
    let (changes, cuts) = runtime.block_on(async {
        let mut proxies = Vec::new();
        for (at, node) in cluster.plan.nodes.iter().enumerate() {
            proxies.push(Proxy::before(node.endpoint(), seed * 10 + at as u64).await);
        }
        let mut tasks = JoinSet::new();
        for session in 0..SESSIONS {
            let session = open(&proxies, session);
            for writer in 0..WRITERS {
                tasks.spawn(write(session.clone(), Arc::clone(&shared), writer));
            }
        }
        let changes = strike(&mut cluster, seed, kills, stops).await;
        proxies.iter().for_each(Proxy::calm_down);
        shared.stopped.store(true, SeqCst);
        while let Some(ended) = tasks.join_next().await {
            ended.expect("every call is carried out");
        }
        (changes, proxies.iter().map(Proxy::cuts).sum::<u64>())
    });
    let (appended, set) = (shared.appended.load(SeqCst), shared.set.load(SeqCst));
    println!(
        "soak: seed {seed}: {kills} kills, {changes} leaders stopped until another one led, {cuts} \
         replies lost; {appended} appends and {set} sets, each carried out exactly once"
    );
    assert_eq!(changes, stops, "each leader that was stopped lost its place");
    assert!(cuts >= kills, "only {cuts} replies were lost");
    assert!(appended > 10 * kills && set > kills, "too few calls to show anything");
    cluster.wait_for_leader();
    for at in 0..3 {
        let client = cluster.client_of(at);
        let read = |key: &str| {
            let kv = runtime.block_on(client.get(key)).expect("it serves").expect("it is there");
            String::from_utf8(kv.value.to_vec()).unwrap()
        };
        assert_eq!(read("appended").len() as u64, appended, "on node {at}");
        assert_eq!(read("set"), set.to_string(), "on node {at}");
    }
    let lengths = shared.lengths.lock().unwrap();
    let expected: BTreeSet<u64> = (1..=appended).collect();
    assert_eq!(*lengths, expected, "each length was told once");
}

/// A session over all proxies, beginning with another one each.
fn open(proxies: &[Proxy], turn: usize) -> Session {
    let mut endpoints: Vec<String> = proxies.iter().map(|p| p.address.to_string()).collect();
    endpoints.rotate_left(turn % proxies.len());
    let options = Options::default().connect_timeout(Duration::from_secs(1));
    let client = Client::new(&endpoints, options).expect("addresses are endpoints");
    let times = SessionOptions::default().deadline(PATIENCE).attempt(Duration::from_secs(3));
    client.session_with(times)
}

/// Adds one to both counters again and again.
async fn write(session: Session, shared: Arc<Shared>, writer: usize) {
    let mut random = Random::new(writer as u64);
    while !shared.stopped.load(SeqCst) {
        if random.below(3) > 0 {
            let length = session.append("appended", "x").await.expect("it is carried out");
            let is_new = shared.lengths.lock().unwrap().insert(length);
            assert!(is_new, "length {length} was told twice");
            shared.appended.fetch_add(1, SeqCst);
        } else if let Ok(held) = session.get("set").await {
            let held = held.map(|kv| String::from_utf8(kv.value.to_vec()).unwrap());
            let next = held.as_deref().unwrap_or("0").parse::<u64>().unwrap() + 1;
            let expected = held.as_deref().map(str::as_bytes);
            let is_set = session.compare_and_set("set", expected, next.to_string()).await;
            let is_set = is_set.expect("it is carried out");
            shared.set.fetch_add(u64::from(is_set), SeqCst);
        }
        sleep(PAUSE).await;
    }
}

/// Kills nodes and stops leaders, spread evenly; returns how often another leader came by that.
async fn strike(cluster: &mut Cluster, seed: u64, kills: u64, stops: u64) -> u64 {
    let mut random = Random::new(seed);
    let (mut killed, mut changes) = (0, 0);
    while killed < kills || changes < stops {
        sleep(Duration::from_millis(200 + random.next() % 600)).await;
        let stop = killed == kills || changes * (kills + 1) < killed * stops;
        if stop && changes < stops {
            stop_leader(cluster).await;
            changes += 1;
        } else {
            let at = random.below(cluster.processes.len());
            cluster.kill(at);
            cluster.start_node(at);
            killed += 1;
        }
    }
    changes
}

/// Stops the process of the leader until another leads in a later term, and lets it go on.
async fn stop_leader(cluster: &Cluster) {
    let (stopped, term) = leader(cluster, None).await;
    let id = cluster.processes[stopped].as_ref().expect("the node runs").id();
    let id = i32::try_from(id).ok().and_then(Pid::from_raw).expect("a process has a number");
    kill_process(id, Signal::STOP).expect("it is ours");
    let ((next, later), ()) = tokio::join!(leader(cluster, Some((stopped, term))), sleep(STOPPED));
    kill_process(id, Signal::CONT).expect("it is ours");
    assert!(next != stopped && later > term, "node {next} leads in {later} as before in {term}");
}

/// Position and term of the leader, as soon as a node says that it leads and none that answers knows
/// a later term. After another one: in a later term than its, and it is not asked.
async fn leader(cluster: &Cluster, after: Option<(usize, u64)>) -> (usize, u64) {
    let deadline = Instant::now() + PATIENCE;
    let (stopped, before) = after.unzip();
    loop {
        let (mut leads, mut latest) = (None, before.unwrap_or(0) + 1);
        for (at, node) in cluster.plan.nodes.iter().enumerate() {
            if stopped == Some(at) {
                continue;
            }
            let options = Options::default().timeout(Duration::from_millis(500));
            let client = Client::new([node.endpoint()], options).expect("a port is a port");
            let Ok(status) = client.status().await else { continue };
            if status.leader != 0 && status.leader == status.header.unwrap_or_default().member_id {
                leads = leads.max(Some((status.raft_term, at)));
            }
            latest = latest.max(status.raft_term);
        }
        match leads {
            Some((term, at)) if term == latest => return (at, term),
            _ => sleep(Duration::from_millis(50)).await,
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} for a leader after {after:?}");
    }
}

/// The command line does the same for one call.
#[test]
fn the_command_line_appends() {
    let cluster = Cluster::start(1);
    let endpoint = cluster.plan.nodes[0].endpoint();
    for (value, said) in [("one", "OK\n3 bytes\n"), (" two", "OK\n7 bytes\n")] {
        let output = crate::harness::quorate(&["append", "k", value, "--endpoints", &endpoint]);
        assert_eq!(crate::harness::text(&output.stdout), said);
    }
    let held = runtime().block_on(client(&endpoint).get("k")).unwrap().unwrap();
    assert_eq!(&held.value[..], b"one two");
}
