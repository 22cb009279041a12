//! `quorate status`: what each endpoint says about itself, in one table.

use clap::Args;

use crate::failure::{Exit, Failure};
use crate::output::{self, EndpointStatus, Format, Printer};
use crate::{connection, runtime};

/// Whom to ask.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    connection: connection::Options,
    #[command(flatten)]
    output: output::Options,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    show(arguments, Format::Table)
}

/// Asks every endpoint and prints what came; fails at the end when one did not answer.
pub(super) fn show(arguments: &Arguments, default: Format) -> Result<(), Failure> {
    let client = arguments.connection.client()?;
    let runtime = runtime::single_threaded()?;
    let mut statuses = Vec::new();
    let mut failures = Vec::new();
    for (name, endpoint) in client.endpoints().zip(client.each_endpoint()) {
        match runtime.block_on(endpoint.status()) {
            Ok(status) => statuses.push(EndpointStatus { endpoint: name.to_owned(), status }),
            Err(error) => failures.push(error.to_string()),
        }
    }
    Printer::new(&arguments.output, default).statuses(&statuses)?;
    if failures.is_empty() {
        return Ok(());
    }
    Err(Failure::new(
        Exit::Unserved,
        failures.join("\n       "),
        "these servers do not run, or the network is cut",
        "start them; `quorate demo` says how for its own",
    ))
}
