//! Writers and readers that go on whatever dies, and notice what must not happen.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use quorate_client::{CallError, Client};
use tokio::time::sleep;

use super::history::{History, Outcome, Write};
use crate::harness::{Random, client, everything, put_request};

/// Pause after each write, so that a run of minutes stays small enough to be read back whole.
const PAUSE: Duration = Duration::from_millis(2);

/// What writers and readers share.
#[derive(Clone)]
pub(super) struct Load {
    endpoints: String,
    shared: Arc<Shared>,
}

struct Shared {
    stopped: AtomicBool,
    /// Highest revision that a finished call showed: no call that begins later may show less.
    floor: AtomicI64,
    writes: Mutex<Vec<Write>>,
    reads: AtomicI64,
    /// When the last write that was acknowledged had been sent, and when it was acknowledged.
    last: Mutex<Option<(Instant, Instant)>>,
}

impl Load {
    pub(super) fn new(endpoints: &str) -> Self {
        let shared = Shared {
            stopped: AtomicBool::new(false),
            floor: AtomicI64::new(0),
            writes: Mutex::new(Vec::new()),
            reads: AtomicI64::new(0),
            last: Mutex::new(None),
        };
        Self { endpoints: endpoints.to_owned(), shared: Arc::new(shared) }
    }

    pub(super) fn stop(&self) {
        self.shared.stopped.store(true, SeqCst);
    }

    pub(super) fn history(&self) -> History {
        let writes = self.shared.writes.lock().expect("nobody panicked").clone();
        History { writes, reads: self.shared.reads.load(SeqCst) }
    }

    /// When the first write was acknowledged that had been sent after an instant.
    pub(super) async fn next_acknowledged(&self, after: Instant) -> Instant {
        loop {
            let last = *self.shared.last.lock().expect("nobody panicked");
            if let Some((_, acknowledged)) = last.filter(|(sent, _)| *sent > after) {
                return acknowledged;
            }
            sleep(Duration::from_millis(1)).await;
        }
    }

    fn goes_on(&self) -> bool {
        !self.shared.stopped.load(SeqCst)
    }

    /// Each writer begins with another node.
    fn client(&self, turn: usize) -> Client {
        let mut endpoints: Vec<&str> = self.endpoints.split(',').collect();
        let turn = turn % endpoints.len();
        endpoints.rotate_left(turn);
        client(&endpoints.join(","))
    }

    /// Writes unique values to unique keys, one after the other; never the same twice.
    pub(super) async fn write(self, writer: usize) {
        let client = self.client(writer);
        let mut number = 0;
        while self.goes_on() {
            let key = format!("w{writer:02}/{number:07}");
            let value = format!("{writer}-{number}");
            let floor = self.shared.floor.load(SeqCst);
            let sent = Instant::now();
            let outcome = match client.put(put_request(&key, &value)).await {
                Ok(reply) => {
                    let revision = reply.header.expect("a reply has a header").revision;
                    assert!(revision > floor, "{key} got revision {revision}, {floor} was known");
                    self.shared.floor.fetch_max(revision, SeqCst);
                    let acknowledged = Instant::now();
                    *self.shared.last.lock().expect("nobody panicked") = Some((sent, acknowledged));
                    Outcome::Acknowledged { revision }
                }
                Err(CallError::Unknown { .. }) => Outcome::Unknown,
                Err(error) if error.is_certainly_without_effect() => Outcome::Refused,
                Err(error) => panic!("an outcome that nobody knows of: {error}"),
            };
            let write = Write { key, value, outcome };
            self.shared.writes.lock().expect("nobody panicked").push(write);
            number += 1;
            sleep(PAUSE).await;
        }
    }

    /// Reads what was acknowledged, linearizably; the revision never falls behind what was known.
    pub(super) async fn read(self, reader: usize) {
        let client = self.client(reader);
        let seed = u64::try_from(reader).expect("readers are few");
        let mut random = Random::new(seed);
        while self.goes_on() {
            let floor = self.shared.floor.load(SeqCst);
            let Some(write) = self.some_acknowledged(&mut random) else {
                sleep(PAUSE).await;
                continue;
            };
            let mut request = everything(false);
            request.key = write.key.clone().into();
            request.range_end = Vec::new().into();
            let Ok(reply) = client.range(request).await else { continue };
            let revision = reply.header.expect("a reply has a header").revision;
            assert!(revision >= floor, "a read went back to revision {revision} from {floor}");
            self.shared.floor.fetch_max(revision, SeqCst);
            write.check(reply.kvs.first());
            self.shared.reads.fetch_add(1, SeqCst);
            sleep(PAUSE).await;
        }
    }

    /// One of the writes that were acknowledged before, the latest among them often.
    fn some_acknowledged(&self, random: &mut Random) -> Option<Write> {
        let writes = self.shared.writes.lock().expect("nobody panicked");
        if writes.is_empty() {
            return None;
        }
        let from_end = if random.below(2) == 0 { 1 } else { 1 + random.below(writes.len()) };
        let before = &writes[..=writes.len() - from_end];
        before.iter().rev().find(|write| write.is_acknowledged()).cloned()
    }
}
