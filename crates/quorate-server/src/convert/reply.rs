//! The store's replies as etcd's.
//!
//! The header of a whole reply says who answered; headers of replies nested in a transaction's
//! carry only a revision, and that of a nested transaction not even this.

use bytes::Bytes;
use quorate_kv::{DeleteRangeReply, KeyValue, Outcome, PutReply, RangeReply, Revision, TxnReply};
use quorate_proto::etcdserverpb as pb;
use quorate_proto::etcdserverpb::response_op::Response;
use quorate_proto::mvccpb;

type Header = Option<pb::ResponseHeader>;

/// The reply to a range read.
pub(crate) fn range_reply(header: Header, reply: &RangeReply) -> pb::RangeResponse {
    pb::RangeResponse {
        header,
        kvs: reply.kvs.iter().map(key_value).collect(),
        more: reply.more,
        count: count(reply.count),
    }
}

/// The reply to a put.
pub(crate) fn put_reply(header: Header, reply: &PutReply) -> pb::PutResponse {
    pb::PutResponse { header, prev_kv: reply.previous.as_ref().map(key_value) }
}

/// The reply to a deletion.
pub(crate) fn delete_range_reply(
    header: Header,
    reply: &DeleteRangeReply,
) -> pb::DeleteRangeResponse {
    pb::DeleteRangeResponse {
        header,
        deleted: count(reply.deleted),
        prev_kvs: reply.previous.iter().map(key_value).collect(),
    }
}

/// The reply to a transaction.
pub(crate) fn txn_reply(header: Header, reply: TxnReply) -> pb::TxnResponse {
    pb::TxnResponse {
        header,
        succeeded: reply.succeeded,
        responses: reply.outcomes.into_iter().map(outcome).collect(),
    }
}

fn outcome(outcome: Outcome) -> pb::ResponseOp {
    let response = match outcome {
        Outcome::Range(reply) => {
            Some(Response::ResponseRange(range_reply(nested(reply.revision), &reply)))
        }
        Outcome::Put(reply) => {
            Some(Response::ResponsePut(put_reply(nested(reply.revision), &reply)))
        }
        Outcome::DeleteRange(reply) => {
            let header = nested(reply.revision);
            Some(Response::ResponseDeleteRange(delete_range_reply(header, &reply)))
        }
        // A nested transaction's own header says nothing at all.
        Outcome::Txn(reply) => {
            let header = Some(pb::ResponseHeader::default());
            Some(Response::ResponseTxn(txn_reply(header, reply)))
        }
        // No operation of a transaction compacts, appends or changes an alarm.
        Outcome::Compact | Outcome::Alarms(_) | Outcome::Append(_) => None,
    };
    pb::ResponseOp { response }
}

fn nested(revision: Revision) -> Header {
    Some(pb::ResponseHeader { revision: revision.get(), ..pb::ResponseHeader::default() })
}

fn key_value(kv: &KeyValue) -> mvccpb::KeyValue {
    mvccpb::KeyValue {
        key: Bytes::copy_from_slice(kv.key()),
        create_revision: kv.create_revision().get(),
        mod_revision: kv.mod_revision().get(),
        version: kv.version(),
        value: Bytes::copy_from_slice(kv.value()),
        lease: kv.lease().get(),
    }
}

/// A number of keys as the wire has it.
fn count(keys: u64) -> i64 {
    i64::try_from(keys).unwrap_or(i64::MAX)
}
