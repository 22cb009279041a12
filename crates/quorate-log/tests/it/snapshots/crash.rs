//! A crash, a failure or a full disk at every operation of taking, receiving, installing, keeping
//! and compacting: the log's prefix is never gone before a snapshot of it is durable, and no part of
//! a snapshot is ever taken for the whole.

use quorate_core::{EntryId, Index, SnapshotId};
use quorate_log::fault::{Fault, FaultFs, Loss};
use quorate_log::{LogError, Operation, Progress, Recovered, SnapshotError, SnapshotProgress};

use super::{BYTES, at, elsewhere, founded, machine, meta, open, run, sound, taken};
use crate::support::{append, contents, entries, id, payload};

/// What was promised so far.
#[derive(Clone, Debug, Default)]
struct Promised {
    /// Entries acknowledged.
    last: u64,
    /// The snapshot that was reported, taken or installed.
    covered: EntryId,
    base: EntryId,
}

/// Why a script ended early.
#[derive(Debug)]
enum End {
    Log(LogError),
    Snapshots(SnapshotError),
    Refused,
}

struct Script {
    received: SnapshotId,
    bytes: Vec<u8>,
}

impl Script {
    fn new() -> Self {
        let (stored, bytes) = elsewhere(id(100, 2), BYTES);
        Self { received: stored.id, bytes }
    }

    /// Takes, compacts, writes, receives, installs, compacts, keeps, takes again.
    fn run(&self, node: &mut Recovered<FaultFs>, promised: &mut Promised) -> Result<(), End> {
        promised.last = 20;
        take(node, at(10), promised)?;
        compact(node, at(10), promised)?;
        keep(node)?;
        write(node, 21, 5, 1, promised)?;
        take(node, at(22), promised)?;
        compact(node, at(18), promised)?;
        keep(node)?;
        super::reach_term(&mut node.log, 2).map_err(End::Log)?;
        self.receive(node, promised)?;
        compact(node, self.received.last, promised)?;
        keep(node)?;
        write(node, 101, 4, 2, promised)?;
        take(node, id(103, 2), promised)?;
        compact(node, id(103, 2), promised)?;
        keep(node)
    }

    fn receive(&self, node: &mut Recovered<FaultFs>, promised: &mut Promised) -> Result<(), End> {
        let report = super::receive(&mut node.snapshots, self.received, &self.bytes, 25_000);
        match report.map_err(End::Snapshots)? {
            SnapshotProgress::Installed(stored) => promised.covered = stored.id.last,
            _ => return Err(End::Refused),
        }
        Ok(())
    }
}

fn take(node: &mut Recovered<FaultFs>, last: EntryId, promised: &mut Promised) -> Result<(), End> {
    super::take(&mut node.snapshots, last);
    let mut reports = run(&mut node.snapshots).map_err(End::Snapshots)?;
    match reports.pop() {
        Some(SnapshotProgress::Taken(stored)) => promised.covered = stored.id.last,
        _ => return Err(End::Refused),
    }
    Ok(())
}

fn compact(
    node: &mut Recovered<FaultFs>,
    base: EntryId,
    promised: &mut Promised,
) -> Result<(), End> {
    // What the layer above does: only what a durable snapshot covers may go.
    assert!(base.index <= promised.covered.index);
    node.log.compact(quorate_log::Compact { base, meta: meta(base) });
    loop {
        match node.log.step().map_err(End::Log)? {
            Progress::Idle => return Ok(()),
            Progress::Compacted(base) => {
                promised.base = base;
                promised.last = promised.last.max(base.index.0);
            }
            _ => {}
        }
    }
}

fn keep(node: &mut Recovered<FaultFs>) -> Result<(), End> {
    node.snapshots.keep(&[]);
    run(&mut node.snapshots).map_err(End::Snapshots)?;
    Ok(())
}

fn write(
    node: &mut Recovered<FaultFs>,
    first: u64,
    count: u64,
    term: u64,
    promised: &mut Promised,
) -> Result<(), End> {
    node.log.enqueue(append(first, entries(first, count, term, 100)));
    crate::support::settle(&mut node.log).map_err(End::Log)?;
    promised.last = first + count - 1;
    Ok(())
}

