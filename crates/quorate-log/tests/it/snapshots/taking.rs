//! Taking snapshots, and what a file looks like.

use quorate_core::{ClusterId, EntryId};
use quorate_log::fault::{Fault, FaultFs};
use quorate_log::{OpenOptions, Operation, SnapshotProgress, open_blocking};
use xxhash_rust::xxh3::xxh3_128;

use super::{
    BYTES, Pieces, at, content, file, founded, machine, meta, open, run, snapshot_names, sound,
    take, taken,
};
use crate::support::{CLUSTER, options};

#[test]
fn a_snapshot_outlives_its_node() {
    let fs = FaultFs::new();
    let mut recovered = founded(fs.another());
    assert_eq!(recovered.snapshots.newest(), None);
    let stored = taken(&mut recovered.snapshots, at(10));
    assert_eq!((stored.id.last, &stored.meta), (at(10), &meta(at(10))));
    assert_eq!(recovered.snapshots.newest(), Some(&stored));
    drop(recovered);
    fs.crash(&quorate_log::fault::Loss::Everything);
    let again = open(fs.reboot()).unwrap();
    sound(&again);
    assert_eq!(again.snapshots.newest(), Some(&stored));
    assert!(content(&again.snapshots, &stored.id).unwrap() == machine(at(10), BYTES));
}

#[test]
fn equal_states_give_equal_files_whatever_their_pieces_and_their_node() {
    let mut files = Vec::new();
    for (node, size) in [(0xA1, 1), (0xA1, 64 << 10), (0xB2, 1000), (0xB2, 1 << 20)] {
        let options = OpenOptions { format_as: quorate_core::NodeId::new(node), ..options() };
        let mut recovered = open_blocking(FaultFs::new(), options).unwrap();
        recovered.log.found(CLUSTER, Vec::new()).unwrap();
        crate::support::settle(&mut recovered.log).unwrap();
        let last = at(7);
        recovered.snapshots.take(last, meta(last), Pieces::of(machine(last, BYTES), size));
        let reports = run(&mut recovered.snapshots).unwrap();
        let [SnapshotProgress::Taken(stored)] = reports.as_slice() else { panic!("{reports:?}") };
        files.push((stored.id, file(&recovered.snapshots, &stored.id)));
    }
    assert!(files.iter().all(|other| *other == files[0]));
}

#[test]
fn states_of_every_size_come_back() {
    const BLOCK: usize = 64 << 10;
    let fs = FaultFs::new();
    let mut recovered = founded(fs.another());
    let sizes = [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 5 * BLOCK + 17];
    for (number, size) in sizes.into_iter().enumerate() {
        let last = at(1 + number as u64);
        let state = machine(last, size);
        recovered.snapshots.take(last, Vec::new(), Pieces::of(state.clone(), 3 * BLOCK));
        let reports = run(&mut recovered.snapshots).unwrap();
        let [SnapshotProgress::Taken(stored)] = reports.as_slice() else { panic!("{reports:?}") };
        assert!(content(&recovered.snapshots, &stored.id).unwrap() == state, "{size}");
        assert_eq!(file(&recovered.snapshots, &stored.id).len() as u64, stored.id.bytes);
    }
}

/// Reads a file by `docs/disk-format.md` alone.
fn decode(bytes: &[u8]) -> (ClusterId, EntryId, Vec<u8>, Vec<u8>, u128) {
    let u32_at = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let u64_at = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    assert_eq!(&bytes[..8], b"QRTSNAPS");
    assert_eq!((u32_at(8), u32_at(12), u64_at(52)), (1, 0, 0));
    assert_eq!(u32_at(60), crc32c::crc32c(&bytes[..60]));
    let meta_end = 64 + u64_at(40) as usize;
    let meta = bytes[64..meta_end].to_vec();
    assert_eq!(u32_at(48), crc32c::crc32c(&meta));
    let (mut place, mut content) = (meta_end, Vec::new());
    while u32_at(place) > 0 {
        let length = u32_at(place) as usize;
        let data = &bytes[place + 8..place + 8 + length];
        let mut covered = bytes[60..64].to_vec();
        covered.extend_from_slice(&(place as u64).to_le_bytes());
        covered.extend_from_slice(&bytes[place..place + 4]);
        covered.extend_from_slice(data);
        assert_eq!(u32_at(place + 4), crc32c::crc32c(&covered));
        content.extend_from_slice(data);
        place += 8 + length;
        assert!(length == 64 << 10 || u32_at(place) == 0, "only the last block is short");
    }
    assert_eq!(bytes.len(), place + 48);
    assert_eq!(u32_at(place + 4), 0);
    assert_eq!(&bytes[place + 8..place + 16], b"QRTSNEND");
    assert_eq!(u64_at(place + 16), content.len() as u64);
    let hash = u128::from_le_bytes(bytes[place + 24..place + 40].try_into().unwrap());
    assert_eq!(hash, xxh3_128(&bytes[..place]));
    assert_eq!(u32_at(place + 40), 0);
    assert_eq!(u32_at(place + 44), crc32c::crc32c(&bytes[place..place + 44]));
    let last = crate::support::id(u64_at(24), u64_at(32));
    (ClusterId(u64_at(16)), last, meta, content, hash)
}

#[test]
fn a_file_is_what_the_specification_says() {
    let mut recovered = founded(FaultFs::new());
    let stored = taken(&mut recovered.snapshots, at(12));
    let bytes = file(&recovered.snapshots, &stored.id);
    let (cluster, last, found, held, hash) = decode(&bytes);
    assert_eq!((cluster, last, found), (CLUSTER, at(12), meta(at(12))));
    assert!(held == machine(at(12), BYTES));
    assert_eq!((hash, bytes.len() as u64), (stored.id.hash, stored.id.bytes));
}

