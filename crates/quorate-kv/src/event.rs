//! What changed, for whoever watches.

use crate::key_value::KeyValue;
use crate::revision::Revision;

/// One change of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What happened to the key.
    pub kind: EventKind,
    /// The version put; for a deletion only key and mod revision are set.
    pub kv: KeyValue,
    /// The version that was there before.
    pub previous: Option<KeyValue>,
}

/// What happened to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// It was set.
    Put,
    /// It was deleted.
    Delete,
}

/// Takes what changed, revision by revision.
pub trait EventSink: Send + 'static {
    /// Takes all events of one revision, in the order of the operations that made them; never
    /// empty, and revisions only rise.
    fn publish(&mut self, revision: Revision, events: &[Event]);
}

/// Drops every event.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoSink;

impl EventSink for NoSink {
    fn publish(&mut self, _revision: Revision, _events: &[Event]) {}
}
