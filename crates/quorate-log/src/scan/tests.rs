//! One batch at a time: what the rules say of each way in which it can be wrong.

use quorate_core::{BootCounter, ClusterId, EntryKind, NodeId, Term};

use super::*;
use crate::block::{BlockBuilder, Entries};
use crate::record::Envelope;

const SECTOR: usize = 512;

fn segment() -> SegmentHeader {
    SegmentHeader {
        sector_bytes: 512,
        cluster: ClusterId(3),
        node: NodeId::new(4).unwrap(),
        id: 5,
        sequence: 1,
        boot: BootCounter(1),
        capacity: 16 << 10,
        previous_id: 0,
        previous_end: 0,
        previous_batch: 8,
        previous_hash: 99,
        start: EntryId::new(Index(20), Term(2)),
    }
}

fn entries(first: u64, payload: &[u8]) -> Vec<Entries> {
    let mut builder = BlockBuilder::new();
    builder.push(Index(first), Term(2), &Envelope::of(EntryKind::Command, 0), payload);
    vec![Entries::all(builder.finish())]
}

fn header(entries: &[Entries], sequence: u64, offset: u64, previous: u128) -> BatchHeader {
    BatchHeader {
        cluster: ClusterId(3),
        node: NodeId::new(4).unwrap(),
        segment_id: 5,
        sequence,
        offset,
        body_bytes: entries.iter().map(|part| part.bytes().len() as u64).sum(),
        first: entries.first().map(Entries::first_id).unwrap_or_default(),
        last: entries.last().map(Entries::last_id).unwrap_or_default(),
        commit: Index(0),
        boot: BootCounter(1),
        durable: sequence - 1,
        truncate_from: Index(0),
        previous,
    }
}

/// Writes a batch into a segment's bytes; gives its end and hash.
fn put(bytes: &mut [u8], header: &BatchHeader, entries: &[Entries]) -> (usize, u128) {
    let mut batch = Vec::new();
    let hash = batch::encode(header, entries, &segment(), &mut batch);
    let start = usize::try_from(header.offset).unwrap();
    bytes[start..start + batch.len()].copy_from_slice(&batch);
    (start + batch.len(), hash)
}

fn start() -> Position {
    Position { offset: 512, sequence: 8, hash: 99, last: segment().start }
}

fn fresh() -> Vec<u8> {
    vec![0; 16 << 10]
}

fn look(bytes: &[u8], sealed: Option<u64>, proven: Proven) -> Found {
    next(&mut bytes.to_vec(), &segment(), &start(), sealed, proven)
}

