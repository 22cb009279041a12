//! The gRPC services as an honest client sees them.

use std::time::Duration;

use quorate::{CallError, Refusal, Snapshot as _, StopReason, UnknownReason};
use quorate_kv::Store;
use quorate_proto::etcdserverpb::AlarmType;
use quorate_proto::etcdserverpb::alarm_request::AlarmAction;
use quorate_proto::etcdserverpb::response_op::Response;
use quorate_proto::health::HealthCheckRequest;
use quorate_proto::health::health_check_response::ServingStatus;
use quorate_proto::health::health_client::HealthClient;
use tonic::Request;

use super::*;
use crate::backup::Backup;

#[tokio::test]
async fn keys_are_written_read_and_deleted_with_real_headers() {
    let port = Port::open().await;
    let mut kv = port.kv().await;
    let reply = kv.put(put("a", "1")).await.unwrap().into_inner();
    let header =
        pb::ResponseHeader { cluster_id: 0xc1, member_id: 0x0e, revision: 2, raft_term: 7 };
    assert_eq!(reply, pb::PutResponse { header: Some(header), prev_kv: None });

    let reply = kv.range(range("a")).await.unwrap().into_inner();
    assert_eq!((reply.header, reply.count, reply.more), (Some(header), 1, false));
    assert_eq!(&*reply.kvs[0].value, b"1");
    let missing = kv.range(range("b")).await.unwrap().into_inner();
    assert_eq!((missing.header, missing.kvs.len()), (Some(header), 0), "a miss has a revision too");

    let previous = pb::PutRequest { prev_kv: true, ..put("a", "2") };
    let reply = kv.put(previous).await.unwrap().into_inner();
    assert_eq!((reply.header.unwrap().revision, &*reply.prev_kv.unwrap().value), (3, &b"1"[..]));
    let at = pb::RangeRequest { revision: 2, ..range("a") };
    let reply = kv.range(at.clone()).await.unwrap().into_inner();
    assert_eq!((reply.header.unwrap().revision, &*reply.kvs[0].value), (3, &b"1"[..]));

    let delete = pb::DeleteRangeRequest { key: "a".into(), ..Default::default() };
    let reply = kv.delete_range(delete.clone()).await.unwrap().into_inner();
    assert_eq!((reply.header.unwrap().revision, reply.deleted), (4, 1));
    let reply = kv.delete_range(delete).await.unwrap().into_inner();
    assert_eq!((reply.header.unwrap().revision, reply.deleted), (4, 0), "nothing to delete");

    let compact = |revision| pb::CompactionRequest { revision, physical: true };
    kv.compact(compact(4)).await.unwrap();
    let status = kv.range(at).await.unwrap_err();
    let compacted = "etcdserver: mvcc: required revision has been compacted";
    assert_eq!(seen(&status), (Code::OutOfRange, compacted));
    assert_eq!(seen(&kv.compact(compact(4)).await.unwrap_err()), (Code::OutOfRange, compacted));
    let future = "etcdserver: mvcc: required revision is a future revision";
    assert_eq!(seen(&kv.compact(compact(9)).await.unwrap_err()), (Code::OutOfRange, future));
}

