//! What happened: a hash that two runs of one seed share, and the events when they are asked for.
//!
//! The hash takes in every step, whether events are kept or not, and keeping them changes nothing
//! of what happens: events are made by closures that draw no randomness.

mod display;

use std::collections::VecDeque;

use quorate_core::EntryId;
use serde::Serialize;

use super::observed::fingerprint;
use super::plan::Fault;

/// Events that are kept when nobody asked for all of them.
const KEPT: usize = 100;

/// The events of a run.
#[derive(Debug)]
pub struct Trace {
    hash: u64,
    events: VecDeque<Traced>,
    keeps: Keeps,
    /// Commit index of each node as it was last traced.
    commits: Vec<u64>,
    frames: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keeps {
    Nothing,
    Recent,
    All,
}

/// Something that happened, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Traced {
    /// World time in nanoseconds.
    pub at: u64,
    /// What happened.
    #[serde(flatten)]
    pub event: TraceEvent,
}

/// What can happen. Nodes carry the number in their names, from 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum TraceEvent {
    /// A node begins to open its data directory.
    Opens {
        /// Who.
        node: u64,
    },
    /// A node has recovered and runs.
    Starts {
        /// Who.
        node: u64,
        /// Number of this boot.
        boot: u64,
        /// Its term.
        term: u64,
        /// Whom it voted for in that term.
        vote: Option<u64>,
        /// The commit index that its disk knew.
        commit: u64,
        /// Its log, and the entries that a snapshot stands for.
        log: Vec<Span>,
        /// The last entry before its log begins.
        base: u64,
        /// Whether recovery cut a torn tail.
        torn: bool,
    },
    /// A node dies.
    Dies {
        /// Who.
        node: u64,
        /// Whether what was not synced may be lost or torn.
        unsynced: bool,
    },
    /// A node takes a role, or learns of a term or a leader.
    Role {
        /// Who.
        node: u64,
        /// The role in the glossary's words.
        role: &'static str,
        /// The term.
        term: u64,
        /// The leader, where known.
        leader: Option<u64>,
    },
    /// A node hands its term and vote to its disk.
    Votes {
        /// Who.
        node: u64,
        /// The term.
        term: u64,
        /// For whom.
        vote: Option<u64>,
    },
    /// A node drops the end of its log.
    Truncates {
        /// Who.
        node: u64,
        /// The first index that goes.
        from: u64,
    },
    /// A node adds to its log.
    Appends {
        /// Who.
        node: u64,
        /// What.
        log: Vec<Span>,
    },
    /// A node saves all that it keeps, as Rafts of the lab do.
    Saves {
        /// Who.
        node: u64,
        /// How much that is.
        bytes: u64,
    },
    /// A disk reports a write durable.
    Persists {
        /// Whose.
        node: u64,
        /// The last entry that is durable there.
        last: u64,
    },
    /// A log that was idle records that its last batch is durable.
    Fences {
        /// Whose.
        node: u64,
    },
    /// A node reads entries back that it no longer has in memory.
    ReadsBack {
        /// Who.
        node: u64,
        /// The first that is wanted.
        first: u64,
        /// The last.
        last: u64,
        /// Whether they could not be read.
        failed: bool,
    },
    /// Something becomes of a snapshot on a node.
    Snapshot {
        /// Which.
        node: u64,
        /// What.
        step: SnapshotStep,
        /// The last entry that it covers.
        last: u64,
        /// Its term.
        term: u64,
    },
    /// A node knows more to be committed.
    Commits {
        /// Who.
        node: u64,
        /// The commit index.
        index: u64,
    },
    /// A node's state machine has executed more.
    Applies {
        /// Who.
        node: u64,
        /// The applied index.
        index: u64,
    },
    /// A node stops because its disk failed.
    DiskFails {
        /// Whose.
        node: u64,
        /// In the words of the log.
        error: String,
    },
    /// A node sends a frame.
    Sends {
        /// Number of the frame.
        frame: u64,
        /// Sender.
        from: u64,
        /// Receiver.
        to: u64,
        /// What the frame is.
        #[serde(flatten)]
        words: FrameWords,
        /// Its size.
        bytes: u64,
        /// When it arrives; several times where it is doubled or replayed, never where it is lost.
        arrives: Vec<u64>,
    },
    /// A frame reaches the other end.
    Arrives {
        /// Number of the frame.
        frame: u64,
        /// Sender.
        from: u64,
        /// Receiver.
        to: u64,
        /// What becomes of it.
        fate: Arrival,
        /// What the frame is, where the receiver takes it.
        #[serde(flatten)]
        words: Option<FrameWords>,
    },
    /// A node learns that a connection stands.
    Connects {
        /// Who.
        node: u64,
        /// With whom.
        peer: u64,
    },
    /// A node learns that a connection is closed.
    Closes {
        /// Who.
        node: u64,
        /// With whom.
        peer: u64,
    },
    /// A fault strikes.
    Strikes {
        /// Its kind.
        fault: Fault,
        /// Whom, where it is one node.
        node: Option<u64>,
        /// When it ends, where that is known.
        until: Option<u64>,
    },
    /// The network takes a shape.
    Network {
        /// The shape in words.
        shape: String,
        /// Every pair of sender and receiver between whom nothing passes.
        cut: Vec<(u64, u64)>,
    },
    /// One direction of a link changes.
    Link {
        /// Sender.
        from: u64,
        /// Receiver.
        to: u64,
        /// What it is like from here on.
        state: LinkState,
        /// When that ends, where it is known.
        until: Option<u64>,
    },
    /// A client asks for something.
    Asks {
        /// Who.
        client: u32,
        /// Number of the request.
        request: u64,
        /// Which node.
        node: u64,
        /// What, in the words of the workload.
        what: String,
    },
    /// A client's request ends.
    Ends {
        /// Who.
        client: u32,
        /// Number of the request.
        request: u64,
        /// How.
        outcome: RequestEnd,
        /// The answer, in the words of the workload.
        what: String,
    },
    /// Nothing goes wrong any more; what stays cut off or down is told behind it.
    Mended,
    /// Clients ask for nothing more.
    ClientsStop,
    /// A property did not hold.
    Broken {
        /// Its name.
        invariant: &'static str,
        /// What was seen.
        what: String,
    },
}

