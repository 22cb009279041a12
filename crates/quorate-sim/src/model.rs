//! What one operation does to a store that runs on one machine: the yardstick of a check.
//!
//! A [`Model`] is a pure function. It has nothing in common with the code under test but the
//! meaning of operations, so write it anew and as plainly as possible; a model that shares code with
//! the store shares its mistakes.

use core::fmt::Debug;
use core::marker::PhantomData;
use std::sync::Arc;

/// What an answer tells about a change that may have come before it, perhaps with other operations
/// between that add to the state, but none that overwrites it. An operation *overwrites* a change if
/// it leaves the same with and without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trace {
    /// Nothing: with and without the change the operation is answered alike, and hands the
    /// difference on as it found it.
    Nothing,
    /// The change was not there, or made no difference: where it was, either the answer would be
    /// another one, or what follows is the same without it.
    Impossible,
    /// The answer may come from the change.
    Possible,
}

/// A sequential specification.
///
/// # Partitions
///
/// [`Model::key`] names the part of the state that an operation touches. Parts are checked one by
/// one, which is what makes long histories feasible, and is sound only if an operation reads and
/// changes nothing outside its part. A model whose operations touch several parts uses `()`.
pub trait Model {
    /// Names a part of the state.
    type Key: Clone + Ord + Debug;
    /// The state of one part. It is cloned and compared often: keep it small or shared.
    type State: Clone + Ord + Debug;
    /// What a client asks for.
    type Operation: Clone + PartialEq + Debug;
    /// What it is told.
    type Output: Clone + PartialEq + Debug;

    /// The part that an operation touches.
    fn key(&self, operation: &Self::Operation) -> Self::Key;

    /// The state of a part before any operation.
    fn initial(&self, key: &Self::Key) -> Self::State;

    /// The state after an operation, and its answer. The same arguments give the same result.
    fn step(&self, state: &Self::State, operation: &Self::Operation)
    -> (Self::State, Self::Output);

    /// Whether an operation with this answer leaves every state as it is.
    ///
    /// This only makes a check faster; `false` is always right.
    fn is_read(&self, operation: &Self::Operation, output: &Self::Output) -> bool {
        let _ = (operation, output);
        false
    }

    /// What an answer tells about a change that led from the state `before` to the state `after`;
    /// see [`Trace`]. Without an answer the operation's outcome is unknown, and the question is whether
    /// what it does can depend on the change.
    ///
    /// This only makes a check faster, but where many outcomes are unknown it decides whether the
    /// check ends at all: a change whose outcome is unknown is considered only where an answer may
    /// show it. [`Trace::Possible`] is always right.
    fn trace(
        &self,
        before: &Self::State,
        after: &Self::State,
        operation: &Self::Operation,
        output: Option<&Self::Output>,
    ) -> Trace {
        let _ = (before, after, operation, output);
        Trace::Possible
    }

    /// An operation in words, for reports.
    fn describe(&self, operation: &Self::Operation) -> String {
        format!("{operation:?}")
    }

    /// An answer in words, for reports.
    fn describe_output(&self, output: &Self::Output) -> String {
        format!("{output:?}")
    }

    /// A state in words, for reports.
    fn describe_state(&self, state: &Self::State) -> String {
        format!("{state:?}")
    }
}

impl<M: Model> Model for &M {
    type Key = M::Key;
    type State = M::State;
    type Operation = M::Operation;
    type Output = M::Output;

    fn key(&self, operation: &Self::Operation) -> Self::Key {
        (**self).key(operation)
    }

    fn initial(&self, key: &Self::Key) -> Self::State {
        (**self).initial(key)
    }

    fn step(
        &self,
        state: &Self::State,
        operation: &Self::Operation,
    ) -> (Self::State, Self::Output) {
        (**self).step(state, operation)
    }

    fn is_read(&self, operation: &Self::Operation, output: &Self::Output) -> bool {
        (**self).is_read(operation, output)
    }

    fn trace(
        &self,
        before: &Self::State,
        after: &Self::State,
        operation: &Self::Operation,
        output: Option<&Self::Output>,
    ) -> Trace {
        (**self).trace(before, after, operation, output)
    }

    fn describe(&self, operation: &Self::Operation) -> String {
        (**self).describe(operation)
    }

