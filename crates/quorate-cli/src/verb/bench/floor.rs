//! What no replicated write can be faster than: one sync of the disk and one round trip over loopback.
//!
//! Both are measured on the same disk and in the same minutes as the load, in windows that take turns
//! with it, by plain system calls.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::Path;
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
    file: File,
    offset: u64,
    stream: TcpStream,
    pub(super) syncs: Histogram<u64>,
    pub(super) trips: Histogram<u64>,
}

impl Floor {
    /// Makes a zero-filled file in this directory and a connection to a thread that echoes.
    pub(super) fn new(directory: &Path) -> io::Result<Self> {
        let path = directory.join("floor");
        fs::write(&path, vec![0; FILE])?;
        let file = OpenOptions::new().write(true).open(&path)?;
        file.sync_all()?;
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let stream = TcpStream::connect(listener.local_addr()?)?;
        let (echo, _) = listener.accept()?;
        for end in [&stream, &echo] {
            end.set_nodelay(true)?;
        }
        // It ends with the connection.
        thread::Builder::new().name("echo".to_owned()).spawn(move || drop(answer(echo)))?;
        let empty = || Histogram::new_with_max(LONGEST, 3).expect("three digits are allowed");
        Ok(Self { file, offset: 0, stream, syncs: empty(), trips: empty() })
    }

    /// Syncs and round trips, one after the other, for so long.
    pub(super) fn window(&mut self, length: Duration) -> io::Result<()> {
        let (begin, batch, mut message) = (Instant::now(), [0x5A; BATCH], [0x5A; MESSAGE]);
        while begin.elapsed() < length {
            let start = Instant::now();
            self.file.write_all_at(&batch, self.offset)?;
            self.file.sync_data()?;
            note(&mut self.syncs, start);
            self.offset = (self.offset + BATCH as u64) % FILE as u64;
            let start = Instant::now();
            self.stream.write_all(&message)?;
            self.stream.read_exact(&mut message)?;
            note(&mut self.trips, start);
        }
        Ok(())
    }

    /// Microseconds that one sync and one round trip take together, at this part of both.
    pub(super) fn micros(&self, quantile: f64) -> f64 {
        let nanos = [&self.syncs, &self.trips].map(|all| all.value_at_quantile(quantile) as f64);
        nanos.iter().sum::<f64>() / 1e3
    }
}

fn note(all: &mut Histogram<u64>, start: Instant) {
    all.saturating_record(u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX));
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
        assert!(floor.micros(0.5) <= floor.micros(1.0));
        let spent = [&floor.syncs, &floor.trips].map(|all| all.mean() * all.len() as f64);
        let spent = Duration::from_secs_f64(spent.iter().sum::<f64>() / 1e9);
        assert!(
            spent > Duration::from_millis(10),
            "{spent:?} of the 21 ms and more that were asked for"
        );
    }
}