/// Opens what is left and checks it against what was promised; then goes on and looks again.
fn check(fs: &FaultFs, promised: &Promised, script: &Script, what: &str) {
    let mut again = open(fs.reboot()).unwrap_or_else(|error| panic!("{what}: {error}"));
    sound(&again);
    let covered = again.snapshots.newest().map_or(EntryId::ZERO, |newest| newest.id.last);
    assert!(covered.index >= promised.covered.index, "{what}: {covered}, {promised:?}");
    let seen = contents(&mut again);
    assert!(seen.base.index >= promised.base.index, "{what}");
    assert!(seen.last().index.0 >= promised.last, "{what}: {} of {promised:?}", seen.last());
    for (index, (term, bytes)) in &seen.entries {
        assert_eq!(*bytes, payload(index.0, term.0, 100), "{what}");
    }
    // Snapshot and entries give every state from the snapshot on; none is missing between them.
    let next = covered.index.next();
    let gap = seen.entries.range(next..).next().map_or(next, |(index, _)| *index);
    assert_eq!(gap, next, "{what}");
    // It goes on: what was cut off is received to its end, and another is taken.
    let store = &mut again.snapshots;
    if covered.index < script.received.last.index {
        let report = super::receive(store, script.received, &script.bytes, 30_000).unwrap();
        assert!(matches!(report, SnapshotProgress::Installed(_)), "{what}: {report:?}");
    }
    let last = id(200, 2);
    taken(store, last);
    drop(again);
    fs.crash(&Loss::Everything);
    let last_time = open(fs.reboot()).unwrap();
    sound(&last_time);
    assert_eq!(last_time.base, last, "{what}: the log gave way to what covers it");
}

/// Runs the script with a fault at an operation after the directory was founded. Gives how it ended,
/// if the fault was met.
fn with_fault(script: &Script, number: u64, fault: Fault) -> (FaultFs, Promised, Option<End>) {
    let fs = FaultFs::new();
    let mut node = founded(fs.another());
    fs.fail_at(fs.operations() + number, fault);
    let mut promised = Promised::default();
    let ended = script.run(&mut node, &mut promised).err();
    (fs, promised, ended)
}

fn operations(script: &Script) -> u64 {
    let (fs, promised, ended) = with_fault(script, 1 << 40, Fault::CrashBefore);
    assert!(ended.is_none(), "{ended:?}");
    assert_eq!(promised.base, id(103, 2));
    let before = FaultFs::new();
    drop(founded(before.another()));
    fs.operations() - before.operations()
}

/// R-ST6.
#[test]
fn a_crash_at_every_operation_leaves_a_whole_snapshot_and_what_follows_it() {
    let script = Script::new();
    let count = operations(&script);
    assert!(count > 60, "{count}");
    for number in 1..=count {
        for fault in [Fault::CrashBefore, Fault::CrashAfter] {
            let (crashed, promised, ended) = with_fault(&script, number, fault);
            assert!(ended.is_some() && crashed.has_crashed(), "{number}");
            let mut losses = vec![Loss::Nothing, Loss::Everything];
            losses.extend((0..3).map(|part| Loss::Seeded(number * 31 + part)));
            for loss in losses {
                let fs = crashed.duplicate();
                fs.crash(&loss);
                check(&fs, &promised, &script, &format!("{number} {fault:?} {loss:?}"));
            }
        }
    }
}

#[test]
fn a_failure_at_every_operation_is_reported_and_costs_nothing_that_was_promised() {
    let script = Script::new();
    let count = operations(&script);
    let faults =
        [Fault::Fails, Fault::ShortWrite, Fault::SyncLosesData, Fault::SyncForgets, Fault::NoSpace];
    for number in 1..=count {
        for fault in faults {
            let (fs, promised, ended) = with_fault(&script, number, fault);
            if let Some(End::Log(error)) = &ended {
                assert!(error.to_string().contains("the log stopped"), "{error}");
            }
            if let Some(End::Snapshots(error)) = &ended {
                // Only names that could not be made durable stop the store.
                let text = error.to_string();
                let SnapshotError::Names(failure) = error else { panic!("{text}") };
                assert_eq!(failure.operation, Operation::SyncDir);
                assert!(text.contains("check the disk"), "{text}");
            }
            fs.clear_faults();
            fs.crash(&Loss::Seeded(number));
            check(&fs, &promised, &script, &format!("{number} {fault:?} {ended:?}"));
        }
    }
}

#[test]
fn after_a_failure_the_same_store_does_it_again() {
    let script = Script::new();
    for number in 1..40 {
        for fault in [Fault::Fails, Fault::ShortWrite, Fault::SyncLosesData, Fault::NoSpace] {
            let fs = FaultFs::new();
            let mut node = founded(fs.another());
            fs.fail_at(fs.operations() + number, fault);
            let mut promised = Promised::default();
            let one = take(&mut node, at(10), &mut promised).err();
            let two = script.receive(&mut node, &mut promised).err();
            let names = |end: &Option<End>| matches!(end, Some(End::Snapshots(_)));
            if names(&one) || names(&two) {
                continue;
            }
            if one.is_some() {
                take(&mut node, at(10), &mut promised).expect("the fault is over");
            }
            if two.is_some() {
                script.receive(&mut node, &mut promised).expect("the fault is over");
            }
            drop(node);
            fs.crash(&Loss::Everything);
            check(&fs, &promised, &script, &format!("{number} {fault:?}"));
        }
    }
}

