//! The habits of etcd that its clients rely on, one test each.

use quorate_kv::{
    Alarm, AlarmChange, AlarmKind, Append, AppendReply, Command, Compare, CompareTarget,
    DeleteRange, ErrorCode, KeyRange, KvError, LeaseId, MAX_APPENDED_BYTES, MAX_TXN_OPERATIONS,
    Operation, Outcome, Put, Range, RangeReply, Relation, Reply, Revision, SortOrder, SortTarget,
    Store, Txn, TxnReply,
};

/// A store with short words for what the tests do.
#[derive(Default)]
struct Kv(Store);

impl Kv {
    /// A store with these keys, put in this order; values equal keys.
    fn with(keys: &[&str]) -> Self {
        let mut kv = Self::default();
        keys.iter().for_each(|key| assert!(kv.put(key, key).result.is_ok()));
        kv
    }

    fn apply(&mut self, command: Command) -> Reply {
        self.0.apply(command, &mut Vec::new())
    }

    fn put(&mut self, key: &str, value: &str) -> Reply {
        self.apply(Command::Put(Put::new(key.as_bytes(), value.as_bytes())))
    }

    fn delete(&mut self, range: KeyRange) -> u64 {
        match self.apply(Command::DeleteRange(DeleteRange::new(range))).result {
            Ok(Outcome::DeleteRange(delete)) => delete.deleted,
            other => panic!("{other:?}"),
        }
    }

    fn compact(&mut self, revision: i64) -> Result<Outcome, KvError> {
        self.apply(Command::Compact(Revision(revision))).result
    }

    fn txn(&mut self, txn: Txn) -> Result<TxnReply, KvError> {
        self.apply(Command::Txn(txn)).result.map(|outcome| match outcome {
            Outcome::Txn(txn) => txn,
            other => panic!("{other:?}"),
        })
    }

    fn range(&self, range: &Range) -> Result<RangeReply, KvError> {
        self.0.view().range(range)
    }

    fn value(&self, key: &str) -> Option<String> {
        let read = self.range(&Range::key(key.as_bytes())).unwrap();
        read.kvs.first().map(|kv| String::from_utf8(kv.value().to_vec()).unwrap())
    }

    fn revision(&self) -> i64 {
        self.0.view().revision().get()
    }

    /// Create revision, mod revision and version of a key.
    fn numbers(&self, key: &str) -> (i64, i64, i64) {
        let read = self.range(&Range::key(key.as_bytes())).unwrap();
        let kv = &read.kvs[0];
        (kv.create_revision().get(), kv.mod_revision().get(), kv.version())
    }
}

fn all() -> Range {
    Range::new(KeyRange::new(b"\0", b"\0"))
}

fn keys(read: &RangeReply) -> Vec<String> {
    read.kvs.iter().map(|kv| String::from_utf8(kv.key().to_vec()).unwrap()).collect()
}

fn put(key: &str) -> Operation {
    Operation::Put(Put::new(key.as_bytes(), b"txn"))
}

fn delete(key: &str, end: &str) -> Operation {
    let range = KeyRange::new(key.as_bytes(), end.as_bytes());
    Operation::DeleteRange(DeleteRange::new(range))
}

fn does(success: Vec<Operation>) -> Txn {
    Txn { success, ..Txn::default() }
}

fn nested(success: Vec<Operation>, failure: Vec<Operation>) -> Operation {
    Operation::Txn(Txn { compares: vec![], success, failure })
}

// Revisions.

#[test]
fn a_store_starts_at_revision_1_and_its_first_write_is_revision_2() {
    let mut kv = Kv::default();
    assert_eq!(kv.revision(), 1);
    assert_eq!(kv.put("k", "v").revision, Revision(2));
}

#[test]
fn a_transaction_makes_one_revision_whatever_it_writes() {
    let mut kv = Kv::with(&["x"]);
    let reply = kv.txn(does(vec![put("a"), put("b"), delete("x", "")])).unwrap();
    assert_eq!((reply.revision, kv.revision()), (Revision(3), 3));
    assert_eq!((kv.numbers("a"), kv.numbers("b")), ((3, 3, 1), (3, 3, 1)));
}

#[test]
fn what_writes_nothing_makes_no_revision() {
    let mut kv = Kv::with(&["k"]);
    assert_eq!(kv.delete(KeyRange::single(b"absent")), 0);
    kv.txn(does(vec![Operation::Range(all()), delete("absent", "")])).unwrap();
    kv.txn(Txn::default()).unwrap();
    kv.compact(2).unwrap();
    assert!(kv.put("", "v").result.is_err());
    assert_eq!(kv.revision(), 2);
}

