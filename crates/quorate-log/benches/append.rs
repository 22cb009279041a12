//! What an append costs: without a device, with one, and opening what was written.
//!
//! `cargo bench -p quorate-log --bench append -- [DIRECTORY]`; the directory (a temporary one by
//! default) decides which device is measured. Figures are of the machine at hand: compare runs of
//! the same minutes only.

#![allow(
    missing_docs,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    reason = "a benchmark"
)]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use quorate_core::{ClusterId, EntryKind, HardState, Index, NodeId, PersistToken, Term};
use quorate_log::{
    BlockBuilder, Entries, Envelope, File, Fs, Log, LogConfig, OpenOptions, OsFs, Progress, Write,
    open_blocking,
};

const PAYLOAD: [u8; 256] = [0x5A; 256];

/// A file that takes everything and keeps nothing.
#[derive(Clone, Debug)]
struct NullFile;

impl File for NullFile {
    fn write_at(&self, _: &[u8], _: u64) -> std::io::Result<()> {
        Ok(())
    }

    fn read_at(&self, _: &mut [u8], _: u64) -> std::io::Result<usize> {
        Ok(0)
    }

    fn sync_data(&self) -> std::io::Result<()> {
        Ok(())
    }

    fn length(&self) -> std::io::Result<u64> {
        Ok(0)
    }
}

fn options() -> OpenOptions {
    OpenOptions {
        config: LogConfig::default(),
        format_as: NodeId::new(1),
        cluster: None,
        seed: 1,
        proven: Index::ZERO,
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

fn begin<F: Fs>(log: &mut Log<F>) {
    log.found(ClusterId(1), Vec::new()).unwrap();
    log.enqueue(Write {
        token: PersistToken(1),
        hard_state: Some(HardState { term: Term(1), vote: None }),
        truncate_from: None,
        entries: vec![entries(1, 1)],
        commit: Index::ZERO,
    });
    settle(log);
}

/// Writes batches for a while; entries per second, and time per batch.
fn append<F: Fs>(log: &mut Log<F>, count: u64, span: Duration) -> (f64, Duration) {
    // Encoding is the proposer's; here it is what the log itself does.
    let mut next = log.last().index.0 + 1;
    let mut spent = Duration::ZERO;
    let mut batches = 0_u32;
    while spent < span {
        let part = entries(next, count);
        let begin = Instant::now();
        log.enqueue(Write {
            token: PersistToken(next),
            hard_state: None,
            truncate_from: None,
            entries: vec![part],
            commit: Index::ZERO,
        });
        settle(log);
        spent += begin.elapsed();
        next += count;
        batches += 1;
        if log.maintenance().prepare_segment {
            log.prepare_segment();
            settle(log);
        }
    }
    (f64::from(batches) * count as f64 / spent.as_secs_f64(), spent / batches)
}

/// A log whose segments go nowhere.
fn null_log() -> Log<Fresh> {
    let fs = Fresh { inner: quorate_log::fault::FaultFs::new(), null: false };
    let mut log = open_blocking(fs, options()).unwrap().log;
    begin(&mut log);
    log
}

/// Small files in memory, segments nowhere.
#[derive(Debug)]
struct Fresh {
    inner: quorate_log::fault::FaultFs,
    null: bool,
}

#[derive(Clone, Debug)]
enum FreshFile {
    Real(quorate_log::fault::FaultFile),
    Null(NullFile),
}

impl Fs for Fresh {
    type File = FreshFile;

    fn root(&self) -> &Path {
        self.inner.root()
    }

    fn create_root(&mut self) -> std::io::Result<()> {
        self.inner.create_root()
    }

    fn list(&mut self) -> std::io::Result<Vec<String>> {
        self.inner.list()
    }

    fn create_new(&mut self, name: &str) -> std::io::Result<FreshFile> {
        self.null |= name == "spare.tmp";
        if self.null {
            return Ok(FreshFile::Null(NullFile));
        }
        self.inner.create_new(name).map(FreshFile::Real)
    }

    fn open(&mut self, name: &str) -> std::io::Result<FreshFile> {
        self.inner.open(name).map(FreshFile::Real)
    }

    fn rename(&mut self, from: &str, to: &str) -> std::io::Result<()> {
        if self.null { Ok(()) } else { self.inner.rename(from, to) }
    }

    fn remove(&mut self, name: &str) -> std::io::Result<()> {
        self.inner.remove(name)
    }

    fn sync_dir(&mut self) -> std::io::Result<()> {
        self.inner.sync_dir()
    }

    fn lock(&mut self, name: &str) -> std::io::Result<()> {
        self.inner.lock(name)
    }
}

impl File for FreshFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> std::io::Result<()> {
        match self {
            Self::Real(file) => file.write_at(bytes, offset),
            Self::Null(file) => file.write_at(bytes, offset),
        }
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<usize> {
        match self {
            Self::Real(file) => file.read_at(buffer, offset),
            Self::Null(file) => file.read_at(buffer, offset),
        }
    }

    fn sync_data(&self) -> std::io::Result<()> {
        match self {
            Self::Real(file) => file.sync_data(),
            Self::Null(file) => file.sync_data(),
        }
    }

    fn length(&self) -> std::io::Result<u64> {
        match self {
            Self::Real(file) => file.length(),
            Self::Null(file) => file.length(),
        }
    }
}

fn main() {
    let given = std::env::args().nth(1).filter(|argument| !argument.starts_with('-'));
    let temporary = tempfile::tempdir().unwrap();
    let directory = given.map_or_else(|| temporary.path().to_path_buf(), PathBuf::from);
    println!("payloads of {} bytes, one write per batch", PAYLOAD.len());
    for count in [1, 64, 1024] {
        let (rate, batch) = append(&mut null_log(), count, Duration::from_secs(1));
        let bytes = rate * 304.0 / 1e6;
        println!("no device   batch {count:5}: {rate:12.0} entries/s {batch:?} {bytes:.0} MB/s");
    }
    let path = directory.join("log");
    let mut log = open_blocking(OsFs::new(&path), options()).unwrap().log;
    begin(&mut log);
    for count in [1, 64, 1024] {
        let (rate, batch) = append(&mut log, count, Duration::from_secs(3));
        println!("{}   batch {count:5}: {rate:12.0} entries/s {batch:?}", directory.display());
    }
    let last = log.last().index.0;
    drop(log);
    let begin = Instant::now();
    let mut recovered = open_blocking(OsFs::new(&path), options()).unwrap();
    let spent = begin.elapsed();
    let names = std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name());
    let segments = names.filter(|name| name.to_string_lossy().ends_with(".seg")).count();
    println!("opening {segments} segments, {last} entries: {spent:?}");
    let begin = Instant::now();
    let mut next = 1;
    while next <= last {
        let parts = recovered.log.read(Index(next), Index(last), 1 << 20).unwrap();
        next = parts.last().unwrap().last().0 + 1;
    }
    println!("reading all back: {:?}", begin.elapsed());
}
