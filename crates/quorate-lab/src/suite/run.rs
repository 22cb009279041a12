//! Runs one scenario with one seed, and says what came of it.
//!
//! In virtual time a run depends on its seed alone, for a Raft that asks nothing but the context. In
//! real time the seed decides what the harness draws, and nothing more.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use super::{Entry, Suite};
use crate::context::{Context, RealTime, VirtualTime};
use crate::engine::QuorateRaft;
use crate::harness::{Failure, FailureKind, Pauses, Tally, World};
use crate::raft::LabRaft;
use crate::recording::{Recorder, Recording};

/// Which time passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// The simulator's: a minute passes in no time, and a seed replays exactly.
    Virtual,
    /// The machine's.
    Real,
}

/// One run: what, and how.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    /// The suite that the scenario is taken from.
    pub suite: &'static Suite,
    /// The scenario.
    pub entry: &'static Entry,
    /// Decides everything that is left to chance.
    pub seed: u64,
    /// Which time passes.
    pub clock: Clock,
    /// Pauses of the async Rust lab.
    pub pauses: Pauses,
    /// What repeats a run, without its suite, scenario and seeds: `quorate lab` for Quorate's own Raft.
    pub program: &'static str,
}

/// What came of a run.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The run.
    pub run: Run,
    /// Time that passed, by the run's clock.
    pub elapsed: Duration,
    /// What of it are pauses that the document has among its steps.
    pub paused: Duration,
    /// The other numbers of the result line.
    pub tally: Tally,
    /// Why it did not pass.
    pub failure: Option<Failure>,
}

impl Run {
    /// A run of Quorate's own lab, in virtual time.
    #[must_use]
    pub const fn new(suite: &'static Suite, entry: &'static Entry, seed: u64) -> Self {
        let (clock, pauses) = (Clock::Virtual, Pauses::Short);
        Self { suite, entry, seed, clock, pauses, program: "quorate lab" }
    }

    /// Runs it on Quorate's own Raft. Not generic, so that scenarios are compiled once for everybody who
    /// wants only this.
    #[must_use]
    pub fn of_quorate(self) -> Outcome {
        self.of::<QuorateRaft>()
    }

    /// Runs it on one kind of Raft. A panic of the Raft is a failure like any other.
    #[must_use]
    pub fn of<R: LabRaft>(self) -> Outcome {
        self.play::<R>(false).0
    }

    /// Runs it on Quorate's own Raft and records what happens.
    #[must_use]
    pub fn record_quorate(self) -> (Outcome, Recording) {
        self.record::<QuorateRaft>()
    }

    /// Runs it on one kind of Raft and records what happens, for a page that plays it. In virtual time it
    /// is the same run.
    #[must_use]
    pub fn record<R: LabRaft>(self) -> (Outcome, Recording) {
        self.play::<R>(true)
    }

    fn play<R: LabRaft>(self, records: bool) -> (Outcome, Recording) {
        match self.clock {
            Clock::Virtual => {
                let time = VirtualTime::new(self.seed);
                let context = time.context();
                self.on::<R>(context, records, |scenario| time.block_on(scenario))
            }
            Clock::Real => {
                let time = RealTime::new(self.seed);
                let context = time.context();
                self.on::<R>(context, records, |scenario| time.block_on(scenario))
            }
        }
    }