fn wound(found: Found) -> DamageKind {
    match found {
        Found::Damaged(wound) => wound.kind,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_whole_batch_is_shown() {
    let mut bytes = fresh();
    let entries = entries(21, b"abc");
    let header = header(&entries, 9, 512, 99);
    let (end, hash) = put(&mut bytes, &header, &entries);
    let found = next(&mut bytes, &segment(), &start(), None, Proven::default());
    assert_eq!(found, Found::Batch { header, extent: (end - 512) as u64, hash });
    assert_eq!(&bytes[512 + BATCH_HEADER_BYTES..][..51], entries[0].bytes());
}

#[test]
fn nothing_is_clean_unless_something_was_there() {
    let bytes = fresh();
    assert_eq!(look(&bytes, None, Proven::default()), Found::Clean);
    let named = Proven { batch: 9, index: Index(0) };
    assert_eq!(wound(look(&bytes, None, named)), DamageKind::Missing);
    let known = Proven { batch: 0, index: Index(21) };
    assert_eq!(wound(look(&bytes, None, known)), DamageKind::Missing);
    let before = Proven { batch: 8, index: Index(20) };
    assert_eq!(look(&bytes, None, before), Found::Clean);
    assert_eq!(wound(look(&bytes, Some(1024), Proven::default())), DamageKind::Missing);
    assert_eq!(look(&bytes, Some(512), Proven::default()), Found::Clean);
}

/// A batch that is wrong in one field and otherwise verifies, checksums and all.
fn forged(change: impl FnOnce(&mut BatchHeader)) -> Found {
    let mut bytes = fresh();
    let entries = entries(21, &[7; 900]);
    let mut header = header(&entries, 9, 512, 99);
    change(&mut header);
    let mut batch = Vec::new();
    batch::encode(&header, &entries, &segment(), &mut batch);
    // Hidden as what stands at 512, whatever the header says.
    Whitener::new(segment().id).apply(&mut batch, header.offset);
    Whitener::new(segment().id).apply(&mut batch, 512);
    bytes[512..512 + batch.len()].copy_from_slice(&batch);
    look(&bytes, None, Proven::default())
}

#[test]
fn a_batch_of_another_place_is_damage() {
    let misplaced = DamageKind::Misplaced;
    assert!(matches!(forged(|_| {}), Found::Batch { .. }));
    assert_eq!(wound(forged(|header| header.segment_id = 6)), misplaced);
    assert_eq!(wound(forged(|header| header.offset = 1024)), misplaced);
    assert_eq!(wound(forged(|header| header.cluster = ClusterId(9))), misplaced);
    assert_eq!(wound(forged(|header| header.node = NodeId::new(9).unwrap())), misplaced);
}

#[test]
fn a_batch_that_does_not_follow_is_damage() {
    assert_eq!(wound(forged(|header| header.sequence = 10)), DamageKind::Chain);
    assert_eq!(wound(forged(|header| header.sequence = 8)), DamageKind::Chain);
    assert_eq!(wound(forged(|header| header.previous = 98)), DamageKind::Chain);
}

#[test]
fn an_absurd_length_is_damage() {
    let mut bytes = fresh();
    for body_bytes in [u64::MAX, u64::MAX - 200, 1 << 40, 16 << 10] {
        let header = BatchHeader { body_bytes, ..header(&entries(21, b"x"), 9, 512, 99) };
        // The header alone: no such batch can be encoded.
        let mut head = vec![0; BATCH_HEADER_BYTES];
        header.encode(&mut head);
        Whitener::new(5).apply(&mut head, 512);
        bytes[512..512 + BATCH_HEADER_BYTES].copy_from_slice(&head);
        assert_eq!(wound(look(&bytes, None, Proven::default())), DamageKind::Length);
    }
}

#[test]
fn a_torn_batch_is_torn_until_something_names_it() {
    let entries = entries(21, &[0; 1500]);
    let mut bytes = fresh();
    let (end, hash) = put(&mut bytes, &header(&entries, 9, 512, 99), &entries);
    assert_eq!(end, 512 + 4 * SECTOR);
    for (from, to) in [(1024, 1536), (1536, 1600), (end - 512, end - 448)] {
        let mut torn = bytes.clone();
        torn[from..to].fill(0);
        assert!(matches!(look(&torn, None, Proven::default()), Found::Torn { .. }));
        let checksum = DamageKind::Checksum;
        assert_eq!(wound(look(&torn, Some(end as u64), Proven::default())), checksum);
        let named = Proven { batch: 9, index: Index(0) };
        assert_eq!(wound(look(&torn, None, named)), checksum);
        let known = Proven { batch: 0, index: Index(21) };
        assert_eq!(wound(look(&torn, None, known)), checksum);
        // A later header that says it was durable; then one that does not.
        let fence = header(&[], 10, end as u64, hash);
        put(&mut torn, &fence, &[]);
        assert_eq!(wound(look(&torn, None, Proven::default())), checksum);
        put(&mut torn, &BatchHeader { durable: 8, ..fence }, &[]);
        assert!(matches!(look(&torn, None, Proven::default()), Found::Torn { .. }));
    }
    // Nothing of it is missing, and yet it does not verify.
    let mut flipped = bytes;
    flipped[1200] ^= 1;
    assert_eq!(wound(look(&flipped, None, Proven::default())), DamageKind::Checksum);
}

#[test]
fn a_lost_header_is_torn_until_something_names_its_batch() {
    let entries = entries(21, &[0; 1500]);
    let mut bytes = fresh();
    let (end, hash) = put(&mut bytes, &header(&entries, 9, 512, 99), &entries);
    for (from, to) in [(512, 1024), (512, 576), (576, 640), (640, 704)] {
        let mut torn = bytes.clone();
        torn[from..to].fill(0);
        assert!(matches!(look(&torn, None, Proven::default()), Found::Torn { .. }));
        let next = self::entries(30, b"later");
        put(&mut torn, &header(&next, 10, end as u64, hash), &next);
        let Found::Damaged(wound) = look(&torn, None, Proven::default()) else {
            panic!("a later batch names it");
        };
        assert_eq!((wound.first, wound.last), (Some(Index(21)), Some(Index(29))));
    }
    let mut flipped = bytes;
    flipped[600] ^= 1;
    assert_eq!(wound(look(&flipped, None, Proven::default())), DamageKind::Checksum);
}

#[test]
fn entries_that_hold_a_batch_header_cannot_pass_for_one() {
    // A client sends the very bytes of a header that would prove the torn batch durable, laid out
    // so that they stand at every sector boundary.
    let mut forged = vec![0; BATCH_HEADER_BYTES];
    let mut payload = vec![0; 8 * SECTOR];
    let body = 512 + BATCH_HEADER_BYTES + 48;
    for sector in 3..8 {
        let offset = sector * SECTOR;
        let fence = BatchHeader { durable: 9, ..header(&[], 10, offset as u64, 1) };
        fence.encode(&mut forged);
        payload[offset - body..offset - body + BATCH_HEADER_BYTES].copy_from_slice(&forged);
    }
    let entries = entries(21, &payload);
    let mut bytes = fresh();
    put(&mut bytes, &header(&entries, 9, 512, 99), &entries);
    bytes[1024..1536].fill(0);
    assert!(matches!(look(&bytes, None, Proven::default()), Found::Torn { .. }));
}

#[test]
fn random_bytes_never_panic() {
    let mut chance = 1_u64;
    for round in 0..3000_usize {
        let mut bytes = fresh();
        for byte in &mut bytes[512..512 + round] {
            chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            *byte = chance.to_be_bytes()[0];
        }
        let found = look(&bytes, None, Proven::default());
        assert!(!matches!(found, Found::Batch { .. }));
    }
}
