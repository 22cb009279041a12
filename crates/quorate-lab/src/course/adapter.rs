//! This face as a Raft of the lab, so that its scenarios go through it.

use std::sync::Arc;

use super::{ClientEnd, Raft, made};
use crate::raft::{LabRaft, Peer, Setup, Start};

/// See the module.
#[derive(Debug)]
pub struct CourseRaft(Arc<Raft>);

impl LabRaft for CourseRaft {
    fn make(setup: Setup) -> Arc<Self> {
        let Setup { me, peers, persister, apply, context, timing } = setup;
        let ends = peers.iter().map(|peer: &Peer| ClientEnd::new(peer.clone())).collect();
        Arc::new(Self(made(ends, me, persister, apply, &context, timing)))
    }

    fn start(&self, command: &[u8]) -> Option<Start> {
        let (index, term, is_leader) = self.0.start(command);
        is_leader.then_some(Start { index, term })
    }

    fn state(&self) -> (u64, bool) {
        self.0.get_state()
    }

    async fn handle(self: Arc<Self>, method: String, args: Vec<u8>) -> Vec<u8> {
        match method.as_str() {
            "request_vote" => self.0.request_vote(args).await,
            "append_entries" => self.0.append_entries(args).await,
            _ => Vec::new(),
        }
    }

    fn kill(&self) {
        self.0.kill();
    }
}
