//! The search for an order: Wing and Gong's algorithm with Lowe's memory.
//!
//! From a state, each operation that may come next is tried: it was called before the first return
//! that is left, and its answer is the one that the model gives. It is lifted out, and the search
//! goes on; where nothing fits, the last one is put back and the next one tried. A configuration
//! (what is done, and the state) that was seen before is not entered again (Wing and Gong 1993,
//! Lowe 2017).
//!
//! Two shortcuts keep the search short where many operations overlap:
//!
//! - A read that fits takes its place at once: nothing is gained by waiting ([`Model::is_read`]).
//! - A change is not tried where no answer may show it although one must come, unless
//!   something can overwrite it before ([`Model::trace`]).
//!
//! Operations whose outcome is unknown need more, or a dozen of them make the search endless: they
//! may come anywhere. None of the following loses an order that exists.
//!
//! - They are tried after those that must find a place, and only if they change the state.
//! - Of several equal ones the one that was called first is used up first.
//! - One is tried only where an answer may show it ([`Model::trace`]): among the operations that may be
//!   the first whose answers tell anything of this change, one may tell of it.
//! - One that overwrites what another one just did is tried without that other one only.
//! - A configuration is also dropped if one was seen with the same required operations done, the same
//!   state, and *fewer* unknown ones used up: whatever is possible here was possible there. Of all
//!   configurations from which a full order can be reached, the one with the shortest way to it is
//!   never dropped in favour of another that has no such way.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;

use super::Item;
use super::bits::{Bits, Compact};
use super::entries::Entries;
use crate::model::{Model, Trace};

/// How many configurations may still be remembered before a search gives up.
#[derive(Debug)]
pub(super) struct Budget(pub(super) u64);

/// The end of a search for one order.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Search {
    /// The items in an order that explains everything; optional ones may be left out.
    Order(Vec<usize>),
    /// There is no order. The longest one that could be begun.
    NoOrder(Vec<usize>),
    /// The budget was used up.
    GaveUp,
}

impl Search {
    pub(super) const fn is_no_order(&self) -> bool {
        matches!(self, Self::NoOrder(_))
    }
}

/// Looks for one order of `items` from a state.
pub(super) fn find_order<M: Model>(
    model: &M,
    start: &M::State,
    items: &[Item<'_, M>],
    budget: &mut Budget,
) -> Search {
    let mut walk = Walk::new(model, start, items, &[], budget);
    match walk.advance() {
        Step::Complete => Search::Order(walk.order()),
        Step::Exhausted => Search::NoOrder(walk.longest),
        Step::GaveUp => Search::GaveUp,
    }
}

/// A state after all required items, with the optional ones that took effect on the way.
pub(super) type End<S> = (S, Vec<usize>);

/// All states in which `items` can end, each with the fewest optional ones used; `None` if the
/// budget was used up. `beyond` are the items after these, whose answers may show what happened here.
pub(super) fn find_ends<M: Model>(
    model: &M,
    start: &M::State,
    items: &[Item<'_, M>],
    beyond: &[Item<'_, M>],
    budget: &mut Budget,
) -> Option<Vec<End<M::State>>> {
    let mut walk = Walk::new(model, start, items, beyond, budget);
    let mut ends = Vec::new();
    loop {
        match walk.advance() {
            Step::Complete => {
                let used = walk.order().into_iter().filter(|item| !items[*item].required);
                ends.push((walk.state.clone(), used.collect()));
                if !walk.retreat() {
                    return Some(ends);
                }
            }
            Step::Exhausted => return Some(ends),
            Step::GaveUp => return None,
        }
    }
}

enum Step {
    Complete,
    Exhausted,
    GaveUp,
}

/// What was done before one operation was tried, to undo it.
struct Frame<S> {
    item: usize,
    before: S,
    /// Whether nothing else needs to be tried in its place.
    is_forced: bool,
}

/// Whether the answers to come may show a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sight {
    /// The first that can tell anything may show it.
    Shown,
    /// It tells nothing: there is none, or none that has to be the first.
    Unseen,
    /// One that cannot have seen it has to come up to here.
    Hidden { until: u64 },
}

type Configuration<S> = (Compact, S);

struct Walk<'a, 'b, M: Model> {
    model: &'a M,
    items: &'a [Item<'a, M>],
    beyond: &'a [Item<'a, M>],
    budget: &'b mut Budget,
    entries: Entries,
    optional: Vec<usize>,
    /// By optional item: an equal one that was called before.
    twins: Vec<Option<usize>>,
    /// Where to look for the next operation to try.
    cursor: usize,
    /// The place of each item among the required or the optional ones, in the order of calls.
    ranks: Vec<usize>,
    done: Bits,
    used: Bits,
    missing: usize,
    state: M::State,
    frames: Vec<Frame<M::State>>,
    seen: BTreeMap<Configuration<M::State>, Vec<Compact>>,
    longest: Vec<usize>,
    /// Fewest required operations that were ever missing at a dead end.
    fewest_missing: usize,
}

