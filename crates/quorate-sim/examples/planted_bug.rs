//! Two state machines with a bug each, and what the simulator says about them.
//!
//! ```text
//! cargo run -p quorate-sim --example planted_bug
//! ```
//!
//! Both pass any test on one machine. On several nodes they give different answers, and on a node
//! that restarts they forget what they said.
#![allow(clippy::print_stdout, reason = "an example talks to its reader")]
#![expect(
    clippy::disallowed_types,
    reason = "a hash map and a clock have no place in a state machine: these are the planted bugs"
)]

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use quorate::{Applying, StateMachine};
use quorate_sim::sim;
use serde::{Deserialize, Serialize};

/// Counts votes; whoever has most of them wins.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Election {
    votes: HashMap<String, u64>,
}

impl StateMachine for Election {
    /// A vote for somebody.
    type Command = String;
    /// Who is ahead.
    type Reply = Option<String>;
    type Query = ();
    type Answer = Option<String>;

    fn apply(&mut self, _at: &Applying, name: String) -> Option<String> {
        *self.votes.entry(name).or_default() += 1;
        self.query(())
    }

    /// The bug: where two are level, the last one in the order of the map wins, and every map has
    /// an order of its own.
    fn query(&self, (): ()) -> Option<String> {
        self.votes.iter().max_by_key(|(_, votes)| **votes).map(|(name, _)| name.clone())
    }
}

/// Hands out tickets that are valid for an hour.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Tickets {
    sold: u64,
}

impl StateMachine for Tickets {
    type Command = ();
    /// Number of the ticket, and until when it is valid.
    type Reply = (u64, Duration);
    type Query = ();
    type Answer = u64;

    /// The bug: every node has a clock of its own, and a node that restarts executes this again
    /// later. `at.log_time_ms` is the same everywhere and for ever.
    fn apply(&mut self, _at: &Applying, (): ()) -> (u64, Duration) {
        self.sold += 1;
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        (self.sold, now + Duration::from_secs(3600))
    }

    fn query(&self, (): ()) -> u64 {
        self.sold
    }
}

/// What the simulator says about the election.
pub(crate) fn election() -> Result<(), String> {
    let names = ["Ada", "Barbara", "Frances"];
    let election = sim::<Election>()
        .nodes(3)
        .workload(move |rng| names[rng.index(names.len())].to_owned())
        .queries(|_| ())
        .seeds(0..20);
    election.try_run().map(|_| ())
}

/// What it says about the tickets.
pub(crate) fn tickets() -> Result<(), String> {
    sim::<Tickets>().nodes(3).workload(|_| ()).queries(|_| ()).seeds(0..20).try_run().map(|_| ())
}

fn main() {
    for (name, outcome) in [("the election", election()), ("the tickets", tickets())] {
        match outcome {
            Ok(()) => println!("{name}: nothing was found, which is a bug of the simulator"),
            Err(report) => println!("=== {name}\n\n{report}\n"),
        }
    }
}
