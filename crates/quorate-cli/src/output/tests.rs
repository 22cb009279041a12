//! What each form looks like, byte for byte.

use bytes::Bytes;
use quorate_client::KeyValue;
use quorate_client::proto::{
    Member, ResponseHeader, ResponseOp, StatusResponse, response_op::Response,
};

use super::*;

const HEADER: ResponseHeader =
    ResponseHeader { cluster_id: 7, member_id: 31, revision: 2, raft_term: 3 };

fn printer(format: Format) -> Printer {
    Printer { format, hex: false, value_only: false }
}

fn pair() -> KeyValue {
    KeyValue {
        key: Bytes::from_static(b"a"),
        value: Bytes::from_static(b"1"),
        create_revision: 2,
        mod_revision: 2,
        version: 1,
        lease: 0,
    }
}

fn got() -> RangeResponse {
    RangeResponse { header: Some(HEADER), kvs: vec![pair()], more: false, count: 1 }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

#[test]
fn a_key_and_its_value_stand_on_lines_of_their_own() {
    let mut printer = printer(Format::Simple);
    assert_eq!(text(simple::range(&printer, &got())), "a\n1\n");
    printer.hex = true;
    assert_eq!(text(simple::range(&printer, &got())), "\\x61\n\\x31\n");
    printer.value_only = true;
    assert_eq!(text(simple::range(&printer, &got())), "\\x31\n");
}

#[test]
fn json_has_etcds_names_and_leaves_out_what_is_empty() {
    assert_eq!(
        text(json::range(&got())),
        "{\"header\":{\"cluster_id\":7,\"member_id\":31,\"revision\":2,\"raft_term\":3},\
         \"kvs\":[{\"key\":\"YQ==\",\"create_revision\":2,\"mod_revision\":2,\"version\":1,\
         \"value\":\"MQ==\"}],\"count\":1}\n"
    );
    let nothing = RangeResponse { header: Some(HEADER), ..RangeResponse::default() };
    assert!(!text(json::range(&nothing)).contains("kvs"));
}

#[test]
fn fields_stand_one_to_a_line() {
    let shown = text(fields::range(&got()));
    assert!(shown.starts_with("\"ClusterID\" : 7\n\"MemberID\" : 31\n\"Revision\" : 2\n"));
    assert!(shown.contains("\"Key\" : \"a\"\n\"CreateRevision\" : 2\n"));
    assert!(shown.ends_with("\"More\" : false\n\"Count\" : 1\n"));
}

#[test]
fn a_transaction_says_which_branch_ran_and_what_each_step_answered() {
    let put = PutResponse { header: None, prev_kv: None };
    let deleted = DeleteRangeResponse { header: None, deleted: 2, prev_kvs: vec![] };
    let responses = [
        Response::ResponsePut(put),
        Response::ResponseRange(got()),
        Response::ResponseDeleteRange(deleted),
    ];
    let responses = responses.map(|response| ResponseOp { response: Some(response) }).to_vec();
    let reply = TxnResponse { header: Some(HEADER), succeeded: true, responses };
    assert_eq!(text(simple::txn(&printer(Format::Simple), &reply)), "SUCCESS\n\nOK\n\na\n1\n\n2\n");
    assert!(
        text(json::txn(&reply)).contains(r#"{"Response":{"ResponseDeleteRange":{"deleted":2}}}"#)
    );
}

#[test]
fn members_and_statuses_come_as_lists_and_as_tables() {
    let member = Member {
        id: 31,
        name: "n1".into(),
        peer_urls: vec!["http://127.0.0.1:2380".into()],
        client_urls: vec!["http://127.0.0.1:2379".into()],
        is_learner: false,
    };
    let reply = MemberListResponse { header: Some(HEADER), members: vec![member] };
    assert_eq!(
        text(simple::members(&reply)),
        "1f, started, n1, http://127.0.0.1:2380, http://127.0.0.1:2379, false\n"
    );
    let status = StatusResponse {
        header: Some(HEADER),
        version: "3.5.21".into(),
        db_size: 20_480,
        leader: 31,
        raft_index: 8,
        raft_term: 3,
        raft_applied_index: 8,
        ..StatusResponse::default()
    };
    let statuses = [EndpointStatus { endpoint: "127.0.0.1:2379".into(), status }];
    assert_eq!(
        text(simple::statuses(&statuses)),
        "127.0.0.1:2379, 1f, 3.5.21, 20 kB, true, false, 3, 8, 8, \n"
    );
    let table = text(table::statuses(&statuses));
    let widths: Vec<usize> = table.lines().map(str::len).collect();
    assert_eq!(widths.len(), 5);
    assert!(widths.iter().all(|width| *width == widths[0]), "{table}");
}

#[test]
fn sizes_are_short() {
    assert_eq!(size(0), "0 B");
    assert_eq!(size(999), "999 B");
    assert_eq!(size(1500), "1.5 kB");
    assert_eq!(size(20_480), "20 kB");
    assert_eq!(size(5_000_000), "5 MB");
}

#[test]
fn no_verb_that_answers_with_keys_has_a_table() {
    let failure = printer(Format::Table).range(&got()).unwrap_err();
    assert_eq!(failure.exit, Exit::Usage);
}
