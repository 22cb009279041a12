//! The figures of `docs/lab.md`: what they claim holds, and they are not out of date.

use std::fs;

use quorate_lab::suite::{Run, find};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/lab.md");
/// How a page's figures begin.
const HEAD: &str = "| scenario | ours |";

/// Requests and bytes in a cell of five numbers; nothing in an empty one.
fn costs(cell: &str) -> Option<(u64, u64)> {
    let numbers: Vec<&str> = cell.split_whitespace().collect();
    let [_, _, requests, bytes, _] = numbers[..] else { return None };
    Some((requests.parse().ok()?, bytes.parse().ok()?))
}

#[test]
fn the_figures_of_the_page_are_those_of_the_runs_and_no_higher_than_those_of_the_peers() {
    let page = fs::read_to_string(PAGE).expect("the page is there");
    let rows = page.lines().skip_while(|line| !line.starts_with(HEAD)).skip(2);
    let rows: Vec<&str> = rows.take_while(|line| line.starts_with('|')).collect();
    assert_eq!(rows.len(), 11, "{rows:#?}");
    for row in rows {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let (suite, entry) = find(None, Some(cells[1])).expect("a row is of a scenario")[0];
        let outcome = Run::new(suite, entry, 0).of_quorate();
        assert!(outcome.is_passed(), "{outcome}");
        println!("| {} | {} |", cells[1], outcome.numbers().join(" "));
        let (requests, bytes) = (outcome.tally.requests, outcome.tally.bytes);
        let told = costs(cells[2]).expect("ours are five numbers");
        // A change of the engine moves them a little; more belongs on the page.
        let is_near = |now: u64, told: u64| now.abs_diff(told) * 3 <= told;
        assert!(
            is_near(requests, told.0) && is_near(bytes, told.1),
            "the page is out of date, it has {} for {:?}",
            cells[2],
            outcome.numbers()
        );
        let peers: Vec<(u64, u64)> = cells[4..].iter().filter_map(|cell| costs(cell)).collect();
        let most = |of: fn(&(u64, u64)) -> u64| peers.iter().map(of).min().unwrap_or(u64::MAX);
        assert!(requests <= most(|costs| costs.0) && bytes <= most(|costs| costs.1), "{row}");
    }
}
