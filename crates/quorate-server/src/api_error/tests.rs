//! Every error's code and text, as a client gets them.

use std::time::Duration;

use quorate::{CodecError, StopReason};

use super::*;

const WAITED: Duration = Duration::from_secs(1);

/// Code and text as a client gets them, and whether the mark of no effect is there.
fn seen(error: impl Into<ApiError>) -> (Code, String, bool) {
    let status = Status::from(error.into());
    let mark = status.metadata().get(OUTCOME_METADATA).is_some_and(|mark| mark == OUTCOME_REFUSED);
    (status.code(), status.message().to_owned(), mark)
}

#[test]
fn what_the_store_refuses_has_etcds_code_and_text() {
    let table = [
        (KvError::KeyNotProvided, Code::InvalidArgument, "etcdserver: key is not provided"),
        (KvError::KeyNotFound, Code::InvalidArgument, "etcdserver: key not found"),
        (KvError::ValueProvided, Code::InvalidArgument, "etcdserver: value is provided"),
        (KvError::LeaseProvided, Code::InvalidArgument, "etcdserver: lease is provided"),
        (
            KvError::TooManyOperations,
            Code::InvalidArgument,
            "etcdserver: too many operations in txn request",
        ),
        (
            KvError::DuplicateKey,
            Code::InvalidArgument,
            "etcdserver: duplicate key given in txn request",
        ),
        (KvError::InvalidSortOption, Code::InvalidArgument, "etcdserver: invalid sort option"),
        (
            KvError::Compacted,
            Code::OutOfRange,
            "etcdserver: mvcc: required revision has been compacted",
        ),
        (
            KvError::FutureRevision,
            Code::OutOfRange,
            "etcdserver: mvcc: required revision is a future revision",
        ),
        (KvError::LeaseNotFound, Code::NotFound, "etcdserver: requested lease not found"),
    ];
    for (error, code, text) in table {
        assert_eq!(seen(error), (code, text.to_owned(), true), "{error:?}");
    }
}

#[test]
fn what_the_node_refuses_has_etcds_code_and_text_and_the_mark() {
    let table = [
        (Refusal::NoLeader { waited: WAITED }, Code::Unavailable, "etcdserver: no leader"),
        (Refusal::LeaderChanged, Code::Unavailable, "etcdserver: leader changed"),
        (Refusal::Overloaded, Code::ResourceExhausted, "etcdserver: too many requests"),
        (Refusal::TooLarge { limit: 1 }, Code::InvalidArgument, "etcdserver: request is too large"),
        (Refusal::Stopped(StopReason::Shutdown), Code::Unavailable, "etcdserver: server stopped"),
        (Refusal::TimedOut { waited: WAITED }, Code::Unavailable, "etcdserver: request timed out"),
    ];
    for (refusal, code, text) in table {
        let expected = (code, text.to_owned(), true);
        assert_eq!(seen(refusal.clone()), expected, "{refusal:?}");
        assert_eq!(seen(CallError::Refused(refusal)), expected);
    }
    assert_eq!(seen(ApiError::RequestTooLarge).1, "etcdserver: request is too large");
    assert_eq!(seen(ApiError::RequestTooLarge).0, Code::InvalidArgument);
    assert_eq!(seen(ApiError::NoLeader).1, "etcdserver: no leader");
}

#[test]
fn a_node_without_a_cluster_says_what_it_waits_for() {
    let waiting_for = "it waits for 10.0.0.2:2380".to_owned();
    let (code, text, _) = seen(Refusal::NotFounded { waiting_for: waiting_for.clone() });
    assert_eq!(code, Code::Unavailable);
    assert!(text.starts_with("etcdserver: no leader; ") && text.contains(&waiting_for), "{text}");
}

#[test]
fn what_may_have_happened_is_unavailable_and_bears_no_mark() {
    let table = [
        (UnknownReason::TimedOut { waited: WAITED }, "etcdserver: request timed out"),
        (
            UnknownReason::ConnectionLost,
            "etcdserver: request timed out, possibly due to connection lost",
        ),
        (
            UnknownReason::LeaderChanged,
            "etcdserver: request timed out, possibly due to previous leader failure",
        ),
        (UnknownReason::Stopped(StopReason::Shutdown), "etcdserver: request timed out"),
    ];
    for (reason, text) in table {
        let expected = (Code::Unavailable, text.to_owned(), false);
        assert_eq!(seen(CallError::Unknown(reason.clone())), expected, "{reason:?}");
    }
    let (code, _, mark) = seen(CallError::Unknown(UnknownReason::Reply(CodecError::Empty)));
    assert_eq!((code, mark), (Code::Unknown, false));
}

#[test]
fn what_is_not_there_yet_is_unimplemented() {
    let (code, text, mark) = seen(ApiError::NotThereYet { what: "watch" });
    assert_eq!(
        (code, text.as_str(), mark),
        (Code::Unimplemented, "quorate: watch is not there yet", true)
    );
}
