//! What decides: the engine's node under the names of this project. Pure: no clock, no channel, no task.

use std::collections::BTreeMap;
use std::time::Duration;

use quorate_core::RoleName;

use super::{ConsensusError, LogEntry};
use crate::engine::{LabNode, NodeSetup, Outputs, Ticket};
use crate::raft::{Start, Timing};

/// What a node is at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeState {
    /// It follows.
    Follower,
    /// It stands for election, or asks whether it would win one.
    Candidate,
    /// It leads.
    Leader,
}

/// See the module.
pub struct NodeCore {
    node_id: u64,
    peers: usize,
    node: LabNode,
    /// What was handed to the machine, from index 1 on.
    log: Vec<LogEntry>,
    /// What makes the reply to a request understood, by the number that the message has.
    asked: BTreeMap<u64, Ticket>,
    requests: u64,
}

/// Requests whose reply may still come; of older ones it is not waited for.
const MOST_ASKED: usize = 1024;

impl std::fmt::Debug for NodeCore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NodeCore")
            .field("node_id", &self.node_id)
            .field("term", &self.current_term())
            .field("state", &self.state())
            .field("last_applied", &self.last_applied())
            .finish_non_exhaustive()
    }
}

impl NodeCore {
    /// A node of a cluster whose nodes are numbered from 0, with what it kept before a crash; that is
    /// empty for one that starts for the first time. The seed decides its election timeouts.
    ///
    /// # Errors
    ///
    /// [`ConsensusError::Halted`] if what it kept is none of a node.
    pub fn new(
        node_id: u64,
        peers: usize,
        timing: Timing,
        seed: u64,
        now: Duration,
        kept: &[u8],
    ) -> Result<Self, ConsensusError> {
        let me = usize::try_from(node_id).expect("nodes are fewer than addresses");
        let setup = NodeSetup { me, peers, timing, seed, now };
        let node = LabNode::new(setup, kept, &[])
            .map_err(|error| ConsensusError::Halted { node: node_id, why: error.to_string() })?;
        let (log, asked) = (Vec::new(), BTreeMap::new());
        Ok(Self { node_id, peers, node, log, asked, requests: 0 })
    }

    /// Its number.
    #[must_use]
    pub const fn node_id(&self) -> u64 {
        self.node_id
    }

    /// How many nodes the cluster has.
    #[must_use]
    pub const fn peers(&self) -> usize {
        self.peers
    }

    /// The present term.
    #[must_use]
    pub fn current_term(&self) -> u64 {
        self.node.state().0
    }

    /// What it is.
    #[must_use]
    pub fn state(&self) -> NodeState {
        match self.node.replica().role() {
            RoleName::Leader => NodeState::Leader,
            RoleName::Candidate | RoleName::PreCandidate => NodeState::Candidate,
            _ => NodeState::Follower,
        }
    }

    /// The last entry that was handed to the machine; it and all before are committed.
    #[must_use]
    pub const fn last_applied(&self) -> u64 {
        self.log.len() as u64
    }

    /// An entry that was handed to the machine.
    #[must_use]
    pub fn entry(&self, index: u64) -> Option<LogEntry> {
        self.log.get(usize::try_from(index.checked_sub(1)?).ok()?).copied()
    }

    /// Takes a command, if it leads: where it will stand if it is ever committed.
    pub fn start(&mut self, now: Duration, command: u64) -> Option<Start> {
        self.node.start(now, &command.to_le_bytes())
    }

    /// Answers a request of another node. What is to be kept is kept before the answer leaves.
    pub fn handle_request(&mut self, now: Duration, method: &str, body: &[u8]) -> Vec<u8> {
        self.node.handle(now, method, body)
    }

    /// Takes the reply to the request with this number; nothing where it certainly did not leave.
    pub fn handle_response(&mut self, now: Duration, number: u64, body: Option<&[u8]>) {
        if let Some(ticket) = self.asked.remove(&number) {
            self.node.answered(now, ticket, body);
        }
    }

    /// The number under which a request leaves.
    pub(super) fn asking(&mut self, ticket: Option<Ticket>) -> u64 {
        self.requests += 1;
        if let Some(ticket) = ticket {
            self.asked.insert(self.requests, ticket);
            if self.asked.len() > MOST_ASKED {
                self.asked.pop_first();
            }
        }
        self.requests
    }

    /// Does what is due.
    pub fn tick(&mut self, now: Duration) {
        self.node.tick(now);
    }

    /// When it wants to be called again.
    #[must_use]
    pub fn next_deadline(&self) -> Duration {
        self.node.next_deadline()
    }

    /// What has to be kept, sent and executed, in this order.
    pub(super) fn drain(&mut self) -> Outputs {
        self.node.drain()
    }

    /// Sends what was taken since the last time.
    pub(super) fn flush(&mut self, now: Duration) {
        if self.node.wants_flush() {
            self.node.flush(now);
        }
    }

    /// Why it stopped for good, if it did.
    pub(super) fn halted(&self) -> Option<&str> {
        self.node.halted()
    }

    /// Notes an entry that is handed to the machine.
    pub(super) fn applied(&mut self, index: u64, entry: LogEntry) {
        assert!(index == self.last_applied() + 1, "entry {index} is not the next one");
        self.log.push(entry);
    }
}
