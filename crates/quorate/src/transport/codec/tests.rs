//! Messages there and back, limits, and bytes that mean no message.

use proptest::prelude::*;
use quorate_core::{EntryKind, Run, SnapshotChunk};
use quorate_log::{BlockBuilder, Envelope as EntryEnvelope};

use super::*;
use crate::roster::{Member, Roster};
use crate::transport::frame::{Parsed, parse};

fn id(number: u64) -> NodeId {
    NodeId::new(number).expect("tests use numbers above zero")
}

fn ends() -> Ends {
    Ends { me: id(1), peer: id(2), boot: BootCounter(7) }
}

fn limits() -> FrameLimits {
    FrameLimits::for_entries(4 << 20)
}

fn envelope(message: Message) -> Envelope {
    let (term, request) = (Term(9), RequestId(77));
    Envelope { from: id(2), boot: BootCounter(7), to: id(1), term, request, message }
}

fn raft(message: Message) -> Frame {
    Frame::raft(envelope(message), Few::new())
}

fn roster() -> Vec<u8> {
    let member = Member {
        id: id(5),
        name: "n5".to_owned(),
        peer_address: "h5:1".to_owned(),
        client_urls: Vec::new(),
    };
    let mut out = Vec::new();
    Roster::of_voters([member]).unwrap().encode(&mut out);
    out
}

/// Entries from `first` with these kinds and payloads, in one block.
fn entries(first: u64, term: u64, payloads: &[(EntryKind, Vec<u8>)]) -> Entries {
    let mut builder = BlockBuilder::new();
    for (index, (kind, payload)) in (first..).zip(payloads) {
        let envelope = EntryEnvelope::of(*kind, 1000 + index);
        builder.push(Index(index), Term(term), &envelope, payload);
    }
    Entries::all(builder.finish())
}

fn commands(first: u64, term: u64, sizes: &[usize]) -> Entries {
    let payloads: Vec<_> =
        sizes.iter().map(|size| (EntryKind::Command, vec![0x5a; *size])).collect();
    entries(first, term, &payloads)
}

fn append(prev: EntryId, entries: Vec<Entries>) -> Frame {
    let append = Append {
        prev,
        commit: Index(4),
        recorded: Index(3),
        recorded_boot: BootCounter(2),
        wants_reply: true,
        runs: heads(&entries).unwrap(),
    };
    Frame::raft(envelope(Message::Append(append)), entries.into())
}

fn packed(frame: Frame) -> (Vec<u8>, bool) {
    let packed = encode(frame, limits()).unwrap();
    (packed.encoded.to_vec(), packed.trimmed)
}

fn decoded(bytes: &[u8]) -> Result<Frame, CodecError> {
    let Ok(Parsed::Frame(frame)) = parse(bytes, limits().frame_bytes()) else {
        panic!("the encoder makes whole frames")
    };
    assert_eq!(frame.bytes, bytes.len());
    decode(frame, ends(), limits())
}

fn snapshot() -> SnapshotId {
    let last = EntryId::new(Index(12), Term(3));
    SnapshotId { last, bytes: 1000, hash: 0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10 }
}

fn chunk(offset: u64, data: &[u8]) -> Frame {
    let bytes = u32::try_from(data.len()).expect("tests use small chunks");
    let chunk = SnapshotChunk { id: snapshot(), offset, bytes };
    let envelope = envelope(Message::SnapshotChunk(chunk));
    Frame::chunk(envelope, Arc::new(data.to_vec()))
}

fn decoded_bulk(bytes: &[u8]) -> Result<Frame, CodecError> {
    let Ok(Parsed::Frame(frame)) = parse(bytes, BULK_FRAME_BYTES) else {
        panic!("the encoder makes whole frames")
    };
    decode_bulk(frame, ends())
}

