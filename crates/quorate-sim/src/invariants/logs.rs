//! Log Matching (Raft §5.3): two entries of one index and term are one entry, with one past.

use quorate_core::{Index, Term, mutant};
use quorate_log::{Entries, EntryRef, Write};

use super::{Broken, Facts, Link, Name, Pending, end_of, link_at};
use crate::world::observed::digest;

/// Bytes that a run of entries takes in memory beside them.
const BLOCK_BYTES: usize = 192;

impl Facts {
    /// A node hands a write to its disk.
    ///
    /// # Errors
    ///
    /// When an entry differs from one of the same index and term anywhere, now or before; when a
    /// leader cuts its log (Leader Append-Only), or anyone what was committed in a term that it has
    /// reached. One that has not may still hear of an earlier leader who has never seen the entry.
    pub fn wrote(&mut self, node: usize, leads: bool, write: &Write) -> Result<(), Broken> {
        if let Some(from) = write.truncate_from {
            self.truncated(node, leads, from, self.term_of(node, write))?;
        }
        let first = end_of(&self.nodes[node].log).next();
        let mut links = Vec::new();
        for entries in &write.entries {
            self.append(node, entries, &mut links)?;
        }
        let bytes = write.entries.iter().map(|run| BLOCK_BYTES + run.bytes().len()).sum();
        self.nodes[node].unstable_bytes += bytes;
        let vote = write.hard_state.map(|hard_state| (hard_state.term, hard_state.vote));
        self.nodes[node].pending.push(Pending {
            token: write.token.0,
            truncate_from: write.truncate_from.map(|from| from.0),
            first: first.0,
            links,
            bytes,
            vote,
        });
        Ok(())
    }

    /// The term that a node acts in with this write.
    fn term_of(&self, node: usize, write: &Write) -> Term {
        let facts = &self.nodes[node];
        let pending = facts.pending.iter().rev().find_map(|write| write.vote.map(|(term, _)| term));
        let written = write.hard_state.map(|state| state.term).or(pending);
        let in_log = facts.log.last().map_or(Term::ZERO, |link| link.term);
        written.unwrap_or(facts.durable_vote.0).max(in_log)
    }

    fn truncated(
        &mut self,
        node: usize,
        leads: bool,
        from: Index,
        term: Term,
    ) -> Result<(), Broken> {
        if leads {
            let what = format!("{node} leads and cuts its log from {from} on", node = Name(node));
            return Err(Broken::new("a leader only appends", what));
        }
        let cut = link_at(&self.nodes[node].log, from);
        let place = usize::try_from(from.0 - 1).expect("logs are short");
        let is_settled = self.committed_in.get(place).is_some_and(|settled| *settled <= term);
        if is_settled && cut.is_some() && cut == link_at(&self.committed, from) {
            let what = format!("{node} cuts the committed entry {from}", node = Name(node));
            return Err(Broken::new("committed entries never change", what));
        }
        self.nodes[node].log.truncate(place);
        Ok(())
    }

    fn append(
        &mut self,
        node: usize,
        entries: &Entries,
        links: &mut Vec<Link>,
    ) -> Result<(), Broken> {
        for entry in entries.iter() {
            let log = &mut self.nodes[node].log;
            let index = entry.id.index;
            if index != end_of(log).next() {
                let what =
                    format!("{node} appends {index} behind {}", end_of(log), node = Name(node));
                return Err(Broken::new("no gap in a log", what));
            }
            let before = log.last().map_or(0, |link| link.hash);
            let hash = chain(before, &entry);
            let link = Link { term: entry.id.term, hash };
            log.push(link);
            links.push(link);
            let key = (index.0, entry.id.term.0);
            let first = *self.seen.entry(key).or_insert(hash);
            if first != hash && !mutant!(LogsNotCompared) {
                let what = format!(
                    "{} on {node} differs from the one elsewhere",
                    entry.id,
                    node = Name(node)
                );
                return Err(Broken::new("log matching", what));
            }
        }
        Ok(())
    }
}

/// Hash of an entry, all of it, and everything before it.
pub(crate) fn chain(before: u128, entry: &EntryRef<'_>) -> u128 {
    let mix = |hash: u128, part: u64| {
        (hash ^ u128::from(part)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b)
    };
    let envelope = entry.envelope;
    let hash = mix(mix(before.rotate_left(64), entry.id.index.0), entry.id.term.0);
    let hash = mix(mix(hash, envelope.kind as u64 ^ envelope.log_time_ms << 8), envelope.session);
    let sequence = u64::from(envelope.sequence) << 32 | u64::from(envelope.acknowledged_distance);
    let hash = mix(mix(hash, sequence), digest(entry.payload));
    mix(hash, entry.payload.len() as u64)
}
