//! The labs' clerk: each call blocks its caller's thread until it is answered.

use std::fmt;

use super::proto::{GetRequest, KvClient, Op, PutAppendRequest};
use crate::context::BoxFuture;
use crate::dss::labrpc::block_on;
use crate::raft::{Link, Peer};
use crate::service::{self, Action, KvCommand, KvReply};

/// A client of the store.
pub struct Clerk {
    /// Its name, which no other clerk may have.
    pub name: String,
    inner: service::Clerk,
}

impl fmt::Debug for Clerk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clerk").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Clerk {
    /// A clerk with a name of its own and a client of each server.
    ///
    /// # Panics
    ///
    /// If there is no server.
    #[must_use]
    pub fn new(name: String, servers: Vec<KvClient>) -> Self {
        let context = servers.first().map(|server| server.client().context().clone());
        let context = context.expect("a clerk needs a server to ask");
        let peers = servers.into_iter().map(|server| Peer::new(KvLink(server))).collect();
        let inner = service::Clerk::new(name.clone(), peers, context);
        Self { name, inner }
    }

    /// The value of a key; empty if it has none. Blocks until a server answers, if need be for ever.
    ///
    /// # Panics
    ///
    /// On a thread of an executor; see [`block_on`].
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "the labs' signature")]
    pub fn get(&self, key: String) -> String {
        block_on(self.inner.get(&key))
    }

    /// Replaces the value of a key; once, however often it has to ask. Blocks until it is done.
    ///
    /// # Panics
    ///
    /// On a thread of an executor; see [`block_on`].
    #[expect(clippy::needless_pass_by_value, reason = "the labs' signature")]
    pub fn put(&self, key: String, value: String) {
        block_on(self.inner.put(&key, &value));
    }

    /// Adds to the end of the value of a key; once, however often it has to ask. Blocks until it is
    /// done.
    ///
    /// # Panics
    ///
    /// On a thread of an executor; see [`block_on`].
    #[expect(clippy::needless_pass_by_value, reason = "the labs' signature")]
    pub fn append(&self, key: String, value: String) {
        block_on(self.inner.append(&key, &value));
    }

    /// The same, for those who may not block.
    #[must_use]
    pub const fn asynchronous(&self) -> &service::Clerk {
        &self.inner
    }
}

/// Carries the requests of the lab's clerk as those of the service.
struct KvLink(KvClient);

impl Link for KvLink {
    fn call(&self, _: &str, args: Vec<u8>) -> BoxFuture<Option<Vec<u8>>> {
        let command = KvCommand::decode(&args).expect("the clerk made it");
        let KvCommand { client: name, sequence, action, key, value } = command;
        let op = match action {
            Action::Get => {
                let reply = self.0.get(&GetRequest { key, name, sequence });
                return Box::pin(async move {
                    let reply = reply.await.ok()?;
                    let (wrong_leader, err) = (reply.wrong_leader, reply.err);
                    Some(KvReply { wrong_leader, err, value: reply.value }.encode())
                });
            }
            Action::Put => Op::Put,
            Action::Append => Op::Append,
        };
        let op = i32::from(op);
        let reply = self.0.put_append(&PutAppendRequest { key, value, op, name, sequence });
        Box::pin(async move {
            let reply = reply.await.ok()?;
            let (wrong_leader, err) = (reply.wrong_leader, reply.err);
            Some(KvReply { wrong_leader, err, value: String::new() }.encode())
        })
    }
}
