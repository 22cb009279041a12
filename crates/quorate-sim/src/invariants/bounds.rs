//! Nothing grows without bound: what a replica holds in memory, what is under way to a peer, and how
//! many terms pass.

use std::collections::VecDeque;

use quorate::replica::{ReplicaConfig, ReplicaStatus};
use quorate_core::Term;

use super::Broken;

/// Terms that may begin within [`WINDOW`]: with a dry run before every election most elections begin
/// none, and timeouts of a second or more bound the rest.
const MOST_TERMS: usize = 90;
/// World time over which terms are counted, in nanoseconds.
const WINDOW: u64 = 60_000_000_000;
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
    /// A node is in a term at this world time.
    ///
    /// # Errors
    ///
    /// When more terms began within a minute than elections can explain.
    pub(crate) fn reached(&mut self, now: u64, term: Term) -> Result<(), Broken> {
        if term <= self.highest {
            return Ok(());
        }
        self.highest = term;
        self.began.push_back(now);
        while self.began.front().is_some_and(|at| at + WINDOW < now) {
            self.began.pop_front();
        }
        if self.began.len() <= MOST_TERMS {
            return Ok(());
        }
        let what = format!("{} terms began within a minute, up to {term}", self.began.len());
        Err(Broken::new("terms are not used up", what))
    }
}

/// What a replica holds after a step.
///
/// # Errors
///
/// When it is more than its settings allow.
pub(crate) fn check_held(
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
            let what = format!("node {node} holds {is} {what}, more than {most}");
            Err(Broken::new("everything is bounded", what))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_that_begin_too_fast_break_the_bound_and_slow_ones_do_not() {
        let mut slow = Terms::default();
        for second in 0..10_000 {
            slow.reached(second * 1_000_000_000, Term(second)).unwrap();
        }
        let mut fast = Terms::default();
        let broken = (0..1000).find_map(|at| fast.reached(at * 100_000_000, Term(at)).err());
        assert_eq!(broken.unwrap().invariant, "terms are not used up");
    }
}
