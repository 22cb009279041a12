//! Compares ordered maps as the heart of the store: a million keys of 20 bytes, values of 256.
//!
//! Every map holds the same thing, one shared allocation per version, ordered by the key in it.
//! Each candidate runs in a process of its own, so that memory is its own too. Without an argument
//! the program runs all candidates in turn, five times over, and prints the best of each figure:
//! other work on the machine can only make them worse.

#![allow(dead_code, reason = "the store's own modules offer more than this needs")]

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::process::Command;

#[path = "../../../../crates/quorate-kv/src"]
mod kv {
    pub(crate) mod key_value;
    pub(crate) mod revision;
    pub(crate) mod tree;
}
use kv::key_value::{self, KeyValue, Stamp};
use kv::revision;
use kv::tree::{ByKey, Position, Tree};

const KEYS: u64 = 1_000_000;
const VALUE: [u8; 256] = [7; 256];
const RUNS: usize = 5;
const CANDIDATES: [&str; 4] = ["tree", "imbl", "rpds", "btree"];
const COLUMNS: [&str; 8] = [
    "load, random order [k/s]",
    "load, rising order [k/s]",
    "overwrite [k/s]",
    "overwrite, view per 100 [k/s]",
    "get [k/s]",
    "range of 1000 [M keys/s]",
    "count of 100,000 [us]",
    "memory, keys and values included [B/key]",
];

/// Which columns are the better the smaller.
const IS_COST: [bool; 8] = [false, false, false, false, false, false, true, true];

/// A version that is ordered by its key.
#[derive(Clone)]
struct Entry(KeyValue);

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.0.key() == other.0.key()
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.key().cmp(other.0.key())
    }
}

impl Borrow<[u8]> for Entry {
    fn borrow(&self) -> &[u8] {
        self.0.key()
    }
}

/// What the store asks of a map.
trait Map: Default {
    fn put(&mut self, kv: KeyValue);
    fn get(&self, key: &[u8]) -> Option<&KeyValue>;
    /// Sums something of so many versions from a key on.
    fn range(&self, from: &[u8], many: usize) -> usize;
    fn count(&self, from: &[u8], end: &[u8]) -> usize;
    /// A copy that later puts do not change; `None` where there is none.
    fn view(&self) -> Option<Self>;
}

impl Map for Tree<ByKey> {
    fn put(&mut self, kv: KeyValue) {
        self.insert(kv);
    }

    fn get(&self, key: &[u8]) -> Option<&KeyValue> {
        self.get(Position::first_of(key))
    }

    fn range(&self, from: &[u8], many: usize) -> usize {
        let first = self.rank(Position::first_of(from));
        let end = self.len().min(first + many);
        self.iter(first..end).map(|kv| kv.value().len()).sum()
    }

    fn count(&self, from: &[u8], end: &[u8]) -> usize {
        self.rank(Position::first_of(end)) - self.rank(Position::first_of(from))
    }

    fn view(&self) -> Option<Self> {
        Some(self.clone())
    }
}

impl Map for imbl::OrdMap<Entry, KeyValue> {
    fn put(&mut self, kv: KeyValue) {
        self.insert(Entry(kv.clone()), kv);
    }

    fn get(&self, key: &[u8]) -> Option<&KeyValue> {
        self.get(key)
    }

    fn range(&self, from: &[u8], many: usize) -> usize {
        self.range::<_, [u8]>((std::ops::Bound::Included(from), std::ops::Bound::Unbounded))
            .take(many)
            .map(|(_, kv)| kv.value().len())
            .sum()
    }

    fn count(&self, from: &[u8], end: &[u8]) -> usize {
        self.range::<_, [u8]>((std::ops::Bound::Included(from), std::ops::Bound::Excluded(end)))
            .count()
    }

    fn view(&self) -> Option<Self> {
        Some(self.clone())
    }
}

impl Map for rpds::RedBlackTreeMapSync<Entry, ()> {
    fn put(&mut self, kv: KeyValue) {
        self.insert_mut(Entry(kv), ());
    }

    fn get(&self, key: &[u8]) -> Option<&KeyValue> {
        self.get_key_value(key).map(|(entry, ())| &entry.0)
    }

    fn range(&self, from: &[u8], many: usize) -> usize {
        self.range::<[u8], _>((std::ops::Bound::Included(from), std::ops::Bound::Unbounded))
            .take(many)
            .map(|(entry, ())| entry.0.value().len())
            .sum()
    }

    fn count(&self, from: &[u8], end: &[u8]) -> usize {
        self.range::<[u8], _>((std::ops::Bound::Included(from), std::ops::Bound::Excluded(end)))
            .count()
    }

    fn view(&self) -> Option<Self> {
        Some(self.clone())
    }
}

/// The standard map has no views: it shows what giving them up would gain.
impl Map for BTreeMap<Entry, KeyValue> {
    fn put(&mut self, kv: KeyValue) {
        self.insert(Entry(kv.clone()), kv);
    }

    fn get(&self, key: &[u8]) -> Option<&KeyValue> {
        self.get(key)
    }

    fn range(&self, from: &[u8], many: usize) -> usize {
        self.range::<[u8], _>((std::ops::Bound::Included(from), std::ops::Bound::Unbounded))
            .take(many)
            .map(|(_, kv)| kv.value().len())
            .sum()
    }

