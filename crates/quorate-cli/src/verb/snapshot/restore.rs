//! `quorate snapshot restore FILE`: data directories of a cluster that begins with a backup.
//!
//! The cluster is another one: its id and those of its nodes are drawn, so that nodes of the old one
//! and the new one refuse each other. Nodes know each other by those ids, so the directories of all
//! of them are made at once, to be copied to where the nodes run.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use quorate::restore::{self, NewMember};
use quorate_kv::KvMachine;
use quorate_server::ServerConfig;
use quorate_server::backup::{Backup, BackupError};

use super::unusable;
use crate::failure::{Exit, Failure};

const AFTER_HELP: &str = "\
Alone:            quorate snapshot restore backup --data-dir new
                  quorate serve --data-dir new
Three nodes:      quorate snapshot restore backup --data-dir new \\
                    --initial-cluster n1=http://A:2380,n2=http://B:2380,n3=http://C:2380
                  makes new/n1, new/n2 and new/n3; copy each to its machine, and start each there
                  with the same --name, --initial-advertise-peer-urls and --initial-cluster.";

/// What to restore, and as what.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Arguments {
    /// The file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Directory to make [default: NAME.quorate]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Name of a node by itself [default: default]
    #[arg(long)]
    name: Option<String>,
    /// The nodes of the cluster [default: one, by itself]
    #[arg(long, value_name = "NAME=URL,..")]
    initial_cluster: Option<String>,
    /// Where a node by itself is told from the others [default: http://127.0.0.1:2380]
    #[arg(long, value_name = "URL")]
    initial_advertise_peer_urls: Option<String>,
    #[arg(long, hide = true)]
    initial_cluster_token: Option<String>,
    #[arg(long, hide = true)]
    skip_hash_check: bool,
    #[arg(long, hide = true)]
    bump_revision: Option<String>,
    #[arg(long, hide = true)]
    mark_compacted: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    arguments.refuse_what_is_not_there()?;
    let (directory, members) = arguments.members()?;
    vacant(&directory)?;
    let mut backup = Backup::open(&arguments.file).map_err(|error| unusable(&error))?;
    let unread = |flaw| unusable(&BackupError { path: arguments.file.clone(), flaw });
    let mut machine = KvMachine::<quorate_kv::NoSink>::default();
    let mut content = backup.content().map_err(|error| unread(error.into()))?;
    quorate::Snapshot::restore(&mut machine, &mut content).map_err(|error| unread(error.into()))?;
    drop(content);
    let names: Vec<String> = members.iter().map(|member| member.name.clone()).collect();
    // Under another name until all of it is on disk.
    let unfinished = with_suffix(&directory, ".restoring");
    drop(fs::remove_dir_all(&unfinished));
    let within = |name: &str| match names.len() {
        1 => unfinished.clone(),
        _ => unfinished.join(name),
    };
    let members = members.into_iter().map(|member| {
        let directory = within(&member.name);
        NewMember { directory, ..member }
    });
    let made = restore::found_with(machine, members.collect()).map_err(|error| {
        drop(fs::remove_dir_all(&unfinished));
        unwritable(&directory, &error.to_string())
    })?;
    drop(fs::remove_dir(&directory));
    fs::rename(&unfinished, &directory)
        .map_err(|error| unwritable(&directory, &error.to_string()))?;
    println!("Restored revision {} as cluster {made}", backup.header().revision);
    match names.as_slice() {
        [name] => println!("{}: {name}", directory.display()),
        names => {
            names.iter().for_each(|name| println!("{}: {name}", directory.join(name).display()));
        }
    }
    Ok(())
}

impl Arguments {
    fn refuse_what_is_not_there(&self) -> Result<(), Failure> {
        if self.initial_cluster_token.is_some() {
            eprintln!("note: --initial-cluster-token makes no difference: ids are drawn at random");
        }
        let refused = [
            (
                self.skip_hash_check,
                "--skip-hash-check",
                "a backup is always compared with its checksum",
            ),
            (self.bump_revision.is_some(), "--bump-revision", "it is not there yet"),
            (self.mark_compacted, "--mark-compacted", "it is not there yet"),
        ];
        match refused.into_iter().find(|(given, ..)| *given) {
            Some((_, flag, why)) => {
                Err(Failure::usage(format!("{flag} is refused"), why, "leave it out"))
            }
            None => Ok(()),
        }
    }

    /// The directory to make, and who belongs to the cluster; checked as a server checks its flags.
    fn members(&self) -> Result<(PathBuf, Vec<NewMember>), Failure> {
        let list = self.initial_cluster.clone().unwrap_or_default();
        let several = list.contains(',');
        if several && self.name.is_some() {
            return Err(Failure::usage(
                "--name picks one node of several",
                "the ids of all are drawn at once, so all directories are made at once",
                "leave out --name; copy each directory to its machine",
            ));
        }
        // A node finds itself in the list; any of several will do.
        let (listed_name, listed_url) = list
            .split(',')
            .next()
            .and_then(|part| part.trim().split_once('='))
            .map_or((None, None), |(name, url)| (Some(name.to_owned()), Some(url.to_owned())));
        let name = self.name.clone().or(listed_name).unwrap_or_else(|| "default".to_owned());
        let directory = self.data_dir.clone().unwrap_or_else(|| format!("{name}.quorate").into());
        let mut config = ServerConfig::new(name, &directory);
        config.advertise_peer_url = self.initial_advertise_peer_urls.clone().or(listed_url);
        config.initial_cluster = list;
        let settings = config.validate().map_err(|error| {
            Failure::usage(
                error.to_string(),
                "the flags are those of the servers that will run on the directories",
                "quorate snapshot restore --help",
            )
        })?;
        let members = settings.peers.into_iter().map(|(name, peer_address)| NewMember {
            name,
            peer_address,
            client_urls: Vec::new(),
            directory: PathBuf::new(),
        });
        Ok((directory, members.collect()))
    }
}

/// Nothing is ever replaced.
fn vacant(directory: &Path) -> Result<(), Failure> {
    let is_vacant = match fs::read_dir(directory) {
        Ok(mut items) => items.next().is_none(),
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    };
    if is_vacant {
        return Ok(());
    }
    Err(Failure::new(
        Exit::Refused,
        format!("{} is there and not empty", directory.display()),
        "it may be the data directory of a node, which nothing replaces",
        "name another --data-dir, or move this one away",
    ))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.to_owned().into_os_string();
    name.push(suffix);
    name.into()
}

fn unwritable(directory: &Path, why: &str) -> Failure {
    Failure::new(
        Exit::Refused,
        format!("{} cannot be made: {why}", directory.display()),
        "the folder is not there, may not be written, or has no room",
        "name another --data-dir, or make room",
    )
}
