//! Runs a node over a context: its clock, its saves, its requests, its service.
//!
//! - A save is done before anything that rests on it leaves, and before any other step of the node.
//! - What is applied goes into a channel that is never full, in order; whoever takes it may call back.
//! - No task waits for a request: its answer, or its failure, is one more thing that happens.
//! - A killed engine saves, sends and applies nothing more, and its tasks end.

use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures_util::future;
use tokio::sync::Notify;

use super::io::{MakeError, NodeSetup, Outputs, Request};
use super::messages;
use super::node::LabNode;
use crate::context::{Context, Scope};
use crate::persister::Persister;
use crate::raft::{ApplySender, DoesNotTell, LabRaft, Peers, Setup, Start};
use crate::recording::{Inside, Wire, Words};

/// Commands that come within this time leave together.
const GATHER: Duration = Duration::from_millis(1);

/// Quorate's Raft in the lab.
///
/// Dropping it kills it.
pub struct QuorateRaft {
    shared: Arc<Shared>,
    /// Ends all its tasks.
    scope: Scope,
}

struct Shared {
    me: usize,
    core: Mutex<Core>,
    /// Wakes the task that waits for deadlines.
    wake: Arc<Notify>,
    peers: Peers,
    persister: Arc<Persister>,
    apply: ApplySender,
    context: Context,
}

struct Core {
    /// Nothing once it is killed.
    node: Option<LabNode>,
    /// When what was gathered leaves.
    flush_at: Option<Duration>,
    /// Until when the task that waits for deadlines sleeps.
    sleeps_until: Duration,
    /// The last term whose leadership was logged.
    logged_term: u64,
}

impl QuorateRaft {
    /// Starts a peer.
    ///
    /// # Errors
    ///
    /// Where its number is none of the cluster's, or what it saved cannot be used.
    pub fn try_make(setup: Setup) -> Result<Arc<Self>, MakeError> {
        let Setup { me, peers, persister, apply, context, timing } = setup;
        let (context, scope) = context.scope();
        let (seed, now) = (context.random(), context.now());
        let node_setup = NodeSetup { me, peers: peers.len(), timing, seed, now };
        let (state, snapshot) = persister.both();
        let node = LabNode::new(node_setup, &state, &snapshot)?;
        let core =
            Core { node: Some(node), flush_at: None, sleeps_until: Duration::ZERO, logged_term: 0 };
        let shared = Arc::new(Shared {
            me,
            core: Mutex::new(core),
            wake: Arc::default(),
            peers,
            persister,
            apply,
            context: context.clone(),
        });
        context.spawn(Shared::watch_deadlines(Arc::downgrade(&shared)));
        Ok(Arc::new(Self { shared, scope }))
    }

    /// Looks at the node; nothing once it is killed.
    pub fn inspect<T>(&self, look: impl FnOnce(&LabNode) -> T) -> Option<T> {
        self.shared.core().node.as_ref().map(look)
    }
}

impl Drop for QuorateRaft {
    fn drop(&mut self) {
        self.kill();
    }
}

impl fmt::Debug for QuorateRaft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("QuorateRaft").field(&self.shared.core().node).finish()
    }
}

impl LabRaft for QuorateRaft {
    const SNAPSHOTS: bool = true;

    /// # Panics
    ///
    /// Panics with [`MakeError`] in words; [`QuorateRaft::try_make`] gives it as a value.
    fn make(setup: Setup) -> Arc<Self> {
        Self::try_make(setup).unwrap_or_else(|error| panic!("{error}"))
    }

    fn start(&self, command: &[u8]) -> Option<Start> {
        self.shared.act(|node, now| node.start(now, command)).flatten()
    }

    fn state(&self) -> (u64, bool) {
        self.inspect(LabNode::state).unwrap_or_default()
    }