#[test]
fn a_key_counts_its_puts_and_starts_again_after_a_deletion() {
    let mut kv = Kv::with(&["k", "k", "k"]);
    assert_eq!(kv.numbers("k"), (2, 4, 3));
    assert_eq!(kv.delete(KeyRange::single(b"k")), 1);
    kv.put("k", "v");
    assert_eq!(kv.numbers("k"), (6, 6, 1));
}

#[test]
fn a_read_answers_the_revision_of_the_store_and_not_the_one_it_read() {
    let kv = Kv::with(&["k", "k"]);
    let read = kv.range(&Range::key(b"k").at(Revision(2))).unwrap();
    assert_eq!((read.revision, read.kvs[0].version()), (Revision(3), 1));
    let miss = kv.range(&Range::key(b"absent")).unwrap();
    assert_eq!((miss.revision, miss.count), (Revision(3), 0));
}

// Reads.

#[test]
fn a_range_end_has_its_special_meanings() {
    let kv = Kv::with(&["a", "aa", "ab", "b", "c"]);
    let table: [(&[u8], &[u8], &[&str]); 8] = [
        (b"a", b"", &["a"]),
        (b"a", b"b", &["a", "aa", "ab"]),
        (b"ab", b"\0", &["ab", "b", "c"]),
        (b"\0", b"\0", &["a", "aa", "ab", "b", "c"]),
        (b"c", b"a", &[]),
        (b"a", b"a", &[]),
        (b"b", b"\0\0", &[]),
        (b"aaa", b"", &[]),
    ];
    for (key, end, expected) in table {
        let read = kv.range(&Range::new(KeyRange::new(key, end))).unwrap();
        assert_eq!(keys(&read), expected, "{key:?} to {end:?}");
    }
}

#[test]
fn the_count_ignores_limit_and_filters_and_more_means_that_the_limit_cut() {
    let kv = Kv::with(&["a", "b", "c", "d"]);
    let limited = kv.range(&all().limit(2)).unwrap();
    assert_eq!((keys(&limited).len(), limited.more, limited.count), (2, true, 4));
    let exact = kv.range(&all().limit(4)).unwrap();
    assert_eq!((keys(&exact).len(), exact.more, exact.count), (4, false, 4));

    let mut filtered = all().limit(1);
    filtered.max_create_revision = 2;
    let read = kv.range(&filtered).unwrap();
    assert_eq!((keys(&read), read.more, read.count), (vec!["a".to_owned()], false, 4));
    filtered.max_create_revision = 3;
    assert!(kv.range(&filtered).unwrap().more);
}

#[test]
fn counting_only_returns_no_keys_and_keys_only_returns_no_values() {
    let kv = Kv::with(&["a", "b"]);
    let mut count_only = all().limit(1);
    count_only.count_only = true;
    let read = kv.range(&count_only).unwrap();
    assert_eq!((read.kvs.len(), read.more, read.count), (0, false, 2));

    let mut keys_only = all();
    keys_only.keys_only = true;
    keys_only.sort_target = SortTarget::Value;
    keys_only.sort_order = SortOrder::Descend;
    let read = kv.range(&keys_only).unwrap();
    assert_eq!(keys(&read), ["b", "a"], "the values still order");
    assert!(read.kvs.iter().all(|kv| kv.value().is_empty() && kv.version() == 1));
}

#[test]
fn a_read_sorts_before_it_limits() {
    let mut kv = Kv::default();
    for (key, value) in [("c", "1"), ("a", "3"), ("b", "2"), ("c", "1")] {
        kv.put(key, value);
    }
    let table = [
        (SortTarget::Key, SortOrder::None, ["a", "b"]),
        (SortTarget::Key, SortOrder::Descend, ["c", "b"]),
        (SortTarget::Value, SortOrder::None, ["c", "b"]),
        (SortTarget::Value, SortOrder::Descend, ["a", "b"]),
        (SortTarget::CreateRevision, SortOrder::Ascend, ["c", "a"]),
        (SortTarget::ModRevision, SortOrder::Ascend, ["a", "b"]),
        (SortTarget::ModRevision, SortOrder::Descend, ["c", "b"]),
        (SortTarget::Version, SortOrder::Descend, ["c", "a"]),
        (SortTarget::Version, SortOrder::None, ["a", "b"]),
    ];
    for (target, order, expected) in table {
        let mut range = all().limit(2);
        (range.sort_target, range.sort_order) = (target, order);
        let read = kv.range(&range).unwrap();
        assert_eq!((keys(&read), read.more), (expected.map(str::to_owned).to_vec(), true));
    }
}