#[tokio::test]
async fn a_transaction_takes_the_branch_that_its_comparison_chooses() {
    let port = Port::open().await;
    let mut kv = port.kv().await;
    let op = |request| pb::RequestOp { request: Some(request) };
    let request = pb::TxnRequest {
        compare: vec![pb::Compare {
            target: pb::compare::CompareTarget::Create.into(),
            key: "a".into(),
            ..pb::Compare::default()
        }],
        success: vec![op(pb::request_op::Request::RequestPut(put("a", "1")))],
        failure: vec![op(pb::request_op::Request::RequestRange(range("a")))],
    };
    let reply = kv.txn(request.clone()).await.unwrap().into_inner();
    assert!(reply.succeeded);
    assert_eq!(reply.header.unwrap().revision, 2);
    let reply = kv.txn(request).await.unwrap().into_inner();
    assert!(!reply.succeeded);
    let Some(Response::ResponseRange(read)) = &reply.responses[0].response else {
        panic!("{reply:?}")
    };
    assert_eq!(&*read.kvs[0].value, b"1");
    assert_eq!(reply.header.unwrap().revision, 2, "a branch that only reads makes no revision");
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_said_before_it_is_proposed() {
    let port = Port::open().await;
    let mut kv = port.kv().await;
    // Would be returned by the first call that reaches the node.
    let reached = CallError::Refused(Refusal::Overloaded);
    *port.backend().next_call.lock().unwrap() = Some(reached.clone());
    let empty = (Code::InvalidArgument, "etcdserver: key is not provided");
    assert_eq!(seen(&kv.put(put("", "1")).await.unwrap_err()), empty);
    assert_eq!(seen(&kv.range(range("")).await.unwrap_err()), empty);
    let delete = pb::DeleteRangeRequest::default();
    assert_eq!(seen(&kv.delete_range(delete).await.unwrap_err()), empty);
    let both = pb::PutRequest { ignore_value: true, ..put("a", "1") };
    let given = (Code::InvalidArgument, "etcdserver: value is provided");
    assert_eq!(seen(&kv.put(both).await.unwrap_err()), given);
    let op = || pb::RequestOp { request: Some(pb::request_op::Request::RequestPut(put("a", "1"))) };
    let twice = pb::TxnRequest { success: vec![op(), op()], ..Default::default() };
    let duplicate = (Code::InvalidArgument, "etcdserver: duplicate key given in txn request");
    assert_eq!(seen(&kv.txn(twice).await.unwrap_err()), duplicate);
    let many = pb::TxnRequest { success: vec![op(); 129], ..Default::default() };
    let too_many = (Code::InvalidArgument, "etcdserver: too many operations in txn request");
    assert_eq!(seen(&kv.txn(many).await.unwrap_err()), too_many);
    let untouched = port.backend().next_call.lock().unwrap().clone();
    assert_eq!(untouched, Some(reached), "nothing was proposed");
}

#[tokio::test]
async fn how_a_call_ended_reaches_the_client() {
    let port = Port::open().await;
    let mut kv = port.kv().await;
    let unknown = CallError::Unknown(UnknownReason::ConnectionLost);
    *port.backend().next_call.lock().unwrap() = Some(unknown);
    let status = kv.put(put("a", "1")).await.unwrap_err();
    let lost = "etcdserver: request timed out, possibly due to connection lost";
    assert_eq!(seen(&status), (Code::Unavailable, lost));
    assert!(status.metadata().get("quorate-outcome").is_none());

    let refusal = Refusal::NoLeader { waited: Duration::from_secs(1) };
    *port.backend().next_call.lock().unwrap() = Some(CallError::Refused(refusal));
    let status = kv.put(put("a", "1")).await.unwrap_err();
    assert_eq!(seen(&status), (Code::Unavailable, "etcdserver: no leader"));
    assert_eq!(status.metadata().get("quorate-outcome").unwrap(), "refused");
}

#[tokio::test]
async fn a_serializable_read_needs_no_quorum_and_a_linearizable_one_does() {
    let port = Port::open().await;
    let mut kv = port.kv().await;
    let refusal = Refusal::NoLeader { waited: Duration::from_secs(1) };
    *port.backend().no_quorum.lock().unwrap() = Some(refusal);
    let status = kv.range(range("a")).await.unwrap_err();
    assert_eq!(seen(&status), (Code::Unavailable, "etcdserver: no leader"));
    kv.range(pb::RangeRequest { serializable: true, ..range("a") }).await.unwrap();

    let mut cluster = port.cluster().await;
    let list = |linearizable| pb::MemberListRequest { linearizable };
    cluster.member_list(list(true)).await.unwrap_err();
    let reply = cluster.member_list(list(false)).await.unwrap().into_inner();
    assert_eq!(reply.members[0].name, "n1");
    let header =
        pb::ResponseHeader { cluster_id: 0xc1, member_id: 0x0e, revision: 0, raft_term: 7 };
    assert_eq!(reply.header, Some(header), "etcd's has no revision");
}

#[tokio::test]
async fn a_node_without_a_cluster_answers_every_call_with_what_it_waits_for() {
    let port = Port::open().await;
    let waiting_for = "it waits for 10.0.0.2:2380".to_owned();
    *port.backend().refusal.lock().unwrap() = Some(Refusal::NotFounded { waiting_for });
    let mut kv = port.kv().await;
    let mut maintenance = port.maintenance().await;
    let mut cluster = port.cluster().await;
    let serializable = pb::RangeRequest { serializable: true, ..range("a") };
    let errors = [
        kv.put(put("a", "1")).await.unwrap_err(),
        kv.range(range("a")).await.unwrap_err(),
        kv.range(serializable).await.unwrap_err(),
        kv.txn(pb::TxnRequest::default()).await.unwrap_err(),
        kv.compact(pb::CompactionRequest::default()).await.unwrap_err(),
        maintenance.status(pb::StatusRequest {}).await.unwrap_err(),
        maintenance.alarm(pb::AlarmRequest::default()).await.unwrap_err(),
        maintenance.hash_kv(pb::HashKvRequest::default()).await.unwrap_err(),
        maintenance.defragment(pb::DefragmentRequest {}).await.unwrap_err(),
        cluster.member_list(pb::MemberListRequest::default()).await.unwrap_err(),
    ];
    for status in errors {
        assert_eq!(status.code(), Code::Unavailable);
        assert!(status.message().contains("it waits for 10.0.0.2:2380"), "{status}");
    }
}

#[tokio::test]
async fn status_alarms_and_digests_answer_as_etcd_does() {
    let port = Port::open().await;
    let mut maintenance = port.maintenance().await;
    port.kv().await.put(put("a", "1")).await.unwrap();
    let status = maintenance.status(pb::StatusRequest {}).await.unwrap().into_inner();
    assert_eq!((status.version.as_str(), status.leader, status.raft_term), ("3.5.21", 0x0e, 7));
    assert_eq!((status.raft_index, status.raft_applied_index), (11, 10));
    assert_eq!((status.header.unwrap().revision, status.errors.len()), (2, 0));
    assert!(status.db_size > 0 && status.db_size_in_use == status.db_size);

    let alarms = maintenance.alarm(pb::AlarmRequest::default()).await.unwrap().into_inner();
    assert_eq!(alarms.alarms, []);
    let request = |action: AlarmAction, member_id, alarm: AlarmType| pb::AlarmRequest {
        action: action.into(),
        member_id,
        alarm: alarm.into(),
    };
    let raise = request(AlarmAction::Activate, 0, AlarmType::Nospace);
    let nospace = pb::AlarmMember { member_id: 0, alarm: AlarmType::Nospace.into() };
    for _ in 0..2 {
        let raised = maintenance.alarm(raise).await.unwrap().into_inner();
        assert_eq!((raised.header.unwrap().revision, raised.alarms), (2, vec![nospace]));
    }
    let full = port.kv().await.put(put("a", "2")).await.unwrap_err();
    let expected = (Code::ResourceExhausted, "etcdserver: mvcc: database space exceeded");
    assert_eq!(seen(&full), expected);
    let status = maintenance.status(pb::StatusRequest {}).await.unwrap().into_inner();
    assert_eq!(status.errors, ["memberID:0 alarm:NOSPACE"]);
    let get = |alarm| request(AlarmAction::Get, 9, alarm);
    for (alarm, shown) in [(AlarmType::None, 1), (AlarmType::Nospace, 1), (AlarmType::Corrupt, 0)] {
        let alarms = maintenance.alarm(get(alarm)).await.unwrap().into_inner();
        assert_eq!(alarms.alarms, vec![nospace; shown]);
    }
    // No kind of alarm, no change; another member's alarm is another.
    let none = request(AlarmAction::Deactivate, 0, AlarmType::None);
    let other = request(AlarmAction::Deactivate, 9, AlarmType::Nospace);
    let raise_none = request(AlarmAction::Activate, 0, AlarmType::None);
    for request in [none, other, raise_none] {
        assert_eq!(maintenance.alarm(request).await.unwrap().into_inner().alarms, []);
    }
    let clear = request(AlarmAction::Deactivate, 0, AlarmType::Nospace);
    assert_eq!(maintenance.alarm(clear).await.unwrap().into_inner().alarms, [nospace]);
    assert_eq!(maintenance.alarm(clear).await.unwrap().into_inner().alarms, []);
    let odd = pb::AlarmRequest { alarm: 9, ..raise };
    assert_eq!(maintenance.alarm(odd).await.unwrap_err().code(), Code::InvalidArgument);

    let hash = pb::HashKvRequest { revision: 0 };
    let hash = maintenance.hash_kv(hash).await.unwrap().into_inner();
    assert_eq!((hash.compact_revision, hash.hash_revision), (-1, 2));
    let whole = maintenance.hash(pb::HashRequest {}).await.unwrap().into_inner();
    assert_eq!(whole.hash, hash.hash);
    let future = maintenance.hash_kv(pb::HashKvRequest { revision: 9 }).await.unwrap_err();
    assert_eq!(future.code(), Code::OutOfRange);

    let defragment = maintenance.defragment(pb::DefragmentRequest {}).await.unwrap();
    assert_eq!(defragment.into_inner().header, None);
    let move_to = |target_id| pb::MoveLeaderRequest { target_id };
    assert_eq!(maintenance.move_leader(move_to(0x0e)).await.unwrap().into_inner().header, None);
    let status = maintenance.move_leader(move_to(1)).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);

    port.backend().standing.lock().unwrap().leader = None;
    let status = maintenance.status(pb::StatusRequest {}).await.unwrap().into_inner();
    assert_eq!((status.leader, status.errors), (0, vec!["etcdserver: no leader".to_owned()]));
    let waiting_for = "waits for n2 at h2:1".to_owned();
    *port.backend().waiting_for.lock().unwrap() = Some(waiting_for.clone());
    let status = maintenance.status(pb::StatusRequest {}).await.unwrap().into_inner();
    assert_eq!(status.errors, vec!["etcdserver: no leader".to_owned(), waiting_for]);
}

