//! A client against servers that misbehave on purpose.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod scripted;
mod session;

use std::time::{Duration, Instant};

use quorate_client::proto::PutRequest;
use quorate_client::{CallError, Client, Options};
use scripted::{Act, Scripted};

const REFUSED: Act = Act::Unavailable { refused: true };
const AMBIGUOUS: Act = Act::Unavailable { refused: false };

fn client<'a>(endpoints: impl IntoIterator<Item = &'a Scripted>) -> Client {
    let options = Options::default().timeout(Duration::from_secs(3));
    Client::new(endpoints.into_iter().map(Scripted::endpoint), options).unwrap()
}

fn put() -> PutRequest {
    PutRequest { key: "a".into(), value: "1".into(), ..PutRequest::default() }
}

#[tokio::test]
async fn a_refused_write_is_carried_out_elsewhere() {
    let servers = [Scripted::start([REFUSED]).await, Scripted::start([Act::Serve]).await];
    client(&servers).put(put()).await.unwrap();
    assert_eq!(servers.each_ref().map(Scripted::writes), [1, 1]);
}

#[tokio::test]
async fn a_write_that_everybody_refuses_for_the_moment_waits_for_its_turn() {
    let servers = [Scripted::start([REFUSED, REFUSED, Act::Serve]).await];
    client(&servers).put(put()).await.unwrap();
    assert_eq!(servers[0].writes(), 3);
}

#[tokio::test]
async fn a_write_without_a_clear_answer_is_never_sent_again() {
    for act in [AMBIGUOUS, Act::Hang, Act::Abort] {
        let servers = [Scripted::start([act]).await, Scripted::start([Act::Serve]).await];
        let error = client(&servers).put(put()).await.unwrap_err();
        assert!(matches!(error, CallError::Unknown { .. }), "{act:?} gave {error}");
        assert!(!error.is_certainly_without_effect());
        assert_eq!(servers.each_ref().map(Scripted::writes), [1, 0], "{act:?}");
    }
}

#[tokio::test]
async fn a_write_that_is_at_fault_itself_is_not_tried_elsewhere() {
    let servers = [Scripted::start([Act::Invalid]).await, Scripted::start([Act::Serve]).await];
    let error = client(&servers).put(put()).await.unwrap_err();
    assert!(matches!(error, CallError::Refused { .. }), "{error}");
    assert!(error.to_string().contains("etcdserver: key is not provided"), "{error}");
    assert_eq!(servers.each_ref().map(Scripted::writes), [1, 0]);
}

#[tokio::test]
async fn a_read_goes_on_to_the_next_endpoint_whatever_happens() {
    for act in [AMBIGUOUS, REFUSED, Act::Hang, Act::Abort] {
        let servers = [Scripted::start([act]).await, Scripted::start([Act::Serve]).await];
        assert_eq!(client(&servers).get("a").await.unwrap(), None, "{act:?}");
    }
}

#[tokio::test]
async fn a_client_stays_with_the_endpoint_that_answered() {
    let servers = [Scripted::start([REFUSED]).await, Scripted::start([]).await];
    let client = client(&servers);
    for _ in 0..3 {
        client.put(put()).await.unwrap();
    }
    assert_eq!(servers.each_ref().map(Scripted::writes), [1, 3]);
}

#[tokio::test]
async fn endpoints_where_nobody_listens_are_named_at_once() {
    let vacant = scripted::vacant_address();
    let client = Client::new([&vacant], Options::default()).unwrap();
    let start = Instant::now();
    let error = client.put(put()).await.unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(2), "waiting cannot help");
    assert!(matches!(error, CallError::Unserved { .. }), "{error}");
    assert!(error.is_certainly_without_effect());
    let text = error.to_string();
    assert!(text.contains(&vacant) && text.contains("refused"), "{text}");

    let server = Scripted::start([Act::Serve]).await;
    let client = Client::new([vacant, server.endpoint()], Options::default()).unwrap();
    client.put(put()).await.unwrap();
}

#[tokio::test]
async fn a_server_that_went_away_while_nothing_was_asked_is_replaced() {
    let mut servers = [Scripted::start([]).await, Scripted::start([]).await];
    let client = client(&servers);
    client.get("a").await.unwrap();
    servers[0].stop().await;
    assert_eq!(client.get("a").await.unwrap(), None);
    assert_eq!(servers[1].reads(), 1);
}
