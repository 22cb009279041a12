//! The labs' Raft: [`Raft::new`], and the [`Node`] that services and harness hold.
//!
//! What elects, replicates and stores is the engine. This file gives it what the labs give to a Raft
//! (clients of [`RaftService`], a [`Persister`], a channel for what is applied) and passes on what
//! it says.

pub mod errors;
pub mod persister;
pub mod proto;

mod adapter;

use std::fmt;
use std::sync::Arc;

use tokio::sync::mpsc::UnboundedSender;

pub use self::adapter::DssRaft;
use self::errors::{Error, Result};
use self::persister::Persister;
use self::proto::{Envelope, links};
pub use self::proto::{RaftClient, RaftService, add_raft_service};
use crate::context::Context;
use crate::dss::{labcodec, labrpc};
use crate::engine::QuorateRaft;
use crate::persister as lab;
use crate::raft::{self as lab_raft, ApplyReceiver, LabRaft, Setup, Start, Timing, apply_channel};

/// What a service is told: in order, each command once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApplyMsg {
    /// A command is committed.
    Command {
        /// The encoded command.
        data: Vec<u8>,
        /// Its index; the first has 1.
        index: u64,
    },
    /// A snapshot came; [`Node::cond_install_snapshot`] says whether to take it.
    Snapshot {
        /// The service's snapshot.
        data: Vec<u8>,
        /// Term of the last entry that it covers.
        term: u64,
        /// Index of that entry.
        index: u64,
    },
}

/// Term and leadership, at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// The present term.
    pub term: u64,
    /// Whether this peer believes that it leads.
    pub is_leader: bool,
}

impl State {
    /// The present term.
    #[must_use]
    pub const fn term(&self) -> u64 {
        self.term
    }

    /// Whether this peer believes that it leads.
    #[must_use]
    pub const fn is_leader(&self) -> bool {
        self.is_leader
    }
}

/// A peer that was made and has no handle yet.
pub struct Raft {
    engine: Arc<QuorateRaft>,
}

impl fmt::Debug for Raft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Raft").finish_non_exhaustive()
    }
}

impl Raft {
    /// Makes a peer: the clients to all of them, its own number, what it saved before, and where to put
    /// what is committed. Returns quickly; the peer runs from then on.
    ///
    /// # Panics
    ///
    /// If `me` is no number of a peer, and if what was saved is damaged.
    #[must_use]
    pub fn new(
        peers: Vec<RaftClient>,
        me: usize,
        persister: Box<dyn Persister>,
        apply_ch: UnboundedSender<ApplyMsg>,
    ) -> Self {
        Self::with_timing(peers, me, persister, apply_ch, Timing::course())
    }

    /// The same, with other timeouts.
    ///
    /// # Panics
    ///
    /// See [`Raft::new`].
    #[must_use]
    pub fn with_timing(
        peers: Vec<RaftClient>,
        me: usize,
        persister: Box<dyn Persister>,
        apply_ch: UnboundedSender<ApplyMsg>,
        timing: Timing,
    ) -> Self {
        Self::noting_terms(peers, me, persister, apply_ch, timing, |_| ())
    }

    /// The same; what the labs' message does not say of each command, its term, is said to `note` before.
    fn noting_terms(
        peers: Vec<RaftClient>,
        me: usize,
        persister: Box<dyn Persister>,
        apply_ch: UnboundedSender<ApplyMsg>,
        timing: Timing,
        note: impl Fn(u64) + Send + 'static,
    ) -> Self {
        let context = context_of(&peers, me);
        let persister = Self::restore(persister);
        let (apply, applied) = apply_channel();
        let peers = links(peers);
        let setup = Setup { me, peers, persister, apply, context: context.clone(), timing };
        let engine = QuorateRaft::make(setup);
        context.spawn(pass_on(applied, apply_ch, note));
        Self { engine }
    }

    /// What was saved before; the engine saves through it from then on.
    fn restore(persister: Box<dyn Persister>) -> Arc<lab::Persister> {
        let (state, snapshot) = (persister.raft_state(), persister.snapshot());
        lab::Persister::with_store(state, snapshot, Foreign(persister))
    }
}

/// The executor of the network that these clients are ends of.
pub(super) fn context_of(peers: &[RaftClient], me: usize) -> Context {
    let own = peers.get(me).unwrap_or_else(|| {
        panic!("{}", lab_raft::NoSuchPeer { peer: me, peers: peers.len() });
    });
    own.client().context().clone()
}

/// Whatever keeps blobs in the labs' manner, as a store of the lab.
pub(super) struct Foreign(pub(super) Box<dyn Persister>);

