//! `quorate put KEY [VALUE]`; without a value it is read from standard input.

use std::io::{self, Read};

use bytes::Bytes;
use clap::Args;
use quorate_client::proto::PutRequest;

use crate::connection;
use crate::failure::{Exit, Failure};
use crate::output::{self, Format, Printer};

/// What to write where.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(super) pair: Pair,
    #[command(flatten)]
    connection: connection::Options,
    #[command(flatten)]
    output: output::Options,
}

/// The part that a transaction's `put` has, too.
#[derive(Debug, Args)]
#[group(skip)]
pub(super) struct Pair {
    key: String,
    /// Read from standard input when left out
    value: Option<String>,
    /// Return what the key held before
    #[arg(long)]
    prev_kv: bool,
    /// Keep the value the key has
    #[arg(long)]
    ignore_value: bool,
    /// Keep the lease the key has
    #[arg(long)]
    ignore_lease: bool,
    /// Lease to attach, in hexadecimal
    #[arg(long, default_value = "0", value_parser = parse_lease)]
    lease: i64,
}

impl Pair {
    /// The request that these flags stand for; `missing` gives the value when there is none.
    pub(super) fn request(
        self,
        missing: impl FnOnce() -> Result<Vec<u8>, Failure>,
    ) -> Result<PutRequest, Failure> {
        let value = match self.value {
            Some(value) => value.into_bytes(),
            None if self.ignore_value => Vec::new(),
            None => missing()?,
        };
        Ok(PutRequest {
            key: Bytes::from(self.key.into_bytes()),
            value: Bytes::from(value),
            lease: self.lease,
            prev_kv: self.prev_kv,
            ignore_value: self.ignore_value,
            ignore_lease: self.ignore_lease,
        })
    }
}

pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    let request = arguments.pair.request(from_input)?;
    let reply = arguments.connection.call(async |client| client.put(request).await)?;
    Printer::new(&arguments.output, Format::Simple).put(&reply)
}

fn from_input() -> Result<Vec<u8>, Failure> {
    let mut value = Vec::new();
    io::stdin().lock().read_to_end(&mut value).map_err(|error| {
        Failure::new(
            Exit::Refused,
            format!("cannot read the value from standard input: {error}"),
            "no value was given, so it is read from there",
            "quorate put KEY VALUE",
        )
    })?;
    Ok(value)
}

fn parse_lease(text: &str) -> Result<i64, String> {
    i64::from_str_radix(text, 16).map_err(|_| "a lease is a hexadecimal number".to_owned())
}
