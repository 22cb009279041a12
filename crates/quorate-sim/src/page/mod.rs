//! One page that plays a run, with everything in it.
//!
//! The page asks the network for nothing. Its run is kept small: an event is a row of the time since
//! the one before, its kind, and its fields in the order that the kind names once; texts are kept
//! once and numbered. `viewer/data.js` reads it back.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::world::Traced;

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

/// What a page needs to know beside the events.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// The page's title: plain words.
    pub title: &'a str,
    /// What `viewer/data.js` and `viewer/app.js` read: `nodes`, `clients`, `simulated` (nanoseconds), `seed`,
    /// `faults`, `parameters`, `broken` (`invariant` and `what`, or null), the number of `events`, and
    /// `replay`. Where events number nodes otherwise than people do, `numbered_from`.
    pub header: &'a Value,
}

/// A page of events in their order.
#[must_use]
pub fn page(head: &Head<'_>, events: &[Traced]) -> String {
    let mut packed = Packed::default();
    let rows: Vec<Value> = events.iter().map(|event| packed.row(event)).collect();
    let kinds: Vec<Value> = packed
        .kinds
        .iter()
        .map(|kind| json!({ "name": kind.name, "fields": kind.fields }))
        .collect();
    let run = json!({
        "header": head.header,
        "kinds": kinds,
        "texts": packed.texts,
        "events": rows,
    });
    // Inside a script element nothing may look like its end.
    let run = run.to_string().replace('<', "\\u003c");
    PAGE.replace("/*STYLE*/", STYLE)
        .replace("/*SCRIPT*/", &SCRIPTS.join("\n"))
        .replace("{TITLE}", head.title)
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
