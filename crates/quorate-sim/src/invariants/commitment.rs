//! What is committed stays committed, rests on a durable quorum, and gives one reply everywhere
//! (State Machine Safety, Raft §5.4.3).

use quorate_core::{Index, Membership, Term, mutant};
use quorate_log::Entries;

use super::logs::chain;
use super::{Broken, Facts, Link, Name, end_of, link_at};
use crate::world::observed::Seen;

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
            let what = format!(
                "{node} has another entry {commit} than the committed one",
                node = Name(node)
            );
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
            let what = format!(
                "{node} commits {commit}@{}, durable on no quorum",
                own.term.0,
                node = Name(node)
            );
            return Err(Broken::new("commit evidence", what));
        }
        let known = self.committed.len();
        let log = &self.nodes[node].log;
        if known > 0 && log.get(known - 1) != self.committed.last() {
            let what = format!("{node} commits {commit} over another past", node = Name(node));
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
            let what =
                format!("{node} executes {last}, which is not durable there", node = Name(node));
            return Err(Broken::new("apply after persist", what));
        }
        if own != link_at(&self.committed, last) {
            let what = format!(
                "{node} executes {last}, which is not the committed entry",
                node = Name(node)
            );
            return Err(Broken::new("state machine safety", what));
        }
        let first = entries.first();
        let mut before = link_at(&self.committed, Index(first.0 - 1)).map_or(0, |link| link.hash);
        for entry in entries.iter() {
            before = chain(before, &entry);
            let known = link_at(&self.committed, entry.id.index);
            if known != Some(Link { term: entry.id.term, hash: before }) {
                let what =
                    format!("{node} executes the bytes of {} instead", entry.id, node = Name(node));
                return Err(Broken::new("bytes belong to their entry", what));
            }
        }
        Ok(())
    }

    /// A node, or nobody but a replay of the log, executed a command.
    ///
    /// # Errors
    ///
    /// When another node, or an earlier life, got another reply or came to another state.
    pub(crate) fn replied(&mut self, node: Option<usize>, seen: Seen) -> Result<(), Broken> {
        let first = *self.replies.entry(seen.index).or_insert(seen);
        let (differs, invariant) = if first.reply != seen.reply {
            ("got another reply to", "same commands, same replies")
        } else if first.state != seen.state {
            ("came to another state by", "same commands, same state")
        } else {
            return Ok(());
        };
        let who = match node {
            Some(node) => Name(node).to_string(),
            None => "a replay of the log on a machine of its own".to_owned(),
        };
        let what = format!(
            "{who} {differs} the command of entry {} than the first to execute it: the state \
             machine depends on more than its state and its commands. Look in `apply` and `query` \
             for the iteration order of a hash map or set (use BTreeMap, BTreeSet), a clock (use \
             `at.log_time_ms`), a random number (let the command carry it), an address, a static, a \
             thread, a float, or a field that a snapshot leaves out",
            seen.index
        );
        Err(Broken::new(invariant, what))
    }

    /// Fingerprint of the reply to the command of an entry.
    pub(super) fn reply(&self, index: u64) -> Option<u64> {
        self.replies.get(&index).map(|seen| seen.reply)
    }

    /// Highest committed entry.
    #[must_use]
    pub fn commit(&self) -> Index {
        end_of(&self.committed)
    }
}
