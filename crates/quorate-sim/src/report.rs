//! What the author of a state machine is told about a seed that failed.

use crate::invariants::Broken;
use crate::run::{Lines, Options, Outcome, Run, Target};
use crate::totals::Totals;

/// Rules that a state machine breaks, not the cluster, and what to do about it.
const YOURS: [(&str, &str); 11] = [
    (
        "same commands, same replies",
        "run the seed again with .trace(), find the entry that is named, and read what its command \
         does in `apply`",
    ),
    (
        "same commands, same state",
        "run the seed again with .trace(), find the entry that is named, and read what its command \
         does in `apply`; what .state(..) returns must itself be in a fixed order",
    ),
    (
        "answers are true",
        "read `query`: it must depend on the state and the query alone, and change nothing that \
         `apply` sees",
    ),
    ("commands decode", "check that `Codec::decode` reads back whatever `Codec::encode` writes"),
    (
        "the state machine does not panic",
        "reply with an error instead: every node executes the same command, so all of them would stop",
    ),
    (
        "a snapshot is the log that it replaces",
        "compare the fields of the state machine with those that `view` writes and `restore` reads: \
         one that `apply` or `query` looks at is left out, or comes back as something else",
    ),
    (
        "equal states give equal snapshots",
        "write the state in a fixed order, from a BTreeMap or sorted, and nothing that differs from \
         node to node: each node takes the snapshot of an entry by itself, and all of them must be \
         the same bytes",
    ),
    (
        "a snapshot restores",
        "check that `restore` reads back whatever `view` writes, to its last byte",
    ),
    (
        "a snapshot fails with its disk alone",
        "the disk was well: read what is written above of why, and reply with an error from `view` \
         for nothing that a state can be",
    ),
    ("no panic", "a panic outside of `apply`: in `query`, in the workload or in a check of yours"),
    (
        "linearizability",
        "compare the counter-example with the model step by step: one of the two, model or state \
         machine, does not mean what you mean",
    ),
];

/// Everything there is to say about a seed that failed.
pub(crate) fn failure<T: Target>(run: &Run<T>, first: Outcome) -> String {
    let seed = first.seed;
    let second = run.seed(seed, Lines::Recent);
    let differ = first.hash != second.hash;
    let outcome = if second.broken.is_some() { second } else { first };
    let advice = outcome.broken.as_ref().map(advice).unwrap_or_default();
    let mut text = format!("{outcome}\n\nwhat to do: {advice}\n");
    if differ {
        text += "a second run of the seed went another way: something in the state machine, the \
                 workload or the checks depends on more than its arguments\n";
    }
    if let Some(shrunk) = run.shrink(seed) {
        let smallest = &shrunk.outcome;
        let faults: Vec<&str> = shrunk.plan.on.iter().map(|kind| kind.name()).collect();
        let faults = if faults.is_empty() { "no faults".to_owned() } else { faults.join(", ") };
        let what = smallest.broken.as_ref().map(ToString::to_string).unwrap_or_default();
        text += &format!(
            "\nthe smallest run that still breaks it, after {} runs: {}, {faults}\n{what}\n{}\n",
            shrunk.runs,
            settings(&shrunk.options),
            smallest.again,
        );
    }
    text
}

/// Everything there is to say about a run that showed nothing.
pub(crate) fn nothing(totals: &Totals) -> String {
    let (seeds, offered) = (totals.seeds(), totals.count("offered"));
    format!(
        "no request was acknowledged in {seeds} seeds: {offered} were offered, {} asked, {} of them \
         refused\n\nwhat to do: a run like this proves nothing; ask for a seed, a client and a \
         request per second at least, and see with .trace() why requests are refused: commands may \
         be too large\n\n{totals}",
        totals.count("request"),
        totals.count("refused"),
    )
}

/// What to do about it.
fn advice(broken: &Broken) -> String {
    let yours = YOURS.iter().find(|(invariant, _)| *invariant == broken.invariant);
    match yours {
        Some((_, advice)) => (*advice).to_owned(),
        None => format!(
            "`{}` is a rule of the cluster, which no state machine should be able to break: please \
             report it with this whole text",
            broken.invariant
        ),
    }
}

fn settings(options: &Options) -> String {
    let Options { nodes, clients, rate, duration, .. } = options;
    format!("{nodes} nodes, {clients} clients, {rate} requests a second, {duration:?}")
}

/// An outcome in full, for [`Outcome`]'s `Display`.
pub(crate) fn outcome(outcome: &Outcome, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
    let (seed, seconds) = (outcome.seed, outcome.simulated.as_secs_f64());
    let Some(broken) = &outcome.broken else {
        return write!(f, "seed {seed}: {seconds:.0} s simulated, all rules hold");
    };
    writeln!(f, "seed {seed} breaks a rule after {seconds:.3} s of world time\n\n{broken}\n")?;
    writeln!(f, "the world: {}", settings(&outcome.options))?;
    for (name, value) in outcome.parameters() {
        writeln!(f, "{name:>24}  {value}")?;
    }
    writeln!(f, "\nthe last events:")?;
    for event in &outcome.events {
        let event = event.to_string();
        writeln!(f, "  {}", event.lines().next().unwrap_or_default())?;
    }
    write!(f, "\n{}", outcome.again)
}