#[test]
fn a_frozen_file_is_still_made_and_read() {
    // The example of the specification, byte for byte.
    let mut recovered = founded(FaultFs::new());
    let last = crate::support::id(5, 1);
    recovered.snapshots.take(last, b"meta".to_vec(), Pieces::of(b"content".to_vec(), 3));
    let reports = run(&mut recovered.snapshots).unwrap();
    let [SnapshotProgress::Taken(stored)] = reports.as_slice() else { panic!("{reports:?}") };
    let bytes = file(&recovered.snapshots, &stored.id);
    let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let frozen = include_str!("../../fixtures/v1/snapshot.hex");
    let frozen: Vec<&str> = frozen
        .lines()
        .filter(|line| !line.starts_with('#'))
        .flat_map(str::split_whitespace)
        .collect();
    assert_eq!(hex, frozen, "version 1 is frozen");
}

/// R-ST5.
#[test]
fn the_name_is_made_durable_before_anybody_hears_of_it() {
    let fs = FaultFs::new();
    let mut recovered = founded(fs.another());
    let before = fs.operations();
    take(&mut recovered.snapshots, at(10));
    while !matches!(recovered.snapshots.step().unwrap(), SnapshotProgress::Taken(_)) {
        assert_eq!(recovered.snapshots.newest(), None);
    }
    let history: Vec<Operation> =
        fs.history()[usize::try_from(before).unwrap()..].iter().map(|(what, _)| *what).collect();
    let expected = [
        Operation::Create,
        Operation::Write,
        Operation::Sync,
        Operation::Rename,
        Operation::SyncDir,
    ];
    assert_eq!(history, expected);
    assert_eq!(snapshot_names(&fs), ["snap-000000000000000a-0000000000000001.snap"]);
}

#[test]
fn a_large_file_is_synced_in_parts() {
    let fs = FaultFs::new();
    let mut recovered = founded(fs.another());
    let state = machine(at(3), 13 << 20);
    recovered.snapshots.take(at(3), Vec::new(), Pieces::of(state, 64 << 10));
    run(&mut recovered.snapshots).unwrap();
    let history = fs.history();
    let syncs =
        history.iter().filter(|(what, name)| *what == Operation::Sync && name.starts_with("snap-"));
    assert_eq!(syncs.count(), 4, "no sync has more than a few megabytes to write");
}

#[test]
fn a_state_that_cannot_be_written_down_leaves_nothing() {
    let fs = FaultFs::new();
    let mut recovered = founded(fs.another());
    for fails_at in [0, 20_000] {
        let mut pieces = Pieces::of(machine(at(4), BYTES), 10_000);
        pieces.fails_at = fails_at;
        recovered.snapshots.take(at(4), Vec::new(), pieces);
        let reports = run(&mut recovered.snapshots).unwrap();
        let [SnapshotProgress::TakeFailed(reason)] = reports.as_slice() else {
            panic!("{reports:?}")
        };
        assert!(reason.to_string().contains("it cannot be written"), "{reason}");
        assert!(snapshot_names(&fs).is_empty(), "{:?}", snapshot_names(&fs));
    }
    taken(&mut recovered.snapshots, at(4));
}

#[test]
fn keeping_some_removes_the_others_and_never_the_newest() {
    let fs = FaultFs::new();
    let mut recovered = founded(fs.another());
    let store = &mut recovered.snapshots;
    let all: Vec<_> = (5..9).map(|index| taken(store, at(index)).id).collect();
    let reader = store.reader();
    let mut under_way = reader.content(&all[0]).unwrap();
    store.keep(&[all[1]]);
    assert!(matches!(run(store).unwrap().as_slice(), [SnapshotProgress::Removed]));
    assert_eq!(snapshot_names(&fs).len(), 2);
    assert_eq!(store.newest().unwrap().id, all[3]);
    assert!(reader.read(&all[0], 0, 10).is_err(), "it is gone");
    assert_eq!(reader.read(&all[1], 10, 20).unwrap(), file(store, &all[1])[10..30]);
    assert!(reader.read(&all[1], all[1].bytes, 20).unwrap().is_empty());
    // Who had it open reads on.
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut under_way, &mut bytes).unwrap();
    assert!(bytes == machine(at(5), BYTES));
    store.keep(&[]);
    run(store).unwrap();
    drop(recovered);
    let again = open(fs.another()).unwrap();
    sound(&again);
    assert_eq!(again.snapshots.newest().unwrap().id, all[3]);
    assert_eq!(snapshot_names(&fs).len(), 1);
}

#[test]
fn what_cannot_be_removed_is_removed_before_the_next_is_made() {
    let fs = FaultFs::new();
    let mut recovered = founded(fs.another());
    // Its write fails, and then the removal of what was written.
    let first = fs.operations() + 1;
    fs.fail_at(first + 1, Fault::Fails);
    fs.fail_at(first + 2, Fault::Fails);
    take(&mut recovered.snapshots, at(10));
    let reports = run(&mut recovered.snapshots).unwrap();
    assert!(matches!(reports.as_slice(), [SnapshotProgress::TakeFailed(_)]), "{reports:?}");
    assert_eq!(snapshot_names(&fs).len(), 1, "it is still there");
    taken(&mut recovered.snapshots, at(10));
    assert_eq!(snapshot_names(&fs).len(), 1);
}