    fn count(&self, from: &[u8], end: &[u8]) -> usize {
        self.range::<[u8], _>((std::ops::Bound::Included(from), std::ops::Bound::Excluded(end)))
            .count()
    }

    fn view(&self) -> Option<Self> {
        None
    }
}

/// A bijection of numbers, so that keys come in an order that looks random.
const fn scatter(number: u64) -> u64 {
    let mut mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^= mixed >> 29;
    mixed = mixed.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed ^ (mixed >> 32)
}

fn key(number: u64) -> [u8; 20] {
    let mut key = *b"key/0000000000000000";
    let mut rest = number;
    for digit in key[4..].iter_mut().rev() {
        *digit = b"0123456789abcdef"[(rest & 15) as usize];
        rest >>= 4;
    }
    key
}

fn version(number: u64) -> KeyValue {
    KeyValue::assemble(&key(number), &VALUE, Stamp::default())
}

fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok());
    pages.expect("a number of pages") * 4096
}

/// Nanoseconds that this process was on a core: what others do on the machine counts less.
fn busy() -> u64 {
    let text = std::fs::read_to_string("/proc/self/schedstat").expect("Linux");
    text.split(' ').next().and_then(|word| word.parse().ok()).expect("a number")
}

/// Items per second on a core.
fn rate(count: u64, work: impl FnOnce()) -> f64 {
    let start = busy();
    work();
    count as f64 / ((busy() - start) as f64 / 1e9)
}

fn measure<M: Map>() -> [f64; 8] {
    let before = resident();
    let mut map = M::default();
    let load = rate(KEYS, || (0..KEYS).for_each(|i| map.put(version(scatter(i)))));
    let memory = (resident() - before) as f64 / KEYS as f64;

    let overwrite = rate(KEYS, || {
        (0..KEYS).for_each(|i| map.put(version(scatter(scatter(i) % KEYS))));
    });
    let mut view = map.view();
    let viewed = if view.is_some() {
        rate(KEYS / 4, || {
            for i in 0..KEYS / 4 {
                if i % 100 == 0 {
                    view = map.view();
                }
                map.put(version(scatter(scatter(i) % KEYS)));
            }
        })
    } else {
        f64::NAN
    };
    drop(view);
    let get = rate(KEYS, || {
        for i in 0..KEYS {
            black_box(map.get(&key(scatter(scatter(i) % KEYS))));
        }
    });
    let range = rate(KEYS * 4, || {
        for i in 0..KEYS * 4 / 1000 {
            black_box(map.range(&key(scatter(i)), 1000));
        }
    });
    // A tenth of all keys, wherever it begins; long enough for the clock, which ticks.
    let tenth = u64::MAX / 10;
    let (start, mut counts) = (busy(), 0.0);
    while busy() - start < 200_000_000 {
        for i in 0..100 {
            let from = scatter(i) / 10 * 8;
            black_box(map.count(&key(from), &key(from + tenth)));
        }
        counts += 100.0;
    }
    let count = (busy() - start) as f64 / counts;
    drop(map);

    let mut map = M::default();
    let rising = rate(KEYS, || (0..KEYS).for_each(|i| map.put(version(i))));
    [
        load / 1e3,
        rising / 1e3,
        overwrite / 1e3,
        viewed / 1e3,
        get / 1e3,
        range / 1e6,
        count / 1e3,
        memory,
    ]
}

fn main() {
    let print = |figures: [f64; 8]| {
        figures.iter().for_each(|figure| print!("{figure:.2} "));
        println!();
    };
    match std::env::args().nth(1).as_deref() {
        Some("tree") => print(measure::<Tree<ByKey>>()),
        Some("imbl") => print(measure::<imbl::OrdMap<Entry, KeyValue>>()),
        Some("rpds") => print(measure::<rpds::RedBlackTreeMapSync<Entry, ()>>()),
        Some("btree") => print(measure::<BTreeMap<Entry, KeyValue>>()),
        _ => compare(),
    }
}

/// Runs every candidate in turn, several times over, and prints the best of each figure.
fn compare() {
    let program = std::env::current_exe().expect("this program has a path");
    let mut figures = vec![vec![Vec::new(); COLUMNS.len()]; CANDIDATES.len()];
    for _ in 0..RUNS {
        for (candidate, columns) in CANDIDATES.iter().zip(&mut figures) {
            let run = Command::new(&program).arg(candidate).output().expect("it starts");
            let text = String::from_utf8(run.stdout).expect("it prints numbers");
            for (word, column) in text.split_whitespace().zip(columns) {
                column.push(word.parse::<f64>().unwrap_or(f64::NAN));
            }
        }
    }
    println!("| | {} |", CANDIDATES.join(" | "));
    println!("|---|{}", "---|".repeat(CANDIDATES.len()));
    for (i, name) in COLUMNS.iter().enumerate() {
        print!("| {name} |");
        for columns in &figures {
            let best = if IS_COST[i] { f64::min } else { f64::max };
            print!(" {:.1} |", columns[i].iter().copied().reduce(best).unwrap_or(f64::NAN));
        }
        println!();
    }
}