    fn describe_output(&self, output: &Self::Output) -> String {
        (**self).describe_output(output)
    }

    fn describe_state(&self, state: &Self::State) -> String {
        (**self).describe_state(state)
    }
}

/// One value that is written and read as a whole; it starts as `V::default()`.
#[derive(Clone, Copy, Debug)]
pub struct Register<V>(PhantomData<fn() -> V>);

impl<V> Register<V> {
    /// A register of this type of value.
    #[must_use]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<V> Default for Register<V> {
    fn default() -> Self {
        Self::new()
    }
}

/// What a [`Register`] can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegisterOp<V> {
    /// Replaces the value.
    Write(V),
    /// Answers the value.
    Read,
}

/// What a [`Register`] answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegisterOutput<V> {
    /// The value was replaced.
    Written,
    /// The value as it was.
    Value(V),
}

impl<V: Clone + Ord + Debug + Default> Model for Register<V> {
    type Key = ();
    type State = V;
    type Operation = RegisterOp<V>;
    type Output = RegisterOutput<V>;

    fn key(&self, _: &RegisterOp<V>) {}

    fn initial(&self, (): &()) -> V {
        V::default()
    }

    fn step(&self, state: &V, operation: &RegisterOp<V>) -> (V, RegisterOutput<V>) {
        match operation {
            RegisterOp::Write(value) => (value.clone(), RegisterOutput::Written),
            RegisterOp::Read => (state.clone(), RegisterOutput::Value(state.clone())),
        }
    }

    fn is_read(&self, operation: &RegisterOp<V>, _: &RegisterOutput<V>) -> bool {
        matches!(operation, RegisterOp::Read)
    }

    fn trace(
        &self,
        _: &V,
        after: &V,
        _: &RegisterOp<V>,
        output: Option<&RegisterOutput<V>>,
    ) -> Trace {
        match output {
            Some(RegisterOutput::Value(value)) if value == after => Trace::Possible,
            Some(RegisterOutput::Value(_)) => Trace::Impossible,
            Some(RegisterOutput::Written) | None => Trace::Nothing,
        }
    }

    fn describe(&self, operation: &RegisterOp<V>) -> String {
        match operation {
            RegisterOp::Write(value) => format!("write {value:?}"),
            RegisterOp::Read => "read".to_owned(),
        }
    }

    fn describe_output(&self, output: &RegisterOutput<V>) -> String {
        match output {
            RegisterOutput::Written => "done".to_owned(),
            RegisterOutput::Value(value) => format!("{value:?}"),
        }
    }
}

/// A number that operations add to; it starts at 0 and wraps around.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counter;

/// What a [`Counter`] can do. Both answer the total afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CounterOp {
    /// Adds a number, which may be negative.
    Add(i64),
    /// Changes nothing.
    Read,
}

impl Model for Counter {
    type Key = ();
    type State = i64;
    type Operation = CounterOp;
    type Output = i64;

    fn key(&self, _: &CounterOp) {}

    fn initial(&self, (): &()) -> i64 {
        0
    }

    fn step(&self, state: &i64, operation: &CounterOp) -> (i64, i64) {
        let total = match operation {
            CounterOp::Add(number) => state.wrapping_add(*number),
            CounterOp::Read => *state,
        };
        (total, total)
    }

    fn is_read(&self, operation: &CounterOp, _: &i64) -> bool {
        matches!(operation, CounterOp::Read)
    }

    fn describe(&self, operation: &CounterOp) -> String {
        match operation {
            CounterOp::Add(number) => format!("add {number}"),
            CounterOp::Read => "read".to_owned(),
        }
    }
}

/// Texts by key; at first no key has one. Every operation touches one key, which is its part.
#[derive(Clone, Copy, Debug, Default)]
pub struct KeyValue;

/// A change or a read of one key's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyValueAction {
    /// Answers the text.
    Get,
    /// Replaces the text.
    Put(Arc<str>),
    /// Adds to the end of the text; without one, to the empty text.
    Append(Arc<str>),
    /// Removes the text and answers whether there was one.
    Delete,
    /// Replaces the text if it is as expected, and answers whether it was.
    CompareAndSet {
        /// What has to be there; `None` for no text.
        expected: Option<Arc<str>>,
        /// What is there afterwards.
        value: Arc<str>,
    },
}

