//! One seed, run through both of its phases and judged.

use core::fmt;
use core::time::Duration;
use std::collections::BTreeMap;

use crate::invariants::Broken;
use crate::store::{Store, StoreWorkload};
use crate::world::{Fault, Faults, Plan, Setup, Traced, World};

/// Time that a mended cluster has to elect, serve and converge.
const RECOVERY: Duration = Duration::from_secs(30);

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

/// What a seed showed.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// The faults that it drew.
    pub plan: Plan,
    /// Simulated time.
    pub simulated: Duration,
    /// Hash of everything that happened.
    pub hash: u64,
    /// How often everything happened.
    pub counts: BTreeMap<&'static str, u64>,
    /// What broke, if anything did.
    pub broken: Option<Broken>,
    /// The last events before it broke, or all where they were asked for.
    pub events: Vec<Traced>,
}

impl Outcome {
    /// How often something happened.
    #[must_use]
    pub fn count(&self, what: &str) -> u64 {
        self.counts.get(what).copied().unwrap_or_default()
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seed, seconds) = (self.seed, self.simulated.as_secs());
        match &self.broken {
            None => write!(f, "seed {seed}: {seconds} s simulated, all invariants hold"),
            Some(broken) => {
                writeln!(f, "seed {seed}: after {seconds} s: {broken}")?;
                writeln!(f, "drawn: {:?}", self.plan)?;
                writeln!(f, "the last events:")?;
                self.events.iter().try_for_each(|event| writeln!(f, "  {event}"))?;
                write!(f, "again: quorate sim --seed {seed}")
            }
        }
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

/// Runs one seed of the built-in store.
#[must_use]
pub fn run_seed(seed: u64, options: &Options, lines: Lines) -> Outcome {
    let plan = Plan::draw(seed, &options.faults);
    run_plan(seed, options, plan, lines)
}

/// Runs one seed with faults that were chosen, not drawn.
#[must_use]
pub fn run_plan(seed: u64, options: &Options, plan: Plan, lines: Lines) -> Outcome {
    let setup = Setup {
        seed,
        nodes: options.nodes,
        clients: options.clients,
        request_every: Duration::from_secs(1) / options.rate.max(1),
        plan: plan.clone(),
    };
    let workload = StoreWorkload::new(plan.has(Fault::Sizes));
    let mut world: World<Store, StoreWorkload> = World::new(&setup, workload);
    match lines {
        Lines::None => {}
        Lines::Recent => world.trace_mut().keep_recent(),
        Lines::All => world.trace_mut().keep_all(),
    }
    let broken = both_phases(&mut world, options).err();
    if let Some(broken) = &broken {
        world.note_broken(broken);
    }
    Outcome {
        seed,
        plan,
        simulated: world.now(),
        hash: world.trace().hash(),
        counts: world.counts().clone(),
        broken,
        events: world.trace_mut().take_events(),
    }
}

fn both_phases(world: &mut World<Store, StoreWorkload>, options: &Options) -> Result<(), Broken> {
    world.run_for(options.duration)?;
    world.heal();
    let acknowledged = |world: &World<Store, StoreWorkload>| {
        world.counts().get("acknowledged").copied().unwrap_or_default()
    };
    // What was under way when everything was mended may still fail; then nothing may.
    world.run_for(RECOVERY)?;
    let before = acknowledged(world);
    world.run_for(Duration::from_secs(5))?;
    if acknowledged(world) == before {
        return Err(Broken::new("liveness", "a mended cluster serves nobody"));
    }
    world.stop_clients();
    world.run_for(Duration::from_secs(5))?;
    if !world.has_converged() {
        let what = format!("a mended cluster does not converge: {}", world.describe());
        return Err(Broken::new("liveness", what));
    }
    use crate::world::workload::Workload;
    world.workload().verdict().map_err(|what| Broken::new("linearizability", what))
}
