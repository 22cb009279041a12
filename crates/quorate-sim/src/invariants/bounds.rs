//! Nothing grows without bound: what a replica holds in memory, what is under way to a peer, and how
//! many terms pass.

use std::collections::VecDeque;

use quorate::replica::{ReplicaConfig, ReplicaStatus};
use quorate_core::Term;

use super::Broken;

/// Terms that may begin within so many election timeouts: with a dry run before every election
/// most elections begin none. The shortest timeout counts.
const MOST_TERMS: usize = 90;
/// Election timeouts over which terms are counted.
const WINDOW: u64 = 60;
/// Bytes of entries that are not durable yet: a disk that does nothing for seconds while everything
/// that clients ask for, and everything that a leader sends again, waits for it.
const MOST_PENDING: usize = 64 << 20;
/// Calls that one replica holds: far more than all clients of a world together ask for.
const MOST_CALLS: usize = 10_000;

/// What bounds refer to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Terms {
    highest: Term,
    began: VecDeque<u64>,
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
        while self.began.front().is_some_and(|at| at + WINDOW * timeout < now) {
            self.began.pop_front();
        }
        if self.began.len() <= MOST_TERMS {
            return Ok(());
        }
        let what =
            format!("{} terms began within {WINDOW} timeouts, up to {term}", self.began.len());
        Err(Broken::new("terms are not used up", what))
    }
}

/// What a replica holds after a step.
///
/// # Errors
///
/// When it is more than its settings allow.
pub(crate) fn check_bounds(
    node: usize,
    config: &ReplicaConfig,
    status: &ReplicaStatus,
) -> Result<(), Broken> {
    let held = [
        ("recent entries", status.tail_bytes, config.tail_bytes + MOST_PENDING),
        ("bytes to execute", status.apply_bytes, config.apply_bytes + config.max_command_bytes),
        ("proposals", status.proposals, MOST_CALLS),
        ("calls that wait", status.waiting, MOST_CALLS),
        ("forwarded calls", status.forwarded, MOST_CALLS),
        ("messages held back", status.held_messages, MOST_CALLS),
    ];
    let most_inflight = config.raft.max_inflight_messages();
    let inflight = status.raft.peers.iter().map(|peer| peer.inflight).max().unwrap_or_default();
    let held = held.into_iter().chain([("appends under way to a peer", inflight, most_inflight)]);
    match held.into_iter().find(|(_, is, most)| is > most) {
        None => Ok(()),
        Some((what, is, most)) => {
            let what = format!("n{node} holds {is} {what}, more than {most}", node = node + 1);
            Err(Broken::new("everything is bounded", what))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn terms_that_begin_too_fast_break_the_bound_and_slow_ones_do_not() {
        let mut slow = Terms::default();
        for second in 0..10_000 {
            slow.reached(second * SECOND, Term(second), SECOND).unwrap();
        }
        let mut fast = Terms::default();
        let broken =
            (0..1000).find_map(|at| fast.reached(at * SECOND / 10, Term(at), SECOND).err());
        assert_eq!(broken.unwrap().invariant, "terms are not used up");
    }
}
