//! Bytes of a snapshot that are not what was written, and numbers that mean harm.

use std::io::Read;

use quorate_log::fault::FaultFs;
use quorate_log::{OpenError, SnapshotReadError};

use super::{BYTES, Pieces, at, compact, content, file, founded, machine, open, run, taken};

const NAME: &str = "snap-000000000000000a-0000000000000001.snap";

/// A directory whose log begins after 10@1, with the snapshot of it.
fn compacted() -> FaultFs {
    let fs = FaultFs::new();
    let mut recovered = founded(fs.another());
    recovered.snapshots.take(at(10), super::meta(at(10)), Pieces::of(machine(at(10), 500), 100));
    run(&mut recovered.snapshots).unwrap();
    compact(&mut recovered.log, at(10));
    drop(recovered);
    fs
}

#[test]
fn a_flip_of_any_bit_refuses_the_directory_and_changes_nothing() {
    let fs = compacted();
    let length = fs.bytes(NAME).unwrap().len();
    for place in 0..length {
        let fs = fs.duplicate();
        fs.corrupt(NAME, |bytes| bytes[place] ^= 1 << (place % 8));
        let (names, bytes) = (fs.names(), fs.bytes(NAME));
        let error = open(fs.another()).expect_err("a byte was flipped");
        let OpenError::SnapshotDamaged { damage, base } = &error else {
            panic!("{place}: {error}")
        };
        assert_eq!((damage.file.ends_with(NAME), *base), (true, at(10)));
        assert!(error.to_string().contains("let it join as a new member"), "{error}");
        assert_eq!((fs.names(), fs.bytes(NAME)), (names, bytes), "nothing was changed");
    }
}

/// R-ST6.
#[test]
fn a_partial_file_is_never_taken_for_whole() {
    // R-ST6, as RaftKeeper shipped it: a file that was cut off counts as a snapshot.
    let fs = compacted();
    let whole = fs.bytes(NAME).unwrap();
    for length in 0..whole.len() {
        let fs = fs.duplicate();
        fs.corrupt(NAME, |bytes| bytes.truncate(length));
        let error = open(fs.another()).expect_err("a part of it is missing");
        assert!(matches!(error, OpenError::SnapshotDamaged { .. }), "{length}: {error}");
    }
    fs.corrupt(NAME, |bytes| bytes.push(0));
    open(fs.another()).expect_err("nor one that is too long");
}

#[test]
fn no_byte_reaches_a_machine_before_it_was_verified() {
    let fs = FaultFs::new();
    let mut recovered = founded(fs.another());
    let stored = taken(&mut recovered.snapshots, at(10));
    let truth = machine(at(10), BYTES);
    let length = usize::try_from(stored.id.bytes).unwrap();
    // Every byte of the header and the ends of blocks, and places all over.
    let dense = (0..150).chain(65_550..65_700).chain(length - 60..length);
    for place in dense.chain((0..length).step_by(997)) {
        let reader = recovered.snapshots.reader();
        fs.corrupt(NAME, |bytes| bytes[place] ^= 0x10);
        let mut reader = reader.content(&stored.id).unwrap();
        let (mut given, mut piece) = (Vec::new(), [0; 4000]);
        let failed = loop {
            match reader.read(&mut piece) {
                Ok(0) => break false,
                Ok(bytes) => given.extend_from_slice(&piece[..bytes]),
                Err(error) => {
                    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData, "{error}");
                    assert!(error.to_string().contains(NAME), "{error}");
                    // What failed once never goes on as if nothing had been.
                    reader.read(&mut piece).unwrap_err();
                    break true;
                }
            }
        };
        let in_meta = (64..64 + stored.meta.len()).contains(&place);
        assert!(failed || in_meta, "{place}: the meta is not part of the content");
        assert!(truth.starts_with(&given), "{place}: only good bytes were given");
        fs.corrupt(NAME, |bytes| bytes[place] ^= 0x10);
    }
    assert!(content(&recovered.snapshots, &stored.id).unwrap() == truth);
    fs.corrupt(NAME, |bytes| bytes.truncate(1000));
    let error = recovered.snapshots.reader().read(&stored.id, 900, 200).unwrap_err();
    assert!(matches!(error, SnapshotReadError::Damaged(_)), "{error}");
}

