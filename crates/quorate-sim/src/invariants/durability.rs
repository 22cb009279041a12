//! Persist before send (Raft §5, figure 2), and no silent loss: whatever was acknowledged is there
//! after any crash.

use quorate_core::{
    AppendReply, Envelope, HardState, Index, Message, PeerStatus, PersistToken, Term, mutant,
};
use quorate_log::Log;
use quorate_log::fault::FaultFs;

use super::atlas::Survivors;
use super::logs::chain;
use super::{Broken, Facts, Link, end_of, link_at};

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
                "n{node} sends in {} while {durable_term} is durable",
                envelope.term,
                node = node + 1
            ));
        }
        match &envelope.message {
            Message::RequestVote(vote)
                if !vote.pre_vote
                    && vote.campaign == durable_term
                    && durable_vote != Some(envelope.from) =>
            {
                broken(format!("n{node} asks for votes before its own is durable", node = node + 1))
            }
            Message::VoteReply(vote)
                if vote.granted
                    && !vote.pre_vote
                    && vote.campaign == durable_term
                    && durable_vote != Some(envelope.to) =>
            {
                broken(format!("n{node} gives a vote that is not durable", node = node + 1))
            }
            Message::AppendReply(AppendReply::Accepted { matched })
                if envelope.term == durable_term && *matched > end_of(&facts.durable) =>
            {
                let end = end_of(&facts.durable);
                broken(format!(
                    "n{node} acknowledges {matched} while {end} is durable",
                    node = node + 1
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
        let found = self.read_log(node, log)?;
        let facts = &mut self.nodes[node];
        let (term, vote) = facts.durable_vote;
        let lost = |what: String| Err(Broken::new("no silent loss", what));
        let mut vote_lost = hard_state.term == term && vote.is_some() && hard_state.vote != vote;
        if mutant!(RestartsForgiven) {
            vote_lost = false;
            self.votes.retain(|(_, voter), _| *voter != self.ids[node]);
        }
        let facts = &self.nodes[node];
        if hard_state.term < term || vote_lost {
            return lost(format!(
                "n{node} came back with {hard_state:?}; {term} and {vote:?} were durable",
                node = node + 1
            ));
        }
        let survives = Survivors { durable: &facts.durable, pending: &facts.pending };
        if let Some(index) = survives.first_missing(&found) {
            return lost(format!(
                "n{node} came back without entry {index}, which was durable",
                node = node + 1
            ));
        }
        if let Some(candidate) = hard_state.vote {
            super::check_vote(self, hard_state.term, self.id(node), candidate)?;
        }
        let facts = &mut self.nodes[node];
        facts.pending.clear();
        facts.durable.clone_from(&found);
        facts.log = found;
        facts.durable_vote = (hard_state.term, hard_state.vote);
        self.check_held()
    }

    fn read_log(&self, node: usize, log: &mut Log<FaultFs>) -> Result<Vec<Link>, Broken> {
        let mut found: Vec<Link> = Vec::new();
        let last = log.last().index;
        while end_of(&found) < last {
            let first = end_of(&found).next();
            let slices = log.read(first, last, 1 << 20).map_err(|error| {
                let what = format!("n{node} cannot read {first} back: {error}", node = node + 1);
                Broken::new("no silent loss", what)
            })?;
            for entry in slices.iter().flat_map(|slice| slice.iter()) {
                let before = found.last().map_or(0, |link| link.hash);
                let hash = chain(before, entry.id.index, entry.id.term, entry.payload);
                found.push(Link { term: entry.id.term, hash });
                if self.seen.get(&(entry.id.index.0, entry.id.term.0)) != Some(&hash) {
                    let what = format!(
                        "n{node} came back with {}, never written",
                        entry.id,
                        node = node + 1
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
    /// when the match falls within a term, except to nothing when the peer restarted.
    pub fn progressed(
        &mut self,
        leader: usize,
        term: Term,
        status: &PeerStatus,
    ) -> Result<(), Broken> {
        let (peer, matched) = (status.id, status.matched);
        let Some(node) = self.position(peer) else { return Ok(()) };
        let before = self.matches[leader][node].replace((term, matched));
        let fell = before.is_some_and(|(then, before)| then == term && matched < before);
        if (fell && matched != Index::ZERO) || status.next <= matched {
            let what = format!(
                "n{leader} has {status:?} in {term}, {before:?} before",
                leader = leader + 1
            );
            return Err(Broken::new("progress is true", what));
        }
        if self.nodes[node].marks.term() > term {
            return Ok(());
        }
        let there = link_at(&self.nodes[node].durable, matched);
        let here = link_at(&self.nodes[leader].log, matched);
        if matched == Index::ZERO || there.is_some() && there == here {
            return Ok(());
        }
        let what = format!(
            "n{leader} counts {matched} on n{node}, which does not hold it",
            leader = leader + 1,
            node = node + 1
        );
        Err(Broken::new("progress is true", what))
    }
}
