//! `quorate lab` from outside: what it lists, prints and logs, and what it says of wrong names.

use std::process::{Command, Output};

use crate::harness::{program, quorate, text};

/// Runs the lab with a filter for what is logged.
fn logged(filter: &str, arguments: &[&str]) -> Output {
    Command::new(program())
        .arg("lab")
        .args(arguments)
        .env("RUST_LOG", filter)
        .output()
        .expect("the program can be run")
}

fn passes(arguments: &[&str]) -> String {
    let output = quorate(&[&["lab"], arguments].concat());
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn the_lab_lists_its_suites_and_answers_wrong_names_with_near_ones() {
    let suites = passes(&[]);
    for suite in ["async-rust", "2A", "2B", "dss-2A", "dss-2B", "2C", "2D", "3A", "3B", "RSM"] {
        assert!(suites.contains(&format!("| {suite} ")), "{suite} is missing:\n{suites}");
    }
    for (arguments, words, next) in [
        (["--suite", "2E"], "there is no suite `2E`; the nearest names are 2A,", "--suite 2A"),
        (
            ["--scenario", "test_initial_electoin"],
            "the nearest names are test_initial_election,",
            "quorate lab --scenario test_initial_election",
        ),
    ] {
        let output = quorate(&[&["lab"], &arguments[..]].concat());
        assert_eq!(output.status.code(), Some(2), "a wrong use");
        let said = text(&output.stderr);
        assert!(said.contains(words) && said.contains(next), "{said}");
        assert_eq!(text(&output.stdout), "");
    }
}

#[test]
fn a_suite_is_lines_of_five_numbers_and_everything_is_a_table() {
    let lines = passes(&["--suite", "2A"]);
    let numbers = |line: &str| {
        let numbers = line.split_once("... Passed -- ")?.1.split_whitespace();
        numbers.map(|number| number.parse().ok()).collect::<Option<Vec<f64>>>()
    };
    let passed: Vec<_> = lines.lines().filter_map(numbers).collect();
    assert_eq!(passed.iter().map(Vec::len).collect::<Vec<_>>(), [5, 5], "{lines}");
    assert!(lines.contains("2 runs passed, 0 failed"), "{lines}");
    let table = passes(&["--all"]);
    assert!(table.contains(" runs passed, 0 failed;"), "{table}");
    for heading in ["SUITE", "SCENARIO", "SECONDS", "PEERS", "REQUESTS", "BYTES", "COMMITS"] {
        assert!(table.contains(heading), "{table}");
    }
}

#[test]
fn events_are_printed_and_the_environment_says_what_is_logged() {
    let plain = logged("", &["simulate"]);
    let (events, log) = (text(&plain.stdout), text(&plain.stderr));
    assert!(plain.status.success() && log.is_empty(), "{log}");
    for event in ["LeaderElected", "EntryCommitted", "all 3 machines agree"] {
        assert!(events.contains(event), "{events}");
    }
    let loud = logged("quorate_lab=debug", &["simulate"]);
    let log = text(&loud.stderr);
    for line in ["leader elected", "timer is due", "command taken", "entry executed"] {
        assert!(log.contains(line), "{log}");
    }
    assert_eq!(text(&loud.stdout), events, "what is printed is the same");
    let scenario = logged("quorate_lab=debug", &["--suite", "async-rust", "--scenario", "P4"]);
    let log = text(&scenario.stderr);
    for line in ["begins", "leads", "crashes", "passed"] {
        assert!(log.contains(line), "{line} is missing:\n{log}");
    }
}
