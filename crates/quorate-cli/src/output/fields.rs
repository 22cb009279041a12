//! etcdctl's `fields`: one `"Name" : value` a line, keys and values as quoted text.

use std::fmt::Write as _;

use quorate_client::KeyValue;
use quorate_client::proto::response_op::Response;
use quorate_client::proto::{
    DeleteRangeResponse, MemberListResponse, PutResponse, RangeResponse, ResponseHeader,
    TxnResponse,
};

use super::{BackupStatus, EndpointStatus};

pub(super) fn range(reply: &RangeResponse) -> Vec<u8> {
    let mut out = Fields::with_header(reply.header);
    reply.kvs.iter().for_each(|pair| out.pair("", pair));
    out.field("More", reply.more);
    out.field("Count", reply.count);
    out.finish()
}

pub(super) fn put(reply: &PutResponse) -> Vec<u8> {
    let mut out = Fields::with_header(reply.header);
    reply.prev_kv.iter().for_each(|pair| out.pair("Prev", pair));
    out.finish()
}

pub(super) fn delete(reply: &DeleteRangeResponse) -> Vec<u8> {
    let mut out = Fields::with_header(reply.header);
    out.field("Deleted", reply.deleted);
    reply.prev_kvs.iter().for_each(|pair| out.pair("Prev", pair));
    out.finish()
}

pub(super) fn txn(reply: &TxnResponse) -> Vec<u8> {
    let mut out = Fields::with_header(reply.header);
    out.field("Succeeded", reply.succeeded);
    let mut bytes = out.finish();
    for operation in &reply.responses {
        bytes.extend(match &operation.response {
            Some(Response::ResponseRange(reply)) => range(reply),
            Some(Response::ResponsePut(reply)) => put(reply),
            Some(Response::ResponseDeleteRange(reply)) => delete(reply),
            Some(Response::ResponseTxn(reply)) => txn(reply),
            None => Vec::new(),
        });
    }
    bytes
}

pub(super) fn members(reply: &MemberListResponse) -> Vec<u8> {
    let mut out = Fields::with_header(reply.header);
    for member in &reply.members {
        out.field("ID", member.id);
        out.text("Name", &member.name);
        member.peer_urls.iter().for_each(|url| out.text("PeerURL", url));
        member.client_urls.iter().for_each(|url| out.text("ClientURL", url));
        out.field("IsLearner", member.is_learner);
        out.text.push('\n');
    }
    out.finish()
}

pub(super) fn statuses(statuses: &[EndpointStatus]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for EndpointStatus { endpoint, status } in statuses {
        let mut out = Fields::with_header(status.header);
        out.text("Version", &status.version);
        out.field("DBSize", status.db_size);
        out.field("Leader", status.leader);
        out.field("IsLearner", status.is_learner);
        out.field("RaftIndex", status.raft_index);
        out.field("RaftTerm", status.raft_term);
        out.field("RaftAppliedIndex", status.raft_applied_index);
        out.field("Errors", format_args!("[{}]", status.errors.join(" ")));
        out.text("Endpoint", endpoint);
        out.text.push('\n');
        bytes.extend(out.finish());
    }
    bytes
}

pub(super) fn backup(status: &BackupStatus) -> Vec<u8> {
    let mut out = Fields { text: String::new() };
    out.field("Hash", status.hash);
    out.field("Revision", status.revision);
    out.field("Keys", status.keys);
    out.field("Size", status.bytes);
    out.field("ClusterID", status.cluster_id);
    out.finish()
}

/// Lines of fields.
struct Fields {
    text: String,
}

impl Fields {
    fn with_header(header: Option<ResponseHeader>) -> Self {
        let mut fields = Self { text: String::new() };
        if let Some(header) = header {
            fields.field("ClusterID", header.cluster_id);
            fields.field("MemberID", header.member_id);
            fields.field("Revision", header.revision);
            fields.field("RaftTerm", header.raft_term);
        }
        fields
    }

    fn field(&mut self, name: &str, value: impl std::fmt::Display) {
        writeln!(self.text, "\"{name}\" : {value}").expect("a string grows as needed");
    }

    fn text(&mut self, name: &str, value: &str) {
        self.field(name, serde_json::Value::from(value));
    }

    fn pair(&mut self, prefix: &str, pair: &KeyValue) {
        let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        self.text(&format!("{prefix}Key"), &shown(&pair.key));
        self.field(&format!("{prefix}CreateRevision"), pair.create_revision);
        self.field(&format!("{prefix}ModRevision"), pair.mod_revision);
        self.field(&format!("{prefix}Version"), pair.version);
        self.text(&format!("{prefix}Value"), &shown(&pair.value));
        self.field(&format!("{prefix}Lease"), pair.lease);
    }

    fn finish(self) -> Vec<u8> {
        self.text.into_bytes()
    }
}
