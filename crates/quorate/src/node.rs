//! The handle of a running node.

use std::fmt;
use std::sync::Arc;

use quorate_core::{ClusterId, Index, NodeId, SnapshotId, Term};
use tokio::sync::{oneshot, watch};

use crate::builder::NodeBuilder;
use crate::client::Client;
use crate::error::{SnapshotRefusal, StopReason};
use crate::machine::StateMachine;
use crate::runtime::shared::{Event, Shared};
use crate::status::Status;

/// A running node. Dropping it begins a shutdown without waiting for its end.
pub struct Node<M: StateMachine> {
    id: NodeId,
    shared: Arc<Shared<M>>,
}

impl<M: StateMachine> fmt::Debug for Node<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("id", &self.id).finish_non_exhaustive()
    }
}

impl<M: StateMachine + Default> Node<M> {
    /// Begins to set up a node whose state machine starts from its default.
    pub fn builder() -> NodeBuilder<M> {
        Self::builder_with(M::default())
    }
}

impl<M: StateMachine> Node<M> {
    /// Begins to set up a node with this state machine, which has executed nothing: it is brought
    /// up to date from the log at every start.
    pub fn builder_with(machine: M) -> NodeBuilder<M> {
        NodeBuilder::new(machine)
    }

    pub(crate) const fn new(id: NodeId, shared: Arc<Shared<M>>) -> Self {
        Self { id, shared }
    }

    /// Identity of the data directory.
    #[must_use]
    pub const fn id(&self) -> NodeId {
        self.id
    }

    /// A handle for calls and queries, bound to the tokio runtime that this is called on.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    #[must_use]
    pub fn client(&self) -> Client<M> {
        Client::new(&self.shared)
    }

    /// What the node is, from moment to moment.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<Status> {
        self.shared.status.subscribe()
    }

    /// The facts that change all the time, at the cost of a load each, for use on any thread.
    #[must_use]
    pub fn facts(&self) -> NodeFacts<M> {
        NodeFacts { shared: Arc::clone(&self.shared) }
    }

    /// The present term.
    #[must_use]
    pub fn term(&self) -> Term {
        self.shared.facts.term()
    }

    /// The leader of the present term, where known.
    #[must_use]
    pub fn leader(&self) -> Option<NodeId> {
        self.shared.facts.leader()
    }

    /// The cluster that the node belongs to, once it does.
    #[must_use]
    pub fn cluster(&self) -> Option<ClusterId> {
        self.shared.facts.cluster()
    }

    /// Has a snapshot taken of what is executed at this moment, and waits until it is durable. The
    /// node takes snapshots of itself as well; see [`NodeBuilder::snapshot_entries`].
    ///
    /// # Errors
    ///
    /// When there is nothing to take one of, it could not be written, or the node stops first.
    pub async fn snapshot(&self) -> Result<SnapshotId, SnapshotRefusal> {
        let (waiter, taken) = oneshot::channel();
        let stopped = || SnapshotRefusal::Stopped(self.shared.stop_reason());
        self.shared.inbox.push(Event::SnapshotWanted(waiter)).map_err(|_| stopped())?;
        taken.await.unwrap_or_else(|_| Err(stopped()))
    }

    /// Waits until the node belongs to a cluster and knows its leader.
    ///
    /// # Errors
    ///
    /// When the node stops first; says why.
    pub async fn ready(&self) -> Result<(), StopReason> {
        let is_ready = |status: &Status| {
            status.stopped.is_some() || (status.cluster.is_some() && status.leader.is_some())
        };
        let mut status = self.status();
        let found = status.wait_for(is_ready).await.map(|status| status.stopped.clone());
        match found {
            Ok(None) => Ok(()),
            Ok(Some(reason)) => Err(reason),
            Err(_) => Err(self.shared.stop_reason()),
        }
    }

    /// Waits until the node has stopped, of itself or because it was told to; says why. Its threads
    /// have ended then, and its data directory is free.
    ///
    /// When the reason is no [`StopReason::Shutdown`], a process that serves others should end too,
    /// with exit code 74 where the log failed.
    pub async fn stopped(&self) -> StopReason {
        let mut status = self.status();
        let found = status.wait_for(|status| status.stopped.is_some()).await;
        let reason = found.ok().and_then(|status| status.stopped.clone());
        reason.unwrap_or_else(|| self.shared.stop_reason())
    }

    /// Stops the node: what was accepted is made durable, calls under way end as unknown, threads
    /// end, the data directory is released.
    ///
    /// # Errors
    ///
    /// When the node had stopped for another reason before.
    pub async fn shutdown(self) -> Result<(), StopReason> {
        self.stop();
        match self.stopped().await {
            StopReason::Shutdown => Ok(()),
            reason => Err(reason),
        }
    }

    fn stop(&self) {
        // A node that has stopped already needs not to be told.
        drop(self.shared.inbox.push(Event::Stop(StopReason::Shutdown)));
    }
}

impl<M: StateMachine> Drop for Node<M> {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Facts of a node that change all the time, each at the cost of a load.
pub struct NodeFacts<M: StateMachine> {
    shared: Arc<Shared<M>>,
}

impl<M: StateMachine> Clone for NodeFacts<M> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<M: StateMachine> fmt::Debug for NodeFacts<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeFacts").field("term", &self.term()).finish_non_exhaustive()
    }
}

impl<M: StateMachine> NodeFacts<M> {
    /// The cluster that the node belongs to, once it does.
    #[must_use]
    pub fn cluster(&self) -> Option<ClusterId> {
        self.shared.facts.cluster()
    }

    /// The present term.
    #[must_use]
    pub fn term(&self) -> Term {
        self.shared.facts.term()
    }

    /// The leader of the present term, where known.
    #[must_use]
    pub fn leader(&self) -> Option<NodeId> {
        self.shared.facts.leader()
    }

    /// Highest entry known committed.
    #[must_use]
    pub fn commit(&self) -> Index {
        self.shared.facts.commit()
    }

    /// Highest entry that the state machine has executed.
    #[must_use]
    pub fn applied(&self) -> Index {
        self.shared.facts.applied()
    }
}
