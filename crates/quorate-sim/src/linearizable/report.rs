//! A violation in words and lines that a person can follow without the history at hand.

use std::collections::{BTreeMap, BTreeSet};

use super::cuts::Start;
use super::diagnosis::Case;
use super::{Explanation, Item};
use crate::history::{ClientId, History};
use crate::model::Model;

/// Longer texts are shown by their two ends.
const MAX_TEXT: usize = 80;
/// This much is left of a beginning that two texts share.
const SHARED: usize = 12;
/// The picture and the list of all orders are left out for counter-examples larger than this.
const MAX_DRAWN: usize = 10;
const MAX_TRIED: usize = 7;
/// Dead ends, last operations and next operations that are listed.
const MAX_LISTED: usize = 6;

/// All that a report tells.
pub(super) struct Facts<'f, 'a, M: Model> {
    pub(super) model: &'f M,
    pub(super) history: &'f History<M::Operation, M::Output>,
    pub(super) case: &'f Case<'a, M>,
    pub(super) start: &'f Start<'a, M>,
    pub(super) explanation: Explanation,
    pub(super) explains_all: bool,
    /// Other parts without an order.
    pub(super) others: usize,
}

pub(super) fn write<M: Model>(facts: &Facts<'_, '_, M>) -> String {
    let mut lines = facts.headline();
    if facts.items().len() <= MAX_DRAWN {
        lines.extend(facts.picture());
    }
    lines.extend(facts.list());
    lines.push("why there is no order:".to_owned());
    if facts.items().len() <= MAX_TRIED {
        lines.extend(facts.dead_ends());
    }
    lines.push(format!("  {}", facts.explained()));
    lines.extend(facts.longest());
    lines.join("\n")
}

