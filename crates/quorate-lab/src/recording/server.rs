//! One server as it was last seen, and the events that lie between two looks.

use std::collections::BTreeMap;

use quorate_sim::world::TraceEvent;
use quorate_sim::world::trace::{SnapshotStep, Span};

use super::{Inside, Probe, RoleName, Seen};

/// See the module.
#[derive(Default)]
pub(super) struct Server {
    /// Looks at it; nothing while it is down.
    pub(super) probe: Option<Probe>,
    /// Bytes of the last save since the last look.
    pub(super) saved: Option<u64>,
    /// It asked for votes and nobody led since; what makes a candidate of one that does not say.
    pub(super) campaigns: bool,
    starts: u64,
    role: Option<RoleName>,
    term: u64,
    vote: Option<u64>,
    commit: u64,
    applied: u64,
    /// The last entry that a snapshot stands for.
    base: u64,
    /// The term of each entry that is known to be there.
    log: BTreeMap<u64, u64>,
    /// What it told of itself last.
    told: Option<Inside>,
}

impl Server {
    /// It starts, and this is how.
    pub(super) fn starts(&mut self, node: u64, seen: Seen) -> TraceEvent {
        self.starts += 1;
        self.campaigns = false;
        self.saved = None;
        self.applied = 0;
        self.commit = 0;
        self.vote = None;
        (self.term, self.role) = (seen.state.0, Some(RoleName::Follower));
        let mut log = Vec::new();
        if let Some(inside) = seen.inside {
            self.term = inside.term;
            self.vote = inside.vote.map(super::number);
            self.commit = inside.commit;
            self.base = inside.base.0;
            self.log = (self.base + 1..).zip(inside.terms).collect();
            self.told = None;
            // What a snapshot stands for is one stretch of its last term.
            if let (base, term) = inside.base
                && base > 0
            {
                log.push(Span { first: 1, last: base, term });
            }
        }
        log.extend(spans(&self.log));
        TraceEvent::Starts {
            node,
            boot: self.starts,
            term: self.term,
            vote: self.vote,
            commit: self.commit,
            log,
            base: self.base,
            torn: false,
        }
    }

    /// It was looked at.
    pub(super) fn is_seen(&mut self, node: u64, seen: Seen, events: &mut Vec<TraceEvent>) {
        if self.probe.is_none() {
            return;
        }
        let (term, leads) = seen.state;
        if leads {
            self.campaigns = false;
        }
        match seen.inside {
            Some(inside) => self.is_told(node, inside, events),
            None => {
                let role = match (leads, self.campaigns) {
                    (true, _) => RoleName::Leader,
                    (false, true) => RoleName::Candidate,
                    (false, false) => RoleName::Follower,
                };
                self.takes(node, role, term, events);
            }
        }
        if let Some(bytes) = self.saved.take() {
            events.push(TraceEvent::Saves { node, bytes });
            let last = self.log.keys().next_back().copied().unwrap_or(self.base);
            events.push(TraceEvent::Persists { node, last });
        }
        if let Some(index) = seen.applied {
            self.applies(node, index, None, events);
        }
    }

    fn takes(&mut self, node: u64, role: RoleName, term: u64, events: &mut Vec<TraceEvent>) {
        if (self.role, self.term) != (Some(role), term) {
            (self.role, self.term) = (Some(role), term);
            events.push(TraceEvent::Role { node, role: role.as_str(), term, leader: None });
        }
    }

    fn is_told(&mut self, node: u64, inside: Inside, events: &mut Vec<TraceEvent>) {
        if self.told.as_ref() == Some(&inside) {
            return;
        }
        self.told = Some(inside.clone());
        let Inside { role, term, vote, commit, base: (base, base_term), terms } = inside;
        let vote = vote.map(super::number);
        if vote.is_some() && (self.vote, self.term) != (vote, term) {
            events.push(TraceEvent::Votes { node, term, vote });
        }
        self.vote = vote;
        self.takes(node, role, term, events);
        if base > self.base {
            self.base = base;
            let step = SnapshotStep::LogBegins;
            events.push(TraceEvent::Snapshot { node, step, last: base, term: base_term });
            if self.log.get(&base) != Some(&base_term) {
                self.log.clear();
            }
            self.log.retain(|index, _| *index > base);
        }
        let after: BTreeMap<u64, u64> = (base + 1..).zip(terms).collect();
        let is_wrong = |(index, term): &(&u64, &u64)| after.get(index) != Some(term);
        if let Some((&from, _)) = self.log.iter().find(is_wrong) {
            self.log.retain(|index, _| *index < from);
            events.push(TraceEvent::Truncates { node, from });
        }
        let last = self.log.keys().next_back().copied().unwrap_or(base);
        let more: BTreeMap<u64, u64> = after.range(last + 1..).map(|(i, t)| (*i, *t)).collect();
        if !more.is_empty() {
            events.push(TraceEvent::Appends { node, log: spans(&more) });
        }
        self.log = after;
        if commit > self.commit {
            self.commit = commit;
            events.push(TraceEvent::Commits { node, index: commit });
        }
    }

    /// `start` promised this index.
    pub(super) fn promises(
        &mut self,
        node: u64,
        index: u64,
        term: u64,
        events: &mut Vec<TraceEvent>,
    ) {
        if self.log.get(&index) != Some(&term) {
            self.has(node, index, term, events);
        }
    }

    /// An entry is there, and nobody said so before.
    fn has(&mut self, node: u64, index: u64, term: u64, events: &mut Vec<TraceEvent>) {
        self.log.retain(|other, _| *other < index);
        self.log.insert(index, term);
        let log = vec![Span { first: index, last: index, term }];
        events.push(TraceEvent::Appends { node, log });
    }

    /// It applied everything up to an index; the term of the last is known for a command.
    pub(super) fn applies(
        &mut self,
        node: u64,
        index: u64,
        term: Option<u64>,
        events: &mut Vec<TraceEvent>,
    ) {
        if let Some(term) = term
            && index > self.base
            && self.log.get(&index) != Some(&term)
        {
            self.has(node, index, term, events);
        }
        if index > self.commit {
            self.commit = index;
            events.push(TraceEvent::Commits { node, index });
        }
        if index != self.applied {
            self.applied = index;
            events.push(TraceEvent::Applies { node, index });
        }
    }
}

/// Entries of one term, one after the other, as one.
fn spans(log: &BTreeMap<u64, u64>) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    for (&index, &term) in log {
        match spans.last_mut() {
            Some(span) if span.term == term && span.last + 1 == index => span.last = index,
            _ => spans.push(Span { first: index, last: index, term }),
        }
    }
    spans
}