/// One of each kind, every flag in both positions.
fn samples() -> Vec<Frame> {
    let last = EntryId::new(Index(12), Term(3));
    let (number, session) = (ForwardNumber(42), SessionId(77));
    let of_session = |session, request| {
        let (stamp, command) = (Stamp::Session { session, request }, Arc::default());
        Frame::forward(Forward { to_boot: BootCounter(3), number, stamp, command })
    };
    let mut frames = vec![
        raft(Message::AppendReply(AppendReply::Accepted { matched: Index(8) })),
        raft(Message::AppendReply(AppendReply::Rejected { prev: Index(8), hint: last })),
        raft(Message::ReadIndex),
        raft(Message::ReadIndexReply(ReadIndexReply { index: None })),
        raft(Message::ReadIndexReply(ReadIndexReply { index: Some(Index(0)) })),
        raft(Message::ReadIndexReply(ReadIndexReply { index: Some(Index(6)) })),
        raft(Message::OfferSnapshot(snapshot())),
        raft(Message::SnapshotReply(SnapshotReply { id: snapshot(), received: 0 })),
        raft(Message::SnapshotReply(SnapshotReply { id: snapshot(), received: 1000 })),
        append(last, Vec::new()),
        append(EntryId::new(Index(4), Term(2)), vec![commands(5, 3, &[10, 0, 3])]),
        Frame::forward(Forward {
            to_boot: BootCounter(3),
            number,
            stamp: Stamp::None,
            command: Arc::new(b"command".to_vec()),
        }),
        Frame::forward(Forward {
            to_boot: BootCounter(3),
            number,
            stamp: Stamp::Command { session, sequence: 8, acknowledged: 5 },
            command: Arc::new(b"command".to_vec()),
        }),
        of_session(SessionId::NONE, SessionRequest::Open { ttl_ms: 600_000 }),
        of_session(session, SessionRequest::KeepAlive),
        of_session(session, SessionRequest::Close),
        Frame::forward_reply(number, ForwardOutcome::Faulted(SessionFault::Expired)),
        Frame::forward_reply(number, ForwardOutcome::Unknown),
        Frame::forward_reply(number, ForwardOutcome::Applied(b"reply".to_vec())),
        Frame::forward_reply(number, ForwardOutcome::Refused(RefusalCode::Overloaded)),
    ];
    for (one, other) in [(false, false), (false, true), (true, false), (true, true)] {
        let campaign = Term(9);
        let vote = RequestVote { campaign, last, pre_vote: one };
        frames.push(raft(Message::RequestVote(vote)));
        let reply = VoteReply { campaign, pre_vote: one, granted: other };
        frames.push(raft(Message::VoteReply(reply)));
    }
    frames
}

#[test]
fn every_message_comes_back_from_its_bytes() {
    for frame in samples() {
        let (bytes, trimmed) = packed(frame.clone());
        assert!(!trimmed);
        assert_eq!(decoded(&bytes).as_ref(), Ok(&frame));
    }
}

#[test]
fn the_layout_of_an_append_is_frozen() {
    let frame = append(EntryId::new(Index(4), Term(2)), vec![commands(5, 3, &[2])]);
    let (bytes, _) = packed(frame);
    assert_eq!(bytes[8], 18);
    let numbers: Vec<u8> = bytes[9..65].iter().step_by(8).copied().collect();
    assert_eq!(numbers, [9, 77, 4, 2, 4, 3, 2], "term, request, prev, commit, recorded");
    assert_eq!(bytes[65], 1);
    assert_eq!(&bytes[66..], commands(5, 3, &[2]).bytes(), "then the records of the log");
}

#[test]
fn the_layout_of_a_chunk_is_frozen() {
    let (bytes, _) = packed(chunk(7, b"data"));
    assert_eq!(bytes[8], 64);
    let numbers: Vec<u8> = bytes[9..49].iter().step_by(8).copied().collect();
    assert_eq!(numbers[..2], [9, 77], "term, request");
    assert_eq!(numbers[2..], [12, 3, 0xe8], "last index, last term, bytes of the snapshot");
    let hash: Vec<u8> = (1..=16).rev().collect();
    assert_eq!(bytes[49..65], hash, "little-endian");
    assert_eq!(bytes[65..73], 7_u64.to_le_bytes(), "offset");
    assert_eq!(&bytes[73..], b"data");
}

#[test]
fn a_chunk_comes_back_from_its_bytes_wherever_it_lies() {
    for (offset, length) in [(0, 1), (0, 1000), (1, 999), (999, 1), (500, 200)] {
        let frame = chunk(offset, &vec![0x5a; length]);
        let (bytes, trimmed) = packed(frame.clone());
        assert!(!trimmed);
        assert_eq!(decoded_bulk(&bytes), Ok(frame));
    }
}

