//! What the log costs: beside raw overwriting of the same bytes, and opening what it wrote.
//!
//! `cargo bench -p quorate-log --bench log [-- --short] [--directory DIRECTORY]`; the directory
//! decides which device is measured, by default one below cargo's target directory, because
//! temporary directories are often in memory.
//!
//! - Log and raw writing take turns in short windows of the same run, and their ratio is of
//!   neighbouring windows: what disturbs the device disturbs both. Raw writing overwrites a file
//!   that was filled with zeros, as many bytes at a time as the log wrote per sync, each piece with
//!   one `fdatasync`.
//! - Recovery opens a log of a million entries, whose pages are dropped from the system's cache
//!   where it lets that be asked, and reads everything back as a state machine would.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a benchmark"
)]

#[path = "../../../benches/measuring.rs"]
mod measuring;

use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use quorate_core::{ClusterId, EntryKind, Few, HardState, Index, NodeId, PersistToken, Term};
use quorate_log::{
    BlockBuilder, Entries, Envelope, File, Fs, Log, LogConfig, MemoryFs, OpenOptions, OsFs,
    Progress, Write, open_blocking,
};

use measuring::{Effort, Machine, Samples, Table, file_system};

const PAYLOAD: [u8; 256] = [0x5A; 256];
/// Bytes of the file that is overwritten, the size of a segment; it begins again at its end.
const RAW_BYTES: u64 = 64 << 20;

/// Writes and syncs since the count was taken.
#[derive(Debug, Default)]
struct Counts {
    bytes: AtomicU64,
    writes: AtomicU64,
    syncs: AtomicU64,
}

/// The real file system, counted.
#[derive(Debug)]
struct Counted<F> {
    fs: F,
    counts: Arc<Counts>,
}

#[derive(Clone, Debug)]
struct CountedFile<T> {
    file: T,
    counts: Arc<Counts>,
}

impl<F: Fs> Counted<F> {
    fn file(&self, file: F::File) -> CountedFile<F::File> {
        CountedFile { file, counts: Arc::clone(&self.counts) }
    }
}

impl<F: Fs> Fs for Counted<F> {
    type File = CountedFile<F::File>;

    fn another(&self) -> Self {
        Self { fs: self.fs.another(), counts: Arc::clone(&self.counts) }
    }

    fn root(&self) -> &Path {
        self.fs.root()
    }

    fn create_root(&mut self) -> io::Result<()> {
        self.fs.create_root()
    }

    fn list(&mut self) -> io::Result<Vec<String>> {
        self.fs.list()
    }

    fn create_new(&mut self, name: &str) -> io::Result<Self::File> {
        let file = self.fs.create_new(name)?;
        Ok(self.file(file))
    }

    fn open(&mut self, name: &str) -> io::Result<Self::File> {
        let file = self.fs.open(name)?;
        Ok(self.file(file))
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.fs.rename(from, to)
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.fs.remove(name)
    }

    fn sync_dir(&mut self) -> io::Result<()> {
        self.fs.sync_dir()
    }

    fn lock(&mut self, name: &str) -> io::Result<()> {
        self.fs.lock(name)
    }
}

impl<T: File> File for CountedFile<T> {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.counts.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.counts.writes.fetch_add(1, Ordering::Relaxed);
        self.file.write_at(bytes, offset)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.counts.syncs.fetch_add(1, Ordering::Relaxed);
        self.file.sync_data()
    }

    fn length(&self) -> io::Result<u64> {
        self.file.length()
    }
}

fn options() -> OpenOptions {
    OpenOptions {
        config: LogConfig::default(),
        format_as: NodeId::new(1),
        cluster: None,
        seed: 1,
        proven: Index::ZERO,
        external_snapshots: true,
    }
}

fn entries(first: u64, count: u64) -> Entries {
    let size = usize::try_from(count).unwrap();
    let mut builder = BlockBuilder::with_capacity(size, size * 304);
    for index in first..first + count {
        builder.push(Index(index), Term(1), &Envelope::of(EntryKind::Command, index), &PAYLOAD);
    }
    Entries::all(builder.finish())
}

fn settle<F: Fs>(log: &mut Log<F>) {
    while log.step().unwrap() != Progress::Idle {}
}