/// What a [`KeyValue`] can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyValueOp {
    /// The key that it touches.
    pub key: Arc<str>,
    /// What it does there.
    pub action: KeyValueAction,
}

impl KeyValueOp {
    fn new(key: &str, action: KeyValueAction) -> Self {
        Self { key: Arc::from(key), action }
    }

    /// Reads a key.
    #[must_use]
    pub fn get(key: &str) -> Self {
        Self::new(key, KeyValueAction::Get)
    }

    /// Replaces the text of a key.
    #[must_use]
    pub fn put(key: &str, value: &str) -> Self {
        Self::new(key, KeyValueAction::Put(Arc::from(value)))
    }

    /// Adds to the end of the text of a key.
    #[must_use]
    pub fn append(key: &str, value: &str) -> Self {
        Self::new(key, KeyValueAction::Append(Arc::from(value)))
    }

    /// Removes the text of a key.
    #[must_use]
    pub fn delete(key: &str) -> Self {
        Self::new(key, KeyValueAction::Delete)
    }

    /// Replaces the text of a key if it is as expected; `None` expects no text.
    #[must_use]
    pub fn compare_and_set(key: &str, expected: Option<&str>, value: &str) -> Self {
        let expected = expected.map(Arc::from);
        Self::new(key, KeyValueAction::CompareAndSet { expected, value: Arc::from(value) })
    }
}

/// What a [`KeyValue`] answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyValueOutput {
    /// A put or an append took place.
    Done,
    /// The text that a get found.
    Value(Option<Arc<str>>),
    /// Whether a delete found something to remove.
    Deleted(bool),
    /// Whether a compare-and-set found what it expected.
    Swapped(bool),
}

impl KeyValueOutput {
    /// The answer of a get.
    #[must_use]
    pub fn value(value: Option<&str>) -> Self {
        Self::Value(value.map(Arc::from))
    }
}

impl Model for KeyValue {
    type Key = Arc<str>;
    type State = Option<Arc<str>>;
    type Operation = KeyValueOp;
    type Output = KeyValueOutput;

    fn key(&self, operation: &KeyValueOp) -> Arc<str> {
        Arc::clone(&operation.key)
    }

    fn initial(&self, _: &Arc<str>) -> Self::State {
        None
    }

    fn step(&self, state: &Self::State, operation: &KeyValueOp) -> (Self::State, KeyValueOutput) {
        match &operation.action {
            KeyValueAction::Get => (state.clone(), KeyValueOutput::Value(state.clone())),
            KeyValueAction::Put(value) => (Some(Arc::clone(value)), KeyValueOutput::Done),
            KeyValueAction::Append(value) => {
                let before = state.as_deref().unwrap_or_default();
                let mut text = String::with_capacity(before.len() + value.len());
                text.push_str(before);
                text.push_str(value);
                (Some(Arc::from(text)), KeyValueOutput::Done)
            }
            KeyValueAction::Delete => (None, KeyValueOutput::Deleted(state.is_some())),
            KeyValueAction::CompareAndSet { expected, value } => {
                let as_expected = state == expected;
                let after = if as_expected { Some(Arc::clone(value)) } else { state.clone() };
                (after, KeyValueOutput::Swapped(as_expected))
            }
        }
    }

    fn is_read(&self, operation: &KeyValueOp, output: &KeyValueOutput) -> bool {
        matches!(operation.action, KeyValueAction::Get)
            || matches!(output, KeyValueOutput::Swapped(false) | KeyValueOutput::Deleted(false))
    }

