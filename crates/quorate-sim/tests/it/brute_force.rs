//! The plainest checker there is: all orders are tried one by one, with nothing remembered. It shares
//! no code with the checker under test, neither the search nor the meaning of operations.

use quorate_sim::model::KeyValueAction;
use quorate_sim::{KeyValueOp, KeyValueOutput, Outcome};

use crate::store::KvHistory;

/// One operation that may have had an effect.
#[derive(Clone, Debug)]
pub(crate) struct Plain {
    pub(crate) op: KeyValueOp,
    /// The answer, if it is known.
    pub(crate) answer: Option<KeyValueOutput>,
    pub(crate) called: u64,
    pub(crate) returned: u64,
}

pub(crate) const NEVER: u64 = u64::MAX;

/// What a history says, without what failed.
pub(crate) fn plain(history: &KvHistory) -> Vec<Plain> {
    let mut found = Vec::new();
    for (_, operation) in history.iter() {
        let (answer, returned) = match (&operation.outcome, operation.ended) {
            (Outcome::Failed, _) => continue,
            (Outcome::Returned(output), Some(ended)) => (Some(output.clone()), ended.order()),
            _ => (None, NEVER),
        };
        let called = operation.invoked.order();
        found.push(Plain { op: operation.input.clone(), answer, called, returned });
    }
    found
}

pub(crate) type Texts = Vec<(String, String)>;

fn text<'a>(state: &'a Texts, key: &str) -> Option<&'a str> {
    state.iter().find(|(name, _)| name == key).map(|(_, text)| text.as_str())
}

fn set(state: &mut Texts, key: &str, text: Option<String>) {
    state.retain(|(name, _)| name != key);
    state.extend(text.map(|text| (key.to_owned(), text)));
    state.sort();
}

/// All keys in one state: the same meaning as the model's, written another way.
pub(crate) fn execute(state: &Texts, op: &KeyValueOp) -> (Texts, KeyValueOutput) {
    let mut after = state.clone();
    let old = text(state, &op.key);
    let answer = match &op.action {
        KeyValueAction::Get => KeyValueOutput::value(old),
        KeyValueAction::Put(value) => {
            set(&mut after, &op.key, Some(value.to_string()));
            KeyValueOutput::Done
        }
        KeyValueAction::Append(value) => {
            set(&mut after, &op.key, Some(format!("{}{value}", old.unwrap_or(""))));
            KeyValueOutput::Done
        }
        KeyValueAction::Delete => {
            set(&mut after, &op.key, None);
            KeyValueOutput::Deleted(old.is_some())
        }
        KeyValueAction::CompareAndSet { expected, value } => match (old, expected.as_deref()) {
            (None, None) => {
                set(&mut after, &op.key, Some(value.to_string()));
                KeyValueOutput::Swapped(true)
            }
            (Some(there), Some(wanted)) if there == wanted => {
                set(&mut after, &op.key, Some(value.to_string()));
                KeyValueOutput::Swapped(true)
            }
            _ => KeyValueOutput::Swapped(false),
        },
    };
    (after, answer)
}

/// Whether some order explains everything.
pub(crate) fn is_linearizable(history: &KvHistory) -> bool {
    has_order(&Texts::new(), &plain(history))
}

pub(crate) fn has_order(state: &Texts, left: &[Plain]) -> bool {
    if left.iter().all(|one| one.answer.is_none()) {
        return true;
    }
    (0..left.len()).any(|next| {
        let one = &left[next];
        if left.iter().any(|other| other.returned < one.called) {
            return false;
        }
        let (after, answer) = execute(state, &one.op);
        if one.answer.as_ref().is_some_and(|expected| *expected != answer) {
            return false;
        }
        let mut rest = left.to_vec();
        rest.remove(next);
        has_order(&after, &rest)
    })
}
