//! The table against a naive one, at its bounds, and from bytes that nobody checked.

use std::collections::BTreeMap;

use proptest::prelude::*;
use quorate_core::Index;

use super::*;

const OPEN: SessionRequest = SessionRequest::Open { ttl_ms: MIN_TTL_MS };
/// Bounds that a few calls reach: two sessions with some replies, or one with more.
const TIGHT: SessionLimits = SessionLimits { window: 4, session_bytes: 420, total_bytes: 840 };

fn table() -> SessionTable {
    SessionTable::new(SessionLimits::STANDARD)
}

fn bytes_of(table: &mut SessionTable, now: u64) -> Vec<u8> {
    let view = table.view(now);
    let mut bytes = Vec::new();
    view.encode(&mut bytes);
    assert_eq!(bytes.len(), view.encoded_bytes());
    bytes
}

/// Executes a command unless it is a duplicate; what its caller is told.
fn call(
    table: &mut SessionTable,
    at: (u64, u64),
    session: SessionId,
    (sequence, acknowledged): (u32, u32),
    reply: &[u8],
) -> Verdict {
    let verdict = table.begin((Index(at.0), at.1), session, sequence, acknowledged);
    if verdict == Verdict::Execute {
        table.keep(session, sequence, Some(reply));
    }
    verdict
}

fn duplicate(reply: &[u8]) -> Verdict {
    Verdict::Duplicate(reply.into())
}

const EXPIRED: Verdict = Verdict::Fault(SessionFault::Expired);
const ACKNOWLEDGED: Verdict = Verdict::Fault(SessionFault::Acknowledged);

#[test]
fn a_reply_without_bytes_is_lost_too_where_nothing_fits() {
    let mut table = SessionTable::new(TIGHT);
    let session = table.request((Index(1), 0), SessionId::NONE, OPEN).unwrap();
    assert_eq!(call(&mut table, (2, 0), session, (1, 0), &[7; 101]), Verdict::Execute);
    assert_eq!(call(&mut table, (3, 0), session, (2, 0), b""), Verdict::Execute);
    let lost = Verdict::Fault(SessionFault::ReplyLost);
    assert_eq!(call(&mut table, (4, 0), session, (2, 0), b""), lost, "421 bytes of 420");
}

#[test]
fn a_duplicate_is_given_the_reply_until_it_is_acknowledged() {
    let mut table = table();
    let session = table.request((Index(5), 0), SessionId::NONE, OPEN).unwrap();
    assert_eq!(session, SessionId(5), "a session is named by its entry");
    assert_eq!(call(&mut table, (6, 0), session, (1, 0), b"one"), Verdict::Execute);
    assert_eq!(call(&mut table, (7, 0), session, (3, 0), b"three"), Verdict::Execute);
    assert_eq!(call(&mut table, (8, 0), session, (2, 0), b"two"), Verdict::Execute);
    assert_eq!(call(&mut table, (9, 0), session, (1, 0), b"x"), duplicate(b"one"));
    assert_eq!(call(&mut table, (10, 0), session, (2, 1), b"x"), duplicate(b"two"));
    let before = table.bytes();
    assert_eq!(call(&mut table, (11, 0), session, (1, 0), b"x"), ACKNOWLEDGED, "for good");
    assert_eq!(call(&mut table, (12, 0), session, (4, 3), b"four"), Verdict::Execute);
    assert!(table.bytes() < before, "what was acknowledged takes no room");
    assert_eq!(call(&mut table, (13, 0), session, (2, 0), b"x"), ACKNOWLEDGED);
    assert_eq!(call(&mut table, (14, 0), session, (4, 4), b"x"), ACKNOWLEDGED, "its own");
}

#[test]
fn a_session_that_is_not_there_executes_nothing() {
    let mut table = table();
    assert_eq!(call(&mut table, (1, 0), SessionId(9), (1, 0), b"x"), EXPIRED);
    let session = table.request((Index(2), 0), SessionId::NONE, OPEN).unwrap();
    assert_eq!(table.request((Index(3), 0), session, SessionRequest::Close), Ok(session));
    assert_eq!(call(&mut table, (4, 0), session, (1, 0), b"x"), EXPIRED);
    let gone = Err(SessionFault::Expired);
    assert_eq!(table.request((Index(5), 0), session, SessionRequest::Close), gone);
    assert_eq!(table.request((Index(6), 0), session, SessionRequest::KeepAlive), gone);
    assert_eq!((table.len(), table.bytes()), (0, 0));
}

