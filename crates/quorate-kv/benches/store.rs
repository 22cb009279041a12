//! The store at a million keys: `cargo bench -p quorate-kv --bench store [-- --short] [--keys N]`.
//!
//! Keys have 20 bytes, values 256. Passes over everything take turns, so that a disturbance hits one
//! pass of many figures and not all passes of one. Memory is that of the process, on Linux.

#![allow(missing_docs, unreachable_pub, reason = "a benchmark")]
#![allow(clippy::print_stdout, reason = "a benchmark prints")]
#![allow(clippy::cast_possible_truncation, clippy::disallowed_methods, reason = "as above")]
#![allow(clippy::disallowed_types, reason = "a benchmark reads the clock")]
#![allow(clippy::cast_precision_loss, clippy::float_arithmetic, reason = "figures are printed")]

#[path = "../../../benches/measuring.rs"]
mod measuring;

use std::hint::black_box;
use std::time::Instant;

use measuring::{Effort, Machine, Samples, Table, significant};
use quorate::{Codec, Snapshot, SnapshotView};
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

/// Nanoseconds per item of each measurement, in the order in which they were first made.
#[derive(Default)]
struct Report(Vec<(&'static str, Samples)>);

impl Report {
    fn add(&mut self, name: &'static str, count: u64, pass: impl FnOnce()) {
        let start = Instant::now();
        pass();
        let each = start.elapsed().as_secs_f64() * 1e9 / count as f64;
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, samples)) => samples.push(each),
            None => {
                let mut samples = Samples::new();
                samples.push(each);
                self.0.push((name, samples));
            }
        }
    }

    fn print(&self) {
        let mut table = Table::new(&["operation", "ns per item", "per second"]);
        for (name, samples) in &self.0 {
            let rate = significant(1e9 / samples.median());
            table.row(vec![(*name).to_owned(), samples.show(1.0), rate]);
        }
        table.print();
    }
}

fn main() {
    let effort = Effort::from_arguments(5, 0);
    let keys =
        measuring::number("--keys").unwrap_or(if effort.is_short { 100_000 } else { 1_000_000 });
    let machine =
        Machine::introduce(&format!("the store at {keys} keys of 20 bytes, values of 256"));
    let mut report = Report::default();
    let mut events = Vec::new();
    let mut store = Store::default();
    let before = measuring::resident_bytes();
    report.add("put of a key that is not there", keys, || {
        for number in 0..keys {
            store.apply(put(number), &mut events);
            events.clear();
        }
    });
    let after = measuring::resident_bytes();

    let loaded = store.view();
    let sample = keys.min(200_000);
    for round in 0..effort.rounds as u64 {
        write(&mut store, keys, sample, round, &mut report);
        read(&store, keys, sample, round, &mut report);
        // An old revision has no counts to rely on: all keys behind the first are walked over.
        report.add("page of 1000 at an old revision, all counted", 1, || {
            let from = KeyRange::new(&key(round), b"l");
            let range = Range::new(from).limit(1000).at(loaded.revision());
            black_box(store.as_view().range(&range)).ok();
        });
    }
    drop(loaded);
    report.print();
    if let (Some(before), Some(after)) = (before, after) {
        println!("\nmemory: {} bytes per key", (after - before) / keys);
    }
    snapshots(&effort, keys);
    println!("median [range] of {} rounds; the first put is one pass", effort.rounds);
    compact(&mut store);
    machine.conclude();
}

