//! Nothing grows without bound: what a replica holds in memory, what is under way to a peer, and how
//! many terms pass. Every bound follows from the settings of the replica.

use std::collections::VecDeque;

use quorate::replica::{ReplicaConfig, ReplicaStatus};
use quorate_core::{PeerStatus, Term};

use super::{Broken, Facts, Name};

/// Terms that may begin within [`WINDOW`], and one more for each node that died: with a dry run
/// before every election most elections begin none, so that there are far fewer terms than timeouts.
const MOST_TERMS: usize = 30;
/// Shortest election timeouts over which terms are counted: a minute of the usual ones.
const WINDOW: u64 = 60;
/// Bytes that an encoded entry takes beside its command.
const ENTRY_HEAD: usize = 64;
/// Bytes that a message is charged with besides its entries.
const MESSAGE_HEAD: usize = 256;

/// How fast terms pass.
#[derive(Clone, Debug, Default)]
pub(crate) struct Terms {
    highest: Term,
    began: VecDeque<u64>,
    /// When nodes died.
    died: VecDeque<u64>,
}

impl Terms {
    /// A node is in a term at this world time, in nanoseconds, as is the shortest election timeout.
    ///
    /// # Errors
    ///
    /// When more terms began lately than elections can explain.
    pub(crate) fn reached(&mut self, now: u64, term: Term, timeout: u64) -> Result<(), Broken> {
        if term <= self.highest {
            return Ok(());
        }
        self.highest = term;
        self.began.push_back(now);
        for times in [&mut self.began, &mut self.died] {
            while times.front().is_some_and(|at| at + WINDOW * timeout < now) {
                times.pop_front();
            }
        }
        let (began, died) = (self.began.len(), self.died.len());
        if began <= MOST_TERMS + died {
            return Ok(());
        }
        let what = format!(
            "{began} terms began within {WINDOW} timeouts in which {died} nodes died, up to {term}"
        );
        Err(Broken::new("terms are not used up", what))
    }
}

impl Terms {
    /// A node died; if it led, another term follows.
    pub(crate) fn died(&mut self, now: u64) {
        self.died.push_back(now);
    }
}

/// The most that a replica with some settings may hold of everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Caps {
    /// Bytes of recent entries that are durable.
    recent: usize,
    /// Bytes of entries that are not: what waits for a quorum here, and what a leader has under way
    /// to a follower.
    unstable: usize,
    execute: usize,
    calls: usize,
    outbox: usize,
    inflight: usize,
    inflight_bytes: u64,
    /// Bytes of pieces of a snapshot that are under way to one peer.
    pieces: u64,
}

impl Caps {
    pub(crate) fn of(config: &ReplicaConfig) -> Self {
        let raft = &config.raft;
        let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        let entry = config.max_command_bytes + ENTRY_HEAD;
        let append = size(raft.max_append_bytes()).max(entry);
        let window = size(raft.max_inflight_bytes()) + append;
        Self {
            recent: config.tail_bytes,
            unstable: size(raft.max_uncommitted_bytes()) + window,
            execute: config.apply_bytes + entry,
            calls: config.call_bytes,
            outbox: config.outbox_bytes.max(append + MESSAGE_HEAD),
            inflight: raft.max_inflight_messages(),
            inflight_bytes: window as u64,
            pieces: raft.snapshot_window_bytes() + u64::from(raft.snapshot_chunk_bytes()),
        }
    }
}

impl Facts {
    /// What a replica holds after a step.
    ///
    /// # Errors
    ///
    /// When it is more than its settings allow.
    pub(crate) fn check_bounds(
        &self,
        node: usize,
        caps: &Caps,
        status: &ReplicaStatus,
    ) -> Result<(), Broken> {
        let unstable = self.nodes[node].unstable_bytes;
        let in_log = status.raft.last.index.0.saturating_sub(status.raft.applied.0);
        let in_log = usize::try_from(in_log).unwrap_or(usize::MAX);
        let held = [
            ("bytes of entries that are not durable", unstable, caps.unstable),
            ("bytes of recent entries", status.tail_bytes, caps.recent + unstable),
            ("bytes to execute", status.apply_bytes, caps.execute),
            ("bytes of calls that wait", status.call_bytes, caps.calls),
            ("bytes of messages held back for a peer", status.held_bytes, caps.outbox),
            ("proposals, each of an entry to be executed", status.proposals, in_log),
        ];
        // What was read for a peer before it lost its place may be read yet, and by one that leads
        // no more, too.
        let peers = self.nodes.len().saturating_sub(1).max(1);
        let pieces = 2 * caps.pieces * peers as u64;
        within(node, "bytes of pieces to read", status.piece_bytes, pieces)?;
        for (what, is, most) in held {
            within(node, what, is as u64, most as u64)?;
        }
        status.raft.peers.iter().try_for_each(|peer| check_window(node, caps, peer))
    }
}

fn check_window(node: usize, caps: &Caps, peer: &PeerStatus) -> Result<(), Broken> {
    within(node, "appends under way to a peer", peer.inflight as u64, caps.inflight as u64)?;
    if let Some(transfer) = &peer.transfer {
        let under_way = transfer.sent - transfer.acked;
        within(node, "bytes of a snapshot under way to a peer", under_way, caps.pieces)?;
    }
    within(node, "bytes under way to a peer", peer.inflight_bytes, caps.inflight_bytes)
}

fn within(node: usize, what: &str, is: u64, most: u64) -> Result<(), Broken> {
    if is <= most {
        return Ok(());
    }
    let what = format!("{} holds {is} {what}, more than {most}", Name(node));
    Err(Broken::new("everything is bounded", what))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn terms_that_begin_too_fast_break_the_bound_and_slow_ones_do_not() {
        let mut slow = Terms::default();
        for second in 0..10_000 {
            slow.reached(second * 3 * SECOND, Term(second), SECOND).unwrap();
        }
        let mut fast = Terms::default();
        let broken = (0..1000).find_map(|at| fast.reached(at * SECOND, Term(at), SECOND).err());
        assert_eq!(broken.unwrap().invariant, "terms are not used up");
        let mut dying = Terms::default();
        for second in 0..1_000 {
            dying.died(second * SECOND);
            dying.reached(second * SECOND, Term(second), SECOND).unwrap();
        }
    }
}
