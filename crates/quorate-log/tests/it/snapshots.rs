//! Snapshots: taken, received, installed, kept, on a disk that fails in every way it may.

mod crash;
mod damage;
mod frozen;
mod opening;
mod receiving;
mod taking;

use std::io::Read;

use quorate_core::{EntryId, Few, Index, PersistToken, SnapshotId};
use quorate_log::fault::FaultFs;
use quorate_log::{
    Compact, Content, Fs, Log, LogError, OpenError, OpenOptions, Recovered, SnapshotError,
    SnapshotProgress, SnapshotStore, StoredSnapshot, Write, open_blocking,
};

use crate::support::{CLUSTER, entries, id, options, settle, state};

/// As a node opens its directory.
fn open<F: Fs>(fs: F) -> Result<Recovered<F>, OpenError> {
    open_blocking(fs, OpenOptions { external_snapshots: false, ..options() })
}

/// What a machine holds after an entry, of about `bytes` bytes: no two entries give the same.
fn machine(last: EntryId, bytes: usize) -> Vec<u8> {
    let mut state = format!("state after {last}:").into_bytes();
    let mut seed = last.index.0 * 1_000_003 + last.term.0;
    while state.len() < bytes {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.extend_from_slice(&(seed >> 16).to_le_bytes());
    }
    state.truncate(bytes);
    state
}

/// How many bytes a machine has in most tests: two blocks, one of them full.
const BYTES: usize = 70_000;

fn meta(last: EntryId) -> Vec<u8> {
    format!("meta {}", last.index.0).into_bytes()
}

/// Bytes in pieces of a size.
struct Pieces {
    bytes: Vec<u8>,
    at: usize,
    size: usize,
    /// Fails after so many bytes.
    fails_at: usize,
}

impl Pieces {
    fn of(bytes: Vec<u8>, size: usize) -> Box<Self> {
        Box::new(Self { bytes, at: 0, size, fails_at: usize::MAX })
    }
}

impl Content for Pieces {
    fn next(&mut self, room: &mut Vec<u8>) -> Result<bool, String> {
        if self.at >= self.fails_at {
            return Err("it cannot be written".to_owned());
        }
        let end = self.bytes.len().min(self.at + self.size);
        room.extend_from_slice(&self.bytes[self.at..end]);
        self.at = end;
        Ok(end < self.bytes.len())
    }
}

fn take<F: Fs>(store: &mut SnapshotStore<F>, last: EntryId) {
    store.take(last, meta(last), Pieces::of(machine(last, BYTES), 10_000));
}

/// Steps until nothing is left; what was reported on the way.
fn run<F: Fs>(store: &mut SnapshotStore<F>) -> Result<Vec<SnapshotProgress>, SnapshotError> {
    let mut reports = Vec::new();
    loop {
        match store.step()? {
            SnapshotProgress::Idle => {
                assert!(store.is_idle());
                return Ok(reports);
            }
            SnapshotProgress::Working => {}
            report => reports.push(report),
        }
    }
}

/// Takes a snapshot, which succeeds.
fn taken<F: Fs>(store: &mut SnapshotStore<F>, last: EntryId) -> StoredSnapshot {
    take(store, last);
    let mut reports = run(store).expect("the disk is sound");
    match reports.pop() {
        Some(SnapshotProgress::Taken(stored)) if reports.is_empty() => stored,
        other => panic!("{reports:?} {other:?}"),
    }
}

/// All the bytes of a snapshot's file.
fn file<F: Fs>(store: &SnapshotStore<F>, id: &SnapshotId) -> Vec<u8> {
    store.reader().read(id, 0, usize::MAX).unwrap()
}

