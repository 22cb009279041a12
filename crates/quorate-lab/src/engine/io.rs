//! What a node begins with, and what it asks for: its whole boundary to its shell, as data.

use std::time::Duration;

use quorate_core::{RequestId, Term};

use super::messages::Asked;
use super::state::Damaged;
use crate::raft::{ApplyMsg, NoSuchPeer, Timing};

/// How a peer begins.
#[derive(Clone, Copy, Debug)]
pub struct NodeSetup {
    /// Its number.
    pub me: usize,
    /// How many peers there are, itself included.
    pub peers: usize,
    /// How fast it shall be.
    pub timing: Timing,
    /// Seed of its election timeouts.
    pub seed: u64,
    /// The present time.
    pub now: Duration,
}

/// Why a peer cannot start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MakeError {
    /// Its own number is none of the cluster's.
    #[error(transparent)]
    NoSuchPeer(#[from] NoSuchPeer),
    /// What it saved cannot be used.
    #[error("peer {me} cannot start: {damaged}")]
    Damaged {
        /// Its number.
        me: usize,
        /// What is wrong.
        damaged: Damaged,
    },
    /// The times make no sense together, or there are more peers than the protocol knows.
    #[error("peer {me} cannot start with these settings: {reason}")]
    Settings {
        /// Its number.
        me: usize,
        /// Why.
        reason: String,
    },
}

/// What must be done: in this order.
#[derive(Debug, Default)]
pub struct Outputs {
    /// Save this before anything else.
    pub save: Option<Saved>,
    /// Send these.
    pub requests: Vec<Request>,
    /// Hand these to the service.
    pub apply: Vec<ApplyMsg>,
}

/// One save: all of it, or nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    /// The blob.
    pub state: Vec<u8>,
    /// The snapshot, where it is another than before.
    pub snapshot: Option<Vec<u8>>,
}

/// One request to a peer.
#[derive(Debug)]
pub struct Request {
    /// To whom.
    pub peer: usize,
    /// Its name.
    pub method: &'static str,
    /// Its bytes.
    pub args: Vec<u8>,
    /// Goes back with the answer; nothing where none is wanted.
    pub ticket: Option<Ticket>,
}

/// What makes an answer understood.
#[derive(Clone, Copy, Debug)]
pub struct Ticket {
    pub(super) peer: usize,
    pub(super) term: Term,
    pub(super) request: RequestId,
    pub(super) asked: Asked,
    pub(super) sent_at: Duration,
}
