//! A data directory of version 1, kept as files: every later version must open it.
//!
//! `tests/fixtures/v1/directory` is what a node of this version left behind after three boots, the
//! last of which ended in the middle of a write: several segments, a suffix that was cut, three
//! terms, a torn tail. It is never made again; a change that cannot open it is a change of format.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use quorate_core::{Index, Term};
use quorate_log::{OsFs, open_blocking};

use crate::support::{CLUSTER, append, contents, entries, id, options, payload, settle, state};

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v1/directory")
}

#[test]
fn a_directory_of_version_1_opens() {
    let copy = tempfile::tempdir().unwrap();
    for file in fs::read_dir(directory()).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
    }
    let mut recovered = open_blocking(OsFs::new(copy.path()), options()).unwrap();
    assert_eq!(recovered.identity.cluster, CLUSTER);
    assert_eq!(recovered.identity.founding.as_deref(), Some(b"founding record".as_slice()));
    assert_eq!((recovered.hard_state, recovered.boot.0), (state(3, 0xA3), 4));
    assert_eq!(recovered.log.last(), id(48, 3));
    assert!(recovered.report.torn.is_some(), "the last batch was torn");
    let found = contents(&mut recovered);
    let mut expected = BTreeMap::new();
    for (indexes, term, size) in
        [(1..=20, 1, 100), (21..=40, 1, 200), (41..=45, 2, 80), (46..=48, 3, 300)]
    {
        expected
            .extend(indexes.map(|index| (Index(index), (Term(term), payload(index, term, size)))));
    }
    assert_eq!(found.entries, expected);
    recovered.log.enqueue(append(1, entries(49, 2, 3, 50)));
    settle(&mut recovered.log).unwrap();
    drop(recovered);
    let again = open_blocking(OsFs::new(copy.path()), options()).unwrap();
    assert_eq!((again.log.last(), again.boot.0), (id(50, 3), 5));
}
