//! Sessions against servers that misbehave on purpose.

use std::time::{Duration, Instant};

use quorate_client::{CallError, Session, SessionOptions};
use tokio::time::{sleep, timeout};

use crate::scripted::{Act, Scripted};
use crate::{AMBIGUOUS, REFUSED, client};

fn session(servers: &[Scripted]) -> Session {
    let options = SessionOptions::default().attempt(Duration::from_millis(300));
    client(servers).session_with(options.deadline(Duration::from_secs(5)))
}

/// R-CL1, from the client's side: what is sent again says that it is the same.
#[tokio::test]
async fn a_write_without_a_clear_answer_is_sent_again_under_its_number() {
    for act in [AMBIGUOUS, Act::Hang, Act::Abort, Act::Overloaded, REFUSED] {
        let servers = [Scripted::start([act]).await, Scripted::start([]).await];
        session(&servers).put("a", "1").await.unwrap();
        let stamps = servers.each_ref().map(Scripted::stamps);
        assert_eq!(stamps, [["17.1.0"], ["17.1.0"]], "{act:?}");
    }
}

#[tokio::test]
async fn numbers_ascend_and_what_was_answered_is_acknowledged() {
    let servers = [Scripted::start([]).await];
    let session = session(&servers);
    for _ in 0..3 {
        session.put("a", "1").await.unwrap();
    }
    assert_eq!(servers[0].stamps(), ["17.1.0", "17.2.1", "17.3.2"]);
    drop(session);
    until("closed in the end", || servers[0].closed() == [17]).await;
}

/// Waits until something has become of a session.
async fn until(what: &str, is_so: impl Fn() -> bool) {
    let reached = async {
        while !is_so() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(20), reached).await.unwrap_or_else(|_| panic!("never {what}"));
}

#[tokio::test]
async fn a_session_that_was_opened_before_its_first_write_is_kept_and_closed() {
    let servers = [Scripted::start([]).await];
    let brief = SessionOptions::default().time_to_live(Duration::from_millis(40));
    let session = client(&servers).session_with(brief);
    session.reopen().await.unwrap();
    until("kept alive", || servers[0].kept().contains(&17)).await;
    session.put("a", "1").await.unwrap();
    assert_eq!(servers[0].stamps(), ["17.1.0"], "it is the session of the first write, too");
    drop(session);
    until("closed", || servers[0].closed() == [17]).await;
}

#[tokio::test]
async fn a_session_that_is_given_up_at_once_is_closed() {
    let servers = [Scripted::start([]).await];
    let session = session(&servers);
    session.reopen().await.unwrap();
    drop(session);
    until("closed", || servers[0].closed() == [17]).await;
}

#[tokio::test]
async fn the_session_that_is_closed_is_the_last_one_that_was_opened() {
    let servers = [Scripted::start([Act::Expired]).await];
    let session = session(&servers);
    session.put("a", "1").await.unwrap_err();
    session.reopen().await.unwrap();
    drop(session);
    until("closed", || servers[0].closed() == [18]).await;
}

#[tokio::test]
async fn a_write_is_unknown_only_when_its_time_is_up() {
    let servers = [Scripted::start([AMBIGUOUS; 1000]).await];
    let brief = SessionOptions::default().deadline(Duration::from_millis(600));
    let session = client(&servers).session_with(brief);
    let began = Instant::now();
    let error = session.put("a", "1").await.unwrap_err();
    assert!(matches!(error, CallError::Unknown { .. }), "{error}");
    assert!(began.elapsed() > Duration::from_millis(200), "after {:?}", began.elapsed());
    let stamps = servers[0].stamps();
    assert!(stamps.len() > 2 && stamps.iter().all(|stamp| stamp == "17.1.0"), "{stamps:?}");
    assert!(stamps.len() < 20, "{} attempts are a storm", stamps.len());
}

#[tokio::test]
async fn a_write_that_nobody_took_is_refused_for_certain() {
    let servers = [Scripted::start([REFUSED; 1000]).await];
    let brief = SessionOptions::default().deadline(Duration::from_millis(300));
    let error = client(&servers).session_with(brief).put("a", "1").await.unwrap_err();
    assert!(matches!(error, CallError::Unserved { .. }), "{error}");
    assert!(error.is_certainly_without_effect());
    let servers = [Scripted::start([Act::Invalid]).await];
    let error = session(&servers).put("a", "1").await.unwrap_err();
    assert!(matches!(error, CallError::Refused { .. }), "{error}");
    assert_eq!(servers[0].stamps().len(), 1);
    // After a doubt a refusal says nothing of the first attempt.
    let servers = [Scripted::start([AMBIGUOUS, Act::Invalid]).await];
    let error = session(&servers).put("a", "1").await.unwrap_err();
    assert!(matches!(error, CallError::Unknown { .. }), "{error}");
}

#[tokio::test]
async fn an_expired_session_is_an_error_until_another_is_opened() {
    let servers = [Scripted::start([Act::Expired]).await];
    let session = session(&servers);
    for _ in 0..2 {
        let error = session.put("a", "1").await.unwrap_err();
        assert!(matches!(error, CallError::Expired { maybe_applied: false }), "{error}");
        assert!(error.is_certainly_without_effect());
    }
    assert_eq!(servers[0].stamps(), ["17.1.0"], "the second is not even sent");
    session.reopen().await.unwrap();
    session.put("a", "1").await.unwrap();
    assert_eq!(servers[0].stamps()[1], "18.1.0");
}

#[tokio::test]
async fn a_doubt_outlives_the_session() {
    let servers = [Scripted::start([AMBIGUOUS, Act::Expired]).await];
    let error = session(&servers).put("a", "1").await.unwrap_err();
    assert!(matches!(error, CallError::Expired { maybe_applied: true }), "{error}");
    assert!(!error.is_certainly_without_effect());
    let servers = [Scripted::start([AMBIGUOUS, Act::ReplyLost]).await];
    let error = session(&servers).put("a", "1").await.unwrap_err();
    assert!(matches!(error, CallError::ReplyLost { .. }), "{error}");
}
