//! The checker against another one that others wrote, on 100,000 random histories.

use quorate_sim::{KeyValueOp, KeyValueOutput};
use todc_utils::linearizability::WGLChecker;
use todc_utils::linearizability::history::{Action, History};
use todc_utils::specifications::Specification;

use crate::brute_force::{NEVER, Plain, Texts, execute, plain};
use crate::random;
use crate::small::decide;
use crate::store::{KvHistory, Rng};

/// All keys at once: this one knows no parts.
struct Store;

/// An operation with its answer, if that is known.
type Answered = (KeyValueOp, Option<KeyValueOutput>);

impl Specification for Store {
    type State = Texts;
    type Operation = Answered;

    fn init() -> Texts {
        Texts::new()
    }

    fn apply((op, expected): &Answered, state: &Texts) -> (bool, Texts) {
        let (after, answer) = execute(state, op);
        (expected.as_ref().is_none_or(|expected| *expected == answer), after)
    }
}

/// It wants a return for every call: an unknown operation returns after all others, where it harms
/// no one if it had no effect before. Each operation is a process of its own.
fn second_opinion(history: &KvHistory) -> bool {
    let operations: Vec<Plain> = plain(history);
    if operations.is_empty() {
        return true;
    }
    let mut events = Vec::new();
    for (process, one) in operations.iter().enumerate() {
        let answered = (one.op.clone(), one.answer.clone());
        events.push((one.called, process, Action::Call(answered.clone())));
        let returned = if one.answer.is_some() { one.returned } else { NEVER };
        events.push((returned, process, Action::Response(answered)));
    }
    events.sort_by_key(|(position, process, _)| (*position, *process));
    let actions = events.into_iter().map(|(_, process, action)| (process, action)).collect();
    WGLChecker::<Store>::is_linearizable(History::from_actions(actions))
}

#[test]
fn another_checker_decides_100_000_random_histories_alike() {
    let mut rng = Rng(42);
    let mut linearizable = 0;
    let mut longest = 0;
    for round in 0..100_000 {
        let operations = 3 + round % 8;
        let keys = 1 + rng.below(2);
        let history = random::history(&mut rng, operations, keys);
        let expected = second_opinion(&history);
        assert_eq!(decide(&history), expected, "{history:#?}");
        linearizable += usize::from(expected);
        longest = longest.max(history.len());
    }
    println!("{linearizable} of 100000 histories of up to {longest} operations are linearizable");
    assert!((20_000..90_000).contains(&linearizable), "{linearizable}");
}
