//! Random small histories, about half of which are linearizable.

use std::collections::BTreeMap;
use std::time::Duration;

use quorate_sim::{ClientId, History, KeyValueOp, KeyValueOutput, OperationId};

use crate::brute_force::{Texts, execute};
use crate::store::{KvHistory, Rng};

const TEXTS: [&str; 3] = ["a", "b", "aa"];

fn some_text(rng: &mut Rng) -> &'static str {
    TEXTS[rng.index(2)]
}

fn some_op(rng: &mut Rng, keys: u64) -> KeyValueOp {
    let key = ["x", "y"][rng.below(keys) as usize];
    match rng.below(10) {
        0..=3 => KeyValueOp::get(key),
        4 | 5 => KeyValueOp::put(key, some_text(rng)),
        6 | 7 => KeyValueOp::append(key, some_text(rng)),
        8 => KeyValueOp::delete(key),
        _ => {
            let expected = if rng.percent(30) { None } else { Some(some_text(rng)) };
            KeyValueOp::compare_and_set(key, expected, some_text(rng))
        }
    }
}

/// Another answer of the same kind.
fn other_answer(rng: &mut Rng, answer: &KeyValueOutput) -> KeyValueOutput {
    match answer {
        KeyValueOutput::Done => KeyValueOutput::Done,
        KeyValueOutput::Value(_) if rng.percent(30) => KeyValueOutput::value(None),
        KeyValueOutput::Value(_) => KeyValueOutput::value(Some(TEXTS[rng.index(TEXTS.len())])),
        KeyValueOutput::Deleted(found) => KeyValueOutput::Deleted(!found),
        KeyValueOutput::Swapped(done) => KeyValueOutput::Swapped(!done),
    }
}

enum Stage {
    Called(OperationId, KeyValueOp),
    Done(OperationId, KeyValueOutput),
}

/// `operations` calls of up to four clients. Half of the time the store lies now and then: it gives
/// another answer, forgets a change, or applies it twice.
pub(crate) fn history(rng: &mut Rng, operations: usize, keys: u64) -> KvHistory {
    let clients = 2 + rng.index(3);
    let lies = if rng.percent(75) { 40 } else { 0 };
    let mut history = History::new();
    let mut state = Texts::new();
    let mut stages: BTreeMap<usize, Stage> = BTreeMap::new();
    let mut late: Vec<KeyValueOp> = Vec::new();
    let mut clock = 0;
    while history.len() < operations || !stages.is_empty() {
        clock += 1;
        let at = Duration::from_millis(clock);
        if !late.is_empty() && rng.percent(20) {
            let op = late.swap_remove(rng.index(late.len()));
            state = execute(&state, &op).0;
        }
        let client = rng.index(clients);
        match stages.remove(&client) {
            None if history.len() < operations => {
                let op = some_op(rng, keys);
                let id = history.invoke(ClientId(client as u32), op.clone(), at);
                stages.insert(client, Stage::Called(id, op));
            }
            None => {}
            Some(Stage::Called(id, _)) if rng.percent(5) => history.failed(id, at),
            Some(Stage::Called(id, op)) if rng.percent(10) => {
                if rng.percent(50) {
                    late.push(op);
                }
                if rng.percent(50) {
                    history.unknown(id, at);
                }
            }
            Some(Stage::Called(id, op)) => {
                let (mut after, mut answer) = execute(&state, &op);
                if rng.percent(lies) {
                    match rng.below(4) {
                        0 => after = state.clone(),
                        1 => after = execute(&after, &op).0,
                        _ => answer = other_answer(rng, &answer),
                    }
                }
                state = after;
                stages.insert(client, Stage::Done(id, answer));
            }
            Some(Stage::Done(id, answer)) => history.returned(id, answer, at),
        }
    }
    history
}