fn write<F: Fs>(log: &mut Log<F>, hard_state: Option<HardState>, entries: Entries) {
    log.enqueue(Write {
        token: PersistToken(entries.last().0),
        hard_state,
        truncate_from: None,
        entries: Few::one(entries),
        commit: Index::ZERO,
    });
    settle(log);
}

/// A log with its first entry and the next segment ready.
fn begin<F: Fs>(fs: F) -> Log<F> {
    let mut log = open_blocking(fs, options()).unwrap().log;
    log.found(ClusterId(1), Vec::new()).unwrap();
    write(&mut log, Some(HardState { term: Term(1), vote: None }), entries(1, 1));
    prepare(&mut log);
    log
}

/// Makes the segment to come; a node does so while it is idle, or between batches.
fn prepare<F: Fs>(log: &mut Log<F>) {
    if log.maintenance().prepare_segment {
        log.prepare_segment();
        settle(log);
    }
}

/// What a window of a log was.
struct Appended {
    entries_per_s: f64,
    /// Bytes written per sync, headers and padding among them.
    bytes_per_sync: f64,
    writes_per_sync: f64,
}

/// Appends for a while, `count` entries per sync. Encoding them is the proposer's and not counted,
/// and neither is the segment to come.
fn append<F: Fs>(log: &mut Log<F>, counts: &Counts, count: u64, span: Duration) -> Appended {
    let take = |counter: &AtomicU64| counter.load(Ordering::Relaxed) as f64;
    let (mut spent, mut batches) = (Duration::ZERO, 0_u32);
    let (mut bytes, mut writes, mut syncs) = (0.0, 0.0, 0.0);
    while spent < span {
        let part = entries(log.last().index.0 + 1, count);
        let before = [take(&counts.bytes), take(&counts.writes), take(&counts.syncs)];
        let begin = Instant::now();
        write(log, None, part);
        spent += begin.elapsed();
        bytes += take(&counts.bytes) - before[0];
        writes += take(&counts.writes) - before[1];
        syncs += take(&counts.syncs) - before[2];
        batches += 1;
        prepare(log);
    }
    Appended {
        entries_per_s: f64::from(batches) * count as f64 / spent.as_secs_f64(),
        bytes_per_sync: bytes / syncs,
        writes_per_sync: writes / syncs,
    }
}

/// A file filled with zeros, and where the next write goes.
struct Raw {
    file: std::fs::File,
    at: u64,
}

impl Raw {
    fn new(path: &Path) -> Self {
        let file = std::fs::File::create_new(path).unwrap();
        for piece in 0..RAW_BYTES >> 20 {
            file.write_all_at(&vec![0; 1 << 20], piece << 20).unwrap();
        }
        file.sync_all().unwrap();
        Self { file, at: 0 }
    }

    /// Writes and syncs per second.
    fn overwrite(&mut self, bytes: usize, span: Duration) -> f64 {
        let piece = vec![0x5A; bytes];
        let (begin, mut syncs) = (Instant::now(), 0_u32);
        while begin.elapsed() < span {
            if self.at + bytes as u64 > RAW_BYTES {
                self.at = 0;
            }
            self.file.write_all_at(&piece, self.at).unwrap();
            self.file.sync_data().unwrap();
            self.at += bytes as u64;
            syncs += 1;
        }
        f64::from(syncs) / begin.elapsed().as_secs_f64()
    }
}

/// The log beside raw writing.
fn beside_raw(directory: &Path, effort: &Effort) {
    let counts = Arc::new(Counts::default());
    let fs = Counted { fs: OsFs::new(directory.join("log")), counts: Arc::clone(&counts) };
    let mut log = begin(fs);
    let mut raw = Raw::new(&directory.join("raw"));
    let heads = [
        "entries per sync",
        "log entries/s",
        "raw entries/s",
        "log / raw",
        "bytes, writes per sync",
    ];
    let mut table = Table::new(&heads);
    for count in [1, 64] {
        let [mut logged, mut raws, mut ratios] = [const { Samples::new() }; 3];
        let mut shape = String::new();
        append(&mut log, &counts, count, effort.window);
        for _ in 0..effort.rounds {
            let appended = append(&mut log, &counts, count, effort.window);
            // The log writes whole sectors.
            let bytes = (appended.bytes_per_sync / 512.0).round() as usize * 512;
            let overwritten = raw.overwrite(bytes, effort.window) * count as f64;
            logged.push(appended.entries_per_s);
            raws.push(overwritten);
            ratios.push(appended.entries_per_s / overwritten);
            shape = format!("{bytes}, {:.2}", appended.writes_per_sync);
        }
        let cells = [count.to_string(), logged.show(1.0), raws.show(1.0), ratios.show(1.0), shape];
        table.row(cells.to_vec());
    }
    table.print();
    println!("\nmedian [range] of {} pairs of windows of {:?}", effort.rounds, effort.window);
    let own = Arc::new(Counts::default());
    let mut log = begin(Counted { fs: MemoryFs::new("memory"), counts: Arc::clone(&own) });
    let mut table = Table::new(&["entries per sync, in memory", "entries/s", "ns per entry"]);
    for count in [1, 64, 1024] {
        let mut rates = Samples::new();
        for _ in 0..3 {
            rates.push(append(&mut log, &own, count, effort.window).entries_per_s);
        }
        let each = measuring::significant(1e9 / rates.median());
        table.row(vec![count.to_string(), rates.show(1.0), each]);
    }
    println!();
    table.print();
}

