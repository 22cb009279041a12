//! The checker against brute force: on all histories of up to three operations and on the richest
//! kinds of four, and on random ones of up to seven.

use std::time::Duration;

use quorate_sim::{
    Checker, ClientId, History, KeyValue, KeyValueOp, KeyValueOutput, Model, Outcome, Verdict,
};

use crate::brute_force;
use crate::random;
use crate::store::{KvHistory, Rng};

/// The checker's word, after its reasons were looked into.
pub(crate) fn decide(history: &KvHistory) -> bool {
    let verdict = Checker::new(KeyValue).check(history);
    match &verdict {
        Verdict::Linearizable(found) => {
            for (key, order) in &found.orders {
                let mut state = KeyValue.initial(key);
                let mut placed = Vec::new();
                for id in order {
                    let one = history.operation(*id);
                    assert_eq!(KeyValue.key(&one.input), *key);
                    assert!(
                        !placed.iter().any(|earlier| one.precedes(history.operation(*earlier)))
                    );
                    let (after, output) = KeyValue.step(&state, &one.input);
                    if let Outcome::Returned(answer) = &one.outcome {
                        assert_eq!(output, *answer, "the order does not explain {id}");
                    }
                    assert_ne!(one.outcome, Outcome::Failed);
                    state = after;
                    placed.push(*id);
                }
            }
            let placed: Vec<_> = found.orders.iter().flat_map(|(_, order)| order).collect();
            for (id, operation) in history.iter() {
                assert!(operation.answer().is_none() || placed.contains(&&id), "{id} has no place");
            }
        }
        Verdict::Broken(violation) => {
            assert!(!violation.operations.is_empty());
            assert!(violation.to_string().contains("not linearizable"));
        }
        Verdict::Undecided(undecided) => panic!("{undecided}"),
    }
    verdict.is_linearizable()
}

/// All ways in which the calls and returns of `operations` can follow one another, up to renaming:
/// each is a list of (operation, is a return).
fn interleavings(operations: usize) -> Vec<Vec<(usize, bool)>> {
    fn extend(
        events: &mut Vec<(usize, bool)>,
        open: &mut Vec<usize>,
        called: usize,
        operations: usize,
        into: &mut Vec<Vec<(usize, bool)>>,
    ) {
        if called == operations && open.is_empty() {
            into.push(events.clone());
        }
        if called < operations {
            events.push((called, false));
            open.push(called);
            extend(events, open, called + 1, operations, into);
            open.pop();
            events.pop();
        }
        for place in 0..open.len() {
            let operation = open.remove(place);
            events.push((operation, true));
            extend(events, open, called, operations, into);
            events.pop();
            open.insert(place, operation);
        }
    }
    let mut found = Vec::new();
    extend(&mut Vec::new(), &mut Vec::new(), 0, operations, &mut found);
    found
}

type Kind = (KeyValueOp, Outcome<KeyValueOutput>);

fn kinds() -> Vec<Kind> {
    use KeyValueOutput::{Deleted, Done, Swapped};
    let get = |value| (KeyValueOp::get("x"), Outcome::Returned(KeyValueOutput::value(value)));
    let swap = || KeyValueOp::compare_and_set("x", Some("a"), "b");
    let create = || KeyValueOp::compare_and_set("x", None, "a");
    vec![
        get(None),
        get(Some("a")),
        get(Some("ab")),
        (KeyValueOp::put("x", "a"), Outcome::Returned(Done)),
        (KeyValueOp::append("x", "b"), Outcome::Returned(Done)),
        (KeyValueOp::put("x", "a"), Outcome::Unknown),
        (swap(), Outcome::Returned(Swapped(true))),
        // Those above are also put together by fours.
        get(Some("b")),
        (KeyValueOp::put("x", "b"), Outcome::Returned(Done)),
        (swap(), Outcome::Returned(Swapped(false))),
        (KeyValueOp::append("x", "b"), Outcome::Unknown),
        (KeyValueOp::delete("x"), Outcome::Returned(Deleted(true))),
        (KeyValueOp::delete("x"), Outcome::Returned(Deleted(false))),
        (KeyValueOp::delete("x"), Outcome::Unknown),
        (create(), Outcome::Returned(Swapped(true))),
        (create(), Outcome::Returned(Swapped(false))),
        (swap(), Outcome::Unknown),
        (KeyValueOp::put("x", "a"), Outcome::Failed),
    ]
}

fn build(events: &[(usize, bool)], chosen: &[&Kind]) -> KvHistory {
    let mut history = History::new();
    let mut ids = Vec::new();
    for (clock, (operation, is_return)) in events.iter().enumerate() {
        let at = Duration::from_millis(clock as u64);
        let (op, outcome) = chosen[*operation];
        if !is_return {
            ids.push(history.invoke(ClientId(*operation as u32), op.clone(), at));
            continue;
        }
        match outcome {
            Outcome::Returned(output) => history.returned(ids[*operation], output.clone(), at),
            Outcome::Unknown => history.unknown(ids[*operation], at),
            Outcome::Failed => history.failed(ids[*operation], at),
        }
    }
    history
}

/// Compares on every history of that many operations of these kinds; how many, and how many of them
/// are linearizable.
fn compare_all(operations: usize, kinds: &[Kind]) -> (usize, usize) {
    let mut counts = (0, 0);
    let ways = interleavings(operations);
    let choices = kinds.len().pow(operations as u32);
    for choice in 0..choices {
        let mut digits = choice;
        let mut chosen = Vec::new();
        for _ in 0..operations {
            chosen.push(&kinds[digits % kinds.len()]);
            digits /= kinds.len();
        }
        for events in &ways {
            let history = build(events, &chosen);
            let expected = brute_force::is_linearizable(&history);
            assert_eq!(decide(&history), expected, "{history:#?}");
            counts.0 += 1;
            counts.1 += usize::from(expected);
        }
    }
    counts
}

#[test]
fn calls_and_returns_interleave_in_all_ways() {
    let counts: Vec<usize> = (1..=4).map(|operations| interleavings(operations).len()).collect();
    assert_eq!(counts, [1, 3, 15, 105]);
}

#[test]
fn all_histories_of_up_to_three_operations_are_decided_as_by_brute_force() {
    for operations in 0..=3 {
        let (all, linearizable) = compare_all(operations, &kinds());
        println!("{operations} operations: {linearizable} of {all} histories are linearizable");
        assert!(operations == 0 || (linearizable > 0 && linearizable < all));
    }
}

#[test]
fn all_histories_of_four_operations_of_seven_kinds_are_decided_as_by_brute_force() {
    let (all, linearizable) = compare_all(4, &kinds()[..7]);
    println!("{linearizable} of {all} histories are linearizable");
    assert_eq!(all, 105 * 7_usize.pow(4));
    assert!(linearizable > all / 20);
}

#[test]
fn random_histories_of_up_to_seven_operations_are_decided_as_by_brute_force() {
    let mut rng = Rng(7);
    let mut linearizable = 0;
    for round in 0..30_000 {
        let operations = 4 + round % 4;
        let keys = 1 + rng.below(2);
        let history = random::history(&mut rng, operations, keys);
        let expected = brute_force::is_linearizable(&history);
        assert_eq!(decide(&history), expected, "{history:#?}");
        linearizable += usize::from(expected);
    }
    println!("{linearizable} of 30000 histories are linearizable");
    assert!((6_000..27_000).contains(&linearizable), "{linearizable}");
}