#[test]
fn revision_filters_include_their_bounds() {
    let kv = Kv::with(&["a", "b", "c", "a"]); // a: created 2, modified 5; b: 3; c: 4
    let read = |set: fn(&mut Range)| {
        let mut range = all();
        set(&mut range);
        keys(&kv.range(&range).unwrap()).concat()
    };
    assert_eq!(read(|range| range.min_mod_revision = 4), "ac");
    assert_eq!(read(|range| range.max_mod_revision = 4), "bc");
    assert_eq!(read(|range| range.min_create_revision = 3), "bc");
    assert_eq!(read(|range| range.max_create_revision = 3), "ab");
}

#[test]
fn a_read_at_an_old_revision_sees_what_was_there() {
    let mut kv = Kv::with(&["a", "b"]); // revisions 2 and 3
    kv.delete(KeyRange::prefix(b"")); // 4
    kv.put("b", "again"); // 5
    let at = |revision| keys(&kv.range(&all().at(Revision(revision))).unwrap()).concat();
    assert_eq!([1, 2, 3, 4, 5, 0, -3].map(at), ["", "a", "ab", "", "b", "b", "b"]);
}

#[test]
fn a_read_of_a_key_with_a_long_history_finds_its_revision() {
    let mut kv = Kv::with(&["a", "z"]);
    (0..100).for_each(|i| assert!(kv.put("m", &i.to_string()).result.is_ok()));
    kv.delete(KeyRange::single(b"m"));
    let read = kv.range(&all().at(Revision(53))).unwrap();
    assert_eq!(keys(&read), ["a", "m", "z"]);
    assert_eq!((read.kvs[1].value(), read.count), (&b"49"[..], 3));
    assert_eq!(keys(&kv.range(&all().at(Revision(104))).unwrap()), ["a", "z"]);
}

#[test]
fn reads_beyond_the_last_revision_and_below_the_compacted_one_are_refused() {
    let mut kv = Kv::with(&["k", "k", "k"]); // 2, 3, 4
    kv.compact(3).unwrap();
    let read = |revision| kv.range(&all().at(Revision(revision))).map(|read| read.count);
    assert_eq!(read(5), Err(KvError::FutureRevision));
    assert_eq!(read(2), Err(KvError::Compacted));
    assert_eq!(read(3), Ok(1), "the compacted revision itself is readable");
    assert_eq!(read(0), Ok(1));
}

// Appends.

#[test]
fn an_append_adds_to_what_is_there_and_has_a_limit() {
    let mut kv = Kv::with(&["k"]); // 2
    let mut append =
        |key: &[u8], suffix: &[u8]| kv.apply(Command::Append(Append::new(key, suffix))).result;
    let appended = |revision, length| {
        Ok(Outcome::Append(AppendReply { revision: Revision(revision), length }))
    };
    assert_eq!(append(b"new", b"one"), appended(3, 3));
    assert_eq!(append(b"new", b"two"), appended(4, 6));
    assert_eq!(append(b"", b"x"), Err(KvError::KeyNotProvided));
    let rest = vec![b'x'; MAX_APPENDED_BYTES - 6];
    assert_eq!(append(b"new", &rest), appended(5, MAX_APPENDED_BYTES as u64));
    assert_eq!(append(b"new", b"x"), Err(KvError::ValueTooLarge), "and nothing is changed");
    assert_eq!(append(b"new", b""), appended(6, MAX_APPENDED_BYTES as u64));
    assert!(kv.value("new").unwrap().starts_with("onetwox"));
}

// Compaction.

#[test]
fn only_a_revision_between_the_compacted_and_the_last_can_be_compacted() {
    let mut kv = Kv::with(&["k", "k", "k"]); // 2, 3, 4
    assert_eq!(kv.compact(0), Err(KvError::Compacted));
    assert_eq!(kv.compact(-1), Err(KvError::Compacted));
    assert_eq!(kv.compact(5), Err(KvError::FutureRevision));
    assert_eq!(kv.compact(3), Ok(Outcome::Compact));
    assert_eq!(kv.compact(3), Err(KvError::Compacted));
    assert_eq!(kv.compact(2), Err(KvError::Compacted));
    assert_eq!(kv.compact(4), Ok(Outcome::Compact));
}

