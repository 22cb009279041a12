//! A store that was written and read is the store that was written.

use std::io::{self, Read};

use proptest::prelude::*;
use quorate::{Applying, PIECE_BYTES, Snapshot, SnapshotError, SnapshotView, StateMachine};
use quorate_core::{EntryId, Index, Term};
use quorate_kv::{
    Alarm, AlarmChange, AlarmKind, Command, DeleteRange, Event, EventSink, KeyRange, KvError,
    KvMachine, NoSink, Operation, Put, Range, Revision, Store, StoreSnapshot, Txn, View,
};

use crate::commands::{command, range};

fn pieces(mut snapshot: StoreSnapshot) -> Vec<Vec<u8>> {
    let mut pieces = Vec::new();
    loop {
        let mut piece = Vec::new();
        let more = snapshot.next(&mut piece).unwrap();
        pieces.push(piece);
        if !more {
            assert!(!snapshot.next(&mut Vec::new()).unwrap(), "the last piece stays the last");
            return pieces;
        }
    }
}

fn bytes(view: &View) -> Vec<u8> {
    let snapshot = view.snapshot();
    let length = snapshot.bytes();
    let bytes = pieces(snapshot).concat();
    assert_eq!(length, bytes.len() as u64, "the length is known before");
    bytes
}

fn restored(mut bytes: &[u8]) -> Store {
    let mut store = Store::default();
    store.restore(&mut bytes).unwrap();
    store
}

fn refused(mut bytes: &[u8]) -> SnapshotError {
    let mut store = Store::default();
    put(&mut store, b"before", b"1");
    let error = store.restore(&mut bytes).expect_err("it is refused");
    assert_eq!(store.view().stats(), Store::default().view().stats(), "nothing is left");
    error
}

fn put(store: &mut Store, key: &[u8], value: &[u8]) {
    store.apply(Command::Put(Put::new(key, value)), &mut Vec::new()).result.unwrap();
}

/// Changes nothing, and sweeps.
fn sweep(store: &mut Store) {
    store.apply(Command::Put(Put::new(b"", b"")), &mut Vec::new()).result.unwrap_err();
}