#[test]
fn a_session_lives_for_its_time_after_the_last_that_was_heard_of_it() {
    let mut table = table();
    let open = |table: &mut SessionTable, index| {
        table.request((Index(index), 10_000), SessionId::NONE, OPEN).unwrap()
    };
    let (called, kept, silent) = (open(&mut table, 1), open(&mut table, 2), open(&mut table, 3));
    assert_eq!(call(&mut table, (4, 10_900), called, (1, 0), b"one"), Verdict::Execute);
    let alive = SessionRequest::KeepAlive;
    assert_eq!(table.request((Index(5), 10_999), kept, alive), Ok(kept), "in its last moment");
    assert_eq!(table.request((Index(6), 11_000), silent, alive), Err(SessionFault::Expired));
    assert_eq!(call(&mut table, (7, 11_899), called, (1, 0), b"x"), duplicate(b"one"));
    assert_eq!(call(&mut table, (8, 11_999), kept, (1, 0), b"x"), EXPIRED);
    table.expire(12_898);
    assert_eq!(table.len(), 1);
    table.expire(12_899);
    assert_eq!((table.len(), table.bytes(), table.ended()), (0, 0, (0, 3)));
}

#[test]
fn a_time_to_live_is_held_within_its_bounds() {
    let mut table = table();
    for (ttl_ms, held) in [(0, MIN_TTL_MS), (u64::MAX, MAX_TTL_MS)] {
        let open = SessionRequest::Open { ttl_ms };
        table.request((Index(1), 0), SessionId::NONE, open).unwrap();
        table.expire(held - 1);
        assert_eq!(table.len(), 1);
        table.expire(held);
        assert_eq!(table.len(), 0);
    }
}

#[test]
fn what_has_no_room_leaves_a_mark_and_is_not_executed_again() {
    let mut table = SessionTable::new(TIGHT);
    let session = table.request((Index(1), 0), SessionId::NONE, OPEN).unwrap();
    assert_eq!(call(&mut table, (2, 0), session, (1, 0), &[7; 200]), Verdict::Execute);
    let lost = Verdict::Fault(SessionFault::ReplyLost);
    assert_eq!(call(&mut table, (3, 0), session, (1, 0), b"x"), lost);
    assert_eq!(call(&mut table, (4, 0), session, (2, 1), b"fits"), Verdict::Execute);
    assert_eq!(call(&mut table, (5, 0), session, (2, 1), b"x"), duplicate(b"fits"));
    // So does one without an encoding.
    assert_eq!(table.begin((Index(6), 0), session, 3, 2), Verdict::Execute);
    table.keep(session, 3, None);
    assert_eq!(call(&mut table, (7, 0), session, (3, 2), b"x"), lost);
}

#[test]
fn no_more_calls_are_open_than_the_window_is_wide() {
    let mut table = SessionTable::new(TIGHT);
    let session = table.request((Index(1), 0), SessionId::NONE, OPEN).unwrap();
    let crowded = Verdict::Fault(SessionFault::Crowded);
    assert_eq!(call(&mut table, (2, 0), session, (5, 0), b"x"), crowded);
    assert_eq!(call(&mut table, (3, 0), session, (4, 0), b"four"), Verdict::Execute);
    assert_eq!(call(&mut table, (4, 0), session, (5, 1), b"five"), Verdict::Execute);
    assert_eq!(call(&mut table, (5, 0), session, (u32::MAX, 1), b"x"), crowded);
}

