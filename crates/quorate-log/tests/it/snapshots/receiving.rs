//! Receiving snapshots: resumed where they stopped, verified before they count, never mixed.

use quorate_core::SnapshotId;
use quorate_log::fault::{Fault, FaultFs, Loss};
use quorate_log::{SnapshotFailure, SnapshotProgress};

use super::{
    BYTES, at, compact, content, elsewhere, file, founded, machine, open, receive, run,
    snapshot_names, sound, taken,
};
use crate::support::id;

#[test]
fn a_snapshot_that_was_received_is_the_one_that_was_sent() {
    let (stored, bytes) = elsewhere(at(50), 300_000);
    for chunk in [1 << 10, 4097, 1 << 20] {
        let fs = FaultFs::new();
        let mut recovered = founded(fs.another());
        let report = receive(&mut recovered.snapshots, stored.id, &bytes, chunk).unwrap();
        let SnapshotProgress::Installed(installed) = report else { panic!("{report:?}") };
        assert_eq!(installed, stored);
        assert!(file(&recovered.snapshots, &stored.id) == bytes);
        assert!(content(&recovered.snapshots, &stored.id).unwrap() == machine(at(50), 300_000));
        compact(&mut recovered.log, at(50));
        drop(recovered);
        fs.crash(&Loss::Everything);
        let again = open(fs.reboot()).unwrap();
        sound(&again);
        assert_eq!((again.base, again.report.installed), (at(50), None));
    }
}

#[test]
fn a_restart_goes_on_after_the_last_whole_block() {
    let (stored, bytes) = elsewhere(at(50), 300_000);
    // Bytes that were there when the process ended, and those that count: header and meta have 71,
    // each block 8 and its data.
    let block = 8 + (64 << 10);
    for (sent, counts) in [
        (0, 0),
        (70, 64),
        (71, 71),
        (5_000, 71),
        (71 + block, 71 + block),
        (71 + 3 * block + 1, 71 + 3 * block),
        (bytes.len(), bytes.len()),
    ] {
        let fs = FaultFs::new();
        let mut recovered = founded(fs.another());
        recovered.snapshots.receive(stored.id);
        recovered.snapshots.store(stored.id, 0, bytes[..sent].to_vec());
        run(&mut recovered.snapshots).unwrap();
        drop(recovered);
        fs.crash(&Loss::Nothing);
        let mut again = open(fs.reboot()).unwrap();
        sound(&again);
        again.snapshots.receive(stored.id);
        let reports = run(&mut again.snapshots).unwrap();
        let Some(SnapshotProgress::Received { received, .. }) = reports.last() else {
            panic!("{reports:?}")
        };
        assert_eq!(*received, counts as u64, "{sent}");
        let report = receive(&mut again.snapshots, stored.id, &bytes, 50_000).unwrap();
        assert!(matches!(report, SnapshotProgress::Installed(_)), "{report:?}");
    }
}

/// R-ST3.
#[test]
fn what_a_failed_sync_left_in_the_cache_is_written_again() {
    let (stored, bytes) = elsewhere(at(50), BYTES);
    let fs = FaultFs::new();
    let mut recovered = founded(fs.another());
    recovered.snapshots.receive(stored.id);
    recovered.snapshots.store(stored.id, 0, bytes.clone());
    run(&mut recovered.snapshots).unwrap();
    // The sync fails, its pages count as clean, and the process dies before it can say so.
    fs.fail_at(fs.operations() + 1, Fault::SyncForgets);
    recovered.snapshots.install(stored.id);
    while !fs
        .history()
        .iter()
        .any(|(what, name)| *what == quorate_log::Operation::Sync && name.starts_with("snap-"))
    {
        recovered.snapshots.step().unwrap();
    }
    drop(recovered);
    fs.kill();
    let mut again = open(fs.reboot()).unwrap();
    let report = receive(&mut again.snapshots, stored.id, &bytes, BYTES).unwrap();
    assert!(matches!(report, SnapshotProgress::Installed(_)), "{report:?}");
    drop(again);
    fs.crash(&Loss::Everything);
    let last = open(fs.reboot()).unwrap();
    sound(&last);
    assert_eq!(last.snapshots.newest(), Some(&stored));
}

#[test]
fn another_snapshot_replaces_what_was_being_received_and_never_mixes_with_it() {
    let ((one, first), (two, second)) = (elsewhere(at(50), BYTES), elsewhere(at(60), BYTES));
    let fs = FaultFs::new();
    let mut recovered = founded(fs.another());
    let store = &mut recovered.snapshots;
    store.receive(one.id);
    store.store(one.id, 0, first[..40_000].to_vec());
    run(store).unwrap();
    store.receive(two.id);
    // Late bytes of the first, and bytes of the second that do not follow.
    store.store(one.id, 40_000, first[40_000..].to_vec());
    store.store(two.id, 10, second[10..20].to_vec());
    store.store(two.id, 0, second[..30_000].to_vec());
    store.store(two.id, 20_000, second[20_000..].to_vec());
    store.store(two.id, u64::MAX, second.clone());
    store.install(one.id);
    let reports = run(store).unwrap();
    let last = reports.last();
    assert!(
        matches!(last, Some(SnapshotProgress::Rejected { id, .. }) if *id == one.id),
        "{reports:?}"
    );
    assert_eq!(snapshot_names(&fs).len(), 1, "{:?}", snapshot_names(&fs));
    store.receive(two.id);
    let reports = run(store).unwrap();
    let [SnapshotProgress::Received { received: 30_000, .. }] = reports.as_slice() else {
        panic!("{reports:?}")
    };
    let report = receive(store, two.id, &second, 9_999).unwrap();
    assert!(matches!(report, SnapshotProgress::Installed(_)), "{report:?}");
    sound_after(&recovered, two.id);
}