/// R-ST8.
#[test]
fn a_full_disk_stops_no_node() {
    let script = Script::new();
    for room in (20..260).step_by(7) {
        let fs = FaultFs::new();
        let mut node = founded(fs.another());
        let mut promised = Promised { last: 20, ..Promised::default() };
        fs.limit_room(Some(room << 10));
        for _ in 0..2 {
            for ended in [
                take(&mut node, at(10), &mut promised).err(),
                script.receive(&mut node, &mut promised).err(),
            ] {
                assert!(matches!(ended, None | Some(End::Refused)), "{ended:?}");
            }
        }
        let left = super::snapshot_names(&fs);
        assert!(left.iter().all(|name| name.ends_with(".snap")), "{left:?}");
        fs.limit_room(None);
        drop(node);
        fs.crash(&Loss::Everything);
        check(&fs, &promised, &script, &format!("{room} KiB"));
    }
}

#[test]
fn a_crash_at_every_operation_of_opening_repeats_it() {
    let script = Script::new();
    // An install that was cut in two, a part, an older snapshot, and one being taken.
    let fs = FaultFs::new();
    let mut node = founded(fs.another());
    let mut promised = Promised { last: 20, ..Promised::default() };
    take(&mut node, at(10), &mut promised).unwrap();
    script.receive(&mut node, &mut promised).unwrap();
    let (more, bytes) = elsewhere(id(150, 2), BYTES);
    node.snapshots.receive(more.id);
    node.snapshots.store(more.id, 0, bytes[..50_000].to_vec());
    run(&mut node.snapshots).unwrap();
    super::take(&mut node.snapshots, at(20));
    for _ in 0..3 {
        node.snapshots.step().unwrap();
    }
    drop(node);
    fs.crash(&Loss::Nothing);
    let mut recoveries = 0;
    for number in 1.. {
        for fault in [Fault::CrashBefore, Fault::CrashAfter] {
            let fs = fs.duplicate();
            fs.fail_at(number, fault);
            if open(fs.reboot()).is_ok() {
                assert!(!fs.has_crashed());
                assert!(recoveries > 60, "{recoveries}");
                return;
            }
            for loss in [Loss::Nothing, Loss::Everything, Loss::Seeded(number)] {
                let fs = fs.duplicate();
                fs.crash(&loss);
                let again = open(fs.reboot()).expect("opening is repeatable");
                sound(&again);
                assert_eq!((again.base, again.log.last()), (id(100, 2), id(100, 2)));
                recoveries += 1;
            }
        }
    }
}

#[test]
fn every_subset_of_what_was_not_synced_of_a_file_is_a_part_or_the_whole() {
    // A snapshot that is being received, of sectors that survive or not, each on its own.
    let (stored, bytes) = elsewhere(id(100, 2), 5_000);
    let fs = FaultFs::new();
    let mut node = founded(fs.another());
    node.snapshots.receive(stored.id);
    node.snapshots.store(stored.id, 0, bytes.clone());
    run(&mut node.snapshots).unwrap();
    drop(node);
    let sectors = fs.unsynced_sectors().len();
    assert_eq!(sectors, 11);
    for kept in 0..1_u32 << sectors {
        let fs = fs.duplicate();
        fs.crash(&Loss::Sectors((0..sectors).map(|sector| kept >> sector & 1 == 1).collect()));
        let mut again = open(fs.reboot()).unwrap();
        assert_eq!(again.snapshots.newest(), None);
        again.snapshots.receive(stored.id);
        let reports = run(&mut again.snapshots).unwrap();
        let Some(&SnapshotProgress::Received { received, .. }) = reports.last() else {
            panic!("{reports:?}")
        };
        let there = usize::try_from(received).unwrap();
        let name = super::snapshot_names(&fs).remove(0);
        assert!(fs.bytes(&name).unwrap()[..there] == bytes[..there], "what counts is right");
        let report = super::receive(&mut again.snapshots, stored.id, &bytes, 1000).unwrap();
        assert!(matches!(report, SnapshotProgress::Installed(_)), "{report:?}");
        let held = super::content(&again.snapshots, &stored.id).unwrap();
        assert!(held == machine(stored.id.last, 5_000));
    }
}

#[test]
fn entries_between_base_and_snapshot_stay_for_who_is_slow() {
    let fs = FaultFs::new();
    let mut node = founded(fs.another());
    let mut promised = Promised { last: 20, ..Promised::default() };
    take(&mut node, at(18), &mut promised).unwrap();
    compact(&mut node, at(12), &mut promised).unwrap();
    drop(node);
    let mut again = open(fs.another()).unwrap();
    sound(&again);
    let seen = contents(&mut again);
    assert_eq!(
        (seen.base, seen.entries.first_key_value().map(|(index, _)| *index)),
        (at(12), Some(Index(13)))
    );
    assert_eq!(again.snapshots.newest().unwrap().id.last, at(18));
}