fn write(store: &mut Store, keys: u64, sample: u64, round: u64, report: &mut Report) {
    let mut events = Vec::new();
    let mut encoded = Vec::new();
    report.add("put of a key that is there, from bytes", sample, || {
        for number in 0..sample {
            encoded.clear();
            put(scatter(number + round) % keys).encode(&mut encoded).expect("a put has bytes");
            let command = Command::decode(&encoded).expect("what was encoded decodes");
            store.apply(command, &mut events);
            events.clear();
        }
    });
    let mut view = store.view();
    report.add("the same, with a view taken every 100", sample, || {
        for number in 0..sample {
            if number % 100 == 0 {
                view = store.view();
            }
            store.apply(put(scatter(number + round) % keys), &mut events);
            events.clear();
        }
    });
    drop(view);
    report.add("transaction: compare, put, else get", sample, || {
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

fn read(store: &Store, keys: u64, sample: u64, round: u64, report: &mut Report) {
    report.add("get", sample, || {
        for number in 0..sample {
            let range = Range::key(&key(scatter(number + round) % keys));
            black_box(store.as_view().range(&range)).ok();
        }
    });
    report.add("get at an old revision", sample, || {
        let at = Revision(store.as_view().revision().get() / 2);
        for number in 0..sample {
            let range = Range::key(&key(scatter(number + round) % keys)).at(at);
            black_box(store.as_view().range(&range)).ok();
        }
    });
    report.add("page of 1000, all counted", sample / 1000, || {
        for number in 0..sample / 1000 {
            let from = KeyRange::new(&key(number + round), b"l");
            black_box(store.as_view().range(&Range::new(from).limit(1000))).ok();
        }
    });
    report.add("count of everything", 100, || {
        let mut range = Range::new(KeyRange::prefix(b"key/"));
        range.count_only = true;
        (0..100).for_each(|_| drop(black_box(store.as_view().range(&range))));
    });
    report.add("view", 1000, || (0..1000).for_each(|_| drop(black_box(store.view()))));
    report.add("digest of everything, per version", store.as_view().stats().versions, || {
        black_box(store.as_view().digest(Revision::ZERO)).ok();
    });
}

/// Writes and reads the store as it was loaded; prints how long that took, the longest that any
/// piece took, and the memory of a store that was read.
fn snapshots(effort: &Effort, keys: u64) {
    let mut loaded = Store::default();
    (0..keys).for_each(|number| drop(loaded.apply(put(number), &mut Vec::new())));
    let mut bytes = Vec::new();
    let (mut views, mut writes, mut longest, mut reads, mut counts) =
        (Samples::new(), Samples::new(), Samples::new(), Samples::new(), Samples::new());
    let mut memory = None;
    for _ in 0..effort.rounds {
        let seconds = |start: Instant| start.elapsed().as_secs_f64();
        let start = Instant::now();
        let mut snapshot = Snapshot::view(&loaded);
        views.push(seconds(start));
        let start = Instant::now();
        black_box(snapshot.bytes());
        counts.push(seconds(start));
        bytes.clear();
        let (start, mut worst) = (Instant::now(), 0.0_f64);
        loop {
            let start = Instant::now();
            let more = snapshot.next(&mut bytes).expect("a store can be written");
            worst = worst.max(seconds(start));
            if !more {
                break;
            }
        }
        writes.push(seconds(start));
        longest.push(worst);
        drop(snapshot);
        let before = measuring::resident_bytes();
        let mut store = Store::default();
        let start = Instant::now();
        store.restore(&mut bytes.as_slice()).expect("what was written can be read");
        reads.push(seconds(start));
        let after = measuring::resident_bytes();
        memory = memory.or_else(|| Some(after?.saturating_sub(before?) / keys));
    }
    println!("\nsnapshot of {keys} keys: {} bytes", bytes.len());
    for (name, samples, scale, unit) in [
        ("view", views, 1e9, "ns"),
        ("counting its bytes", counts, 1e3, "ms"),
        ("writing it to memory", writes, 1e3, "ms"),
        ("longest piece of it", longest, 1e3, "ms"),
        ("reading it from memory", reads, 1e3, "ms"),
    ] {
        println!("{name:<44} {:>20} {unit}", samples.show(scale));
    }
    if let Some(memory) = memory {
        println!("memory of the store that was read first: {memory} bytes per key");
    }
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