    fn handle(
        self: Arc<Self>,
        method: String,
        args: Vec<u8>,
    ) -> impl Future<Output = Vec<u8>> + Send + 'static {
        let answer = self.shared.act(|node, now| node.handle(now, &method, &args));
        future::ready(answer.unwrap_or_default())
    }

    fn kill(&self) {
        let killed = self.shared.core().node.take();
        drop(killed);
        self.shared.apply.close();
        self.scope.end();
    }

    fn snapshot(&self, index: u64, data: &[u8]) {
        self.shared.act(|node, now| node.snapshot(now, index, data));
    }

    fn committed(&self, index: u64) -> Result<Option<Vec<u8>>, DoesNotTell> {
        Ok(self.inspect(|node| node.committed(index)).flatten())
    }

    fn inside(&self) -> Option<Inside> {
        self.inspect(LabNode::inside)
    }

    fn words(wire: Wire<'_>) -> Option<Words> {
        messages::words(wire)
    }
}

impl Shared {
    fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One step of the node, and what follows from it. Nothing once it is killed.
    ///
    /// # Panics
    ///
    /// Panics where the node finds that it, or another, lost what was saved: no scenario means
    /// anything after that.
    fn act<T>(self: &Arc<Self>, step: impl FnOnce(&mut LabNode, Duration) -> T) -> Option<T> {
        let mut core = self.core();
        let now = self.context.now();
        let Core { node, flush_at, sleeps_until, logged_term } = &mut *core;
        let living = node.as_mut()?;
        let result = step(living, now);
        let (term, leads) = living.state();
        if leads && *logged_term != term {
            *logged_term = term;
            tracing::debug!(ms = now.as_millis(), peer = self.me, term, "leads");
        }
        let Outputs { save, requests, apply } = living.drain();
        if let Some(saved) = save {
            match saved.snapshot {
                Some(snapshot) => self.persister.save_state_and_snapshot(saved.state, snapshot),
                None => self.persister.save_state(saved.state),
            }
        }
        for msg in apply {
            self.apply.send(msg);
        }
        if let Some(why) = living.halted() {
            let why = format!("peer {} stops for good: {why}", self.me);
            tracing::error!(ms = now.as_millis(), "{why}");
            *node = None;
            drop(core);
            self.apply.close();
            panic!("{why}");
        }
        *flush_at = living.wants_flush().then(|| flush_at.unwrap_or(now + GATHER));
        let due = flush_at.unwrap_or(Duration::MAX).min(living.next_deadline());
        if due < *sleeps_until {
            *sleeps_until = due;
            self.wake.notify_one();
        }
        drop(core);
        self.send(requests);
        Some(result)
    }

    fn send(self: &Arc<Self>, requests: Vec<Request>) {
        for request in requests {
            let answer = self.peers[request.peer].call(request.method, request.args);
            let Some(ticket) = request.ticket else { continue };
            let me = Arc::downgrade(self);
            self.context.spawn(async move {
                let answer = answer.await;
                if let Some(me) = me.upgrade() {
                    me.act(|node, now| node.answered(now, ticket, answer.as_deref()));
                }
            });
        }
    }

    /// Does what is due when it is.
    async fn watch_deadlines(me: Weak<Self>) {
        loop {
            let (wake, sleep) = {
                let Some(me) = me.upgrade() else { return };
                me.do_what_is_due();
                let mut core = me.core();
                let Core { node, flush_at, sleeps_until, .. } = &mut *core;
                let Some(node) = node else { return };
                *sleeps_until = flush_at.unwrap_or(Duration::MAX).min(node.next_deadline());
                (Arc::clone(&me.wake), me.context.sleep_until(*sleeps_until))
            };
            future::select(pin!(wake.notified()), sleep).await;
        }
    }

    fn do_what_is_due(self: &Arc<Self>) {
        let now = self.context.now();
        let flushes = {
            let core = self.core();
            let Some(node) = &core.node else { return };
            let flushes = core.flush_at.is_some_and(|at| at <= now);
            if !flushes && node.next_deadline() > now {
                return;
            }
            flushes
        };
        self.act(|node, now| {
            if flushes {
                node.flush(now);
            }
            node.tick(now);
        });
    }
}

#[cfg(test)]
mod tests;
