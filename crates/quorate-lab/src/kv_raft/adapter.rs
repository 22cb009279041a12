//! This face as a Raft of the lab, so that every scenario goes through it: through its constructor,
//! its three methods, its persister, its clients and its server.

use std::sync::Arc;

use super::{Persister, Raft, RpcClient, Server};
use crate::raft::{DoesNotTell, LabRaft, Peer, Setup, Start};

/// See the module.
#[derive(Debug)]
pub struct KvRaft {
    raft: Arc<Raft>,
}

impl LabRaft for KvRaft {
    fn make(setup: Setup) -> Arc<Self> {
        let Setup { me, peers, persister, apply, context, timing } = setup;
        let client = |peer: &Peer| Arc::new(RpcClient::new(peer.clone()));
        let clients: Vec<_> = peers.iter().map(client).collect();
        let persister = Arc::new(Persister::over(persister));
        Arc::new(Self { raft: Raft::on(context, me, &clients, persister, apply, timing) })
    }

    fn start(&self, command: &[u8]) -> Option<Start> {
        let Ok(text) = std::str::from_utf8(command) else {
            // Not a command of the document, whose commands are texts.
            return self.raft.engine().start(command);
        };
        let (index, term) = self.raft.submit(text)?;
        Some(Start { index: index as u64, term })
    }

    fn state(&self) -> (u64, bool) {
        self.raft.get_state()
    }

    async fn handle(self: Arc<Self>, method: String, args: Vec<u8>) -> Vec<u8> {
        let args = String::from_utf8(args).unwrap_or_default();
        self.raft.dispatch(&method, args).await.into_bytes()
    }

    fn kill(&self) {
        self.raft.kill();
    }

    fn committed(&self, index: u64) -> Result<Option<Vec<u8>>, DoesNotTell> {
        let command = self.raft.engine().committed(index)?;
        let Some(bytes) = command.filter(|bytes| std::str::from_utf8(bytes).is_err()) else {
            let index = usize::try_from(index).unwrap_or(usize::MAX);
            return Ok(self.raft.get_committed(index).map(String::into_bytes));
        };
        // Not a command of the document, whose commands are texts.
        Ok(Some(bytes))
    }
}
