//! Which snapshot a directory begins with.

use quorate_core::EntryId;
use quorate_log::fault::{FaultFs, Loss};
use quorate_log::{OpenError, SnapshotProgress};

use super::{
    BYTES, at, compact, content, elsewhere, file, founded, index, machine, open, receive,
    snapshot_names, sound, taken,
};
use crate::support::{append, contents, entries, id, settle};

fn name(last: EntryId) -> String {
    format!("snap-{:016x}-{:016x}.snap", last.index.0, last.term.0)
}

/// Plants a whole snapshot.
fn plant(fs: &FaultFs, last: EntryId) {
    let (_, bytes) = elsewhere(last, BYTES);
    fs.plant(&name(last), &bytes);
}

/// R-ST6.
#[test]
fn the_newest_is_the_one_with_the_highest_index_whatever_the_terms() {
    // hashicorp/raft #395: sorted by term first, the newest was the one that was removed.
    let fs = FaultFs::new();
    drop(founded(fs.another()));
    for last in [id(5, 9), id(12, 1), id(11, 3)] {
        plant(&fs, last);
    }
    let again = open(fs.another()).unwrap();
    assert_eq!(again.snapshots.newest().unwrap().id.last, id(12, 1));
    assert_eq!(snapshot_names(&fs), [name(id(12, 1))], "what it replaces goes");
    let mut store = again.snapshots;
    let newest = taken(&mut store, id(13, 1));
    assert_eq!(store.newest(), Some(&newest));
}

#[test]
fn a_damaged_one_gives_way_to_an_older_one_that_reaches_the_base() {
    let fs = FaultFs::new();
    let mut recovered = founded(fs.another());
    let old = taken(&mut recovered.snapshots, at(8));
    compact(&mut recovered.log, at(8));
    taken(&mut recovered.snapshots, at(15));
    drop(recovered);
    fs.corrupt(&name(at(15)), |bytes| bytes[30_000] ^= 1);
    let again = open(fs.another()).unwrap();
    sound(&again);
    assert_eq!(again.snapshots.newest(), Some(&old));
    let [damage] = again.report.damaged_snapshots.as_slice() else { panic!("{:?}", again.report) };
    assert_eq!((damage.file.clone(), damage.offset), (format!("data/{}", name(at(15))).into(), 71));
    let aside = name(at(15)).replace(".snap", ".damaged");
    assert_eq!(snapshot_names(&fs), [name(at(8)), aside.clone()]);
    drop(again);
    // It stays for whoever wants to look at it, and is nobody's concern.
    let again = open(fs.another()).unwrap();
    assert!(again.report.damaged_snapshots.is_empty() && again.report.unknown_files.is_empty());
    assert!(snapshot_names(&fs).contains(&aside));
}

#[test]
fn a_log_that_goes_back_to_its_beginning_needs_no_snapshot() {
    let fs = FaultFs::new();
    let mut recovered = founded(fs.another());
    taken(&mut recovered.snapshots, at(15));
    drop(recovered);
    fs.corrupt(&name(at(15)), |bytes| bytes[100] ^= 1);
    let again = open(fs.another()).unwrap();
    sound(&again);
    assert_eq!(again.snapshots.newest(), None);
    assert_eq!(again.report.damaged_snapshots.len(), 1);
}

/// R-ST7.
#[test]
fn a_log_without_its_snapshot_is_refused() {
    let fs = FaultFs::new();
    let mut recovered = founded(fs.another());
    taken(&mut recovered.snapshots, at(6));
    taken(&mut recovered.snapshots, at(8));
    compact(&mut recovered.log, at(8));
    drop(recovered);
    // The older one does not reach the base.
    let before = fs.duplicate();
    fs.lose(&name(at(8)));
    let error = open(fs.another()).unwrap_err();
    let OpenError::SnapshotMissing { base, .. } = &error else { panic!("{error}") };
    assert_eq!(*base, at(8));
    assert!(error.to_string().contains("begins after entry 8@1"), "{error}");
    let fs = before;
    fs.corrupt(&name(at(8)), |bytes| bytes[0] ^= 1);
    let error = open(fs.another()).unwrap_err();
    assert!(matches!(error, OpenError::SnapshotDamaged { .. }), "{error}");
    assert!(snapshot_names(&fs).contains(&name(at(6))), "nothing was changed");
    // One of the base's index and another term is no snapshot of this log.
    fs.lose(&name(at(8)));
    plant(&fs, id(8, 2));
    let error = open(fs.another()).unwrap_err();
    assert!(matches!(error, OpenError::SnapshotDamaged { .. }), "{error}");
}

