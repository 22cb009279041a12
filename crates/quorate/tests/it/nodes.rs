//! One node, three nodes: calls, reads, restarts, stops.

use std::time::Duration;

use quorate::{
    Applying, CallError, Consistency, Node, Refusal, StateMachine, StopReason, UnknownReason,
};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use crate::cluster::{Cluster, Journal, PATIENCE, call, read};

#[tokio::test]
async fn three_nodes_serve_calls_and_reads_from_each_of_them() {
    let cluster = Cluster::start(3).await;
    for at in 0..3 {
        let client = cluster.node(at).client();
        assert_eq!(call(&client, &format!("c{at}")).await, at as u64 + 1);
    }
    for at in 0..3 {
        let seen = read(&cluster.node(at).client()).await;
        assert_eq!(seen, ["c0", "c1", "c2"], "a read after the calls sees them on node {at}");
    }
    cluster.shut_down_all().await;
}

#[tokio::test]
async fn the_loss_of_the_leader_is_survived_and_it_comes_back() {
    let mut cluster = Cluster::start(3).await;
    let old = cluster.leader().await;
    let other = (old + 1) % 3;
    let client = cluster.node(other).client();
    call(&client, "before").await;
    cluster.shut_down(old).await;
    // A call that was on its way to the old leader would be unknown.
    cluster.leader().await;
    timeout(PATIENCE, cluster.node(other).ready()).await.unwrap().unwrap();
    call(&client, "without").await;
    cluster.restart(old).await;
    let back = cluster.node(old);
    timeout(PATIENCE, back.ready()).await.unwrap().unwrap();
    assert_eq!(read(&back.client()).await, ["before", "without"]);
    cluster.shut_down_all().await;
}

#[tokio::test]
async fn state_comes_back_from_the_disk_when_all_were_stopped() {
    let mut cluster = Cluster::start(3).await;
    let client = cluster.node(0).client();
    let commands: Vec<String> = (0..50).map(|number| format!("c{number}")).collect();
    for command in &commands {
        call(&client, command).await;
    }
    let (id, founded) = (cluster.node(0).id(), cluster.node(0).cluster());
    for at in 0..3 {
        cluster.shut_down(at).await;
    }
    for at in 0..3 {
        cluster.restart(at).await;
    }
    for at in 0..3 {
        timeout(PATIENCE, cluster.node(at).ready()).await.unwrap().unwrap();
        assert_eq!(read(&cluster.node(at).client()).await, commands);
    }
    assert_eq!((cluster.node(0).id(), cluster.node(0).cluster()), (id, founded));
    cluster.shut_down_all().await;
}

#[tokio::test]
async fn a_single_node_is_a_cluster() {
    let mut cluster = Cluster::start(1).await;
    let client = cluster.node(0).client();
    assert_eq!(call(&client, "one").await, 1);
    assert_eq!(client.read((), Consistency::Local).await.unwrap(), ["one"]);
    cluster.shut_down(0).await;
    cluster.restart(0).await;
    timeout(PATIENCE, cluster.node(0).ready()).await.unwrap().unwrap();
    assert_eq!(read(&cluster.node(0).client()).await, ["one"]);
    cluster.shut_down_all().await;
}

#[tokio::test]
async fn nothing_is_served_before_the_cluster_is_founded() {
    let mut cluster = Cluster::prepare(3).await;
    cluster.restart(0).await;
    let client = cluster.node(0).client();
    let missing = &cluster.addresses[1];
    let named = |refusal: Refusal| matches!(&refusal, Refusal::NotFounded { waiting_for } if waiting_for.contains(missing));
    match client.call("early".to_owned()).await {
        Err(CallError::Refused(refusal)) => assert!(named(refusal.clone()), "{refusal}"),
        other => panic!("{other:?}"),
    }
    for consistency in [Consistency::Local, Consistency::Linearizable] {
        let refusal = client.read((), consistency).await.unwrap_err();
        assert!(named(refusal.clone()), "{refusal}");
    }
    let waiting_for = cluster.node(0).status().borrow().waiting_for.clone();
    assert!(waiting_for.expect("it says so").contains(missing));
    cluster.shut_down_all().await;
}

/// R-RP10.
#[tokio::test]
async fn a_panic_in_the_state_machine_stops_the_node_and_names_the_entry() {
    let cluster = Cluster::start(1).await;
    let client = cluster.node(0).client();
    call(&client, "fine").await;
    let index = cluster.node(0).status().borrow().last.next();
    let poisoned = timeout(PATIENCE, client.call("poison".to_owned())).await.unwrap();
    let is_expected = |reason: &StopReason| match reason {
        StopReason::ApplyPanicked { index: at, reason } => {
            *at >= index && reason.contains("cannot be borne")
        }
        _ => false,
    };
    match poisoned {
        Err(CallError::Unknown(UnknownReason::Stopped(reason))) => assert!(is_expected(&reason)),
        other => panic!("{other:?}"),
    }
    let reason = timeout(PATIENCE, cluster.node(0).stopped()).await.unwrap();
    assert!(is_expected(&reason), "{reason}");
    let after = client.call("after".to_owned()).await;
    assert!(matches!(after, Err(CallError::Refused(Refusal::Stopped(_)))), "{after:?}");
    assert!(cluster.node(0).client().read((), Consistency::Local).await.is_err());
}

