//! What no replicated write can be faster than: one sync of the disk and one round trip over loopback.
//!
//! Both are measured on the same disk and in the same minutes as the load, in windows that take turns
//! with it, by plain system calls. Three servers on one disk sync at the same time, and a write waits
//! for the second of them: that is measured, too.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

/// Bytes that are overwritten before each sync: a small batch of a log.
const BATCH: usize = 512;
/// Bytes of the file that is overwritten.
const FILE: usize = 4 << 20;
/// Nanoseconds up to which what is measured is told apart.
const LONGEST: u64 = 60_000_000_000;
/// Bytes of a message there and back: a small request and its answer.
const MESSAGE: usize = 300;

/// A file and a connection, and how long they took, in nanoseconds.
pub(super) struct Floor {
    batches: Batches,
    stream: TcpStream,
    beside: [Sender<()>; 2],
    done: Receiver<io::Result<Instant>>,
    pub(super) syncs: Histogram<u64>,
    /// The second of three that begin together.
    pub(super) quorums: Histogram<u64>,
    pub(super) trips: Histogram<u64>,
}

/// A file of zeros that is overwritten and synced, a batch at a time.
struct Batches {
    file: File,
    offset: u64,
}

impl Batches {
    fn new(path: &Path) -> io::Result<Self> {
        fs::write(path, vec![0; FILE])?;
        let file = OpenOptions::new().write(true).open(path)?;
        file.sync_all()?;
        Ok(Self { file, offset: 0 })
    }

    /// When the next batch is durable.
    fn sync(&mut self) -> io::Result<Instant> {
        self.file.write_all_at(&[0x5A; BATCH], self.offset)?;
        self.file.sync_data()?;
        self.offset = (self.offset + BATCH as u64) % FILE as u64;
        Ok(Instant::now())
    }
}

impl Floor {
    /// Makes three zero-filled files in this directory, two of which threads of their own sync, and a
    /// connection to a thread that echoes.
    pub(super) fn new(directory: &Path) -> io::Result<Self> {
        let batches = Batches::new(&directory.join("floor"))?;
        let (tell, done) = mpsc::channel();
        let second = beside(&directory.join("floor-2"), tell.clone())?;
        let third = beside(&directory.join("floor-3"), tell)?;
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let stream = TcpStream::connect(listener.local_addr()?)?;
        let (echo, _) = listener.accept()?;
        for end in [&stream, &echo] {
            end.set_nodelay(true)?;
        }
        // It ends with the connection.
        thread::Builder::new().name("echo".to_owned()).spawn(move || drop(answer(echo)))?;
        let empty = || Histogram::new_with_max(LONGEST, 3).expect("three digits are allowed");
        let (syncs, quorums, trips) = (empty(), empty(), empty());
        Ok(Self { batches, stream, beside: [second, third], done, syncs, quorums, trips })
    }

    /// Syncs and round trips, one after the other, for so long.
    pub(super) fn window(&mut self, length: Duration) -> io::Result<()> {
        let (begin, mut message) = (Instant::now(), [0x5A; MESSAGE]);
        while begin.elapsed() < length {
            let start = Instant::now();
            note(&mut self.syncs, start, self.batches.sync()?);
            let start = Instant::now();
            self.stream.write_all(&message)?;
            self.stream.read_exact(&mut message)?;
            note(&mut self.trips, start, Instant::now());
            self.sync_three()?;
        }
        Ok(())
    }

    fn sync_three(&mut self) -> io::Result<()> {
        let start = Instant::now();
        for other in &self.beside {
            other.send(()).map_err(|_| gone())?;
        }
        let mut ends = [self.batches.sync()?, start, start];
        for end in &mut ends[1..] {
            *end = self.done.recv().map_err(|_| gone())??;
        }
        ends.sort();
        note(&mut self.quorums, start, ends[1]);
        Ok(())
    }

    /// Microseconds that one sync and one round trip take together, at this part of both.
    pub(super) fn micros(&self, quantile: f64) -> f64 {
        let nanos = [&self.syncs, &self.trips].map(|all| all.value_at_quantile(quantile) as f64);
        nanos.iter().sum::<f64>() / 1e3
    }
}

/// A thread that syncs a file of its own whenever it is told to, and says when that was done. It ends
/// with the sender.
fn beside(path: &Path, tell: Sender<io::Result<Instant>>) -> io::Result<Sender<()>> {
    let mut batches = Batches::new(path)?;
    let (sender, wanted) = mpsc::channel::<()>();
    let serve = move || {
        for () in wanted {
            // The receiver is gone when the measurement is over.
            if tell.send(batches.sync()).is_err() {
                break;
            }
        }
    };
    thread::Builder::new().name("sync".to_owned()).spawn(serve)?;
    Ok(sender)
}

fn gone() -> io::Error {
    io::Error::other("a thread that syncs has ended")
}

fn note(all: &mut Histogram<u64>, start: Instant, end: Instant) {
    let nanos = end.saturating_duration_since(start).as_nanos();
    all.saturating_record(u64::try_from(nanos).unwrap_or(u64::MAX));
}

fn answer(mut stream: TcpStream) -> io::Result<()> {
    let mut message = [0; MESSAGE];
    loop {
        stream.read_exact(&mut message)?;
        stream.write_all(&message)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_sync_has_a_round_trip() {
        let folder = tempfile::tempdir().unwrap();
        let mut floor = Floor::new(folder.path()).unwrap();
        floor.window(Duration::from_millis(20)).unwrap();
        floor.window(Duration::from_millis(1)).unwrap();
        assert!(floor.syncs.len() >= 2);
        assert_eq!(floor.syncs.len(), floor.trips.len());
        assert_eq!(floor.syncs.len(), floor.quorums.len());
        assert!(floor.micros(0.5) <= floor.micros(1.0));
        assert!(floor.quorums.max() >= floor.syncs.min());
        let spent =
            [&floor.syncs, &floor.quorums, &floor.trips].map(|all| all.mean() * all.len() as f64);
        let spent = Duration::from_secs_f64(spent.iter().sum::<f64>() / 1e9);
        assert!(
            spent > Duration::from_millis(10),
            "{spent:?} of the 21 ms and more that were asked for"
        );
    }
}
