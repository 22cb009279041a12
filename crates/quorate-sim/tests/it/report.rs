//! Reports, word for word: a person has to understand them.

use std::time::Duration;

use quorate_sim::history::Timed;
use quorate_sim::{
    Checker, ClientId, Counter, CounterOp, Explanation, History, KeyValue, KeyValueOp,
    KeyValueOutput, Outcome, Register, RegisterOp, RegisterOutput, Verdict, Violation,
};

use crate::planted::assert_minimal;
use crate::store::KvHistory;

/// Operations as (client, call, return, operation, answer), in milliseconds.
type Row = (u32, u64, u64, KeyValueOp, KeyValueOutput);

fn history(rows: Vec<Row>) -> KvHistory {
    History::from_timed(rows.into_iter().map(|(client, called, returned, input, output)| Timed {
        client: ClientId(client),
        input,
        invoked: Duration::from_millis(called),
        ended: Some(Duration::from_millis(returned)),
        outcome: Outcome::Returned(output),
    }))
}

fn broken(history: &KvHistory) -> Box<Violation<KeyValue>> {
    let Verdict::Broken(violation) = Checker::new(KeyValue).check(history) else {
        panic!("linearizable")
    };
    assert_minimal(&violation);
    violation
}

fn put(value: &str) -> (KeyValueOp, KeyValueOutput) {
    (KeyValueOp::put("x", value), KeyValueOutput::Done)
}

fn append(value: &str) -> (KeyValueOp, KeyValueOutput) {
    (KeyValueOp::append("x", value), KeyValueOutput::Done)
}

fn get(value: &str) -> (KeyValueOp, KeyValueOutput) {
    (KeyValueOp::get("x"), KeyValueOutput::value(Some(value)))
}

fn row(client: u32, called: u64, returned: u64, (op, out): (KeyValueOp, KeyValueOutput)) -> Row {
    (client, called, returned, op, out)
}

#[test]
fn the_report_of_a_stale_read_reads_well() {
    crate::pick_mutant("");
    let violation = broken(&history(vec![
        row(1, 0, 1, put("a")),
        row(2, 2, 3, put("b")),
        row(3, 2, 6, get("b")),
        row(1, 4, 5, get("a")),
        row(2, 7, 8, get("b")),
    ]));
    let expected = [
        r#"not linearizable: no order of the 5 operations on "x" respects real time and explains every answer"#,
        r#"2 of them show it, starting from "a", which 1 earlier one left:"#,
        r#"  c1          |#3-|"#,
        r#"  c2  |#1-|"#,
        r#"  #1 c2 2ms .. 3ms: put x "b" -> done"#,
        r#"  #3 c1 4ms .. 5ms: get x -> "a""#,
        r#"why there is no order:"#,
        r#"  #1: then #3 get x would answer "b", but answered "a""#,
        r#"  it fits if #3 took effect before #1, which had returned before #3 was called: a stale read, or changes out of order; so does all that came later"#,
        r#"longest order that could be begun: 3 of 5"#,
        r#"  #0 #1 #2 leaves "b""#,
        r#"  #3 get x would answer "b", but answered "a""#,
    ];
    assert_eq!(violation.to_string(), expected.join("\n"));
}

#[test]
fn the_report_of_a_lost_append_reads_well() {
    let violation = broken(&history(vec![
        row(1, 0, 1, append("a")),
        row(2, 2, 3, append("b")),
        row(1, 4, 5, append("c")),
        row(3, 6, 7, get("ac")),
        row(3, 8, 9, get("ac")),
    ]));
    let expected = [
        r#"not linearizable: no order of the 5 operations on "x" respects real time and explains every answer"#,
        r#"3 of them show it, starting from "a", which 1 earlier one left:"#,
        r#"  c1          |#2-|"#,
        r#"  c2  |#1-|"#,
        r#"  c3                  |#3-|"#,
        r#"  #1 c2 2ms .. 3ms: append x "b" -> done"#,
        r#"  #2 c1 4ms .. 5ms: append x "c" -> done"#,
        r#"  #3 c3 6ms .. 7ms: get x -> "ac""#,
        r#"why there is no order:"#,
        r#"  #1 #2: then #3 get x would answer "abc", but answered "ac""#,
        r#"  it fits if #1 was answered but never took effect: a lost change; so does all that came later"#,
        r#"longest order that could be begun: 1 of 5"#,
        r#"  #0 leaves "a""#,
        r#"  #1 append x "b" fits, but leads nowhere"#,
    ];
    assert_eq!(violation.to_string(), expected.join("\n"));
}

