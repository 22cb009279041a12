//! Is there an order of the operations that explains every answer and respects real time?
//!
//! That is what *linearizable* means (Herlihy and Wing 1990): each operation seems to take effect
//! at one instant between its call and its return. Deciding it is NP-complete in general; what makes it
//! feasible is that only operations that overlap can trade places, that nothing is tried twice
//! from the same configuration (`search`), and that parts of the state which have nothing to do with
//! each other are checked one by one ([`Model::key`]).
//!
//! If there is no order, the answer is a [`Violation`]: the few operations that already contradict
//! each other, and which single misdeed of the store would explain all (`diagnosis`, `report`).
//!
//! Nothing here depends on anything but its arguments: the same history gives the same report, byte
//! for byte.

mod bits;
mod cuts;
mod diagnosis;
mod entries;
mod report;
mod search;

use core::fmt;
use std::collections::BTreeMap;

use quorate_core::mutant;

use crate::history::{History, OperationId, Outcome};
use crate::model::Model;
use crate::world::workload::Decision;
use diagnosis::Case;
use search::{Budget, Search, find_order};

/// Configurations that a search remembers before it gives up, unless told otherwise.
const MAX_STATES: u64 = 4_000_000;

/// The same for the history of one simulated run.
const STATES_OF_A_RUN: u64 = 100_000;

/// Judges what the clients of one simulated run saw.
///
/// A history that takes too long to decide proves nothing either way. Its replies are compared with
/// the order of the log as well, so that a search that grows beyond all bounds is not worth its time;
/// runs of many seeds count such histories and fail where they are many.
///
/// # Errors
///
/// The report of what contradicts itself.
pub fn judge_run<M: Model>(
    model: M,
    history: &History<M::Operation, M::Output>,
) -> Result<Decision, String> {
    match Checker::new(model).max_states(STATES_OF_A_RUN).check(history) {
        Verdict::Broken(violation) => Err(violation.to_string()),
        Verdict::Linearizable(_) => Ok(Decision::Explained),
        Verdict::Undecided(_) => Ok(Decision::GaveUp),
    }
}

/// Decides whether histories are linearizable with respect to a model.
#[derive(Clone, Debug)]
pub struct Checker<M> {
    model: M,
    max_states: u64,
}

impl<M: Model> Checker<M> {
    /// A checker for this model.
    pub const fn new(model: M) -> Self {
        Self { model, max_states: MAX_STATES }
    }

    /// Limits the memory of a check: a part of the state whose search remembers more configurations
    /// than this is [`Verdict::Undecided`]. Each costs about 200 bytes and the state.
    #[must_use]
    pub const fn max_states(mut self, max_states: u64) -> Self {
        self.max_states = max_states;
        self
    }

    /// Decides about a history.
    pub fn check(&self, history: &History<M::Operation, M::Output>) -> Verdict<M> {
        let mut orders = Vec::new();
        let mut cases = Vec::new();
        let mut undecided = Vec::new();
        for (key, items) in self.partition(history) {
            let initial = self.model.initial(&key);
            let mut budget = Budget(self.max_states);
            match find_order(&self.model, &initial, &items, &mut budget) {
                Search::Order(order) => {
                    orders.push((key, order.into_iter().map(|item| items[item].id).collect()));
                }
                Search::NoOrder(longest) => cases.push(Case { key, initial, items, longest }),
                Search::GaveUp => undecided.push(key),
            }
        }
        if let Some(violation) = diagnosis::earliest(&self.model, history, cases) {
            Verdict::Broken(Box::new(violation))
        } else if undecided.is_empty() {
            Verdict::Linearizable(Linearization { orders })
        } else {
            Verdict::Undecided(Undecided { keys: undecided, max_states: self.max_states })
        }
    }

    /// What matters for the check, by part: what failed certainly is not there.
    fn partition<'a>(
        &self,
        history: &'a History<M::Operation, M::Output>,
    ) -> BTreeMap<M::Key, Vec<Item<'a, M>>> {
        let mut parts: BTreeMap<M::Key, Vec<Item<'a, M>>> = BTreeMap::new();
        for (id, operation) in history.iter() {
            let is_unknown = matches!(operation.outcome, Outcome::Unknown);
            if matches!(operation.outcome, Outcome::Failed)
                || is_unknown && mutant!(UnknownIsFailed)
            {
                continue;
            }
            let answer = operation.answer();
            parts.entry(self.model.key(&operation.input)).or_default().push(Item {
                id,
                operation: &operation.input,
                expected: answer.map(|(output, _)| output),
                invoked: if mutant!(RealTimeIgnored) { 0 } else { operation.invoked.order() },
                returned: answer.map(|(_, returned)| returned.order()),
                required: answer.is_some(),
            });
        }
        parts
    }
}

/// One operation as a search sees it. What is not required may be left out and has no answer.
struct Item<'a, M: Model> {
    id: OperationId,
    operation: &'a M::Operation,
    expected: Option<&'a M::Output>,
    invoked: u64,
    returned: Option<u64>,
    required: bool,
}

impl<M: Model> Clone for Item<'_, M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M: Model> Copy for Item<'_, M> {}

