//! `quorate member list`.

use clap::{Args, Subcommand};

use crate::connection;
use crate::failure::Failure;
use crate::output::{self, Format, Printer};

/// What to do with members.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Show every member: id, name, addresses
    List(List),
}

#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    connection: connection::Options,
    #[command(flatten)]
    output: output::Options,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let What::List(list) = &arguments.what;
    let reply = list.connection.call(async |client| client.member_list().await)?;
    Printer::new(&list.output, Format::Simple).members(&reply)
}
