//! The bytes on disk: those that `docs/disk-format.md` works through, kept for ever.
//!
//! The fixture is what version 1 of the format makes of a fixed history. A change of the format
//! fails here first; it takes another version number and a fixture of its own, and this one must
//! stay readable.

use std::fmt::Write as _;

use quorate_core::{EntryKind, Index, Term};
use quorate_log::fault::FaultFs;
use quorate_log::{BlockBuilder, Compact, Entries, Envelope, Write};
use xxhash_rust::xxh3::xxh3_128;

use crate::support::{CLUSTER, append, id, open, settle, state};

const FIXTURE: &str = include_str!("../fixtures/v1/directory.hex");

/// Two entries, a fence, and a base.
fn history() -> FaultFs {
    let fs = FaultFs::new();
    let mut log = open(fs.another()).unwrap().log;
    log.found(CLUSTER, b"founding record".to_vec()).unwrap();
    let mut builder = BlockBuilder::new();
    builder.push(Index(1), Term(1), &Envelope::of(EntryKind::Opening, 1000), b"");
    let command = Envelope {
        session: 0x51,
        sequence: 3,
        acknowledged_distance: 2,
        ..Envelope::of(EntryKind::Command, 1001)
    };
    builder.push(Index(2), Term(1), &command, b"hello");
    log.enqueue(Write {
        hard_state: Some(state(1, 0xA1)),
        commit: Index(1),
        ..append(1, Entries::all(builder.finish()))
    });
    settle(&mut log).unwrap();
    log.fence();
    log.compact(Compact { base: id(1, 1), meta: b"meta".to_vec() });
    settle(&mut log).unwrap();
    fs
}

/// Every file up to its last byte that is not zero, with its length.
fn dump(fs: &FaultFs) -> String {
    let mut text = String::new();
    for name in fs.names().into_iter().filter(|name| name != "lock") {
        let bytes = fs.bytes(&name).unwrap();
        writeln!(text, "{name} {}", bytes.len()).unwrap();
        for (number, row) in bytes.chunks(16).enumerate() {
            if row.iter().any(|&byte| byte != 0) {
                let hex: Vec<String> = row.iter().map(|byte| format!("{byte:02x}")).collect();
                writeln!(text, "{:06x}  {}", number * 16, hex.join(" ")).unwrap();
            }
        }
        text.push('\n');
    }
    text
}

/// The directory that a dump describes.
fn load(text: &str) -> FaultFs {
    let fs = FaultFs::new();
    for file in text.split("\n\n").filter(|file| !file.trim().is_empty()) {
        let (head, rows) = file.split_once('\n').unwrap();
        let (name, length) = head.split_once(' ').unwrap();
        let mut bytes = vec![0; length.parse().unwrap()];
        for row in rows.lines() {
            let (at, row) = row.split_once("  ").unwrap();
            let at = usize::from_str_radix(at, 16).unwrap();
            for (place, byte) in row.split(' ').enumerate() {
                bytes[at + place] = u8::from_str_radix(byte, 16).unwrap();
            }
        }
        fs.plant(name, &bytes);
    }
    fs
}

#[test]
fn version_1_is_written_as_it_was() {
    let text = dump(&history());
    if FIXTURE.is_empty() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/v1/directory.hex");
        std::fs::write(path, &text).unwrap();
        panic!("the fixture was made; look at it and run the test again");
    }
    assert_eq!(text, FIXTURE);
}

#[test]
fn version_1_is_read_as_it_was_written() {
    let fs = load(FIXTURE);
    let mut recovered = open(fs.another()).unwrap();
    assert_eq!(recovered.identity.founding.as_deref(), Some(b"founding record".as_slice()));
    assert_eq!((recovered.identity.cluster, recovered.hard_state), (CLUSTER, state(1, 0xA1)));
    assert_eq!((recovered.base, recovered.base_meta.as_slice()), (id(1, 1), b"meta".as_slice()));
    assert_eq!((recovered.log.last(), recovered.commit.0, recovered.boot.0), (id(2, 1), 1, 2));
    let entries = recovered.log.read(Index(2), Index(2), 1000).unwrap();
    let entry = entries[0].entry(Index(2)).unwrap();
    assert_eq!((entry.payload, entry.envelope.session), (b"hello".as_slice(), 0x51));
    drop(entries);
    assert_eq!(recovered.report.torn, None);
    recovered.log.enqueue(append(1, crate::support::entries(3, 1, 1, 10)));
    settle(&mut recovered.log).unwrap();
    drop(recovered);
    assert_eq!(open(fs.another()).unwrap().log.last(), id(3, 1));
}

fn number(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

fn crc_at(bytes: &[u8], at: usize) -> bool {
    let stored = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    stored == crc32c::crc32c(&bytes[..at])
}

/// Shows hidden bytes by the text of the document, with no code of the crate.
fn show(bytes: &[u8], segment_id: u64, offset: usize) -> Vec<u8> {
    let step = 0x9E37_79B9_7F4A_7C15_u64;
    let mix = |z: u64| {
        let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    };
    let key = mix(segment_id.wrapping_add(step));
    let show = |(place, &byte): (usize, &u8)| {
        let at = (offset + place) as u64;
        let word = mix(key.wrapping_add((at / 8 + 1).wrapping_mul(step)));
        byte ^ word.to_le_bytes()[at as usize % 8]
    };
    bytes.iter().enumerate().map(show).collect()
}

#[test]
fn the_worked_example_of_the_document_holds() {
    let fs = load(FIXTURE);
    let segment = fs.bytes("log-0000000000000001.seg").unwrap();
    assert_eq!(&segment[..8], b"QRTSEGMT");
    assert!(crc_at(&segment[..128], 124));
    let segment_id = number(&segment, 32);
    let batch = show(&segment[512..1024], segment_id, 512);
    assert_eq!(&batch[..8], b"QRTBATCH");
    assert!(crc_at(&batch, 156));
    let fields: Vec<u64> = (16..152).step_by(8).map(|at| number(&batch, at)).collect();
    // Cluster, node, segment id, batch, offset, bytes of entries.
    let mut expected = vec![0xC1, 0xA1, segment_id, 1, 512, 101];
    // First and last index, first and last term, commit index, boot, durable batch, cut.
    expected.extend([1, 2, 1, 1, 1, 1, 0, 0]);
    // Chain hash of the batch before, two words; reserved.
    expected.extend([0, 0, 0]);
    assert_eq!(fields, expected);
    assert!(crc_at(&batch, 261), "the trailer covers header and entries");
    assert_eq!(&batch[256..261], b"hello");
    assert!(batch[265..].iter().all(|&byte| byte == 0), "padding, hidden as well");
    let fence = show(&segment[1024..1536], segment_id, 1024);
    assert!(crc_at(&fence, 156) && crc_at(&fence, 160));
    assert_eq!((number(&fence, 40), number(&fence, 56), number(&fence, 112)), (2, 0, 1));
    let hash = u128::from_le_bytes(fence[128..144].try_into().unwrap());
    assert_eq!(hash, xxh3_128(&batch[..265]), "the chain covers the batch up to its trailer");
    assert!(segment[1536..].iter().all(|&byte| byte == 0), "zeros to the end");
}