/// Alike to every reader.
fn assert_alike(one: &Store, other: &Store, ranges: &[Range]) {
    let (one, other) = (one.view(), other.view());
    assert_eq!(one.revision(), other.revision());
    assert_eq!(one.compact_revision(), other.compact_revision());
    assert_eq!(one.stats().keys, other.stats().keys);
    assert!(one.alarms().eq(other.alarms()));
    let first = one.compact_revision().map_or(0, Revision::get);
    for revision in (first..=one.revision().get() + 1).map(Revision) {
        assert_eq!(one.digest(revision), other.digest(revision), "at {revision}");
        for range in ranges {
            let at = range.clone().at(revision);
            assert_eq!(one.range(&at), other.range(&at), "{at:?}");
        }
    }
    assert!(bytes(&one) == bytes(&other), "the same state has the same bytes");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn a_restored_store_is_the_store_to_whatever_follows(
        before in prop::collection::vec((command(), prop::bool::weighted(0.2)), 0..60),
        after in prop::collection::vec(command(), 0..20),
        ranges in prop::collection::vec(range(), 6),
    ) {
        let (mut store, mut swept) = (Store::default(), Store::default());
        for (command, sweeps) in before {
            store.apply(command.clone(), &mut Vec::new());
            swept.apply(command, &mut Vec::new());
            if sweeps {
                sweep(&mut swept);
            }
        }
        let mut other = restored(&bytes(&store.view()));
        assert_alike(&store, &other, &ranges);
        prop_assert!(bytes(&store.view()) == bytes(&swept.view()), "sweeping does not show");
        for command in after {
            let (mut events, mut other_events) = (Vec::new(), Vec::new());
            let reply = store.apply(command.clone(), &mut events);
            prop_assert_eq!(other.apply(command, &mut other_events), reply);
            prop_assert_eq!(other_events, events);
        }
        assert_alike(&store, &other, &ranges);
    }

    #[test]
    fn bytes_that_are_taken_are_those_that_would_be_written(
        commands in prop::collection::vec(command(), 0..40),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 1..4),
    ) {
        let mut store = Store::default();
        for command in commands {
            store.apply(command, &mut Vec::new());
        }
        let mut changed = bytes(&store.view());
        for (at, byte, how) in changes {
            let at = at.index(changed.len());
            match how {
                0 => changed[at] = byte,
                1 => changed[at] ^= 1 << (byte % 8),
                2 => changed.insert(at, byte),
                _ => changed.truncate(at.max(1)),
            }
        }
        let mut other = Store::default();
        if other.restore(&mut changed.as_slice()).is_ok() {
            prop_assert!(bytes(&other.view()) == changed);
            // What was taken is whole: it can be read and changed.
            sweep(&mut other);
            let all = Range::new(KeyRange::prefix(b""));
            other.view().range(&all).unwrap();
            other.apply(Command::Compact(other.view().revision()), &mut Vec::new());
            let delete = DeleteRange::new(KeyRange::prefix(b""));
            let deleted = other.apply(Command::DeleteRange(delete), &mut Vec::new()).result;
            prop_assert!(deleted.is_ok() || deleted == Err(KvError::Corrupt));
        } else {
            prop_assert_eq!(other.view().stats(), Store::default().view().stats());
        }
    }

    #[test]
    fn noise_is_refused(noise in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut store = Store::default();
        if store.restore(&mut noise.as_slice()).is_ok() {
            prop_assert!(bytes(&store.view()) == noise);
        }
        let with_head = [&[1, 200, 1, 0, 0], noise.as_slice()].concat();
        if store.restore(&mut with_head.as_slice()).is_ok() {
            prop_assert!(bytes(&store.view()) == with_head);
        }
    }
}

#[test]
fn the_bytes_are_those_of_the_format() {
    let mut store = Store::default();
    assert_eq!(bytes(&store.view()), [1, 1, 0, 0, 128, 0, 0]);
    put(&mut store, b"key/a", b"1");
    put(&mut store, b"key/b", b"old");
    put(&mut store, b"key/b", b"new");
    store.apply(Command::DeleteRange(DeleteRange::key(b"key/a")), &mut Vec::new());
    store.apply(Command::Compact(Revision(3)), &mut Vec::new());
    let alarm = Alarm { kind: AlarmKind::NoSpace, member: 7 };
    store.apply(Command::Alarm(AlarmChange::Raise(alarm)), &mut Vec::new());
    let mut expected = vec![1, 5, 3, 1, 1, 7];
    expected.extend([4, 0, 5, b'k', b'e', b'y', b'/', b'a', 2, 0, 1, 1, b'1']);
    expected.extend([3, 3]);
    expected.extend([4, 4, 1, b'b', 3, 0, 1, 3, b'o', b'l', b'd']);
    expected.extend([1, 1, 1, 2, 3, b'n', b'e', b'w']);
    expected.extend([128, 1, 3]);
    assert_eq!(bytes(&store.view()), expected);
    assert_alike(&store, &restored(&expected), &[]);
}

fn delete(store: &mut Store, prefix: &[u8]) {
    let doomed = DeleteRange::new(KeyRange::prefix(prefix));
    store.apply(Command::DeleteRange(doomed), &mut Vec::new()).result.unwrap();
}

/// Many keys and versions, large values, marks, and a compaction of which not all is swept.
fn large() -> Store {
    let mut store = Store::default();
    for number in 0..9000_u32 {
        let key = format!("key/{:04x}", number.wrapping_mul(40_503) % 4000);
        put(&mut store, key.as_bytes(), &vec![number.to_le_bytes()[0]; number as usize % 120]);
        if number == 7000 {
            delete(&mut store, b"key/02");
        }
    }
    put(&mut store, b"huge", &vec![1; 3 * PIECE_BYTES]);
    put(&mut store, b"huge", &vec![2; 2 * PIECE_BYTES]);
    delete(&mut store, b"key/00");
    store.apply(Command::Compact(Revision(8000)), &mut Vec::new()).result.unwrap();
    store
}

