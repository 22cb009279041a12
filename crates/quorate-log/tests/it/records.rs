//! Records and blocks: what is encoded comes back, and no bytes make the decoder panic.

use proptest::prelude::*;
use quorate_core::{EntryKind, Index, Term};
use quorate_log::{
    Block, BlockBuilder, Entries, Envelope, EnvelopeError, Limits, RECORD_HEADER_BYTES, RecordError,
};

fn envelope() -> impl Strategy<Value = Envelope> {
    (1..4_u8, any::<u64>(), any::<u32>(), any::<u32>(), 0..1_u64 << 48).prop_map(
        |(kind, session, sequence, acknowledged_distance, log_time_ms)| Envelope {
            kind: EntryKind::from_u8(kind).unwrap(),
            session,
            sequence,
            acknowledged_distance,
            log_time_ms,
        },
    )
}

/// Envelope, payload, and how much the term grows before it.
type Parts = Vec<(Envelope, Vec<u8>, u64)>;

fn parts() -> impl Strategy<Value = Parts> {
    let payload = proptest::collection::vec(any::<u8>(), 0..200);
    proptest::collection::vec((envelope(), payload, 0..2_u64), 1..40)
}

fn build(first: u64, parts: &Parts) -> std::sync::Arc<Block> {
    let mut builder = BlockBuilder::new();
    let mut term = 1;
    for (index, (envelope, payload, grown)) in (first..).zip(parts) {
        term += grown;
        builder.push(Index(index), Term(term), envelope, payload);
    }
    assert_eq!(builder.len(), parts.len());
    builder.finish()
}

proptest! {
    #[test]
    fn an_envelope_comes_back(envelope in envelope()) {
        prop_assert_eq!(Envelope::decode(&envelope.encode()), Ok(envelope));
    }

    #[test]
    fn a_block_comes_back(first in 1..1_u64 << 60, parts in parts()) {
        let block = build(first, &parts);
        let again = Block::decode(block.bytes().to_vec(), Limits::FORMAT).unwrap();
        prop_assert_eq!(&again, &block);
        let all = Entries::all(again);
        prop_assert_eq!(all.len(), parts.len());
        for (entry, (envelope, payload, _)) in all.iter().zip(&parts) {
            prop_assert_eq!(entry.envelope, *envelope);
            prop_assert_eq!(entry.payload, payload.as_slice());
            prop_assert_eq!(all.entry(entry.id.index), Some(entry));
        }
    }

    #[test]
    fn slices_hold_the_bytes_of_their_entries(parts in parts(), cut in 0..45_u64, fit in 0..4000_usize) {
        let block = build(10, &parts);
        let all = Entries::all(block);
        let (front, back) = all.split(Index(10 + cut));
        let mut bytes = Vec::new();
        for part in front.iter().chain(&back) {
            bytes.extend_from_slice(part.bytes());
            let alone = Block::decode(part.bytes().to_vec(), Limits::FORMAT).unwrap();
            prop_assert_eq!(alone.first(), part.first());
            prop_assert_eq!(alone.last(), part.last_id());
        }
        prop_assert_eq!(bytes.as_slice(), all.bytes());
        let within = all.within(fit);
        prop_assert_eq!(within.first(), all.first());
        prop_assert!(within.bytes().len() <= fit || within.len() == 1);
        if let Some(more) = Entries::of(all.block().clone(), all.first(), within.last().next()) {
            prop_assert!(more.bytes().len() > fit, "no more entries would fit");
        }
    }

    #[test]
    fn runs_say_what_the_entries_say(parts in parts()) {
        let all = Entries::all(build(5, &parts));
        let runs: Vec<_> = all.runs().collect();
        let mut entries = all.iter();
        let mut bytes = 0;
        for run in &runs {
            let mut sizes = Vec::new();
            for index in run.first.0..=run.last().0 {
                let entry = entries.next().unwrap();
                prop_assert_eq!(entry.id.index, Index(index));
                prop_assert_eq!(entry.id.term, run.term);
                prop_assert_eq!(entry.envelope.kind, run.kind);
                sizes.push(entry.payload.len() + RECORD_HEADER_BYTES);
            }
            prop_assert_eq!(sizes.iter().sum::<usize>() as u64, run.bytes);
            prop_assert!(run.count <= 64 || sizes.iter().all(|size| *size == sizes[0]));
            prop_assert!(run.kind != EntryKind::Membership || run.count == 1);
            bytes += run.bytes;
        }
        prop_assert!(entries.next().is_none());
        prop_assert_eq!(bytes, all.bytes().len() as u64);
    }

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(Block::decode(bytes, Limits::FORMAT).is_err());
    }

    #[test]
    fn a_changed_byte_is_noticed(parts in parts(), at in any::<prop::sample::Index>(), flip in 1..=255_u8) {
        let block = build(3, &parts);
        let mut bytes = block.bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        // A changed length may reach into the next record; the checksum then fails.
        prop_assert!(Block::decode(bytes, Limits::FORMAT).is_err());
    }

    #[test]
    fn a_cut_is_noticed_unless_it_is_between_records(parts in parts(), at in any::<prop::sample::Index>()) {
        let block = build(3, &parts);
        let at = at.index(block.bytes().len());
        let mut ends = vec![];
        let mut end = 0;
        for entry in Entries::all(block.clone()).iter() {
            end += entry.payload.len() + RECORD_HEADER_BYTES;
            ends.push(end);
        }
        let cut = Block::decode(block.bytes()[..at].to_vec(), Limits::FORMAT);
        prop_assert_eq!(cut.is_ok(), ends.contains(&at));
    }
}