/// Entries of one term, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Span {
    /// The first index.
    pub first: u64,
    /// The last index.
    pub last: u64,
    /// Their term.
    pub term: u64,
}

/// What becomes of a snapshot on a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SnapshotStep {
    /// It was taken of the node's own state machine, and is durable.
    Taken,
    /// It was sent, is whole, and durable.
    Received,
    /// The log begins after it.
    LogBegins,
    /// The state machine takes its state.
    Restored,
}

/// What a frame says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FrameWords {
    /// Its kind: `append`, `vote-reply`.
    pub kind: &'static str,
    /// The sender's term, where the protocol gives one.
    pub term: Option<u64>,
    /// What it says.
    pub says: String,
}

/// What becomes of a frame at its receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arrival {
    /// The receiver takes it.
    Taken,
    /// The link was cut on the way.
    CutOff,
    /// It was damaged, and the receiver saw that.
    Corrupt,
    /// The receiver is down.
    Nobody,
}

/// What one direction of a link is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LinkState {
    /// Nothing passes.
    Cut,
    /// It stands again.
    Stands,
    /// It is slow.
    Slow,
    /// It carries few bytes per second.
    Narrow,
    /// It holds everything back for a while.
    Clogged,
}

/// How a request ended for its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RequestEnd {
    /// It was carried out or answered.
    Answered,
    /// Certainly without effect.
    Refused,
    /// Perhaps with effect.
    Unknown,
}

