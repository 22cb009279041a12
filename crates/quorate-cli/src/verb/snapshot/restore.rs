//! `quorate snapshot restore FILE`: data directories of a cluster that begins with a backup.
//!
//! The cluster is another one: its id and those of its nodes are drawn, so that nodes of the old one
//! and the new one refuse each other. Nodes know each other by those ids, so the directories of all
//! of them are made at once, to be copied to where the nodes run. The list of members is made here,
//! too, with where clients reach them; no server changes it at its start.
//!
//! All of it is made under another name beside the target, and gets its name when it is durable: what
//! has the name is whole, and what fails leaves nothing.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use quorate::ClusterId;
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
                    --initial-cluster n1=http://A:2380,n2=http://B:2380,n3=http://C:2380 \\
                    --advertise-client-urls n1=http://A:2379,n2=http://B:2379,n3=http://C:2379
                  makes new/n1, new/n2 and new/n3; copy each to its machine, and start each there
                  with the same --name, --initial-advertise-peer-urls and --initial-cluster.

Clients that ask for the members are told what --advertise-client-urls says here: the servers pass
it on and do not change it. Without it they are told of http://127.0.0.1:2379 for a node by itself,
and of no address for several.";

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
    /// Where clients are told to come; of several nodes with the name of each, once for each URL
    /// [default: http://127.0.0.1:2379 for a node by itself, nowhere for several]
    #[arg(long, value_name = "[NAME=]URL,..")]
    advertise_client_urls: Option<String>,
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
    if members.iter().all(|member| member.client_urls.is_empty()) {
        eprintln!(
            "note: clients that ask for the members are told of no address; --advertise-client-urls \
             gives the nodes' own"
        );
    }
    let made = make(&directory, machine, members)?;
    println!("Restored revision {} as cluster {made}", backup.header().revision);
    match names.as_slice() {
        [name] => println!("{}: {name}", directory.display()),
        names => {
            names.iter().for_each(|name| println!("{}: {name}", directory.join(name).display()));
        }
    }
    Ok(())
}

/// Makes the directories, beside the target until all of it is durable; returns the cluster's id.
fn make(
    target: &Path,
    machine: KvMachine<quorate_kv::NoSink>,
    members: Vec<NewMember>,
) -> Result<ClusterId, Failure> {
    // Without what may follow the name, a slash or a dot.
    let target = &target.components().collect::<PathBuf>();
    let unfinished = beside(target, ".restoring")?;
    // What an earlier try left that did not come to its end.
    drop(fs::remove_dir_all(&unfinished));
    let is_alone = members.len() == 1;
    let members = members.into_iter().map(|member| {
        let directory = if is_alone { unfinished.clone() } else { unfinished.join(&member.name) };
        NewMember { directory, ..member }
    });
    let failed = |error: &dyn std::error::Error| {
        drop(fs::remove_dir_all(&unfinished));
        unwritable(target, &error.to_string())
    };
    let cluster =
        restore::found_with(machine, members.collect()).map_err(|error| failed(&error))?;
    // In the place of an empty directory, too.
    fs::rename(&unfinished, target).map_err(|error| failed(&error))?;
    let folder = target.parent().unwrap_or(target);
    restore::sync_names(folder).map_err(|error| {
        Failure::new(
            Exit::Refused,
            format!(
                "{} is made, and the disk does not promise to keep it: {error}",
                target.display()
            ),
            "what a disk says after such an error is not to be trusted",
            "remove the directory, check the disk, and restore again",
        )
    })?;
    Ok(cluster)
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
        let client_urls = self.client_urls();
        config.advertise_client_urls = client_urls.iter().map(|(_, url)| url.clone()).collect();
        let settings = config.validate().map_err(|error| {
            Failure::usage(
                error.to_string(),
                "the flags are those of the servers that will run on the directories",
                "quorate snapshot restore --help",
            )
        })?;
        let names = settings.peers.iter().map(|(name, _)| name.as_str());
        let mut urls = by_name(&names.collect::<Vec<_>>(), client_urls)?;
        if let ([(name, _)], true) = (settings.peers.as_slice(), urls.is_empty()) {
            // Where a server by itself serves clients unless told otherwise.
            urls.insert(name.clone(), config.listen_client_urls);
        }
        let members = settings.peers.into_iter().map(|(name, peer_address)| NewMember {
            client_urls: urls.remove(&name).unwrap_or_default(),
            name,
            peer_address,
            directory: PathBuf::new(),
        });
        Ok((directory, members.collect()))
    }

    /// Where clients are told to come, each with the name of its node where one is given.
    fn client_urls(&self) -> Vec<(Option<String>, String)> {
        let parts = self.advertise_client_urls.iter().flat_map(|text| text.split(','));
        let named = |part: &str| match part.trim().split_once('=') {
            Some((name, url)) => (Some(name.to_owned()), url.to_owned()),
            None => (None, part.trim().to_owned()),
        };
        parts.map(named).collect()
    }
}

