//! The peer: three methods that answer at once, and the answers to its peers.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::hex::{from_hex, to_hex};
use super::{Persister, RpcClient, Server};
use crate::context::{BoxFuture, Context, RealTime};
use crate::engine::QuorateRaft;
use crate::persister as lab;
use crate::raft::{ApplySender, LabRaft, Link, Peer, Setup, Start, Timing, apply_channel};

/// A request or a reply: what the engine says, in hexadecimal digits.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Body {
    body: String,
}

/// What the file of a peer holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Saved {
    /// Term, vote and log, as the engine writes them. There are no snapshots in this lab.
    state: String,
}

/// A peer. It runs from [`Raft::new`] on, until it is killed or dropped with its runtime.
pub struct Raft {
    me: usize,
    engine: Arc<QuorateRaft>,
}

impl fmt::Debug for Raft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (term, is_leader) = self.get_state();
        f.debug_struct("Raft")
            .field("me", &self.me)
            .field("term", &term)
            .field("is_leader", &is_leader)
            .finish_non_exhaustive()
    }
}

impl Raft {
    /// Makes a peer with what the persister has, and starts it on the tokio runtime that the caller runs
    /// on: heartbeats every 50 ms, election timeouts of 200 to 400 ms.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime, if `me` is no number of a peer, and if what was saved is damaged.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "the lab's signature")]
    pub fn new(me: usize, peers: Vec<Arc<RpcClient>>, persister: Arc<Persister>) -> Arc<Self> {
        let context = RealTime::here(RandomState::new().hash_one(me));
        let (apply, _) = apply_channel();
        Self::on(context, me, &peers, persister, apply, Timing::brisk())
    }

    /// The same on any executor, at any speed, and with a channel for what is applied.
    ///
    /// # Panics
    ///
    /// If `me` is no number of a peer, and if what was saved is damaged.
    #[must_use]
    pub fn on(
        context: Context,
        me: usize,
        peers: &[Arc<RpcClient>],
        persister: Arc<Persister>,
        apply: ApplySender,
        timing: Timing,
    ) -> Arc<Self> {
        let link = |client: &Arc<RpcClient>| Peer::new(RpcLink(Arc::clone(client)));
        let peers = peers.iter().map(link).collect();
        let persister = restore(persister);
        let setup = Setup { me, peers, persister, apply, context, timing };
        Arc::new(Self { me, engine: QuorateRaft::make(setup) })
    }

    /// The present term, and whether this peer believes that it leads.
    #[must_use]
    pub fn get_state(&self) -> (u64, bool) {
        self.engine.state()
    }

    /// Appends a command, if this peer leads: the index that it will have if it is ever committed (the
    /// first is 1), and the term. `None` if this peer does not lead.
    #[must_use]
    pub fn submit(&self, command: &str) -> Option<(usize, u64)> {
        let Start { index, term } = self.engine.start(command.as_bytes())?;
        Some((usize::try_from(index).expect("a log in memory is shorter"), term))
    }

    /// The command at an index, if it is committed as far as this peer knows.
    #[must_use]
    pub fn get_committed(&self, index: usize) -> Option<String> {
        let command = self.engine.committed(index as u64).ok().flatten()?;
        Some(String::from_utf8_lossy(&command).into_owned())
    }

    /// Ends this peer: it answers, sends and saves nothing any more.
    pub fn kill(&self) {
        self.engine.kill();
    }

    pub(super) const fn engine(&self) -> &Arc<QuorateRaft> {
        &self.engine
    }
}

/// What the persister has; the engine saves through it from then on.
fn restore(persister: Arc<Persister>) -> Arc<lab::Persister> {
    let text = persister.read();
    let state = if text.is_empty() {
        Vec::new()
    } else {
        parse(&text).unwrap_or_else(|why| panic!("what the persister has is damaged: {why}"))
    };
    lab::Persister::with_store(state, Vec::new(), Text(persister))
}

fn parse(text: &str) -> Result<Vec<u8>, String> {
    let saved: Saved = serde_json::from_str(text).map_err(|error| error.to_string())?;
    from_hex(&saved.state).ok_or_else(|| "a byte is no hexadecimal number".to_owned())
}

/// Keeps the engine's state as a text.
struct Text(Arc<Persister>);

impl lab::Store for Text {
    fn keep(&mut self, state: &[u8], _: Option<&[u8]>) {
        let saved = Saved { state: to_hex(state) };
        self.0.save(&serde_json::to_string(&saved).expect("a text is JSON"));
    }
}

/// Carries the engine's requests over a client.
struct RpcLink(Arc<RpcClient>);

impl Link for RpcLink {
    fn call(&self, method: &str, args: Vec<u8>) -> BoxFuture<Option<Vec<u8>>> {
        let reply = self.0.call::<Body, Body>(method, &Body { body: to_hex(&args) });
        Box::pin(async move { from_hex(&reply.await?.body) })
    }
}

impl Server for Raft {
    async fn dispatch(&self, name: &str, args: String) -> String {
        let Ok(args) = serde_json::from_str::<Body>(&args) else { return String::new() };
        let Some(args) = from_hex(&args.body) else { return String::new() };
        let reply = Arc::clone(&self.engine).handle(name.to_owned(), args).await;
        serde_json::to_string(&Body { body: to_hex(&reply) }).expect("a text is JSON")
    }
}
