//! The flags of `quorate sim`, and the command line that repeats a run.

use std::fmt::Write;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use quorate_sim::run::Options;
use quorate_sim::world::{Faults, Plan};

use crate::failure::Failure;

/// Seeds when none are named.
const SEEDS: Range<u64> = 0..100;
/// Clients and nodes of a world are few: it is not a load test.
const MOST_NODES: u8 = 9;

const AFTER_HELP: &str = "\
Examples:
  quorate sim --seeds 0..600                    600 worlds; stops at the first that breaks a rule
  quorate sim --seed 42 --html run.html         a page that plays the run
  quorate sim --seed 42 --trace run.jsonl       every event, one JSON object a line
  quorate sim --seed 42 --shrink                the smallest run that still fails
  quorate sim --seeds 0..50 --faults all,-crash-all --nodes 3
  quorate sim --seeds 0..20 --twice             the same hash twice, for every seed

A seed is one world: the same seed with the same flags is the same run, on every machine. Each kind of
fault is on or off by a coin of its own, so `--faults drop` drops messages in about half of the seeds
and changes nothing else. `drop/4` leaves every fourth of its strikes, `crash:0+3-7` those with these
numbers, counted from 0. Exit code 7: a rule was broken.";

/// Which worlds, and what may go wrong in them.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Arguments {
    /// Seeds to run, the end left out [default: 0..100]
    #[arg(long, value_name = "A..B", value_parser = parse_seeds, conflicts_with = "seed")]
    seeds: Option<Range<u64>>,
    /// One seed
    #[arg(long, value_name = "N")]
    pub(super) seed: Option<u64>,
    /// Number of nodes, 1 to 9
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=i64::from(MOST_NODES)))]
    nodes: u8,
    /// Number of clients, 1 to 100
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100))]
    clients: u32,
    /// World time in which anything may go wrong; half a minute of recovery follows
    #[arg(long, default_value = "60s", value_name = "TIME", value_parser = parse_duration)]
    duration: Duration,
    /// Requests of all clients together per second, 1 to 1000
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rate: u32,
    /// Faults that may be drawn: all, none, NAME,NAME or all,-NAME; NAME/4 and NAME:0+3-7 leave some
    /// of their strikes
    #[arg(long, default_value = "all", allow_hyphen_values = true)]
    faults: Faults,
    /// Worlds at the same time [default: the number of cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: Option<u16>,
    /// Run every seed twice and compare the hashes
    #[arg(long, conflicts_with_all = ["trace", "html"])]
    pub(super) twice: bool,
    /// Make the seed that fails as small as it gets
    #[arg(long)]
    pub(super) shrink: bool,
    /// Write every event of one seed to a file, one JSON object a line
    #[arg(long, value_name = "FILE", requires = "seed")]
    pub(super) trace: Option<PathBuf>,
    /// Write a page that plays one seed
    #[arg(long, value_name = "FILE", requires = "seed")]
    pub(super) html: Option<PathBuf>,
    /// Show the names of all faults
    #[arg(long)]
    pub(super) list_faults: bool,
    /// Mark the closing lines for a record of long runs
    #[arg(long, hide = true)]
    pub(super) soak: bool,
}

impl Arguments {
    /// Which seeds to run.
    pub(super) fn seeds(&self) -> Range<u64> {
        match (self.seed, &self.seeds) {
            (Some(seed), _) => seed..seed.saturating_add(1),
            (None, Some(seeds)) => seeds.clone(),
            (None, None) => SEEDS,
        }
    }

    pub(super) fn options(&self) -> Options {
        Options {
            nodes: usize::from(self.nodes),
            clients: self.clients,
            rate: self.rate,
            duration: self.duration,
            faults: self.faults.clone(),
        }
    }

    /// How many worlds to run at the same time.
    pub(super) fn jobs(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        self.jobs.map_or_else(cores, usize::from)
    }

    /// # Errors
    ///
    /// What makes no sense together.
    pub(super) fn check(&self) -> Result<(), Failure> {
        let seeds = self.seeds();
        if self.seed == Some(u64::MAX) {
            return Err(Failure::usage(
                format!("--seed {}: too large", u64::MAX),
                "the largest seed is one less",
                "quorate sim --seed 0",
            ));
        }
        if seeds.is_empty() {
            return Err(Failure::usage(
                format!("--seeds {}..{} holds no seed", seeds.start, seeds.end),
                "the end is left out, so it must be larger than the beginning",
                format!("quorate sim --seeds {}..{}", seeds.start, seeds.start.saturating_add(100)),
            ));
        }
        Ok(())
    }
}

