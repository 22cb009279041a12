//! `quorate lab`: scenarios of the labs that teach Raft, run on Quorate's own.
//!
//! A scenario is a line with the five numbers of the Go course lab; many seeds, or many suites, are a
//! table. What fails says seed, scenario, what went wrong in words, and the command that repeats it.

mod arguments;
mod report;
mod simulate;

use std::fs;
use std::io::IsTerminal;
use std::ops::Range;
use std::path::Path;
use std::time::Instant;

pub(crate) use arguments::Arguments;
use arguments::Verb;
use quorate_lab::suite::{self, Entry, Outcome, Run, Suite, UnknownName};
use report::Sum;
use tracing_subscriber::EnvFilter;

use super::bench::meter::own_seconds;
use super::pool;
use super::progress::Progress;
use super::sim::unwritable;
use crate::failure::{Exit, Failure};

type Chosen = Vec<(&'static Suite, &'static Entry)>;

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    log_as_the_environment_says();
    if let Some(Verb::Simulate(arguments)) = &arguments.verb {
        return simulate::run(arguments);
    }
    let seeds = arguments.seeds()?;
    if arguments.is_empty() {
        print!("{}", report::suites());
        println!("one of them: quorate lab --suite NAME; everything: quorate lab --all");
        return Ok(());
    }
    let chosen = suite::find(arguments.suite.as_deref(), arguments.scenario.as_deref())
        .map_err(|unknown| wrong_name(&unknown))?;
    if let Some(path) = &arguments.html {
        return play(arguments, &chosen, &seeds, path);
    }
    let is_table = arguments.all || seeds.end - seeds.start > 1;
    let began = Instant::now();
    let mut sum = Sum::new(&chosen);
    each(arguments, &chosen, &seeds, is_table, |at, outcome| {
        if !is_table {
            println!("{}", report::heading(&outcome));
            println!("{outcome}");
        }
        sum.add(at, outcome);
    });
    if is_table {
        print!("{}", sum.table());
        for failed in sum.broken() {
            println!("{}\n{failed}\n", report::heading(failed));
        }
    }
    let mark = if arguments.soak { "soak: " } else { "" };
    println!("{mark}{}", sum.total(&seeds, began.elapsed(), own_seconds()));
    match sum.broken().next() {
        None => Ok(()),
        Some(failed) => Err(Failure::new(
            Exit::Broken,
            format!("{} of {} runs failed", sum.broken().count(), sum.runs()),
            "a bug, in the Raft or in the scenario",
            failed.replay() + " --html run.html",
        )),
    }
}

/// Runs one scenario with one seed, and writes the page that plays it.
fn play(
    arguments: &Arguments,
    chosen: &Chosen,
    seeds: &Range<u64>,
    path: &Path,
) -> Result<(), Failure> {
    let &[(suite, entry)] = &chosen[..] else {
        let (suite, entry) = chosen[0];
        let (file, seed) = (path.display(), seeds.start);
        return Err(Failure::usage(
            format!("--html plays one run, and {} scenarios are meant", chosen.len()),
            "a suite has several, and an id stands for a scenario in every suite that has it",
            format!(
                "quorate lab --suite {} --scenario {} --seed {seed} --html {file}",
                suite.name,
                entry.word()
            ),
        ));
    };
    if seeds.end - seeds.start > 1 {
        return Err(Failure::usage(
            format!("--html plays one run, and {} seeds are meant", seeds.end - seeds.start),
            "each seed is a run of its own",
            format!("--seed {} --html {}", seeds.start, path.display()),
        ));
    }
    let run = Run::new(suite, entry, seeds.start);
    let run = Run { clock: arguments.clock(), pauses: arguments.pauses(), ..run };
    let (outcome, recording) = run.record_quorate();
    println!("{}", report::heading(&outcome));
    println!("{outcome}");
    fs::write(path, recording.page(&outcome)).map_err(|error| unwritable(path, &error))?;
    println!("{} events in {}, which plays the run", recording.events().len(), path.display());
    if outcome.is_broken() {
        return Err(Failure::new(
            Exit::Broken,
            "the run failed",
            "a bug, in the Raft or in the scenario",
            outcome.replay(),
        ));
    }
    Ok(())
}

/// Runs every chosen scenario with every seed, and hands each outcome over with its place, in order.
fn each(
    arguments: &Arguments,
    chosen: &Chosen,
    seeds: &Range<u64>,
    shows_progress: bool,
    mut take: impl FnMut(usize, Outcome),
) {
    let per_entry = seeds.end - seeds.start;
    let all = chosen.len() as u64 * per_entry;
    let place = |number: u64| usize::try_from(number / per_entry).unwrap_or(usize::MAX);
    let work = |number: u64| {
        let (suite, entry) = chosen[place(number)];
        let run = Run::new(suite, entry, seeds.start + number % per_entry);
        Run { clock: arguments.clock(), pauses: arguments.pauses(), ..run }.of_quorate()
    };
    let mut progress = Progress::new(all);
    pool::each(
        &(0..all),
        arguments.jobs(),
        work,
        |_| false,
        |number, outcome| {
            if shows_progress {
                progress.add(|_| format!("runs, {}", outcome.run.entry.name));
            }
            take(place(number), outcome);
        },
    );
    progress.clear();
}

/// Logs to standard error what `RUST_LOG` names; nothing without it.
fn log_as_the_environment_says() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("off"));
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    // Where a log is set already, that one stays.
    let set = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal() && !no_color)
        .try_init();
    drop(set);
}

fn wrong_name(unknown: &UnknownName) -> Failure {
    let next = match unknown.nearest.first() {
        Some(nearest) => format!("quorate lab --{} {nearest}", unknown.kind),
        None => "`quorate lab` lists the suites".to_owned(),
    };
    let cause = format!("no {} of the documents has that name", unknown.kind);
    Failure::usage(unknown.to_string(), cause, next)
}
