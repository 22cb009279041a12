//! `quorate snapshot save|restore|status`: a backup of the store in one file.

mod restore;
mod save;
mod status;

use clap::{Args, Subcommand};
use quorate_server::backup::{BackupError, Flaw};

use crate::failure::{Exit, Failure};

/// What to do with backups.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Write everything that one member holds to a file
    Save(save::Arguments),
    /// Make the data directories of a new cluster that begins with a backup
    Restore(restore::Arguments),
    /// Check a file, and show its hash, revision, number of keys and size
    Status(status::Arguments),
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.what {
        What::Save(arguments) => save::run(arguments),
        What::Restore(arguments) => restore::run(arguments),
        What::Status(arguments) => status::run(arguments),
    }
}

/// Why a file is of no use.
fn unusable(error: &BackupError) -> Failure {
    let (cause, next) = match error.flaw {
        Flaw::Read(_) => ("the file is not there, or may not be read", "check its name and owner"),
        Flaw::NoBackup => (
            "it is something else, such as a database file of etcd's, which is not read",
            "`quorate snapshot save FILE` writes one",
        ),
        Flaw::Version(_) => ("a later version of this program wrote it", "upgrade this program"),
        _ => (
            "it was cut when it was copied, or its disk changed it",
            "take another copy, or the backup before it; nothing of this one was used",
        ),
    };
    Failure::new(Exit::Refused, error.to_string(), cause, next)
}