#[test]
fn a_store_of_many_pieces_comes_back() {
    let store = large();
    let pieces = pieces(store.view().snapshot());
    assert!(pieces.len() > 5);
    let longest = pieces.iter().map(Vec::len).max().unwrap();
    assert!(longest <= 4 * PIECE_BYTES + 100, "a piece ends behind the value that fills it");
    let other = restored(&pieces.concat());
    let before = store.view().stats();
    let after = other.view().stats();
    assert!(before.versions > after.versions + 2000, "what is not swept is not written");
    assert_eq!(before.keys, after.keys);
    let all = [Range::new(KeyRange::prefix(b"")), Range::new(KeyRange::prefix(b"key/0"))];
    for revision in [8000, 8500, 9001, 9004, 9005].map(Revision) {
        let (one, other) = (store.view(), other.view());
        assert_eq!(one.digest(revision), other.digest(revision));
        let at = all.clone().map(|range| range.at(revision));
        assert!(at.iter().all(|range| one.range(range) == other.range(range)), "at {revision}");
    }
    assert!(bytes(&other.view()) == pieces.concat());
}

#[test]
fn a_snapshot_is_of_its_moment() {
    let mut store = large();
    let before = bytes(&store.view());
    let mut snapshot = Snapshot::view(&store);
    let mut written = Vec::new();
    let mut number = 0_u32;
    while snapshot.next(&mut written).unwrap() {
        for _ in 0..200 {
            put(&mut store, format!("key/{:04x}", number % 5000).as_bytes(), b"later");
            number += 1;
        }
        let compact = Command::Compact(store.view().revision());
        store.apply(compact, &mut Vec::new()).result.unwrap();
    }
    assert!(written == before);
    assert!(bytes(&store.view()) != before);
}

#[test]
fn a_restored_store_can_be_compacted() {
    let (mut store, mut other) = (large(), restored(&bytes(&large().view())));
    for revision in [8500, 9005].map(Revision) {
        for store in [&mut store, &mut other] {
            store.apply(Command::Compact(revision), &mut Vec::new()).result.unwrap();
            (0..400).for_each(|_| sweep(store));
        }
        assert_eq!(store.view().stats(), other.view().stats(), "all is swept in both");
    }
    assert_eq!(other.view().stats().versions, other.view().stats().keys);
}

/// Gives one byte at a time, is interrupted between them, and fails at the end if it is told to.
struct Trickle<'a> {
    bytes: &'a [u8],
    fails: bool,
    interrupted: bool,
}

impl Read for Trickle<'_> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        self.interrupted = !self.interrupted;
        if self.interrupted {
            return Err(io::ErrorKind::Interrupted.into());
        }
        match self.bytes.split_first() {
            Some((&first, rest)) => {
                (room[0], self.bytes) = (first, rest);
                Ok(1)
            }
            None if self.fails => Err(io::Error::other("the disk is gone")),
            None => Ok(0),
        }
    }
}

#[test]
fn bytes_may_come_one_by_one_and_may_fail_to_come() {
    let mut store = Store::default();
    (0..50_u8).for_each(|number| put(&mut store, &[b'k', number % 20], &[number; 40]));
    let bytes = bytes(&store.view());
    let trickle = |bytes, fails| Trickle { bytes, fails, interrupted: false };
    let mut other = Store::default();
    other.restore(&mut trickle(&bytes, false)).unwrap();
    assert_alike(&store, &other, &[]);
    for cut in 0..bytes.len() {
        let error = refused(&bytes[..cut]);
        assert!(matches!(error, SnapshotError::Malformed(_)), "cut at {cut}: {error}");
        let error = other.restore(&mut trickle(&bytes[..cut], true)).unwrap_err();
        assert!(matches!(error, SnapshotError::Read(_)), "cut at {cut}: {error}");
    }
}

