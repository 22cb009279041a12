//! The node in production, as the services see it.

use quorate::sessions::{SessionRequest, Stamp};
use quorate::{
    CallError, Client, Consistency, Node, NodeFacts, NodeId, Refusal, Roster, SessionId, Status,
};
use quorate_kv::{Answer, Command, KvMachine, Query, Reply};
use quorate_proto::etcdserverpb as pb;
use tokio::sync::watch;

use crate::backend::{Backend, Standing};

/// A node, through its handles.
#[derive(Debug)]
pub(crate) struct NodeBackend {
    id: NodeId,
    client: Client<KvMachine>,
    facts: NodeFacts<KvMachine>,
    status: watch::Receiver<Status>,
}

impl NodeBackend {
    /// Takes handles of the node, bound to the runtime that this is called on.
    pub(crate) fn new(node: &Node<KvMachine>) -> Self {
        Self { id: node.id(), client: node.client(), facts: node.facts(), status: node.status() }
    }
}

impl Backend for NodeBackend {
    async fn call(&self, command: Command) -> Result<Reply, CallError> {
        self.client.call(command).await
    }

    async fn call_as(&self, command: Command, stamp: Stamp) -> Result<Reply, CallError> {
        self.client.call_as(command, stamp).await
    }

    async fn request_session(
        &self,
        session: SessionId,
        request: SessionRequest,
    ) -> Result<SessionId, CallError> {
        self.client.request_session(session, request).await
    }

    async fn read(&self, query: Query, consistency: Consistency) -> Result<Answer, Refusal> {
        self.client.read(query, consistency).await
    }

    fn standing(&self) -> Standing {
        Standing {
            cluster_id: self.facts.cluster().map_or(0, |cluster| cluster.0),
            member_id: self.id.get(),
            term: self.facts.term().get(),
            leader: self.facts.leader().map(NodeId::get),
            commit_index: self.facts.commit().get(),
            applied_index: self.facts.applied().get(),
        }
    }

    fn is_learner(&self) -> bool {
        let status = self.status.borrow();
        let roster = status.members.as_deref();
        roster.is_some_and(|roster| roster.learners().any(|member| member.id == self.id))
    }

    fn members(&self) -> Vec<pb::Member> {
        self.status.borrow().members.as_deref().map(members).unwrap_or_default()
    }

    fn refusal(&self) -> Option<Refusal> {
        if self.facts.cluster().is_none() {
            let waiting_for = self.waiting_for().unwrap_or_default();
            return Some(Refusal::NotFounded { waiting_for });
        }
        self.status.borrow().stopped.clone().map(Refusal::Stopped)
    }

    fn waiting_for(&self) -> Option<String> {
        self.status.borrow().waiting_for.clone()
    }
}

/// A roster as etcd shows it.
fn members(roster: &Roster) -> Vec<pb::Member> {
    let learners = roster.membership();
    roster
        .members()
        .map(|member| pb::Member {
            id: member.id.get(),
            name: member.name.clone(),
            peer_urls: vec![format!("http://{}", member.peer_address)],
            client_urls: member.client_urls.clone(),
            is_learner: learners.learners().contains(&member.id),
        })
        .collect()
}
