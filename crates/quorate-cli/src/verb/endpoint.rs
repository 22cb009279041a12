//! `quorate endpoint status` and `quorate endpoint health`, with etcdctl's words.

use std::time::Instant;

use clap::{Args, Subcommand};

use super::status;
use crate::failure::{Exit, Failure};
use crate::output::Format;
use crate::{connection, runtime};

/// What to ask each endpoint.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// What each endpoint says about itself
    Status(status::Arguments),
    /// Whether each endpoint can serve a linearizable read
    Health(Health),
}

#[derive(Debug, Args)]
struct Health {
    #[command(flatten)]
    connection: connection::Options,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.what {
        What::Status(arguments) => status::show(arguments, Format::Simple),
        What::Health(arguments) => health(&arguments.connection),
    }
}

/// Asks each endpoint for a read that only a server with a majority behind it can answer.
fn health(options: &connection::Options) -> Result<(), Failure> {
    let client = options.client()?;
    let runtime = runtime::single_threaded()?;
    let mut sick = Vec::new();
    for (name, endpoint) in client.endpoints().zip(client.each_endpoint()) {
        let started = Instant::now();
        match runtime.block_on(endpoint.get("health")) {
            Ok(_) => println!(
                "{name} is healthy: successfully committed proposal: took = {:?}",
                started.elapsed()
            ),
            Err(error) => {
                println!("{name} is unhealthy: {error}");
                sick.push(name.to_owned());
            }
        }
    }
    if sick.is_empty() {
        return Ok(());
    }
    Err(Failure::new(
        Exit::Unserved,
        format!("unhealthy: {}", sick.join(", ")),
        "these servers do not run, or reach no majority of the cluster",
        "`quorate status` with all endpoints shows who leads",
    ))
}
