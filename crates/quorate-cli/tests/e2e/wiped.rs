//! Wiped directories: a node without its data is a stranger. It gets no vote, founds no second cluster,
//! and never answers as if nothing had been written.

use std::fs;
use std::time::{Duration, Instant};

use quorate_client::CallError;
use quorate_client::proto::StatusResponse;

use crate::harness::{Cluster, put_request, runtime, wait_until};

/// How long nothing may happen: many election timeouts.
const WATCHED: Duration = Duration::from_secs(5);

#[test]
fn a_wiped_directory_is_a_stranger_and_two_of_them_make_no_cluster() {
    let mut cluster = Cluster::start(3);
    for number in 0..50 {
        cluster.put(&format!("k{number:02}"), "v").unwrap();
    }
    let before = cluster.status(0).unwrap().header.unwrap();

    wipe(&mut cluster, 2);
    waits_aloud(&cluster, 2);
    answers_nobody(&cluster, 2);
    cluster.put("while one is wiped", "v").expect("two of three are a majority");

    wipe(&mut cluster, 1);
    waits_aloud(&cluster, 1);
    let watched = Instant::now();
    while watched.elapsed() < WATCHED {
        answers_nobody(&cluster, 1);
        answers_nobody(&cluster, 2);
        let put = runtime().block_on(cluster.client_of(0).put(put_request("too late", "v")));
        assert!(put.is_err(), "one of three acknowledged a write");
        assert!(!cluster.serves(0), "one of three served a linearizable read");
    }

    let kept = cluster.local(0).expect("the node that has its data serves local reads");
    let header = kept.header.unwrap();
    assert_eq!(header.cluster_id, before.cluster_id);
    assert!(kept.kvs.iter().filter(|pair| pair.key.starts_with(b"k")).count() == 50);
    assert!(kept.kvs.iter().any(|pair| pair.key.as_ref() == b"while one is wiped"));
    let status = cluster.status(0).expect("the node that has its data says how it is");
    assert_eq!(status.leader, 0, "nobody leads without a majority");
    misses_its_majority_aloud(&cluster, &status);

    cluster.kill(0);
    let watched = Instant::now();
    while watched.elapsed() < WATCHED {
        answers_nobody(&cluster, 1);
        answers_nobody(&cluster, 2);
    }
}

fn wipe(cluster: &mut Cluster, at: usize) {
    cluster.kill(at);
    fs::remove_dir_all(cluster.data_dir(at)).unwrap();
    cluster.start_node(at);
}

/// It says what it waits for, in its log and to whoever asks.
fn waits_aloud(cluster: &Cluster, at: usize) {
    let address = cluster.plan.nodes[0].peer();
    let waits = |text: &str| text.contains("waits") && text.contains(&address);
    wait_until("the wiped node says what it waits for", || waits(&cluster.said(at)));
    wait_until("the wiped node tells clients what it waits for", || {
        cluster.local(at).is_err_and(|error| waits(&error.to_string()))
    });
}

/// The node that has its data names whom it misses, in its log and to whoever asks for its status.
fn misses_its_majority_aloud(cluster: &Cluster, status: &StatusResponse) {
    let silent: Vec<String> = [1, 2].map(|at| cluster.plan.nodes[at].peer()).into();
    let names_them = |text: &str| {
        text.contains("waits for a majority of 3 voters")
            && silent.iter().all(|address| text.contains(address))
    };
    assert!(status.errors.iter().any(|error| names_them(error)), "{:?}", status.errors);
    let said = cluster.said(0);
    assert!(said.lines().any(names_them), "{said}");
}

fn answers_nobody(cluster: &Cluster, at: usize) {
    match cluster.local(at) {
        Err(CallError::Unserved { .. }) => {}
        other => panic!("a wiped node answered a local read: {other:?}"),
    }
    assert!(!cluster.serves(at), "a wiped node served a linearizable read");
}
