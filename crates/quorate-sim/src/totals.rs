//! What many seeds showed together, and whether that is worth anything.
//!
//! A clean run proves nothing about what did not happen in it. So a seed counts only if it was long
//! and busy enough, and a whole run only if every kind of fault struck, and every change that a
//! cluster goes through took place, at least once.

use core::fmt;
use core::time::Duration;
use std::collections::BTreeMap;

use crate::liveness::LATE;
use crate::run::{Options, Outcome, UNDECIDED};
use crate::world::{Fault, Faults, usual_raft};

/// Seeds from which on a run must have shown everything.
const ENOUGH_SEEDS: u64 = 100;

/// What a step of [`STEPS`] needs to happen at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Needs {
    Nothing,
    /// Every kind of fault.
    Faults,
    /// Those, and more than two nodes.
    Network,
}

/// What a cluster goes through, by the names of the world's counters.
const STEPS: [(&str, Needs); 25] = [
    ("acknowledged", Needs::Nothing),
    ("dry run", Needs::Nothing),
    ("campaign", Needs::Nothing),
    ("leader", Needs::Nothing),
    ("following", Needs::Nothing),
    ("recovery", Needs::Nothing),
    ("written after mending", Needs::Nothing),
    ("unknown", Needs::Faults),
    ("without a leader", Needs::Faults),
    ("truncation", Needs::Faults),
    ("read back", Needs::Faults),
    ("torn tail cut", Needs::Faults),
    ("recovery failed", Needs::Faults),
    ("sent again", Needs::Faults),
    ("duplicates", Needs::Faults),
    ("session expired", Needs::Faults),
    ("snapshot taken", Needs::Faults),
    ("log begins later", Needs::Faults),
    ("snapshot restored", Needs::Faults),
    ("piece stored", Needs::Network),
    ("snapshot received", Needs::Network),
    ("snapshot resumed", Needs::Network),
    ("interrupted installation completed", Needs::Network),
    ("just a quorum mended", Needs::Network),
    ("partitions overlap", Needs::Network),
];

/// Of a hundred requests that are offered, over a whole run, so many must be acknowledged.
const ANSWERED: u64 = 90;

/// What may be so in this part in a hundred of the seeds and in no more, by the names of counters.
const RARE: [(&str, u64); 2] = [(UNDECIDED, 1), (LATE, 1)];

/// What makes a run worth something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// World time that each seed must have.
    pub simulated: Duration,
    /// Requests that were acknowledged in each seed.
    pub acknowledged: u64,
    /// Of a hundred requests that were offered in the whole run, those that must be acknowledged.
    pub answered: u64,
    /// Faults that struck in each seed.
    pub faults: u64,
    /// Kinds of faults each of which must strike in the whole run.
    pub kinds: Faults,
    /// Counters that must not be at zero after the whole run.
    pub steps: Vec<&'static str>,
    /// Counters that may not be above zero in more than this part in a hundred of the seeds.
    pub rare: Vec<(&'static str, u64)>,
}

impl Bounds {
    /// None: whatever happens is enough.
    #[must_use]
    pub const fn none() -> Self {
        Self {
            simulated: Duration::ZERO,
            acknowledged: 0,
            answered: 0,
            faults: 0,
            kinds: Faults::none(),
            steps: Vec::new(),
            rare: Vec::new(),
        }
    }

    /// What the house asks of seeds with these settings.
    #[must_use]
    pub fn of(options: &Options) -> Self {
        let kinds: Vec<Fault> = options.faults.iter().collect();
        let is_full = kinds.len() == Fault::ALL.len();
        let is_met = |needs| match needs {
            Needs::Nothing => true,
            Needs::Faults => is_full,
            Needs::Network => is_full && options.nodes > 2,
        };
        let usual = Options::default();
        // Fewer nodes stand still with each that dies; more requests wait for their clients.
        let is_usual = options.nodes >= usual.nodes && options.rate <= usual.rate;
        Self {
            simulated: Duration::from_secs(60),
            acknowledged: 500,
            answered: if is_usual { ANSWERED } else { 0 },
            faults: u64::from(is_full),
            // One node, or two, have no network to speak of.
            kinds: if options.nodes > 2 { options.faults.clone() } else { Faults::none() },
            steps: STEPS
                .iter()
                .filter(|(_, needs)| is_met(*needs))
                .map(|(step, _)| *step)
                .collect(),
            rare: RARE.to_vec(),
        }
    }
}

