//! The page of a recorded run.

use std::time::Duration;

use quorate_sim::page::{self, Head};
use quorate_sim::world::Traced;
use serde_json::{Value, json};

use crate::suite::Outcome;

/// What is too quick to be seen is drawn as if it took so long: on a network that loses nothing a whole
/// election happens in one instant.
const SHORTEST_FLIGHT: Duration = Duration::from_millis(4);

/// What happened in a run.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    pub(super) servers: usize,
    pub(super) lanes: usize,
    /// Nanoseconds.
    pub(super) length: u64,
    pub(super) events: Vec<Traced>,
}

impl Recording {
    /// Every event, in order. Servers have numbers from 1 here.
    #[must_use]
    pub fn events(&self) -> &[Traced] {
        &self.events
    }

    /// A page that plays the run, with everything in it.
    #[must_use]
    pub fn page(&self, outcome: &Outcome) -> String {
        let title = format!("Quorate lab, {}, seed {}", outcome.run.entry.word(), outcome.run.seed);
        page::page(&Head { title: &title, header: &self.header(outcome) }, &self.events)
    }

    fn header(&self, outcome: &Outcome) -> Value {
        let (run, tally) = (outcome.run, outcome.tally);
        let settings = run.suite.settings(run.entry, run.pauses);
        let about = run.entry.scenario.about();
        let broken = outcome.failure.as_ref().filter(|_| outcome.is_broken());
        let verdict = match (&outcome.failure, broken) {
            (None, _) => "passed",
            (Some(_), Some(_)) => "failed",
            (Some(_), None) => "skipped",
        };
        let mut facts =
            vec![run.entry.scenario.id().to_owned(), format!("{} servers", self.servers)];
        if broken.is_none() {
            // Where something broke, the banner says it.
            facts.push(about.to_owned());
        }
        json!({
            "quorate": env!("CARGO_PKG_VERSION"),
            "seed": run.seed,
            "nodes": self.servers.max(1),
            "clients": self.lanes.max(1),
            "simulated": self.length.max(1),
            "faults": [],
            "numbered_from": 0,
            "shortest_flight": nanos(SHORTEST_FLIGHT),
            "name": run.entry.word(),
            "verdict": verdict,
            "facts": facts,
            "parameters": {
                "suite": format!("{}, of {}", run.suite.name, run.suite.document.name()),
                "scenario": format!("{} ({})", run.entry.name, run.entry.scenario.id()),
                "shows": about,
                "network": format!("{:?}", settings.model),
                "heartbeat": format!("{:?}", settings.timing.heartbeat),
                "election timeout": format!(
                    "{:?} to {:?}", settings.timing.election_min, settings.timing.election_max
                ),
                "requests": tally.requests.to_string(),
                "bytes": tally.bytes.to_string(),
                "commits": tally.commits.to_string(),
                "what is drawn": format!(
                    "a message that is quicker than {SHORTEST_FLIGHT:?} is drawn as if it took so long"
                ),
            },
            "broken": broken.map(|failure| json!({ "invariant": about, "what": failure.what })),
            "events": self.events.len(),
            "replay": outcome.replay(),
        })
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}
