//! Persist before send (Raft §5, figure 2), and no silent loss: whatever was acknowledged is there
//! after any crash.

use quorate_core::{
    AppendReply, EntryId, Envelope, HardState, Index, Message, PeerStatus, PersistToken, Term,
    mutant,
};
use quorate_log::Log;
use quorate_log::fault::FaultFs;

use super::atlas::Damage;
use super::logs::chain;
use super::{Believed, Broken, Facts, Link, Name, Pending, end_of, link_at};

impl Facts {
    /// A disk reports every write up to `token` durable.
    ///
    /// # Errors
    ///
    /// When the voter has voted for another candidate in this term, in this life or an earlier one.
    pub fn persisted(&mut self, node: usize, token: PersistToken) -> Result<(), Broken> {
        let facts = &mut self.nodes[node];
        let done = facts.pending.iter().take_while(|write| write.token <= token.0).count();
        let mut cut = false;
        for write in facts.pending.drain(..done) {
            cut |= write.truncate_from.is_some();
            if let Some(from) = write.truncate_from {
                facts.durable.truncate(usize::try_from(from - 1).expect("logs are short"));
            }
            facts.durable.truncate(usize::try_from(write.first - 1).expect("logs are short"));
            facts.durable.extend(write.links);
            facts.unstable_bytes -= write.bytes;
            if let Some(vote) = write.vote {
                facts.durable_vote = vote;
            }
        }
        let (term, vote) = facts.durable_vote;
        if let Some(candidate) = vote {
            super::check_vote(self, term, self.id(node), candidate)?;
        }
        if cut { self.check_held() } else { Ok(()) }
    }

    /// A message leaves a node.
    ///
    /// # Errors
    ///
    /// When it rests on something that is not durable there.
    pub fn sent(&self, node: usize, envelope: &Envelope) -> Result<(), Broken> {
        let facts = &self.nodes[node];
        let (durable_term, durable_vote) = facts.durable_vote;
        let broken = |what: String| Err(Broken::new("persist before send", what));
        if envelope.term > durable_term {
            return broken(format!(
                "{node} sends in {} while {durable_term} is durable",
                envelope.term,
                node = Name(node)
            ));
        }
        match &envelope.message {
            Message::RequestVote(vote)
                if !vote.pre_vote
                    && vote.campaign == durable_term
                    && durable_vote != Some(envelope.from) =>
            {
                broken(format!(
                    "{node} asks for votes before its own is durable",
                    node = Name(node)
                ))
            }
            Message::VoteReply(vote)
                if vote.granted
                    && !vote.pre_vote
                    && vote.campaign == durable_term
                    && durable_vote != Some(envelope.to) =>
            {
                broken(format!("{node} gives a vote that is not durable", node = Name(node)))
            }
            Message::AppendReply(AppendReply::Accepted { matched })
                if envelope.term == durable_term && *matched > Index::ZERO =>
            {
                // Its log does not change below what it holds of a leader, until it hears of another:
                // what is durable may be the leader's while a write of a later term is under way.
                let later =
                    |write: &Pending| write.vote.is_some_and(|(term, _)| term > durable_term);
                let durable = link_at(&facts.durable, *matched);
                let is_same = durable == link_at(&facts.log, *matched);
                if durable.is_some() && (is_same || facts.pending.iter().any(later)) {
                    return Ok(());
                }
                let end = end_of(&facts.durable);
                broken(format!(
                    "{node} acknowledges {matched} while other entries are durable, up to {end}",
                    node = Name(node)
                ))
            }
            _ => Ok(()),
        }
    }

    /// A node came back with this log and hard state.
    ///
    /// # Errors
    ///
    /// When something that was durable is missing or changed.
    pub fn recovered(
        &mut self,
        node: usize,
        hard_state: HardState,
        log: &mut Log<FaultFs>,
    ) -> Result<(), Broken> {
        if log.base() != EntryId::ZERO {
            // It may have been the last that the disk did, or what opening completed.
            self.begins_after(node, log.base())?;
        }
        let found = self.read_log(node, log)?;
        let lost = |what: String| Err(Broken::new("no silent loss", what));
        if mutant!(RestartsForgiven) {
            self.votes.retain(|(_, voter), _| *voter != self.ids[node]);
        } else if !self.due(node).allows(hard_state, log.base().term) {
            let (term, vote) = self.nodes[node].durable_vote;
            return lost(format!(
                "{} came back with {hard_state:?}; {term} and {vote:?} were durable",
                Name(node)
            ));
        }
        if let Some(index) = self.due(node).first_missing(&found) {
            return lost(format!(
                "{} came back without entry {index}, which was durable",
                Name(node)
            ));
        }
        if let Some(candidate) = hard_state.vote {
            super::check_vote(self, hard_state.term, self.id(node), candidate)?;
        }
        let facts = &mut self.nodes[node];
        facts.pending.clear();
        facts.unstable_bytes = 0;
        // Both copies are written anew before a node is up; a snapshot is looked at once, and may be
        // damaged by then.
        facts.damage = Damage::of_snapshot(facts.damage.has_snapshot());
        facts.durable.clone_from(&found);
        facts.log = found;
        facts.durable_vote = (hard_state.term, hard_state.vote);
        self.check_held()
    }