/// The URLs of each node. All nodes have some, or none has.
fn by_name(
    names: &[&str],
    urls: Vec<(Option<String>, String)>,
) -> Result<BTreeMap<String, Vec<String>>, Failure> {
    let refused = |what: String| {
        Failure::usage(
            format!("--advertise-client-urls {what}"),
            format!("these are the nodes: {}", names.join(", ")),
            "--advertise-client-urls n1=http://HOST:2379,n2=http://HOST:2379,n3=http://HOST:2379",
        )
    };
    let mut of_each = BTreeMap::<String, Vec<String>>::new();
    for (name, url) in urls {
        let name = match (name, names) {
            (Some(name), _) => name,
            (None, [only]) => (*only).to_owned(),
            (None, _) => return Err(refused(format!("does not say whose {url} is"))),
        };
        if !names.contains(&name.as_str()) {
            return Err(refused(format!("has {name:?}, which is no node")));
        }
        of_each.entry(name).or_default().push(url);
    }
    match names.iter().find(|name| !of_each.is_empty() && !of_each.contains_key(**name)) {
        Some(left_out) => Err(refused(format!("leaves {left_out:?} out"))),
        None => Ok(of_each),
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

/// A path in the same folder, whose name has this behind it.
fn beside(path: &Path, suffix: &str) -> Result<PathBuf, Failure> {
    let Some(name) = path.file_name() else {
        return Err(Failure::usage(
            format!("--data-dir is {}", path.display()),
            "it is made under another name first, and this is no name",
            "write the directory's own name",
        ));
    };
    let mut name = name.to_owned();
    name.push(suffix);
    Ok(path.with_file_name(name))
}

fn unwritable(directory: &Path, why: &str) -> Failure {
    Failure::new(
        Exit::Refused,
        format!("{} cannot be made: {why}", directory.display()),
        "the folder is not there, may not be written, or has no room",
        "name another --data-dir, or make room",
    )
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    /// Where clients are told that the members are, by name; or why not.
    fn members(words: &[&str]) -> Result<Vec<(String, Vec<String>)>, String> {
        let line = Line::try_parse_from([&["restore", "backup"], words].concat()).unwrap();
        let (_, members) = line.arguments.members().map_err(|failure| failure.what)?;
        Ok(members.into_iter().map(|member| (member.name, member.client_urls)).collect())
    }

    const THREE: [&str; 2] = ["--initial-cluster", "n1=http://a:1,n2=http://b:1,n3=http://c:1"];

    #[test]
    fn clients_are_told_of_the_addresses_that_are_given() {
        let told = |words: &[&str]| {
            let told = members(words).unwrap();
            told.iter()
                .map(|(name, urls)| format!("{name}: {}", urls.join(" ")))
                .collect::<Vec<_>>()
        };
        assert_eq!(told(&[]), ["default: http://127.0.0.1:2379"]);
        let flag = "--advertise-client-urls";
        assert_eq!(told(&[flag, "http://a:2, http://a:3"]), ["default: http://a:2 http://a:3"]);
        assert_eq!(told(&["--name", "n1", flag, "n1=http://a:2"]), ["n1: http://a:2"]);
        assert_eq!(told(&THREE), ["n1: ", "n2: ", "n3: "]);
        let urls = "n3=http://c:2,n1=http://a:2, n2=http://b:2,n1=http://a:3";
        let three = ["n1: http://a:2 http://a:3", "n2: http://b:2", "n3: http://c:2"];
        assert_eq!(told(&[&THREE[..], &[flag, urls]].concat()), three);
    }

    #[test]
    fn addresses_that_cannot_be_meant_are_refused() {
        for (urls, why) in [
            ("http://a:2", "does not say whose http://a:2 is"),
            ("n1=http://a:2,n2=http://b:2", "leaves \"n3\" out"),
            ("n1=http://a:2,n2=http://b:2,n4=http://c:2", "has \"n4\", which is no node"),
            ("n1=http://a:2,n2=b:2,n3=http://c:2", "has no scheme"),
            ("", "has no scheme"),
        ] {
            let words = [&THREE[..], &["--advertise-client-urls", urls]].concat();
            let refused = members(&words).unwrap_err();
            assert!(refused.contains(why), "{urls}: {refused}");
        }
    }

    #[test]
    fn what_is_unfinished_lies_beside_the_target() {
        for (target, expected) in [
            ("new", "new.restoring"),
            ("new/", "new.restoring"),
            ("a/new/.", "a/new.restoring"),
            ("/a/n1.quorate//", "/a/n1.quorate.restoring"),
        ] {
            let path = beside(Path::new(target), ".restoring").unwrap();
            assert_eq!(path, Path::new(expected), "{target}");
        }
        for target in [".", "..", "/", "a/.."] {
            assert_eq!(beside(Path::new(target), ".restoring").unwrap_err().exit, Exit::Usage);
        }
    }

    /// A target that may not be replaced.
    #[test]
    fn what_fails_leaves_nothing_and_blocks_no_other_try() {
        let folder = tempfile::tempdir().unwrap();
        let (place, link) = (folder.path().join("place"), folder.path().join("link"));
        fs::create_dir(&place).unwrap();
        std::os::unix::fs::symlink(&place, &link).unwrap();
        let member = NewMember {
            name: "n1".to_owned(),
            peer_address: "a:1".to_owned(),
            client_urls: Vec::new(),
            directory: PathBuf::new(),
        };
        let names = || {
            let items = fs::read_dir(folder.path()).unwrap();
            let mut names: Vec<_> = items.map(|item| item.unwrap().file_name()).collect();
            names.sort();
            names
        };
        for _ in 0..2 {
            vacant(&link).unwrap();
            let machine = KvMachine::default();
            let failure = make(&link, machine, vec![member.clone()]).unwrap_err();
            assert!(failure.what.contains("cannot be made"), "{failure:?}");
            assert_eq!(names(), ["link", "place"]);
        }
        make(&place.join("."), KvMachine::default(), vec![member]).unwrap();
        assert!(fs::read_dir(&place).unwrap().count() > 0);
        assert_eq!(names(), ["link", "place"]);
    }
}