#[tokio::test]
async fn a_snapshot_is_streamed_whole_and_few_at_once() {
    let port = Port::open().await;
    let mut kv = port.kv().await;
    for number in 0..40 {
        kv.put(put(&format!("k{number}"), "v".repeat(50_000))).await.unwrap();
    }
    let mut maintenance = MaintenanceClient::new(port.channel().await);
    let mut stream = maintenance.snapshot(pb::SnapshotRequest {}).await.unwrap().into_inner();
    kv.put(put("later", "1")).await.unwrap();
    let (mut bytes, mut remaining) = (Vec::new(), u64::MAX);
    while let Some(message) = stream.message().await.unwrap() {
        assert!(!message.blob.is_empty() && message.blob.len() <= 64 << 10);
        assert_eq!((message.header.unwrap().revision, &*message.version), (41, "quorate-1"));
        bytes.extend_from_slice(&message.blob);
        remaining = message.remaining_bytes;
    }
    assert_eq!((remaining, bytes.len() % 512), (0, 32));
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &bytes).unwrap();
    let mut backup = Backup::open(file.path()).unwrap();
    let mut store = Store::default();
    store.restore(&mut backup.content().unwrap()).unwrap();
    assert_eq!(store.view().stats().keys, 40, "it is of the moment when it was asked for");

    // Streams that nobody reads keep their places until they are closed.
    let mut idle = Vec::new();
    let refused = loop {
        match maintenance.snapshot(pb::SnapshotRequest {}).await {
            Ok(stream) => idle.push(stream),
            Err(status) => break status,
        }
        assert!(idle.len() < 100, "there is no bound");
    };
    assert_eq!(seen(&refused), (Code::ResourceExhausted, "etcdserver: too many requests"));
    drop(idle);
    let opened = async {
        while maintenance.snapshot(pb::SnapshotRequest {}).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), opened).await.unwrap();
}