    /// A text that was not overwritten is still the beginning of the text.
    fn trace(
        &self,
        before: &Self::State,
        after: &Self::State,
        operation: &KeyValueOp,
        output: Option<&KeyValueOutput>,
    ) -> Trace {
        let begins = |state: &Self::State, text: &Option<Arc<str>>| match (state, text) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(begin), Some(text)) => text.starts_with(&**begin),
        };
        let (is_possible, otherwise) = match (&operation.action, output) {
            (KeyValueAction::Get, Some(KeyValueOutput::Value(text))) => {
                (begins(after, text), Trace::Impossible)
            }
            // Either way nothing is left of the change.
            (KeyValueAction::Delete, Some(KeyValueOutput::Deleted(found))) => {
                (before.is_some() != *found && after.is_some() == *found, Trace::Impossible)
            }
            (
                KeyValueAction::CompareAndSet { expected, .. },
                Some(KeyValueOutput::Swapped(true)),
            ) => (begins(after, expected), Trace::Impossible),
            // The change may be what kept it from being as expected.
            (KeyValueAction::CompareAndSet { expected, .. }, Some(_)) => {
                (begins(before, expected), Trace::Nothing)
            }
            (KeyValueAction::CompareAndSet { expected, .. }, None) => {
                (begins(after, expected), Trace::Nothing)
            }
            _ => (false, Trace::Nothing),
        };
        if is_possible { Trace::Possible } else { otherwise }
    }

    fn describe(&self, operation: &KeyValueOp) -> String {
        let key = &operation.key;
        match &operation.action {
            KeyValueAction::Get => format!("get {key}"),
            KeyValueAction::Put(value) => format!("put {key} {value:?}"),
            KeyValueAction::Append(value) => format!("append {key} {value:?}"),
            KeyValueAction::Delete => format!("delete {key}"),
            KeyValueAction::CompareAndSet { expected, value } => {
                format!("set {key} from {} to {value:?}", text_or_nothing(expected.as_deref()))
            }
        }
    }

    fn describe_output(&self, output: &KeyValueOutput) -> String {
        match output {
            KeyValueOutput::Done => "done".to_owned(),
            KeyValueOutput::Value(value) => text_or_nothing(value.as_deref()),
            KeyValueOutput::Deleted(true) => "deleted".to_owned(),
            KeyValueOutput::Deleted(false) => "nothing to delete".to_owned(),
            KeyValueOutput::Swapped(true) => "set".to_owned(),
            KeyValueOutput::Swapped(false) => "not as expected".to_owned(),
        }
    }

    fn describe_state(&self, state: &Self::State) -> String {
        text_or_nothing(state.as_deref())
    }
}

fn text_or_nothing(text: Option<&str>) -> String {
    text.map_or_else(|| "nothing".to_owned(), |text| format!("{text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_value_does_what_it_says() {
        use KeyValueOutput::{Deleted, Done, Swapped};
        let script = [
            (KeyValueOp::get("x"), KeyValueOutput::value(None)),
            (KeyValueOp::delete("x"), Deleted(false)),
            (KeyValueOp::compare_and_set("x", Some(""), "a"), Swapped(false)),
            (KeyValueOp::compare_and_set("x", None, "a"), Swapped(true)),
            (KeyValueOp::append("x", "b"), Done),
            (KeyValueOp::get("x"), KeyValueOutput::value(Some("ab"))),
            (KeyValueOp::compare_and_set("x", Some("a"), "z"), Swapped(false)),
            (KeyValueOp::get("x"), KeyValueOutput::value(Some("ab"))),
            (KeyValueOp::compare_and_set("x", Some("ab"), "c"), Swapped(true)),
            (KeyValueOp::get("x"), KeyValueOutput::value(Some("c"))),
            (KeyValueOp::put("x", "d"), Done),
            (KeyValueOp::delete("x"), Deleted(true)),
            (KeyValueOp::append("x", "e"), Done),
            (KeyValueOp::get("x"), KeyValueOutput::value(Some("e"))),
        ];
        let mut state = None;
        for (operation, expected) in script {
            let (after, output) = KeyValue.step(&state, &operation);
            assert_eq!(output, expected, "{}", KeyValue.describe(&operation));
            state = after;
        }
    }

    #[test]
    fn a_register_and_a_counter_do_what_they_say() {
        let register = Register::<u8>::new();
        let (state, output) = register.step(&0, &RegisterOp::Write(3));
        assert_eq!((state, output), (3, RegisterOutput::Written));
        assert_eq!(register.step(&3, &RegisterOp::Read), (3, RegisterOutput::Value(3)));
        assert_eq!(Counter.step(&3, &CounterOp::Add(-5)), (-2, -2));
        assert_eq!(Counter.step(&-2, &CounterOp::Read), (-2, -2));
    }
}