    /// What the log of a live node gives back is what the node handed to it.
    ///
    /// # Errors
    ///
    /// When an entry is missing, or another one is there.
    pub fn reads_back(&mut self, node: usize, log: &mut Log<FaultFs>) -> Result<(), Broken> {
        if log.base() != EntryId::ZERO {
            // It may be durable, and about to be reported.
            self.begins_after(node, log.base())?;
        }
        let found = self.read_log(node, log)?;
        let facts = &self.nodes[node];
        let missing = self.due(node).first_missing(&found);
        let differs = facts.pending.is_empty() && found != facts.log;
        let longer = found.len().max(facts.log.len());
        let first = (0..longer).find(|at| found.get(*at) != facts.log.get(*at));
        let unlike = first.filter(|_| differs).map(|at| at + 1);
        let Some(at) = missing.or(unlike) else { return Ok(()) };
        let what = format!("the disk of {} does not hold entry {at} as it was written", Name(node));
        Err(Broken::new("disks hold what was written", what))
    }

    fn read_log(&self, node: usize, log: &mut Log<FaultFs>) -> Result<Vec<Link>, Broken> {
        let base = log.base();
        let covered = usize::try_from(base.index.0).expect("logs are short");
        let is_covered = self.nodes[node].covered >= base.index && covered <= self.committed.len();
        if !is_covered
            || link_at(&self.committed, base.index).map_or(Term::ZERO, |l| l.term) != base.term
        {
            let what =
                format!("the log of {} begins after {base}, which nothing covers", Name(node));
            return Err(Broken::new("a snapshot covers what a log gives up", what));
        }
        let mut found: Vec<Link> = self.committed[..covered].to_vec();
        let last = log.last().index;
        while end_of(&found) < last {
            let first = end_of(&found).next();
            let mut slices = log.read(first, last, 1 << 20);
            if slices.is_err() {
                // A failure that waits for the node's next operation may have hit this one: once.
                slices = log.read(first, last, 1 << 20);
            }
            let slices = slices.map_err(|error| {
                let what = format!("{node} cannot read {first} back: {error}", node = Name(node));
                Broken::new("no silent loss", what)
            })?;
            for entry in slices.iter().flat_map(|slice| slice.iter()) {
                let before = found.last().map_or(0, |link| link.hash);
                let hash = chain(before, &entry);
                found.push(Link { term: entry.id.term, hash });
                if self.seen.get(&(entry.id.index.0, entry.id.term.0)) != Some(&hash) {
                    let what = format!(
                        "{node} came back with {}, never written",
                        entry.id,
                        node = Name(node)
                    );
                    return Err(Broken::new("nothing torn is served", what));
                }
            }
        }
        Ok(found)
    }

    /// A leader of `term` believes that `peer` holds everything up to its match. A peer that went on
    /// to a later term may have cut what it acknowledged.
    ///
    /// # Errors
    ///
    /// When the peer's disk does not hold it, while the peer lives the boot that acknowledged it; or
    /// when the match falls within a term, except to nothing, once for each time the peer restarted.
    pub fn progressed(
        &mut self,
        leader: usize,
        term: Term,
        status: &PeerStatus,
    ) -> Result<(), Broken> {
        let (peer, matched) = (status.id, status.matched);
        let Some(node) = self.position(peer) else { return Ok(()) };
        let boot = self.nodes[node].boot;
        let before = self.matches[leader][node].filter(|before| before.term == term);
        let fell = before.is_some_and(|before| matched < before.matched);
        let falls = before.map_or(0, |before| before.falls) + u64::from(fell);
        let since = before.map_or(boot, |before| before.since);
        let forgot = matched == Index::ZERO && falls <= boot - since;
        if (fell && !forgot) || status.next <= matched {
            let what = format!(
                "{leader} has {status:?} in {term}, {before:?} before",
                leader = Name(leader)
            );
            return Err(Broken::new("progress is true", what));
        }
        self.matches[leader][node] = Some(Believed { term, matched, since, falls });
        if self.nodes[node].marks.term() > term {
            return Ok(());
        }
        let there = link_at(&self.nodes[node].durable, matched);
        let here = link_at(&self.nodes[leader].log, matched);
        if matched == Index::ZERO || there.is_some() && there == here {
            return Ok(());
        }
        let what = format!(
            "{leader} counts {matched} on {node}, which does not hold it",
            leader = Name(leader),
            node = Name(node)
        );
        Err(Broken::new("progress is true", what))
    }
}