#[test]
fn a_compaction_keeps_what_the_compacted_revision_sees() {
    let mut kv = Kv::with(&["a", "b", "a", "gone"]); // 2, 3, 4, 5
    kv.delete(KeyRange::single(b"gone")); // 6
    kv.put("a", "last"); // 7
    let versions = |kv: &Kv| kv.0.view().stats().versions;
    assert_eq!(versions(&kv), 6);
    kv.compact(6).unwrap();
    // What is left: a at 4 and 7, b at 3.
    assert_eq!(versions(&kv), 3);
    assert_eq!(keys(&kv.range(&all().at(Revision(6))).unwrap()), ["a", "b"]);
    assert_eq!(kv.value("a"), Some("last".to_owned()));
}

#[test]
fn a_view_outlives_the_compaction_of_its_revision() {
    let mut kv = Kv::with(&["k"]);
    let view = kv.0.view();
    kv.put("k", "later");
    kv.compact(3).unwrap();
    assert_eq!(view.range(&Range::key(b"k")).unwrap().kvs[0].value(), b"k");
    assert_eq!(view.compact_revision(), None);
}

// Puts and deletions.

#[test]
fn a_put_returns_the_version_it_replaced_only_if_asked() {
    let mut kv = Kv::with(&["k"]);
    let previous = |kv: &mut Kv, put: Put| match kv.apply(Command::Put(put)).result {
        Ok(Outcome::Put(put)) => put.previous.map(|kv| kv.value().to_vec()),
        other => panic!("{other:?}"),
    };
    assert_eq!(previous(&mut kv, Put::new(b"k", b"2")), None);
    assert_eq!(previous(&mut kv, Put::new(b"k", b"3").with_previous()), Some(b"2".to_vec()));
    assert_eq!(previous(&mut kv, Put::new(b"new", b"1").with_previous()), None);
}

#[test]
fn a_put_can_keep_value_or_lease_of_a_key_that_is_there() {
    let mut kv = Kv::with(&["k"]);
    let mut touch = Put::new(b"k", b"");
    touch.ignore_value = true;
    assert!(kv.apply(Command::Put(touch)).result.is_ok());
    assert_eq!((kv.value("k"), kv.numbers("k")), (Some("k".to_owned()), (2, 3, 2)));

    let mut with_value = Put::new(b"k", b"v");
    with_value.ignore_value = true;
    let mut absent = Put::new(b"absent", b"");
    absent.ignore_value = true;
    let mut absent_lease = Put::new(b"absent", b"v");
    absent_lease.ignore_lease = true;
    let mut with_lease = Put::new(b"k", b"v");
    with_lease.ignore_lease = true;
    with_lease.lease = LeaseId(1);
    let mut unknown_lease = Put::new(b"k", b"v");
    unknown_lease.lease = LeaseId(1);
    for (put, error) in [
        (with_value, KvError::ValueProvided),
        (absent, KvError::KeyNotFound),
        (absent_lease, KvError::KeyNotFound),
        (with_lease, KvError::LeaseProvided),
        (unknown_lease, KvError::LeaseNotFound),
    ] {
        assert_eq!(kv.apply(Command::Put(put)).result, Err(error));
    }
    assert_eq!(kv.revision(), 3, "none of them had an effect");
}

#[test]
fn a_deletion_returns_what_it_deleted_only_if_asked() {
    let mut kv = Kv::with(&["a", "b", "c", "d"]);
    let delete = DeleteRange::new(KeyRange::new(b"a", b"c")).with_previous();
    let Ok(Outcome::DeleteRange(reply)) = kv.apply(Command::DeleteRange(delete)).result else {
        panic!("not deleted")
    };
    assert_eq!((reply.deleted, reply.revision), (2, Revision(6)));
    assert_eq!(reply.previous.iter().map(|kv| kv.key()).collect::<Vec<_>>(), [b"a", b"b"]);
    assert_eq!(kv.delete(KeyRange::from_key(b"\0")), 2);
    assert_eq!(kv.0.view().stats().keys, 0);
}

// Transactions.

