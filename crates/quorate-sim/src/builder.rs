//! Your own state machine in a simulated cluster: [`sim`].
//!
//! What is checked needs nothing from you but commands: the order in which commands were committed
//! is known, so every reply and every answer that a client was given is compared with what a machine
//! of its own says that executes the same commands from the beginning. On top of it come all rules
//! of the cluster itself. [`Sim::state`] compares states as well, [`Sim::linearizable`] asks a model
//! of yours, which shares no code with the machine.

mod clients;
mod judge;

use core::fmt::Debug;
use core::ops::Range;
use core::time::Duration;
use std::rc::Rc;
use std::sync::Arc;

use quorate::StateMachine;

use self::clients::{Commands, DrawnQueries, Queries, YourClients};
pub use self::judge::Told;
use self::judge::{Judge, ModelJudge};
use crate::model::Model;
use crate::report;
use crate::rng::Rng;
use crate::run::{Lines, Options, Outcome, Run, Target};
use crate::totals::{Bounds, Totals};
use crate::world::workload::{Fingerprint, Request};
use crate::world::{Fault, Faults, Plan};

/// Overrides the number of seeds of every [`Sim::run`]: the first seed stays.
const SEEDS_VARIABLE: &str = "QUORATE_SIM_SEEDS";

/// A cluster of nodes that run `M`, in worlds where anything goes wrong.
///
/// ```
/// use quorate::{Applying, StateMachine};
/// use quorate_sim::{Faults, sim};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Default, Serialize, Deserialize)]
/// struct Counter(i64);
///
/// impl StateMachine for Counter {
///     type Command = i64;
///     type Reply = i64;
///     type Query = ();
///     type Answer = i64;
///
///     fn apply(&mut self, _at: &Applying, add: i64) -> i64 {
///         self.0 += add;
///         self.0
///     }
///
///     fn query(&self, (): ()) -> i64 {
///         self.0
///     }
/// }
///
/// sim::<Counter>()
///     .nodes(5)
///     .faults(Faults::all())
///     .clients(8)
///     .workload(|rng| rng.range(1..10))
///     .queries(|_| ())
///     .seeds(0..3)
///     .run();
/// ```
pub fn sim<M: StateMachine + Default>() -> Sim<M> {
    Sim {
        options: Options { clients: 8, faults: yours(Faults::all()), ..Options::default() },
        seeds: 0..100,
        parts: Parts { commands: None, queries: None, fingerprint: None, model: None },
        traced: false,
    }
}

/// Of what sizes commands are is up to the workload.
fn yours(faults: Faults) -> Faults {
    faults.without(Fault::Sizes)
}

/// A simulated cluster under construction; see [`sim`].
#[must_use = "nothing happens before `run`"]
pub struct Sim<M: StateMachine> {
    options: Options,
    seeds: Range<u64>,
    parts: Parts<M>,
    traced: bool,
}

/// Makes what judges one run.
type MakeJudge<M> = Rc<dyn Fn() -> Box<dyn Judge<M>>>;

/// What a user brings.
struct Parts<M: StateMachine> {
    commands: Option<Commands<M>>,
    queries: Option<Rc<dyn Queries<M>>>,
    fingerprint: Option<Fingerprint<M>>,
    model: Option<MakeJudge<M>>,
}

impl<M: StateMachine> Clone for Parts<M> {
    fn clone(&self) -> Self {
        Self {
            commands: self.commands.clone(),
            queries: self.queries.clone(),
            fingerprint: self.fingerprint.clone(),
            model: self.model.clone(),
        }
    }
}

impl<M: StateMachine> Debug for Sim<M> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self { options, seeds, .. } = self;
        f.debug_struct("Sim")
            .field("options", options)
            .field("seeds", seeds)
            .finish_non_exhaustive()
    }
}

impl<M: StateMachine + Default> Sim<M> {
    /// Number of nodes; 5 unless said.
    pub const fn nodes(mut self, nodes: usize) -> Self {
        self.options.nodes = nodes;
        self
    }

    /// What may go wrong; all kinds of faults unless said. Each seed draws some of them.
    pub fn faults(mut self, faults: Faults) -> Self {
        self.options.faults = yours(faults);
        self
    }

    /// Number of clients; 8 unless said.
    pub const fn clients(mut self, clients: u32) -> Self {
        self.options.clients = clients;
        self
    }

    /// Requests of all clients together in a second of world time; 20 unless said.
    pub const fn rate(mut self, rate: u32) -> Self {
        self.options.rate = rate;
        self
    }