impl lab::Store for Foreign {
    fn keep(&mut self, state: &[u8], snapshot: Option<&[u8]>) {
        Raft::persist(&*self.0, state, snapshot);
    }
}

impl Raft {
    fn persist(persister: &dyn Persister, state: &[u8], snapshot: Option<&[u8]>) {
        match snapshot {
            Some(snapshot) => {
                persister.save_state_and_snapshot(state.to_vec(), snapshot.to_vec());
            }
            None => persister.save_raft_state(state.to_vec()),
        }
    }
}

async fn pass_on(
    mut applied: ApplyReceiver,
    apply_ch: UnboundedSender<ApplyMsg>,
    note: impl Fn(u64) + Send,
) {
    while let Some(msg) = applied.recv().await {
        let msg = match msg {
            lab_raft::ApplyMsg::Command { data, index, term } => {
                note(term);
                ApplyMsg::Command { data, index }
            }
            lab_raft::ApplyMsg::Snapshot { data, term, index } => {
                ApplyMsg::Snapshot { data, term, index }
            }
        };
        if apply_ch.send(msg).is_err() {
            return;
        }
    }
}

/// A handle on a peer; clones are the same peer.
#[derive(Clone)]
pub struct Node {
    engine: Arc<QuorateRaft>,
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("state", &self.get_state()).finish_non_exhaustive()
    }
}

impl Node {
    /// The handle on a peer.
    #[must_use]
    pub fn new(raft: Raft) -> Self {
        Self { engine: raft.engine }
    }

    /// Appends a command, if this peer leads: the index that it will have if it is ever committed, and
    /// the term. Returns at once.
    ///
    /// # Errors
    ///
    /// [`Error::NotLeader`], also after [`Node::kill`]; [`Error::Encode`].
    pub fn start<M: labcodec::Message>(&self, command: &M) -> Result<(u64, u64)> {
        let mut bytes = Vec::new();
        labcodec::encode(command, &mut bytes).map_err(Error::Encode)?;
        let Start { index, term } = self.engine.start(&bytes).ok_or(Error::NotLeader)?;
        Ok((index, term))
    }

    /// The present term.
    #[must_use]
    pub fn term(&self) -> u64 {
        self.engine.state().0
    }

    /// Whether this peer believes that it leads.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.engine.state().1
    }

    /// Both, at one moment.
    #[must_use]
    pub fn get_state(&self) -> State {
        let (term, is_leader) = self.engine.state();
        State { term, is_leader }
    }

    /// Ends this peer: it answers, sends and applies nothing any more.
    pub fn kill(&self) {
        self.engine.kill();
    }

    /// Whether the service shall take a snapshot that came through the channel.
    #[must_use]
    pub fn cond_install_snapshot(
        &self,
        last_included_term: u64,
        last_included_index: u64,
        snapshot: &[u8],
    ) -> bool {
        self.engine.cond_install_snapshot(last_included_term, last_included_index, snapshot)
    }

    /// The service's state after the entry with this index: what comes before is needed no more.
    pub fn snapshot(&self, index: u64, snapshot: &[u8]) {
        self.engine.snapshot(index, snapshot);
    }

    async fn answer(&self, method: &str, request: Envelope) -> labrpc::Result<Envelope> {
        let engine = Arc::clone(&self.engine);
        Ok(Envelope { body: engine.handle(method.to_owned(), request.body).await })
    }
}

impl RaftService for Node {
    async fn request_vote(&self, args: Envelope) -> labrpc::Result<Envelope> {
        self.answer("request_vote", args).await
    }

    async fn append_entries(&self, args: Envelope) -> labrpc::Result<Envelope> {
        self.answer("append_entries", args).await
    }

    async fn install_snapshot(&self, args: Envelope) -> labrpc::Result<Envelope> {
        self.answer("install_snapshot", args).await
    }
}

/// A node is a Raft of the lab as it is, for services that are written over any.
impl LabRaft for Node {
    const SNAPSHOTS: bool = true;

    fn make(setup: Setup) -> Arc<Self> {
        Arc::new(Self { engine: QuorateRaft::make(setup) })
    }

    fn start(&self, command: &[u8]) -> Option<Start> {
        self.engine.start(command)
    }

    fn state(&self) -> (u64, bool) {
        self.engine.state()
    }

    async fn handle(self: Arc<Self>, method: String, args: Vec<u8>) -> Vec<u8> {
        Arc::clone(&self.engine).handle(method, args).await
    }

    fn kill(&self) {
        self.engine.kill();
    }

    fn snapshot(&self, index: u64, data: &[u8]) {
        self.engine.snapshot(index, data);
    }

    fn cond_install_snapshot(&self, term: u64, index: u64, data: &[u8]) -> bool {
        self.engine.cond_install_snapshot(term, index, data)
    }
}
