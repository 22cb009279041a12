//! The field numbers and wire types, against a second table written from etcd's public ones.
//!
//! Each message is encoded with every field set; what comes out must be these fields and no other.

use bytes::Bytes;
use prost::Message;
use quorate_proto::etcdserverpb::{
    self as pb, compare::TargetUnion, request_op::Request, response_op::Response,
    watch_request::RequestUnion,
};
use quorate_proto::{health, mvccpb};

const VARINT: u64 = 0;
const BYTES: u64 = 2;

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let (&byte, rest) = bytes.split_first().unwrap();
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    value
}

/// Every field of an encoded message: number, wire type, and the number or the bytes it holds.
fn fields(message: &impl Message) -> Vec<(u64, u64, u64)> {
    let bytes = message.encode_to_vec();
    let mut rest = bytes.as_slice();
    let mut fields = Vec::new();
    while !rest.is_empty() {
        let tag = varint(&mut rest);
        let value = varint(&mut rest);
        match tag & 7 {
            VARINT => {}
            BYTES => rest = &rest[usize::try_from(value).unwrap()..],
            other => panic!("etcd's messages have no wire type {other}"),
        }
        fields.push((tag >> 3, tag & 7, value));
    }
    fields
}

/// Number fields hold their own field number, so that a swap shows; bytes fields just appear.
fn check(message: &(impl Message + std::fmt::Debug), numbers: &[u64], bytes: &[u64]) {
    let mut expected: Vec<_> = numbers.iter().map(|&field| (field, VARINT, field)).collect();
    expected.extend(bytes.iter().map(|&field| (field, BYTES, 0)));
    expected.sort_unstable();
    let mut found = fields(message);
    for field in &mut found {
        if field.1 == BYTES {
            field.2 = 0;
        }
    }
    assert_eq!(found, expected, "{message:?}");
}

fn text() -> Bytes {
    Bytes::from_static(b"x")
}

fn header() -> Option<pb::ResponseHeader> {
    Some(pb::ResponseHeader { cluster_id: 1, member_id: 2, revision: 3, raft_term: 4 })
}

