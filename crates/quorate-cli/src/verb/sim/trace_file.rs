//! `--trace`: a run as JSON, one object a line: a header, then every event in order.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use quorate_sim::run::{Options, Outcome};
use serde_json::{Map, Value, json};

use super::arguments::replay;
use crate::failure::{Exit, Failure};

pub(super) fn write(path: &Path, outcome: &Outcome, options: &Options) -> Result<(), Failure> {
    let written = File::create(path).and_then(|file| {
        let mut file = BufWriter::new(file);
        write_to(&mut file, outcome, options)?;
        file.flush()
    });
    written.map_err(|error| unwritable(path, &error))
}

fn write_to(file: &mut impl Write, outcome: &Outcome, options: &Options) -> io::Result<()> {
    writeln!(file, "{}", header(outcome, options))?;
    for event in &outcome.events {
        serde_json::to_writer(&mut *file, event)?;
        file.write_all(b"\n")?;
    }
    Ok(())
}

/// What to know about a run before its first event.
pub(super) fn header(outcome: &Outcome, options: &Options) -> Value {
    let parameters = outcome.parameters().into_iter();
    let parameters: Map<String, Value> =
        parameters.map(|(name, value)| (name.to_owned(), Value::from(value))).collect();
    let faults: Vec<&str> = outcome.plan.on.iter().map(|kind| kind.name()).collect();
    json!({
        "quorate": env!("CARGO_PKG_VERSION"),
        "seed": outcome.seed,
        "nodes": options.nodes,
        "clients": options.clients,
        "rate": options.rate,
        "duration": nanos(options.duration),
        "simulated": nanos(outcome.simulated),
        "faults": faults,
        "parameters": parameters,
        "hash": format!("{:016x}", outcome.hash),
        "broken": outcome.broken.as_ref().map(|broken| {
            json!({ "invariant": broken.invariant, "what": broken.what })
        }),
        "events": outcome.events.len(),
        "replay": replay(outcome.seed, options),
    })
}

fn nanos(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// A file that cannot be written.
pub(in crate::verb) fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::new(
        Exit::Usage,
        format!("cannot write {}: {error}", path.display()),
        "its directory does not exist, or may not be written, or the disk is full",
        "another file name",
    )
}