#[test]
fn the_session_that_was_not_used_for_longest_makes_room() {
    let mut table = SessionTable::new(TIGHT);
    let mut open = |index| table.request((Index(index), 0), SessionId::NONE, OPEN).unwrap();
    let (first, second, third) = (open(1), open(2), open(3));
    assert_eq!(call(&mut table, (4, 0), first, (1, 0), b"first"), Verdict::Execute);
    assert_eq!(table.request((Index(5), 0), SessionId::NONE, OPEN), Ok(SessionId(5)));
    assert_eq!(table.ended(), (1, 0));
    assert_eq!(call(&mut table, (6, 0), second, (1, 0), b"x"), EXPIRED);
    assert_eq!(call(&mut table, (7, 0), first, (1, 0), b"x"), duplicate(b"first"));
    // A reply makes itself room as well, and never at the cost of its own session.
    assert_eq!(call(&mut table, (8, 0), first, (2, 0), &[1; 80]), Verdict::Execute);
    assert_eq!(call(&mut table, (9, 0), third, (1, 0), b"x"), EXPIRED);
    assert_eq!(call(&mut table, (10, 0), first, (2, 0), b"x"), duplicate(&[1; 80]));
    assert!(table.bytes() <= TIGHT.total_bytes);
}

#[test]
fn opening_and_closing_leaves_nothing_behind() {
    let mut table = table();
    for index in 1..1_000 {
        let session = table.request((Index(2 * index), index), SessionId::NONE, OPEN).unwrap();
        table.request((Index(2 * index + 1), index), session, SessionRequest::Close).unwrap();
    }
    assert_eq!((table.len(), table.bytes()), (0, 0));
    assert_eq!(bytes_of(&mut table, 0), [VERSION]);
}

#[test]
fn a_view_stays_as_it_was() {
    let mut table = table();
    let session = table.request((Index(1), 0), SessionId::NONE, OPEN).unwrap();
    call(&mut table, (2, 0), session, (1, 0), b"before");
    let view = table.view(0);
    let mut before = Vec::new();
    view.encode(&mut before);
    call(&mut table, (3, 0), session, (2, 1), b"after");
    table.request((Index(4), 0), SessionId::NONE, OPEN).unwrap();
    table.request((Index(5), 0), session, SessionRequest::Close).unwrap();
    let mut again = Vec::new();
    view.encode(&mut again);
    assert_eq!(again, before);
    assert_ne!(bytes_of(&mut table, 0), before);
}

#[test]
fn requests_have_one_encoding_and_others_are_refused() {
    let requests =
        [SessionRequest::Open { ttl_ms: 77 }, SessionRequest::KeepAlive, SessionRequest::Close];
    for request in requests {
        let bytes = request.encode();
        assert_eq!(SessionRequest::decode(&bytes), Ok(request));
        for end in 0..bytes.len() {
            assert!(SessionRequest::decode(&bytes[..end]).is_err(), "{request:?} cut at {end}");
        }
        let longer = [&bytes[..], &[0]].concat();
        assert!(SessionRequest::decode(&longer).is_err());
    }
    let later = WireError::Version { what: "session", found: 2, known: 1 };
    assert_eq!(SessionRequest::decode(&[2, 1]), Err(later));
    assert!(SessionRequest::decode(&[1, 4]).is_err());
}

/// Sessions with everything that a table can hold, in its encoding.
fn sample() -> Vec<u8> {
    let mut table = SessionTable::new(TIGHT);
    let session = table.request((Index(3), 50), SessionId::NONE, OPEN).unwrap();
    table.request((Index(9), 60), SessionId::NONE, OPEN).unwrap();
    call(&mut table, (10, 70), session, (2, 1), b"two");
    call(&mut table, (11, 70), session, (4, 1), &[0; 300]);
    call(&mut table, (12, 71), session, (3, 1), b"");
    bytes_of(&mut table, 71)
}

#[test]
fn a_table_has_one_encoding() {
    let bytes = sample();
    let mut table = SessionTable::decode(&bytes, TIGHT).unwrap();
    assert_eq!(bytes_of(&mut table, 71), bytes);
    assert_eq!(call(&mut table, (13, 72), SessionId(3), (2, 1), b"x"), duplicate(b"two"));
    let lost = Verdict::Fault(SessionFault::ReplyLost);
    assert_eq!(call(&mut table, (14, 72), SessionId(3), (4, 1), b"x"), lost);
    // The format does not change by itself: version, id, time to live, heard of, acknowledged.
    let head = [
        &[1][..],
        &3_u64.to_le_bytes(),
        &1000_u64.to_le_bytes(),
        &71_u64.to_le_bytes(),
        &12_u64.to_le_bytes(),
        &1_u32.to_le_bytes(),
        &3_u32.to_le_bytes(),
        &2_u32.to_le_bytes(),
        &[1],
        &3_u32.to_le_bytes(),
        b"two",
        &3_u32.to_le_bytes(),
        &[1],
        &0_u32.to_le_bytes(),
        &4_u32.to_le_bytes(),
        &[0],
        &9_u64.to_le_bytes(),
    ]
    .concat();
    assert_eq!(bytes[..head.len()], head);
}

