//! `quorate lab simulate`: a cluster in one process elects a leader by itself, takes commands, survives
//! what it is told to, and shows that all state machines agree.
//!
//! Every event is a line: what a leader was elected for, what each node executed. `RUST_LOG` decides what is
//! logged beside it, on standard error.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use quorate_lab::context::{RealTime, VirtualTime};
use quorate_lab::simulated::{Conditions, Plan, Tell, simulate};

use crate::failure::{Exit, Failure};

const AFTER_HELP: &str = "\
Examples:
  quorate lab simulate
  quorate lab simulate --nodes 5 --commands 10,20,30 --loss 10 --delay-ms 20 --partition --crash
  RUST_LOG=quorate_lab=debug quorate lab simulate --real-time

In virtual time the same seed is the same run. Exit code 7: the machines did not agree, or no leader or
command got through in time.";

/// What is simulated.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Arguments {
    /// Nodes of the cluster
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=15))]
    nodes: u8,
    /// Numbers that the state machines add up, in order
    #[arg(long, value_name = "N,N,..", value_delimiter = ',', default_value = "1,2,3,4,5")]
    commands: Vec<u64>,
    /// So many of a hundred messages are lost
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=60))]
    loss: u64,
    /// Messages take up to so many milliseconds, and overtake each other
    #[arg(long, value_name = "MS", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=1000))]
    delay_ms: u64,
    /// Cut the leader off half way, and mend it
    #[arg(long)]
    partition: bool,
    /// Crash a follower half way, and start it again with what it kept
    #[arg(long)]
    crash: bool,
    /// Decides everything that is left to chance
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Run by the clock of the machine, on tokio
    #[arg(long)]
    real_time: bool,
}

impl Arguments {
    fn plan(&self) -> Plan {
        let conditions = Conditions {
            loss_percent: self.loss,
            delay_min: Duration::ZERO,
            delay_max: Duration::from_millis(self.delay_ms),
        };
        Plan {
            nodes: usize::from(self.nodes),
            commands: self.commands.clone(),
            conditions,
            has_partition: self.partition,
            has_crash: self.crash,
            ..Plan::default()
        }
    }

    /// The command that runs it again.
    fn replay(&self) -> String {
        let commands: Vec<String> = self.commands.iter().map(u64::to_string).collect();
        let mut words = format!(
            "quorate lab simulate --nodes {} --commands {} --loss {} --delay-ms {} --seed {}",
            self.nodes,
            commands.join(","),
            self.loss,
            self.delay_ms,
            self.seed
        );
        let flags = [
            (self.partition, " --partition"),
            (self.crash, " --crash"),
            (self.real_time, " --real-time"),
        ];
        words.extend(flags.iter().filter(|(is_set, _)| *is_set).map(|(_, flag)| *flag));
        words
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let tell: Tell = Arc::new(|line| println!("{line}"));
    let plan = arguments.plan();
    let outcome = if arguments.real_time {
        let time = RealTime::new(arguments.seed);
        time.block_on(simulate(time.context(), plan, tell))
    } else {
        let time = VirtualTime::new(arguments.seed);
        time.block_on(simulate(time.context(), plan, tell))
    };
    match outcome {
        Ok(summary) => {
            println!("{summary}");
            Ok(())
        }
        Err(error) => Err(Failure::new(
            Exit::Broken,
            error.to_string(),
            "more is lost or late than the timeouts allow for, or a bug",
            arguments.replay(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    #[test]
    fn the_command_that_repeats_a_run_is_that_run() {
        let words =
            "simulate --nodes 5 --commands 7,8 --loss 5 --delay-ms 20 --partition --crash --seed 9";
        let first = Line::parse_from(words.split(' ')).arguments;
        let again = first.replay();
        let again = again.strip_prefix("quorate lab ").expect("it is this verb");
        let again = Line::parse_from(again.split(' ')).arguments;
        assert_eq!(again.plan(), first.plan());
        assert_eq!((again.seed, again.real_time), (9, false));
        assert!(run(&again).is_ok());
    }
}
