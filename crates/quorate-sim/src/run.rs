//! One seed, run through both of its phases and judged.
//!
//! A [`Target`] says which state machine the nodes run and what its clients ask for; a [`Run`] is a
//! target with its [`Options`], and runs, repeats and shrinks any seed. [`BuiltIn`] is the target
//! where nobody brings one.

use core::cell::Cell;
use core::fmt;
use core::time::Duration;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

use quorate::StateMachine;

use crate::invariants::Broken;
use crate::liveness;
use crate::store::{Store, StoreWorkload};
use crate::world::workload::{Decision, Workload};
use crate::world::{Fault, Faults, Plan, Setup, Traced, World, usual_raft};

/// Counts the seeds whose history was too hard to decide.
pub(crate) const UNDECIDED: &str = "undecided history";

/// What to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Number of nodes.
    pub nodes: usize,
    /// Number of clients.
    pub clients: u32,
    /// Requests of all clients per second.
    pub rate: u32,
    /// How long anything may go wrong.
    pub duration: Duration,
    /// What may.
    pub faults: Faults,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            nodes: 5,
            clients: 10,
            rate: 20,
            duration: Duration::from_secs(60),
            faults: Faults::all(),
        }
    }
}

/// What the nodes of a world run, and what its clients ask for.
pub trait Target {
    /// The state machine.
    type Machine: StateMachine + Default;
    /// Its clients.
    type Workload: Workload<Self::Machine>;

    /// The clients of one run.
    fn workload(&self, plan: &Plan) -> Self::Workload;

    /// How to run a seed once more, and how to keep it as a test: lines to paste.
    fn again(&self, seed: u64, options: &Options) -> String;
}

/// The store that the simulator brings along.
#[derive(Clone, Copy, Debug, Default)]
pub struct BuiltIn;

impl Target for BuiltIn {
    type Machine = Store;
    type Workload = StoreWorkload;

    fn workload(&self, plan: &Plan) -> StoreWorkload {
        StoreWorkload::new(plan.has(Fault::Sizes))
    }

    fn again(&self, seed: u64, options: &Options) -> String {
        format!("as a test, to run it again: {}", crate::regression::line(None, seed, options))
    }
}

/// What a seed showed.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// The settings.
    pub options: Options,
    /// The faults that it drew.
    pub plan: Plan,
    /// What it drew for each machine, by name, for people.
    pub machines: Vec<(&'static str, String)>,
    /// Simulated time.
    pub simulated: Duration,
    /// The part of it in which clients asked for something.
    pub loaded: Duration,
    /// Hash of everything that happened, of what clients were told and of all counts.
    pub hash: u64,
    /// How often everything happened.
    pub counts: BTreeMap<&'static str, u64>,
    /// Strikes of each kind of fault that came up, with those that were left out or had no effect.
    pub strikes: BTreeMap<Fault, u32>,
    /// What broke, if anything did.
    pub broken: Option<Broken>,
    /// The last events before it broke, or all where they were asked for.
    pub events: Vec<Traced>,
    /// How to run it once more.
    pub again: String,
}

impl Outcome {
    /// Everything that was drawn, by name, for people.
    #[must_use]
    pub fn parameters(&self) -> Vec<(&'static str, String)> {
        let mut all = self.plan.parameters();
        all.extend_from_slice(&self.machines);
        all
    }

    /// How often something happened.
    #[must_use]
    pub fn count(&self, what: &str) -> u64 {
        self.counts.get(what).copied().unwrap_or_default()
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::report::outcome(self, f)
    }
}

/// Which events of the trace to keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lines {
    /// None: the fastest.
    None,
    /// The last ones.
    Recent,
    /// Every one.
    All,
}

/// A target and the settings to run it with.
#[derive(Clone, Debug)]
pub struct Run<T> {
    target: T,
    options: Options,
}

impl<T: Target> Run<T> {
    /// Runs of this target.
    pub const fn new(target: T, options: Options) -> Self {
        Self { target, options }
    }

    /// The settings.
    pub const fn options(&self) -> &Options {
        &self.options
    }

    /// The same target with other settings.
    pub(crate) fn with(&self, options: Options) -> Run<&T> {
        Run { target: &self.target, options }
    }

    /// Runs one seed, with the faults that it draws.
    #[must_use]
    pub fn seed(&self, seed: u64, lines: Lines) -> Outcome {
        self.plan(seed, Plan::draw(seed, &self.options.faults), lines)
    }

