//! The server of the labs' key-value service, and the handle on it.

use std::fmt;
use std::sync::Arc;

use super::proto::{GetReply, GetRequest, KvService, PutAppendReply, PutAppendRequest};
use crate::dss::labrpc;
use crate::dss::raft::persister::Persister;
use crate::dss::raft::proto::links;
use crate::dss::raft::{self, Foreign, RaftClient, State, context_of};
use crate::persister as lab;
use crate::raft::Timing;
use crate::service::{self, KvReply, Seat, Service};

/// A server that was made and has no handle yet.
pub struct KvServer {
    /// Its Raft.
    pub rf: raft::Node,
    inner: Arc<service::KvServer<raft::Node>>,
}

impl fmt::Debug for KvServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KvServer").field("rf", &self.rf).finish_non_exhaustive()
    }
}

impl KvServer {
    /// Makes a server: the clients to all of them, its own number, what it saved before, and how many
    /// bytes the Raft's state may have before a snapshot is taken; without it none ever is.
    ///
    /// # Panics
    ///
    /// If `me` is no number of a server, and if what was saved is damaged.
    #[must_use]
    pub fn new(
        servers: Vec<RaftClient>,
        me: usize,
        persister: Box<dyn Persister>,
        maxraftstate: Option<usize>,
    ) -> Self {
        let context = context_of(&servers, me);
        let (state, snapshot) = (persister.raft_state(), persister.snapshot());
        let persister = lab::Persister::with_store(state, snapshot, Foreign(persister));
        let seat = Seat {
            me,
            peers: links(servers),
            persister,
            context,
            timing: Timing::course(),
            max_raft_state: maxraftstate,
        };
        let inner = service::KvServer::start(seat);
        let rf = raft::Node::clone(inner.raft());
        Self { rf, inner }
    }
}

/// A handle on a server; clones are the same one.
#[derive(Clone, Debug)]
pub struct Node {
    rf: raft::Node,
    inner: Arc<service::KvServer<raft::Node>>,
}

impl Node {
    /// The handle on a server.
    #[must_use]
    pub fn new(kv: KvServer) -> Self {
        Self { rf: kv.rf, inner: kv.inner }
    }

    /// Ends the server; whoever waits is told.
    pub fn kill(&self) {
        self.inner.kill();
    }

    /// The present term.
    #[must_use]
    pub fn term(&self) -> u64 {
        self.rf.term()
    }

    /// Whether this server believes that it leads.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.rf.is_leader()
    }

    /// Both, at one moment.
    #[must_use]
    pub fn get_state(&self) -> State {
        self.rf.get_state()
    }
}

impl KvService for Node {
    async fn get(&self, args: GetRequest) -> labrpc::Result<GetReply> {
        Ok(self.inner.serve(&args.into()).await.into())
    }

    async fn put_append(&self, args: PutAppendRequest) -> labrpc::Result<PutAppendReply> {
        let Some(command) = args.into_command() else {
            let err = "the request says neither put nor append".to_owned();
            return Ok(KvReply { err, ..KvReply::default() }.into());
        };
        Ok(self.inner.serve(&command).await.into())
    }
}
