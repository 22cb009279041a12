//! The store as a replicated state machine: the only part that knows of replication.

use std::io::Read;

use quorate::{Applying, Snapshot, SnapshotError, StateMachine};

use crate::alarm::Alarm;
use crate::archive::ArchiveStorage;
use crate::command::Command;
use crate::digest::Digest;
use crate::error::KvError;
use crate::event::{Event, EventSink, NoSink};
use crate::query::Range;
use crate::reply::{RangeReply, Reply};
use crate::revision::Revision;
use crate::snapshot::StoreSnapshot;
use crate::store::Store;
use crate::view::{Stats, View};

/// A multi-version store as a state machine; hands what changes to a sink.
#[derive(Debug, Default)]
pub struct KvMachine<S = NoSink> {
    store: Store,
    sink: S,
    /// Empty between commands; kept for its memory.
    events: Vec<Event>,
}

impl<S: EventSink> KvMachine<S> {
    /// An empty store that hands what changes to `sink`.
    #[must_use]
    pub fn new(sink: S) -> Self {
        Self { store: Store::default(), sink, events: Vec::new() }
    }

    /// The same, keeping the values of replaced versions in this storage.
    #[must_use]
    pub fn with_archive(sink: S, storage: Box<dyn ArchiveStorage>) -> Self {
        Self { store: Store::with_archive(storage), ..Self::new(sink) }
    }

    /// The store.
    #[must_use]
    pub const fn store(&self) -> &Store {
        &self.store
    }
}

/// What can be asked of the store without changing it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// Reads a range of keys.
    Range(Range),
    /// Asks for figures: revisions, numbers of keys and versions, bytes.
    Stats,
    /// Asks for the alarms that are raised.
    Alarms,
    /// Asks for the whole store as it stands, to read it elsewhere.
    View,
    /// Asks for a digest up to a revision; up to the latest for zero or less. Reads the whole
    /// store while commands wait: ask for a view and digest that where commands must not wait.
    Digest(Revision),
}

/// What a query answers.
#[derive(Clone, Debug)]
pub enum Answer {
    /// The range, or why it is not readable.
    Range(Result<RangeReply, KvError>),
    /// Figures of the store.
    Stats(Stats),
    /// The alarms, with the revision of the store.
    Alarms(Vec<Alarm>, Revision),
    /// The whole store.
    View(Box<View>),
    /// The digest, or why the revision is not readable.
    Digest(Result<Digest, KvError>),
}

impl<S: EventSink> StateMachine for KvMachine<S> {
    type Command = Command;
    type Reply = Reply;
    type Query = Query;
    type Answer = Answer;

    fn apply(&mut self, _at: &Applying, command: Command) -> Reply {
        let reply = self.store.apply(command, &mut self.events);
        if !self.events.is_empty() {
            self.sink.publish(reply.revision, &self.events);
            self.events.clear();
        }
        reply
    }

    fn query_bytes(query: &Query) -> usize {
        let keys = match query {
            Query::Range(Range { range, .. }) => range.key.len() + range.range_end.len(),
            Query::Stats | Query::Alarms | Query::View | Query::Digest(_) => 0,
        };
        size_of::<Query>() + keys
    }

    fn query(&self, query: Query) -> Answer {
        let view = self.store.as_view();
        match query {
            Query::Range(range) => Answer::Range(view.range(&range)),
            Query::Stats => Answer::Stats(view.stats()),
            Query::Alarms => Answer::Alarms(view.alarms().collect(), view.revision()),
            Query::View => Answer::View(Box::new(self.store.view())),
            Query::Digest(through) => Answer::Digest(view.digest(through)),
        }
    }
}

/// The sink learns nothing of a restored store: what that holds was published where it came from.
impl<S> Snapshot for KvMachine<S> {
    type View = StoreSnapshot;

    fn view(&self) -> StoreSnapshot {
        self.store.as_view().snapshot()
    }

    fn restore(&mut self, from: &mut dyn Read) -> Result<(), SnapshotError> {
        self.store.restore(from)
    }
}
