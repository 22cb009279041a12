//! Brings a Raft of one's own to the lab: `raft.rs` beside this is one of four hundred lines, and this
//! runs every scenario on it that needs no snapshots.
//!
//! ```text
//! cargo run -p quorate-lab --example bring_your_own
//! cargo run -p quorate-lab --example bring_your_own -- --bug forgets-vote
//! cargo run -p quorate-lab --example bring_your_own -- --suite 2B --seeds 0..20
//! ```
//!
//! With a bug it ends at the first scenario that finds it, and says what went wrong, with which seed,
//! how to see it again, and where a page plays it. `docs/lab.md` goes through it step by step.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

mod bugs;
mod raft;

use std::fs;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::process::ExitCode;

use bugs::Bug;
use quorate_lab::suite::{self, Entry, Outcome, Run, Suite};
use raft::Raft;

const PROGRAM: &str = "cargo run -p quorate-lab --example bring_your_own --";
const USAGE: &str = "\
usage: cargo run -p quorate-lab --example bring_your_own -- [FLAGS]
  --bug NAME       plant a bug, and end where it is found:
                     forgets-vote       saves its term and its log, and not its vote
                     counts-old-terms   commits whatever lies on a majority, of whatever term
                     trusts-heartbeats  says yes to a heartbeat without comparing the logs
  --suite NAME     only this suite: async-rust, 2A, 2B, dss-2A, dss-2B, 2C, own
  --scenario NAME  only this scenario, by a name or by its id, such as R8
  --seed N         with this seed [default: 0]
  --seeds A..B     with all of these seeds, the end left out
  --html FILE      the page that plays the run: the first that fails, or the only one";

/// What the command line asks for.
#[derive(Default)]
struct Arguments {
    bug: Option<Bug>,
    suite: Option<String>,
    scenario: Option<String>,
    seeds: Option<Range<u64>>,
    html: Option<PathBuf>,
}

impl Arguments {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut arguments = Self::default();
        while let Some(flag) = words.next() {
            if flag == "--help" {
                return Err(String::new());
            }
            let value = words.next().ok_or_else(|| format!("{flag} needs a value"))?;
            let wrong = || format!("{flag} {value} makes no sense");
            match flag.as_str() {
                "--bug" => arguments.bug = Some(Bug::by_name(&value).ok_or_else(wrong)?),
                "--suite" => arguments.suite = Some(value),
                "--scenario" => arguments.scenario = Some(value),
                "--html" => arguments.html = Some(PathBuf::from(value)),
                "--seed" => {
                    let seed = value.parse().map_err(|_| wrong())?;
                    arguments.seeds = Some(seed..seed + 1);
                }
                "--seeds" => {
                    let (from, to) = value.split_once("..").ok_or_else(wrong)?;
                    let number = |text: &str| text.parse().map_err(|_| wrong());
                    arguments.seeds = Some(number(from)?..number(to)?);
                }
                _ => return Err(format!("there is no flag {flag}")),
            }
        }
        Ok(arguments)
    }

    /// What to run: those of services on top of a Raft (K and M) too. Those that need snapshots say so.
    fn chosen(&self) -> Result<Vec<(&'static Suite, &'static Entry)>, String> {
        let found = suite::find(self.suite.as_deref(), self.scenario.as_deref());
        let mut chosen = found.map_err(|unknown| unknown.to_string())?;
        // What goes straight to the point comes first.
        let finder = self.bug.map(Bug::found_by);
        chosen.sort_by_key(|(_, entry)| Some(entry.name) != finder);
        Ok(chosen)
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse(std::env::args().skip(1));
    let chosen = arguments.and_then(|arguments| Ok((arguments.chosen()?, arguments)));
    let (chosen, arguments) = match chosen {
        Ok(chosen) => chosen,
        Err(wrong) => {
            println!("{wrong}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    Bug::plant(arguments.bug);
    if let Some(bug) = arguments.bug {
        println!("planted: a server that {}\n", bug.about());
    }
    match run(&chosen, &arguments) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(7),
        Err(error) => {
            println!("cannot write the page: {error}");
            ExitCode::from(2)
        }
    }
}

/// Runs every chosen scenario with every seed, and says how many runs failed. With a bug it ends at the
/// first.
fn run(chosen: &[(&'static Suite, &'static Entry)], arguments: &Arguments) -> io::Result<usize> {
    let seeds = arguments.seeds.clone().unwrap_or(0..1);
    let is_one = chosen.len() == 1 && seeds.end.saturating_sub(seeds.start) == 1;
    let (mut passed, mut skipped, mut failed) = (0, 0, 0);
    for &(suite, entry) in chosen {
        println!("Test ({}): {} ...", suite.name, entry.name);
        for seed in seeds.clone() {
            let run = Run { program: program(arguments.bug), ..Run::new(suite, entry, seed) };
            let outcome = run.of::<Raft>();
            println!("{outcome}");
            if outcome.is_broken() {
                failed += 1;
                explain(&outcome, arguments, failed == 1)?;
                if arguments.bug.is_some() {
                    return Ok(failed);
                }
            } else if outcome.is_passed() {
                passed += 1;
                if is_one && arguments.html.is_some() {
                    write_page(run, arguments)?;
                }
            } else {
                skipped += 1;
                break;
            }
        }
    }
    println!("\n{passed} runs passed, {failed} failed, {skipped} scenarios skipped");
    Ok(failed)
}

/// The command that runs the example with a bug, up to suite and scenario.
fn program(bug: Option<Bug>) -> &'static str {
    match bug {
        None => PROGRAM,
        // A program makes one of these.
        Some(bug) => format!("{PROGRAM} --bug {}", bug.name()).leak(),
    }
}

/// What there is to see and to learn of a run that failed; the page is that of the first.
fn explain(outcome: &Outcome, arguments: &Arguments, is_first: bool) -> io::Result<()> {
    if is_first {
        write_page(outcome.run, arguments)?;
    }
    if let Some(bug) = arguments.bug {
        println!("\nwhy: {}", wrapped(bug.lesson(), 100));
    }
    Ok(())
}

/// Runs it once more, which is the same run, and writes the page that plays it.
fn write_page(run: Run, arguments: &Arguments) -> io::Result<()> {
    let usual = || std::env::temp_dir().join("bring_your_own.html");
    let path = arguments.html.clone().unwrap_or_else(usual);
    let (outcome, recording) = run.record::<Raft>();
    fs::write(&path, recording.page(&outcome))?;
    println!("  page:     {} plays the run", path.display());
    Ok(())
}

/// A text in lines of about so many letters.
fn wrapped(text: &str, width: usize) -> String {
    let (mut lines, mut line) = (Vec::new(), String::new());
    for word in text.split_whitespace() {
        if line.len() + word.len() > width {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines.join("\n")
}