impl<'a, M: Model> Facts<'_, 'a, M> {
    fn items(&self) -> &[Item<'a, M>] {
        &self.start.rest
    }

    fn headline(&self) -> Vec<String> {
        let (count, enough) = (self.case.items.len(), self.items().len());
        let others = match self.others {
            0 => String::new(),
            1 => " (one more part has none, either)".to_owned(),
            others => format!(" ({others} more parts have none, either)"),
        };
        let key = &self.case.key;
        let Start { state, folded, among, .. } = self.start;
        let state = shorten(&self.model.describe_state(state));
        let mut from = format!("starting from {state}");
        if *folded > 0 {
            from +=
                &format!(", which {folded} earlier {} left", one_or_many(*folded, "one", "ones"));
        }
        if *among > 1 {
            from +=
                &format!(" (or {} other states, from which there is no order, either)", among - 1);
        }
        let show = one_or_many(enough, "shows", "show");
        vec![
            format!(
                "not linearizable: no order of the {count} {} on {key:?} respects real time and \
                 explains every answer{others}",
                one_or_many(count, "operation", "operations")
            ),
            format!("{enough} of them {show} it, {from}:"),
        ]
    }

    /// One line per client, time from left to right; a column is an event, not a span of time.
    fn picture(&self) -> Vec<String> {
        let label = |item: &Item<'_, M>| item.id.to_string();
        let cell = self.items().iter().map(|item| label(item).len()).max().unwrap_or(0) + 2;
        let events = self.items().iter().flat_map(|item| [Some(item.invoked), item.returned]);
        let events: BTreeSet<u64> = events.flatten().collect();
        let column = |event: u64| cell * events.range(..event).count();
        let mut lanes: BTreeMap<(ClientId, usize), String> = BTreeMap::new();
        for item in self.items() {
            let client = self.history.operation(item.id).client;
            let begin = column(item.invoked);
            let lane = (0..)
                .find(|lane| lanes.get(&(client, *lane)).is_none_or(|line| line.len() <= begin))
                .unwrap_or(0);
            let line = lanes.entry((client, lane)).or_default();
            let end = item.returned.map_or(begin + cell, column);
            let last = if item.returned.is_some() { '|' } else { '?' };
            let bar = format!("|{:-<width$}{last}", label(item), width = end - begin - 1);
            *line += &format!("{:begin$}", "", begin = begin - line.len());
            *line += &bar;
        }
        let widest = lanes.keys().map(|(client, _)| client.to_string().len()).max().unwrap_or(0);
        let draw = |((client, _), line): ((ClientId, usize), String)| {
            format!("  {:widest$}  {line}", client.to_string())
        };
        lanes.into_iter().map(draw).collect()
    }

    fn list(&self) -> Vec<String> {
        let row = |item: &Item<'_, M>| {
            let operation = self.history.operation(item.id);
            let begin = operation.invoked.at();
            let (until, answer) = match (item.expected, operation.ended) {
                (Some(output), Some(ended)) => {
                    (format!("{:?}", ended.at()), self.model.describe_output(output))
                }
                _ => ("open".to_owned(), "?".to_owned()),
            };
            let what = shorten(&self.model.describe(item.operation));
            let answer = shorten(&answer);
            let (id, client) = (item.id, operation.client);
            format!("  {id} {client} {begin:?} .. {until}: {what} -> {answer}")
        };
        self.items().iter().map(row).collect()
    }

    /// Every order that respects real time, up to where an answer does not fit.
    fn dead_ends(&self) -> Vec<String> {
        let mut found = Vec::new();
        self.try_orders(&self.start.state, &mut Vec::new(), &mut found);
        let more = found.len().saturating_sub(MAX_LISTED);
        found.truncate(MAX_LISTED);
        if more > 0 {
            found.push(format!("  and {more} orders more"));
        }
        found
    }

    fn try_orders(&self, state: &M::State, order: &mut Vec<usize>, found: &mut Vec<String>) {
        let left: Vec<usize> =
            (0..self.items().len()).filter(|item| !order.contains(item)).collect();
        let is_next = |item: &&usize| {
            let item = &self.items()[**item];
            !left.iter().any(|other| self.items()[*other].precedes(item))
        };
        let mut wrong = Vec::new();
        let mut goes_on = false;
        for &item in left.iter().filter(is_next) {
            let one = &self.items()[item];
            let (after, output) = self.model.step(state, one.operation);
            match one.expected {
                Some(expected) if *expected != output => wrong.push(self.wrong(one, &output)),
                None if after == *state => {}
                _ => {
                    goes_on = true;
                    order.push(item);
                    self.try_orders(&after, order, found);
                    order.pop();
                }
            }
        }
        if !goes_on {
            let path: Vec<String> =
                order.iter().map(|item| self.items()[*item].id.to_string()).collect();
            let path = if path.is_empty() { "at once".to_owned() } else { path.join(" ") };
            found.push(format!("  {path}: then {}", wrong.join("; ")));
        }
    }

    fn wrong(&self, item: &Item<'_, M>, output: &M::Output) -> String {
        let say = |output| self.model.describe_output(output);
        let answered = item.expected.map_or_else(|| "?".to_owned(), say);
        let (would, answered) = contrast(&say(output), &answered);
        let what = shorten(&self.model.describe(item.operation));
        format!("{} {what} would answer {would}, but answered {answered}", item.id)
    }

    fn explained(&self) -> String {
        let explained = match self.explanation {
            Explanation::Early { operation, before } => format!(
                "it fits if {operation} took effect before {before}, which had returned before \
                 {operation} was called: a stale read, or changes out of order"
            ),
            Explanation::Late { operation, after } => format!(
                "it fits if {operation} took effect after {after}, which was called after \
                 {operation} had returned: acknowledged too soon, or changes out of order"
            ),
            Explanation::Lost(operation) => {
                format!("it fits if {operation} was answered but never took effect: a lost change")
            }
            Explanation::Twice(operation) => {
                format!("it fits if {operation} took effect twice: a change applied again")
            }
            Explanation::Unexplained => {
                return "no single operation out of its time, lost or done twice explains it"
                    .to_owned();
            }
        };
        let rest = if self.explains_all { "; so does all that came later" } else { "" };
        explained + rest
    }

    /// Where the longest order ends, and what would have had to come next.
    fn longest(&self) -> Vec<String> {
        let Case { initial, items, longest, .. } = self.case;
        let mut state = initial.clone();
        for item in longest {
            state = self.model.step(&state, items[*item].operation).0;
        }
        let tail = &longest[longest.len().saturating_sub(MAX_LISTED)..];
        let tail: Vec<String> = tail.iter().map(|item| items[*item].id.to_string()).collect();
        let dots = if longest.len() > MAX_LISTED { ".. " } else { "" };
        let mut lines = vec![
            format!("longest order that could be begun: {} of {}", longest.len(), items.len()),
            format!(
                "  {dots}{} leaves {}",
                if tail.is_empty() { "nothing done".to_owned() } else { tail.join(" ") },
                shorten(&self.model.describe_state(&state))
            ),
        ];
        let placed: BTreeSet<usize> = longest.iter().copied().collect();
        let left: Vec<&Item<'_, M>> = items
            .iter()
            .enumerate()
            .filter(|(item, _)| !placed.contains(item))
            .map(|(_, item)| item)
            .collect();
        let first_return = left.iter().filter_map(|item| item.returned).min().unwrap_or(u64::MAX);
        let next = left.iter().filter(|item| item.required && item.invoked < first_return);
        for item in next.take(MAX_LISTED) {
            let (_, output) = self.model.step(&state, item.operation);
            let fits = item.expected.is_some_and(|expected| *expected == output);
            if fits {
                let what = shorten(&self.model.describe(item.operation));
                lines.push(format!("  {} {what} fits, but leads nowhere", item.id));
            } else {
                lines.push(format!("  {}", self.wrong(item, &output)));
            }
        }
        lines
    }
}

const fn one_or_many<'t>(count: usize, one: &'t str, many: &'t str) -> &'t str {
    if count == 1 { one } else { many }
}

/// Two texts, without most of the beginning that they share if they are long.
fn contrast(one: &str, other: &str) -> (String, String) {
    let alike = one.chars().zip(other.chars()).take_while(|(a, b)| a == b).count();
    let is_long = one.chars().count().max(other.chars().count()) > MAX_TEXT / 2;
    let hidden = if is_long { alike.saturating_sub(SHARED) } else { 0 };
    let show = |text: &str| {
        let rest: String = text.chars().skip(hidden).collect();
        if hidden == 0 { shorten(&rest) } else { format!("[{hidden} alike]{}", shorten(&rest)) }
    };
    (show(one), show(other))
}

/// A text, or its two ends if it is long.
fn shorten(text: &str) -> String {
    let length = text.chars().count();
    if length <= MAX_TEXT {
        return text.to_owned();
    }
    let half = MAX_TEXT / 2 - 6;
    let mut short: String = text.chars().take(half).collect();
    let hidden = length - 2 * half;
    short += &format!("[{hidden} more]");
    short.extend(text.chars().skip(length - half));
    short
}
