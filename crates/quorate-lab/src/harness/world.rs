//! What a scenario runs in: a clock, a network model, timing, and whose customs it keeps.

use std::fmt;
use std::marker::PhantomData;
use std::mem;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{Failure, FailureKind};
use crate::context::Context;
use crate::network::{Model, Network};
use crate::raft::{LabRaft, Timing};
use crate::recording::Recorder;

/// Whose harness is kept to: how a cluster is asked, and what a crash is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Manner {
    /// The Go course lab and the talent-plan labs: servers in one process, a crash leaves the old
    /// instance alive but cut off, what a server applied is remembered across its restarts.
    Course,
    /// The async Rust lab: every peer a process behind a proxy; a killed one is gone, and the harness
    /// asks each peer directly.
    Process,
}

/// The two lengths that the async Rust lab's pauses have in its two editions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pauses {
    /// One, two or four seconds.
    Short,
    /// Twice as long.
    Long,
}

/// How a scenario is to be run.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Whose harness is kept to.
    pub manner: Manner,
    /// What the network does.
    pub model: Model,
    /// Heartbeats and election timeouts that peers are told to have.
    pub timing: Timing,
    /// Which pauses are made.
    pub pauses: Pauses,
    /// Servers, where the documents differ in their number.
    pub peers: Option<usize>,
    /// Bytes of Raft state from which on a service takes a snapshot (KV and RSM scenarios).
    pub max_state: Option<usize>,
    /// Time after which a scenario has failed.
    pub limit: Duration,
}

/// The numbers of a result line, besides the seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Servers.
    pub peers: usize,
    /// Requests that servers received.
    pub requests: u64,
    /// Bytes of arguments that were sent and of replies that arrived.
    pub bytes: u64,
    /// Entries that were committed.
    pub commits: u64,
}

impl Tally {
    fn plus(self, other: Self) -> Self {
        Self {
            peers: self.peers.max(other.peers),
            requests: self.requests + other.requests,
            bytes: self.bytes + other.bytes,
            commits: self.commits + other.commits,
        }
    }
}

/// What a scenario gets: everything that it may use, and where it reports what it found.
///
/// Clones are the same world.
pub struct World<R> {
    shared: Arc<Shared>,
    raft: PhantomData<fn() -> R>,
}

struct Shared {
    context: Context,
    settings: Settings,
    broken: Mutex<Option<Failure>>,
    /// What counts each cluster and stops it.
    at_end: Mutex<Vec<AtEnd>>,
    began: Duration,
    /// Sum of the document's own pauses so far.
    paused: Mutex<Duration>,
    recorder: Option<Recorder>,
}

type AtEnd = Box<dyn FnOnce() -> Tally + Send>;

impl<R> fmt::Debug for World<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").field("settings", &self.shared.settings).finish_non_exhaustive()
    }
}

impl<R> Clone for World<R> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), raft: PhantomData }
    }
}

impl<R: LabRaft> World<R> {
    /// A world that begins at the context's present time.
    #[must_use]
    pub fn new(context: Context, settings: Settings) -> Self {
        Self::recorded(context, settings, None)
    }

    /// The same, and a recorder is told what happens in it.
    #[must_use]
    pub fn recorded(context: Context, settings: Settings, recorder: Option<Recorder>) -> Self {
        let began = context.now();
        let (broken, at_end) = (Mutex::default(), Mutex::default());
        let paused = Mutex::default();
        let shared = Shared { context, settings, broken, at_end, began, paused, recorder };
        Self { shared: Arc::new(shared), raft: PhantomData }
    }

    /// Takes up a cluster of so many servers on a network: gives the recorder, if there is one, and it
    /// has no other cluster yet.
    pub(crate) fn record(&self, network: &Network) -> Option<Recorder> {
        let recorder = self.shared.recorder.as_ref()?;
        recorder.begin::<R>(network.servers()).then(|| {
            network.record(recorder);
            recorder.clone()
        })
    }

    /// Clock, tasks and randomness.
    #[must_use]
    pub fn context(&self) -> &Context {
        &self.shared.context
    }

