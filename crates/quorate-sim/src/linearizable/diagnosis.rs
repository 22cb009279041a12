//! From "there is no order" to the least that shows why.
//!
//! 1. The history is cut off at the first return up to which there is no order: that
//!    return breaks it. What was open then counts as unknown.
//! 2. The past is folded into a state, as late as the next two steps allow (`cuts`).
//! 3. A single misdeed is looked for that explains the rest: one operation out of its time, without
//!    effect, or done twice. Of several, one that explains all that came later is preferred.
//! 4. Operations are left out as long as the rest has no order but would have one with the same
//!    misdeed. The second half matters: without it nearly every counter-example would shrink to one
//!    read whose answer nobody wrote, because its writer was left out.

use std::collections::BTreeSet;

use super::cuts::{Cut, Start, find_cuts};
use super::report::{self, Facts};
use super::search::{Budget, Search, find_order};
use super::{Explanation, Item, Violation};
use crate::history::{History, OperationId};
use crate::model::Model;

/// Configurations that each stage of a diagnosis may remember; beyond that it is content with less.
const STAGE: u64 = 1_000_000;
/// The latest operations before the end that are suspected of anything.
const SUSPECTS: usize = 128;
/// Operations called after the end that are tried as the source of an answer from the future.
const FUTURE: usize = 64;

/// A part of the state whose operations have no order.
pub(super) struct Case<'a, M: Model> {
    pub(super) key: M::Key,
    pub(super) initial: M::State,
    pub(super) items: Vec<Item<'a, M>>,
    /// The longest order that could be begun.
    pub(super) longest: Vec<usize>,
}

/// What a store may have done to one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Misdeed {
    OutOfTime,
    Lost,
    Twice,
}

type Culprit = (OperationId, Misdeed);

/// The counter-example before it is put into words.
struct Finding<'a, M: Model> {
    start: Start<'a, M>,
    culprit: Option<Culprit>,
    explains_all: bool,
}

/// Explains the case that broke first.
pub(super) fn earliest<'a, M: Model>(
    model: &M,
    history: &History<M::Operation, M::Output>,
    cases: Vec<Case<'a, M>>,
) -> Option<Violation<M>> {
    let others = cases.len().saturating_sub(1);
    let cut_off = |case: Case<'a, M>| (breaking_return(model, &case), case);
    let (end, case) = cases.into_iter().map(cut_off).min_by_key(|(end, _)| *end)?;
    let finding = examine(model, &case, end)?;
    let explanation = explain(model, &finding);
    let longest: Vec<OperationId> = case.longest.iter().map(|item| case.items[*item].id).collect();
    let report = report::write(&Facts {
        model,
        history,
        case: &case,
        start: &finding.start,
        explanation,
        explains_all: finding.explains_all,
        others,
    });
    let items = &finding.start.rest;
    Some(Violation {
        operations: items.iter().map(|item| item.id).collect(),
        counter_example: history.select(items.iter().map(|item| (item.id, !item.required))),
        start: finding.start.state,
        explanation,
        longest,
        checked: case.items.len(),
        report,
        key: case.key,
    })
}

/// The first return up to which there is no order.
fn breaking_return<M: Model>(model: &M, case: &Case<'_, M>) -> u64 {
    let mut returns: Vec<u64> = case.items.iter().filter_map(|item| item.returned).collect();
    returns.sort_unstable();
    let mut budget = Budget(STAGE);
    let (mut fits, mut breaks) = (0, returns.len().saturating_sub(1));
    while fits < breaks {
        let middle = usize::midpoint(fits, breaks);
        let items = until(&case.items, returns[middle]);
        if find_order(model, &case.initial, &items, &mut budget).is_no_order() {
            breaks = middle;
        } else {
            fits = middle + 1;
        }
    }
    returns.get(breaks).copied().unwrap_or(u64::MAX)
}

/// What was known at a moment.
fn until<'a, M: Model>(items: &[Item<'a, M>], end: u64) -> Vec<Item<'a, M>> {
    let known = |item: &Item<'a, M>| {
        let has_returned = item.returned.is_some_and(|returned| returned <= end);
        if has_returned { *item } else { item.still_open() }
    };
    items.iter().filter(|item| item.invoked < end).map(known).collect()
}

