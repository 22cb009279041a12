//! What plain HTTP gets.

use quorate::Refusal;
use quorate_kv::{Alarm, AlarmChange, AlarmKind, Command};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;
use crate::backend::Backend as _;

/// Head and body of the answer to a plain HTTP/1.1 request.
async fn ask(port: &Port, method: &str, target: &str) -> (String, String) {
    let mut socket = TcpStream::connect(port.address).await.unwrap();
    let request = format!("{method} {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

async fn get(port: &Port, target: &str) -> (String, String) {
    ask(port, "GET", target).await
}

#[tokio::test]
async fn the_version_is_told_beside_the_grpc_services() {
    let port = Port::open().await;
    let (head, body) = get(&port, "/version").await;
    assert!(head.starts_with("HTTP/1.1 200 OK") && head.contains("application/json"), "{head}");
    assert!(body.starts_with(r#"{"etcdserver":"3.5.21","etcdcluster":"3.5.0""#), "{body}");
    port.kv().await.put(put("a", "1")).await.unwrap();
}

#[tokio::test]
async fn other_paths_and_methods_are_refused() {
    let port = Port::open().await;
    assert!(get(&port, "/").await.0.starts_with("HTTP/1.1 404"));
    let (head, _) = ask(&port, "POST", "/version").await;
    assert!(head.starts_with("HTTP/1.1 405") && head.contains("GET, HEAD"), "{head}");
    let (head, body) = ask(&port, "HEAD", "/version").await;
    assert!(head.starts_with("HTTP/1.1 200") && body.is_empty(), "{head}");
}

#[tokio::test]
async fn an_alarm_is_bad_health_unless_it_is_excluded() {
    let port = Port::open().await;
    let healthy = r#"{"health":"true","reason":""}"#;
    let raise = |kind| Command::Alarm(AlarmChange::Raise(Alarm { kind, member: 1 }));
    port.backend().call(raise(AlarmKind::NoSpace)).await.unwrap().result.unwrap();
    let (head, body) = get(&port, "/health").await;
    assert!(head.starts_with("HTTP/1.1 503"), "{head}");
    assert_eq!(body, r#"{"health":"false","reason":"ALARM NOSPACE"}"#);
    assert_eq!(get(&port, "/health?exclude=NOSPACE").await.1, healthy);
    assert_eq!(get(&port, "/readyz").await.1, "ok\n", "it serves what it can");
    port.backend().call(raise(AlarmKind::Corrupt)).await.unwrap().result.unwrap();
    let body = get(&port, "/health?exclude=NOSPACE").await.1;
    assert_eq!(body, r#"{"health":"false","reason":"ALARM CORRUPT"}"#);
    let both = "/health?exclude=CORRUPT&exclude=NOSPACE";
    assert_eq!(get(&port, both).await.1, healthy);
}

#[tokio::test]
async fn health_needs_a_quorum_unless_told_otherwise() {
    let port = Port::open().await;
    let healthy = r#"{"health":"true","reason":""}"#;
    assert_eq!(get(&port, "/health").await.1, healthy);
    assert_eq!(get(&port, "/readyz").await.1, "ok\n");

    let waited = std::time::Duration::from_secs(1);
    *port.backend().no_quorum.lock().unwrap() = Some(Refusal::NoLeader { waited });
    let (head, body) = get(&port, "/health").await;
    assert!(head.starts_with("HTTP/1.1 503"), "{head}");
    assert_eq!(body, r#"{"health":"false","reason":"QGET ERROR:etcdserver: no leader"}"#);
    assert_eq!(get(&port, "/health?serializable=true").await.1, healthy);
    assert!(get(&port, "/readyz").await.0.starts_with("HTTP/1.1 503"));
    assert!(get(&port, "/livez").await.0.starts_with("HTTP/1.1 200"));

    port.backend().standing.lock().unwrap().leader = None;
    let body = get(&port, "/health").await.1;
    assert_eq!(body, r#"{"health":"false","reason":"RAFT NO LEADER"}"#);

    let waiting_for = "it waits for \"n2\"".to_owned();
    *port.backend().refusal.lock().unwrap() = Some(Refusal::NotFounded { waiting_for });
    let (head, body) = get(&port, "/health?serializable=true").await;
    assert!(head.starts_with("HTTP/1.1 503"), "{head}");
    assert!(body.contains(r#"waits for \"n2\""#), "{body}");
}

#[tokio::test]
async fn metrics_have_etcds_names_and_real_values() {
    let port = Port::open().await;
    let mut kv = port.kv().await;
    kv.put(put("a", "1")).await.unwrap();
    kv.put(put("", "1")).await.unwrap_err();
    get(&port, "/health").await;
    let (head, body) = get(&port, "/metrics").await;
    assert!(head.contains("application/openmetrics-text"), "{head}");
    for line in [
        "etcd_server_has_leader 1",
        "etcd_server_is_leader 1",
        "etcd_server_id{server_id=\"e\"} 1",
        "etcd_server_version{server_version=\"3.5.21\"} 1",
        "etcd_server_proposals_committed_total 11",
        "etcd_server_proposals_applied_total 10",
        "etcd_server_health_success_total 1",
        "etcd_debugging_mvcc_keys_total 1",
        "etcd_debugging_mvcc_current_revision 2",
        "grpc_server_started_total{grpc_type=\"unary\",grpc_service=\"etcdserverpb.KV\",\
         grpc_method=\"Put\"} 2",
        "grpc_server_handled_total{grpc_type=\"unary\",grpc_service=\"etcdserverpb.KV\",\
         grpc_method=\"Put\",grpc_code=\"OK\"} 1",
        "grpc_server_handled_total{grpc_type=\"unary\",grpc_service=\"etcdserverpb.KV\",\
         grpc_method=\"Put\",grpc_code=\"InvalidArgument\"} 1",
    ] {
        assert!(body.lines().any(|found| found == line), "{line} is missing from\n{body}");
    }
    assert!(body.contains("\nprocess_resident_memory_bytes "), "{body}");
    assert!(body.ends_with("# EOF\n"), "{body}");
}