/// Opens a log of many entries.
fn recovery(directory: &Path, count: u64, rounds: usize) {
    let path = directory.join("recovery");
    let mut log = begin(OsFs::new(&path));
    while log.last().index.0 < count {
        let last = log.last().index.0;
        write(&mut log, None, entries(last + 1, (count - last).min(1024)));
        prepare(&mut log);
    }
    drop(log);
    let sizes = std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().metadata().unwrap());
    let bytes: u64 = sizes.map(|metadata| metadata.len()).sum();
    let records = count as f64 * (PAYLOAD.len() as f64 + 48.0);
    let [mut opened, mut read, mut memory] = [const { Samples::new() }; 3];
    for _ in 0..rounds {
        let before = measuring::resident_bytes().unwrap_or(0);
        let begin = Instant::now();
        let mut recovered = open_blocking(OsFs::new(&path), options()).unwrap();
        opened.push(begin.elapsed().as_secs_f64());
        let held = measuring::resident_bytes().unwrap_or(0).saturating_sub(before);
        memory.push(held as f64);
        let (begin, mut next, mut payloads) = (Instant::now(), Index(1), 0);
        while next <= recovered.log.last().index {
            for slice in recovered.log.read(next, recovered.log.last().index, 1 << 20).unwrap() {
                payloads += slice.iter().map(|entry| entry.payload.len()).sum::<usize>();
                next = slice.last().next();
            }
        }
        assert_eq!(payloads, count as usize * PAYLOAD.len(), "all of it is there");
        read.push(begin.elapsed().as_secs_f64());
    }
    let mut table = Table::new(&["recovery", "seconds", "entries/s", "MB/s of records"]);
    for (name, seconds) in [("opening, everything checked", &opened), ("reading all back", &read)] {
        let per_s =
            |amount: f64, unit: f64| measuring::significant(amount / seconds.median() / unit);
        let cells =
            [name.to_owned(), seconds.show(1.0), per_s(count as f64, 1.0), per_s(records, 1e6)];
        table.row(cells.to_vec());
    }
    table.print();
    let peak = measuring::peak_bytes().unwrap_or(0) as f64;
    println!(
        "\n{count} entries of {} bytes, {:.0} MB in files; median [range] of {rounds}; memory held after \
         opening: {} MB, peak of the process {} MB",
        PAYLOAD.len(),
        bytes as f64 / 1e6,
        memory.show(1e6),
        measuring::significant(peak / 1e6)
    );
}

fn main() {
    let effort = Effort::from_arguments(15, 400);
    let below = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let below = measuring::value("--directory").map_or_else(|| below.to_path_buf(), PathBuf::from);
    std::fs::create_dir_all(&below).unwrap();
    let directory = tempfile::tempdir_in(&below).unwrap();
    let kind = file_system(directory.path());
    let machine = Machine::introduce(&format!("the log on {kind}, entries of 256 bytes"));
    assert!(!kind.starts_with("tmpfs"), "a file system in memory says nothing about syncs");
    let count = if effort.is_short { 100_000 } else { 1_000_000 };
    let count = measuring::number("--entries").unwrap_or(count);
    // First, so that nothing else counts in the peak of memory.
    recovery(directory.path(), count, if effort.is_short { 2 } else { 5 });
    if !measuring::flag("--recovery") {
        println!();
        beside_raw(directory.path(), &effort);
    }
    machine.conclude();
}