#[test]
fn a_table_from_bytes_that_nobody_checked_is_whole_or_none() {
    let bytes = sample();
    let ends: Vec<usize> = (0..bytes.len())
        .filter(|end| SessionTable::decode(&bytes[..*end], TIGHT).is_ok())
        .collect();
    assert_eq!(ends, [1, bytes.len() - 40], "only between two sessions");
    for at in 0..bytes.len() {
        for value in [0, 1, 2, 0x7f, 0x80, 0xff] {
            let mut wrong = bytes.clone();
            wrong[at] = value;
            if let Ok(mut table) = SessionTable::decode(&wrong, TIGHT) {
                // What is taken is a table like any other, and within its bounds.
                assert!(table.bytes() <= TIGHT.total_bytes, "byte {at} as {value}");
                assert_eq!(bytes_of(&mut table, 0), wrong, "byte {at} as {value}");
            }
        }
    }
    let less = SessionLimits { total_bytes: 2 * table::SESSION_BYTES - 1, ..TIGHT };
    assert!(SessionTable::decode(&bytes, less).is_err(), "more than the limits allow");
}

/// Replies by their sequence; none where it was not kept.
type Replies = BTreeMap<u32, Option<Vec<u8>>>;

/// The rules again, without any order that is kept: of each session its time to live, when and by
/// which entry it was heard of last, what is acknowledged, and the replies.
#[derive(Debug, Default)]
struct Naive(BTreeMap<u64, (u64, u64, u64, u32, Replies)>);

impl Naive {
    fn bytes_of(replies: &Replies) -> usize {
        let of = |reply: &Option<Vec<u8>>| 32 + reply.as_ref().map_or(0, Vec::len);
        256 + replies.values().map(of).sum::<usize>()
    }

    fn bytes(&self) -> usize {
        self.0.values().map(|(.., replies)| Self::bytes_of(replies)).sum()
    }

    fn expire(&mut self, now: u64) {
        self.0.retain(|_, (ttl, seen, ..)| *seen + *ttl > now);
    }

    fn make_room(&mut self, spared: u64) {
        while self.bytes() > TIGHT.total_bytes {
            let others = self.0.iter().filter(|(id, _)| **id != spared);
            let Some((id, _)) = others.min_by_key(|(_, (_, _, at, ..))| *at) else { return };
            let id = *id;
            self.0.remove(&id);
        }
    }

    fn call(&mut self, at: (u64, u64), id: u64, stamp: (u32, u32), reply: &[u8]) -> Verdict {
        self.expire(at.1);
        let (sequence, acknowledged) = stamp;
        let Some((_, seen, seen_at, held, replies)) = self.0.get_mut(&id) else { return EXPIRED };
        (*seen, *seen_at) = (at.1, at.0);
        *held = (*held).max(acknowledged);
        replies.retain(|at, _| *at > *held);
        if sequence <= *held {
            return ACKNOWLEDGED;
        }
        match replies.get(&sequence) {
            Some(Some(reply)) => return duplicate(reply),
            Some(None) => return Verdict::Fault(SessionFault::ReplyLost),
            None if sequence - *held > TIGHT.window => {
                return Verdict::Fault(SessionFault::Crowded);
            }
            None => {}
        }
        let fits = Self::bytes_of(replies) + 32 + reply.len() <= TIGHT.session_bytes;
        replies.insert(sequence, fits.then(|| reply.to_vec()));
        self.make_room(id);
        Verdict::Execute
    }