#[test]
fn comparisons_hold_as_in_etcd() {
    use CompareTarget::{CreateRevision, Lease, ModRevision, Value, Version};
    use Relation::{Equal, Greater, Less, NotEqual};

    let mut kv = Kv::with(&["k", "k", "other"]); // k: created 2, modified 3, version 2
    let text = |text: &[u8]| Value(text.into());
    let table = [
        ("k", Equal, Version(2), true),
        ("k", NotEqual, Version(2), false),
        ("k", Greater, Version(1), true),
        ("k", Greater, Version(2), false),
        ("k", Less, Version(3), true),
        ("k", Less, Version(2), false),
        ("k", Equal, CreateRevision(2), true),
        ("k", Equal, ModRevision(3), true),
        ("k", Equal, ModRevision(2), false),
        ("k", Equal, Lease(0), true),
        ("k", Equal, text(b"k"), true),
        ("k", NotEqual, text(b"k"), false),
        ("k", Greater, text(b"a"), true),
        ("k", Less, text(b"kk"), true),
        ("absent", Equal, Version(0), true),
        ("absent", Equal, CreateRevision(0), true),
        ("absent", Equal, ModRevision(0), true),
        ("absent", Equal, Lease(0), true),
        ("absent", Greater, ModRevision(-1), true),
        ("absent", Equal, text(b""), false),
        ("absent", NotEqual, text(b"x"), false),
        ("absent", Less, text(b"x"), false),
    ];
    for (key, relation, target, expected) in table {
        let compare = Compare::key(key.as_bytes(), relation, target);
        let txn = Txn { compares: vec![compare.clone()], ..Txn::default() };
        assert_eq!(kv.txn(txn).unwrap().succeeded, expected, "{compare:?}");
    }
}

#[test]
fn a_comparison_of_a_range_holds_for_every_key_and_an_empty_range_is_an_absent_key() {
    let mut kv = Kv::with(&["a", "b", "b"]);
    let mut holds = |range: KeyRange, relation, target| {
        let compares = vec![Compare { range, relation, target }];
        kv.txn(Txn { compares, ..Txn::default() }).unwrap().succeeded
    };
    let (ab, empty) = (KeyRange::new(b"a", b"c"), KeyRange::new(b"x", b"z"));
    assert!(holds(ab.clone(), Relation::Greater, CompareTarget::Version(0)));
    assert!(!holds(ab, Relation::Equal, CompareTarget::Version(1)), "b has version 2");
    assert!(holds(empty.clone(), Relation::Equal, CompareTarget::Version(0)));
    assert!(!holds(empty, Relation::NotEqual, CompareTarget::Value(b"v".as_slice().into())));
}

#[test]
fn without_comparisons_the_success_branch_runs_and_one_that_fails_takes_the_other() {
    let mut kv = Kv::default();
    assert!(kv.txn(does(vec![])).unwrap().succeeded);
    let absent = Compare::key(b"k", Relation::Equal, CompareTarget::Version(0));
    let exists = Compare::key(b"k", Relation::Greater, CompareTarget::Version(0));
    let txn = Txn {
        compares: vec![absent, exists],
        success: vec![put("wrong")],
        failure: vec![put("right")],
    };
    assert!(!kv.txn(txn).unwrap().succeeded);
    assert_eq!((kv.value("wrong"), kv.value("right")), (None, Some("txn".to_owned())));
}

#[test]
fn operations_of_a_branch_see_what_earlier_ones_wrote() {
    let mut kv = Kv::with(&["k", "x"]);
    let read = |key: &[u8]| Operation::Range(Range::key(key));
    let at = |revision| Operation::Range(Range::key(b"k").at(Revision(revision)));
    let operations = vec![read(b"k"), put("k"), read(b"k"), at(3), delete("x", ""), read(b"x")];
    let reply = kv.txn(does(operations)).unwrap();
    let seen: Vec<_> = reply
        .outcomes
        .iter()
        .filter_map(|outcome| match outcome {
            Outcome::Range(range) => {
                Some((range.revision.get(), range.kvs.first().map(|kv| kv.value().to_vec())))
            }
            _ => None,
        })
        .collect();
    let (old, new) = (Some(b"k".to_vec()), Some(b"txn".to_vec()));
    assert_eq!(seen, [(3, old.clone()), (4, new), (4, old), (4, None)]);
}

#[test]
fn comparisons_of_nested_transactions_look_at_the_state_before_the_outermost() {
    let mut kv = Kv::default();
    let absent = Compare::key(b"k", Relation::Equal, CompareTarget::Version(0));
    let inner = Txn { compares: vec![absent], success: vec![put("absent")], failure: vec![] };
    let reply = kv.txn(does(vec![put("k"), Operation::Txn(inner)])).unwrap();
    let Outcome::Txn(inner) = &reply.outcomes[1] else { panic!("not a transaction") };
    assert!(inner.succeeded);
    assert_eq!((inner.revision, kv.numbers("absent")), (Revision(2), (2, 2, 1)));
}