#[test]
fn what_no_store_writes_is_refused_and_said() {
    let says = |bytes: &[u8], expected: &str| {
        let error = refused(bytes).to_string();
        assert!(error.contains(expected), "{bytes:?}: {error}");
    };
    says(&[2, 1, 0, 128, 0, 0], "version 2");
    says(&[1, 0, 0, 0, 128, 0, 0], "revisions contradict");
    says(&[1, 1, 2, 0, 128, 0, 0], "revisions contradict");
    let last = [1, 255, 255, 255, 255, 255, 255, 255, 255, 127, 0, 0, 128, 0, 0];
    says(&last, "revisions contradict");
    says(&[1, 1, 0, 0, 128, 1, 0], "other numbers of versions");
    says(&[1, 1, 0, 0, 128, 0, 0, 0], "more follows");
    says(&[1, 1, 0, 1, 3, 7, 128, 0, 0], "alarm of no known kind");
    says(&[1, 1, 0, 2, 1, 7, 1, 7, 128, 0, 0], "alarm that does not follow");
    says(&[1, 1, 0, 2, 2, 7, 1, 7, 128, 0, 0], "alarm that does not follow");
    says(&[1, 1, 0, 0, 16], "no known kind");
    says(&[1, 9, 0, 0, 6, 0, 1, b'k', 2], "no known kind");
    says(&[1, 9, 0, 0, 1, 1], "behind the current one");
    says(&[1, 9, 0, 0, 0, 0, 0, 2, 0, 1, 0], "does not follow");
    says(&[1, 9, 0, 0, 0, 1, 1, b'k', 2, 0, 1, 0], "no possible length");
    says(&[1, 9, 0, 0, 0, 0, 1, b'k', 10, 0, 1, 0], "not made");
    says(&[1, 9, 0, 0, 0, 0, 1, b'k', 1, 0, 1, 0], "not made");
    says(&[1, 9, 0, 0, 0, 0, 1, b'k', 4, 3, 1, 0], "contradict each other, at the key k");
    says(&[1, 9, 0, 0, 0, 0, 1, b'k', 4, 1, 3, 0], "contradict");
    says(&[1, 9, 0, 0, 0, 0, 1, b'k', 4, 1, 0, 0], "contradict");
    says(&[1, 9, 0, 0, 8, 0, 1, b'k', 4, 1, 1, 0, 0], "contradict");
    let first = [1, 9, 5, 0, 0, 0, 1, b'k', 4, 0, 1, 0];
    says(&[&first[..], &[0, 0, 1, b'j', 5, 0, 1, 0]].concat(), "does not follow, at the key k");
    says(&[&first[..], &[0, 0, 2, b'k', b'l', 5, 0, 1, 0]].concat(), "does not follow");
    says(&[&first[..], &[1, 1, 0, 0, 1, 0]].concat(), "behind the current one");
    let replaced = [1, 9, 5, 0, 4, 0, 1, b'k', 4, 0, 1, 0];
    says(&[&replaced[..], &[128]].concat(), "what replaced the last");
    says(&[&replaced[..], &[0, 1, 1, b'l', 5, 0, 1, 0]].concat(), "what replaced a version");
    says(&[&replaced[..], &[1, 1, 1, 0, 2, 0]].concat(), "that no revision sees");
    says(&[&replaced[..], &[1, 0, 1, 0, 2, 0]].concat(), "not made");
    says(&[1, 9, 5, 0, 2, 0, 1, b'k', 5], "a mark that no revision sees");
}