/// The flags that repeat one seed, without the verb's own outputs.
pub(super) fn replay(seed: u64, options: &Options) -> String {
    let usual = Options::default();
    let mut line = format!("quorate sim --seed {seed}");
    if options.nodes != usual.nodes {
        push(&mut line, "nodes", &options.nodes.to_string());
    }
    if options.clients != usual.clients {
        push(&mut line, "clients", &options.clients.to_string());
    }
    if options.rate != usual.rate {
        push(&mut line, "rate", &options.rate.to_string());
    }
    if options.duration != usual.duration {
        // The debug form is exact to the nanosecond, and `--duration` reads it.
        push(&mut line, "duration", &format!("{:?}", options.duration).replace('µ', "u"));
    }
    if options.faults != usual.faults {
        push(&mut line, "faults", &options.faults.to_string());
    }
    line
}

/// The flags that repeat a run whose faults were chosen from those that the seed drew.
pub(super) fn replay_plan(seed: u64, options: &Options, plan: &Plan) -> String {
    replay(seed, &Options { faults: plan.on.clone(), ..options.clone() })
}

fn push(line: &mut String, flag: &str, value: &str) {
    write!(line, " --{flag} {value}").expect("a string grows");
}

pub(in crate::verb) fn parse_seeds(text: &str) -> Result<Range<u64>, String> {
    let number = |text: &str| text.trim().parse::<u64>().ok();
    let parts = text.split_once("..");
    match parts.map(|(from, to)| (number(from), number(to))) {
        Some((Some(from), Some(to))) => Ok(from..to),
        _ => Err("two numbers with `..` between them are wanted, such as 0..600".to_owned()),
    }
}

/// Reads `60s`, `1.5m`, `250ms`: exact to the nanosecond.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let wanted = || "a time such as 60s, 1.5m or 250ms is wanted".to_owned();
    let at = text.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(wanted)?;
    let (number, unit) = text.split_at(at);
    let unit: u128 = match unit {
        "ns" => 1,
        "us" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return Err(wanted()),
    };
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(part) || part.len() > 9 || whole.len() > 9 {
        return Err(wanted());
    }
    let whole: u128 = whole.parse().map_err(|_| wanted())?;
    let below: u128 = if part.is_empty() { 0 } else { part.parse().map_err(|_| wanted())? };
    let scale = 10_u128.pow(u32::try_from(part.len()).map_err(|_| wanted())?);
    let nanos = u64::try_from(whole * unit + below * unit / scale).map_err(|_| wanted())?;
    let duration = Duration::from_nanos(nanos);
    if duration < Duration::from_millis(1) || duration > Duration::from_secs(24 * 3600) {
        return Err("a world lives for a millisecond to a day".to_owned());
    }
    Ok(duration)
}

#[cfg(test)]
mod tests {
    use quorate_sim::world::{Fault, Faults};

    use super::*;

    #[test]
    fn times_are_read_to_the_nanosecond() {
        assert_eq!(parse_duration("60s"), Ok(Duration::from_secs(60)));
        assert_eq!(parse_duration("1.5m"), Ok(Duration::from_secs(90)));
        for duration in [25_312_500_000, 14_238_281_250, 999_999_999, 1_500_000] {
            let duration = Duration::from_nanos(duration);
            assert_eq!(parse_duration(&format!("{duration:?}")), Ok(duration));
        }
        for wrong in
            ["", "60", "s", "1..5s", "-1s", "1 s", "1e3s", "5y", "0s", "25h", "99999999999s"]
        {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn seeds_are_a_range() {
        assert_eq!(parse_seeds("0..600"), Ok(0..600));
        for wrong in ["600", "a..b", "1..", "..", "-1..3"] {
            assert!(parse_seeds(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_command_that_repeats_a_run_says_the_same() {
        assert_eq!(replay(4, &Options::default()), "quorate sim --seed 4");
        let options = Options {
            nodes: 3,
            duration: Duration::from_nanos(25_312_500_000),
            faults: Faults::only([Fault::Drop]),
            ..Options::default()
        };
        let line = replay(4, &options);
        assert_eq!(line, "quorate sim --seed 4 --nodes 3 --duration 25.3125s --faults drop");
    }

    #[test]
    fn a_plan_with_fewer_faults_is_what_their_names_draw() {
        for seed in 0..50 {
            let mut plan = Plan::draw(seed, &Faults::all());
            for kind in Fault::ALL {
                let fewer = plan.clone().without(kind);
                let again = Plan::draw(seed, &fewer.on);
                assert_eq!(again, fewer, "seed {seed} without {kind}");
                if kind.name().len() % 2 == 0 {
                    plan = fewer;
                }
            }
        }
    }
}