#[test]
fn limits_hold_before_anything_is_believed() {
    let block = build(1, &vec![(Envelope::of(EntryKind::Command, 0), vec![0; 100], 0)]);
    let bytes = block.bytes().to_vec();
    let limits = Limits { block_bytes: 147, record_bytes: 1000 };
    assert_eq!(
        Block::decode(bytes.clone(), limits),
        Err(RecordError::BlockTooLarge { bytes: 148, limit: 147 })
    );
    let limits = Limits { block_bytes: 1000, record_bytes: 147 };
    assert_eq!(
        Block::decode(bytes.clone(), limits),
        Err(RecordError::RecordTooLarge { offset: 0, bytes: 148, limit: 147 })
    );
    let mut huge = bytes.clone();
    huge[..4].copy_from_slice(&u32::MAX.to_le_bytes());
    let found = Block::decode(huge, Limits::FORMAT);
    assert!(matches!(found, Err(RecordError::RecordTooLarge { .. } | RecordError::Cut { .. })));
    let mut short = bytes;
    short[..4].copy_from_slice(&23_u32.to_le_bytes());
    assert_eq!(
        Block::decode(short, Limits::FORMAT),
        Err(RecordError::RecordTooShort { offset: 0 })
    );
    assert_eq!(Block::decode(Vec::new(), Limits::FORMAT), Err(RecordError::Empty));
}

/// A record with whatever index, term and envelope bytes, its checksum right.
fn forged(index: u64, term: u64, version: u8, kind: u8) -> Vec<u8> {
    let block = build(1, &vec![(Envelope::of(EntryKind::Command, 0), b"x".to_vec(), 0)]);
    let mut bytes = block.bytes().to_vec();
    bytes[8..16].copy_from_slice(&index.to_le_bytes());
    bytes[16..24].copy_from_slice(&term.to_le_bytes());
    bytes[24] = version;
    bytes[25] = kind;
    let crc = crc32c::crc32c(&bytes[8..]);
    bytes[4..8].copy_from_slice(&crc.to_le_bytes());
    bytes
}

#[test]
fn a_right_checksum_does_not_excuse_wrong_contents() {
    let decode = |records: &[Vec<u8>]| Block::decode(records.concat(), Limits::FORMAT);
    assert!(decode(&[forged(5, 2, 1, 3), forged(6, 2, 1, 3)]).is_ok());
    let gap = decode(&[forged(5, 2, 1, 3), forged(7, 2, 1, 3)]);
    let expected = Some(Index(6));
    assert_eq!(gap, Err(RecordError::Index { offset: 49, expected, found: Index(7) }));
    let back = decode(&[forged(5, 2, 1, 3), forged(6, 1, 1, 3)]);
    let (previous, found) = (Term(2), Term(1));
    assert_eq!(back, Err(RecordError::Term { offset: 49, previous, found }));
    let zero = decode(&[forged(0, 1, 1, 3)]);
    assert_eq!(zero, Err(RecordError::Index { offset: 0, expected: None, found: Index(0) }));
    assert!(matches!(decode(&[forged(1, 0, 1, 3)]), Err(RecordError::Term { .. })));
    let end = decode(&[forged(u64::MAX, 1, 1, 3), forged(0, 1, 1, 3)]);
    assert!(matches!(end, Err(RecordError::Index { .. })), "indices do not wrap around");
    let source = EnvelopeError::Version(2);
    assert_eq!(decode(&[forged(1, 1, 2, 3)]), Err(RecordError::Envelope { offset: 0, source }));
    let source = EnvelopeError::Kind(9);
    assert_eq!(decode(&[forged(1, 1, 1, 9)]), Err(RecordError::Envelope { offset: 0, source }));
}

#[test]
fn a_log_time_beyond_48_bits_is_held_at_the_largest() {
    let envelope = Envelope::of(EntryKind::Command, u64::MAX);
    let again = Envelope::decode(&envelope.encode()).unwrap();
    assert_eq!(again.log_time_ms, (1 << 48) - 1);
}