    /// World time in which anything may go wrong; a minute unless said. Then everything is mended,
    /// and the cluster has 28 seconds to serve and to converge.
    pub const fn duration(mut self, duration: Duration) -> Self {
        self.options.duration = duration;
        self
    }

    /// What clients ask for.
    pub fn workload(mut self, command: impl Fn(&mut Rng) -> M::Command + 'static) -> Self
    where
        M::Command: Debug,
        M::Reply: Debug,
    {
        self.parts.commands = Some(Commands::new(command));
        self
    }

    /// What clients look at, in two of five requests. Every answer must be the one that the commands
    /// before it lead to, and none may be older than what was acknowledged when the query came.
    pub fn queries(mut self, query: impl Fn(&mut Rng) -> M::Query + 'static) -> Self
    where
        M::Query: Clone,
        M::Answer: PartialEq + Debug,
    {
        self.parts.queries = Some(Rc::new(DrawnQueries(query)));
        self
    }

    /// Compares the states of all nodes after every command by what `print` says of them: a number,
    /// a text, a vector, anything that is hashed alike where it is equal.
    ///
    /// The replies are compared in any case. A state that differs without showing in the next replies
    /// is found at the command where it began.
    pub fn state<T: core::hash::Hash>(
        mut self,
        print: impl Fn(&M) -> T + Send + Sync + 'static,
    ) -> Self {
        self.parts.fingerprint = Some(Arc::new(move |machine: &M| hash_of(&print(machine))));
        self
    }

    /// Checks what clients saw against a model as well, by [`Checker`](crate::Checker): a second
    /// opinion, written anew, that knows nothing of logs or nodes.
    ///
    /// `operation` says what a request means to the model, `output` what a reply or an answer does.
    /// A history that takes too long to decide passes, and its seed is printed: the other checks have seen
    /// all of it. Commands
    /// that differ from each other (a number drawn from a million, a text that names the request)
    /// make answers telling and checks short.
    ///
    /// ```
    /// # use quorate::{Applying, StateMachine};
    /// # #[derive(Default, serde::Serialize, serde::Deserialize)]
    /// # struct Total(i64);
    /// # impl StateMachine for Total {
    /// #     type Command = i64;
    /// #     type Reply = i64;
    /// #     type Query = ();
    /// #     type Answer = i64;
    /// #     fn apply(&mut self, _at: &Applying, add: i64) -> i64 { self.0 += add; self.0 }
    /// #     fn query(&self, (): ()) -> i64 { self.0 }
    /// # }
    /// use core::time::Duration;
    /// use quorate_sim::{Counter, CounterOp, Request, Told, sim};
    ///
    /// sim::<Total>()
    ///     .workload(|rng| rng.range(1..10))
    ///     .queries(|_| ())
    ///     .linearizable(
    ///         Counter,
    ///         |request| match request {
    ///             Request::Call(add) => CounterOp::Add(*add),
    ///             Request::Read(()) => CounterOp::Read,
    ///         },
    ///         |told| match told {
    ///             Told::Reply(total) | Told::Answer(total) => *total,
    ///         },
    ///     )
    ///     .duration(Duration::from_secs(5))
    ///     .seeds(0..2)
    ///     .run();
    /// ```
    pub fn linearizable<S>(
        mut self,
        model: S,
        operation: impl Fn(&Request<M>) -> S::Operation + 'static,
        output: impl Fn(Told<'_, M>) -> S::Output + 'static,
    ) -> Self
    where
        S: Model + Clone + 'static,
    {
        let words = Rc::new(judge::Words { operation, output });
        self.parts.model =
            Some(Rc::new(move || Box::new(ModelJudge::new(model.clone(), Rc::clone(&words)))));
        self
    }

    /// Which seeds to run, the end left out; `0..100` unless said. The variable `QUORATE_SIM_SEEDS`
    /// overrides how many.
    pub const fn seeds(mut self, seeds: Range<u64>) -> Self {
        self.seeds = seeds;
        self
    }

    /// Runs this seed alone.
    pub const fn seed(self, seed: u64) -> Self {
        self.seeds(seed..seed.saturating_add(1))
    }

    /// Prints every event of every run: for one seed that is to be looked at closely.
    pub const fn trace(mut self) -> Self {
        self.traced = true;
        self
    }

    /// Runs the seeds and prints what happened in them, with the seeds whose histories were too hard
    /// to decide.
    ///
    /// # Panics
    ///
    /// At the first seed that breaks a rule, with what broke, what went wrong in that world, its last
    /// events, the smallest run that still fails, and how to run it again. Where no request was
    /// acknowledged in any seed, which shows nothing. And without a [workload](Self::workload).
    #[expect(clippy::print_stdout, reason = "test runners show it where it is asked for")]
    pub fn run(self) -> Totals {
        match self.try_run() {
            Ok(totals) => {
                println!("{totals}");
                totals
            }
            Err(report) => panic!("{report}"),
        }
    }

    /// Like [`run`](Self::run), but prints nothing, and hands the report of a failing run back.
    ///
    /// # Errors
    ///
    /// The report.
    ///
    /// # Panics
    ///
    /// Without a [workload](Self::workload), and where `QUORATE_SIM_SEEDS` is no number.
    pub fn try_run(self) -> Result<Totals, String> {
        assert!(
            self.parts.commands.is_some(),
            "clients that ask for nothing: add .workload(|rng| ..), which draws a command"
        );
        let mut totals = Totals::new(Bounds::none());
        let target = Yours { parts: self.parts };
        let run = Run::new(target, self.options);
        let lines = if self.traced { Lines::All } else { Lines::None };
        for seed in seeds(self.seeds) {
            let outcome = run.seed(seed, lines);
            totals.add(&outcome);
            if self.traced {
                print_events(&outcome);
            }
            if outcome.broken.is_some() {
                return Err(report::failure(&run, outcome));
            }
        }
        if totals.count("acknowledged") == 0 {
            return Err(report::nothing(&totals));
        }
        Ok(totals)
    }
}

#[expect(clippy::print_stdout, reason = "the trace was asked for")]
fn print_events(outcome: &Outcome) {
    for event in &outcome.events {
        println!("{event}");
    }
}

/// The seeds to run: as many as the environment says, where it says so.
#[expect(clippy::disallowed_methods, reason = "how many seeds run changes nothing in any of them")]
fn seeds(said: Range<u64>) -> Range<u64> {
    let Ok(number) = std::env::var(SEEDS_VARIABLE) else { return said };
    // One seed is a case that somebody wants to see again.
    if said.end.saturating_sub(said.start) <= 1 {
        return said;
    }
    let Ok(number) = number.trim().parse::<u64>() else {
        panic!("{SEEDS_VARIABLE}={number} is no number of seeds; try {SEEDS_VARIABLE}=1000");
    };
    said.start..said.start.saturating_add(number)
}

/// A user's state machine as a target.
struct Yours<M: StateMachine> {
    parts: Parts<M>,
}

impl<M: StateMachine + Default> Target for Yours<M> {
    type Machine = M;
    type Workload = YourClients<M>;

    fn workload(&self, _plan: &Plan) -> YourClients<M> {
        YourClients::new(self.parts.clone())
    }

    fn again(&self, seed: u64, options: &Options) -> String {
        let mut line = format!("sim::<{}>()", short_name::<M>());
        let usual = sim::<M>().options;
        if options.nodes != usual.nodes {
            line += &format!(".nodes({})", options.nodes);
        }
        if options.clients != usual.clients {
            line += &format!(".clients({})", options.clients);
        }
        if options.rate != usual.rate {
            line += &format!(".rate({})", options.rate);
        }
        if options.duration != usual.duration {
            line += &format!(".duration(Duration::from_millis({}))", options.duration.as_millis());
        }
        if options.faults != usual.faults {
            let names = options.faults.to_string();
            line += &format!(".faults({names:?}.parse().unwrap())");
        }
        line += " /* your workload and checks */ ";
        format!("again, alone: {line}.seeds({seed}..{}).run();", seed.saturating_add(1))
    }
}

/// The name of a type without the modules it lies in.
fn short_name<M>() -> &'static str {
    let name = core::any::type_name::<M>();
    if name.contains('<') { name } else { name.rsplit("::").next().unwrap_or(name) }
}

/// A hash that is the same on every run and machine, in so far as `value` is.
fn hash_of(value: &impl core::hash::Hash) -> u64 {
    struct Fnv(u64);

    impl core::hash::Hasher for Fnv {
        fn finish(&self) -> u64 {
            self.0
        }

        fn write(&mut self, bytes: &[u8]) {
            for byte in bytes {
                self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
            }
        }
    }

    let mut hasher = Fnv(0xcbf2_9ce4_8422_2325);
    value.hash(&mut hasher);
    core::hash::Hasher::finish(&hasher)
}