#[test]
fn the_report_of_a_double_append_reads_well() {
    let violation = broken(&history(vec![
        row(1, 0, 3, append("a")),
        row(2, 2, 5, append("b")),
        row(3, 6, 7, get("aba")),
        row(3, 8, 9, get("aba")),
    ]));
    let expected = [
        r#"not linearizable: no order of the 4 operations on "x" respects real time and explains every answer"#,
        r#"3 of them show it, starting from nothing:"#,
        r#"  c1  |#0-----|"#,
        r#"  c2      |#1-----|"#,
        r#"  c3                  |#2-|"#,
        r#"  #0 c1 0ns .. 3ms: append x "a" -> done"#,
        r#"  #1 c2 2ms .. 5ms: append x "b" -> done"#,
        r#"  #2 c3 6ms .. 7ms: get x -> "aba""#,
        r#"why there is no order:"#,
        r#"  #0 #1: then #2 get x would answer "ab", but answered "aba""#,
        r#"  #1 #0: then #2 get x would answer "ba", but answered "aba""#,
        r#"  it fits if #0 took effect twice: a change applied again; so does all that came later"#,
        r#"longest order that could be begun: 2 of 4"#,
        r#"  #0 #1 leaves "ab""#,
        r#"  #2 get x would answer "ab", but answered "aba""#,
    ];
    assert_eq!(violation.to_string(), expected.join("\n"));
}

#[test]
fn the_report_of_a_reordered_pair_reads_well() {
    let violation = broken(&history(vec![
        row(1, 0, 1, append("a")),
        row(2, 2, 3, append("b")),
        row(3, 6, 7, get("ba")),
        row(3, 8, 9, get("ba")),
    ]));
    let expected = [
        r#"not linearizable: no order of the 4 operations on "x" respects real time and explains every answer"#,
        r#"3 of them show it, starting from nothing:"#,
        r#"  c1  |#0-|"#,
        r#"  c2          |#1-|"#,
        r#"  c3                  |#2-|"#,
        r#"  #0 c1 0ns .. 1ms: append x "a" -> done"#,
        r#"  #1 c2 2ms .. 3ms: append x "b" -> done"#,
        r#"  #2 c3 6ms .. 7ms: get x -> "ba""#,
        r#"why there is no order:"#,
        r#"  #0 #1: then #2 get x would answer "ab", but answered "ba""#,
        r#"  it fits if #1 took effect before #0, which had returned before #1 was called: a stale read, or changes out of order; so does all that came later"#,
        r#"longest order that could be begun: 0 of 4"#,
        r#"  nothing done leaves nothing"#,
        r#"  #0 append x "a" fits, but leads nowhere"#,
    ];
    assert_eq!(violation.to_string(), expected.join("\n"));
}

#[test]
fn the_report_of_a_value_from_nowhere_reads_well() {
    let violation = broken(&history(vec![
        row(1, 0, 1, put("a")),
        row(2, 2, 3, get("z")),
        row(1, 4, 5, get("a")),
    ]));
    let expected = [
        r#"not linearizable: no order of the 3 operations on "x" respects real time and explains every answer"#,
        r#"1 of them shows it, starting from "a", which 1 earlier one left:"#,
        r#"  c2  |#1-|"#,
        r#"  #1 c2 2ms .. 3ms: get x -> "z""#,
        r#"why there is no order:"#,
        r#"  at once: then #1 get x would answer "a", but answered "z""#,
        r#"  no single operation out of its time, lost or done twice explains it"#,
        r#"longest order that could be begun: 0 of 3"#,
        r#"  nothing done leaves nothing"#,
        r#"  #0 put x "a" fits, but leads nowhere"#,
    ];
    assert_eq!(violation.to_string(), expected.join("\n"));
}

