//! What all seeds of a run showed together, for people.

use std::time::Duration;

use quorate_sim::run::Options;
use quorate_sim::totals::{Bounds, Totals};
use quorate_sim::world::Fault;

use crate::output::Table;

/// Seeds from which on a run is judged; fewer are for looking at something.
const JUDGED: u64 = 100;

/// What is asked of a run: nothing of one that is short or slow on purpose.
pub(super) fn bounds(options: &Options, seeds: u64) -> Bounds {
    let usual = Options::default();
    let is_usual = options.duration >= usual.duration && options.rate >= usual.rate;
    if is_usual && seeds >= JUDGED { Bounds::of(options) } else { Bounds::none() }
}

/// How often everything happened.
pub(super) fn tables(totals: &Totals) -> String {
    let mut happened = Table::new(["HAPPENED", "TIMES"]);
    for (what, count) in totals.counts().filter(|(what, _)| Fault::named(what).is_none()) {
        happened.push(vec![what.to_owned(), number(count)]);
    }
    let mut faults = Table::new(["FAULT", "SEEDS", "TIMES"]);
    for kind in Fault::ALL.into_iter().filter(|kind| totals.drawn(*kind) > 0) {
        let (seeds, times) = (totals.drawn(kind), totals.count(kind.name()));
        faults.push(vec![kind.to_string(), number(seeds), number(times)]);
    }
    let mut rare = Table::new(["RARE", "SEEDS"]);
    for (what, seeds) in totals.rare() {
        rare.push(vec![what.to_owned(), number(seeds)]);
    }
    format!("{happened}\n{faults}\n{rare}")
}

/// How fast worlds passed on one core that does nothing else: by processor time, which other
/// programs on the machine do not change much. By the clock where the system does not tell it.
pub(super) fn per_core(totals: &Totals, used: Option<f64>, took: Duration, jobs: usize) -> String {
    let jobs = jobs.min(usize::try_from(totals.seeds()).unwrap_or(jobs)).max(1);
    let by_clock = took.as_secs_f64() * jobs as f64;
    let used = used.unwrap_or(by_clock).max(0.001);
    let each = totals.simulated().as_secs_f64() / used;
    let cores = if jobs == 1 { "core" } else { "cores" };
    format!("on {jobs} {cores}; {each:.0} simulated seconds per second of one core")
}

/// A number with its thousands apart.
pub(in crate::verb) fn number(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_apart() {
        assert_eq!(number(0), "0");
        assert_eq!(number(999), "999");
        assert_eq!(number(1_000), "1,000");
        assert_eq!(number(12_345_678), "12,345,678");
    }

    #[test]
    fn a_run_that_is_small_on_purpose_is_not_judged() {
        let usual = Options::default();
        assert_eq!(bounds(&usual, 99), Bounds::none());
        assert_eq!(bounds(&usual, 100), Bounds::of(&usual));
        let short = Options { duration: Duration::from_secs(5), ..usual };
        assert_eq!(bounds(&short, 600), Bounds::none());
    }
}
