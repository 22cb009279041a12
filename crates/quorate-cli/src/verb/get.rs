//! `quorate get KEY [RANGE_END]`.

use clap::{Args, ValueEnum};
use quorate_client::proto::RangeRequest;
use quorate_client::proto::range_request::{SortOrder, SortTarget};

use super::range;
use crate::connection;
use crate::failure::Failure;
use crate::output::{self, Format, Printer};

/// What and how to read.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(super) select: Select,
    /// Print values without their keys, in the simple form
    #[arg(long)]
    print_value_only: bool,
    #[command(flatten)]
    connection: connection::Options,
    #[command(flatten)]
    output: output::Options,
}

/// The part that a transaction's `get` has, too.
#[derive(Debug, Args)]
#[group(skip)]
pub(super) struct Select {
    key: String,
    /// First key that is not read any more
    range_end: Option<String>,
    /// Every key that starts with KEY
    #[arg(long)]
    prefix: bool,
    /// Every key from KEY on
    #[arg(long)]
    from_key: bool,
    /// Most keys to return; 0 for all
    #[arg(long, default_value_t = 0)]
    limit: i64,
    /// Revision to read at; 0 for the latest
    #[arg(long, default_value_t = 0)]
    rev: i64,
    /// l: every write acknowledged before is seen; s: what this server holds, without asking others
    #[arg(long, value_enum, default_value = "l")]
    consistency: Consistency,
    /// Order of the keys
    #[arg(long, value_enum, ignore_case = true)]
    order: Option<Order>,
    /// What to sort by
    #[arg(long, value_enum, ignore_case = true)]
    sort_by: Option<SortBy>,
    /// Leave out the values
    #[arg(long)]
    keys_only: bool,
    /// Only count the keys (shown with -w fields and -w json)
    #[arg(long)]
    count_only: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Consistency {
    #[value(name = "l")]
    Linearizable,
    #[value(name = "s")]
    Serializable,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Order {
    Ascend,
    Descend,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum SortBy {
    Create,
    Key,
    Modify,
    Value,
    Version,
}

impl Select {
    /// The request that these flags stand for.
    pub(super) fn request(&self) -> Result<RangeRequest, Failure> {
        let (key, range_end) =
            range::bounds(&self.key, self.range_end.as_deref(), self.prefix, self.from_key)?;
        let order = match self.order {
            // A sort target alone means ascending, as with etcdctl.
            None if self.sort_by.is_some() => SortOrder::Ascend,
            None => SortOrder::None,
            Some(Order::Ascend) => SortOrder::Ascend,
            Some(Order::Descend) => SortOrder::Descend,
        };
        let target = match self.sort_by {
            None | Some(SortBy::Key) => SortTarget::Key,
            Some(SortBy::Create) => SortTarget::Create,
            Some(SortBy::Modify) => SortTarget::Mod,
            Some(SortBy::Value) => SortTarget::Value,
            Some(SortBy::Version) => SortTarget::Version,
        };
        Ok(RangeRequest {
            key,
            range_end,
            limit: self.limit,
            revision: self.rev,
            sort_order: order.into(),
            sort_target: target.into(),
            serializable: matches!(self.consistency, Consistency::Serializable),
            keys_only: self.keys_only,
            count_only: self.count_only,
            ..RangeRequest::default()
        })
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let request = arguments.select.request()?;
    let reply = arguments.connection.call(async |client| client.range(request).await)?;
    let printer = Printer::new(&arguments.output, Format::Simple);
    printer.value_only(arguments.print_value_only).range(&reply)
}
