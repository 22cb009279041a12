//! Six histories of a store, as the checker of K13 and K21 has to judge them.

use std::time::Duration;

use quorate_sim::{Checker, ClientId, History, KeyValue, KeyValueOp, KeyValueOutput, Verdict};

/// One operation: its client, call and return in ms, what it did, and what a get answered.
type Line = (u32, u64, u64, KeyValueOp, Option<&'static str>);

fn get(client: u32, from: u64, to: u64, value: &'static str) -> Line {
    (client, from, to, KeyValueOp::get("k"), Some(value))
}

fn put(client: u32, from: u64, to: u64, value: &str) -> Line {
    (client, from, to, KeyValueOp::put("k", value), None)
}

fn append(client: u32, from: u64, to: u64, value: &str) -> Line {
    (client, from, to, KeyValueOp::append("k", value), None)
}

fn is_linearizable(lines: &[Line]) -> bool {
    let mut history = History::new();
    let mut events: Vec<(u64, bool, usize)> = Vec::new();
    for (place, (_, from, to, ..)) in lines.iter().enumerate() {
        // What returns and what is called at the same moment overlap.
        events.extend([(*from, false, place), (*to, true, place)]);
    }
    events.sort_unstable();
    let mut ids = vec![None; lines.len()];
    for (at, is_return, place) in events {
        let (client, _, _, operation, value) = &lines[place];
        let at = Duration::from_millis(at);
        if let (true, Some(id)) = (is_return, ids[place]) {
            let output = match value {
                Some(value) => KeyValueOutput::value(Some(*value).filter(|text| !text.is_empty())),
                None => KeyValueOutput::Done,
            };
            history.returned(id, output, at);
        } else {
            ids[place] = Some(history.invoke(ClientId(*client), operation.clone(), at));
        }
    }
    match Checker::new(KeyValue).check(&history) {
        Verdict::Linearizable(_) => true,
        Verdict::Broken(_) => false,
        Verdict::Undecided(_) => panic!("these histories are short"),
    }
}

#[test]
fn one_after_the_other_is_linearizable() {
    let history = [get(1, 0, 1, ""), put(2, 2, 3, "a"), append(1, 4, 5, "b"), get(2, 6, 7, "ab")];
    assert!(is_linearizable(&history));
}

#[test]
fn a_read_may_see_a_write_that_is_under_way_or_not() {
    for value in ["", "a"] {
        assert!(is_linearizable(&[put(1, 0, 10, "a"), get(2, 2, 4, value)]));
    }
    let both = [put(1, 0, 10, "a"), get(2, 1, 2, ""), get(3, 3, 4, "a"), get(2, 5, 6, "a")];
    assert!(is_linearizable(&both));
}

#[test]
fn a_read_that_misses_a_write_that_had_returned_is_not() {
    assert!(!is_linearizable(&[put(1, 0, 1, "a"), put(1, 2, 3, "b"), get(2, 4, 5, "a")]));
}

#[test]
fn two_reads_that_go_back_in_time_are_not() {
    let history = [put(1, 0, 10, "a"), get(2, 1, 2, "a"), get(3, 3, 4, "")];
    assert!(!is_linearizable(&history));
}

#[test]
fn an_append_that_is_executed_twice_is_not() {
    assert!(!is_linearizable(&[append(1, 0, 1, "x"), get(2, 2, 3, "xx")]));
    assert!(is_linearizable(&[append(1, 0, 4, "x"), append(2, 1, 3, "x"), get(3, 5, 6, "xx")]));
}

#[test]
fn appends_that_readers_see_in_two_orders_are_not() {
    let appends = [append(1, 0, 10, "x"), append(2, 0, 10, "y")];
    let with = |one, other| {
        let [x, y] = appends.clone();
        is_linearizable(&[x, y, get(3, 11, 12, one), get(4, 13, 14, other)])
    };
    assert!(with("xy", "xy") && with("yx", "yx"));
    assert!(!with("xy", "yx"));
    assert!(!with("x", "xy"), "both had returned");
}
