//! Runs seeds `A..B` of the built-in store and prints what happened.
//!
//! ```text
//! cargo run -p quorate-sim --example seeds -- 0 600
//! ```
#![allow(clippy::print_stdout, reason = "an example talks to its reader")]
#![allow(clippy::disallowed_types, reason = "it tells how fast worlds pass in real time")]

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Instant;

use quorate_sim::run::{Lines, Options, run_seed};
use quorate_sim::shrink::shrink;

fn main() -> ExitCode {
    let mut numbers = std::env::args().skip(1).map(|arg| arg.parse::<u64>());
    let (Some(Ok(first)), Some(Ok(end))) = (numbers.next(), numbers.next()) else {
        println!("usage: seeds FIRST END: runs the seeds from FIRST up to before END");
        return ExitCode::from(2);
    };
    let options = Options::default();
    let began = Instant::now();
    let mut counts: BTreeMap<&'static str, u64> = BTreeMap::new();
    let mut simulated = 0;
    for seed in first..end {
        let outcome = run_seed(seed, &options, Lines::None);
        simulated += outcome.simulated.as_secs();
        for (what, count) in &outcome.counts {
            *counts.entry(what).or_default() += count;
        }
        if outcome.broken.is_some() {
            println!("{}", run_seed(seed, &options, Lines::Recent));
            if let Some(shrunk) = shrink(seed, &options) {
                println!("smallest after {} runs: {:?}", shrunk.runs, shrunk.options);
                println!("{:?}", shrunk.plan);
            }
            return ExitCode::FAILURE;
        }
    }
    for (what, count) in &counts {
        println!("{count:>12}  {what}");
    }
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "{} seeds clean: {simulated} simulated seconds in {seconds:.1} s, {:.0} per second",
        end.saturating_sub(first),
        simulated as f64 / seconds
    );
    ExitCode::SUCCESS
}
