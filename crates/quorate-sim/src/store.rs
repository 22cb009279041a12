//! The store that the simulator runs when nobody brings one, and clients that use it.

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

use quorate::{Applying, StateMachine};
use serde::{Deserialize, Serialize};

use crate::history::{ClientId, History, OperationId};
use crate::linearizable::judge_run;
use crate::model::{KeyValue, KeyValueOp, KeyValueOutput};
use crate::rng::Rng;
use crate::world::COMMAND_BYTES;
use crate::world::workload::{Decision, End, Request, Workload};

/// Bytes that a padding command takes besides its padding: version, kind, and a length of three.
const PAD_OVERHEAD: usize = 5;

/// Texts by key.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Store {
    texts: BTreeMap<String, String>,
}

/// What changes a [`Store`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// Replaces a text.
    Put(String, String),
    /// Adds to the end of a text.
    Append(String, String),
    /// Removes a text.
    Delete(String),
    /// Replaces a text that is as expected.
    CompareAndSet(String, Option<String>, String),
    /// Does nothing, at length.
    Pad(Vec<u8>),
}

/// What a [`Change`] answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Changed {
    /// It took place.
    Done,
    /// Whether a delete found something to remove.
    Deleted(bool),
    /// Whether a compare-and-set found what it expected.
    Swapped(bool),
}

impl StateMachine for Store {
    type Command = Change;
    type Reply = Changed;
    type Query = String;
    type Answer = Option<String>;

    fn apply(&mut self, _at: &Applying, change: Change) -> Changed {
        match change {
            Change::Put(key, value) => {
                self.texts.insert(key, value);
                Changed::Done
            }
            Change::Append(key, value) => {
                self.texts.entry(key).or_default().push_str(&value);
                Changed::Done
            }
            Change::Delete(key) => Changed::Deleted(self.texts.remove(&key).is_some()),
            Change::CompareAndSet(key, expected, value) => {
                let as_expected = self.texts.get(&key) == expected.as_ref();
                if as_expected {
                    self.texts.insert(key, value);
                }
                Changed::Swapped(as_expected)
            }
            Change::Pad(_) => Changed::Done,
        }
    }

    fn query(&self, key: String) -> Option<String> {
        self.texts.get(&key).cloned()
    }
}

/// Clients of a [`Store`], and the history of what they saw.
#[derive(Debug, Default)]
pub struct StoreWorkload {
    history: History<KeyValueOp, KeyValueOutput>,
    written: u64,
    sizes: bool,
}

impl StoreWorkload {
    /// Clients whose commands are small, or of very different sizes.
    #[must_use]
    pub fn new(sizes: bool) -> Self {
        Self { sizes, ..Self::default() }
    }

    /// What the clients saw.
    #[must_use]
    pub const fn history(&self) -> &History<KeyValueOp, KeyValueOutput> {
        &self.history
    }
}

impl Workload<Store> for StoreWorkload {
    fn next(
        &mut self,
        client: ClientId,
        rng: &mut Rng,
        at: Duration,
    ) -> (Option<OperationId>, Request<Store>) {
        if self.sizes && rng.chance(20_000) {
            let bytes = match rng.range(0..20) {
                // At the limit, one below, and one above it, which is refused.
                0 => COMMAND_BYTES - PAD_OVERHEAD + rng.index(3) - 1,
                1 => 0,
                _ => 1_usize << rng.range(4..18),
            };
            return (None, Request::Call(Change::Pad(vec![7; bytes])));
        }
        let key = format!("k{}", rng.range(0..5));
        self.written += 1;
        let value = format!("{}.{} ", client.0, self.written);
        let (op, request) = match rng.range(0..10) {
            0..4 => (KeyValueOp::get(&key), Request::Read(key)),
            4..7 => (KeyValueOp::put(&key, &value), Request::Call(Change::Put(key, value))),
            7..8 => (KeyValueOp::append(&key, &value), Request::Call(Change::Append(key, value))),
            8..9 => (KeyValueOp::delete(&key), Request::Call(Change::Delete(key))),
            _ => {
                let op = KeyValueOp::compare_and_set(&key, None, &value);
                (op, Request::Call(Change::CompareAndSet(key, None, value)))
            }
        };
        (Some(self.history.invoke(client, op, at)), request)
    }

    fn ended(&mut self, operation: OperationId, end: End<Store>, at: Duration) {
        match end {
            End::Replied(Changed::Done) => {
                self.history.returned(operation, KeyValueOutput::Done, at);
            }
            End::Replied(Changed::Deleted(found)) => {
                self.history.returned(operation, KeyValueOutput::Deleted(found), at);
            }
            End::Replied(Changed::Swapped(done)) => {
                self.history.returned(operation, KeyValueOutput::Swapped(done), at);
            }
            End::Answered(text) => {
                let value = KeyValueOutput::Value(text.map(Arc::from));
                self.history.returned(operation, value, at);
            }
            End::Refused => self.history.failed(operation, at),
            End::Unknown => self.history.unknown(operation, at),
        }
    }

    fn describe(&self, request: &Request<Store>) -> String {
        match request {
            Request::Read(key) => format!("get {key}"),
            Request::Call(Change::Put(key, value)) => format!("put {key} {value}"),
            Request::Call(Change::Append(key, value)) => format!("append {key} {value}"),
            Request::Call(Change::Delete(key)) => format!("delete {key}"),
            Request::Call(Change::CompareAndSet(key, None, value)) => {
                format!("create {key} {value}")
            }
            Request::Call(Change::CompareAndSet(key, Some(expected), value)) => {
                format!("replace {key} {expected} by {value}")
            }
            Request::Call(Change::Pad(bytes)) => format!("pad of {} bytes", bytes.len()),
        }
    }

    fn describe_end(&self, end: &End<Store>) -> String {
        match end {
            End::Replied(Changed::Done) | End::Refused | End::Unknown => String::new(),
            End::Replied(Changed::Deleted(found)) => format!("deleted: {found}"),
            End::Replied(Changed::Swapped(done)) => format!("swapped: {done}"),
            End::Answered(Some(text)) => text.clone(),
            End::Answered(None) => "nothing there".to_owned(),
        }
    }

    fn verdict(&self) -> Result<Decision, String> {
        judge_run(KeyValue, &self.history)
    }
}
