//! The service that peers offer to each other.
//!
//! A request and its reply are what the engine says, as bytes: it numbers its messages itself, and knows an
//! answer that comes late.

use crate::context::BoxFuture;
use crate::raft::{Link, Peer, Peers};

/// A request or a reply.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Envelope {
    /// What the engine says.
    #[prost(bytes = "vec", tag = "1")]
    pub body: Vec<u8>,
}

/// Arguments of `request_vote`.
pub type RequestVoteArgs = Envelope;
/// Reply of `request_vote`.
pub type RequestVoteReply = Envelope;
/// Arguments of `append_entries`.
pub type AppendEntriesArgs = Envelope;
/// Reply of `append_entries`.
pub type AppendEntriesReply = Envelope;
/// Arguments of `install_snapshot`.
pub type InstallSnapshotArgs = Envelope;
/// Reply of `install_snapshot`.
pub type InstallSnapshotReply = Envelope;

crate::dss::labrpc::service! {
    /// What peers ask of each other.
    service raft {
        /// Asks for a vote.
        rpc request_vote(super::RequestVoteArgs) returns (super::RequestVoteReply);
        /// Replicates entries; an empty one is the heartbeat.
        rpc append_entries(super::AppendEntriesArgs) returns (super::AppendEntriesReply);
        /// Hands over the state before the log.
        rpc install_snapshot(super::InstallSnapshotArgs) returns (super::InstallSnapshotReply);
    }
}

pub use self::raft::{
    Client as RaftClient, Service as RaftService, add_service as add_raft_service,
};

/// Carries the engine's requests over a client.
struct ClientLink(RaftClient);

impl Link for ClientLink {
    fn call(&self, method: &str, args: Vec<u8>) -> BoxFuture<Option<Vec<u8>>> {
        let args = Envelope { body: args };
        macro_rules! send {
            ($call:ident) => {{
                let reply = self.0.$call(&args);
                Box::pin(async move { reply.await.ok().map(|reply| reply.body) })
            }};
        }
        match method {
            "request_vote" => send!(request_vote),
            "append_entries" => send!(append_entries),
            "install_snapshot" => send!(install_snapshot),
            other => unreachable!("the engine has no request `{other}`"),
        }
    }
}

/// The clients as links of the lab.
pub(in crate::dss) fn links(clients: Vec<RaftClient>) -> Peers {
    clients.into_iter().map(|client| Peer::new(ClientLink(client))).collect()
}