fn examine<'a, M: Model>(model: &M, case: &Case<'a, M>, end: u64) -> Option<Finding<'a, M>> {
    let items = until(&case.items, end);
    let last = items.iter().find(|item| item.returned == Some(end)).map(|item| item.id);
    let cuts = find_cuts(model, &case.initial, &items, &mut Budget(STAGE));
    let future = case.items.iter().filter(|item| item.invoked > end).take(FUTURE);
    let future: Vec<Item<'a, M>> = future.map(|item| item.still_open()).collect();
    let scene = Scene { model, case, items: &items, future: &future, cuts: &cuts, last };
    let mut budget = Budget(STAGE);
    let mut finding = scene.explained(&mut budget).or_else(|| {
        let start = cuts.last()?.starts(&items).next()?;
        Some(Finding { start, culprit: None, explains_all: false })
    })?;
    shrink(model, &mut finding);
    Some(finding)
}

/// Where a culprit is looked for.
struct Scene<'s, 'a, M: Model> {
    model: &'s M,
    case: &'s Case<'a, M>,
    /// All that was known when the history broke.
    items: &'s [Item<'a, M>],
    /// What was called later, as unknown.
    future: &'s [Item<'a, M>],
    cuts: &'s [Cut<M::State>],
    /// What returned when the history broke.
    last: Option<OperationId>,
}

impl<'a, M: Model> Scene<'_, 'a, M> {
    /// Looks for a culprit in ever longer ends of the history.
    fn explained(&self, budget: &mut Budget) -> Option<Finding<'a, M>> {
        let mut back = 1;
        let mut later = self.cuts.len();
        loop {
            let at = self.cuts.len().saturating_sub(back);
            for start in self.cuts[at].starts(self.items) {
                let culprits = self.culprits(&start, budget);
                if let Some((culprit, explains_all)) = self.preferred(&culprits, budget) {
                    let start = self.latest_start(at, later, culprit, budget)?;
                    return Some(Finding { start, culprit: Some(culprit), explains_all });
                }
            }
            if at == 0 || budget.0 == 0 {
                return None;
            }
            later = at;
            back *= 2;
        }
    }

    /// Every misdeed that explains the rest, the most likely ones first.
    fn culprits(&self, start: &Start<'a, M>, budget: &mut Budget) -> Vec<Culprit> {
        use Misdeed::{Lost, OutOfTime, Twice};
        let Start { state, rest, .. } = start;
        let latest = &rest[rest.len().saturating_sub(SUSPECTS)..];
        let (known, open): (Vec<&Item<'a, M>>, Vec<&Item<'a, M>>) =
            latest.iter().partition(|item| item.required);
        let earlier = || known.iter().rev().map(|item| item.id).filter(|id| Some(*id) != self.last);
        let mut suspects: Vec<Culprit> = Vec::new();
        suspects.extend(self.last.map(|id| (id, OutOfTime)));
        suspects.extend(earlier().map(|id| (id, Lost)));
        suspects.extend(earlier().map(|id| (id, OutOfTime)));
        suspects.extend(open.iter().rev().map(|item| (item.id, OutOfTime)));
        suspects.extend(known.iter().chain(&open).rev().map(|item| (item.id, Twice)));
        let mut found: Vec<Culprit> = suspects
            .into_iter()
            .filter(|culprit| explains(self.model, state, rest, *culprit, budget))
            .collect();
        if found.is_empty() {
            let from_the_future = |item: &&Item<'a, M>| {
                let mut with: Vec<Item<'a, M>> = rest.clone();
                with.push(**item);
                explains(self.model, state, &with, (item.id, OutOfTime), budget)
            };
            found.extend(self.future.iter().find(from_the_future).map(|one| (one.id, OutOfTime)));
        }
        found
    }

    /// The first that also explains all that came later, else the first.
    fn preferred(&self, culprits: &[Culprit], budget: &mut Budget) -> Option<(Culprit, bool)> {
        let Case { initial, items, .. } = self.case;
        let explains_all =
            |culprit: &&Culprit| explains(self.model, initial, items, **culprit, budget);
        let best = culprits.iter().find(explains_all);
        best.map(|one| (*one, true)).or_else(|| culprits.first().map(|one| (*one, false)))
    }

    /// The latest start in `from..to` from which a culprit explains the rest. There is one at `from`,
    /// and if there is one at a cut, there are at all earlier ones.
    fn latest_start(
        &self,
        from: usize,
        to: usize,
        culprit: Culprit,
        budget: &mut Budget,
    ) -> Option<Start<'a, M>> {
        let mut best = self.start_at(from, culprit, budget);
        let (mut good, mut bad) = (from, to);
        while bad - good > 1 {
            let middle = usize::midpoint(good, bad);
            if let Some(start) = self.start_at(middle, culprit, budget) {
                best = Some(start);
                good = middle;
            } else {
                bad = middle;
            }
        }
        best
    }

    /// A start at a cut from which a culprit explains the rest; if it was called later, it is added.
    fn start_at(&self, at: usize, culprit: Culprit, budget: &mut Budget) -> Option<Start<'a, M>> {
        let later = self.future.iter().find(|one| one.id == culprit.0);
        let with_culprit = |mut start: Start<'a, M>| {
            start.rest.extend(later.copied());
            start
        };
        let mut starts = self.cuts[at].starts(self.items).map(with_culprit);
        starts.find(|start| explains(self.model, &start.state, &start.rest, culprit, budget))
    }
}