#[test]
fn no_length_is_believed() {
    let longest = [255, 255, 255, 255, 255, 255, 255, 255, 127];
    let key = [&[1, 9, 0, 0, 0, 0][..], &longest, b"key"].concat();
    let value = [&[1, 9, 0, 0, 0, 0, 1, b'k', 4, 0, 1][..], &longest, b"value"].concat();
    // Two gigabytes less one are possible; they are not there.
    let long_key = [1, 9, 0, 0, 0, 0, 255, 255, 255, 255, 7, b'k'];
    for bytes in [&key[..], &value, &long_key] {
        assert!(matches!(refused(bytes), SnapshotError::Malformed(_)));
    }
}

fn applying(number: u64) -> Applying {
    let id = EntryId::new(Index(number), Term(1));
    Applying { id, application_index: number, log_time_ms: 0 }
}

struct Silence;

impl EventSink for Silence {
    fn publish(&mut self, _: Revision, _: &[Event]) {
        panic!("what a snapshot holds was published before");
    }
}

#[test]
fn a_restore_publishes_nothing() {
    let mut machine = KvMachine::new(Silence);
    machine.restore(&mut bytes(&large().view()).as_slice()).unwrap();
    assert_alike(machine.store(), &restored(&bytes(&large().view())), &[]);
}

/// R-ST2: what a snapshot says was executed, and its effects, are of one moment, also between a
/// compaction and the end of its sweep (etcd #13766, #17780).
#[test]
fn r_st2_a_state_is_that_of_exactly_the_commands_before_it() {
    let mut machine = KvMachine::<NoSink>::default();
    let commands: Vec<Command> = (0..3000_u32)
        .map(|number| match number % 1000 {
            999 => Command::Compact(Revision(i64::from(number) - 100)),
            number if number % 10 == 9 => Command::DeleteRange(DeleteRange::key(b"k3")),
            _ => Command::Put(Put::new(format!("k{}", number % 7).as_bytes(), &[1; 50])),
        })
        .collect();
    for (at, command) in (1..).zip(&commands) {
        machine.apply(&applying(at), command.clone());
        if at % 97 > 0 && at % 1000 > 3 {
            continue;
        }
        let mut other = KvMachine::<NoSink>::default();
        let snapshot = bytes(&machine.store().view());
        other.restore(&mut snapshot.as_slice()).unwrap();
        let replayed = {
            let mut replayed = KvMachine::<NoSink>::default();
            for (at, command) in (1..=at).zip(&commands) {
                replayed.apply(&applying(at), command.clone());
            }
            bytes(&replayed.store().view())
        };
        assert!(snapshot == replayed && snapshot == bytes(&other.store().view()), "after {at}");
        assert_eq!(other.store().view().revision(), machine.store().view().revision());
        assert_eq!(
            other.store().view().compact_revision(),
            machine.store().view().compact_revision()
        );
    }
}

/// etcd #18667: a transaction that reads at a compacted revision ends alike on a replica that
/// executed the compaction, has not swept it yet, or was restored behind it.
#[test]
fn a_transaction_at_a_compacted_revision_ends_alike_on_every_replica() {
    let mut store = Store::default();
    (0..5000_u32).for_each(|number| put(&mut store, b"k", &number.to_le_bytes()));
    store.apply(Command::Compact(Revision(4000)), &mut Vec::new()).result.unwrap();
    let mut other = restored(&bytes(&store.view()));
    for revision in [3999, 4000, 4001].map(Revision) {
        let read = Operation::Range(Range::key(b"k").at(revision));
        let write = Operation::Put(Put::new(b"k", b"1"));
        let txn = Txn { success: vec![write, read], ..Txn::default() };
        let reply = store.apply(Command::Txn(txn.clone()), &mut Vec::new());
        assert_eq!(reply.result.is_err(), revision < Revision(4000));
        assert_eq!(other.apply(Command::Txn(txn), &mut Vec::new()), reply);
    }
    let (one, other) = (store.view(), other.view());
    assert_eq!(one.digest(Revision::ZERO), other.digest(Revision::ZERO));
}
