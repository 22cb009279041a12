//! The load itself: workers that send one request after another, or one whenever it is due.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::pin::pin;
use std::rc::Rc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use quorate_client::proto::{PutRequest, RangeRequest};

use super::connection::{Connection, Path, RequestError};

/// Latencies are told apart up to this.
const LONGEST_MICROS: u64 = 60_000_000;
/// Time between two looks at how far a window is.
const WATCH_EVERY: Duration = Duration::from_millis(200);
/// Pause before a broken connection is made anew.
const RECONNECT: Duration = Duration::from_millis(100);

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    /// Writes.
    Put,
    /// Reads of one key each, linearizable or not.
    Get {
        /// From what the server holds itself.
        serializable: bool,
    },
    /// Linearizable reads, and writes.
    Mixed {
        /// Reads among a hundred.
        reads: u32,
    },
}

/// How it is asked for.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    pub(super) operation: Operation,
    pub(super) clients: usize,
    pub(super) connections: usize,
    pub(super) value_bytes: usize,
    pub(super) keys: u64,
    /// Requests per second of all clients; none: each sends when it has its answer.
    pub(super) rate: Option<f64>,
}

/// What one window of load showed.
#[derive(Clone, Debug)]
pub(super) struct Window {
    pub(super) length: Duration,
    /// Requests that were answered within it.
    pub(super) answered: u64,
    /// In microseconds, of requests that began within it and succeeded, whenever that was: to leave
    /// out what took too long would flatter the server.
    pub(super) latencies: Histogram<u64>,
    /// What failed, and how often.
    pub(super) errors: BTreeMap<RequestError, u64>,
}

impl Window {
    pub(super) fn new() -> Self {
        let latencies = Histogram::new_with_bounds(1, LONGEST_MICROS, 3);
        Self {
            length: Duration::ZERO,
            answered: 0,
            latencies: latencies.expect("the bounds are sound"),
            errors: BTreeMap::new(),
        }
    }

    /// Requests that were answered, per second.
    pub(super) fn rate(&self) -> f64 {
        self.answered as f64 / self.length.as_secs_f64().max(1e-9)
    }

    /// Takes another window in.
    pub(super) fn add(&mut self, other: &Self) {
        self.length += other.length;
        self.answered += other.answered;
        self.latencies.add(&other.latencies).expect("the bounds are the same");
        for (error, count) in &other.errors {
            *self.errors.entry(error.clone()).or_default() += count;
        }
    }
}

/// Connections to some endpoints, ready for load.
pub(super) struct Load {
    shape: Shape,
    lanes: Vec<Lane>,
    value: Vec<u8>,
}

/// A place for a connection, which is made anew when it breaks.
struct Lane {
    endpoint: String,
    connection: RefCell<Option<Rc<Ready>>>,
}

struct Ready {
    connection: Connection,
    put: Path,
    range: Path,
}

impl Lane {
    async fn ready(&self) -> Result<Rc<Ready>, RequestError> {
        if let Some(ready) = self.connection.borrow().as_ref() {
            return Ok(Rc::clone(ready));
        }
        let connection = Connection::open(&self.endpoint).await?;
        let (put, range) = (
            connection.method("/etcdserverpb.KV/Put"),
            connection.method("/etcdserverpb.KV/Range"),
        );
        let ready = Rc::new(Ready { connection, put, range });
        *self.connection.borrow_mut() = Some(Rc::clone(&ready));
        Ok(ready)
    }
}

/// What the workers of one window share.
struct Shared<'a> {
    load: &'a Load,
    window: RefCell<Window>,
    begin: Instant,
    end: Instant,
    /// Requests that were due so far, where there is a rate.
    due: Cell<u64>,
}

impl Load {
    /// Connects.
    pub(super) async fn connect(endpoints: &[String], shape: Shape) -> Result<Self, RequestError> {
        let mut lanes = Vec::new();
        for at in 0..shape.connections.min(shape.clients).max(1) {
            let endpoint = endpoints[at % endpoints.len()].clone();
            let lane = Lane { endpoint, connection: RefCell::new(None) };
            lane.ready().await?;
            lanes.push(lane);
        }
        let value = (b'a'..=b'z').cycle().take(shape.value_bytes).collect();
        Ok(Self { shape, lanes, value })
    }

