//! `quorate append KEY VALUE`: adds to the end of a value, exactly once.

use clap::Args;
use quorate_client::SessionOptions;

use crate::connection;
use crate::failure::Failure;

/// What to add where.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    key: String,
    value: String,
    #[command(flatten)]
    connection: connection::Options,
}

pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    let Arguments { key, value, connection } = arguments;
    let options = SessionOptions::default().deadline(connection.command_timeout);
    let length =
        connection.call(async |client| client.session_with(options).append(key, value).await)?;
    println!("OK\n{length} bytes");
    Ok(())
}
