//! Random commands over a handful of keys, so that they meet.

use proptest::prelude::*;
use quorate_kv::{
    Alarm, AlarmChange, AlarmKind, Append, Command, Compare, CompareTarget, DeleteRange, KeyRange,
    LeaseId, Operation, Put, Range, Relation, Revision, SortOrder, SortTarget, Txn,
};

const KEYS: [&[u8]; 9] = [b"a", b"a\0", b"aa", b"ab", b"b", b"b\xff", b"c", b"\xff", b"\0"];

/// The long ones move to the archive when they are replaced.
const VALUES: [&[u8]; 6] = [b"", b"1", b"2", b"22", &[b'1'; 33], &[b'2'; 60]];

fn key() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        60 => prop::sample::select(&KEYS[..]).prop_map(<[u8]>::to_vec),
        1 => Just(Vec::new()),
    ]
}

fn range_end() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        3 => Just(Vec::new()),
        1 => Just(vec![0]),
        3 => prop::sample::select(&KEYS[..]).prop_map(<[u8]>::to_vec),
    ]
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop::sample::select(&VALUES[..]).prop_map(<[u8]>::to_vec)
}

fn lease() -> impl Strategy<Value = i64> {
    prop_oneof![40 => Just(0), 1 => Just(7)]
}

/// Mostly zero, for what is rarely set; else small, since revisions are.
fn rarely() -> impl Strategy<Value = i64> {
    prop_oneof![6 => Just(0_i64), 2 => -1..12_i64]
}

pub fn key_range() -> impl Strategy<Value = KeyRange> {
    prop_oneof![
        6 => (key(), range_end()).prop_map(|(key, end)| KeyRange::new(&key, &end)),
        1 => Just(KeyRange::prefix(b"")),
        1 => prop::sample::select(&KEYS[..]).prop_map(KeyRange::prefix),
    ]
}

pub fn put() -> impl Strategy<Value = Put> {
    let options = (any::<bool>(), prop::bool::weighted(0.1), prop::bool::weighted(0.1));
    (key(), value(), lease(), options).prop_map(|(key, value, lease, options)| {
        // A put that keeps the value mostly brings none.
        let keeps = options.1 && value.len() < 2;
        let mut put = Put::new(&key, if keeps { b"" } else { &value });
        put.lease = LeaseId(lease);
        (put.return_previous, put.ignore_value, put.ignore_lease) = options;
        put
    })
}

pub fn delete_range() -> impl Strategy<Value = DeleteRange> {
    (key_range(), any::<bool>())
        .prop_map(|(range, return_previous)| DeleteRange { range, return_previous })
}

pub fn range() -> impl Strategy<Value = Range> {
    let order = prop::sample::select(&[SortOrder::None, SortOrder::Ascend, SortOrder::Descend][..]);
    let target = prop::sample::select(
        &[
            SortTarget::Key,
            SortTarget::Key,
            SortTarget::Version,
            SortTarget::CreateRevision,
            SortTarget::ModRevision,
            SortTarget::Value,
        ][..],
    );
    let filters = prop_oneof![
        2 => Just([0; 4]),
        1 => [rarely(), rarely(), rarely(), rarely()],
    ];
    let only = (prop::bool::weighted(0.2), prop::bool::weighted(0.2));
    (key_range(), -1..5_i64, rarely(), order, target, only, filters).prop_map(
        |(range, limit, revision, order, target, only, filters)| {
            let mut range = Range::new(range).limit(limit).at(Revision(revision));
            (range.sort_order, range.sort_target) = (order, target);
            (range.keys_only, range.count_only) = only;
            range.min_mod_revision = filters[0];
            range.max_mod_revision = filters[1];
            range.min_create_revision = filters[2];
            range.max_create_revision = filters[3];
            range
        },
    )
}

fn compare() -> impl Strategy<Value = Compare> {
    let relation = prop::sample::select(
        &[Relation::Equal, Relation::NotEqual, Relation::Greater, Relation::Less][..],
    );
    let target = prop_oneof![
        (0..4_i64).prop_map(CompareTarget::Version),
        (0..9_i64).prop_map(CompareTarget::CreateRevision),
        (-1..9_i64).prop_map(CompareTarget::ModRevision),
        lease().prop_map(CompareTarget::Lease),
        value().prop_map(|value| CompareTarget::Value(value.into())),
    ];
    (key_range(), relation, target).prop_map(|(range, relation, target)| Compare {
        range,
        relation,
        target,
    })
}

fn txn_of(operation: BoxedStrategy<Operation>, most: usize) -> BoxedStrategy<Txn> {
    let branch = prop::collection::vec(operation, 0..most);
    (prop::collection::vec(compare(), 0..3), branch.clone(), branch)
        .prop_map(|(compares, success, failure)| Txn { compares, success, failure })
        .boxed()
}

pub fn txn() -> impl Strategy<Value = Txn> {
    let leaf = prop_oneof![
        3 => range().prop_map(Operation::Range),
        5 => put().prop_map(Operation::Put),
        2 => delete_range().prop_map(Operation::DeleteRange),
    ]
    .boxed();
    let mut operation = leaf.clone();
    for _ in 0..2 {
        operation = prop_oneof![
            5 => leaf.clone(),
            1 => txn_of(operation, 3).prop_map(Operation::Txn),
        ]
        .boxed();
    }
    txn_of(operation, 4)
}

/// Mostly taken back, so that most commands are executed.
fn alarm() -> impl Strategy<Value = AlarmChange> {
    let kind = prop::sample::select(&[AlarmKind::NoSpace, AlarmKind::Corrupt][..]);
    (kind, 0..2_u64, prop::bool::weighted(0.2)).prop_map(|(kind, member, raises)| {
        let alarm = Alarm { kind, member };
        if raises { AlarmChange::Raise(alarm) } else { AlarmChange::Clear(alarm) }
    })
}

pub fn command() -> impl Strategy<Value = Command> {
    prop_oneof![
        8 => put().prop_map(Command::Put),
        3 => delete_range().prop_map(Command::DeleteRange),
        6 => txn().prop_map(Command::Txn),
        2 => (key(), value()).prop_map(|(key, suffix)| Command::Append(Append::new(&key, &suffix))),
        1 => (-1..12_i64).prop_map(|revision| Command::Compact(Revision(revision))),
        1 => alarm().prop_map(Command::Alarm),
    ]
}
