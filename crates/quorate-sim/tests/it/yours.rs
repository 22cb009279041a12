//! A user's own state machine: what is sound passes, and each kind of bug is named.

#![expect(clippy::disallowed_types, reason = "the order of a hash set is one of the bugs")]

use core::cell::Cell;
use core::time::Duration;
use std::collections::HashSet;

use quorate::{Applying, StateMachine};
use quorate_sim::{Counter, CounterOp, Fault, Faults, Request, Sim, Told, sim};
use serde::{Deserialize, Serialize};

#[expect(dead_code, reason = "the example's main runs as an example")]
#[path = "../../examples/planted_bug.rs"]
mod planted_bug;

/// A total, with a bug of choice.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Total<const BUG: u8> {
    total: i64,
    #[serde(skip)]
    queries: Cell<i64>,
    /// The address of something: differs from machine to machine.
    #[serde(skip)]
    address: Box<u8>,
    noise: u64,
    /// What a snapshot leaves out.
    #[serde(skip)]
    left_out: i64,
    /// In an order that differs from machine to machine.
    seen: HashSet<i64>,
}

const SOUND: u8 = 0;
const PANICS: u8 = 1;
const QUERY_COUNTS: u8 = 2;
const SILENT: u8 = 3;
const FORGETS: u8 = 4;
const LEAVES_OUT: u8 = 5;
const DISORDERS: u8 = 6;

impl<const BUG: u8> StateMachine for Total<BUG> {
    type Command = i64;
    type Reply = i64;
    type Query = ();
    type Answer = i64;

    fn apply(&mut self, at: &Applying, add: i64) -> i64 {
        assert!(BUG != PANICS || at.application_index < 100, "no more than a hundred");
        if BUG == SILENT && at.application_index > 50 {
            self.noise = std::ptr::from_ref(&*self.address).addr() as u64;
        }
        if BUG == FORGETS && at.application_index == 60 {
            return self.total;
        }
        if BUG == LEAVES_OUT {
            self.left_out += 1;
        }
        if BUG == DISORDERS && self.seen.len() < 10 {
            self.seen.insert(add);
        }
        self.total += add;
        self.total
    }

    fn query(&self, (): ()) -> i64 {
        if BUG == QUERY_COUNTS {
            self.queries.set(self.queries.get() + 1);
            return self.total + self.queries.get() / 20;
        }
        self.total
    }
}

fn total<const BUG: u8>() -> Sim<Total<BUG>> {
    sim::<Total<BUG>>()
        .nodes(3)
        .duration(Duration::from_secs(10))
        .workload(|rng| rng.range(1..1_000_000))
        .queries(|_| ())
        .state(|machine| (machine.total, machine.noise, machine.left_out))
        .linearizable(
            Counter,
            |request| match request {
                Request::Call(add) => CounterOp::Add(*add),
                Request::Read(()) => CounterOp::Read,
            },
            |told| match told {
                Told::Reply(total) | Told::Answer(total) => *total,
            },
        )
        .seeds(0..10)
}

#[test]
fn a_sound_machine_passes() {
    let totals = total::<SOUND>().run();
    assert_eq!(totals.seeds(), 10);
    assert!(totals.count("acknowledged") > 5_000, "{totals}");
    assert!(totals.count("recovery") > 20, "{totals}");
}

#[test]
fn a_run_in_which_nobody_was_served_fails() {
    let nobody = total::<SOUND>().clients(0).seeds(0..2).try_run();
    let report = nobody.expect_err("nothing was shown");
    assert!(report.contains("no request was acknowledged in 2 seeds: 0 were offered"), "{report}");
    let none = total::<SOUND>().seeds(0..0).try_run();
    assert!(none.expect_err("nothing was run").contains("acknowledged in 0 seeds"));
}

#[track_caller]
fn report_of<const BUG: u8>(expected: &str) -> String {
    let report = total::<BUG>().try_run().expect_err("the bug is found");
    println!("{report}\n");
    assert!(report.contains(expected), "{report}");
    assert!(report.contains("what to do: "), "{report}");
    assert!(report.contains("again, alone: sim::<it::yours::Total<"), "{report}");
    report
}

#[test]
fn a_machine_that_panics_is_named() {
    let report = report_of::<PANICS>("the state machine does not panic: ");
    assert!(report.contains("no more than a hundred"), "{report}");
}

#[test]
fn a_query_that_changes_something_is_named() {
    report_of::<QUERY_COUNTS>("answers are true: a client was answered ");
}

#[test]
fn a_state_that_differs_and_does_not_show_is_named() {
    let report = report_of::<SILENT>("same commands, same state: ");
    assert!(report.contains("an address"), "{report}");
}

#[test]
fn a_snapshot_that_leaves_something_out_is_named() {
    // Who restored it goes another way from there on.
    let report = report_of::<LEAVES_OUT>("same commands, same state: ");
    assert!(report.contains("or a field that a snapshot leaves out"), "{report}");
}

#[test]
fn a_snapshot_in_any_order_is_named() {
    let report = report_of::<DISORDERS>("equal states give equal snapshots: ");
    assert!(report.contains("from a BTreeMap or sorted"), "{report}");
}

#[test]
fn what_every_node_does_wrong_alike_is_seen_by_the_model_alone() {
    let report = report_of::<FORGETS>("linearizability: ");
    assert!(report.contains("compare the counter-example with the model"), "{report}");
}

#[test]
fn the_order_of_a_hash_map_is_caught_and_suspected() {
    let report = planted_bug::election().expect_err("the bug is found");
    println!("{report}");
    assert!(report.contains("same commands, same replies: "), "{report}");
    assert!(report.contains("the iteration order of a hash map or set (use BTreeMap"), "{report}");
    assert!(report.contains("again, alone: sim::<Election>().nodes(3)"), "{report}");
}

#[test]
fn a_clock_is_caught_and_suspected() {
    let report = planted_bug::tickets().expect_err("the bug is found");
    println!("{report}");
    assert!(report.contains("same commands, same replies: "), "{report}");
    assert!(report.contains("a clock (use `at.log_time_ms`)"), "{report}");
}

#[test]
#[should_panic(expected = "seed 3 breaks a rule")]
fn a_run_panics_with_the_report() {
    let _totals = total::<PANICS>().seed(3).run();
}

#[test]
fn a_smaller_run_is_written_as_it_was_found() {
    let report = total::<PANICS>()
        .faults(Faults::only([Fault::Drop]))
        .seed(5)
        .try_run()
        .expect_err("the bug is found");
    let smallest = report.split("the smallest run").nth(1).expect("it shrinks");
    assert!(smallest.contains(".clients(1)"), "{report}");
    assert!(smallest.contains(".faults(\"none\".parse().unwrap())"), "{report}");
    assert!(smallest.contains(".seeds(5..6).run();"), "{report}");
}
