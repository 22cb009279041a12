//! What clerks ask servers, and what they are told.

use crate::service::{Action, KvCommand, KvReply};

/// Asks for the value of a key.
#[derive(Clone, PartialEq, prost::Message)]
pub struct GetRequest {
    /// The key.
    #[prost(string, tag = "1")]
    pub key: String,
    /// The clerk's name.
    #[prost(string, tag = "2")]
    pub name: String,
    /// The clerk's number of the request; the same when it is sent again.
    #[prost(uint64, tag = "3")]
    pub sequence: u64,
}

/// Answers a [`GetRequest`].
#[derive(Clone, PartialEq, prost::Message)]
pub struct GetReply {
    /// Whether another server has to be asked.
    #[prost(bool, tag = "1")]
    pub wrong_leader: bool,
    /// Why there is no value; empty if nothing went wrong.
    #[prost(string, tag = "2")]
    pub err: String,
    /// The value; empty if there is none.
    #[prost(string, tag = "3")]
    pub value: String,
}

/// What a [`PutAppendRequest`] does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum Op {
    /// Nothing that a server knows.
    Unknown = 0,
    /// Replaces the value.
    Put = 1,
    /// Adds to the end of the value.
    Append = 2,
}

/// Changes the value of a key.
#[derive(Clone, PartialEq, prost::Message)]
pub struct PutAppendRequest {
    /// The key.
    #[prost(string, tag = "1")]
    pub key: String,
    /// The value, or what is added to it.
    #[prost(string, tag = "2")]
    pub value: String,
    /// Which of the two.
    #[prost(enumeration = "Op", tag = "3")]
    pub op: i32,
    /// The clerk's name.
    #[prost(string, tag = "4")]
    pub name: String,
    /// The clerk's number of the request; the same when it is sent again.
    #[prost(uint64, tag = "5")]
    pub sequence: u64,
}

/// Answers a [`PutAppendRequest`].
#[derive(Clone, PartialEq, prost::Message)]
pub struct PutAppendReply {
    /// Whether another server has to be asked.
    #[prost(bool, tag = "1")]
    pub wrong_leader: bool,
    /// Why it was not done; empty if nothing went wrong.
    #[prost(string, tag = "2")]
    pub err: String,
}

crate::dss::labrpc::service! {
    /// What clerks ask servers.
    service kv {
        /// Asks for a value.
        rpc get(super::GetRequest) returns (super::GetReply);
        /// Changes a value.
        rpc put_append(super::PutAppendRequest) returns (super::PutAppendReply);
    }
}

pub use self::kv::{Client as KvClient, Service as KvService, add_service as add_kv_service};

impl From<GetRequest> for KvCommand {
    fn from(request: GetRequest) -> Self {
        let GetRequest { key, name: client, sequence } = request;
        Self { client, sequence, action: Action::Get, key, value: String::new() }
    }
}

impl PutAppendRequest {
    /// The command, if the request says what to do.
    #[must_use]
    pub fn into_command(self) -> Option<KvCommand> {
        let action = match self.op() {
            Op::Put => Action::Put,
            Op::Append => Action::Append,
            Op::Unknown => return None,
        };
        let Self { key, value, name: client, sequence, .. } = self;
        Some(KvCommand { client, sequence, action, key, value })
    }
}

impl From<KvReply> for GetReply {
    fn from(reply: KvReply) -> Self {
        let KvReply { wrong_leader, err, value } = reply;
        Self { wrong_leader, err, value }
    }
}

impl From<KvReply> for PutAppendReply {
    fn from(reply: KvReply) -> Self {
        Self { wrong_leader: reply.wrong_leader, err: reply.err }
    }
}