#[test]
fn branches_are_taken_by_the_transaction_that_they_belong_to() {
    // The first nested transaction has one of its own, so that a mix-up of the order would show.
    let mut kv = Kv::with(&["here"]);
    let if_here = |yes: Vec<Operation>, no: Vec<Operation>, holds: bool| {
        let relation = if holds { Relation::Greater } else { Relation::Equal };
        let compares = vec![Compare::key(b"here", relation, CompareTarget::Version(0))];
        Operation::Txn(Txn { compares, success: yes, failure: no })
    };
    let deep = if_here(vec![put("no1")], vec![put("yes1")], false);
    let first = if_here(vec![deep, put("yes2")], vec![put("no2")], true);
    let second = if_here(vec![put("no3")], vec![put("yes3")], false);
    kv.txn(does(vec![first, second])).unwrap();
    assert_eq!(keys(&kv.range(&all()).unwrap()), ["here", "yes1", "yes2", "yes3"]);
}

#[test]
fn a_branch_that_writes_a_key_twice_is_refused() {
    let table = [
        ("two puts", vec![put("k"), put("k")], true),
        ("a put and its deletion", vec![put("k"), delete("k", "")], true),
        ("a deletion and a put", vec![delete("k", ""), put("k")], true),
        ("a deletion of a range around a put", vec![put("k"), delete("a", "z")], true),
        ("a deletion without end around a put", vec![put("k"), delete("a", "\0")], true),
        ("a put inside of merged ranges", vec![delete("a", "k"), delete("k", "l"), put("k")], true),
        ("a put at the end of a range", vec![delete("a", "k"), put("k")], false),
        ("a put before a range", vec![put("a"), delete("b", "\0")], false),
        ("a put and an inverted range", vec![put("k"), delete("z", "a")], false),
        ("two deletions", vec![delete("k", ""), delete("a", "z"), delete("b", "c")], false),
        (
            "a put behind a range within another",
            vec![delete("a", "z"), delete("c", "e"), put("k")],
            true,
        ),
        (
            "a put behind a range that begins before another",
            vec![delete("c", "z"), delete("a", "e"), put("k")],
            true,
        ),
        ("a put between two ranges", vec![delete("a", "c"), delete("m", "z"), put("k")], false),
    ];
    check_overlaps(table.to_vec());
}

#[test]
fn nested_branches_that_write_a_key_twice_are_refused() {
    let table = [
        (
            "a put before its nested deletion",
            vec![put("k"), nested(vec![delete("k", "")], vec![])],
            true,
        ),
        (
            "a put before a nested deletion around it",
            vec![put("k"), nested(vec![], vec![delete("a", "\0")])],
            true,
        ),
        ("a put after a nested put", vec![nested(vec![put("k")], vec![]), put("k")], true),
        ("a put before a nested put", vec![put("k"), nested(vec![], vec![put("k")])], true),
        (
            "puts in two nested transactions",
            vec![nested(vec![put("k")], vec![]), nested(vec![], vec![put("k")])],
            true,
        ),
        (
            "a put and a deletion in two nested transactions",
            vec![nested(vec![put("k")], vec![]), nested(vec![], vec![delete("a", "z")])],
            true,
        ),
        (
            "a deletion and a put in two nested transactions",
            vec![nested(vec![delete("a", "z")], vec![]), nested(vec![put("k")], vec![])],
            true,
        ),
        (
            "a nested put in a deleted range",
            vec![delete("a", "z"), nested(vec![put("k")], vec![])],
            true,
        ),
        (
            "puts in branches that exclude each other",
            vec![nested(vec![put("k")], vec![put("k")])],
            false,
        ),
        (
            "a put and a deletion in branches that exclude each other",
            vec![nested(vec![put("k")], vec![delete("a", "z")])],
            false,
        ),
    ];
    check_overlaps(table.to_vec());
}

/// Each case: its name, the operations of a branch, whether they are refused.
fn check_overlaps(table: Vec<(&str, Vec<Operation>, bool)>) {
    for (name, operations, is_refused) in table {
        let txn = does(operations.clone());
        let expected = if is_refused { Err(KvError::DuplicateKey) } else { Ok(()) };
        assert_eq!(txn.validate(), expected, "{name}");
        let mut kv = Kv::default();
        assert_eq!(kv.txn(txn).map(|_| ()), expected, "{name}");
        let never = Txn { failure: operations, ..Txn::default() };
        assert_eq!(never.validate(), expected, "{name}, in the branch that does not run");
    }
}

