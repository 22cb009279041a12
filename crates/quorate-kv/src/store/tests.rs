//! What the store does, command by command.

use proptest::prelude::*;

use super::*;
use crate::command::{Operation, Txn};
use crate::key_range::KeyRange;
use crate::query::Range;

fn put(store: &mut Store, key: u16) {
    store.apply(Command::Put(Put::new(&key.to_be_bytes(), b"value")), &mut Vec::new());
}

/// Sweeps until nothing is left to sweep.
fn sweep_all(store: &mut Store) {
    while store.unswept {
        store.sweep(7);
    }
}

/// Bytes of everything in both trees.
fn weigh(view: &View) -> u64 {
    let current = view.current.iter(0..view.current.len()).map(size).sum::<u64>();
    current + view.history.iter(0..view.history.len()).map(size).sum::<u64>()
}

#[test]
fn a_long_compaction_is_swept_in_portions_by_the_commands_that_follow() {
    let mut store = Store::default();
    let changes = u16::try_from(SWEEP_AT_COMPACTION + 10 * SWEEP_PER_COMMAND).unwrap();
    (0..=changes).for_each(|_| put(&mut store, 1));
    let last = store.view.revision;
    store.apply(Command::Compact(last), &mut Vec::new());
    let after_compaction = store.view.history.len();
    assert!(after_compaction > 0, "the compaction leaves work behind");
    assert!(after_compaction <= 10 * SWEEP_PER_COMMAND, "and has done its portion");

    // A command that changes nothing sweeps as well.
    store.apply(Command::Put(Put::new(b"", b"")), &mut Vec::new());
    assert_eq!(store.view.history.len(), after_compaction - SWEEP_PER_COMMAND);
    (0..20).for_each(|_| put(&mut store, 2));
    assert_eq!(store.view.history.len(), 19, "what is left is younger than the compaction");
    assert!(!store.unswept);
}

#[test]
fn a_second_compaction_during_the_first_one_s_sweep_loses_nothing() {
    let mut store = Store::default();
    (0..4000).for_each(|i| put(&mut store, i % 3));
    store.apply(Command::Compact(Revision(2500)), &mut Vec::new());
    store.apply(Command::Compact(Revision(4000)), &mut Vec::new());
    sweep_all(&mut store);
    // Revision 4000 sees three keys, of which 4001 replaced one.
    assert_eq!((store.view.current.len(), store.view.history.len()), (3, 1));
    assert_eq!(store.view.bytes, weigh(&store.view));
}

#[test]
fn neither_reads_nor_digests_depend_on_what_was_swept() {
    let mut store = Store::default();
    for i in 0..4000_u16 {
        let key = (i % 7).to_be_bytes();
        let command = match i % 5 {
            0 => Command::DeleteRange(DeleteRange::key(&key)),
            _ => Command::Put(Put::new(&key, &i.to_be_bytes())),
        };
        store.apply(command, &mut Vec::new());
    }
    let last = store.view.revision.get();
    let before = store.view();
    store.apply(Command::Compact(Revision(last - 40)), &mut Vec::new());
    let unswept = store.view();
    sweep_all(&mut store);
    let swept = store.view();
    assert!(unswept.history.len() > 10 * swept.history.len(), "there was much to sweep");

    let all = Range::new(KeyRange::prefix(b""));
    for revision in (last - 40..=last).map(Revision) {
        let digest = unswept.digest(revision).unwrap();
        assert_eq!(swept.digest(revision), Ok(digest), "at {revision}");
        let at = all.clone().at(revision);
        let read = before.range(&at);
        assert_eq!((unswept.range(&at), swept.range(&at)), (read.clone(), read), "at {revision}");
        assert!(digest.hash != before.digest(revision).unwrap().hash, "it was compacted");
    }
}

#[test]
fn digests_tell_stores_apart() {
    let digest = |commands: &[Command]| {
        let mut store = Store::default();
        for command in commands {
            store.apply(command.clone(), &mut Vec::new());
        }
        store.view().digest(Revision::ZERO).unwrap().hash
    };
    let put = |key: &[u8], value: &[u8]| Command::Put(Put::new(key, value));
    let stores = [
        vec![],
        vec![put(b"a", b"1")],
        vec![put(b"a", b"2")],
        vec![put(b"b", b"1")],
        vec![put(b"a1", b"")],
        vec![put(b"a", b"1"), put(b"a", b"1")],
        vec![put(b"a", b"1"), Command::DeleteRange(DeleteRange::key(b"a"))],
        vec![put(b"a", b"1"), Command::Compact(Revision(2))],
    ];
    let mut hashes: Vec<_> = stores.iter().map(|commands| digest(commands)).collect();
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), stores.len());
}

#[test]
fn a_put_that_was_decoded_is_kept_in_the_allocation_it_came_in() {
    let mut store = Store::default();
    let put = Put::new(b"key", b"value");
    let place = put.value().as_ptr();
    store.apply(Command::Put(put), &mut Vec::new());
    let kept = store.view.key(b"key").unwrap();
    assert_eq!(kept.value().as_ptr(), place);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn after_a_sweep_exactly_what_a_readable_revision_sees_is_left(
        steps in prop::collection::vec((0..8_u16, 0..10_u8), 1..120),
    ) {
        let mut store = Store::default();
        for (key, what) in steps {
            let command = match what {
                0..=5 => Command::Put(Put::new(&key.to_be_bytes(), &[what])),
                6..=7 => Command::DeleteRange(DeleteRange::key(&key.to_be_bytes())),
                8 => {
                    let both = [key, key + 1].map(|key| {
                        let range = KeyRange::single(&key.to_be_bytes());
                        Operation::DeleteRange(DeleteRange::new(range))
                    });
                    Command::Txn(Txn { success: both.to_vec(), ..Txn::default() })
                }
                _ => Command::Compact(Revision(store.view.revision.get() - i64::from(key))),
            };
            store.apply(command, &mut Vec::new());
            prop_assert_eq!(store.view.bytes, weigh(&store.view));
        }
        sweep_all(&mut store);
        prop_assert_eq!(store.view.bytes, weigh(&store.view));
        let compacted = store.view.compacted;
        let history: Vec<_> = store.view.history.iter(0..store.view.history.len()).collect();
        for (i, kv) in history.iter().enumerate() {
            let current = store.view.key(kv.key());
            let next = history.get(i + 1).copied().filter(|next| next.key() == kv.key());
            let next = next.or(current);
            prop_assert!(
                next.is_none_or(|next| next.mod_revision() > compacted),
                "{:?} is replaced at or below {:?}", kv, compacted
            );
            prop_assert!(!kv.is_tombstone() || kv.mod_revision() > compacted);
        }
    }
}