impl Trace {
    pub(crate) const fn new() -> Self {
        Self {
            hash: 0xcbf2_9ce4_8422_2325,
            events: VecDeque::new(),
            keeps: Keeps::Nothing,
            commits: Vec::new(),
            frames: 0,
        }
    }

    /// Keeps every event from here on.
    pub const fn keep_all(&mut self) {
        self.keeps = Keeps::All;
    }

    /// Keeps the latest events from here on.
    pub const fn keep_recent(&mut self) {
        self.keeps = Keeps::Recent;
    }

    /// The hash of everything that happened: equal for equal runs.
    #[must_use]
    pub fn hash(&self) -> u64 {
        fingerprint(&self.hash.to_le_bytes())
    }

    /// The events that were kept, in order.
    pub fn events(&self) -> impl Iterator<Item = &Traced> {
        self.events.iter()
    }

    /// Hands out the events that were kept.
    pub fn take_events(&mut self) -> Vec<Traced> {
        core::mem::take(&mut self.events).into()
    }

    /// Takes a step into the hash.
    pub(crate) fn step(&mut self, now: u64, parts: [u64; 3]) {
        for part in [now, parts[0], parts[1], parts[2]] {
            self.hash = (self.hash ^ part).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(29);
        }
    }

    /// Makes an event, where events are wanted.
    pub(crate) fn note(&mut self, now: u64, event: impl FnOnce() -> TraceEvent) {
        if !self.is_wanted() {
            return;
        }
        if self.keeps == Keeps::Recent && self.events.len() == KEPT {
            self.events.pop_front();
        }
        self.events.push_back(Traced { at: now, event: event() });
    }

    /// Where a node stands after a step: traced where it differs.
    pub(crate) fn note_commit(&mut self, now: u64, node: usize, index: u64) {
        if !self.is_wanted() {
            return;
        }
        if self.commits.len() <= node {
            self.commits.resize(node + 1, 0);
        }
        if core::mem::replace(&mut self.commits[node], index) != index {
            self.note(now, || TraceEvent::Commits { node: name(node), index });
        }
    }

    /// Whether events are made at all.
    pub(crate) fn is_wanted(&self) -> bool {
        self.keeps != Keeps::Nothing
    }

    /// The number of the next frame.
    pub(crate) const fn number_frame(&mut self) -> u64 {
        self.frames += 1;
        self.frames
    }
}

/// The number in a node's name, from its place in the world.
pub(crate) const fn name(node: usize) -> u64 {
    node as u64 + 1
}

/// Runs of one term each, from entries one after the other.
pub(crate) fn spans(entries: impl IntoIterator<Item = EntryId>) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    for EntryId { index, term } in entries {
        match spans.last_mut() {
            Some(span) if span.term == term.0 && span.last + 1 == index.0 => span.last = index.0,
            _ => spans.push(Span { first: index.0, last: index.0, term: term.0 }),
        }
    }
    spans
}

#[cfg(test)]
mod tests {
    use quorate_core::{Index, Term};

    use super::display::{Last, Spans};
    use super::*;

    #[test]
    fn entries_become_one_span_for_each_term() {
        let ids = [(4, 1), (5, 1), (6, 3), (7, 3)].map(|(i, t)| EntryId::new(Index(i), Term(t)));
        let spans = spans(ids);
        assert_eq!(Spans(&spans).to_string(), "4..5@1, 6..7@3");
        assert_eq!(Last(&spans).to_string(), "7@3");
    }

    #[test]
    fn nothing_is_made_that_nobody_wants_and_the_latest_is_kept() {
        let mut trace = Trace::new();
        trace.note(1, || unreachable!("nobody wants it"));
        trace.keep_recent();
        for at in 0..300 {
            trace.note(at, || TraceEvent::Mended);
        }
        assert_eq!(trace.events().count(), KEPT);
        assert_eq!(trace.events().last().map(|traced| traced.at), Some(299));
    }
}