#[tokio::test]
async fn a_client_that_wants_a_leader_is_refused_without_one() {
    let port = Port::open().await;
    let mut kv = port.kv().await;
    let serializable = || {
        let range = pb::RangeRequest { serializable: true, ..range("a") };
        let mut request = Request::new(range);
        request.metadata_mut().insert("hasleader", "true".parse().unwrap());
        request
    };
    kv.range(serializable()).await.unwrap();
    port.backend().standing.lock().unwrap().leader = None;
    let status = kv.range(serializable()).await.unwrap_err();
    assert_eq!(seen(&status), (Code::Unavailable, "etcdserver: no leader"));
}

#[tokio::test]
async fn health_follows_the_node() {
    let port = Port::open().await;
    let mut health = HealthClient::new(port.channel().await);
    let of = |service: &str| HealthCheckRequest { service: service.to_owned() };
    for service in ["", "etcdserverpb.KV"] {
        let reply = health.check(of(service)).await.unwrap().into_inner();
        assert_eq!(reply.status(), ServingStatus::Serving);
    }
    let status = health.check(of("nobody")).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);

    let mut watched = health.watch(of("")).await.unwrap().into_inner();
    let told = watched.message().await.unwrap().unwrap();
    assert_eq!(told.status(), ServingStatus::Serving);
    *port.backend().refusal.lock().unwrap() = Some(Refusal::Stopped(StopReason::Shutdown));
    let told = watched.message().await.unwrap().unwrap();
    assert_eq!(told.status(), ServingStatus::NotServing);
    let mut watched = health.watch(of("nobody")).await.unwrap().into_inner();
    let told = watched.message().await.unwrap().unwrap();
    assert_eq!(told.status(), ServingStatus::ServiceUnknown);
}