#[test]
fn a_transaction_with_an_operation_that_fails_has_no_effect_at_all() {
    let mut kv = Kv::with(&["k"]);
    kv.put("k", "2");
    kv.compact(3).unwrap();
    let mut touch = Put::new(b"absent", b"");
    touch.ignore_value = true;
    let mut leased = Put::new(b"leased", b"v");
    leased.lease = LeaseId(9);
    let before = kv.0.view().digest(Revision::ZERO).unwrap();
    let table = [
        (Operation::Range(Range::key(b"k").at(Revision(4))), KvError::FutureRevision),
        (Operation::Range(Range::key(b"k").at(Revision(2))), KvError::Compacted),
        (Operation::Put(touch), KvError::KeyNotFound),
        (Operation::Put(leased), KvError::LeaseNotFound),
    ];
    for (operation, error) in table {
        let inner = nested(vec![operation.clone()], vec![]);
        for failing in [operation, inner] {
            let mut events = Vec::new();
            let txn = does(vec![put("a"), delete("k", ""), failing]);
            let reply = kv.0.apply(Command::Txn(txn), &mut events);
            assert_eq!((reply.revision, reply.result), (Revision(3), Err(error)));
            assert!(events.is_empty());
        }
    }
    assert_eq!(kv.0.view().digest(Revision::ZERO), Ok(before));
}

#[test]
fn what_would_fail_in_the_other_branch_does_no_harm() {
    let mut kv = Kv::default();
    let future = Operation::Range(Range::key(b"k").at(Revision(9)));
    let txn = Txn { success: vec![put("k")], failure: vec![future], ..Txn::default() };
    assert!(kv.txn(txn).unwrap().succeeded);
}

#[test]
fn operations_are_limited_to_128_and_nested_ones_to_what_that_leaves() {
    let puts = |count: usize| (0..count).map(|i| put(&format!("k{i}"))).collect::<Vec<_>>();
    let reads = |count: usize| vec![Operation::Range(all()); count];
    let compares =
        |count| vec![Compare::key(b"k", Relation::Equal, CompareTarget::Version(0)); count];
    let most = MAX_TXN_OPERATIONS;
    assert_eq!(most, 128);
    let table = [
        (Txn { compares: compares(most), success: puts(most), failure: puts(most) }, true),
        (Txn { compares: compares(most + 1), ..Txn::default() }, false),
        (Txn { success: puts(most + 1), ..Txn::default() }, false),
        (Txn { failure: puts(most + 1), ..Txn::default() }, false),
        (does(vec![nested(reads(most - 1), vec![])]), true),
        (does(vec![nested(reads(most), vec![])]), false),
        (does(vec![nested(vec![], reads(most - 2)), nested(reads(most - 2), vec![])]), true),
        (does(vec![nested(vec![], reads(most - 1)), nested(reads(most - 2), vec![])]), false),
        (does(vec![nested(vec![nested(reads(most - 2), vec![])], vec![])]), true),
        (does(vec![nested(vec![nested(reads(most - 1), vec![])], vec![])]), false),
        (
            Txn {
                compares: compares(100),
                success: vec![nested(reads(28), vec![])],
                failure: vec![],
            },
            true,
        ),
        (
            Txn {
                compares: compares(100),
                success: vec![nested(reads(29), vec![])],
                failure: vec![],
            },
            false,
        ),
    ];
    for (i, (txn, is_allowed)) in table.into_iter().enumerate() {
        let expected = if is_allowed { Ok(()) } else { Err(KvError::TooManyOperations) };
        assert_eq!(txn.validate(), expected, "row {i}");
    }
}

#[test]
fn an_empty_key_is_refused_wherever_it_stands() {
    let error = Err(KvError::KeyNotProvided);
    let empty = KeyRange::new(b"", b"z");
    assert_eq!(Command::Put(Put::new(b"", b"v")).validate(), error);
    assert_eq!(Command::DeleteRange(DeleteRange::new(empty.clone())).validate(), error);
    assert_eq!(Range::new(empty.clone()).validate(), error);
    assert_eq!(Kv::default().range(&Range::new(empty.clone())).map(|_| ()), error);
    let target = CompareTarget::Version(0);
    let compare = Compare { range: empty.clone(), relation: Relation::Equal, target };
    let table = [
        Txn { compares: vec![compare], ..Txn::default() },
        does(vec![put("")]),
        Txn {
            failure: vec![nested(vec![Operation::Range(Range::new(empty))], vec![])],
            ..Txn::default()
        },
    ];
    for txn in table {
        assert_eq!(txn.validate(), error, "{txn:?}");
    }
}

