//! Three mistakes that many have made before, to be switched on one at a time.

use std::sync::atomic::{AtomicUsize, Ordering};

/// A mistake of [`Raft`](super::raft::Raft).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    /// The vote is not among what is saved.
    ForgetsVote,
    /// Entries of earlier terms are committed by counting.
    CountsOldTerms,
    /// Heartbeats pass without the consistency check.
    TrustsHeartbeats,
}

/// What is wrong with every server that starts: one more than its place in [`Bug::ALL`].
static PLANTED: AtomicUsize = AtomicUsize::new(0);

impl Bug {
    /// All of them.
    pub(crate) const ALL: [Self; 3] =
        [Self::ForgetsVote, Self::CountsOldTerms, Self::TrustsHeartbeats];

    /// Its name on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::ForgetsVote => "forgets-vote",
            Self::CountsOldTerms => "counts-old-terms",
            Self::TrustsHeartbeats => "trusts-heartbeats",
        }
    }

    /// What the server does.
    pub(crate) const fn about(self) -> &'static str {
        match self {
            Self::ForgetsVote => "saves its term and its log, and not its vote",
            Self::CountsOldTerms => "commits whatever lies on a majority, of whatever term",
            Self::TrustsHeartbeats => "says yes to a heartbeat without comparing the logs",
        }
    }

    /// Why that is wrong.
    pub(crate) const fn lesson(self) -> &'static str {
        match self {
            Self::ForgetsVote => {
                "A vote is a promise for a whole term, and a crash does not end a term. A server that votes, \
                 crashes and votes again in the same term gives two candidates a majority, and then two \
                 leaders put different entries at one index. So votedFor belongs to the persistent state of \
                 figure 2, and is saved before the answer leaves (section 5.2)."
            }
            Self::CountsOldTerms => {
                "That an entry lies on a majority does not yet keep it: a server whose log ends with a later \
                 term can still be elected by the same majority, and overwrites it. Only an entry of the \
                 leader's own term, once it lies on a majority, stops all such servers, and commits \
                 everything before it. That is figure 8 and section 5.4.2."
            }
            Self::TrustsHeartbeats => {
                "A heartbeat is an AppendEntries without entries, and a yes to it means the same as to any \
                 other: my log agrees with yours up to prevLogIndex. A server that says so without having \
                 looked is counted for entries that it does not have, and takes its own for committed. \
                 There is one consistency check for all requests (section 5.3)."
            }
        }
    }

    /// The scenario that finds it with every seed.
    pub(crate) const fn found_by(self) -> &'static str {
        match self {
            Self::ForgetsVote => "test_vote_survives_crash",
            Self::CountsOldTerms => "test_figure8_step_by_step",
            Self::TrustsHeartbeats => "test_rejoin_2b",
        }
    }

    /// The bug with this name.
    pub(crate) fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|bug| bug.name() == name)
    }

    /// Plants a bug, or none, in all servers that start from here on.
    pub(crate) fn plant(bug: Option<Self>) {
        let place = bug.and_then(|bug| Self::ALL.into_iter().position(|other| other == bug));
        PLANTED.store(place.map_or(0, |place| place + 1), Ordering::Relaxed);
    }

    /// What is planted.
    pub(crate) fn planted() -> Option<Self> {
        PLANTED
            .load(Ordering::Relaxed)
            .checked_sub(1)
            .and_then(|place| Self::ALL.get(place).copied())
    }
}