    fn request(&mut self, at: (u64, u64), id: u64, request: SessionRequest) -> bool {
        self.expire(at.1);
        match request {
            SessionRequest::Open { ttl_ms } => {
                self.0.insert(at.0, (ttl_ms.max(MIN_TTL_MS), at.1, at.0, 0, BTreeMap::new()));
                self.make_room(at.0);
                true
            }
            SessionRequest::KeepAlive => self.0.get_mut(&id).is_some_and(|session| {
                (session.1, session.2) = (at.1, at.0);
                true
            }),
            SessionRequest::Close => self.0.remove(&id).is_some(),
        }
    }
}

/// One entry of a log, or something that must make no difference.
#[derive(Clone, Debug)]
enum Step {
    Open {
        ttl_ms: u64,
    },
    KeepAlive {
        session: usize,
    },
    Close {
        session: usize,
    },
    Call {
        session: usize,
        sequence: u32,
        acknowledged: u32,
        bytes: usize,
    },
    /// Time passes.
    Wait(u64),
    /// One of the two tables forgets what has expired before it is asked.
    Tidy,
    /// One of them goes through a snapshot.
    Snapshot,
    /// A view is held from here on.
    View,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (500_u64..2_500).prop_map(|ttl_ms| Step::Open { ttl_ms }),
        1 => (0_usize..4).prop_map(|session| Step::KeepAlive { session }),
        1 => (0_usize..8).prop_map(|session| Step::Close { session }),
        8 => (0_usize..4, 1_u32..8, 0_u32..6, 0_usize..120).prop_map(
            |(session, sequence, acknowledged, bytes)| {
                Step::Call { session, sequence, acknowledged, bytes }
            }
        ),
        2 => (1_u64..900).prop_map(Step::Wait),
        1 => Just(Step::Tidy),
        1 => Just(Step::Snapshot),
        1 => Just(Step::View),
    ]
}

proptest! {
    /// Two tables that are told the same entries are the same, whatever happens to one of them in
    /// between, and are what the rules say.
    #[test]
    fn the_table_is_a_function_of_the_log(steps in prop::collection::vec(step(), 1..120)) {
        let (mut one, mut other) = (SessionTable::new(TIGHT), SessionTable::new(TIGHT));
        let mut naive = Naive::default();
        let (mut index, mut now) = (0, 0);
        let mut opened: Vec<u64> = vec![0];
        let mut views = Vec::new();
        for step in steps {
            index += 1;
            let place = (Index(index), now);
            // The sessions opened last are the ones that are asked of most.
            let of = |back: usize| opened[opened.len().saturating_sub(1 + back)];
            let mut request = |id: u64, request| {
                let told = one.request(place, SessionId(id), request);
                prop_assert_eq!(told, other.request(place, SessionId(id), request));
                prop_assert_eq!(told.is_ok(), naive.request((index, now), id, request));
                Ok(())
            };
            match step {
                Step::Open { ttl_ms } => {
                    request(0, SessionRequest::Open { ttl_ms })?;
                    opened.push(index);
                }
                Step::KeepAlive { session } => request(of(session), SessionRequest::KeepAlive)?,
                Step::Close { session } => request(of(session), SessionRequest::Close)?,
                Step::Call { session, sequence, acknowledged, bytes } => {
                    let reply = vec![u8::try_from(index % 251).unwrap(); bytes];
                    let stamp = (sequence, acknowledged.min(sequence));
                    let (at, id) = ((index, now), SessionId(of(session)));
                    let told = call(&mut one, at, id, stamp, &reply);
                    prop_assert_eq!(&told, &call(&mut other, at, id, stamp, &reply));
                    prop_assert_eq!(told, naive.call(at, id.0, stamp, &reply));
                }
                Step::Wait(ms) => now += ms,
                Step::Tidy => other.expire(now),
                Step::Snapshot => {
                    other = SessionTable::decode(&bytes_of(&mut other, now), TIGHT).unwrap();
                }
                Step::View => views.push(other.view(now)),
            }
        }
        prop_assert_eq!(bytes_of(&mut one, now), bytes_of(&mut other, now));
        naive.expire(now);
        prop_assert_eq!((one.len(), one.bytes()), (naive.0.len(), naive.bytes()));
    }
}
