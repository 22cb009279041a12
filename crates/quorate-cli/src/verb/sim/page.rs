//! `--html`: one page that plays a run, with everything in it.
//!
//! The page asks the network for nothing. Its run is kept small: an event is a row of the time since
//! the one before, its kind, and its fields in the order that the kind names once; texts are kept
//! once and numbered. `viewer/data.js` reads it back.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use quorate_sim::run::{Options, Outcome};
use quorate_sim::world::Traced;
use serde_json::{Map, Value, json};

use super::trace_file::{header, unwritable};
use crate::failure::Failure;

const PAGE: &str = include_str!("viewer/page.html");
const STYLE: &str = include_str!("viewer/style.css");
const SCRIPTS: [&str; 10] = [
    include_str!("viewer/data.js"),
    include_str!("viewer/state.js"),
    include_str!("viewer/paint.js"),
    include_str!("viewer/ring.js"),
    include_str!("viewer/logs.js"),
    include_str!("viewer/lanes.js"),
    include_str!("viewer/timeline.js"),
    include_str!("viewer/list.js"),
    include_str!("viewer/app.js"),
    include_str!("viewer/selftest.js"),
];

pub(super) fn write(path: &Path, outcome: &Outcome, options: &Options) -> Result<(), Failure> {
    fs::write(path, page(outcome, options)).map_err(|error| unwritable(path, &error))
}

fn page(outcome: &Outcome, options: &Options) -> String {
    let mut packed = Packed::default();
    let rows: Vec<Value> = outcome.events.iter().map(|event| packed.row(event)).collect();
    let kinds: Vec<Value> = packed
        .kinds
        .iter()
        .map(|kind| json!({ "name": kind.name, "fields": kind.fields }))
        .collect();
    let run = json!({
        "header": header(outcome, options),
        "kinds": kinds,
        "texts": packed.texts,
        "events": rows,
    });
    // Inside a script element nothing may look like its end.
    let run = run.to_string().replace('<', "\\u003c");
    PAGE.replace("/*STYLE*/", STYLE)
        .replace("/*SCRIPT*/", &SCRIPTS.join("\n"))
        .replace("{TITLE}", &format!("Quorate, seed {}", outcome.seed))
        .replace("{RUN}", &run)
}

/// One kind of event and the order of its fields; names of texts end in `$`.
#[derive(Debug)]
struct Kind {
    name: String,
    fields: Vec<String>,
}

/// Events as rows.
#[derive(Debug, Default)]
struct Packed {
    kinds: Vec<Kind>,
    texts: Vec<String>,
    numbers: BTreeMap<String, usize>,
    before: u64,
}

impl Packed {
    fn row(&mut self, traced: &Traced) -> Value {
        let Ok(Value::Object(mut event)) = serde_json::to_value(traced) else {
            unreachable!("an event is an object of numbers and texts");
        };
        event.remove("at");
        let name = event.remove("event");
        let name = name.as_ref().and_then(Value::as_str).unwrap_or_default();
        if name == "arrives" {
            // The page finds what a frame says where it was sent.
            for field in ["kind", "term", "says"] {
                event.remove(field);
            }
        }
        let kind = self.kind(name, &event);
        let mut row = vec![Value::from(traced.at - self.before), Value::from(kind)];
        self.before = traced.at;
        for field in self.kinds[kind].fields.clone() {
            let value = event.remove(plain(&field)).unwrap_or(Value::Null);
            row.push(self.value(&field, value, traced.at));
        }
        Value::Array(row)
    }

    /// The number of a kind, which is met first with all its fields.
    fn kind(&mut self, name: &str, event: &Map<String, Value>) -> usize {
        if let Some(at) = self.kinds.iter().position(|kind| kind.name == name) {
            return at;
        }
        let field = |(field, value): (&String, &Value)| match (field.as_str(), value) {
            // The page calls the place of an event its index.
            ("index", _) => "reached".to_owned(),
            (field, Value::String(_)) => format!("{field}$"),
            (field, _) => field.to_owned(),
        };
        let fields = event.iter().map(field).collect();
        self.kinds.push(Kind { name: name.to_owned(), fields });
        self.kinds.len() - 1
    }

    fn value(&mut self, field: &str, value: Value, at: u64) -> Value {
        match value {
            Value::String(text) => Value::from(self.text(text)),
            // Arrivals are told from the moment of sending, and spans are three numbers.
            Value::Array(parts) if field == "arrives" => {
                parts.iter().map(|part| part.as_u64().unwrap_or(at) - at).collect()
            }
            Value::Array(parts) => parts.into_iter().map(without_names).collect(),
            other => other,
        }
    }

    fn text(&mut self, text: String) -> usize {
        let next = self.texts.len();
        let number = *self.numbers.entry(text.clone()).or_insert(next);
        if number == next {
            self.texts.push(text);
        }
        number
    }
}

/// The name that a field has outside of the page.
fn plain(field: &str) -> &str {
    if field == "reached" { "index" } else { field.trim_end_matches('$') }
}

fn without_names(part: Value) -> Value {
    match part {
        Value::Object(fields) => fields.into_iter().map(|(_, value)| value).collect(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use quorate_sim::invariants::Broken;
    use quorate_sim::run::{Lines, Options};
    use quorate_sim::world::{Faults, TraceEvent};

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