fn sound_after(recovered: &quorate_log::Recovered<FaultFs>, id: SnapshotId) {
    let bytes = content(&recovered.snapshots, &id).unwrap();
    assert!(bytes == machine(id.last, bytes.len()));
}

#[test]
fn the_parts_of_two_snapshots_that_end_alike_never_mix() {
    // The same last entry, other content: a state that diverged, or another program.
    let ((one, first), (two, second)) = (elsewhere(at(50), BYTES), elsewhere(at(50), BYTES + 9));
    assert_ne!(one.id, two.id);
    let mut mixed = first.clone();
    mixed[20_000..].copy_from_slice(&second[20_000..first.len()]);
    let fs = FaultFs::new();
    let mut recovered = founded(fs.another());
    let report = receive(&mut recovered.snapshots, one.id, &mixed, 30_000).unwrap();
    let SnapshotProgress::Rejected { id, reason: SnapshotFailure::Damaged(_) } = report else {
        panic!("{report:?}")
    };
    assert_eq!(id, one.id);
    assert!(snapshot_names(&fs).is_empty(), "nothing is left of it");
    // Whole, and not the one that was named.
    let named = SnapshotId { bytes: two.id.bytes, ..one.id };
    let report = receive(&mut recovered.snapshots, named, &second, 30_000).unwrap();
    assert!(matches!(report, SnapshotProgress::Rejected { .. }), "{report:?}");
    let report = receive(&mut recovered.snapshots, two.id, &second, 30_000).unwrap();
    assert!(matches!(report, SnapshotProgress::Installed(_)), "{report:?}");
}

#[test]
fn a_snapshot_of_another_cluster_is_refused() {
    let other = quorate_log::OpenOptions { cluster: None, ..crate::support::options() };
    let mut there = quorate_log::open_blocking(FaultFs::new(), other).unwrap();
    there.log.found(quorate_core::ClusterId(0xDD), Vec::new()).unwrap();
    crate::support::settle(&mut there.log).unwrap();
    let stored = taken(&mut there.snapshots, at(50));
    let bytes = file(&there.snapshots, &stored.id);
    let mut recovered = founded(FaultFs::new());
    let report = receive(&mut recovered.snapshots, stored.id, &bytes, 30_000).unwrap();
    assert!(matches!(report, SnapshotProgress::Rejected { .. }), "{report:?}");
}

#[test]
fn a_flip_of_any_bit_on_the_way_is_found_before_it_counts() {
    let (stored, bytes) = elsewhere(at(50), 400);
    let fs = FaultFs::new();
    let mut recovered = founded(fs.another());
    for place in 0..bytes.len() {
        let mut bytes = bytes.clone();
        bytes[place] ^= 1 << (place % 8);
        let report = receive(&mut recovered.snapshots, stored.id, &bytes, 1 << 20).unwrap();
        assert!(matches!(report, SnapshotProgress::Rejected { .. }), "{place}: {report:?}");
        assert!(snapshot_names(&fs).is_empty());
    }
    let report = receive(&mut recovered.snapshots, stored.id, &bytes, 1 << 20).unwrap();
    assert!(matches!(report, SnapshotProgress::Installed(_)), "{report:?}");
}

#[test]
fn an_id_that_promises_what_cannot_be_ends_in_a_rejection() {
    let fs = FaultFs::new();
    let mut recovered = founded(fs.another());
    let store = &mut recovered.snapshots;
    for bytes in [0, 1, 111, u64::MAX] {
        let hostile = SnapshotId { last: id(u64::MAX, u64::MAX), bytes, hash: 0 };
        store.receive(hostile);
        store.store(hostile, 0, vec![0; 111]);
        run(store).unwrap();
        store.install(hostile);
        let reports = run(store).unwrap();
        assert!(
            matches!(reports.as_slice(), [SnapshotProgress::Rejected { .. }]),
            "{bytes}: {reports:?}"
        );
    }
    assert!(snapshot_names(&fs).is_empty());
}

#[test]
fn taking_goes_on_beside_receiving_and_yields_to_it() {
    let (stored, bytes) = elsewhere(at(50), BYTES);
    let mut recovered = founded(FaultFs::new());
    let store = &mut recovered.snapshots;
    super::take(store, at(12));
    for _ in 0..3 {
        store.step().unwrap();
    }
    assert!(store.is_taking());
    store.receive(stored.id);
    store.store(stored.id, 0, bytes);
    store.install(stored.id);
    assert!(!store.is_taking());
    let reports = run(store).unwrap();
    let order: Vec<bool> = reports
        .iter()
        .filter_map(|report| match report {
            SnapshotProgress::Installed(_) => Some(true),
            SnapshotProgress::Taken(_) => Some(false),
            _ => None,
        })
        .collect();
    assert_eq!(order, [true, false]);
    assert_eq!(store.newest().unwrap().id, stored.id, "the one that covers more");
}
