//! Calls that are not in the log of this node: waiting for a leader, or forwarded to it.
//!
//! - A call that waits was sent nowhere, so that it can be refused for certain.
//! - A forwarded call is sent once. It ends with the leader's answer; without one, when the
//!   connection is gone or the time is up, it is unknown. Where the other node answers that it does
//!   not lead, nothing was appended: the call waits again, for the time that is left to it.
//! - A leader proposes each number of a peer once; a number that is not above the last is a
//!   duplicate. Numbers ascend over the boots of the peer.
//! - Both sides are bounded in bytes.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use quorate_core::{BootCounter, Instant, NodeId};

use super::CallId;
use super::frame::ForwardNumber;
use crate::sessions::Stamp;

/// What a held call is charged with beside its command.
const CALL_BYTES: usize = 128;
/// Forwards of one boot that fit below the first of the next.
const PER_BOOT_BITS: u32 = 40;

/// A call that is not in the log.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) call: CallId,
    pub(crate) command: Arc<Vec<u8>>,
    pub(crate) stamp: Stamp,
    /// When it is refused if it still waits.
    pub(crate) leader_by: Instant,
}

#[derive(Debug)]
struct Forwarded {
    held: Held,
    to: NodeId,
    /// When it is given up as unknown.
    answer_by: Instant,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Calls {
    waiting: VecDeque<Held>,
    forwarded: BTreeMap<ForwardNumber, Forwarded>,
    last: ForwardNumber,
    /// The highest number proposed of each peer.
    seen: BTreeMap<NodeId, ForwardNumber>,
    /// Bytes waiting or forwarded.
    bytes: usize,
    limit: usize,
    /// How long the leader has to answer.
    patience: Duration,
    /// Sessions and sequences proposed here: where a deliberate bug looks for duplicates.
    #[cfg(quorate_mutants)]
    proposed: std::collections::BTreeSet<(u64, u32)>,
}

impl Calls {
    /// Whether a command of a session was not proposed here yet; it is from then on.
    #[cfg(quorate_mutants)]
    pub(crate) fn is_new(&mut self, stamp: Stamp) -> bool {
        match stamp {
            Stamp::Command { session, sequence, .. } => self.proposed.insert((session.0, sequence)),
            _ => true,
        }
    }

    pub(crate) const fn new(boot: BootCounter, limit: usize, patience: Duration) -> Self {
        Self {
            waiting: VecDeque::new(),
            forwarded: BTreeMap::new(),
            last: ForwardNumber(boot.0 << PER_BOOT_BITS),
            seen: BTreeMap::new(),
            bytes: 0,
            limit,
            patience,
            #[cfg(quorate_mutants)]
            proposed: std::collections::BTreeSet::new(),
        }
    }

    /// Calls that wait for a leader.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Calls that wait for the leader's answer.
    pub(crate) fn forwarded(&self) -> usize {
        self.forwarded.len()
    }

    /// Bytes of all of them.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether a command of so many bytes finds room.
    pub(crate) const fn has_room(&self, bytes: usize) -> bool {
        self.bytes + bytes + CALL_BYTES <= self.limit
    }

    /// Lets a call wait for a leader.
    pub(crate) fn wait(&mut self, held: Held) {
        self.bytes += cost(&held);
        // Calls that come back from a node that does not lead are older than those that wait.
        let at = self.waiting.partition_point(|other| other.leader_by <= held.leader_by);
        self.waiting.insert(at, held);
    }

    /// Takes out every call that waits.
    pub(crate) fn take_waiting(&mut self) -> VecDeque<Held> {
        self.bytes -= self.waiting.iter().map(cost).sum::<usize>();
        std::mem::take(&mut self.waiting)
    }

    /// Notes that a call is forwarded to `to`; its number.
    pub(crate) fn forward(&mut self, now: Instant, held: Held, to: NodeId) -> ForwardNumber {
        self.last = ForwardNumber(self.last.0 + 1);
        self.bytes += cost(&held);
        let answer_by = now.after(self.patience);
        self.forwarded.insert(self.last, Forwarded { held, to, answer_by });
        self.last
    }

    /// Takes out the call that `from` answers; nothing where it answers no open one.
    pub(crate) fn answered(&mut self, from: NodeId, number: ForwardNumber) -> Option<Held> {
        if self.forwarded.get(&number)?.to != from {
            return None;
        }
        self.take_forwarded(number)
    }

    /// Takes out a call that certainly did not leave.
    pub(crate) fn take_forwarded(&mut self, number: ForwardNumber) -> Option<Held> {
        let forwarded = self.forwarded.remove(&number)?;
        self.bytes -= cost(&forwarded.held);
        Some(forwarded.held)
    }

    /// Takes out every call that was forwarded to `peer`.
    pub(crate) fn lost(&mut self, peer: NodeId) -> Vec<CallId> {
        let mut lost = Vec::new();
        let bytes = &mut self.bytes;
        self.forwarded.retain(|_, forwarded| {
            if forwarded.to != peer {
                return true;
            }
            *bytes -= cost(&forwarded.held);
            lost.push(forwarded.held.call);
            false
        });
        lost
    }

    /// Takes out the calls whose time is up: those that still waited, and those sent.
    pub(crate) fn expire(&mut self, now: Instant) -> (Vec<CallId>, Vec<CallId>) {
        let (mut waited, mut sent) = (Vec::new(), Vec::new());
        while let Some(held) = self.waiting.pop_front_if(|held| held.leader_by <= now) {
            self.bytes -= cost(&held);
            waited.push(held.call);
        }
        // All have the same patience, so that the order of numbers is that of their deadlines.
        while let Some(entry) = self.forwarded.first_entry() {
            if entry.get().answer_by > now {
                break;
            }
            let forwarded = entry.remove();
            self.bytes -= cost(&forwarded.held);
            sent.push(forwarded.held.call);
        }
        (waited, sent)
    }

    /// When the next call's time is up.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let waiting = self.waiting.front().map(|held| held.leader_by);
        let forwarded = self.forwarded.values().next().map(|forwarded| forwarded.answer_by);
        waiting.into_iter().chain(forwarded).min()
    }

    /// Whether a peer's call is seen for the first time; it is from then on.
    pub(crate) fn is_first(&mut self, peer: NodeId, number: ForwardNumber) -> bool {
        let seen = self.seen.entry(peer).or_default();
        let first = number > *seen;
        *seen = (*seen).max(number);
        first
    }
}

fn cost(held: &Held) -> usize {
    held.command.len() + CALL_BYTES
}
