//! `--html`: one page that plays a run, with everything in it.

use std::fs;
use std::path::Path;

use quorate_sim::run::{Options, Outcome};

use super::trace_file::{header, unwritable};
use crate::failure::Failure;

const PAGE: &str = include_str!("viewer/page.html");
const STYLE: &str = include_str!("viewer/style.css");
const SCRIPTS: [&str; 1] = [include_str!("viewer/app.js")];

pub(super) fn write(path: &Path, outcome: &Outcome, options: &Options) -> Result<(), Failure> {
    fs::write(path, page(outcome, options)).map_err(|error| unwritable(path, &error))
}

fn page(outcome: &Outcome, options: &Options) -> String {
    let events: Vec<String> =
        outcome.events.iter().map(|event| serde_json::to_string(event).expect("plain")).collect();
    let run =
        format!("{{\"header\":{},\"events\":[{}]}}", header(outcome, options), events.join(","));
    // Inside a script element nothing may look like its end.
    let run = run.replace('<', "\\u003c");
    let title = format!("Quorate, seed {}", outcome.seed);
    PAGE.replace("/*STYLE*/", STYLE)
        .replace("/*SCRIPT*/", &SCRIPTS.join("\n"))
        .replace("{TITLE}", &title)
        .replace("{RUN}", &run)
}