#[test]
fn key_values_events_and_headers() {
    let kv = mvccpb::KeyValue {
        key: text(),
        create_revision: 2,
        mod_revision: 3,
        version: 4,
        value: text(),
        lease: 6,
    };
    check(&kv, &[2, 3, 4, 6], &[1, 5]);
    let event = mvccpb::Event { r#type: 1, kv: Some(kv.clone()), prev_kv: Some(kv) };
    check(&event, &[1], &[2, 3]);
    check(&header().unwrap(), &[1, 2, 3, 4], &[]);
}

#[test]
fn ranges() {
    let request = pb::RangeRequest {
        key: text(),
        range_end: text(),
        limit: 3,
        revision: 4,
        sort_order: 5,
        sort_target: 6,
        serializable: true,
        keys_only: true,
        count_only: true,
        min_mod_revision: 10,
        max_mod_revision: 11,
        min_create_revision: 12,
        max_create_revision: 13,
    };
    let found = fields(&request);
    assert_eq!(found.iter().map(|field| field.0).collect::<Vec<_>>(), (1..=13).collect::<Vec<_>>());
    for field in found {
        let flag = (7..=9).contains(&field.0);
        match field.0 {
            1 | 2 => assert_eq!(field.1, BYTES),
            number => assert_eq!((field.1, field.2), (VARINT, if flag { 1 } else { number })),
        }
    }
    // One flag at a time, so that a swap of two shows.
    let none = pb::RangeRequest::default();
    assert_eq!(fields(&pb::RangeRequest { serializable: true, ..none.clone() })[0].0, 7);
    assert_eq!(fields(&pb::RangeRequest { keys_only: true, ..none.clone() })[0].0, 8);
    assert_eq!(fields(&pb::RangeRequest { count_only: true, ..none })[0].0, 9);
    let kvs = vec![mvccpb::KeyValue::default()];
    let reply = pb::RangeResponse { header: header(), kvs, more: false, count: 4 };
    check(&reply, &[4], &[1, 2]);
    assert_eq!(fields(&pb::RangeResponse { more: true, ..Default::default() }), [(3, VARINT, 1)]);
}

#[test]
fn puts_and_deletions() {
    let put = pb::PutRequest { key: text(), value: text(), lease: 3, ..Default::default() };
    check(&put, &[3], &[1, 2]);
    let none = pb::PutRequest::default();
    assert_eq!(fields(&pb::PutRequest { prev_kv: true, ..none.clone() })[0].0, 4);
    assert_eq!(fields(&pb::PutRequest { ignore_value: true, ..none.clone() })[0].0, 5);
    assert_eq!(fields(&pb::PutRequest { ignore_lease: true, ..none })[0].0, 6);
    let reply = pb::PutResponse { header: header(), prev_kv: Some(mvccpb::KeyValue::default()) };
    check(&reply, &[], &[1, 2]);

    let delete = pb::DeleteRangeRequest { key: text(), range_end: text(), prev_kv: false };
    check(&delete, &[], &[1, 2]);
    let flag = pb::DeleteRangeRequest { prev_kv: true, ..Default::default() };
    assert_eq!(fields(&flag), [(3, VARINT, 1)]);
    let prev_kvs = vec![mvccpb::KeyValue::default()];
    check(&pb::DeleteRangeResponse { header: header(), deleted: 2, prev_kvs }, &[2], &[1, 3]);
}

#[test]
fn transactions() {
    let compare = |target_union| pb::Compare {
        result: 1,
        target: 2,
        key: text(),
        range_end: text(),
        target_union: Some(target_union),
    };
    check(&compare(TargetUnion::Version(4)), &[1, 2, 4], &[3, 64]);
    check(&compare(TargetUnion::CreateRevision(5)), &[1, 2, 5], &[3, 64]);
    check(&compare(TargetUnion::ModRevision(6)), &[1, 2, 6], &[3, 64]);
    check(&compare(TargetUnion::Value(text())), &[1, 2], &[3, 7, 64]);
    check(&compare(TargetUnion::Lease(8)), &[1, 2, 8], &[3, 64]);

    let request = |request| pb::RequestOp { request: Some(request) };
    check(&request(Request::RequestRange(Default::default())), &[], &[1]);
    check(&request(Request::RequestPut(Default::default())), &[], &[2]);
    check(&request(Request::RequestDeleteRange(Default::default())), &[], &[3]);
    check(&request(Request::RequestTxn(Default::default())), &[], &[4]);
    let reply = |response| pb::ResponseOp { response: Some(response) };
    check(&reply(Response::ResponseRange(Default::default())), &[], &[1]);
    check(&reply(Response::ResponsePut(Default::default())), &[], &[2]);
    check(&reply(Response::ResponseDeleteRange(Default::default())), &[], &[3]);
    check(&reply(Response::ResponseTxn(Default::default())), &[], &[4]);

    let only = pb::TxnRequest { compare: vec![Default::default()], ..Default::default() };
    check(&only, &[], &[1]);
    let only = pb::TxnRequest { success: vec![Default::default()], ..Default::default() };
    check(&only, &[], &[2]);
    let only = pb::TxnRequest { failure: vec![Default::default()], ..Default::default() };
    check(&only, &[], &[3]);
    let reply =
        pb::TxnResponse { header: header(), succeeded: false, responses: vec![Default::default()] };
    check(&reply, &[], &[1, 3]);
    assert_eq!(fields(&pb::TxnResponse { succeeded: true, ..Default::default() })[0].0, 2);
    assert_eq!(
        fields(&pb::CompactionRequest { revision: 1, physical: true }),
        [(1, VARINT, 1), (2, VARINT, 1)]
    );
}

#[test]
fn members_status_and_alarms() {
    let member = pb::Member {
        id: 1,
        name: "n".into(),
        peer_urls: vec!["p".into()],
        client_urls: vec![],
        is_learner: false,
    };
    check(&member, &[1], &[2, 3]);
    let urls = pb::Member { client_urls: vec!["c".into()], ..Default::default() };
    check(&urls, &[], &[4]);
    assert_eq!(fields(&pb::Member { is_learner: true, ..Default::default() })[0].0, 5);
    check(&pb::MemberListResponse { header: header(), members: vec![member] }, &[], &[1, 2]);

    let status = pb::StatusResponse {
        header: header(),
        version: "v".into(),
        db_size: 3,
        leader: 4,
        raft_index: 5,
        raft_term: 6,
        raft_applied_index: 7,
        errors: vec!["e".into()],
        db_size_in_use: 9,
        is_learner: false,
        storage_version: "s".into(),
        db_size_quota: 12,
        downgrade_info: Some(Default::default()),
    };
    check(&status, &[3, 4, 5, 6, 7, 9, 12], &[1, 2, 8, 11, 13]);
    assert_eq!(fields(&pb::StatusResponse { is_learner: true, ..Default::default() })[0].0, 10);
    check(&pb::AlarmRequest { action: 1, member_id: 2, alarm: 3 }, &[1, 2, 3], &[]);
    check(&pb::AlarmMember { member_id: 1, alarm: 2 }, &[1, 2], &[]);
    check(&pb::AlarmResponse { header: header(), alarms: vec![Default::default()] }, &[], &[1, 2]);
    let hash =
        pb::HashKvResponse { header: header(), hash: 2, compact_revision: 3, hash_revision: 4 };
    check(&hash, &[2, 3, 4], &[1]);
}

#[test]
fn watches_and_leases() {
    let create = RequestUnion::CreateRequest(Default::default());
    check(&pb::WatchRequest { request_union: Some(create) }, &[], &[1]);
    let cancel = RequestUnion::CancelRequest(pb::WatchCancelRequest { watch_id: 1 });
    check(&pb::WatchRequest { request_union: Some(cancel) }, &[], &[2]);
    let progress = RequestUnion::ProgressRequest(pb::WatchProgressRequest {});
    check(&pb::WatchRequest { request_union: Some(progress) }, &[], &[3]);
    let create = pb::WatchCreateRequest {
        key: text(),
        range_end: text(),
        start_revision: 3,
        filters: vec![1],
        watch_id: 7,
        ..Default::default()
    };
    check(&create, &[3, 7], &[1, 2, 5]);
    let reply = pb::WatchResponse {
        header: header(),
        watch_id: 2,
        compact_revision: 5,
        cancel_reason: "r".into(),
        events: vec![mvccpb::Event::default()],
        ..Default::default()
    };
    check(&reply, &[2, 5], &[1, 6, 11]);
    check(&pb::LeaseGrantRequest { ttl: 1, id: 2 }, &[1, 2], &[]);
    let grant = pb::LeaseGrantResponse { header: header(), id: 2, ttl: 3, error: "e".into() };
    check(&grant, &[2, 3], &[1, 4]);
    let left = pb::LeaseTimeToLiveResponse {
        header: header(),
        id: 2,
        ttl: 3,
        granted_ttl: 4,
        keys: vec![text()],
    };
    check(&left, &[2, 3, 4], &[1, 5]);
}

#[test]
fn health_checks() {
    check(&health::HealthCheckRequest { service: "s".into() }, &[], &[1]);
    check(&health::HealthCheckResponse { status: 1 }, &[1], &[]);
}

#[test]
fn a_message_nested_beyond_reason_is_refused() {
    let mut deep = pb::TxnRequest::default().encode_to_vec();
    for _ in 0..200 {
        let nested = pb::TxnRequest::decode(deep.as_slice());
        let Ok(nested) = nested else { return };
        let request = Some(Request::RequestTxn(nested));
        deep = pb::TxnRequest { success: vec![pb::RequestOp { request }], ..Default::default() }
            .encode_to_vec();
    }
    panic!("200 levels of transactions were decoded");
}
