//! What all seeds of a run showed together.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use quorate_sim::run::{Options, Outcome};
use quorate_sim::world::Fault;

use crate::output::Table;

/// Seeds from which on a run must have shown everything once.
const ENOUGH_SEEDS: u64 = 100;
/// What a seed must have had to count: world time, acknowledged requests, and a fault.
const SEED_TIME: Duration = Duration::from_secs(60);
const SEED_ACKNOWLEDGED: u64 = 500;

/// What happens by itself in any cluster, by the names of the world's counters.
const ALWAYS: [(&str, &str); 12] = [
    ("event", "events"),
    ("request", "requests"),
    ("acknowledged", "acknowledged"),
    ("refused", "refused"),
    ("unknown", "unknown"),
    ("frame", "frames"),
    ("dry run", "pre-votes"),
    ("campaign", "campaigns"),
    ("leader", "leaders"),
    ("following", "followings"),
    ("truncation", "truncations"),
    ("recovery", "recoveries"),
];
/// Of these, what faults alone bring about.
const WITH_FAULTS: [&str; 2] = ["truncation", "unknown"];

/// Kinds that strike at a moment and are counted; the others last as long as their run.
const COUNTED: [Fault; 25] = [
    Fault::Drop,
    Fault::Duplicate,
    Fault::Corrupt,
    Fault::Split,
    Fault::OneWay,
    Fault::Bridge,
    Fault::Ring,
    Fault::Chain,
    Fault::Flap,
    Fault::SlowLink,
    Fault::Bandwidth,
    Fault::Clog,
    Fault::CrashAtEffect,
    Fault::Crash,
    Fault::CrashInRecovery,
    Fault::CrashAll,
    Fault::Pause,
    Fault::SlowNode,
    Fault::LateTimer,
    Fault::Unsynced,
    Fault::WriteError,
    Fault::SyncError,
    Fault::DiskFull,
    Fault::SlowDisk,
    Fault::StuckDisk,
];

/// Sums over seeds.
#[derive(Debug, Default)]
pub(super) struct Totals {
    pub(super) seeds: u64,
    pub(super) simulated: Duration,
    /// Seeds that were long and busy enough, with a fault.
    count_fully: u64,
    counts: BTreeMap<&'static str, u64>,
    /// In how many seeds each kind was on.
    drawn: BTreeMap<Fault, u64>,
}

impl Totals {
    pub(super) fn add(&mut self, outcome: &Outcome) {
        self.seeds += 1;
        self.simulated += outcome.simulated;
        for (what, count) in &outcome.counts {
            *self.counts.entry(what).or_default() += count;
        }
        for kind in &outcome.plan.on {
            *self.drawn.entry(*kind).or_default() += 1;
        }
        let counts = outcome.simulated >= SEED_TIME
            && outcome.count("acknowledged") >= SEED_ACKNOWLEDGED
            && !outcome.plan.on.is_empty();
        self.count_fully += u64::from(counts);
    }

    pub(super) fn count(&self, what: &str) -> u64 {
        self.counts.get(what).copied().unwrap_or_default()
    }

    /// What a run of this size must have shown and did not: a fault that never struck proves nothing.
    pub(super) fn never(&self, options: &Options) -> Vec<String> {
        if self.seeds < ENOUGH_SEEDS {
            return Vec::new();
        }
        let mut never = Vec::new();
        for (what, shown) in ALWAYS {
            let is_due = options.faults.iter().count() == Fault::ALL.len()
                || !(WITH_FAULTS.contains(&what) || what == "refused");
            if is_due && self.count(what) == 0 {
                never.push(shown.to_owned());
            }
        }
        for kind in options.faults.iter() {
            let is_drawn = self.drawn.contains_key(&kind);
            // A slow network, a single node: what cannot happen is told from what did not.
            let is_possible = options.nodes > 2;
            let struck = !COUNTED.contains(&kind) || self.count(kind.name()) > 0;
            if is_possible && !(is_drawn && struck) {
                never.push(kind.name().to_owned());
            }
        }
        never
    }

    /// A line on speed and size.
    pub(super) fn speed(&self, options: &Options, elapsed: Duration, jobs: usize) -> String {
        let seconds = elapsed.as_secs_f64().max(0.001);
        let simulated = self.simulated.as_secs_f64();
        let jobs = jobs.min(usize::try_from(self.seeds).unwrap_or(jobs)).max(1);
        let per_second = simulated / seconds;
        let per_core = per_second / jobs as f64;
        format!(
            "{} simulated seconds in {seconds:.1} s: {per_second:.0} per second on {jobs} {}, \
             {per_core:.0} on each\n\
             {} nodes, {} clients, election timeout 1 s; per simulated second {:.1} requests, \
             {:.1} acknowledged, {:.0} events",
            number(self.simulated.as_secs()),
            if jobs == 1 { "core" } else { "cores" },
            options.nodes,
            options.clients,
            self.count("request") as f64 / simulated.max(0.001),
            self.count("acknowledged") as f64 / simulated.max(0.001),
            self.count("event") as f64 / simulated.max(0.001),
        )
    }

    /// Which seeds were worth running.
    pub(super) fn worth(&self) -> String {
        format!(
            "{} of {} seeds had {} s, {SEED_ACKNOWLEDGED} acknowledged requests and a fault",
            self.count_fully,
            self.seeds,
            SEED_TIME.as_secs()
        )
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new(["HAPPENED", "TIMES"]);
        for (what, shown) in ALWAYS {
            table.push(vec![shown.to_owned(), number(self.count(what))]);
        }
        writeln!(f, "{table}")?;
        let mut table = Table::new(["FAULT", "SEEDS", "TIMES"]);
        for (kind, seeds) in &self.drawn {
            let times = match COUNTED.contains(kind) {
                true => number(self.count(kind.name())),
                false => "throughout".to_owned(),
            };
            table.push(vec![kind.to_string(), number(*seeds), times]);
        }
        write!(f, "{table}")
    }
}

/// A number with its thousands apart.
pub(super) fn number(value: u64) -> String {
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
    use quorate_sim::world::Faults;

    use super::*;

    #[test]
    fn thousands_are_apart() {
        assert_eq!(number(0), "0");
        assert_eq!(number(999), "999");
        assert_eq!(number(1_000), "1,000");
        assert_eq!(number(12_345_678), "12,345,678");
    }

    #[test]
    fn a_fault_that_never_strikes_is_reported_by_a_run_of_some_size() {
        let mut totals = Totals { seeds: 99, ..Totals::default() };
        let options = Options { faults: Faults::only([Fault::Crash]), ..Options::default() };
        assert!(totals.never(&options).is_empty());
        totals.seeds = 100;
        for (what, _) in ALWAYS {
            totals.counts.insert(what, 1);
        }
        assert_eq!(totals.never(&options), ["crash"]);
        totals.drawn.insert(Fault::Crash, 50);
        assert_eq!(totals.never(&options), ["crash"]);
        totals.counts.insert("crash", 3);
        assert!(totals.never(&options).is_empty());
        totals.counts.remove("recovery");
        assert_eq!(totals.never(&options), ["recoveries"]);
    }
}
