//! What runs of scenarios have to say for themselves: lines, tables, a sum.

use std::ops::Range;
use std::time::Duration;

use quorate_lab::suite::{self, Entry, Outcome, Suite};

use crate::output::Table;
use crate::verb::sim::number;

/// The suites, for somebody who has to choose.
pub(super) fn suites() -> Table {
    let mut table = Table::new(["SUITE", "SCENARIOS", "WHAT IT IS"]);
    for suite in suite::ALL {
        let count = suite.entries.len().to_string();
        table.push(vec![suite.name.to_owned(), count, suite.about.to_owned()]);
    }
    table
}

/// The line before an outcome, as the Go course lab has it.
pub(super) fn heading(outcome: &Outcome) -> String {
    format!("Test ({}): {} ...", outcome.run.suite.name, outcome.run.entry.name)
}

/// What came of all seeds of each scenario.
#[derive(Debug)]
pub(super) struct Sum {
    rows: Vec<Row>,
    broken: Vec<Outcome>,
    runs: u64,
    lab_time: Duration,
    /// What of it are the documents' own pauses.
    paused: Duration,
}

/// All seeds of one scenario: the most that any of them cost.
#[derive(Debug)]
struct Row {
    suite: &'static Suite,
    entry: &'static Entry,
    passed: u64,
    broken: u64,
    skipped: u64,
    seconds: f64,
    peers: usize,
    requests: u64,
    bytes: u64,
    commits: u64,
}

impl Sum {
    pub(super) fn new(chosen: &[(&'static Suite, &'static Entry)]) -> Self {
        let row = |&(suite, entry): &(&'static Suite, &'static Entry)| Row {
            suite,
            entry,
            passed: 0,
            broken: 0,
            skipped: 0,
            seconds: 0.0,
            peers: 0,
            requests: 0,
            bytes: 0,
            commits: 0,
        };
        let rows = chosen.iter().map(row).collect();
        Self { rows, broken: Vec::new(), runs: 0, lab_time: Duration::ZERO, paused: Duration::ZERO }
    }

    /// One more run, of the scenario at this place.
    pub(super) fn add(&mut self, at: usize, outcome: Outcome) {
        let row = &mut self.rows[at];
        row.seconds = row.seconds.max(outcome.elapsed.as_secs_f64());
        row.peers = outcome.tally.peers;
        row.requests = row.requests.max(outcome.tally.requests);
        row.bytes = row.bytes.max(outcome.tally.bytes);
        row.commits = row.commits.max(outcome.tally.commits);
        self.runs += 1;
        self.lab_time += outcome.elapsed;
        self.paused += outcome.paused;
        if outcome.is_passed() {
            row.passed += 1;
        } else if outcome.is_broken() {
            row.broken += 1;
            self.broken.push(outcome);
        } else {
            row.skipped += 1;
        }
    }

    pub(super) fn runs(&self) -> u64 {
        self.runs
    }

    /// The runs that failed.
    pub(super) fn broken(&self) -> impl Iterator<Item = &Outcome> {
        self.broken.iter()
    }

    /// A row for each scenario: the largest numbers of all its seeds.
    pub(super) fn table(&self) -> Table {
        let mut table = Table::new([
            "SUITE", "ID", "SCENARIO", "SECONDS", "PEERS", "REQUESTS", "BYTES", "COMMITS", "RESULT",
        ]);
        for row in &self.rows {
            table.push(vec![
                row.suite.name.to_owned(),
                row.entry.scenario.id().to_owned(),
                row.entry.name.to_owned(),
                format!("{:.1}", row.seconds),
                row.peers.to_string(),
                number(row.requests),
                number(row.bytes),
                number(row.commits),
                row.result(),
            ]);
        }
        table
    }

    /// Everything in a line.
    pub(super) fn total(&self, seeds: &Range<u64>, took: Duration, used: Option<f64>) -> String {
        let passed: u64 = self.rows.iter().map(|row| row.passed).sum();
        let skipped: u64 = self.rows.iter().map(|row| row.skipped).sum();
        let mut text = format!(
            "seeds {}..{} of {} scenarios: {} runs passed, {} failed",
            seeds.start,
            seeds.end,
            self.rows.len(),
            number(passed),
            self.broken.len()
        );
        if skipped > 0 {
            text += &format!(", {skipped} skipped");
        }
        text += &format!(
            "; {} of lab time, {} of it the documents' own pauses, in {:.1} s",
            span(self.lab_time),
            span(self.paused),
            took.as_secs_f64()
        );
        if let Some(used) = used {
            text += &format!(", {used:.1} s of processor time");
        }
        text
    }
}

/// Seconds, or minutes where there are many.
fn span(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 600.0 {
        format!("{seconds:.1} s")
    } else {
        format!("{:.1} minutes", seconds / 60.0)
    }
}

impl Row {
    fn result(&self) -> String {
        let runs = self.passed + self.broken + self.skipped;
        match (runs, self.passed, self.skipped) {
            (1, 1, _) => "passed".to_owned(),
            (1, _, 1) => "skipped".to_owned(),
            (1, ..) => "FAILED".to_owned(),
            (_, passed, _) if passed == runs => format!("{runs} passed"),
            (_, _, skipped) if skipped == runs => "skipped".to_owned(),
            (..) => format!("{} of {runs} FAILED", self.broken),
        }
    }
}