    /// Runs one seed with faults that were chosen, not drawn.
    #[must_use]
    pub fn plan(&self, seed: u64, plan: Plan, lines: Lines) -> Outcome {
        let options = &self.options;
        let setup = Setup {
            seed,
            nodes: options.nodes,
            clients: options.clients,
            request_every: Duration::from_secs(1) / options.rate.max(1),
            plan: plan.clone(),
            raft: usual_raft(),
        };
        let mut world: World<T::Machine, T::Workload> =
            World::new(&setup, self.target.workload(&plan));
        let machines = world.machines();
        match lines {
            Lines::None => {}
            Lines::Recent => world.trace_mut().keep_recent(),
            Lines::All => world.trace_mut().keep_all(),
        }
        // A world that panicked is asked for what happened before, and for nothing else.
        let run = AssertUnwindSafe(|| both_phases(&mut world, options));
        note_places();
        let broken = match catch_unwind(run) {
            Ok(outcome) => outcome.err(),
            Err(panic) => Some(Broken::new("no panic", words_of(&*panic))),
        };
        if let Some(broken) = &broken {
            world.note_broken(broken);
        }
        let drawn = Options { faults: plan.on.clone(), ..options.clone() };
        let named = if plan == Plan::draw(seed, &options.faults) { options } else { &drawn };
        Outcome {
            seed,
            options: options.clone(),
            machines,
            simulated: world.now(),
            loaded: world.loaded(),
            hash: world.hash(),
            counts: world.counts(),
            strikes: plan.on.iter().map(|kind| (kind, world.strikes(kind))).collect(),
            broken,
            events: world.trace_mut().take_events(),
            again: self.target.again(seed, named),
            plan,
        }
    }
}

impl<T: Target> Target for &T {
    type Machine = T::Machine;
    type Workload = T::Workload;

    fn workload(&self, plan: &Plan) -> T::Workload {
        (**self).workload(plan)
    }

    fn again(&self, seed: u64, options: &Options) -> String {
        (**self).again(seed, options)
    }
}

/// Runs one seed of the built-in store.
#[must_use]
pub fn run_seed(seed: u64, options: &Options, lines: Lines) -> Outcome {
    Run::new(BuiltIn, options.clone()).seed(seed, lines)
}

/// Runs one seed of the built-in store with faults that were chosen, not drawn.
#[must_use]
pub fn run_plan(seed: u64, options: &Options, plan: Plan, lines: Lines) -> Outcome {
    Run::new(BuiltIn, options.clone()).plan(seed, plan, lines)
}

fn both_phases<M: StateMachine + Default, W: Workload<M>>(
    world: &mut World<M, W>,
    options: &Options,
) -> Result<(), Broken> {
    disasters(world, options.duration)?;
    liveness::check(world, usual_raft().election_timeout().1)?;
    world.read_disks()?;
    world.replay()?;
    match world.workload().verdict() {
        Ok(Decision::Explained) => Ok(()),
        Ok(Decision::GaveUp) => {
            world.note_count(UNDECIDED);
            Ok(())
        }
        Err(what) => Err(Broken::new("linearizability", what)),
    }
}

/// Lets anything go wrong for so long; where fewer than half of the requests were acknowledged, for up
/// to as long again, so that a seed whose nodes were stuck or paused most of the time shows
/// something, too.
fn disasters<M: StateMachine + Default, W: Workload<M>>(
    world: &mut World<M, W>,
    duration: Duration,
) -> Result<(), Broken> {
    const PARTS: u32 = 6;
    world.run_for(duration)?;
    for _ in 0..PARTS {
        let counts = world.counts();
        let of = |what| counts.get(what).copied().unwrap_or_default();
        if of("acknowledged") * 2 >= of("offered") {
            break;
        }
        world.run_for(duration / PARTS)?;
    }
    Ok(())
}

thread_local! {
    /// Where this thread panicked last.
    static PLACE: Cell<Option<String>> = const { Cell::new(None) };
}

/// Has every panic from now on note its place, which its payload does not tell. Nothing else that
/// watches panics is disturbed.
fn note_places() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |panic| {
            let place = panic.location().map(|at| format!("{}:{}", at.file(), at.line()));
            PLACE.set(place);
            before(panic);
        }));
    });
}

/// What a panic of this thread says, and where it was.
fn words_of(panic: &(dyn core::any::Any + Send)) -> String {
    let words = panic.downcast_ref::<&str>().map(|words| (*words).to_owned());
    let words = words.or_else(|| panic.downcast_ref::<String>().cloned());
    let words = words.unwrap_or_else(|| "a panic without words".to_owned());
    match PLACE.take() {
        Some(place) => format!("{words}, at {place}"),
        None => words,
    }
}
