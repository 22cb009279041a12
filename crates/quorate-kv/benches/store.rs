//! The store at a million keys: `cargo bench -p quorate-kv`, or with another number of keys as an
//! argument: `cargo bench -p quorate-kv -- 100000`.
//!
//! Keys have 20 bytes, values 256. Every figure is the best of three passes, because other work on
//! the machine can only make them worse. Memory is that of the process, on Linux.

#![allow(clippy::print_stdout, reason = "a benchmark prints")]
#![allow(clippy::disallowed_types, reason = "a benchmark reads the clock")]
#![allow(clippy::cast_precision_loss, clippy::float_arithmetic, reason = "figures are printed")]

use std::hint::black_box;
use std::time::Instant;

use quorate::Codec;
use quorate_kv::{
    Command, Compare, CompareTarget, KeyRange, Operation, Put, Range, Relation, Revision, Store,
    Txn,
};

const VALUE: [u8; 256] = [7; 256];

/// A bijection of numbers, so that keys come in an order that looks random.
const fn scatter(number: u64) -> u64 {
    let mut mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^= mixed >> 29;
    mixed = mixed.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed ^ (mixed >> 32)
}

fn key(number: u64) -> Vec<u8> {
    format!("key/{:016x}", scatter(number)).into_bytes()
}

fn put(number: u64) -> Command {
    Command::Put(Put::new(&key(number), &VALUE))
}

fn resident_bytes() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    statm.split(' ').nth(1)?.parse::<u64>().ok().map(|pages| pages * 4096)
}

fn report(name: &str, count: u64, mut pass: impl FnMut(u64)) {
    let best = (0..3)
        .map(|round| {
            let start = Instant::now();
            pass(round);
            start.elapsed().as_secs_f64() * 1e9 / count as f64
        })
        .reduce(f64::min)
        .unwrap_or(f64::NAN);
    println!("{name:<44} {best:>12.0} ns");
}

fn main() {
    let keys = std::env::args().find_map(|word| word.parse().ok()).unwrap_or(1_000_000);
    println!("{keys} keys; nanoseconds per item");
    let mut events = Vec::new();
    let mut store = Store::default();
    let before = resident_bytes();

    let start = Instant::now();
    for number in 0..keys {
        store.apply(put(number), &mut events);
        events.clear();
    }
    let each = start.elapsed().as_secs_f64() * 1e9 / keys as f64;
    println!("{:<44} {each:>12.0} ns", "put of a key that is not there");
    if let (Some(before), Some(after)) = (before, resident_bytes()) {
        println!("{:<44} {:>12} bytes per key", "memory", (after - before) / keys);
    }

    let loaded = store.view();
    let sample = keys.min(200_000);
    write(&mut store, keys, sample);
    read(&store, keys, sample);

    // An old revision has no counts to rely on: all keys behind the first are walked over.
    report("page of 1000 at an old revision, all counted", 3, |round| {
        for number in 0..3 {
            let from = KeyRange::new(&key(number + round), b"l");
            let range = Range::new(from).limit(1000).at(loaded.revision());
            black_box(store.as_view().range(&range)).ok();
        }
    });
    drop(loaded);
    compact(&mut store);
}

fn write(store: &mut Store, keys: u64, sample: u64) {
    let mut events = Vec::new();
    let mut encoded = Vec::new();
    report("put of a key that is there, from bytes", sample, |round| {
        for number in 0..sample {
            encoded.clear();
            put(scatter(number + round) % keys).encode(&mut encoded).expect("a put has bytes");
            let command = Command::decode(&encoded).expect("what was encoded decodes");
            store.apply(command, &mut events);
            events.clear();
        }
    });
    let mut view = store.view();
    report("the same, with a view taken every 100", sample, |round| {
        for number in 0..sample {
            if number % 100 == 0 {
                view = store.view();
            }
            store.apply(put(scatter(number + round) % keys), &mut events);
            events.clear();
        }
    });
    drop(view);
    report("transaction: compare, put, else get", sample, |round| {
        for number in 0..sample {
            let key = key(scatter(number + round) % keys);
            let target = CompareTarget::Version(1);
            let txn = Txn {
                compares: vec![Compare::key(&key, Relation::Equal, target)],
                success: vec![Operation::Put(Put::new(&key, &VALUE))],
                failure: vec![Operation::Range(Range::key(&key))],
            };
            black_box(store.apply(Command::Txn(txn), &mut events)).result.ok();
            events.clear();
        }
    });
}

fn read(store: &Store, keys: u64, sample: u64) {
    report("get", sample, |round| {
        for number in 0..sample {
            let range = Range::key(&key(scatter(number + round) % keys));
            black_box(store.as_view().range(&range)).ok();
        }
    });
    report("get at an old revision", sample, |round| {
        let at = Revision(store.as_view().revision().get() / 2);
        for number in 0..sample {
            let range = Range::key(&key(scatter(number + round) % keys)).at(at);
            black_box(store.as_view().range(&range)).ok();
        }
    });
    report("page of 1000, all counted", sample / 1000, |round| {
        for number in 0..sample / 1000 {
            let from = KeyRange::new(&key(number + round), b"l");
            black_box(store.as_view().range(&Range::new(from).limit(1000))).ok();
        }
    });
    report("count of everything", 100, |_| {
        let mut range = Range::new(KeyRange::prefix(b"key/"));
        range.count_only = true;
        (0..100).for_each(|_| drop(black_box(store.as_view().range(&range))));
    });
    report("view", 1000, |_| (0..1000).for_each(|_| drop(black_box(store.view()))));
    report("digest of everything, per version", store.as_view().stats().versions, |_| {
        black_box(store.as_view().digest(Revision::ZERO)).ok();
    });
}

/// Compacts everything; prints the longest that any command took.
fn compact(store: &mut Store) {
    let mut longest = 0.0_f64;
    let mut commands = vec![Command::Compact(store.as_view().revision())];
    let versions = store.as_view().stats().versions;
    let start = Instant::now();
    while store.as_view().stats().versions > store.as_view().stats().keys {
        let command = commands.pop().unwrap_or_else(|| Command::Put(Put::new(b"", b"")));
        let start = Instant::now();
        black_box(store.apply(command, &mut Vec::new())).result.ok();
        longest = longest.max(start.elapsed().as_secs_f64());
    }
    let dropped = versions - store.as_view().stats().versions;
    let each = start.elapsed().as_secs_f64() * 1e9 / dropped as f64;
    println!("{:<44} {each:>12.0} ns", "compaction, per version dropped");
    println!("{:<44} {:>12.0} ns", "compaction, longest command", longest * 1e9);
}
