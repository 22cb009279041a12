//! This face as a Raft of the lab, so that scenarios go through it: through `Raft::new` and
//! `Node`, the service's messages, the persister's trait and the apply channel.

use std::sync::Arc;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::{ApplyMsg, Node, Raft, RaftClient, add_raft_service};
use crate::dss::labrpc;
use crate::raft::{self as lab, ApplySender, LabRaft, Setup, Start};

/// See the module.
#[derive(Debug)]
pub struct DssRaft {
    node: Node,
    server: labrpc::Server,
}

impl LabRaft for DssRaft {
    const SNAPSHOTS: bool = true;

    fn make(setup: Setup) -> Arc<Self> {
        let Setup { me, peers, persister, apply, context, timing } = setup;
        let client = |peer: &lab::Peer| {
            RaftClient::new(labrpc::Client::over("raft", peer.clone(), context.clone()))
        };
        let clients = peers.iter().map(client).collect();
        let (apply_ch, applied) = unbounded_channel();
        let (note, terms) = unbounded_channel();
        let noting = move |term| note.send(term).unwrap_or_default();
        let persister = Box::new(persister);
        let raft = Raft::noting_terms(clients, me, persister, apply_ch, timing, noting);
        let node = Node::new(raft);
        let mut builder = labrpc::ServerBuilder::new(format!("server {me}"));
        add_raft_service(node.clone(), &mut builder).expect("it is the only service");
        context.spawn(deliver(applied, terms, apply));
        Arc::new(Self { node, server: builder.build() })
    }

    fn start(&self, command: &[u8]) -> Option<Start> {
        // A command of a scenario is bytes already; a node would encode a message to the same end.
        self.node.engine.start(command)
    }

    fn state(&self) -> (u64, bool) {
        let state = self.node.get_state();
        (state.term, state.is_leader)
    }

    async fn handle(self: Arc<Self>, method: String, args: Vec<u8>) -> Vec<u8> {
        self.server.answer(&method, args).await
    }

    fn kill(&self) {
        self.node.kill();
    }

    fn snapshot(&self, index: u64, data: &[u8]) {
        self.node.snapshot(index, data);
    }

    fn cond_install_snapshot(&self, term: u64, index: u64, data: &[u8]) -> bool {
        self.node.cond_install_snapshot(term, index, data)
    }
}

async fn deliver(
    mut applied: UnboundedReceiver<ApplyMsg>,
    mut terms: UnboundedReceiver<u64>,
    apply: ApplySender,
) {
    while let Some(msg) = applied.recv().await {
        let msg = match msg {
            ApplyMsg::Command { data, index } => {
                let Some(term) = terms.recv().await else { break };
                lab::ApplyMsg::Command { data, index, term }
            }
            ApplyMsg::Snapshot { data, term, index } => {
                lab::ApplyMsg::Snapshot { data, term, index }
            }
        };
        if !apply.send(msg) {
            return;
        }
    }
    apply.close();
}