impl<M: Model> Item<'_, M> {
    const fn span(&self) -> Span {
        Span { invoked: self.invoked, returned: self.returned, required: self.required }
    }

    /// Whether this one had returned before the other was called.
    fn precedes(&self, other: &Self) -> bool {
        self.returned.is_some_and(|returned| returned < other.invoked)
    }

    /// The same operation at a time at which its end was not known.
    const fn still_open(mut self) -> Self {
        self.expected = None;
        self.returned = None;
        self.required = false;
        self
    }
}

/// The time that an operation takes, in places among the events.
#[derive(Clone, Copy, Debug)]
struct Span {
    invoked: u64,
    returned: Option<u64>,
    required: bool,
}

/// What a check found out.
#[derive(Debug)]
#[must_use]
pub enum Verdict<M: Model> {
    /// There is an order, and this is one.
    Linearizable(Linearization<M>),
    /// There is none.
    Broken(Box<Violation<M>>),
    /// The search was given up; nothing is known.
    Undecided(Undecided<M>),
}

impl<M: Model> Verdict<M> {
    /// Whether an order was found.
    #[must_use]
    pub const fn is_linearizable(&self) -> bool {
        matches!(self, Self::Linearizable(_))
    }

    /// The order that was found, if one was.
    #[must_use]
    pub const fn linearization(&self) -> Option<&Linearization<M>> {
        match self {
            Self::Linearizable(linearization) => Some(linearization),
            _ => None,
        }
    }

    /// Why there is no order, if it is certain that there is none.
    #[must_use]
    pub fn violation(&self) -> Option<&Violation<M>> {
        match self {
            Self::Broken(violation) => Some(violation),
            _ => None,
        }
    }

    /// Passes if an order was found.
    ///
    /// # Panics
    ///
    /// With the whole report if there is none, or if the search was given up.
    #[track_caller]
    pub fn assert_linearizable(&self) {
        assert!(self.is_linearizable(), "{self}");
    }
}

impl<M: Model> fmt::Display for Verdict<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Linearizable(found) => {
                let operations: usize = found.orders.iter().map(|(_, order)| order.len()).sum();
                let parts = found.orders.len();
                write!(f, "linearizable: {operations} operations in {parts} parts have an order")
            }
            Self::Broken(violation) => fmt::Display::fmt(violation, f),
            Self::Undecided(undecided) => fmt::Display::fmt(undecided, f),
        }
    }
}

/// An order that explains every answer and respects real time, for each part of the state.
#[derive(Debug)]
pub struct Linearization<M: Model> {
    /// By part, the operations in the order in which they may have taken effect. Operations with an
    /// unknown outcome are there only if an answer shows them.
    pub orders: Vec<(M::Key, Vec<OperationId>)>,
}

/// Parts of the state about which nothing is known, because their search became too large.
#[derive(Debug)]
pub struct Undecided<M: Model> {
    /// The parts.
    pub keys: Vec<M::Key>,
    /// The limit that was reached.
    pub max_states: u64,
}

impl<M: Model> fmt::Display for Undecided<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { keys, max_states } = self;
        write!(
            f,
            "undecided: the search of {keys:?} went beyond {max_states} configurations; raise \
             max_states, use more keys, or let fewer operations overlap"
        )
    }
}

/// A store that broke its promise, and the least that shows it. Its `Display` is the report.
pub struct Violation<M: Model> {
    /// The part of the state; of several broken ones, that which broke first.
    pub key: M::Key,
    /// The operations of the counter-example, in the order of their calls.
    ///
    /// It is minimal: leave out any one of them, and either the rest has an order, or an answer has
    /// lost what it rests on, so that the rest does not show any more what [`Violation::explanation`]
    /// says.
    pub operations: Vec<OperationId>,
    /// The same operations as a history of their own. One that was still open when the last of them
    /// returned is open here, too.
    pub counter_example: History<M::Operation, M::Output>,
    /// The state in which the counter-example begins: the initial one, or one in which earlier
    /// operations can have left the part. From no other one is there an order, either.
    pub start: M::State,
    /// The single misdeed that would explain it.
    pub explanation: Explanation,
    /// The longest order of the part's operations that could be begun.
    pub longest: Vec<OperationId>,
    /// Number of operations of the part.
    pub checked: usize,
    report: String,
}

impl<M: Model> fmt::Display for Violation<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.report)
    }
}

impl<M: Model> fmt::Debug for Violation<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.report)
    }
}

/// What a store may have done wrong: with this one change the counter-example has an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Explanation {
    /// The operation took effect before another one that had returned before it was called: a stale
    /// read, or changes out of order.
    Early {
        /// What took effect too early.
        operation: OperationId,
        /// What it should have come after.
        before: OperationId,
    },
    /// The operation took effect after another one that was called after it had returned: a change
    /// that was acknowledged too soon, or changes out of order.
    Late {
        /// What took effect too late.
        operation: OperationId,
        /// What it should have come before.
        after: OperationId,
    },
    /// The operation never took effect, though it was answered.
    Lost(OperationId),
    /// The operation took effect twice.
    Twice(OperationId),
    /// No single one of these explains it.
    Unexplained,
}
