//! etcdctl's JSON: one line, keys and values in base64, fields in the order of the protocol, empty
//! fields left out.

use quorate_client::KeyValue;
use quorate_client::proto::response_op::Response;
use quorate_client::proto::{
    DeleteRangeResponse, MemberListResponse, PutResponse, RangeResponse, ResponseHeader,
    TxnResponse,
};

use super::{BackupStatus, EndpointStatus};

pub(super) fn backup(status: &BackupStatus) -> Vec<u8> {
    let mut object = Object::default();
    object.number("hash", i128::from(status.hash));
    object.number("revision", i128::from(status.revision));
    object.number("totalKey", i128::from(status.keys));
    object.number("totalSize", i128::from(status.bytes));
    object.number("clusterID", i128::from(status.cluster_id));
    line(&object.finish())
}

pub(super) fn range(reply: &RangeResponse) -> Vec<u8> {
    line(&range_object(reply))
}

pub(super) fn put(reply: &PutResponse) -> Vec<u8> {
    line(&put_object(reply))
}

pub(super) fn delete(reply: &DeleteRangeResponse) -> Vec<u8> {
    line(&delete_object(reply))
}

pub(super) fn txn(reply: &TxnResponse) -> Vec<u8> {
    line(&txn_object(reply))
}

pub(super) fn members(reply: &MemberListResponse) -> Vec<u8> {
    let mut object = Object::with_header(reply.header);
    let members = reply.members.iter().map(|member| {
        let mut entry = Object::default();
        entry.number("ID", i128::from(member.id));
        entry.text("name", &member.name);
        entry.texts("peerURLs", &member.peer_urls);
        entry.texts("clientURLs", &member.client_urls);
        entry.flag("isLearner", member.is_learner);
        entry.finish()
    });
    object.list("members", &members.collect::<Vec<_>>());
    line(&object.finish())
}

pub(super) fn statuses(statuses: &[EndpointStatus]) -> Vec<u8> {
    let entries = statuses.iter().map(|EndpointStatus { endpoint, status }| {
        let mut inner = Object::with_header(status.header);
        inner.text("version", &status.version);
        inner.number("dbSize", i128::from(status.db_size));
        inner.number("leader", i128::from(status.leader));
        inner.number("raftIndex", i128::from(status.raft_index));
        inner.number("raftTerm", i128::from(status.raft_term));
        inner.number("raftAppliedIndex", i128::from(status.raft_applied_index));
        inner.texts("errors", &status.errors);
        inner.number("dbSizeInUse", i128::from(status.db_size_in_use));
        inner.flag("isLearner", status.is_learner);
        let mut entry = Object::default();
        entry.text("Endpoint", endpoint);
        entry.raw("Status", &inner.finish());
        entry.finish()
    });
    line(&format!("[{}]", entries.collect::<Vec<_>>().join(",")))
}

fn line(text: &str) -> Vec<u8> {
    format!("{text}\n").into_bytes()
}

fn range_object(reply: &RangeResponse) -> String {
    let mut object = Object::with_header(reply.header);
    object.list("kvs", &pairs(&reply.kvs));
    object.flag("more", reply.more);
    object.number("count", i128::from(reply.count));
    object.finish()
}

fn put_object(reply: &PutResponse) -> String {
    let mut object = Object::with_header(reply.header);
    if let Some(previous) = &reply.prev_kv {
        object.raw("prev_kv", &pair(previous));
    }
    object.finish()
}

fn delete_object(reply: &DeleteRangeResponse) -> String {
    let mut object = Object::with_header(reply.header);
    object.number("deleted", i128::from(reply.deleted));
    object.list("prev_kvs", &pairs(&reply.prev_kvs));
    object.finish()
}

fn txn_object(reply: &TxnResponse) -> String {
    let mut object = Object::with_header(reply.header);
    object.flag("succeeded", reply.succeeded);
    let responses = reply.responses.iter().map(|operation| {
        let (name, inner) = match &operation.response {
            Some(Response::ResponseRange(reply)) => ("ResponseRange", range_object(reply)),
            Some(Response::ResponsePut(reply)) => ("ResponsePut", put_object(reply)),
            Some(Response::ResponseDeleteRange(reply)) => {
                ("ResponseDeleteRange", delete_object(reply))
            }
            Some(Response::ResponseTxn(reply)) => ("ResponseTxn", txn_object(reply)),
            None => return r#"{"Response":null}"#.to_owned(),
        };
        format!(r#"{{"Response":{{"{name}":{inner}}}}}"#)
    });
    object.list("responses", &responses.collect::<Vec<_>>());
    object.finish()
}

fn pairs(pairs: &[KeyValue]) -> Vec<String> {
    pairs.iter().map(pair).collect()
}

fn pair(pair: &KeyValue) -> String {
    let mut object = Object::default();
    object.text("key", &base64(&pair.key));
    object.number("create_revision", i128::from(pair.create_revision));
    object.number("mod_revision", i128::from(pair.mod_revision));
    object.number("version", i128::from(pair.version));
    object.text("value", &base64(&pair.value));
    object.number("lease", i128::from(pair.lease));
    object.finish()
}

/// An object that leaves out what is empty.
#[derive(Default)]
struct Object {
    fields: Vec<String>,
}

impl Object {
    fn with_header(header: Option<ResponseHeader>) -> Self {
        let mut object = Self::default();
        if let Some(header) = header {
            let mut inner = Self::default();
            inner.number("cluster_id", i128::from(header.cluster_id));
            inner.number("member_id", i128::from(header.member_id));
            inner.number("revision", i128::from(header.revision));
            inner.number("raft_term", i128::from(header.raft_term));
            object.raw("header", &inner.finish());
        }
        object
    }

    fn raw(&mut self, name: &str, value: &str) {
        self.fields.push(format!("\"{name}\":{value}"));
    }

    fn number(&mut self, name: &str, value: i128) {
        if value != 0 {
            self.raw(name, &value.to_string());
        }
    }

    fn flag(&mut self, name: &str, value: bool) {
        if value {
            self.raw(name, "true");
        }
    }

    fn text(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            self.raw(name, &quoted(value));
        }
    }

    fn texts(&mut self, name: &str, values: &[String]) {
        let values: Vec<String> = values.iter().map(|value| quoted(value)).collect();
        self.list(name, &values);
    }

    fn list(&mut self, name: &str, values: &[String]) {
        if !values.is_empty() {
            self.raw(name, &format!("[{}]", values.join(",")));
        }
    }

    fn finish(self) -> String {
        format!("{{{}}}", self.fields.join(","))
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Base64 with padding (RFC 4648, section 4).
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let group = (byte(0) << 16) | (byte(1) << 8) | byte(2);
        for place in 0..4 {
            let sextet = (group >> (18 - 6 * place)) & 63;
            let is_padding = place > chunk.len();
            out.push(if is_padding { '=' } else { char::from(ALPHABET[sextet as usize]) });
        }
    }
    out
}
