//! Requests and replies, option by option.

use bytes::Bytes;
use quorate_kv::{
    Command, Compare, CompareTarget, DeleteRange, KeyRange, KvError, LeaseId, Operation, Outcome,
    Put, Range, Relation, Revision, SortOrder, SortTarget, Store, Txn,
};
use quorate_proto::etcdserverpb as pb;
use quorate_proto::etcdserverpb::compare::TargetUnion;
use quorate_proto::etcdserverpb::request_op::Request;
use quorate_proto::etcdserverpb::response_op::Response;

use super::*;
use crate::api_error::ApiError;

fn op(request: Request) -> pb::RequestOp {
    pb::RequestOp { request: Some(request) }
}

fn bytes(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

#[test]
fn every_option_of_a_range_reaches_the_store() {
    let request = pb::RangeRequest {
        key: bytes("a"),
        range_end: bytes("b"),
        limit: 1,
        revision: 2,
        sort_order: 2,
        sort_target: 3,
        serializable: true,
        keys_only: true,
        count_only: true,
        min_mod_revision: 3,
        max_mod_revision: 4,
        min_create_revision: 5,
        max_create_revision: 6,
    };
    let expected = Range {
        range: KeyRange::new(b"a", b"b"),
        limit: 1,
        revision: Revision(2),
        sort_order: SortOrder::Descend,
        sort_target: SortTarget::ModRevision,
        keys_only: true,
        count_only: true,
        min_mod_revision: 3,
        max_mod_revision: 4,
        min_create_revision: 5,
        max_create_revision: 6,
    };
    assert_eq!(range(&request), Ok(expected));
}

#[test]
fn sort_options_go_by_etcds_numbers_and_others_are_refused() {
    let read = |sort_order, sort_target| {
        let request = pb::RangeRequest { sort_order, sort_target, ..Default::default() };
        range(&request).map(|range| (range.sort_order, range.sort_target))
    };
    let orders = [SortOrder::None, SortOrder::Ascend, SortOrder::Descend];
    for (number, order) in (0..).zip(orders) {
        assert_eq!(read(number, 0), Ok((order, SortTarget::Key)));
    }
    let targets = [
        SortTarget::Key,
        SortTarget::Version,
        SortTarget::CreateRevision,
        SortTarget::ModRevision,
        SortTarget::Value,
    ];
    for (number, target) in (0..).zip(targets) {
        assert_eq!(read(0, number), Ok((SortOrder::None, target)));
    }
    for (order, target) in [(3, 0), (-1, 0), (0, 5), (0, i32::MIN)] {
        assert_eq!(read(order, target), Err(ApiError::Kv(KvError::InvalidSortOption)));
    }
}

#[test]
fn puts_and_deletions_reach_the_store_with_every_option() {
    let request = pb::PutRequest {
        key: bytes("k"),
        value: bytes("v"),
        lease: -7,
        prev_kv: true,
        ignore_value: false,
        ignore_lease: false,
    };
    let made = put(&request);
    let mut expected = Put::new(b"k", b"v").with_previous();
    expected.lease = LeaseId(-7);
    assert_eq!(made, expected);
    let made = put(&pb::PutRequest { ignore_value: true, ..request.clone() });
    assert!(made.ignore_value && !made.ignore_lease);
    let made = put(&pb::PutRequest { ignore_lease: true, ..request });
    assert!(made.ignore_lease && !made.ignore_value);

    let request = pb::DeleteRangeRequest { key: bytes("k"), range_end: bytes("\0"), prev_kv: true };
    let expected = DeleteRange::new(KeyRange::from_key(b"k")).with_previous();
    assert_eq!(delete_range(&request), expected);
}

#[test]
fn comparisons_go_by_etcds_numbers() {
    let read = |result, target, target_union| {
        let compare =
            pb::Compare { result, target, key: bytes("k"), range_end: bytes("z"), target_union };
        txn(&pb::TxnRequest { compare: vec![compare], ..Default::default() })
            .map(|mut txn| txn.compares.remove(0))
    };
    let expected =
        |relation, target| Ok(Compare { range: KeyRange::new(b"k", b"z"), relation, target });
    let relations = [Relation::Equal, Relation::Greater, Relation::Less, Relation::NotEqual];
    for (number, relation) in (0..).zip(relations) {
        let given = Some(TargetUnion::Version(1));
        assert_eq!(read(number, 0, given), expected(relation, CompareTarget::Version(1)));
    }
    let targets = [
        (TargetUnion::Version(4), CompareTarget::Version(4)),
        (TargetUnion::CreateRevision(5), CompareTarget::CreateRevision(5)),
        (TargetUnion::ModRevision(6), CompareTarget::ModRevision(6)),
        (TargetUnion::Value(bytes("v")), CompareTarget::Value(Box::from(&b"v"[..]))),
        (TargetUnion::Lease(8), CompareTarget::Lease(8)),
    ];
    for (number, (given, target)) in (0..).zip(targets.clone()) {
        assert_eq!(read(0, number, Some(given)), expected(Relation::Equal, target));
    }
    // A value of another kind than the target's counts as none.
    let nothing = [
        CompareTarget::Version(0),
        CompareTarget::CreateRevision(0),
        CompareTarget::ModRevision(0),
        CompareTarget::Value(Box::default()),
        CompareTarget::Lease(0),
    ];
    for (number, target) in (0..).zip(nothing) {
        let other = targets[(usize::try_from(number).unwrap() + 1) % 5].0.clone();
        assert_eq!(read(0, number, Some(other)), expected(Relation::Equal, target.clone()));
        assert_eq!(read(0, number, None), expected(Relation::Equal, target));
    }
    let refused = ApiError::UnknownEnum { field: "compare.result", value: 4 };
    assert_eq!(read(4, 0, None), Err(refused));
    let refused = ApiError::UnknownEnum { field: "compare.target", value: -1 };
    assert_eq!(read(0, -1, None), Err(refused));
}

#[test]
fn a_transaction_keeps_its_branches_apart_and_its_nesting() {
    let inner = pb::TxnRequest {
        failure: vec![op(Request::RequestDeleteRange(Default::default()))],
        ..Default::default()
    };
    let request = pb::TxnRequest {
        compare: Vec::new(),
        success: vec![
            op(Request::RequestRange(Default::default())),
            op(Request::RequestTxn(inner)),
        ],
        failure: vec![op(Request::RequestPut(Default::default()))],
    };
    let inner =
        Txn { failure: vec![Operation::DeleteRange(DeleteRange::key(b""))], ..Txn::default() };
    let expected = Txn {
        compares: Vec::new(),
        success: vec![Operation::Range(Range::key(b"")), Operation::Txn(inner)],
        failure: vec![Operation::Put(Put::new(b"", b""))],
    };
    assert_eq!(txn(&request), Ok(expected));

    let empty = pb::TxnRequest { success: vec![pb::RequestOp::default()], ..Default::default() };
    assert_eq!(txn(&empty), Err(ApiError::Kv(KvError::KeyNotFound)));
}

#[test]
fn of_several_faults_of_a_transaction_the_first_is_named() {
    let fault = |request: &pb::TxnRequest| txn(request).unwrap_err();
    let empty = pb::RequestOp::default;
    let keyless = || op(Request::RequestRange(Default::default()));
    let both = |success, failure| pb::TxnRequest { success, failure, ..Default::default() };
    let not_provided = ApiError::Kv(KvError::KeyNotProvided);
    let not_found = ApiError::Kv(KvError::KeyNotFound);
    assert_eq!(fault(&both(vec![keyless(), empty()], vec![])), not_provided);
    assert_eq!(fault(&both(vec![empty(), keyless()], vec![])), not_found);
    assert_eq!(fault(&both(vec![empty()], vec![keyless()])), not_found);
    assert_eq!(fault(&both(vec![keyless()], vec![empty()])), not_provided);
    let keyless_compare = vec![pb::Compare::default()];
    let request = pb::TxnRequest { compare: keyless_compare, ..both(vec![empty()], vec![]) };
    assert_eq!(fault(&request), not_provided);
    let too_many = ApiError::Kv(KvError::TooManyOperations);
    assert_eq!(fault(&both(vec![empty(); 129], vec![])), too_many);
    let nested = op(Request::RequestTxn(both(vec![keyless()], vec![])));
    assert_eq!(fault(&both(vec![nested, empty()], vec![])), not_provided);
    let nested = op(Request::RequestTxn(both(vec![empty(); 128], vec![])));
    assert_eq!(fault(&both(vec![nested], vec![])), too_many, "the outer one leaves 127");
}

#[test]
fn replies_say_who_answered_once_and_the_revision_everywhere() {
    let mut store = Store::default();
    let mut apply = |command| store.apply(command, &mut Vec::new());
    apply(Command::Put(Put::new(b"a", b"1")));
    let nested = Txn { success: vec![Operation::Range(Range::key(b"a"))], ..Txn::default() };
    let command = Txn {
        success: vec![
            Operation::Put(Put::new(b"a", b"2").with_previous()),
            Operation::Txn(nested),
            Operation::DeleteRange(DeleteRange::key(b"absent").with_previous()),
        ],
        ..Txn::default()
    };
    let reply = apply(Command::Txn(command));
    let Ok(Outcome::Txn(reply)) = reply.result else { panic!("{reply:?}") };
    let header = pb::ResponseHeader { cluster_id: 1, member_id: 2, revision: 3, raft_term: 4 };
    let reply = txn_reply(Some(header), reply);
    assert_eq!(reply.header, Some(header));
    assert!(reply.succeeded);

    let bare = Some(pb::ResponseHeader { revision: 3, ..Default::default() });
    let responses: Vec<_> = reply.responses.into_iter().filter_map(|op| op.response).collect();
    let [
        Response::ResponsePut(put),
        Response::ResponseTxn(txn),
        Response::ResponseDeleteRange(delete),
    ] = responses.as_slice()
    else {
        panic!("{responses:?}")
    };
    assert_eq!((put.header, delete.header), (bare, bare));
    assert_eq!(txn.header, Some(pb::ResponseHeader::default()));
    let previous = put.prev_kv.as_ref().unwrap();
    assert_eq!((&*previous.key, &*previous.value), (&b"a"[..], &b"1"[..]));
    assert_eq!((previous.create_revision, previous.mod_revision), (2, 2));
    assert_eq!((previous.version, previous.lease), (1, 0));
    assert_eq!((delete.deleted, delete.prev_kvs.len()), (0, 0));
    let Some(Response::ResponseRange(range)) = &txn.responses[0].response else {
        panic!("{txn:?}")
    };
    assert_eq!((range.header, range.count, range.more), (bare, 1, false));
    assert_eq!((range.kvs[0].version, range.kvs[0].mod_revision), (2, 3));
}
