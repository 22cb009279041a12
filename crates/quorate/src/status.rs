//! What a node shows of itself: a snapshot for people and metrics, and a few facts that cost nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use quorate_core::{
    ClusterId, Index, NodeId, PeerStatus, ReceivingStatus, RoleName, SnapshotId, Term,
};

use crate::error::StopReason;
use crate::replica::ReplicaCounters;
use crate::roster::Roster;

/// A node at one moment. Indices may lag by some milliseconds; role, term, leader, members and the
/// reason of a stop are published at once.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// Identity of the data directory.
    pub node: NodeId,
    /// What people call the node.
    pub name: String,
    /// Where its peers reach it.
    pub peer_address: String,
    /// The cluster it belongs to; nothing before that is founded.
    pub cluster: Option<ClusterId>,
    /// Members of the cluster; nothing before it is founded.
    pub members: Option<Arc<Roster>>,
    /// The present role.
    pub role: RoleName,
    /// The present term.
    pub term: Term,
    /// The leader of the term, where known.
    pub leader: Option<NodeId>,
    /// Index of the first entry that the log still holds.
    pub first: Index,
    /// Highest entry known committed.
    pub commit: Index,
    /// Highest entry that the state machine has executed.
    pub applied: Index,
    /// Commands that the state machine has executed since the cluster was founded.
    pub application_index: u64,
    /// Highest entry durable here.
    pub persisted: Index,
    /// Index of the last entry.
    pub last: Index,
    /// The newest durable snapshot.
    pub snapshot: Option<SnapshotId>,
    /// Whether a snapshot is being taken.
    pub taking: bool,
    /// Longest time that the state machine stood still for a snapshot since the node started.
    pub view_pause: Duration,
    /// The snapshot that comes from the leader, because this node was away for too long.
    pub receiving: Option<ReceivingStatus>,
    /// What a leader knows of its peers; empty on others.
    pub peers: Vec<PeerStatus>,
    /// Peers whose connection stands.
    pub connected: Vec<NodeId>,
    /// Why the node belongs to no cluster yet, or has no leader, as a sentence that names whom it
    /// waits for and says what to do.
    pub waiting_for: Option<String>,
    /// Why the node stopped, once it has.
    pub stopped: Option<StopReason>,
    /// What was dropped or done a second time.
    pub counters: ReplicaCounters,
}

impl Status {
    /// Whether this node leads its term.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.role == RoleName::Leader
    }
}

/// The latest term, leader and indices, readable from any thread at the cost of a load.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    cluster: AtomicU64,
    term: AtomicU64,
    leader: AtomicU64,
    commit: AtomicU64,
    applied: AtomicU64,
    /// Longest time, in nanoseconds, that the state machine stood still for a view.
    view_pause: AtomicU64,
}

impl Facts {
    pub(crate) fn set_view_pause(&self, pause: Duration) {
        let nanos = u64::try_from(pause.as_nanos()).unwrap_or(u64::MAX);
        self.view_pause.fetch_max(nanos, Ordering::Relaxed);
    }

    pub(crate) fn view_pause(&self) -> Duration {
        Duration::from_nanos(self.view_pause.load(Ordering::Relaxed))
    }

    pub(crate) fn set_cluster(&self, cluster: ClusterId) {
        self.cluster.store(cluster.0, Ordering::Release);
    }

    pub(crate) fn set_replica(&self, term: Term, leader: Option<NodeId>, commit: Index) {
        self.term.store(term.0, Ordering::Relaxed);
        self.leader.store(leader.map_or(0, NodeId::get), Ordering::Relaxed);
        self.commit.store(commit.0, Ordering::Relaxed);
    }

    pub(crate) fn set_applied(&self, applied: Index) {
        self.applied.store(applied.0, Ordering::Relaxed);
    }

    pub(crate) fn cluster(&self) -> Option<ClusterId> {
        let cluster = ClusterId(self.cluster.load(Ordering::Acquire));
        (cluster != ClusterId::ZERO).then_some(cluster)
    }

    pub(crate) fn term(&self) -> Term {
        Term(self.term.load(Ordering::Relaxed))
    }

    pub(crate) fn leader(&self) -> Option<NodeId> {
        NodeId::new(self.leader.load(Ordering::Relaxed))
    }

    pub(crate) fn commit(&self) -> Index {
        Index(self.commit.load(Ordering::Relaxed))
    }

    pub(crate) fn applied(&self) -> Index {
        Index(self.applied.load(Ordering::Relaxed))
    }
}
