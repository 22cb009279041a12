//! A data directory of version 1, kept as files: every later version must open it.
//!
//! `tests/fixtures/v1/directory` is what a node of this version left behind after three boots, the
//! last of which ended in the middle of a write: several segments, a suffix that was cut, three
//! terms, a torn tail. It is never made again; a change that cannot open it is a change of format.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use quorate_core::{Index, Term};
use quorate_log::fault::{FaultFs, Loss};
use quorate_log::{OsFs, Write, open_blocking};

use crate::support::{
    CLUSTER, append, contents, entries, id, open, options, payload, settle, state, write,
};

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v1/directory")
}

/// The life that the directory had.
fn lived() -> FaultFs {
    let fs = FaultFs::new();
    let mut log = open(fs.another()).unwrap().log;
    log.found(CLUSTER, b"founding record".to_vec()).unwrap();
    log.enqueue(Write { hard_state: Some(state(1, 0xA1)), ..append(1, entries(1, 20, 1, 100)) });
    settle(&mut log).unwrap();
    log.enqueue(append(2, entries(21, 30, 1, 200)));
    settle(&mut log).unwrap();
    drop(log);
    fs.crash(&Loss::Nothing);

    let fs = fs.reboot();
    let mut log = open(fs.another()).unwrap().log;
    let overwrite = append(1, entries(41, 5, 2, 80));
    log.enqueue(Write {
        truncate_from: Some(Index(41)),
        hard_state: Some(state(2, 0xA2)),
        commit: Index(40),
        ..overwrite
    });
    settle(&mut log).unwrap();
    log.fence();
    settle(&mut log).unwrap();
    drop(log);
    fs.crash(&Loss::Nothing);

    let fs = fs.reboot();
    let mut log = open(fs.another()).unwrap().log;
    log.enqueue(Write { hard_state: Some(state(3, 0xA3)), ..write(1) });
    log.enqueue(Write { commit: Index(45), ..append(2, entries(46, 3, 3, 300)) });
    settle(&mut log).unwrap();
    // The power fails with the next batch half on the disk.
    log.enqueue(append(3, entries(49, 6, 3, 400)));
    loop {
        log.step().unwrap();
        let half = (0..fs.unsynced_sectors().len()).map(|sector| sector % 2 == 0).collect();
        let copy = fs.duplicate();
        copy.crash(&Loss::Sectors(half));
        if open(copy.reboot()).unwrap().report.torn.is_some() {
            let half = (0..fs.unsynced_sectors().len()).map(|sector| sector % 2 == 0).collect();
            drop(log);
            fs.crash(&Loss::Sectors(half));
            return fs;
        }
    }
}

#[test]
#[ignore = "makes the directory; it was made once"]
fn make_the_directory() {
    let made = directory();
    assert!(!made.exists(), "{} was made once, and is kept as it is", made.display());
    let fs = lived();
    fs::create_dir_all(&made).unwrap();
    for name in fs.names().into_iter().filter(|name| name != "lock") {
        fs::write(made.join(&name), fs.bytes(&name).unwrap()).unwrap();
    }
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