    fn on<R: LabRaft>(
        self,
        context: Context,
        records: bool,
        block_on: impl FnOnce(BoxedScenario) -> Result<(), Failure>,
    ) -> (Outcome, Recording) {
        let (scenario, suite) = (self.entry.word(), self.suite.name);
        tracing::info!(suite, scenario, seed = self.seed, clock = ?self.clock, "begins");
        let settings = self.suite.settings(self.entry, self.pauses);
        let about = self.entry.scenario.about();
        let recorder = records.then(|| Recorder::new(context.clone(), about));
        let world = World::<R>::recorded(context, settings, recorder.clone());
        let steps = in_time(world.clone(), self.entry);
        let ended = catch_unwind(AssertUnwindSafe(|| block_on(Box::pin(steps))));
        let (elapsed, paused) = (world.elapsed(), world.paused());
        // A Raft that panicked, or that blocks a thread, may hold its locks for ever: it is asked
        // nothing more, not even to end.
        let has_panicked = ended.is_err();
        let ended = ended.unwrap_or_else(|panic| Err(Failure::new(words_of(&*panic))));
        let recording = recorder.map(|recorder| recorder.end(ended.as_ref().err()));
        let tally = if has_panicked { Tally::default() } else { world.end() };
        let outcome = Outcome { run: self, elapsed, paused, tally, failure: ended.err() };
        let seconds = outcome.elapsed.as_secs_f64();
        match &outcome.failure {
            None => tracing::info!(suite, scenario, seed = self.seed, seconds, "passed"),
            Some(why) => tracing::warn!(suite, scenario, seed = self.seed, seconds, %why, "ended"),
        }
        (outcome, recording.unwrap_or_default())
    }
}

type BoxedScenario = std::pin::Pin<Box<dyn Future<Output = Result<(), Failure>> + Send>>;

/// The scenario, ended when its time is up, and failed when anything was reported beside it.
async fn in_time<R: LabRaft>(world: World<R>, entry: &'static Entry) -> Result<(), Failure> {
    let limit = world.settings().limit;
    let done = world.context().timeout(limit, entry.scenario.run(&world)).await;
    let late = || Failure::new(format!("not done after {} s", limit.as_secs()));
    done.ok_or_else(late)??;
    world.check()
}

fn words_of(panic: &(dyn Any + Send)) -> String {
    let words = panic.downcast_ref::<String>().map(String::as_str);
    let words = words.or_else(|| panic.downcast_ref::<&str>().copied());
    format!("the Raft panicked: {}", words.unwrap_or("without words"))
}

impl Outcome {
    /// Whether nothing went wrong and nothing was left out.
    #[must_use]
    pub fn is_passed(&self) -> bool {
        self.failure.is_none()
    }

    /// Whether something went wrong.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.failure.as_ref().is_some_and(|failure| failure.kind == FailureKind::Broken)
    }

    /// The command that runs it again.
    #[must_use]
    pub fn replay(&self) -> String {
        let Run { suite, entry, seed, clock, pauses, program } = self.run;
        let real = if clock == Clock::Real { " --real-time" } else { "" };
        let long = if pauses == Pauses::Long { " --long-pauses" } else { "" };
        let (suite, name) = (suite.name, entry.word());
        format!("{program} --suite {suite} --scenario {name} --seed {seed}{real}{long}")
    }

    /// The five numbers: seconds, peers, requests, bytes, commits.
    #[must_use]
    pub fn numbers(&self) -> [String; 5] {
        let Tally { peers, requests, bytes, commits } = self.tally;
        [
            format!("{:.1}", self.elapsed.as_secs_f64()),
            peers.to_string(),
            requests.to_string(),
            bytes.to_string(),
            commits.to_string(),
        ]
    }
}

/// The line of the Go course lab, or what went wrong and how to see it again.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Run { entry, seed, suite, .. } = self.run;
        let [seconds, peers, requests, bytes, commits] = self.numbers();
        match &self.failure {
            None => write!(
                f,
                "  ... Passed --  {seconds:>5}  {peers}  {requests:>5}  {bytes:>7}  {commits:>4}"
            ),
            Some(failure) if failure.kind == FailureKind::Skipped => write!(f, "  ... {failure}"),
            Some(failure) => write!(
                f,
                "  ... FAILED: {failure}\n  numbers:  {seconds} {peers} {requests} {bytes} {commits}\n  \
                 scenario: {} ({}, {}), of {}\n  seed:     {seed}\n  again:    {}",
                entry.name,
                entry.scenario.id(),
                entry.scenario.about(),
                suite.document.name(),
                self.replay()
            ),
        }
    }
}
