//! What must hold on one node after every step, whatever came (Raft figures 2 and 3, as far as one
//! node can see them). A broken one is a fault of this crate: the node ends rather than go on.
//!
//! What is cheap is checked always, what walks over peers in debug builds and tests. Rules that span
//! nodes are checked by the tests' cluster, and by the simulator.

use super::Raft;
use super::role::{Leader, Role};

impl Raft {
    pub(super) fn check_invariants(&self) {
        self.check_positions();
        self.check_role();
        self.check_snapshots();
    }

    /// base ≤ commit ≤ last; applied ≤ applying ≤ both commit and persisted.
    pub(super) fn check_positions(&self) {
        let (base, last) = (self.log.base().index, self.log.last());
        let persisted = self.durability.persisted();
        assert!(base <= self.commit && self.commit <= last.index, "the commit index is in the log");
        assert!(self.applied <= self.applying, "nothing is executed that was not handed out");
        assert!(self.applying <= self.commit, "nothing is handed out that is not committed");
        assert!(self.applying <= persisted, "nothing is handed out that is not durable here");
        assert!(persisted <= self.durability.handed_out(), "what is durable was handed out");
        assert!(self.durability.handed_out() <= last.index, "what was handed out is in the log");
        assert!(last.term <= self.term(), "no entry is of a later term");
        let entries = last.index > self.durability.handed_out();
        assert!(self.write.entries == entries, "what is not handed out is in the write to come");
    }

    /// A snapshot covers the base and nothing that was not executed here. What is received comes in
    /// order, and only a follower lets it take the place of its log.
    fn check_snapshots(&self) {
        let (base, covered) = (self.log.base(), self.snapshot.map(|id| id.last.index));
        assert!(covered.unwrap_or_default() >= base.index, "a snapshot covers the base");
        assert!(
            covered.unwrap_or_default() <= self.applying,
            "a snapshot covers what was executed"
        );
        let Some(receiving) = &self.receiving else { return };
        receiving.check();
        let may = self.installing().is_none() || matches!(self.role, Role::Follower(_));
        assert!(may, "only a follower installs a snapshot");
    }

    /// Each role's own data fits the term, the vote and the log.
    fn check_role(&self) {
        let vote = self.hard_state.vote;
        match &self.role {
            Role::Follower(follower) => {
                assert!(follower.leader != Some(self.id), "a follower follows another");
                let is_heard = follower.heard_at.is_none() || follower.leader.is_some();
                assert!(is_heard, "only a leader is heard");
            }
            Role::PreCandidate(candidate) => {
                assert!(candidate.campaign == self.term().next(), "a dry run is for the next term");
            }
            Role::Candidate(candidate) => {
                assert!(candidate.campaign == self.term(), "a candidate stands for its own term");
                assert!(vote == Some(self.id), "a candidate votes for itself");
            }
            Role::Leader(leader) => {
                assert!(vote == Some(self.id), "a leader voted for itself");
                debug_assert!(self.reads.is_empty(), "a leader confirms its reads itself");
                if cfg!(debug_assertions) {
                    self.check_leader(leader);
                }
            }
        }
    }

    /// The opening entry is of the leader's term; matched < next ≤ last + 1 for every other node of
    /// the membership, and for no one else.
    fn check_leader(&self, leader: &Leader) {
        // A snapshot may cover it.
        let opening = leader.opening.max(self.log.base().index);
        let opening = self.log.term_at(opening);
        assert!(opening == Some(self.term()), "the opening entry is of the leader's term");
        let last = self.log.last().index;
        let mut nodes = self.membership().nodes();
        nodes.retain(|id| *id != self.id);
        assert!(leader.peers.ids().eq(nodes), "a leader knows its peers and no one else");
        for progress in leader.peers.values() {
            assert!(progress.matched < progress.next, "next is above match");
            assert!(progress.next <= last.next(), "next is in the log or just behind it");
            if let Some(transfer) = progress.transfer() {
                let (acked, next, bytes) = (transfer.acked, transfer.next, transfer.id.bytes);
                assert!(acked <= next && next <= bytes, "pieces are sent before they are there");
            }
        }
    }
}