#[test]
fn a_chunk_outside_of_its_snapshot_is_refused() {
    for (offset, length) in [(0, 0), (0, 1001), (1000, 1), (999, 2), (u64::MAX, 1), (1 << 40, 5)] {
        let (bytes, _) = packed(chunk(offset, &vec![0x5a; length]));
        let refused = CodecError::Chunk { id: snapshot(), offset, bytes: length };
        assert_eq!(decoded_bulk(&bytes), Err(refused), "{length} bytes at {offset}");
    }
}

#[test]
fn a_snapshot_without_bytes_or_end_is_none() {
    let last = EntryId::new(Index(0), Term(3));
    for id in [SnapshotId { bytes: 0, ..snapshot() }, SnapshotId { last, ..snapshot() }] {
        let (bytes, _) = packed(raft(Message::OfferSnapshot(id)));
        let error = decoded(&bytes).unwrap_err();
        assert!(matches!(error, CodecError::Wire(WireError::Value { found: 0, .. })), "{error}");
    }
    let (id, received) = (snapshot(), 1001);
    let (bytes, _) = packed(raft(Message::SnapshotReply(SnapshotReply { id, received })));
    let beyond = WireError::Limit { what: "received", found: 1001, limit: 1000 };
    assert_eq!(decoded(&bytes), Err(CodecError::Wire(beyond)));
}

#[test]
fn chunks_belong_to_the_bulk_channel_and_nothing_else_does() {
    let (bytes, _) = packed(chunk(0, b"data"));
    assert_eq!(decoded(&bytes), Err(CodecError::WrongChannel(kind::SNAPSHOT_CHUNK)));
    for frame in samples() {
        let (bytes, _) = packed(frame);
        assert_eq!(decoded_bulk(&bytes), Err(CodecError::WrongChannel(bytes[8])));
    }
    let (bytes, _) = packed(chunk(0, b"data"));
    let unknown = RawFrame { kind: 65, body: &bytes[9..], bytes: bytes.len() };
    assert_eq!(decode_bulk(unknown, ends()), Err(CodecError::Kind(65)));
}

#[test]
fn a_chunk_cut_anywhere_before_its_data_is_refused() {
    let (bytes, _) = packed(chunk(0, b"data"));
    for end in 9..bytes.len() {
        let raw = RawFrame { kind: bytes[8], body: &bytes[9..end], bytes: end };
        // The frame's checksum guards what it has in data; the layout guards the rest.
        assert_eq!(decode_bulk(raw, ends()).is_err(), end <= bytes.len() - 4, "cut at {end}");
    }
}

#[test]
fn a_chunk_above_the_limit_is_not_sent() {
    let id = SnapshotId { bytes: 1 << 40, ..snapshot() };
    let of = |length: usize| {
        let bytes = u32::try_from(length).expect("it fits");
        let chunk = SnapshotChunk { id, offset: 0, bytes };
        let envelope = envelope(Message::SnapshotChunk(chunk));
        encode(Frame::chunk(envelope, Arc::new(vec![0; length])), limits())
    };
    let largest = of(MAX_CHUNK_BYTES).expect("it fits").encoded.to_vec();
    assert!(decoded_bulk(&largest).is_ok());
    let error = of(BULK_FRAME_BYTES).unwrap_err();
    assert_eq!(error.limit, BULK_FRAME_BYTES);
}

#[test]
fn the_receiver_makes_the_runs_itself() {
    let slices = vec![
        entries(5, 3, &[(EntryKind::Opening, Vec::new()), (EntryKind::Membership, roster())]),
        commands(7, 4, &[1, 2, 3]),
    ];
    let Frame::Raft(mut letter) = append(EntryId::new(Index(4), Term(2)), slices) else {
        panic!("an append")
    };
    let entries = letter.entries.clone();
    if let Message::Append(append) = &mut letter.envelope.message {
        append.runs = Few::one(Run::new(Index(5), 5, Term(9), EntryKind::Command, 1));
    }
    let (bytes, _) = packed(Frame::Raft(letter));
    let Frame::Raft(letter) = decoded(&bytes).unwrap() else { panic!("an append") };
    let Letter { envelope, entries: received } = *letter;
    let Message::Append(append) = &envelope.message else { panic!("an append") };
    assert_eq!(append.runs, heads(&entries).unwrap());
    let members = append.runs[1].membership.as_ref().unwrap();
    assert_eq!(members.voters(), [id(5)]);
    assert_eq!(received.len(), 1, "a frame decodes into one block");
    assert_eq!(received[0].bytes(), [entries[0].bytes(), entries[1].bytes()].concat());
}

