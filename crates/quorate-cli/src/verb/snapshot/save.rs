//! `quorate snapshot save FILE`.
//!
//! The file has its name only when it is whole, checked and on disk; until then its name ends in
//! `.part`, and what had the name before stays.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;
use quorate_client::Client;
use quorate_server::backup::Backup;

use super::unusable;
use crate::failure::{Exit, Failure};
use crate::{connection, runtime};

/// What to save, and where.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The file to write; what it held before is replaced at the end
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    connection: connection::Options,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let client = arguments.connection.client()?;
    let endpoints: Vec<&str> = client.endpoints().collect();
    if endpoints.len() > 1 {
        return Err(Failure::usage(
            format!("a snapshot is asked of one member, and --endpoints has {}", endpoints.len()),
            "each member holds the same; which one has to read all of it is for you to say",
            format!(
                "quorate snapshot save {} --endpoints {}",
                arguments.file.display(),
                endpoints[0]
            ),
        ));
    }
    let mut part = arguments.file.clone().into_os_string();
    part.push(".part");
    let part = PathBuf::from(part);
    let saved = runtime::single_threaded()?.block_on(save(&client, &part, &arguments.file));
    if saved.is_err() {
        // Nobody can use it; that it cannot be removed is said by its name.
        drop(fs::remove_file(&part));
    }
    saved?;
    println!("Snapshot saved at {}", arguments.file.display());
    Ok(())
}

async fn save(client: &Client, part: &Path, target: &Path) -> Result<(), Failure> {
    let mut stream = client.snapshot().await?;
    let mut file = File::create(part).map_err(|error| unwritable(part, &error))?;
    while let Some(message) = stream.next().await? {
        file.write_all(&message.blob).map_err(|error| unwritable(part, &error))?;
    }
    file.sync_all().map_err(|error| unwritable(part, &error))?;
    Backup::open(part).map_err(|error| unusable(&error))?;
    fs::rename(part, target).map_err(|error| unwritable(target, &error))?;
    let folder = match target.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let folder = File::open(folder).and_then(|folder| folder.sync_all());
    folder.map_err(|error| unwritable(target, &error))
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::new(
        Exit::Refused,
        format!("cannot write {}: {error}", path.display()),
        "the folder is not there, may not be written, or is full",
        "name a file in a folder that has room; the server was only read",
    )
}