    /// How the scenario is to be run.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    /// Servers: as the settings say, or as many as the scenario has by itself.
    #[must_use]
    pub fn peers_or(&self, usual: usize) -> usize {
        self.shared.settings.peers.unwrap_or(usual)
    }

    /// Time since the world began.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.shared.context.now().saturating_sub(self.shared.began)
    }

    /// Waits.
    pub async fn sleep(&self, span: Duration) {
        self.shared.context.sleep(span).await;
    }

    /// Makes a pause that the document has among its steps, whatever the Raft does meanwhile.
    pub async fn pause(&self, span: Duration) {
        *self.shared.paused.lock().expect("nobody panics while holding it") += span;
        self.sleep(span).await;
    }

    /// The sum of such pauses: no Raft makes a scenario shorter than that.
    #[must_use]
    pub fn paused(&self) -> Duration {
        *self.shared.paused.lock().expect("nobody panics while holding it")
    }

    /// Waits so many milliseconds.
    pub async fn sleep_ms(&self, ms: u64) {
        self.sleep(Duration::from_millis(ms)).await;
    }

    /// Makes a pause that one edition of the async Rust lab has short and the other long.
    pub async fn pause_ms(&self, short: u64, long: u64) {
        self.pause(Duration::from_millis(match self.shared.settings.pauses {
            Pauses::Short => short,
            Pauses::Long => long,
        }))
        .await;
    }

    /// A number as a command: in the async Rust lab commands are texts.
    #[must_use]
    pub fn command(&self, value: u64) -> Vec<u8> {
        match self.shared.settings.manner {
            Manner::Course => super::number(value),
            Manner::Process => super::text(&value.to_string()),
        }
    }

    /// A number below `end`, which must not be 0.
    #[must_use]
    pub fn below(&self, end: u64) -> u64 {
        self.shared.context.random_below(end)
    }

    /// One of so many servers.
    #[must_use]
    pub fn any(&self, servers: usize) -> usize {
        usize::try_from(self.below(servers as u64)).expect("it is below a usize")
    }

    /// Whether a chance of so many in a thousand came true.
    #[must_use]
    pub fn chance(&self, in_thousand: u64) -> bool {
        self.below(1000) < in_thousand
    }

    /// Remembers the first thing that went wrong outside the scenario's own steps, for instance in an
    /// apply loop; every later step ends with it.
    pub fn report(&self, failure: Failure) {
        if let Some(recorder) = &self.shared.recorder {
            recorder.broken(&failure.what);
        }
        let mut broken = self.shared.broken.lock().expect("nobody panics while holding it");
        broken.get_or_insert(failure);
    }

    /// # Errors
    ///
    /// What was reported, and when the time is up.
    pub fn check(&self) -> Result<(), Failure> {
        if let Some(failure) = &*self.shared.broken.lock().expect("nobody panics while holding it")
        {
            return Err(failure.clone());
        }
        let limit = self.shared.settings.limit;
        super::ensure!(self.elapsed() <= limit, "not done after {} s", limit.as_secs());
        Ok(())
    }

    /// Has something called when the scenario is over, however it ended: it stops a cluster and says
    /// what it counted.
    pub fn at_end(&self, stop: impl FnOnce() -> Tally + Send + 'static) {
        self.shared.at_end.lock().expect("nobody panics while holding it").push(Box::new(stop));
    }

    /// Ends the world: stops every cluster in it, and says what they counted together.
    pub fn end(&self) -> Tally {
        let all =
            mem::take(&mut *self.shared.at_end.lock().expect("nobody panics while holding it"));
        all.into_iter().map(|stop| stop()).fold(Tally::default(), Tally::plus)
    }

    /// # Errors
    ///
    /// A skip, where the Raft takes no snapshots.
    pub fn needs_snapshots(&self) -> Result<(), Failure> {
        if R::SNAPSHOTS {
            return Ok(());
        }
        Err(Failure {
            kind: FailureKind::Skipped,
            what: "this Raft takes no snapshots (`LabRaft::SNAPSHOTS` is false)".to_owned(),
        })
    }
}
