//! Calls that are applied exactly once: over lost answers, changes of the leader, and restarts.

use std::time::Duration;

use quorate::sessions::{SessionRequest, Stamp};
use quorate::{CallError, Refusal, Session, SessionConfig, SessionId};
use tokio::time::{sleep, timeout};

use crate::cluster::{Cluster, Journal, PATIENCE, read};

fn patient() -> SessionConfig {
    SessionConfig::default().deadline(PATIENCE)
}

/// So many tasks make so many calls each, all on one session.
fn calls(
    session: &Session<Journal>,
    tasks: usize,
    each: usize,
) -> Vec<tokio::task::JoinHandle<()>> {
    let one = |task: usize| {
        let session = session.clone();
        tokio::spawn(async move {
            for number in 0..each {
                let command = format!("{task}.{number}");
                timeout(PATIENCE, session.call(command)).await.unwrap().expect("it is applied");
            }
        })
    };
    (0..tasks).map(one).collect()
}

/// R-CL1: a call that is sent again because its answer was lost must not be applied again.
#[tokio::test]
async fn calls_of_many_tasks_are_applied_once_each_while_leaders_come_and_go() {
    const TASKS: usize = 16;
    const EACH: usize = 40;
    let mut cluster = Cluster::start(3).await;
    let here = (cluster.leader().await + 1) % 3;
    // Shorter than an election: what waits for a leader is sent again while it still waits, so that
    // the next leader is given it more than once.
    let hasty = patient().attempt(Duration::from_millis(100));
    let session = cluster.node(here).client().session_with(hasty).await.unwrap();
    let tasks = calls(&session, TASKS, EACH);
    for _ in 0..3 {
        sleep(Duration::from_millis(50)).await;
        let leader = cluster.leader().await;
        if leader == here {
            // The session's own node goes on; what it leads, it serves.
            continue;
        }
        cluster.shut_down(leader).await;
        sleep(Duration::from_millis(50)).await;
        cluster.restart(leader).await;
    }
    for task in tasks {
        timeout(PATIENCE, task).await.unwrap().unwrap();
    }
    let mut seen = read(&cluster.node(here).client()).await;
    assert_eq!(seen.len(), TASKS * EACH, "none twice, none lost");
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), TASKS * EACH);
    drop(session);
    cluster.shut_down_all().await;
}

#[tokio::test]
async fn a_call_that_is_sent_through_every_node_is_applied_once() {
    let mut cluster = Cluster::start(3).await;
    let open = SessionRequest::Open { ttl_ms: 60_000 };
    let client = cluster.node(0).client();
    let session = client.request_session(SessionId::NONE, open).await.unwrap();
    let stamp = |sequence, acknowledged| Stamp::Command { session, sequence, acknowledged };
    for at in 0..3 {
        let client = cluster.node(at).client();
        assert_eq!(
            client.call_as("once".to_owned(), stamp(1, 0)).await,
            Ok(1),
            "through node {at}"
        );
    }
    // What a restart reads from the log makes the table again.
    for at in 0..3 {
        cluster.shut_down(at).await;
    }
    for at in 0..3 {
        cluster.restart(at).await;
    }
    let client = cluster.node(1).client();
    timeout(PATIENCE, cluster.node(1).ready()).await.unwrap().unwrap();
    assert_eq!(client.call_as("once".to_owned(), stamp(1, 0)).await, Ok(1));
    assert_eq!(client.call_as("twice".to_owned(), stamp(2, 1)).await, Ok(2));
    let acknowledged = client.call_as("once".to_owned(), stamp(1, 0)).await;
    assert!(matches!(acknowledged, Err(CallError::Unknown(_))), "{acknowledged:?}");
    client.request_session(session, SessionRequest::Close).await.unwrap();
    let expired = Err(CallError::Expired { maybe_applied: false });
    assert_eq!(client.call_as("late".to_owned(), stamp(3, 1)).await, expired);
    assert_eq!(read(&client).await, ["once", "twice"]);
    cluster.shut_down_all().await;
}

#[tokio::test]
async fn a_session_that_is_not_kept_expires_and_is_opened_again_only_when_told() {
    let cluster = Cluster::start(1).await;
    let client = cluster.node(0).client();
    let session = client.session().await.unwrap();
    assert_eq!(session.call("one".to_owned()).await, Ok(1));
    let first = session.id();
    client.request_session(first, SessionRequest::Close).await.unwrap();
    let expired = Err(CallError::Expired { maybe_applied: false });
    assert_eq!(session.call("lost".to_owned()).await, expired);
    assert_eq!(session.call("lost".to_owned()).await, expired, "it stays so");
    session.reopen().await.unwrap();
    assert_ne!(session.id(), first);
    assert_eq!(session.call("two".to_owned()).await, Ok(2));
    assert_eq!(read(&client).await, ["one", "two"]);
    cluster.shut_down_all().await;
}

#[tokio::test]
async fn a_handle_keeps_its_session_alive_and_closes_it_at_the_end() {
    let cluster = Cluster::start(1).await;
    let client = cluster.node(0).client();
    let short = patient().time_to_live(Duration::from_secs(1));
    let session = client.session_with(short).await.unwrap();
    let id = session.id();
    // An observer that is told of the log's time by entries of its own.
    for number in 0..15 {
        sleep(Duration::from_millis(100)).await;
        client.call(format!("{number}")).await.unwrap();
    }
    assert_eq!(session.call("alive".to_owned()).await, Ok(16));
    drop(session);
    let closed = async {
        loop {
            let alive = client.request_session(id, SessionRequest::KeepAlive).await;
            if alive == Err(CallError::Expired { maybe_applied: false }) {
                return;
            }
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, closed).await.expect("nobody keeps it alive but this test");
    cluster.shut_down_all().await;
}

#[tokio::test]
async fn a_call_that_no_leader_ever_took_is_refused_for_certain() {
    let mut cluster = Cluster::start(3).await;
    let session = cluster.node(0).client();
    let brief = SessionConfig::default().deadline(Duration::from_secs(4));
    let session = session.session_with(brief).await.unwrap();
    cluster.shut_down(1).await;
    cluster.shut_down(2).await;
    // Whatever leads here steps down within an election timeout.
    let steps_down = async {
        while cluster.node(0).leader().is_some() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, steps_down).await.unwrap();
    // The node waits 3 s for a leader; what is left then is not enough for another attempt.
    let refused = session.call("alone".to_owned()).await;
    let no_leader = matches!(refused, Err(CallError::Refused(Refusal::NoLeader { .. })));
    assert!(no_leader, "{refused:?}");
    cluster.shut_down_all().await;
}
