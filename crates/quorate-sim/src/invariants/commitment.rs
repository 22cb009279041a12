//! What is committed stays committed, rests on a durable quorum, and gives one reply everywhere
//! (State Machine Safety, Raft §5.4.3).

use quorate_core::{Index, Membership, Term, mutant};
use quorate_log::Entries;

use super::{Broken, Facts, end_of, link_at};

impl Facts {
    /// A node knows everything up to `commit` committed.
    ///
    /// # Errors
    ///
    /// When that differs from what is committed, or nobody could know it yet.
    pub fn committed_on(
        &mut self,
        node: usize,
        commit: Index,
        term: Term,
        membership: impl FnOnce() -> Membership,
    ) -> Result<(), Broken> {
        let Some(own) = link_at(&self.nodes[node].log, commit) else {
            // A leader's own entries wait for the flush before they are seen here.
            return Ok(());
        };
        if let Some(known) = link_at(&self.committed, commit) {
            if known == own {
                return Ok(());
            }
            let what = format!("node {node} has another entry {commit} than the committed one");
            return Err(Broken::new("state machine safety", what));
        }
        let membership = membership();
        let holds = |half: &[quorate_core::NodeId]| {
            let holders = half.iter().filter(|id| {
                let holder = self.position(**id).map(|at| &self.nodes[at].durable);
                holder.and_then(|log| link_at(log, commit)) == Some(own)
            });
            let needed = if mutant!(OneNodeIsEvidence) { 1 } else { half.len() / 2 + 1 };
            holders.count() >= needed
        };
        let both = holds(membership.voters())
            && (membership.outgoing().is_empty() || holds(membership.outgoing()));
        if !both {
            let what = format!("node {node} commits {commit}@{}, durable on no quorum", own.term.0);
            return Err(Broken::new("commit evidence", what));
        }
        let known = self.committed.len();
        let log = &self.nodes[node].log;
        if known > 0 && log.get(known - 1) != self.committed.last() {
            let what = format!("node {node} commits {commit} over another past");
            return Err(Broken::new("committed entries never change", what));
        }
        let end = usize::try_from(commit.0).expect("logs are short");
        self.committed.extend_from_slice(&log[known..end]);
        self.committed_by = Some(membership);
        let committed_in = self.committed_in.last().map_or(term, |last| term.max(*last));
        self.committed_in.resize(end, committed_in);
        Ok(())
    }

    /// A node is about to execute these entries.
    ///
    /// # Errors
    ///
    /// When they are not the committed ones, or not durable there.
    pub fn applies(&self, node: usize, entries: &Entries) -> Result<(), Broken> {
        let last = entries.last();
        let own = link_at(&self.nodes[node].durable, last);
        if own.is_none() {
            let what = format!("node {node} executes {last}, which is not durable there");
            return Err(Broken::new("apply after persist", what));
        }
        if own != link_at(&self.committed, last) {
            let what = format!("node {node} executes {last}, which is not the committed entry");
            return Err(Broken::new("state machine safety", what));
        }
        for entry in entries.iter() {
            let known = link_at(&self.committed, entry.id.index).map(|link| link.term);
            if known != Some(entry.id.term) {
                let what = format!("node {node} executes the bytes of {} instead", entry.id);
                return Err(Broken::new("bytes belong to their entry", what));
            }
        }
        Ok(())
    }

    /// A node executed the command at `index` with this reply.
    ///
    /// # Errors
    ///
    /// When another node, or an earlier life, got another reply.
    pub fn replied(&mut self, node: usize, index: u64, print: u64) -> Result<(), Broken> {
        let first = *self.replies.entry(index).or_insert(print);
        if first == print {
            return Ok(());
        }
        let what = format!(
            "node {node} got another reply to the command at {index} than the first to execute \
             it: the state machine depends on more than the state and the command. Look for the \
             iteration order of a hash map, a clock, a random number, an address or a float"
        );
        Err(Broken::new("same commands, same replies", what))
    }

    /// Highest committed entry.
    #[must_use]
    pub fn commit(&self) -> Index {
        end_of(&self.committed)
    }
}