#[test]
fn hostile_lengths_are_refused_and_allocate_nothing() {
    let fs = compacted();
    let with = |at: usize, value: &[u8], header: bool| {
        let fs = fs.duplicate();
        fs.corrupt(NAME, |bytes| {
            bytes[at..at + value.len()].copy_from_slice(value);
            if header {
                let crc = crc32c::crc32c(&bytes[..60]);
                bytes[60..64].copy_from_slice(&crc.to_le_bytes());
            }
        });
        open(fs.another()).expect_err("the length is a lie")
    };
    let body = 64 + super::meta(at(10)).len();
    for length in [u64::MAX, u64::MAX - 64, 1 << 40, 16 << 20, 501, 8] {
        let error = with(40, &length.to_le_bytes(), true);
        assert!(matches!(error, OpenError::SnapshotDamaged { .. }), "{error}");
    }
    for length in [u32::MAX, 1 << 30, (64 << 10) + 1, 501, 499, 0] {
        let error = with(body, &length.to_le_bytes(), false);
        assert!(matches!(error, OpenError::SnapshotDamaged { .. }), "{error}");
    }
}

#[test]
fn blocks_that_changed_places_are_found() {
    let fs = FaultFs::new();
    let mut recovered = founded(fs.another());
    let state = vec![7; 3 * (64 << 10)];
    recovered.snapshots.take(at(10), Vec::new(), Pieces::of(state, 64 << 10));
    run(&mut recovered.snapshots).unwrap();
    let id = recovered.snapshots.newest().unwrap().id;
    let block = 8 + (64 << 10);
    // All blocks hold the same data: a checksum of the data alone would see nothing.
    fs.corrupt(NAME, |bytes| {
        let (one, two) = bytes[64..64 + 2 * block].split_at_mut(block);
        one.swap_with_slice(two);
    });
    let mut reader = recovered.snapshots.content(&id).unwrap();
    reader.read(&mut [0; 10]).unwrap_err();
}

#[test]
fn a_newer_format_is_named() {
    let fs = compacted();
    fs.corrupt(NAME, |bytes| {
        bytes[8] = 2;
        let crc = crc32c::crc32c(&bytes[..60]);
        bytes[60..64].copy_from_slice(&crc.to_le_bytes());
    });
    let error = open(fs.another()).unwrap_err();
    assert!(matches!(error, OpenError::NewerFormat { found: 2, known: 1, .. }), "{error}");
}

#[test]
fn a_whole_file_of_another_entry_or_cluster_is_not_believed() {
    let fs = compacted();
    let mut other = founded(FaultFs::new());
    let stored = taken(&mut other.snapshots, at(9));
    let bytes = file(&other.snapshots, &stored.id);
    fs.corrupt(NAME, |there| *there = bytes);
    let error = open(fs.another()).unwrap_err();
    assert!(matches!(error, OpenError::SnapshotDamaged { .. }), "{error}");
}

#[test]
fn a_device_that_cannot_read_a_snapshot_damages_it() {
    let fs = compacted();
    let whole = fs.duplicate();
    drop(open(whole.another()).unwrap());
    let history = whole.history();
    let reads = history
        .iter()
        .enumerate()
        .filter(|(_, (what, name))| *what == quorate_log::Operation::Read && name == NAME);
    let reads: Vec<_> = reads.collect();
    assert_eq!(reads.len(), 3, "header, meta and the rest");
    for (number, _) in reads {
        let fs = fs.duplicate();
        fs.fail_at(number as u64 + 1, quorate_log::fault::Fault::Fails);
        let error = open(fs.another()).unwrap_err();
        assert!(matches!(error, OpenError::SnapshotDamaged { .. }), "{error}");
    }
}
