//! `quorate del KEY [RANGE_END]`.

use clap::Args;
use quorate_client::proto::DeleteRangeRequest;

use super::range;
use crate::connection;
use crate::failure::Failure;
use crate::output::{self, Format, Printer};

/// What to delete.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(super) select: Select,
    #[command(flatten)]
    connection: connection::Options,
    #[command(flatten)]
    output: output::Options,
}

/// The part that a transaction's `del` has, too.
#[derive(Debug, Args)]
#[group(skip)]
pub(super) struct Select {
    key: String,
    /// First key that is kept
    range_end: Option<String>,
    /// Every key that starts with KEY
    #[arg(long)]
    prefix: bool,
    /// Every key from KEY on
    #[arg(long)]
    from_key: bool,
    /// Return what was deleted
    #[arg(long)]
    prev_kv: bool,
}

impl Select {
    /// The request that these flags stand for.
    pub(super) fn request(&self) -> Result<DeleteRangeRequest, Failure> {
        let (key, range_end) =
            range::bounds(&self.key, self.range_end.as_deref(), self.prefix, self.from_key)?;
        Ok(DeleteRangeRequest { key, range_end, prev_kv: self.prev_kv })
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let request = arguments.select.request()?;
    let reply = arguments.connection.call(async |client| client.delete_range(request).await)?;
    Printer::new(&arguments.output, Format::Simple).delete(&reply)
}