#[tokio::test]
async fn stopping_finishes_what_is_under_way_and_closes_the_port() {
    let port = Port::open().await;
    let mut kv = port.kv().await;
    kv.put(put("a", "1")).await.unwrap();
    port.stop.send(true).unwrap();
    tokio::time::timeout(Duration::from_secs(2), port.task).await.unwrap().unwrap();
    kv.put(put("a", "2")).await.unwrap_err();
    assert!(tokio::net::TcpStream::connect(port.address).await.is_err());
}

#[tokio::test]
async fn what_a_write_says_of_its_session_reaches_the_node_and_nothing_else_does() {
    use quorate::SessionId;
    use quorate::sessions::{SessionRequest, Stamp};
    use quorate_proto::quoratepb as qpb;
    use quorate_proto::quoratepb::quorate_client::QuorateClient;

    let port = Port::open().await;
    let (mut kv, mut own) = (port.kv().await, QuorateClient::new(port.channel().await));
    let opened = own.open_session(qpb::OpenSessionRequest { ttl_ms: 0 }).await.unwrap();
    let session = opened.into_inner().session;
    assert_eq!(session, 17);
    kv.put(put("a", "1")).await.unwrap();
    let stamped = |stamp: &str, message| {
        let mut request = Request::new(message);
        request.metadata_mut().insert("quorate-session", stamp.parse().unwrap());
        request
    };
    kv.put(stamped("17.1.0", put("a", "2"))).await.unwrap();
    let append = qpb::AppendRequest { key: "a".into(), value: "3".into() };
    let mut request = Request::new(append);
    request.metadata_mut().insert("quorate-session", "17.2.1".parse().unwrap());
    let reply = own.append(request).await.unwrap().into_inner();
    assert_eq!((reply.length, reply.header.unwrap().revision), (2, 4));
    own.keep_session_alive(qpb::SessionRequest { session }).await.unwrap();
    own.close_session(qpb::SessionRequest { session }).await.unwrap();
    let session = SessionId(session);
    let command = |sequence, acknowledged| Stamp::Command { session, sequence, acknowledged };
    let of = |session, request| Stamp::Session { session, request };
    let expected = [
        of(SessionId::NONE, SessionRequest::Open { ttl_ms: 600_000 }),
        command(1, 0),
        command(2, 1),
        of(session, SessionRequest::KeepAlive),
        of(session, SessionRequest::Close),
    ];
    assert_eq!(*port.backend().stamps.lock().unwrap(), expected);
    let status = kv.put(stamped("17", put("a", "2"))).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    for (error, code, outcome) in [
        (CallError::Expired { maybe_applied: false }, Code::FailedPrecondition, "expired"),
        (CallError::Unknown(UnknownReason::ReplyLost), Code::Unknown, "reply-lost"),
        (CallError::Refused(Refusal::SessionCrowded), Code::ResourceExhausted, "refused"),
    ] {
        *port.backend().next_call.lock().unwrap() = Some(error);
        let status = kv.put(stamped("17.3.2", put("a", "2"))).await.unwrap_err();
        let said = status.metadata().get("quorate-outcome").unwrap();
        assert_eq!((status.code(), said.to_str().unwrap()), (code, outcome));
    }
}
