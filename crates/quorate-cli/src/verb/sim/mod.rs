//! `quorate sim`: whole clusters in simulated worlds, broken on purpose and checked at every step.
//!
//! The verb runs seeds on all cores and stops at the first that breaks a rule; it prints what
//! broke, what was drawn, the last events and the command that repeats it. For a single seed it
//! writes every event to a file, or a page that plays the run.

mod arguments;
mod kv;
mod page;
mod report;
mod target;
mod totals;
mod trace_file;

use std::time::{Duration, Instant};

pub(crate) use arguments::Arguments;
pub(super) use arguments::parse_seeds;
use quorate_sim::run::{Lines, Options, Outcome};
use quorate_sim::totals::Totals;
use quorate_sim::world::Fault;
pub(super) use totals::number;
pub(super) use trace_file::unwritable;

use super::bench::meter::own_seconds;
use super::pool;
use super::progress::Progress;
use crate::failure::{Exit, Failure};
use crate::output::Table;

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    if arguments.list_faults {
        list_faults();
        return Ok(());
    }
    arguments.check()?;
    if let (Some(seed), false) = (arguments.seed, arguments.twice) {
        return one(arguments, seed);
    }
    let options = arguments.options();
    let (totals, failed, elapsed) = many(arguments, &options);
    if let Some(failed) = failed {
        return Err(explain(arguments, &options, &failed));
    }
    println!("{}", totals::tables(&totals));
    println!("{}", totals.speed(elapsed));
    println!("{}", totals::per_core(&totals, own_seconds(), elapsed, arguments.jobs()));
    let seeds = arguments.seeds();
    let twice = if arguments.twice { ", each twice with the same hash" } else { "" };
    let mark = if arguments.soak { "soak: " } else { "" };
    println!(
        "{mark}seeds {}..{} clean{twice}: {:.2} simulated hours, {} acknowledged requests",
        seeds.start,
        seeds.end,
        totals.simulated().as_secs_f64() / 3600.0,
        number(totals.count("acknowledged")),
    );
    totals.verdict().map_err(|lacks| {
        Failure::new(
            Exit::Broken,
            lacks,
            "a run proves nothing about what did not happen in it",
            "run more seeds: `quorate sim --seeds 0..1000`",
        )
    })
}

/// One seed as the pool hands it over.
struct Done {
    outcome: Outcome,
    /// The hash of the second run, where there was one.
    again: Option<u64>,
}

impl Done {
    fn is_clean(&self) -> bool {
        self.outcome.broken.is_none() && self.again.is_none_or(|hash| hash == self.outcome.hash)
    }
}

/// Runs all seeds up to the first that is not clean.
fn many(arguments: &Arguments, options: &Options) -> (Totals, Option<Done>, Duration) {
    let seeds = arguments.seeds();
    let began = Instant::now();
    let mut totals = Totals::new(totals::bounds(options, seeds.end - seeds.start));
    let mut progress = Progress::new(seeds.end - seeds.start);
    let mut failed = None;
    let work = |seed| {
        let outcome = target::run(seed, options, Lines::None);
        // The second run makes events and the first does not: that must make no difference either.
        let again = arguments.twice.then(|| target::run(seed, options, Lines::Recent).hash);
        Done { outcome, again }
    };
    pool::each(
        &seeds,
        arguments.jobs(),
        work,
        |done| !done.is_clean(),
        |_, done| {
            totals.add(&done.outcome);
            progress.add(|progress| words(progress, totals.simulated()));
            if !done.is_clean() {
                failed = Some(done);
            }
        },
    );
    progress.clear();
    (totals, failed, began.elapsed())
}

/// How fast it is, and how long it takes yet.
fn words(progress: &Progress, simulated: Duration) -> String {
    let seconds = progress.seconds();
    let speed = simulated.as_secs_f64() / seconds;
    let left = progress.left(seconds);
    format!("seeds, {speed:.0} simulated seconds per second, {left:.0} s left")
}

/// Says all there is to say about a seed that is not clean.
fn explain(arguments: &Arguments, options: &Options, failed: &Done) -> Failure {
    let seed = failed.outcome.seed;
    let replay = arguments::replay(seed, options);
    if let Some(hash) = failed.again.filter(|hash| *hash != failed.outcome.hash) {
        return Failure::new(
            Exit::Broken,
            format!("seed {seed}: two runs differ, {:016x} and {hash:016x}", failed.outcome.hash),
            "something in the world reads a clock, a thread, an address or the order of a hash map",
            format!("{replay} --twice, with parts of the world taken out"),
        );
    }
    // The same run once more, for its last events.
    let outcome = target::run(seed, options, Lines::Recent);
    println!("{}", report::failing(&outcome, options));
    let shrunk = arguments.shrink.then(|| {
        eprintln!("making seed {seed} small; this takes many runs");
        target::shrink(seed, options)
    });
    let mut next = format!("{replay} --html run.html");
    if let Some(Some(shrunk)) = shrunk {
        println!("{}", report::smallest(seed, &shrunk));
        next = arguments::replay_plan(seed, &shrunk.options, &shrunk.plan) + " --html run.html";
    }
    failure(&outcome, next)
}

fn failure(outcome: &Outcome, next: impl Into<String>) -> Failure {
    let rule = outcome.broken.as_ref().map_or("nothing", |broken| broken.invariant);
    Failure::new(
        Exit::Broken,
        format!("seed {} breaks: {rule}", outcome.seed),
        "a bug, in what was simulated or in the rule that was checked",
        next,
    )
}

/// One seed; with every event where a file or a page wants them.
fn one(arguments: &Arguments, seed: u64) -> Result<(), Failure> {
    let in_full = arguments.trace.is_some() || arguments.html.is_some();
    let keep = if in_full { Lines::All } else { Lines::Recent };
    let mut options = arguments.options();
    let mut outcome = target::run(seed, &options, keep);
    if outcome.broken.is_some() {
        println!("{}", report::failing(&outcome, &options));
        if arguments.shrink
            && let Some(shrunk) = target::shrink(seed, &options)
        {
            println!("{}", report::smallest(seed, &shrunk));
            options = Options { faults: shrunk.plan.on.clone(), ..shrunk.options };
            outcome = target::run(seed, &options, keep);
        }
    }
    if let Some(path) = &arguments.trace {
        trace_file::write(path, &outcome, &options)?;
        println!("{} events in {}", number(outcome.events.len() as u64), path.display());
    }
    if let Some(path) = &arguments.html {
        page::write(path, &outcome, &options)?;
        println!("{} plays the run", path.display());
    }
    if outcome.broken.is_some() {
        return Err(failure(&outcome, arguments::replay(seed, &options)));
    }
    println!("{}", report::clean(&outcome, &options));
    Ok(())
}

fn list_faults() {
    let mut table = Table::new(["FAULT", "WHAT IT DOES"]);
    for fault in Fault::ALL {
        table.push(vec![fault.to_string(), fault.about().to_owned()]);
    }
    print!("{table}");
}
