//! Strikes one by one: they can be left out, count when they have an effect, and shrink away.

use core::time::Duration;

use quorate_sim::regression::Case;
use quorate_sim::rng::Rng;
use quorate_sim::run::{BuiltIn, Lines, Options, Run, Target, run_seed};
use quorate_sim::store::{Store, StoreWorkload};
use quorate_sim::world::script::Scripted;
use quorate_sim::world::workload::{Decision, End, Request, Workload};
use quorate_sim::world::{Fault, Faults, Plan, Setup, TraceEvent};
use quorate_sim::{ClientId, OperationId};

/// The first seed in which these kinds are all on, and all nodes are mended in the end.
fn seed_with(kinds: &[Fault]) -> u64 {
    let all_on = |seed: &u64| {
        let plan = Plan::draw(*seed, &Faults::all());
        kinds.iter().all(|kind| plan.has(*kind)) && !Rng::stream(*seed, "healing", 0).coin()
    };
    (0..1_000).find(all_on).expect("every second seed has a kind")
}

/// When connections were reset.
fn resets(seed: u64, faults: &str) -> Vec<(u64, Option<u64>)> {
    let options = Options { faults: faults.parse().expect("faults"), ..Options::default() };
    let outcome = run_seed(seed, &options, Lines::All);
    assert_eq!(outcome.broken, None);
    let strikes = outcome.events.iter().filter_map(|traced| match traced.event {
        TraceEvent::Strikes { fault: Fault::Reset, node, .. } => Some((traced.at, node)),
        _ => None,
    });
    strikes.collect()
}

#[test]
fn a_strike_that_is_left_out_leaves_all_others_when_and_where_they_were() {
    let seed = seed_with(&[Fault::Reset, Fault::Crash]);
    let all = resets(seed, "reset");
    assert!(all.len() > 3, "{all:?}");
    assert_eq!(resets(seed, "reset:0+2-1000"), [&all[..1], &all[2..]].concat());
    assert_eq!(resets(seed, "reset:1"), all[1..2]);
    let halved: Vec<(u64, Option<u64>)> = all.iter().copied().step_by(2).collect();
    assert_eq!(resets(seed, "reset/2"), halved);
    assert_eq!(resets(seed, "reset,crash"), all, "nor does another kind move them");
}

#[test]
fn a_strike_without_an_effect_does_not_count() {
    let kinds = [Fault::Crash, Fault::Pause, Fault::SlowNode, Fault::ClockJump, Fault::CrashAll];
    let seed = seed_with(&kinds);
    let plan = Plan::draw(seed, &Faults::only(kinds));
    let mut world = Scripted::of(&Setup { plan, ..Setup::scripted(3).with_seed(seed) });
    (0..3).for_each(|node| world.take_down(node));
    let by_hand = world.count_of(Fault::Crash.name());
    world.let_pass(Duration::from_secs(120));
    for kind in kinds {
        let counted = world.count_of(kind.name()) - if kind == Fault::Crash { by_hand } else { 0 };
        assert!(world.strikes(kind) > 1, "{kind} came up {} times", world.strikes(kind));
        assert_eq!(counted, 0, "nobody was there for {kind} to strike");
    }
}

/// Clients for whom it is a bug that one of them learns nothing.
#[derive(Debug)]
struct Demanding {
    inner: StoreWorkload,
    lost: bool,
}

impl Workload<Store> for Demanding {
    fn next(
        &mut self,
        client: ClientId,
        rng: &mut Rng,
        at: Duration,
    ) -> (Option<OperationId>, Request<Store>) {
        self.inner.next(client, rng, at)
    }

    fn ended(&mut self, operation: OperationId, end: End<Store>, at: Duration) {
        self.lost |= matches!(end, End::Unknown);
        self.inner.ended(operation, end, at);
    }

    fn has_sessions(&self) -> bool {
        // They would learn it in the end.
        false
    }

    fn verdict(&self) -> Result<Decision, String> {
        if self.lost { Err("a client learned nothing".to_owned()) } else { self.inner.verdict() }
    }
}

#[derive(Debug)]
struct Demand;

impl Target for Demand {
    type Machine = Store;
    type Workload = Demanding;

    fn workload(&self, _plan: &Plan) -> Demanding {
        Demanding { inner: StoreWorkload::new(false), lost: false }
    }

    fn again(&self, seed: u64, options: &Options) -> String {
        BuiltIn.again(seed, options)
    }
}

#[test]
fn what_is_shrunk_is_one_strike_and_a_line_that_repeats_it() {
    let seed = seed_with(&[Fault::Crash, Fault::Reset, Fault::Duplicate]);
    let faults = Faults::only([Fault::Crash, Fault::Reset, Fault::Duplicate]);
    let options = Options { faults, duration: Duration::from_secs(40), ..Options::default() };
    let run = Run::new(Demand, options);
    let first = run.seed(seed, Lines::None);
    assert!(first.strikes[&Fault::Crash] > 1, "{:?}", first.strikes);
    let shrunk = run.shrink(seed).expect("a crash leaves somebody without an answer");
    let left = shrunk.options.faults.to_string();
    println!("{left}, {:?}, {} runs: {}", shrunk.options, shrunk.runs, shrunk.outcome.again);
    let number = left.strip_prefix("crash:").expect("one kind of fault");
    number.parse::<u32>().expect("one strike");
    assert_eq!(shrunk.outcome.count("crash"), 1);
    let (nodes, clients) = (shrunk.options.nodes, shrunk.options.clients);
    assert!(nodes < 5, "{nodes} nodes");
    assert!(shrunk.options.duration < Duration::from_secs(40));
    // The line says all of it.
    let line = &shrunk.outcome.again;
    assert!(line.contains(&format!("faults = \"{left}\"")), "{line}");
    let case = Case::new(seed)
        .nodes(nodes)
        .clients(clients)
        .rate(shrunk.options.rate)
        .millis(u64::try_from(shrunk.options.duration.as_millis()).expect("short"))
        .faults(&left);
    let told = std::panic::catch_unwind(|| case.assert_clean(Demand)).unwrap_err();
    let told = told.downcast_ref::<String>().expect("a report");
    assert!(told.contains("a client learned nothing"), "{told}");
}
