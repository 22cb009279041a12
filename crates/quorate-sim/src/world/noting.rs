//! Events of the trace that take more than a line to make.

use quorate::StateMachine;
use quorate::replica::Frame;
use quorate_core::{EntryId, Index, NodeId, Term};
use quorate_log::fault::FaultFs;
use quorate_log::{Recovered, Write};

use super::World;
use super::network::Fate;
use super::plan::Fault;
use super::trace::{Arrival, FrameWords, LinkState, SnapshotStep, TraceEvent, name, spans};
use super::words::words;
use super::workload::Workload;
use crate::invariants::Broken;

impl<M: StateMachine + Default, W: Workload<M>> World<M, W> {
    /// Notes that a property did not hold, at the end of the trace.
    pub fn note_broken(&mut self, broken: &Broken) {
        self.trace.note(self.now, || TraceEvent::Broken {
            invariant: broken.invariant,
            what: broken.what.clone(),
        });
    }

    pub(super) fn note_write(&mut self, node: usize, write: &Write) {
        let node = name(node);
        if let Some(state) = write.hard_state {
            let (term, vote) = (state.term.0, state.vote.map(NodeId::get));
            self.trace.note(self.now, || TraceEvent::Votes { node, term, vote });
        }
        if let Some(from) = write.truncate_from {
            self.trace.note(self.now, || TraceEvent::Truncates { node, from: from.0 });
        }
        if !write.entries.is_empty() {
            self.trace.note(self.now, || {
                let ids = write.entries.iter().flat_map(|run| run.iter()).map(|entry| entry.id);
                TraceEvent::Appends { node, log: spans(ids) }
            });
        }
    }

    pub(super) fn note_sent(
        &mut self,
        frame: u64,
        (from, to): (usize, usize),
        words: FrameWords,
        (bytes, fate): (usize, &Fate),
    ) {
        let now = self.now;
        self.trace.note(now, || {
            let arrives = match fate {
                Fate::Lost | Fate::Refused => Vec::new(),
                Fate::Arrives(spans) => spans.iter().map(|span| now + super::nanos(span)).collect(),
            };
            let (from, to, bytes) = (name(from), name(to), bytes as u64);
            TraceEvent::Sends { frame, from, to, words, bytes, arrives }
        });
    }

    pub(super) fn note_arrival(
        &mut self,
        number: u64,
        (from, to): (usize, usize),
        fate: Arrival,
        frame: Option<&Frame>,
    ) {
        self.trace.note(self.now, || TraceEvent::Arrives {
            frame: number,
            from: name(from),
            to: name(to),
            fate,
            words: frame.map(words),
        });
    }

    pub(super) fn note_start(&mut self, node: usize, recovered: &Recovered<FaultFs>) {
        let facts = &self.facts.nodes[node];
        self.trace.note(self.now, || {
            let ids = facts.log.iter().enumerate();
            let ids = ids.map(|(at, link)| EntryId::new(Index(at as u64 + 1), link.term));
            TraceEvent::Starts {
                node: name(node),
                boot: recovered.boot.0,
                term: recovered.hard_state.term.0,
                vote: recovered.hard_state.vote.map(NodeId::get),
                commit: recovered.commit.0,
                log: spans(ids),
                base: recovered.log.base().index.0,
                torn: recovered.report.torn.is_some(),
            }
        });
    }

    pub(super) fn note_snapshot(&mut self, node: usize, step: SnapshotStep, last: EntryId) {
        let EntryId { index: Index(last), term: Term(term) } = last;
        self.trace.note(self.now, || TraceEvent::Snapshot { node: name(node), step, last, term });
    }

    pub(super) fn note_strike(&mut self, fault: Fault, node: Option<usize>, until: Option<u64>) {
        self.trace.note(self.now, || TraceEvent::Strikes { fault, node: node.map(name), until });
    }

    /// Notes which links stand, in these words or in the network's own.
    pub(super) fn note_network(&mut self, words: Option<String>) {
        let (nodes, network) = (self.nodes.len(), &self.network);
        self.trace.note(self.now, || {
            let pairs = (0..nodes).flat_map(|from| (0..nodes).map(move |to| (from, to)));
            let cut = pairs.filter(|(from, to)| network.topology.is_cut(*from, *to));
            let cut = cut.map(|(from, to)| (name(from), name(to))).collect();
            let shape = words.unwrap_or_else(|| network.topology.to_string());
            TraceEvent::Network { shape, cut }
        });
    }

    pub(super) fn note_link(
        &mut self,
        from: usize,
        to: usize,
        state: LinkState,
        until: Option<u64>,
    ) {
        let (from, to) = (name(from), name(to));
        self.trace.note(self.now, || TraceEvent::Link { from, to, state, until });
    }
}
