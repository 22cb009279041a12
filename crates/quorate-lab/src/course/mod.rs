//! The face of the Go course lab: `make`, `start`, `get_state`, messages on a channel, `kill` and
//! `killed`, over Quorate's engine; with an account of requests and bytes at each end.

mod adapter;

use std::fmt;
use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::mpsc::UnboundedSender;

pub use self::adapter::CourseRaft;
use crate::context::{BoxFuture, Context, RealTime};
use crate::engine::QuorateRaft;
use crate::persister::Persister;
use crate::raft::{self as lab, LabRaft, Link, Peer, Setup, Start, Timing, apply_channel};

/// What a service is told: for every entry that is newly committed, on every peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplyMsg {
    /// Whether there is a command; the other fields mean nothing if not.
    pub command_valid: bool,
    /// The command.
    pub command: Vec<u8>,
    /// Its index; the first has 1.
    pub command_index: u64,
    /// Its term.
    pub command_term: u64,
}

/// The way to one peer.
#[derive(Clone, Debug)]
pub struct ClientEnd {
    peer: Peer,
    account: Arc<Account>,
}

/// What was sent and received over some ends.
#[derive(Debug, Default)]
struct Account {
    requests: AtomicU64,
    bytes: AtomicU64,
}

impl ClientEnd {
    /// An end of whatever carries requests.
    #[must_use]
    pub fn new(peer: Peer) -> Self {
        Self { peer, account: Arc::default() }
    }

    /// Calls a method; the request leaves at once. Nothing comes back where request or reply was lost.
    pub fn call(
        &self,
        method: &str,
        args: Vec<u8>,
    ) -> impl Future<Output = Option<Vec<u8>>> + Send + use<> {
        self.account.requests.fetch_add(1, Ordering::Relaxed);
        self.account.bytes.fetch_add(args.len() as u64, Ordering::Relaxed);
        let reply = self.peer.call(method, args);
        let account = Arc::clone(&self.account);
        async move {
            let reply = reply.await?;
            account.bytes.fetch_add(reply.len() as u64, Ordering::Relaxed);
            Some(reply)
        }
    }

    /// Requests that were made over this end.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.account.requests.load(Ordering::Relaxed)
    }

    /// Bytes of their arguments, and of the replies that arrived.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.account.bytes.load(Ordering::Relaxed)
    }
}

impl Link for ClientEnd {
    fn call(&self, method: &str, args: Vec<u8>) -> BoxFuture<Option<Vec<u8>>> {
        Box::pin(Self::call(self, method, args))
    }
}

/// A peer.
pub struct Raft {
    engine: Arc<QuorateRaft>,
    ends: Vec<ClientEnd>,
    is_killed: AtomicBool,
}

impl fmt::Debug for Raft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (term, is_leader) = self.get_state();
        f.debug_struct("Raft")
            .field("term", &term)
            .field("is_leader", &is_leader)
            .finish_non_exhaustive()
    }
}

/// Makes a peer: the ways to all of them, its own number, what it saved before, and where to put what is
/// committed. Returns at once; the peer runs from then on, on the tokio runtime that the caller runs
/// on, with fewer than ten heartbeats in a second.
///
/// # Panics
///
/// Outside a tokio runtime, if `me` is no number of a peer, and if what was saved is damaged.
#[must_use]
pub fn make(
    peers: Vec<ClientEnd>,
    me: usize,
    persister: Arc<Persister>,
    apply_ch: UnboundedSender<ApplyMsg>,
) -> Arc<Raft> {
    let context = RealTime::here(RandomState::new().hash_one(me));
    make_on(&context, peers, me, persister, apply_ch)
}

/// The same on any executor.
///
/// # Panics
///
/// If `me` is no number of a peer, and if what was saved is damaged.
#[must_use]
pub fn make_on(
    context: &Context,
    peers: Vec<ClientEnd>,
    me: usize,
    persister: Arc<Persister>,
    apply_ch: UnboundedSender<ApplyMsg>,
) -> Arc<Raft> {
    let (apply, mut applied) = apply_channel();
    let raft = made(peers, me, persister, apply, context, Timing::course());
    context.spawn(async move {
        while let Some(msg) = applied.recv().await {
            // There are no snapshots in this lab.
            let lab::ApplyMsg::Command { data: command, index, term } = msg else { continue };
            let (command_index, command_term) = (index, term);
            let msg = ApplyMsg { command_valid: true, command, command_index, command_term };
            if apply_ch.send(msg).is_err() {
                return;
            }
        }
    });
    raft
}

fn made(
    ends: Vec<ClientEnd>,
    me: usize,
    persister: Arc<Persister>,
    apply: lab::ApplySender,
    context: &Context,
    timing: Timing,
) -> Arc<Raft> {
    let peers = ends.iter().map(|end| Peer::new(end.clone())).collect();
    let setup = Setup { me, peers, persister, apply, context: context.clone(), timing };
    let engine = QuorateRaft::make(setup);
    Arc::new(Raft { engine, ends, is_killed: AtomicBool::new(false) })
}

impl Raft {
    /// Appends a command, if this peer leads: the index that it will have if it is ever committed, the
    /// present term, and whether this peer believes that it leads. Returns at once.
    #[must_use]
    pub fn start(&self, command: &[u8]) -> (u64, u64, bool) {
        match self.engine.start(command) {
            Some(Start { index, term }) => (index, term, true),
            None => (0, self.engine.state().0, false),
        }
    }

    /// The present term, and whether this peer believes that it leads.
    #[must_use]
    pub fn get_state(&self) -> (u64, bool) {
        self.engine.state()
    }

    /// Ends this peer and its tasks.
    pub fn kill(&self) {
        self.is_killed.store(true, Ordering::Release);
        self.engine.kill();
    }

    /// Whether it was killed.
    #[must_use]
    pub fn killed(&self) -> bool {
        self.is_killed.load(Ordering::Acquire)
    }

    /// Answers another peer's request for a vote.
    pub async fn request_vote(&self, args: Vec<u8>) -> Vec<u8> {
        Arc::clone(&self.engine).handle("request_vote".to_owned(), args).await
    }

    /// Answers another peer's entries; without any they are a heartbeat.
    pub async fn append_entries(&self, args: Vec<u8>) -> Vec<u8> {
        Arc::clone(&self.engine).handle("append_entries".to_owned(), args).await
    }

    /// Requests that this peer made.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.ends.iter().map(ClientEnd::requests).sum()
    }

    /// Bytes of their arguments, and of the replies that arrived.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.ends.iter().map(ClientEnd::bytes).sum()
    }
}