#[test]
fn entries_that_do_not_follow_are_refused() {
    let prev = EntryId::new(Index(4), Term(2));
    let gap = packed_unchecked(prev, &commands(6, 3, &[1]));
    assert!(matches!(decoded(&gap), Err(CodecError::IllFormed { .. })));
    let back = packed_unchecked(prev, &commands(5, 1, &[1]));
    assert!(matches!(decoded(&back), Err(CodecError::IllFormed { .. })), "terms never fall");
    let ahead = packed_unchecked(prev, &commands(5, 10, &[1]));
    assert!(matches!(decoded(&ahead), Err(CodecError::IllFormed { .. })), "above the message's");
    let hole: Vec<u8> = [commands(5, 3, &[1]).bytes(), commands(7, 3, &[1]).bytes()].concat();
    assert!(matches!(decoded(&raw_append(prev, &hole)), Err(CodecError::Records(_))));
    let whole = commands(5, 3, &[9]);
    let cut = &whole.bytes()[..whole.bytes().len() - 1];
    assert!(matches!(decoded(&raw_append(prev, cut)), Err(CodecError::Records(_))));
}

fn packed_unchecked(prev: EntryId, entries: &Entries) -> Vec<u8> {
    raw_append(prev, entries.bytes())
}

fn raw_append(prev: EntryId, records: &[u8]) -> Vec<u8> {
    Encoded::new(kind::APPEND, Vec::new(), |out| {
        put(out, &[9, 77, prev.index.get(), prev.term.get(), 4, 3, 2]);
        out.push(1);
        out.extend_from_slice(records);
    })
    .to_vec()
}

#[test]
fn a_membership_entry_without_a_roster_is_refused() {
    let prev = EntryId::new(Index(4), Term(2));
    let bad = entries(5, 3, &[(EntryKind::Membership, b"?".to_vec())]);
    assert!(matches!(decoded(&packed_unchecked(prev, &bad)), Err(CodecError::Heads(_))));
}

#[test]
fn an_append_above_a_mebibyte_is_cut_to_what_fits() {
    let prev = EntryId::new(Index(4), Term(2));
    let sizes = [400_000, 400_000, 400_000];
    for slices in [
        vec![commands(5, 3, &sizes)],
        vec![commands(5, 3, &sizes[..2]), commands(7, 3, &sizes[2..])],
        vec![commands(5, 3, &sizes[..1]), commands(6, 3, &sizes[1..])],
    ] {
        let (bytes, trimmed) = packed(append(prev, slices));
        assert!(trimmed && bytes.len() <= CONTROL_FRAME_BYTES);
        let Frame::Raft(letter) = decoded(&bytes).unwrap() else { panic!("an append") };
        let Message::Append(append) = letter.envelope.message else { panic!("an append") };
        assert_eq!(append.end(), Index(6));
    }
}

#[test]
fn one_entry_above_a_mebibyte_travels_alone() {
    let prev = EntryId::new(Index(4), Term(2));
    for (sizes, expected) in [(vec![3_000_000], false), (vec![3_000_000, 1], true)] {
        let (bytes, trimmed) = packed(append(prev, vec![commands(5, 3, &sizes)]));
        assert_eq!(trimmed, expected);
        let Frame::Raft(letter) = decoded(&bytes).unwrap() else { panic!("an append") };
        let Message::Append(append) = letter.envelope.message else { panic!("an append") };
        assert_eq!(append.end(), Index(5));
    }
    let behind = vec![commands(5, 3, &[1]), commands(6, 3, &[3_000_000])];
    let (bytes, trimmed) = packed(append(prev, behind));
    assert!(trimmed && bytes.len() < 200, "a large entry waits for its own frame");
    let crowd = commands(5, 3, &[3_000_000, 1]);
    let crowd = decoded(&packed_unchecked(prev, &crowd));
    assert!(matches!(crowd, Err(CodecError::Crowded { entries: 2, .. })));
}

#[test]
fn what_exceeds_every_limit_is_not_sent() {
    let prev = EntryId::new(Index(4), Term(2));
    let huge = append(prev, vec![commands(5, 3, &[5 << 20])]);
    assert!(encode(huge, limits()).is_err());
    let command = Arc::new(vec![0; 5 << 20]);
    let number = ForwardNumber(1);
    let forward = Forward { to_boot: BootCounter(1), number, stamp: Stamp::None, command };
    let error = encode(Frame::forward(forward), limits()).unwrap_err();
    assert!(error.to_string().contains("the limit is 4194432"), "{error}");
    let outcome = ForwardOutcome::Applied(vec![0; 5 << 20]);
    let (bytes, trimmed) = packed(Frame::forward_reply(number, outcome));
    assert!(trimmed);
    let expected = Frame::forward_reply(number, ForwardOutcome::Unknown);
    assert_eq!(decoded(&bytes), Ok(expected), "it was applied, but nobody can say what came of it");
}