#[test]
fn while_space_is_used_up_only_what_takes_none_is_executed() {
    let mut kv = Kv::default();
    let put = || Command::Put(Put::new(b"k", b"1"));
    kv.apply(put()).result.unwrap();
    let alarms = [1, 2].map(|member| Alarm { kind: AlarmKind::NoSpace, member });
    for alarm in [alarms[0], alarms[1], alarms[0]] {
        let raised = kv.apply(Command::Alarm(AlarmChange::Raise(alarm)));
        assert_eq!(
            (raised.revision, raised.result),
            (Revision(2), Ok(Outcome::Alarms(vec![alarm])))
        );
    }
    let txn = |success| Command::Txn(Txn { success, ..Txn::default() });
    let nested = Txn { failure: vec![Operation::Put(Put::new(b"k", b"2"))], ..Txn::default() };
    assert_eq!(kv.apply(put()).result, Err(KvError::NoSpace));
    assert_eq!(kv.apply(txn(vec![Operation::Txn(nested)])).result, Err(KvError::NoSpace));
    kv.apply(txn(vec![Operation::Range(Range::key(b"k"))])).result.unwrap();
    kv.apply(Command::DeleteRange(DeleteRange::key(b"k"))).result.unwrap();
    kv.apply(Command::Compact(Revision(2))).result.unwrap();

    let clear = |alarm| Command::Alarm(AlarmChange::Clear(alarm));
    assert_eq!(kv.apply(clear(alarms[0])).result, Ok(Outcome::Alarms(vec![alarms[0]])));
    assert_eq!(kv.apply(clear(alarms[0])).result, Ok(Outcome::Alarms(vec![])));
    assert_eq!(kv.apply(put()).result, Err(KvError::NoSpace), "another member has none left");
    kv.apply(clear(alarms[1])).result.unwrap();
    kv.apply(put()).result.unwrap();

    let differs = Alarm { kind: AlarmKind::Corrupt, member: 1 };
    kv.apply(Command::Alarm(AlarmChange::Raise(differs))).result.unwrap();
    let delete = Command::DeleteRange(DeleteRange::key(b"k"));
    for command in [put(), delete, txn(vec![]), Command::Compact(Revision(3))] {
        assert_eq!(kv.apply(command).result, Err(KvError::Corrupt));
    }
    kv.apply(clear(differs)).result.unwrap();
    kv.apply(put()).result.unwrap();
}

#[test]
fn errors_have_the_text_and_the_class_that_etcd_gives_them() {
    use ErrorCode::{
        DataLoss, FailedPrecondition, InvalidArgument, NotFound, OutOfRange, ResourceExhausted,
    };
    let table = [
        (KvError::KeyNotProvided, InvalidArgument, "etcdserver: key is not provided"),
        (KvError::KeyNotFound, InvalidArgument, "etcdserver: key not found"),
        (KvError::ValueProvided, InvalidArgument, "etcdserver: value is provided"),
        (KvError::LeaseProvided, InvalidArgument, "etcdserver: lease is provided"),
        (
            KvError::TooManyOperations,
            InvalidArgument,
            "etcdserver: too many operations in txn request",
        ),
        (KvError::DuplicateKey, InvalidArgument, "etcdserver: duplicate key given in txn request"),
        (KvError::InvalidSortOption, InvalidArgument, "etcdserver: invalid sort option"),
        (KvError::Compacted, OutOfRange, "etcdserver: mvcc: required revision has been compacted"),
        (
            KvError::FutureRevision,
            OutOfRange,
            "etcdserver: mvcc: required revision is a future revision",
        ),
        (KvError::LeaseNotFound, NotFound, "etcdserver: requested lease not found"),
        (KvError::NoSpace, ResourceExhausted, "etcdserver: mvcc: database space exceeded"),
        (KvError::Corrupt, DataLoss, "etcdserver: corrupt cluster"),
        (
            KvError::ValueTooLarge,
            FailedPrecondition,
            "quorate: the value would have more than 1048576 bytes",
        ),
    ];
    for (error, code, text) in table {
        assert_eq!((error.code(), error.to_string().as_str()), (code, text));
    }
}