impl<'a, 'b, M: Model> Walk<'a, 'b, M> {
    fn new(
        model: &'a M,
        start: &M::State,
        items: &'a [Item<'a, M>],
        beyond: &'a [Item<'a, M>],
        budget: &'b mut Budget,
    ) -> Self {
        let mut by_call: Vec<usize> = (0..items.len()).collect();
        by_call.sort_by_key(|item| items[*item].invoked);
        let mut counts = [0, 0];
        let mut ranks = vec![0; items.len()];
        let mut twins = vec![None; items.len()];
        let mut optional: Vec<usize> = Vec::new();
        for item in by_call {
            if !items[item].required {
                let equal = |other: &&usize| items[**other].operation == items[item].operation;
                twins[item] = optional.iter().rev().find(equal).copied();
                optional.push(item);
            }
            let count = &mut counts[usize::from(items[item].required)];
            ranks[item] = *count;
            *count += 1;
        }
        let entries = Entries::new(items.iter().map(Item::span));
        Self {
            model,
            items,
            beyond,
            budget,
            optional,
            twins,
            cursor: entries.first(),
            entries,
            ranks,
            done: Bits::new(counts[1]),
            used: Bits::new(counts[0]),
            missing: counts[1],
            state: start.clone(),
            frames: Vec::new(),
            seen: BTreeMap::new(),
            longest: Vec::new(),
            fewest_missing: usize::MAX,
        }
    }

    fn order(&self) -> Vec<usize> {
        self.frames.iter().map(|frame| frame.item).collect()
    }

    /// Goes on until all required operations have a place, or there is nothing left to try.
    fn advance(&mut self) -> Step {
        if self.frames.is_empty() && self.seen.is_empty() && !self.settle() {
            return Step::GaveUp;
        }
        while self.missing > 0 {
            let Some(item) = self.entries.candidate(self.cursor) else {
                if self.missing < self.fewest_missing {
                    self.fewest_missing = self.missing;
                    self.longest = self.order();
                }
                if !self.retreat() {
                    return Step::Exhausted;
                }
                continue;
            };
            let (after, fits) = self.outcome(item);
            if !fits || !self.enter(item, after, false) {
                self.cursor = self.entries.after(item);
                continue;
            }
            if !self.settle() {
                return Step::GaveUp;
            }
        }
        Step::Complete
    }

    /// The state after an item, and whether it has to be tried here.
    fn outcome(&self, item: usize) -> (M::State, bool) {
        let one = &self.items[item];
        let (after, output) = self.model.step(&self.state, one.operation);
        let fits = match one.expected {
            Some(expected) if *expected != output => false,
            Some(_) => after == self.state || !self.is_doomed(item, &after),
            // Without effect an unknown operation may as well come later, or never.
            None => after != self.state && self.is_useful(item, &after),
        };
        (after, fits)
    }

    /// After an operation got its place, gives one to every read that fits; false if the budget is
    /// used up.
    fn settle(&mut self) -> bool {
        loop {
            if self.budget.0 == 0 {
                return false;
            }
            self.budget.0 -= 1;
            let Some(item) = self.read_that_fits() else { return true };
            let state = self.state.clone();
            if !self.enter(item, state, true) {
                // The search was there: nothing else needs to be tried here.
                self.cursor = self.entries.nowhere();
                return true;
            }
        }
    }

    /// A required read that may come next and fits.
    fn read_that_fits(&self) -> Option<usize> {
        let calls = self.entries.left().take_while(|(_, is_return)| !is_return);
        calls.map(|(item, _)| item).find(|item| {
            let one = &self.items[*item];
            let Some(expected) = one.expected else { return false };
            self.model.is_read(one.operation, expected)
                && self.model.step(&self.state, one.operation).1 == *expected
        })
    }

    /// Whether an optional item that would leave this state has to be tried.
    fn is_useful(&self, item: usize, after: &M::State) -> bool {
        if self.twins[item].is_some_and(|twin| !self.used.contains(self.ranks[twin])) {
            return false;
        }
        let last = self.frames.last().filter(|last| !self.items[last.item].required);
        if let Some(last) = last {
            let alone = self.model.step(&last.before, self.items[item].operation).0;
            if alone == *after {
                // It overwrites what the last one did, for nothing.
                return false;
            }
        }
        self.sight(item, after) == Sight::Shown || self.may_matter(item, after)
    }

    /// Whether a required item's change would have to be overwritten, and nothing can do that.
    fn is_doomed(&self, item: usize, after: &M::State) -> bool {
        let Sight::Hidden { until } = self.sight(item, after) else { return false };
        if self.may_matter(item, after) {
            return false;
        }
        let overwrites = |one: &Item<'a, M>| {
            let from = |state| self.model.step(state, one.operation).0;
            one.invoked < until && from(&self.state) == from(after)
        };
        let unused = |other: &&usize| !self.used.contains(self.ranks[**other]);
        let optional = self.optional.iter().filter(unused).copied();
        let calls = self.entries.left().filter(|(_, is_return)| !is_return).map(|(other, _)| other);
        let mut others = optional.chain(calls).filter(|other| *other != item);
        !(others.any(|other| overwrites(&self.items[other])) || self.beyond.iter().any(overwrites))
    }

    /// Whether answers may show the change from the present state to the one after an item.
    fn sight(&self, item: usize, after: &M::State) -> Sight {
        let trace =
            |one: &Item<'a, M>| self.model.trace(&self.state, after, one.operation, one.expected);
        let mut telling = BTreeSet::new();
        for (other, is_return) in self.entries.left().filter(|(other, _)| *other != item) {
            if is_return && telling.contains(&other) {
                let until = self.items[other].returned.unwrap_or(u64::MAX);
                return Sight::Hidden { until };
            }
            if !is_return {
                match trace(&self.items[other]) {
                    Trace::Possible => return Sight::Shown,
                    Trace::Impossible => drop(telling.insert(other)),
                    Trace::Nothing => {}
                }
            }
        }
        let mut first_return = u64::MAX;
        for one in self.beyond {
            if one.invoked > first_return {
                return Sight::Hidden { until: first_return };
            }
            match trace(one) {
                Trace::Possible => return Sight::Shown,
                Trace::Impossible => {
                    first_return = first_return.min(one.returned.unwrap_or(u64::MAX));
                }
                Trace::Nothing => {}
            }
        }
        Sight::Unseen
    }

    /// Whether another unknown operation may do something else after that change.
    fn may_matter(&self, item: usize, after: &M::State) -> bool {
        self.optional.iter().any(|&other| {
            let one = &self.items[other];
            other != item
                && !self.used.contains(self.ranks[other])
                && self.model.trace(&self.state, after, one.operation, None) == Trace::Possible
        })
    }

    /// Gives an operation the next place, unless that leads to where the search has been.
    fn enter(&mut self, item: usize, after: M::State, is_forced: bool) -> bool {
        let required = self.items[item].required;
        let rank = self.ranks[item];
        let set = if required { &mut self.done } else { &mut self.used };
        set.set(rank);
        let used = self.used.compact();
        let seen = self.seen.entry((self.done.compact(), after.clone())).or_default();
        if seen.iter().any(|fewer| fewer.is_within(&used)) {
            let set = if required { &mut self.done } else { &mut self.used };
            set.clear(rank);
            return false;
        }
        seen.retain(|more| !used.is_within(more));
        seen.push(used);
        let before = mem::replace(&mut self.state, after);
        self.frames.push(Frame { item, before, is_forced });
        self.missing -= usize::from(required);
        self.entries.lift(item);
        self.cursor = self.entries.first();
        true
    }

    /// Takes back the last operation that had an alternative, to try the one after it; false if
    /// there is none.
    fn retreat(&mut self) -> bool {
        while let Some(Frame { item, before, is_forced }) = self.frames.pop() {
            self.state = before;
            self.entries.put_back(item);
            let required = self.items[item].required;
            let set = if required { &mut self.done } else { &mut self.used };
            set.clear(self.ranks[item]);
            self.missing += usize::from(required);
            self.cursor = self.entries.after(item);
            if !is_forced {
                return true;
            }
        }
        false
    }
}