/// The items as they would be if a misdeed had happened.
fn with_misdeed<'a, M: Model>(items: &[Item<'a, M>], culprit: Culprit) -> Option<Vec<Item<'a, M>>> {
    let (id, misdeed) = culprit;
    let place = items.iter().position(|item| item.id == id)?;
    let mut items = items.to_vec();
    match misdeed {
        Misdeed::OutOfTime => {
            items[place].invoked = 0;
            items[place].returned = None;
        }
        Misdeed::Lost => {
            items.remove(place);
        }
        Misdeed::Twice => {
            let again = items[place].still_open();
            items.push(again);
        }
    }
    Some(items)
}

/// Whether a misdeed gives the items an order.
fn explains<M: Model>(
    model: &M,
    start: &M::State,
    items: &[Item<'_, M>],
    culprit: Culprit,
    budget: &mut Budget,
) -> bool {
    let Some(changed) = with_misdeed(items, culprit) else { return false };
    let Search::Order(order) = find_order(model, start, &changed, budget) else { return false };
    if culprit.1 != Misdeed::Lost {
        return true;
    }
    // What never changes anything cannot be lost; its answer is wrong for another reason.
    let Some(lost) = items.iter().find(|item| item.id == culprit.0) else { return false };
    let mut state = start.clone();
    let mut matters = model.step(&state, lost.operation).0 != state;
    for item in order {
        state = model.step(&state, changed[item].operation).0;
        matters = matters || model.step(&state, lost.operation).0 != state;
    }
    matters
}

/// Leaves out whatever can be left out: halves, quarters, and so on down to single operations, until
/// no single one can.
fn shrink<M: Model>(model: &M, finding: &mut Finding<'_, M>) {
    let mut budget = Budget(STAGE);
    let Finding { start: Start { state, rest, .. }, culprit, .. } = finding;
    let mut size = rest.len().div_ceil(2);
    while size > 0 {
        let mut at = 0;
        let mut shrunk = false;
        while at < rest.len() {
            let end = rest.len().min(at + size);
            let mut fewer = rest.clone();
            fewer.drain(at..end);
            if shows(model, state, &fewer, *culprit, &mut budget) {
                *rest = fewer;
                shrunk = true;
            } else {
                at = end;
            }
        }
        size = if shrunk && size == 1 { 1 } else { size / 2 };
    }
}

/// Whether these items are a counter-example with the same explanation.
fn shows<M: Model>(
    model: &M,
    start: &M::State,
    items: &[Item<'_, M>],
    culprit: Option<Culprit>,
    budget: &mut Budget,
) -> bool {
    find_order(model, start, items, budget).is_no_order()
        && culprit.is_none_or(|culprit| explains(model, start, items, culprit, budget))
}

/// The culprit's misdeed, told with the operation that it should have respected.
fn explain<M: Model>(model: &M, finding: &Finding<'_, M>) -> Explanation {
    let Some((operation, misdeed)) = finding.culprit else { return Explanation::Unexplained };
    match misdeed {
        Misdeed::Lost => Explanation::Lost(operation),
        Misdeed::Twice => Explanation::Twice(operation),
        Misdeed::OutOfTime => {
            displaced(model, finding, operation).unwrap_or(Explanation::Unexplained)
        }
    }
}

fn displaced<M: Model>(
    model: &M,
    finding: &Finding<'_, M>,
    operation: OperationId,
) -> Option<Explanation> {
    let items = &finding.start.rest;
    let changed = with_misdeed(items, (operation, Misdeed::OutOfTime))?;
    let mut budget = Budget(STAGE);
    let Search::Order(order) = find_order(model, &finding.start.state, &changed, &mut budget)
    else {
        return None;
    };
    let place = order.iter().position(|item| items[*item].id == operation)?;
    let culprit = items[order[place]];
    let earlier: BTreeSet<usize> = order[..place].iter().copied().collect();
    let later: BTreeSet<usize> = order[place + 1..].iter().copied().collect();
    let passed = later.iter().find(|item| items[**item].precedes(&culprit));
    let overtaken = earlier.iter().find(|item| culprit.precedes(&items[**item]));
    match (passed, overtaken) {
        (Some(item), _) => Some(Explanation::Early { operation, before: items[*item].id }),
        (None, Some(item)) => Some(Explanation::Late { operation, after: items[*item].id }),
        (None, None) => None,
    }
}