/// Sums over seeds.
#[derive(Clone, Debug)]
pub struct Totals {
    bounds: Bounds,
    seeds: u64,
    simulated: Duration,
    /// The part of it in which clients asked for something.
    loaded: Duration,
    counts: BTreeMap<&'static str, u64>,
    /// In how many seeds each kind was on.
    drawn: BTreeMap<Fault, u64>,
    /// The seeds in which something was counted that is to be rare.
    rare: BTreeMap<&'static str, Vec<u64>>,
    /// Seeds that do not count, and why.
    short: Vec<(u64, String)>,
    nodes: usize,
}

impl Totals {
    /// No seed yet.
    #[must_use]
    pub const fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            seeds: 0,
            simulated: Duration::ZERO,
            loaded: Duration::ZERO,
            counts: BTreeMap::new(),
            drawn: BTreeMap::new(),
            rare: BTreeMap::new(),
            short: Vec::new(),
            nodes: 0,
        }
    }

    /// One more seed.
    pub fn add(&mut self, outcome: &Outcome) {
        self.seeds += 1;
        self.simulated += outcome.simulated;
        self.loaded += outcome.loaded;
        self.nodes = self.nodes.max(outcome.options.nodes);
        for (what, count) in &outcome.counts {
            *self.counts.entry(what).or_default() += count;
        }
        for kind in outcome.plan.on.iter() {
            *self.drawn.entry(kind).or_default() += 1;
        }
        for (what, _) in RARE {
            let seeds = self.rare.entry(what).or_default();
            seeds.extend((outcome.count(what) > 0).then_some(outcome.seed));
        }
        if let Some(why) = self.short_of(outcome) {
            self.short.push((outcome.seed, why));
        }
    }

    fn short_of(&self, outcome: &Outcome) -> Option<String> {
        let acknowledged = outcome.count("acknowledged");
        let faults: u64 = outcome.plan.on.iter().map(|kind| outcome.count(kind.name())).sum();
        if outcome.simulated < self.bounds.simulated {
            return Some(format!("{:?} of world time", outcome.simulated));
        }
        if acknowledged < self.bounds.acknowledged {
            return Some(format!("{acknowledged} acknowledged requests"));
        }
        (faults < self.bounds.faults).then(|| format!("{faults} faults"))
    }

    /// Seeds so far.
    #[must_use]
    pub const fn seeds(&self) -> u64 {
        self.seeds
    }

    /// Seeds that were long and busy enough.
    #[must_use]
    pub const fn counted(&self) -> u64 {
        self.seeds - self.short.len() as u64
    }

    /// World time of all seeds.
    #[must_use]
    pub const fn simulated(&self) -> Duration {
        self.simulated
    }

    /// How often something happened.
    #[must_use]
    pub fn count(&self, what: &str) -> u64 {
        self.counts.get(what).copied().unwrap_or_default()
    }

    /// Everything that happened, by name.
    pub fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.counts.iter().map(|(what, count)| (*what, *count))
    }

    /// In how many seeds a kind of fault was on.
    #[must_use]
    pub fn drawn(&self, kind: Fault) -> u64 {
        self.drawn.get(&kind).copied().unwrap_or_default()
    }

    /// What is to be rare, and in how many seeds it was so.
    pub fn rare(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.rare.iter().map(|(what, seeds)| (*what, seeds.len() as u64))
    }

    /// The seeds whose histories were too hard to decide whether any order explains them.
    #[must_use]
    pub fn undecided(&self) -> &[u64] {
        self.rare.get(UNDECIDED).map_or(&[], Vec::as_slice)
    }

    /// What never happened and should have, in a run of this size.
    #[must_use]
    pub fn never(&self) -> Vec<&'static str> {
        if self.seeds < ENOUGH_SEEDS {
            return Vec::new();
        }
        let kinds = self.bounds.kinds.iter().map(Fault::name);
        let all = self.bounds.steps.iter().copied().chain(kinds);
        all.filter(|what| self.count(what) == 0).collect()
    }

    /// What was counted in too many seeds, in words. One seed is never too many.
    fn too_often(&self) -> impl Iterator<Item = String> {
        self.bounds.rare.iter().filter_map(|(what, most)| {
            let seeds = self.rare.get(what).map_or(0, |seeds| seeds.len() as u64);
            let is_too_many = seeds > 1 && seeds * 100 > self.seeds * most;
            let all = self.seeds;
            is_too_many
                .then(|| format!("{what} in {seeds} of {all} seeds, more than {most} in a hundred"))
        })
    }

    /// That too few of the requests were acknowledged, in words, in a run of this size.
    fn too_few(&self) -> Option<String> {
        let (offered, acknowledged) = (self.count("offered"), self.count("acknowledged"));
        let least = self.bounds.answered;
        let is_too_few = self.seeds >= ENOUGH_SEEDS && acknowledged * 100 < offered * least;
        is_too_few.then(|| {
            format!("{acknowledged} of {offered} offered requests were acknowledged, fewer than {least} in a hundred")
        })
    }

    /// Whether the run is worth something.
    ///
    /// # Errors
    ///
    /// What it lacks.
    pub fn verdict(&self) -> Result<(), String> {
        let mut lacks = Vec::new();
        for (seed, why) in self.short.iter().take(5) {
            lacks.push(format!("seed {seed} does not count: it had {why} only"));
        }
        let never = self.never();
        if !never.is_empty() {
            lacks.push(format!("never happened in {} seeds: {}", self.seeds, never.join(", ")));
        }
        lacks.extend(self.too_often());
        lacks.extend(self.too_few());
        if lacks.is_empty() { Ok(()) } else { Err(lacks.join("\n")) }
    }

    /// How fast worlds passed, in a line, and what was in them.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "figures for a reader")]
    pub fn speed(&self, took: Duration) -> String {
        let simulated = self.simulated.as_secs_f64().max(0.001);
        let loaded = self.loaded.as_secs_f64().max(0.001);
        let per_second = |what| self.count(what) as f64 / loaded;
        let (shortest, longest) = usual_raft().election_timeout();
        format!(
            "{:.0} simulated seconds in {:.1} s: {:.0} per second; {} nodes, election timeouts of {shortest:?} to {longest:?}; \
             in {:.0} of them clients ask, {:.0} of those per second, with per simulated second {:.1} requests offered, {:.1} acknowledged; {:.0} events",
            simulated,
            took.as_secs_f64(),
            simulated / took.as_secs_f64().max(0.001),
            self.nodes,
            loaded,
            loaded / took.as_secs_f64().max(0.001),
            per_second("offered"),
            per_second("acknowledged"),
            self.count("event") as f64 / simulated,
        )
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:>12}  what happened", "times")?;
        for (what, count) in self.counts() {
            if Fault::named(what).is_none() {
                writeln!(f, "{count:>12}  {what}")?;
            }
        }
        writeln!(f, "{:>12}  {:<18} {:>6}", "times", "fault", "seeds")?;
        for (kind, seeds) in &self.drawn {
            writeln!(f, "{:>12}  {:<18} {seeds:>6}", self.count(kind.name()), kind.name())?;
        }
        let (counted, seeds) = (self.counted(), self.seeds);
        let hours = self.simulated.as_secs_f64() / 3600.0;
        for (what, seeds) in &self.rare {
            let some: Vec<String> = seeds.iter().take(10).map(ToString::to_string).collect();
            let which =
                if some.is_empty() { String::new() } else { format!(": {}", some.join(", ")) };
            let more = if seeds.len() > some.len() { ", .." } else { "" };
            writeln!(f, "{:>12}  seeds with: {what}{which}{more}", seeds.len())?;
        }
        write!(f, "{counted} of {seeds} seeds count: {hours:.2} simulated hours")
    }
}
