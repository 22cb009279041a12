//! `quorate snapshot status FILE`.

use std::path::PathBuf;

use clap::Args;
use quorate::Snapshot as _;
use quorate_kv::{Revision, Store};
use quorate_server::backup::{Backup, BackupError};

use super::unusable;
use crate::failure::Failure;
use crate::output::{self, BackupStatus, Format, Printer};

/// Which file.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    output: output::Options,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut backup = Backup::open(&arguments.file).map_err(|error| unusable(&error))?;
    let unread = |flaw| unusable(&BackupError { path: arguments.file.clone(), flaw });
    let mut store = Store::default();
    let mut content = backup.content().map_err(|error| unread(error.into()))?;
    store.restore(&mut content).map_err(|error| unread(error.into()))?;
    drop(content);
    let view = store.view();
    let digest = view.digest(Revision::ZERO).expect("the latest revision is readable");
    let header = backup.header();
    Printer::new(&arguments.output, Format::Simple).backup(&BackupStatus {
        hash: digest.folded(),
        revision: view.revision().get(),
        keys: view.stats().versions,
        bytes: header.file_bytes(),
        cluster_id: header.cluster_id,
    })
}