#[test]
fn bodies_end_where_they_should_and_know_their_values() {
    for frame in samples() {
        let (bytes, _) = packed(frame.clone());
        let (kind, body) = (bytes[8], &bytes[9..]);
        let open_end = matches!(kind, kind::APPEND | kind::FORWARD | kind::FORWARD_OF_SESSION)
            || matches!(
                &frame,
                Frame::ForwardReply(reply) if matches!(reply.outcome, ForwardOutcome::Applied(_))
            );
        for end in 0..body.len() {
            let raw = RawFrame { kind, body: &body[..end], bytes: FRAME_HEADER_BYTES + 1 + end };
            let read = decode(raw, ends(), limits());
            assert!(read.is_err() || open_end, "{frame:?} cut at {end}");
        }
        if !open_end {
            let longer = [body, &[0]].concat();
            let raw = RawFrame { kind, body: &longer, bytes: longer.len() + 9 };
            assert!(decode(raw, ends(), limits()).is_err(), "{frame:?} with a byte more");
        }
    }
    for kind in [0, 1, 15, 24, 31, 36, 48, 63, 65, 255] {
        let raw = RawFrame { kind, body: &[0; 64], bytes: 73 };
        assert_eq!(decode(raw, ends(), limits()), Err(CodecError::Kind(kind)));
    }
    for value in [0, 5] {
        let raw = RawFrame {
            kind: kind::FORWARD_REPLY,
            body: &[0, 0, 0, 0, 0, 0, 0, 0, 4, value],
            bytes: 19,
        };
        let wrong = WireError::Value { what: "fault of a session", found: u64::from(value) };
        assert_eq!(decode(raw, ends(), limits()), Err(CodecError::Wire(wrong)));
    }
    let raw = RawFrame { kind: kind::VOTE_REPLY, body: &[2; 26], bytes: 35 };
    assert!(matches!(decode(raw, ends(), limits()), Err(CodecError::Wire(_))), "a flag of 2");
}

proptest! {
    #[test]
    fn no_body_makes_the_decoder_panic(
        kind in prop::sample::select(vec![16_u8, 17, 18, 19, 20, 21, 22, 23, 32, 33, 64]),
        body in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let raw = RawFrame { kind, body: &body, bytes: body.len() + 9 };
        let _decoded = decode(raw, ends(), limits());
        if let Ok(Frame::Chunk(chunk)) = decode_bulk(raw, ends()) {
            let Chunk { envelope, data } = *chunk;
            let Message::SnapshotChunk(chunk) = envelope.message else { panic!("a chunk") };
            prop_assert!(chunk.is_well_formed() && chunk.bytes as usize == data.len());
        }
    }

    #[test]
    fn mutated_chunks_are_read_or_refused(
        offset in 0..1000_u64,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let (bytes, _) = packed(chunk(offset, &[0x5a; 9]));
        let mut body = bytes[9..].to_vec();
        for (at, value) in changes {
            let at = at.index(body.len());
            body[at] = value;
        }
        let raw = RawFrame { kind: bytes[8], body: &body, bytes: bytes.len() };
        if let Ok(frame) = decode_bulk(raw, ends()) {
            let (again, _) = packed(frame);
            prop_assert_eq!(&again[9..], &body[..], "a chunk has one encoding");
        }
    }

    #[test]
    fn mutated_messages_are_read_or_refused(
        at in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let frames = samples();
        let (bytes, _) = packed(at.get(&frames).clone());
        let mut body = bytes[9..].to_vec();
        for (at, value) in changes {
            if !body.is_empty() {
                let at = at.index(body.len());
                body[at] = value;
            }
        }
        let raw = RawFrame { kind: bytes[8], body: &body, bytes: bytes.len() };
        if let Ok(frame) = decode(raw, ends(), limits()) {
            let (again, _) = packed(frame);
            prop_assert_eq!(&again[9..], &body[..], "a message has one encoding");
        }
    }
}
