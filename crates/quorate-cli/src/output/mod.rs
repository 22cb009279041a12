//! Replies as etcdctl prints them: `simple`, `json`, `fields`, and tables where etcdctl has tables.
//!
//! Everything is made as bytes first and written in one piece, because keys and values need not be
//! text.

mod fields;
mod json;
mod simple;
mod table;

use std::io::{self, Write};

use clap::{Args, ValueEnum};
use quorate_client::proto::{
    DeleteRangeResponse, MemberListResponse, PutResponse, RangeResponse, StatusResponse,
    TxnResponse,
};

use crate::failure::{Exit, Failure};

pub(crate) use table::Table;

/// How replies are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Simple,
    Json,
    Fields,
    Table,
}

/// Flags of the output.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Output")]
#[group(skip)]
pub(crate) struct Options {
    /// Form of the output [default: simple; of status: table]
    #[arg(short = 'w', long = "write-out", value_enum, value_name = "FORM")]
    pub(crate) format: Option<Format>,
    /// Print keys and values as hexadecimal numbers
    #[arg(long)]
    pub(crate) hex: bool,
}

/// What an endpoint said about itself, or that it said nothing.
#[derive(Debug)]
pub(crate) struct EndpointStatus {
    pub(crate) endpoint: String,
    pub(crate) status: StatusResponse,
}

/// What a backup holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BackupStatus {
    /// What `HashKV` answered where it was made.
    pub(crate) hash: u32,
    pub(crate) revision: i64,
    /// Every version of every key, as etcd counts them.
    pub(crate) keys: u64,
    pub(crate) bytes: u64,
    pub(crate) cluster_id: u64,
}

impl BackupStatus {
    fn size(&self) -> String {
        size(i64::try_from(self.bytes).unwrap_or(i64::MAX))
    }
}

/// A reply, ready to be written.
#[derive(Debug)]
pub(crate) struct Printer {
    format: Format,
    hex: bool,
    value_only: bool,
}

impl Printer {
    pub(crate) fn new(options: &Options, default: Format) -> Self {
        let format = options.format.unwrap_or(default);
        Self { format, hex: options.hex, value_only: false }
    }

    /// Leaves out the keys in the simple form.
    pub(crate) fn value_only(mut self, value_only: bool) -> Self {
        self.value_only = value_only;
        self
    }

    pub(crate) fn range(&self, reply: &RangeResponse) -> Result<(), Failure> {
        write(&match self.format {
            Format::Simple => simple::range(self, reply),
            Format::Json => json::range(reply),
            Format::Fields => fields::range(reply),
            Format::Table => return Err(no_table("get")),
        })
    }

    pub(crate) fn put(&self, reply: &PutResponse) -> Result<(), Failure> {
        write(&match self.format {
            Format::Simple => simple::put(self, reply),
            Format::Json => json::put(reply),
            Format::Fields => fields::put(reply),
            Format::Table => return Err(no_table("put")),
        })
    }

    pub(crate) fn delete(&self, reply: &DeleteRangeResponse) -> Result<(), Failure> {
        write(&match self.format {
            Format::Simple => simple::delete(self, reply),
            Format::Json => json::delete(reply),
            Format::Fields => fields::delete(reply),
            Format::Table => return Err(no_table("del")),
        })
    }

    pub(crate) fn txn(&self, reply: &TxnResponse) -> Result<(), Failure> {
        write(&match self.format {
            Format::Simple => simple::txn(self, reply),
            Format::Json => json::txn(reply),
            Format::Fields => fields::txn(reply),
            Format::Table => return Err(no_table("txn")),
        })
    }

    pub(crate) fn members(&self, reply: &MemberListResponse) -> Result<(), Failure> {
        write(&match self.format {
            Format::Simple => simple::members(reply),
            Format::Json => json::members(reply),
            Format::Fields => fields::members(reply),
            Format::Table => table::members(reply),
        })
    }

    pub(crate) fn statuses(&self, statuses: &[EndpointStatus]) -> Result<(), Failure> {
        write(&match self.format {
            Format::Simple => simple::statuses(statuses),
            Format::Json => json::statuses(statuses),
            Format::Fields => fields::statuses(statuses),
            Format::Table => table::statuses(statuses),
        })
    }

    pub(crate) fn backup(&self, status: &BackupStatus) -> Result<(), Failure> {
        write(&match self.format {
            Format::Simple => simple::backup(status),
            Format::Json => json::backup(status),
            Format::Fields => fields::backup(status),
            Format::Table => table::backup(status),
        })
    }

    /// A key or value as the flags want it.
    fn bytes(&self, bytes: &[u8]) -> Vec<u8> {
        if !self.hex {
            return bytes.to_vec();
        }
        bytes.iter().flat_map(|byte| format!("\\x{byte:02x}").into_bytes()).collect()
    }
}

fn write(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        // `quorate get .. | head` is no failure.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::new(
            Exit::Refused,
            format!("cannot write to standard output: {error}"),
            "what it leads to is full or gone; the request itself was carried out",
            "make room, then read again with `quorate get`",
        )),
        _ => Ok(()),
    }
}

/// Bytes in the form that etcdctl's table and lists use: 20 kB, 1.5 MB.
fn size(bytes: i64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB"];
    let mut tenths = bytes.max(0).saturating_mul(10);
    let mut unit = 0;
    while tenths >= 10_000 && unit + 1 < units.len() {
        tenths /= 1000;
        unit += 1;
    }
    if tenths >= 100 || tenths % 10 == 0 {
        format!("{} {}", tenths / 10, units[unit])
    } else {
        format!("{}.{} {}", tenths / 10, tenths % 10, units[unit])
    }
}

fn no_table(verb: &str) -> Failure {
    Failure::usage(
        format!("`{verb}` has no table"),
        "-w table is for status and member list",
        format!("quorate {verb} -w simple, -w json or -w fields"),
    )
}

#[cfg(test)]
mod tests;
