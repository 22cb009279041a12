//! The data directory as a whole: whose it is, and what opening refuses.

use quorate_core::{BootCounter, ClusterId, Index, NodeId};
use quorate_log::fault::{Fault, FaultFs, Loss};
use quorate_log::{OpenError, OpenOptions, OsFs, Write, open_blocking};

use crate::support::{
    CLUSTER, append, contents, entries, founded, node, open, options, settle, state,
};

#[test]
fn a_directory_is_formatted_once_and_counts_its_boots() {
    let fs = FaultFs::new();
    let first = open(fs.another()).unwrap();
    assert!(first.report.formatted);
    assert_eq!((first.identity.node, first.identity.cluster), (node(), ClusterId::ZERO));
    assert_eq!(first.boot, BootCounter(1));
    drop(first);
    let other = OpenOptions { format_as: NodeId::new(0xFFFF), ..options() };
    let second = open_blocking(fs.another(), other).unwrap();
    assert!(!second.report.formatted, "a formatted directory keeps its node");
    assert_eq!((second.identity.node, second.boot), (node(), BootCounter(2)));
}

#[test]
fn a_boot_counter_is_durable_before_the_directory_is_open() {
    let fs = FaultFs::new();
    let mut boots = Vec::new();
    for _ in 0..5 {
        boots.push(open(fs.reboot()).unwrap().boot);
        fs.crash(&Loss::Everything);
    }
    assert_eq!(boots, (1..=5).map(BootCounter).collect::<Vec<_>>());
}

#[test]
fn a_directory_accepts_one_founding_record() {
    let fs = FaultFs::new();
    let mut recovered = open(fs.another()).unwrap();
    recovered.log.found(CLUSTER, b"one".to_vec()).unwrap();
    let refused = recovered.log.found(ClusterId(9), b"two".to_vec()).unwrap_err();
    assert_eq!(refused.cluster, CLUSTER, "also while the first is under way");
    settle(&mut recovered.log).unwrap();
    assert_eq!(recovered.log.identity().cluster, CLUSTER);
    drop(recovered);
    fs.crash(&Loss::Everything);
    let mut again = open(fs.reboot()).unwrap();
    assert_eq!(again.identity.founding.as_deref(), Some(b"one".as_slice()));
    assert_eq!(again.identity.cluster, CLUSTER);
    again.log.found(ClusterId(9), b"two".to_vec()).unwrap_err();
}

#[test]
fn a_live_process_keeps_others_out() {
    let fs = FaultFs::new();
    let live = open(fs.another()).unwrap();
    let error = open(fs.another()).unwrap_err();
    assert!(matches!(error, OpenError::Locked { .. }), "{error}");
    assert!(error.to_string().contains("data directory data: a live process holds its lock"));
    drop(live);
    open(fs.another()).unwrap();
}

#[test]
fn a_real_directory_is_locked_by_a_live_process_too() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("n1");
    let live = open(OsFs::new(&path)).unwrap();
    let error = open(OsFs::new(&path)).unwrap_err();
    assert!(matches!(&error, OpenError::Locked { directory } if *directory == path), "{error}");
    drop(live);
    open(OsFs::new(&path)).unwrap();
}

#[test]
fn a_directory_of_another_cluster_is_refused() {
    let fs = FaultFs::new();
    drop(founded(fs.another()));
    let other = OpenOptions { cluster: Some(ClusterId(5)), ..options() };
    let error = open_blocking(fs.another(), other).unwrap_err();
    let OpenError::OtherCluster { expected, found, .. } = &error else { panic!("{error}") };
    assert_eq!((*expected, *found), (ClusterId(5), CLUSTER));
    let any = OpenOptions { cluster: None, ..options() };
    open_blocking(fs.another(), any).unwrap();
}

#[test]
fn something_else_than_a_data_directory_is_left_alone() {
    let fs = FaultFs::new();
    fs.plant("thesis.tex", b"years of work");
    let error = open(fs.another()).unwrap_err();
    assert!(matches!(error, OpenError::NotADataDirectory { .. }), "{error}");
    assert!(error.to_string().contains("thesis.tex"));
    assert_eq!(fs.names(), ["thesis.tex"], "nothing was made there");
    // A directory that lost its identity is not formatted over.
    let fs = FaultFs::new();
    drop(founded(fs.another()));
    fs.lose("identity");
    let error = open(fs.another()).unwrap_err();
    assert!(matches!(error, OpenError::NotADataDirectory { .. }), "{error}");
}