/// What a snapshot holds.
fn content<F: Fs>(store: &SnapshotStore<F>, id: &SnapshotId) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    store.content(id).expect("it is held").read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A snapshot that another node of the cluster took, and its file.
fn elsewhere(last: EntryId, bytes: usize) -> (StoredSnapshot, Vec<u8>) {
    let mut other = founded(FaultFs::new());
    other.snapshots.take(last, meta(last), Pieces::of(machine(last, bytes), 777));
    let reports = run(&mut other.snapshots).unwrap();
    let [SnapshotProgress::Taken(stored)] = reports.as_slice() else { panic!("{reports:?}") };
    (stored.clone(), file(&other.snapshots, &stored.id))
}

/// A founded directory whose log holds entries 1 to 20 of term 1.
fn founded<F: Fs>(fs: F) -> Recovered<F> {
    let mut recovered = open(fs).unwrap();
    recovered.log.found(CLUSTER, b"founding record".to_vec()).unwrap();
    let first = Write { hard_state: Some(state(1, 0)), ..crate::support::write(1) };
    recovered.log.enqueue(Write { entries: Few::one(entries(1, 20, 1, 100)), ..first });
    settle(&mut recovered.log).unwrap();
    recovered
}

/// Lets the log begin after a snapshot.
fn compact<F: Fs>(log: &mut Log<F>, base: EntryId) {
    log.compact(Compact { base, meta: meta(base) });
    settle(log).unwrap();
}

/// Has the log know of a term.
fn reach_term<F: Fs>(log: &mut Log<F>, term: u64) -> Result<(), LogError> {
    let hard_state = Some(state(term, 0));
    log.enqueue(Write { hard_state, token: PersistToken(900), ..crate::support::write(1) });
    settle(log).map(drop)
}

/// Checks what must be true of every directory that opened.
fn sound<F: Fs>(recovered: &Recovered<F>) {
    let (log, store) = (&recovered.log, &recovered.snapshots);
    let Some(newest) = store.newest() else {
        assert_eq!(recovered.base, EntryId::ZERO, "what came before the log is in a snapshot");
        return;
    };
    let last = newest.id.last;
    assert!(last.index >= recovered.base.index, "nothing lies between snapshot and log");
    assert!(log.holds(last), "the log goes on from the snapshot");
    assert!(recovered.commit >= last.index);
    assert_eq!(newest.meta, meta(last));
    let held = content(store, &newest.id).expect("what is held is whole");
    assert!(held == machine(last, held.len()), "a snapshot holds its own state, and all of it");
    if recovered.base == last && recovered.report.installed.is_some() {
        assert_eq!(recovered.base_meta, meta(last));
    }
}

/// Receives a snapshot in chunks from where the store is; gives the last report.
fn receive<F: Fs>(
    store: &mut SnapshotStore<F>,
    id: SnapshotId,
    bytes: &[u8],
    chunk: usize,
) -> Result<SnapshotProgress, SnapshotError> {
    store.receive(id);
    let mut received = None;
    for report in run(store)? {
        match report {
            SnapshotProgress::Received { id: of, received: there } if of == id => {
                received = Some(there);
            }
            SnapshotProgress::Rejected { .. } => return Ok(report),
            other => panic!("{other:?}"),
        }
    }
    let mut at = received.expect("the file was opened");
    while at < id.bytes {
        let from = usize::try_from(at).unwrap();
        let to = bytes.len().min(from + chunk);
        store.store(id, at, bytes[from..to].to_vec());
        for report in run(store)? {
            match report {
                SnapshotProgress::Received { id: of, received } if of == id => at = received,
                SnapshotProgress::Rejected { .. } => return Ok(report),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(at, to as u64);
    }
    store.install(id);
    let mut reports = run(store)?;
    assert_eq!(reports.len(), 1, "{reports:?}");
    Ok(reports.remove(0))
}

fn snapshot_names(fs: &FaultFs) -> Vec<String> {
    fs.names().into_iter().filter(|name| name.starts_with("snap-")).collect()
}

fn index(last: EntryId) -> Index {
    last.index
}

fn at(index: u64) -> EntryId {
    id(index, 1)
}
