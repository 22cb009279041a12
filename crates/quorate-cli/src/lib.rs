//! The `quorate` binary as a library: a server, a demo cluster and a command-line client in one.
//!
//! [`main`] parses the command line, runs one verb and turns its outcome into an exit code. Each verb
//! has a file of its own under `verb`. Every failure says what went wrong, the likely cause, and the
//! next command to run (`failure`); exit codes are listed in the help text. [`cluster`] starts and kills
//! real server processes, for the demo, for measurements and for the end-to-end tests.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool")]

mod cli;
pub mod cluster;
mod connection;
mod environment;
mod failure;
mod output;
mod runtime;
mod verb;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::cli::{Cli, Verb};
use crate::failure::{Exit, Failure};

/// Runs what the command line says.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let asked_for = !error.use_stderr();
            // A closed terminal is no reason to fail.
            drop(error.print());
            return if asked_for { ExitCode::SUCCESS } else { Exit::Usage.into() };
        }
    };
    let Some(verb) = cli.verb else {
        drop(Cli::command().print_help());
        return ExitCode::SUCCESS;
    };
    match run(verb) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            failure.exit.into()
        }
    }
}

fn run(verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Demo(arguments) => verb::demo::run(&arguments),
        Verb::Serve(arguments) => verb::serve::run(*arguments),
        Verb::Get(arguments) => verb::get::run(&arguments),
        Verb::Put(arguments) => verb::put::run(arguments),
        Verb::Append(arguments) => verb::append::run(arguments),
        Verb::Del(arguments) => verb::del::run(&arguments),
        Verb::Txn(arguments) => verb::txn::run(&arguments),
        Verb::Status(arguments) => verb::status::run(&arguments),
        Verb::Endpoint(arguments) => verb::endpoint::run(&arguments),
        Verb::Member(arguments) => verb::member::run(&arguments),
        Verb::Snapshot(arguments) => verb::snapshot::run(&arguments),
        Verb::Failover(arguments) => verb::failover::run(&arguments),
        Verb::Bench(arguments) => verb::bench::run(&arguments),
        Verb::Sim(arguments) => verb::sim::run(&arguments),
        Verb::Lab(arguments) => verb::lab::run(&arguments),
        Verb::Version => {
            println!("quorate {}", env!("CARGO_PKG_VERSION"));
            Ok(())
        }
    }
}
