//! `--html`: one page that plays a run, with everything in it.

use std::fs;
use std::path::Path;

use quorate_sim::page::{self, Head};
use quorate_sim::run::{Options, Outcome};

use super::trace_file::{header, unwritable};
use crate::failure::Failure;

pub(super) fn write(path: &Path, outcome: &Outcome, options: &Options) -> Result<(), Failure> {
    fs::write(path, page(outcome, options)).map_err(|error| unwritable(path, &error))
}

fn page(outcome: &Outcome, options: &Options) -> String {
    let (title, header) = (format!("Quorate, seed {}", outcome.seed), header(outcome, options));
    page::page(&Head { title: &title, header: &header }, &outcome.events)
}

#[cfg(test)]
mod tests {
    use quorate_sim::invariants::Broken;
    use quorate_sim::run::{Lines, Options};
    use quorate_sim::world::{Faults, TraceEvent, Traced};
    use serde_json::{Value, json};

    use super::super::target;
    use super::*;

    #[test]
    fn a_page_holds_its_run_and_asks_for_nothing_else() {
        let options = Options {
            duration: std::time::Duration::from_secs(2),
            faults: Faults::none(),
            ..Options::default()
        };
        let outcome = target::run(1, &options, Lines::All);
        let page = page(&outcome, &options);
        for mark in [
            "/*STYLE*/",
            "/*SCRIPT*/",
            "{TITLE}",
            "{RUN}",
            "http://",
            "https://",
            "src=",
            "@import",
        ] {
            assert!(!page.contains(mark), "{mark}");
        }
        assert_eq!(page.matches("</script>").count(), 2);
        let data = page.split_once("application/json\">").expect("the run is there").1;
        let data = data.split_once("</script>").expect("the run ends").0;
        let data: Value = serde_json::from_str(data).expect("it is JSON");
        assert_eq!(data["events"].as_array().map(Vec::len), Some(outcome.events.len()));
        let at: u64 =
            data["events"].as_array().expect("rows").iter().filter_map(|row| row[0].as_u64()).sum();
        assert_eq!(Some(at), outcome.events.last().map(|event| event.at));
    }

    #[test]
    fn the_page_of_a_broken_run_says_what_broke() {
        let options = Options {
            duration: std::time::Duration::from_secs(1),
            faults: Faults::none(),
            ..Options::default()
        };
        let mut outcome = target::run(1, &options, Lines::All);
        let (invariant, what) = ("one leader per term", "both <b>lead</b>".to_owned());
        outcome.broken = Some(Broken::new(invariant, what.clone()));
        let at = outcome.events.last().map_or(0, |event| event.at);
        outcome.events.push(Traced { at, event: TraceEvent::Broken { invariant, what } });
        let page = page(&outcome, &options);
        assert!(!page.contains("<b>lead</b>"));
        let data = page.split_once("application/json\">").expect("the run is there").1;
        let data = data.split_once("</script>").expect("the run ends").0;
        let data: Value = serde_json::from_str(data).expect("it is JSON");
        assert_eq!(data["header"]["broken"]["invariant"], invariant);
        assert_eq!(data["header"]["broken"]["what"], "both <b>lead</b>");
        // The browser's test plants a rule that breaks in this form.
        let kinds = data["kinds"].as_array().expect("kinds");
        let kind = json!({ "name": "broken", "fields": ["invariant$", "what$"] });
        assert_eq!(kinds.last(), Some(&kind));
        let row = data["events"].as_array().and_then(|rows| rows.last()).expect("an event");
        assert_eq!((&row[0], &row[1]), (&json!(0), &json!(kinds.len() - 1)));
    }
}
