//! What a run of one seed has to say for itself.

use std::fmt::Write;

use quorate_sim::run::{Options, Outcome};
use quorate_sim::shrink::Shrunk;
use quorate_sim::world::Traced;

use super::arguments::{replay, replay_plan};

/// Events shown of a seed that fails.
const SHOWN: usize = 60;

/// A seed that broke a rule: what, when, what was drawn, the last events, the command.
pub(super) fn failing(outcome: &Outcome, options: &Options) -> String {
    let mut text = body(outcome, options);
    let command = replay(outcome.seed, options);
    text += &format!("again:        {command}\n");
    text += &format!("step by step: {command} --html run.html\n");
    text += &format!("smaller:      {command} --shrink\n");
    text += &format!("{}\n", outcome.again);
    text
}

/// The smallest run that still breaks the same rule.
pub(super) fn smallest(seed: u64, shrunk: &Shrunk) -> String {
    let mut text = format!("The smallest run that still fails, after {} runs:\n\n", shrunk.runs);
    text += &body(&shrunk.outcome, &shrunk.options);
    text += &format!("again:        {}\n", replay_plan(seed, &shrunk.options, &shrunk.plan));
    text += &format!("{}\n", shrunk.outcome.again);
    text
}

fn body(outcome: &Outcome, options: &Options) -> String {
    let mut text = format!("seed {}\n", outcome.seed);
    if let Some(broken) = &outcome.broken {
        let seconds = outcome.simulated.as_secs_f64();
        text += &format!("after {seconds:.6} s broke: {}\n\n{}\n\n", broken.invariant, broken.what);
    }
    text += &drawn(outcome, options);
    text += "\nthe last events:\n";
    let from = outcome.events.len().saturating_sub(SHOWN);
    for event in &outcome.events[from..] {
        writeln!(text, "  {}", one_line(event)).expect("a string grows");
    }
    text.push('\n');
    text
}

/// Everything that made this run what it was.
fn drawn(outcome: &Outcome, options: &Options) -> String {
    let mut text = format!(
        "{:>32}  {}, {} clients, {} requests per second, {:?} of faults\n",
        "nodes", options.nodes, options.clients, options.rate, options.duration
    );
    for (name, value) in outcome.parameters() {
        writeln!(text, "{name:>32}  {value}").expect("a string grows");
    }
    text
}

/// A seed that broke nothing.
pub(super) fn clean(outcome: &Outcome, options: &Options) -> String {
    format!(
        "{}seed {} clean: {} s simulated, {} acknowledged requests, {} crashes, {} leaders, hash {:016x}",
        drawn(outcome, options),
        outcome.seed,
        outcome.simulated.as_secs(),
        outcome.count("acknowledged"),
        outcome.count("death"),
        outcome.count("leader"),
        outcome.hash,
    )
}

/// An event as one line, whatever a check has put into it.
fn one_line(event: &Traced) -> String {
    let text = event.to_string();
    text.lines().next().unwrap_or_default().to_owned()
}
