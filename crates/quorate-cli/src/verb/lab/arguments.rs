//! The flags of `quorate lab`.

use std::ops::Range;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use quorate_lab::harness::Pauses;
use quorate_lab::suite::Clock;

use crate::failure::Failure;

const AFTER_HELP: &str = "\
Examples:
  quorate lab                                      the suites
  quorate lab --suite 2B                           the Go course lab's 2B, with its five-number lines
  quorate lab --suite 2B --real-time               the same by the clock on the wall
  quorate lab --scenario test_figure8 --seeds 0..50
  quorate lab --scenario R6                        a scenario under every name that it has
  quorate lab --suite 2B --scenario R8 --seed 3 --html run.html
                                                   a page that plays the run
  quorate lab --all                                everything
  quorate lab simulate --nodes 5 --crash           the simulated Raft: events, and what the machines agree on
  RUST_LOG=quorate_lab=debug quorate lab --scenario P4   elections, cuts and crashes, with their times

The five numbers: seconds, servers, requests, bytes, commands that were committed. In virtual time the
same seed is the same run, on every machine; docs/lab.md says what each scenario shows. Exit code 7: a
scenario failed.";

/// What else there is in the lab.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Let a cluster elect a leader, take commands, and show that all state machines agree
    Simulate(super::simulate::Arguments),
}

/// Which scenarios, and in which time.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP, args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(super) verb: Option<Verb>,
    /// A suite: async-rust, 2A, 2B, 2C, 2D, 3A, 3B, RSM and others; `quorate lab` lists them
    #[arg(long, value_name = "NAME")]
    pub(super) suite: Option<String>,
    /// A scenario by its name in a document, or by its id
    #[arg(long, value_name = "NAME")]
    pub(super) scenario: Option<String>,
    /// Every scenario of every suite
    #[arg(long, conflicts_with_all = ["suite", "scenario"])]
    pub(super) all: bool,
    /// Seeds to run each with, the end left out [default: 0..1]
    #[arg(long, value_name = "A..B", value_parser = super::super::sim::parse_seeds)]
    seeds: Option<Range<u64>>,
    /// One seed
    #[arg(long, value_name = "N", conflicts_with = "seeds")]
    seed: Option<u64>,
    /// Write a page that plays the run, of one scenario with one seed
    #[arg(long, value_name = "FILE")]
    pub(super) html: Option<PathBuf>,
    /// Run by the clock of the machine, on tokio
    #[arg(long)]
    real_time: bool,
    /// Make the async Rust lab's pauses as long as its longer edition has them
    #[arg(long)]
    long_pauses: bool,
    /// Scenarios at the same time [default: the number of cores; 1 in real time]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: Option<u16>,
    /// Mark the closing line for a record of long runs
    #[arg(long, hide = true)]
    pub(super) soak: bool,
}

impl Arguments {
    /// Whether nothing was chosen.
    pub(super) fn is_empty(&self) -> bool {
        self.suite.is_none() && self.scenario.is_none() && !self.all
    }

    pub(super) fn clock(&self) -> Clock {
        if self.real_time { Clock::Real } else { Clock::Virtual }
    }

    pub(super) fn pauses(&self) -> Pauses {
        if self.long_pauses { Pauses::Long } else { Pauses::Short }
    }

    /// Seeds of each scenario.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub(super) fn seeds(&self) -> Result<Range<u64>, Failure> {
        let one = self.seed.map(|seed| seed..seed.saturating_add(1));
        let seeds = one.or_else(|| self.seeds.clone()).unwrap_or(0..1);
        if seeds.is_empty() {
            return Err(Failure::usage(
                format!("--seeds {}..{} holds no seed", seeds.start, seeds.end),
                "the end is left out, so it must be larger than the beginning",
                format!("--seeds {}..{}", seeds.start, seeds.start.saturating_add(10)),
            ));
        }
        Ok(seeds)
    }

    /// How many to run at the same time.
    pub(super) fn jobs(&self) -> usize {
        let usual = || match self.clock() {
            Clock::Virtual => std::thread::available_parallelism().map_or(1, usize::from),
            Clock::Real => 1,
        };
        self.jobs.map_or_else(usual, usize::from)
    }
}
