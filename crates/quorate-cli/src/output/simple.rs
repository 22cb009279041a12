//! The plain form: what people read and what scripts cut.

use quorate_client::KeyValue;
use quorate_client::proto::response_op::Response;
use quorate_client::proto::{
    DeleteRangeResponse, MemberListResponse, PutResponse, RangeResponse, TxnResponse,
};

use super::{BackupStatus, EndpointStatus, Printer, size};

pub(super) fn backup(status: &BackupStatus) -> Vec<u8> {
    let BackupStatus { hash, revision, keys, .. } = status;
    format!("{hash:x}, {revision}, {keys}, {}\n", status.size()).into_bytes()
}

pub(super) fn range(printer: &Printer, reply: &RangeResponse) -> Vec<u8> {
    pairs(printer, &reply.kvs)
}

pub(super) fn put(printer: &Printer, reply: &PutResponse) -> Vec<u8> {
    let mut out = b"OK\n".to_vec();
    out.extend(pairs(printer, reply.prev_kv.as_slice()));
    out
}

pub(super) fn delete(printer: &Printer, reply: &DeleteRangeResponse) -> Vec<u8> {
    let mut out = format!("{}\n", reply.deleted).into_bytes();
    out.extend(pairs(printer, &reply.prev_kvs));
    out
}

pub(super) fn txn(printer: &Printer, reply: &TxnResponse) -> Vec<u8> {
    let head: &[u8] = if reply.succeeded { b"SUCCESS\n" } else { b"FAILURE\n" };
    let mut out = head.to_vec();
    for operation in &reply.responses {
        out.push(b'\n');
        match &operation.response {
            Some(Response::ResponseRange(reply)) => out.extend(range(printer, reply)),
            Some(Response::ResponsePut(reply)) => out.extend(put(printer, reply)),
            Some(Response::ResponseDeleteRange(reply)) => out.extend(delete(printer, reply)),
            Some(Response::ResponseTxn(reply)) => out.extend(txn(printer, reply)),
            None => {}
        }
    }
    out
}

pub(super) fn members(reply: &MemberListResponse) -> Vec<u8> {
    let rows = super::table::member_rows(reply);
    lines(&rows)
}

pub(super) fn statuses(statuses: &[EndpointStatus]) -> Vec<u8> {
    lines(&super::table::status_rows(statuses, size))
}

fn pairs(printer: &Printer, pairs: &[KeyValue]) -> Vec<u8> {
    let mut out = Vec::new();
    for pair in pairs {
        if !printer.value_only {
            out.extend(printer.bytes(&pair.key));
            out.push(b'\n');
        }
        out.extend(printer.bytes(&pair.value));
        out.push(b'\n');
    }
    out
}

fn lines(rows: &[Vec<String>]) -> Vec<u8> {
    rows.iter().flat_map(|row| format!("{}\n", row.join(", ")).into_bytes()).collect()
}