#[test]
fn an_absent_directory_is_made_only_on_request() {
    let never = OpenOptions { format_as: None, ..options() };
    let error = open_blocking(FaultFs::new(), never.clone()).unwrap_err();
    assert!(matches!(error, OpenError::NotFormatted { .. }), "{error}");
    let root = tempfile::tempdir().unwrap();
    let error = open_blocking(OsFs::new(root.path()), never).unwrap_err();
    assert!(matches!(error, OpenError::NotFormatted { .. }), "{error}");
    let file = root.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let error = open(OsFs::new(&file)).unwrap_err();
    assert!(matches!(error, OpenError::NotADataDirectory { .. }), "{error}");
    open(OsFs::new(root.path().join("a/b/c"))).unwrap();
}

#[test]
fn a_directory_that_may_not_be_written_is_named() {
    let fs = FaultFs::new();
    drop(founded(fs.another()));
    for number in [2, 5] {
        let fs = fs.duplicate();
        fs.fail_at(fs.operations() + number, Fault::Denied);
        let error = open(fs.another()).unwrap_err();
        assert!(matches!(error, OpenError::NotWritable { .. }), "{error}");
        assert!(error.to_string().contains("must own the data directory"), "{error}");
    }
}

#[test]
fn a_newer_format_is_refused_in_every_file() {
    let fs = FaultFs::new();
    let mut recovered = founded(fs.another());
    recovered.log.enqueue(append(2, entries(1, 3, 1, 50)));
    recovered
        .log
        .compact(quorate_log::Compact { base: crate::support::id(1, 1), meta: Vec::new() });
    settle(&mut recovered.log).unwrap();
    drop(recovered);
    // Where each file has its checksum, and what it covers from the start.
    let files = [
        ("identity", 76, 76),
        ("founding", 76, 76),
        ("base", 76, 76),
        ("hs.a", 4092, 4092),
        ("log-0000000000000001.seg", 124, 124),
    ];
    for (file, covered, at) in files {
        let fs = fs.duplicate();
        fs.corrupt(file, |bytes| {
            bytes[8..12].copy_from_slice(&2_u32.to_le_bytes());
            let crc = crc32c::crc32c(&bytes[..covered]);
            bytes[at..at + 4].copy_from_slice(&crc.to_le_bytes());
        });
        let error = open(fs.another()).unwrap_err();
        let OpenError::NewerFormat { found, known, .. } = &error else { panic!("{file}: {error}") };
        assert_eq!((*found, *known), (2, 1));
        assert!(error.to_string().contains(file), "{error}");
    }
}

#[test]
fn unknown_files_are_left_alone_and_named() {
    let fs = FaultFs::new();
    drop(founded(fs.another()));
    fs.plant("notes.txt", b"keep me");
    fs.plant("log-xyz.seg", &[]);
    fs.plant("base.tmp", b"half written");
    let recovered = open(fs.another()).unwrap();
    let names: Vec<String> =
        recovered.report.unknown_files.iter().map(|path| path.display().to_string()).collect();
    assert_eq!(names, ["data/log-xyz.seg", "data/notes.txt"]);
    assert!(fs.names().contains(&"notes.txt".to_owned()));
    assert!(!fs.names().contains(&"base.tmp".to_owned()), "what never got its name goes");
}

#[test]
fn real_files_hold_what_a_script_left() {
    let root = tempfile::tempdir().unwrap();
    let mut ghost = crate::support::Ghost::default();
    let mut recovered = open(OsFs::new(root.path())).unwrap();
    ghost.run(&mut recovered.log, &crate::support::script()).unwrap();
    drop(recovered);
    for _ in 0..3 {
        let mut again = open(OsFs::new(root.path())).unwrap();
        ghost.check(&mut again);
    }
}

#[test]
fn a_log_may_begin_at_a_snapshot() {
    let fs = FaultFs::new();
    let mut recovered = founded(fs.another());
    recovered.log.enqueue(Write { hard_state: Some(state(4, 0)), ..crate::support::write(2) });
    let base = crate::support::id(1000, 3);
    recovered.log.compact(quorate_log::Compact { base, meta: b"m".to_vec() });
    recovered.log.enqueue(append(3, entries(1001, 2, 4, 80)));
    settle(&mut recovered.log).unwrap();
    drop(recovered);
    fs.crash(&Loss::Everything);
    let mut again = open(fs.reboot()).unwrap();
    let seen = contents(&mut again);
    assert_eq!((seen.base, seen.last().index, seen.entries.len()), (base, Index(1002), 2));
}