#[test]
fn the_report_of_a_value_from_the_future_reads_well() {
    let violation = broken(&history(vec![
        row(1, 0, 1, put("a")),
        row(2, 2, 3, get("b")),
        row(1, 4, 5, put("b")),
    ]));
    let expected = [
        r#"not linearizable: no order of the 3 operations on "x" respects real time and explains every answer"#,
        r#"2 of them show it, starting from "a", which 1 earlier one left:"#,
        r#"  c1          |#2-?"#,
        r#"  c2  |#1-|"#,
        r#"  #1 c2 2ms .. 3ms: get x -> "b""#,
        r#"  #2 c1 4ms .. open: put x "b" -> ?"#,
        r#"why there is no order:"#,
        r#"  at once: then #1 get x would answer "a", but answered "b""#,
        r#"  it fits if #2 took effect before #1, which had returned before #2 was called: a stale read, or changes out of order; so does all that came later"#,
        r#"longest order that could be begun: 0 of 3"#,
        r#"  nothing done leaves nothing"#,
        r#"  #0 put x "a" fits, but leads nowhere"#,
    ];
    assert_eq!(violation.to_string(), expected.join("\n"));
}

#[test]
fn of_several_broken_keys_the_one_that_broke_first_is_shown() {
    let on = |key: &str, client, called, returned, value: Option<&str>| {
        let out = KeyValueOutput::value(value);
        (client, called, returned, KeyValueOp::get(key), out)
    };
    let violation = broken(&history(vec![
        on("a", 1, 6, 7, Some("from nowhere")),
        on("b", 2, 2, 3, Some("from nowhere")),
        on("c", 3, 0, 9, None),
        on("d", 4, 8, 9, Some("from nowhere")),
    ]));
    assert_eq!(&*violation.key, "b");
    assert_eq!(violation.checked, 1);
    assert!(violation.to_string().contains("(2 more parts have none, either)"), "{violation}");
}

#[test]
fn a_counter_that_loses_an_addition_is_shown() {
    let at = Duration::from_millis;
    let mut history = History::new();
    let one = history.invoke(ClientId(1), CounterOp::Add(5), at(1));
    let two = history.invoke(ClientId(2), CounterOp::Add(5), at(2));
    history.returned(one, 5, at(3));
    history.returned(two, 5, at(4));
    let read = history.invoke(ClientId(1), CounterOp::Read, at(5));
    history.returned(read, 5, at(6));
    let verdict = Checker::new(Counter).check(&history);
    let violation = verdict.violation().unwrap();
    assert_eq!(violation.operations, [one, two]);
    assert_eq!(violation.explanation, Explanation::Lost(one));
    assert!(violation.to_string().contains("add 5 would answer 10, but answered 5"), "{violation}");
}

#[test]
fn a_counter_with_many_unknown_additions_is_decided() {
    crate::pick_mutant("");
    let at = Duration::from_millis;
    let mut history = History::new();
    for client in 0..40 {
        history.invoke(ClientId(client), CounterOp::Add(1), at(1));
    }
    let read = history.invoke(ClientId(50), CounterOp::Read, at(2));
    history.returned(read, 20, at(3));
    Checker::new(Counter).check(&history).assert_linearizable();
    let read = history.invoke(ClientId(50), CounterOp::Read, at(4));
    history.returned(read, 19, at(5));
    assert!(Checker::new(Counter).check(&history).violation().is_some());
}

#[test]
fn a_register_that_forgets_is_shown() {
    let at = Duration::from_millis;
    let mut history: History<RegisterOp<u64>, RegisterOutput<u64>> = History::new();
    let lost = history.invoke(ClientId(1), RegisterOp::Write(7), at(1));
    history.unknown(lost, at(2));
    let seen = history.invoke(ClientId(2), RegisterOp::Read, at(3));
    history.returned(seen, RegisterOutput::Value(7), at(4));
    let gone = history.invoke(ClientId(2), RegisterOp::Read, at(5));
    history.returned(gone, RegisterOutput::Value(0), at(6));
    let verdict = Checker::new(Register::new()).check(&history);
    let violation = verdict.violation().unwrap();
    assert_eq!(violation.operations, [lost, seen, gone]);
    let early = Explanation::Early { operation: gone, before: seen };
    assert_eq!(violation.explanation, early, "{violation}");
    assert!(violation.to_string().contains("write 7 -> ?"), "{violation}");
}

#[test]
#[should_panic(expected = "it fits if #1 took effect before #0")]
fn an_assertion_fails_with_the_whole_report() {
    let rows =
        vec![row(1, 0, 1, put("a")), (2, 2, 3, KeyValueOp::get("x"), KeyValueOutput::value(None))];
    Checker::new(KeyValue).check(&history(rows)).assert_linearizable();
}