/// Speaks another language than the journal.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Stranger;

impl StateMachine for Stranger {
    type Command = (u64, u64, u64);
    type Reply = ();
    type Query = ();
    type Answer = ();

    fn apply(&mut self, _: &Applying, _: (u64, u64, u64)) {}

    fn query(&self, (): ()) {}
}

#[tokio::test]
async fn a_committed_command_that_cannot_be_read_stops_the_node_and_names_the_entry() {
    let mut cluster = Cluster::start(1).await;
    call(&cluster.node(0).client(), "words").await;
    cluster.shut_down(0).await;
    let node = Node::<Stranger>::builder()
        .name("n0")
        .listen(cluster.addresses[0].clone())
        .data_dir(cluster.data_dir(0))
        .segment_bytes(1 << 20)
        .start()
        .await
        .unwrap();
    let reason = timeout(PATIENCE, node.stopped()).await.unwrap();
    assert!(matches!(reason, StopReason::Undecodable { .. }), "{reason:?}");
    assert!(reason.to_string().contains("command of entry"), "{reason}");
}

#[tokio::test]
async fn a_dropped_node_releases_its_directory_and_ends_its_calls() {
    let mut cluster = Cluster::start(1).await;
    let client = cluster.node(0).client();
    let status = cluster.node(0).status();
    cluster.nodes[0] = None;
    let mut status = status;
    timeout(PATIENCE, status.wait_for(|s| s.stopped.is_some())).await.unwrap().unwrap();
    let after = client.call("after".to_owned()).await;
    assert!(matches!(after, Err(CallError::Refused(Refusal::Stopped(StopReason::Shutdown)))));
    cluster.restart(0).await;
    cluster.shut_down_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_calls_at_once_from_a_multi_threaded_runtime_are_each_applied_once() {
    let cluster = Cluster::start(3).await;
    let mut tasks = Vec::new();
    for at in 0..3 {
        let client = cluster.node(at).client();
        for number in 0..200 {
            let client = client.clone();
            tasks
                .push(tokio::spawn(async move { call(&client, &format!("n{at}-{number}")).await }));
        }
    }
    let mut replies = Vec::new();
    for task in tasks {
        replies.push(timeout(PATIENCE, task).await.unwrap().unwrap());
    }
    replies.sort_unstable();
    assert!(replies.into_iter().eq(1..=600), "every call has an index of its own");
    let seen = read(&cluster.node(0).client()).await;
    let mut distinct = seen.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!((seen.len(), distinct.len()), (600, 600));
    cluster.shut_down_all().await;
}

#[tokio::test]
async fn a_call_without_a_majority_ends_as_unknown_or_refused_in_time() {
    let mut cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let client = cluster.node(leader).client();
    for number in 0..10 {
        call(&client, &format!("c{number}")).await;
    }
    for at in (0..3).filter(|at| *at != leader) {
        cluster.shut_down(at).await;
    }
    // Elections and calls of this node alone shall not take long to fail.
    cluster.shut_down(leader).await;
    let node = cluster.builder(leader).call_timeout(Duration::from_secs(1)).start().await;
    cluster.nodes[leader] = Some(node.unwrap());
    let client = cluster.node(leader).client();
    let ended = timeout(PATIENCE, client.call("alone".to_owned())).await.unwrap();
    match ended {
        Err(CallError::Refused(Refusal::NoLeader { .. })) => {}
        Err(CallError::Unknown(UnknownReason::TimedOut { .. })) => {}
        other => panic!("nothing can be durable on a majority: {other:?}"),
    }
    let read = timeout(PATIENCE, client.read((), Consistency::Linearizable)).await.unwrap();
    assert!(read.is_err());
    let local = client.read((), Consistency::Local).await.expect("a local read asks nobody");
    assert!(local.len() >= 9, "what was known committed is executed first: {local:?}");
    cluster.shut_down_all().await;
}

#[tokio::test]
async fn a_node_starts_nowhere_where_another_runs() {
    let cluster = Cluster::start(1).await;
    let same_port = cluster.builder(0).start().await.unwrap_err();
    assert!(same_port.to_string().contains(&cluster.addresses[0]), "{same_port}");
    let listening = quorate::Listening::bind("127.0.0.1:0").unwrap();
    let own = listening.address().to_string();
    let same_directory = Node::<Journal>::builder()
        .listen_on(listening)
        .join_or_form([own])
        .data_dir(cluster.data_dir(0))
        .start()
        .await
        .unwrap_err();
    let text = same_directory.to_string();
    assert!(text.contains("lock") && text.contains("n0"), "{text}");
    let without_self = Node::<Journal>::builder()
        .listen("127.0.0.1:1")
        .join_or_form(["127.0.0.1:2"])
        .data_dir(cluster.dir.path().join("other"))
        .start()
        .await
        .unwrap_err();
    assert!(without_self.to_string().contains("127.0.0.1:1"), "{without_self}");
    assert!(!cluster.dir.path().join("other").exists(), "nothing was touched");
    let short = cluster
        .builder(0)
        .election_timeout(Duration::from_millis(10), Duration::from_millis(20))
        .start()
        .await
        .unwrap_err();
    assert!(short.to_string().contains("election timeout"), "{short}");
    cluster.shut_down_all().await;
}
