//! A data directory of version 1 whose log begins after a snapshot, kept as files: every later
//! version must open it.
//!
//! `tests/fixtures/v1/compacted` is what a node of this version left behind: its log begins after
//! entry 15, of which it has a snapshot, and it had begun to receive one of entry 40. It is never
//! made again; a change that cannot open it is a change of format.

use std::fs;
use std::path::{Path, PathBuf};

use quorate_core::Term;
use quorate_log::OsFs;

use super::*;
use crate::support::{contents, payload};

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v1/compacted")
}

#[test]
fn a_directory_of_version_1_with_a_snapshot_opens() {
    let copy = tempfile::tempdir().unwrap();
    for file in fs::read_dir(directory()).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
    }
    let mut recovered = open(OsFs::new(copy.path())).unwrap();
    assert_eq!((recovered.base, &recovered.base_meta), (at(15), &meta(at(15))));
    assert_eq!((recovered.hard_state, recovered.boot.0), (state(2, 0), 2));
    sound(&recovered);
    let newest = recovered.snapshots.newest().expect("it has one").clone();
    assert_eq!(newest.id.last, at(15));
    assert!(content(&recovered.snapshots, &newest.id).unwrap() == machine(at(15), 3_000));
    let held = contents(&mut recovered).entries;
    let expected = |index: u64| match index {
        16..=20 => (Term(1), payload(index, 1, 100)),
        _ => (Term(2), payload(index, 2, 200)),
    };
    assert_eq!(held, (16..=30).map(|index| (Index(index), expected(index))).collect());
    // What it had begun to receive goes on behind what can be checked of it, the head.
    let (stored, bytes) = elsewhere(id(40, 2), 3_000);
    recovered.snapshots.receive(stored.id);
    let reports = run(&mut recovered.snapshots).unwrap();
    let [SnapshotProgress::Received { received: 71, .. }] = reports.as_slice() else {
        panic!("{reports:?}")
    };
    recovered.snapshots.store(stored.id, 71, bytes[71..].to_vec());
    run(&mut recovered.snapshots).unwrap();
    recovered.snapshots.install(stored.id);
    let reports = run(&mut recovered.snapshots).unwrap();
    assert!(matches!(reports.as_slice(), [SnapshotProgress::Installed(_)]), "{reports:?}");
}