    /// Loads for a while, and tells `watch` now and then how far it is.
    pub(super) async fn run(
        &self,
        length: Duration,
        seed: u64,
        mut watch: impl FnMut(&Window),
    ) -> Window {
        let begin = Instant::now();
        let shared = Shared {
            load: self,
            window: RefCell::new(Window::new()),
            begin,
            end: begin + length,
            due: Cell::new(0),
        };
        let workers = (0..self.shape.clients).map(|at| {
            let lane = &self.lanes[at % self.lanes.len()];
            worker(&shared, lane, seed.wrapping_add(at as u64))
        });
        let mut all = pin!(futures_util::future::join_all(workers));
        let mut tick = tokio::time::interval(WATCH_EVERY);
        loop {
            tokio::select! {
                _ = &mut all => break,
                _ = tick.tick() => {
                    let mut window = shared.window.borrow_mut();
                    window.length = begin.elapsed().min(length);
                    watch(&window);
                }
            }
        }
        let mut window = shared.window.replace(Window::new());
        window.length = length;
        window
    }

    /// Writes every key once.
    pub(super) async fn fill(&self) -> Result<(), RequestError> {
        let next = Cell::new(0);
        let fillers = (0..self.shape.clients.max(64)).map(async |at| {
            let lane = &self.lanes[at % self.lanes.len()];
            while next.get() < self.shape.keys {
                let number = next.replace(next.get() + 1);
                let ready = lane.ready().await?;
                ready.connection.call(&ready.put, &self.put(number)).await?;
            }
            Ok(())
        });
        futures_util::future::try_join_all(fillers).await.map(drop)
    }

    fn put(&self, number: u64) -> PutRequest {
        let value = self.value.clone().into();
        PutRequest { key: key(number).into(), value, ..PutRequest::default() }
    }
}

async fn worker(shared: &Shared<'_>, lane: &Lane, seed: u64) {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    loop {
        let Some(start) = shared.next_start().await else { return };
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let outcome = one(shared.load, lane, state >> 16).await;
        let done = Instant::now();
        if let Err(RequestError::Connection(_)) = &outcome {
            lane.connection.borrow_mut().take();
            tokio::time::sleep(RECONNECT).await;
        }
        shared.count(start, done, outcome);
    }
}

/// One request, drawn from a number.
async fn one(load: &Load, lane: &Lane, draw: u64) -> Result<(), RequestError> {
    let number = (draw >> 8) % load.shape.keys;
    let (reads, serializable) = match load.shape.operation {
        Operation::Put => (0, false),
        Operation::Get { serializable } => (100, serializable),
        Operation::Mixed { reads } => (reads, false),
    };
    let ready = lane.ready().await?;
    if draw % 100 < u64::from(reads) {
        let key = key(number).into();
        let range = RangeRequest { key, serializable, ..RangeRequest::default() };
        ready.connection.call(&ready.range, &range).await?;
    } else {
        ready.connection.call(&ready.put, &load.put(number)).await?;
    }
    Ok(())
}

impl Shared<'_> {
    /// When the next request begins: at once, or when it is due. None when the window is over.
    async fn next_start(&self) -> Option<Instant> {
        let now = Instant::now();
        let Some(rate) = self.load.shape.rate else {
            return (now < self.end).then_some(now);
        };
        let number = self.due.replace(self.due.get() + 1);
        let due = self.begin + Duration::from_secs_f64(number as f64 / rate);
        if due >= self.end {
            return None;
        }
        tokio::time::sleep_until(due.into()).await;
        Some(due)
    }

    fn count(&self, start: Instant, done: Instant, outcome: Result<(), RequestError>) {
        let mut window = self.window.borrow_mut();
        match outcome {
            Ok(()) => {
                window.answered += u64::from(done <= self.end);
                let micros = u64::try_from((done - start).as_micros()).unwrap_or(LONGEST_MICROS);
                window.latencies.saturating_record(micros.max(1));
            }
            Err(error) => *window.errors.entry(error).or_default() += 1,
        }
    }
}

/// The key with this number.
fn key(number: u64) -> Vec<u8> {
    format!("key{number:07}").into_bytes()
}
