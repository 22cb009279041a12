//! Data directories of a cluster that begins with a state instead of nothing.
//!
//! Such a cluster is founded here and not by its nodes: the id of the cluster and those of its nodes
//! are drawn, so that it is another cluster than the one that the state comes from, and its nodes
//! strangers to the nodes of that one. Nodes know each other by those ids; so the directories of
//! all are made together. Each holds the founding record, a snapshot of the state as the end of an
//! entry that nobody ever proposed, and an empty log behind it.
//!
//! A directory is whole and durable when this returns, with its name. One that was being made when the
//! process ended has no base, and its node would wait for the others for ever: make directories under
//! a name that is given up when they are whole.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use quorate_core::{ClusterId, EntryId, Few, HardState, Index, NodeId, PersistToken, Term};
use quorate_log::{
    Compact, Content, Fs, OpenOptions, OsFs, Progress, Recovered, SnapshotProgress, Write,
    open_blocking,
};

use crate::applier::Applier;
use crate::machine::StateMachine;
use crate::roster::{FoundingRecord, Member, Roster};
use crate::snapshot::{SnapshotMeta, SnapshotView};

/// Where the log of such a cluster begins: behind one entry, which is the state.
const BEGINS_AFTER: EntryId = EntryId::new(Index(1), Term(1));

/// A node of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMember {
    /// The name that it will be started with.
    pub name: String,
    /// Where the others will reach it, as `host:port`.
    pub peer_address: String,
    /// Where clients will reach it.
    pub client_urls: Vec<String>,
    /// Its data directory, which must not be there or be empty.
    pub directory: PathBuf,
}

/// Why a directory could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// The system gives no random numbers.
    #[error("no random numbers can be drawn: {0}")]
    NoEntropy(String),
    /// The nodes cannot be a cluster.
    #[error("these nodes cannot be a cluster: {0}")]
    Members(String),
    /// The directory holds something.
    #[error("{} belongs to a node already; name one that is not there", .0.display())]
    NotEmpty(PathBuf),
    /// The directory cannot be made or written.
    #[error("{} cannot be made: {reason}", directory.display())]
    Directory {
        /// The directory.
        directory: PathBuf,
        /// What went wrong.
        reason: String,
    },
}

/// Makes the data directories of a cluster whose state machine begins as this one; returns the
/// cluster's id.
///
/// # Errors
///
/// When a directory cannot be made, or the nodes cannot be a cluster. Directories that were made
/// before the one that failed stay.
pub fn found_with<M: StateMachine>(
    machine: M,
    members: Vec<NewMember>,
) -> Result<ClusterId, RestoreError> {
    let mut directories = Vec::new();
    let mut listed = Vec::new();
    for NewMember { name, peer_address, client_urls, directory } in members {
        let id = NodeId::new(draw()?).expect("a draw is never zero");
        directories.push((id, directory));
        listed.push(Member { id, name, peer_address, client_urls });
    }
    let wrong = |error: &dyn std::error::Error| RestoreError::Members(error.to_string());
    let roster = Roster::of_voters(listed).map_err(|error| wrong(&error))?;
    let record = FoundingRecord { cluster: ClusterId(draw()?), roster };
    let mut applier = Applier::new(machine);
    for (node, directory) in directories {
        let failed = |reason| RestoreError::Directory { directory: directory.clone(), reason };
        make(&directory).map_err(|error| failed(error.to_string()))?;
        let options =
            OpenOptions { format_as: Some(node), seed: draw()?, ..OpenOptions::default() };
        let opened = open_blocking(OsFs::new(&directory), options);
        let opened = opened.map_err(|error| failed(error.to_string()))?;
        if !opened.report.formatted {
            return Err(RestoreError::NotEmpty(directory));
        }
        write(opened, &record, applier.view()).map_err(failed)?;
        sync_names(&directory).map_err(|error| failed(error.to_string()))?;
    }
    Ok(record.cluster)
}

/// A random number that is not zero, which means "none" in several places.
fn draw() -> Result<u64, RestoreError> {
    let drawn = getrandom::u64();
    drawn.map(|number| number.max(1)).map_err(|error| RestoreError::NoEntropy(error.to_string()))
}

/// Makes a directory, with those above it that are not there; their names are durable.
fn make(directory: &Path) -> io::Result<()> {
    let missing = directory.ancestors().take_while(|folder| !folder.exists()).count();
    std::fs::create_dir_all(directory)?;
    directory.ancestors().skip(1).take(missing).try_for_each(sync_names)
}

/// Makes the names in a directory durable: what was made there, renamed to there or removed.
///
/// # Errors
///
/// When the directory cannot be opened, or the system cannot promise it.
pub fn sync_names(directory: &Path) -> io::Result<()> {
    // Above a relative path of one part there is nothing to open.
    let is_here = directory.as_os_str().is_empty();
    File::open(if is_here { Path::new(".") } else { directory })?.sync_all()
}

/// Makes a directory that was just formatted that of a node of this cluster.
///
/// The order is that of a running node: the record, the term, the snapshot, and only then the base
/// that rests on it.
fn write<F: Fs>(
    recovered: Recovered<F>,
    record: &FoundingRecord,
    state: impl SnapshotView,
) -> Result<(), String> {
    let Recovered { mut log, mut snapshots, .. } = recovered;
    let roster = Arc::new(record.roster.clone());
    let meta = SnapshotMeta { roster, log_time_ms: 0, application_index: 0 }.encode();
    log.found(record.cluster, record.encode()).map_err(|error| error.to_string())?;
    log.enqueue(Write {
        token: PersistToken(1),
        hard_state: Some(HardState { term: BEGINS_AFTER.term, vote: None }),
        truncate_from: None,
        entries: Few::new(),
        commit: Index::ZERO,
    });
    while log.step().map_err(|error| error.to_string())? != Progress::Idle {}
    snapshots.take(BEGINS_AFTER, meta.clone(), Box::new(State(state)));
    loop {
        match snapshots.step().map_err(|error| error.to_string())? {
            SnapshotProgress::TakeFailed(failure) => return Err(failure.to_string()),
            SnapshotProgress::Idle => break,
            _ => {}
        }
    }
    log.compact(Compact { base: BEGINS_AFTER, meta });
    while log.step().map_err(|error| error.to_string())? != Progress::Idle {}
    Ok(())
}

/// A view as what a snapshot holds.
struct State<V>(V);

impl<V: SnapshotView> Content for State<V> {
    fn next(&mut self, room: &mut Vec<u8>) -> Result<bool, String> {
        self.0.next(room).map_err(|error| error.to_string())
    }
}