/// R-ST7.
#[test]
fn an_install_that_a_crash_cut_in_two_is_finished_before_anybody_sees_the_log() {
    // Ahead of the log; beside a suffix that conflicts with it; in a term that was never written.
    for last in [id(50, 1), id(20, 3), id(7, 2), id(60, 9)] {
        let (stored, bytes) = elsewhere(last, BYTES);
        let fs = FaultFs::new();
        let mut recovered = founded(fs.another());
        let report = receive(&mut recovered.snapshots, stored.id, &bytes, 30_000).unwrap();
        assert!(matches!(report, SnapshotProgress::Installed(_)), "{report:?}");
        drop(recovered);
        fs.crash(&Loss::Everything);
        let mut again = open(fs.reboot()).unwrap();
        sound(&again);
        assert_eq!((again.base, again.report.installed), (last, Some(last)));
        assert_eq!(again.base_meta, super::meta(last));
        assert!(again.runs.is_empty() && again.hard_state.term >= last.term);
        let seen = contents(&mut again);
        assert_eq!((seen.last(), seen.entries.len()), (last, 0), "no entry conflicts with it");
        again.log.enqueue(append(3, entries(last.index.0 + 1, 2, last.term.0, 50)));
        settle(&mut again.log).unwrap();
        drop(again);
        fs.crash(&Loss::Everything);
        let mut last_time = open(fs.reboot()).unwrap();
        sound(&last_time);
        assert_eq!(last_time.report.installed, None);
        assert_eq!(contents(&mut last_time).last().index.0, last.index.0 + 2);
    }
}

#[test]
fn a_suffix_that_follows_a_snapshot_stays() {
    let fs = FaultFs::new();
    let mut recovered = founded(fs.another());
    let (stored, bytes) = elsewhere(at(12), BYTES);
    let report = receive(&mut recovered.snapshots, stored.id, &bytes, 30_000).unwrap();
    assert!(matches!(report, SnapshotProgress::Installed(_)), "{report:?}");
    drop(recovered);
    let mut again = open(fs.another()).unwrap();
    sound(&again);
    assert_eq!((again.base, again.report.installed), (EntryId::ZERO, None));
    assert_eq!(contents(&mut again).entries.len(), 20);
}

#[test]
fn files_of_unfinished_work_go_and_parts_stay_while_they_are_of_use() {
    let fs = FaultFs::new();
    let mut recovered = founded(fs.another());
    let (ahead, bytes) = elsewhere(at(50), BYTES);
    recovered.snapshots.receive(ahead.id);
    recovered.snapshots.store(ahead.id, 0, bytes[..40_000].to_vec());
    super::run(&mut recovered.snapshots).unwrap();
    super::take(&mut recovered.snapshots, at(9));
    recovered.snapshots.step().unwrap();
    recovered.snapshots.step().unwrap();
    assert_eq!(snapshot_names(&fs).len(), 2);
    drop(recovered);
    let again = open(fs.another()).unwrap();
    let names = snapshot_names(&fs);
    assert!(names.len() == 1 && names[0].ends_with(".part"), "{names:?}");
    assert!(again.report.unknown_files.is_empty());
    // A snapshot that covers as much makes the part useless.
    let mut store = again.snapshots;
    taken(&mut store, at(50));
    drop((store, again.log));
    fs.kill();
    let again = open(fs.reboot()).unwrap();
    assert_eq!(snapshot_names(&fs), [name(at(50))]);
    assert_eq!(index(again.base), at(50).index, "and is installed, as the log ends before it");
}

#[test]
fn real_files_do_the_same() {
    let root = tempfile::tempdir().unwrap();
    let mut recovered = founded(quorate_log::OsFs::new(root.path()));
    let stored = taken(&mut recovered.snapshots, at(10));
    compact(&mut recovered.log, at(10));
    let (next, bytes) = elsewhere(at(50), 300_000);
    recovered.snapshots.receive(next.id);
    recovered.snapshots.store(next.id, 0, bytes[..100_000].to_vec());
    super::run(&mut recovered.snapshots).unwrap();
    drop(recovered);
    let mut again = open(quorate_log::OsFs::new(root.path())).unwrap();
    sound(&again);
    assert_eq!(again.snapshots.newest(), Some(&stored));
    assert!(content(&again.snapshots, &stored.id).unwrap() == machine(at(10), BYTES));
    let report = receive(&mut again.snapshots, next.id, &bytes, 60_000).unwrap();
    assert!(matches!(report, SnapshotProgress::Installed(_)), "{report:?}");
    assert!(file(&again.snapshots, &next.id) == bytes);
    compact(&mut again.log, at(50));
    again.snapshots.keep(&[]);
    super::run(&mut again.snapshots).unwrap();
    drop(again);
    let last = open(quorate_log::OsFs::new(root.path())).unwrap();
    sound(&last);
    assert_eq!(last.base, at(50));
}
