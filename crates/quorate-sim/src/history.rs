//! What clients did and what they were told: the raw material of every check from outside.
//!
//! A history is a list of operations. Each has the moment of its call and, if it ended, the moment
//! of its end and an [`Outcome`]. The outcome decides what a check may assume:
//!
//! - *returned*: it took effect exactly once, between call and end, and gave this answer;
//! - *unknown*: it took effect at most once, at any time after its call, however late, or never
//!   (a timeout, a lost connection, a client that died, an operation still open);
//! - *failed*: it certainly had no effect and never will.
//!
//! Order matters, not distance: an operation precedes another if it returned before the other was
//! called. Events that are recorded as they happen are ordered as recorded, even when their times
//! are equal. Histories put together afterwards from several clocks' readings ([`History::from_timed`])
//! count a call and a return at the same time as overlapping, which can only make a check milder.

use core::fmt;
use core::time::Duration;

/// One client: something that calls operations, usually one after another.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub u32);

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c{}", self.0)
    }
}

impl fmt::Debug for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The place of an operation in its history, counted from 0 in the order of calls.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperationId(usize);

impl OperationId {
    /// The operation at this place.
    pub(crate) const fn new(index: usize) -> Self {
        Self(index)
    }

    /// The place as a number.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0
    }
}

impl fmt::Display for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

impl fmt::Debug for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// When something happened: a time for people, and a place among all events of the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    at: Duration,
    order: u64,
}

impl Moment {
    /// Time since the origin of the history.
    #[must_use]
    pub const fn at(self) -> Duration {
        self.at
    }

    /// The place among all events; no two events share one.
    #[must_use]
    pub const fn order(self) -> u64 {
        self.order
    }
}

/// How an operation ended, as far as its client knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<O> {
    /// It took effect once between call and end, and gave this answer.
    Returned(O),
    /// It may have taken effect at any time after its call, or may yet, or never will.
    Unknown,
    /// It certainly had and will have no effect.
    Failed,
}

/// One operation of one client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation<I, O> {
    /// Who called it.
    pub client: ClientId,
    /// What was asked for.
    pub input: I,
    /// When it was called.
    pub invoked: Moment,
    /// When the client got its answer or gave up; `None` while it is open.
    pub ended: Option<Moment>,
    /// What the client knows.
    pub outcome: Outcome<O>,
}

impl<I, O> Operation<I, O> {
    /// The answer and when it came, if there was one.
    #[must_use]
    pub const fn answer(&self) -> Option<(&O, Moment)> {
        match (&self.outcome, self.ended) {
            (Outcome::Returned(output), Some(ended)) => Some((output, ended)),
            _ => None,
        }
    }

    /// Whether this operation had returned before `other` was called.
    #[must_use]
    pub fn precedes(&self, other: &Self) -> bool {
        self.answer().is_some_and(|(_, returned)| returned.order < other.invoked.order)
    }
}

/// One operation with the times that were read off some clock, for [`History::from_timed`].
#[derive(Clone, Debug)]
pub struct Timed<I, O> {
    /// Who called it.
    pub client: ClientId,
    /// What was asked for.
    pub input: I,
    /// When it was called.
    pub invoked: Duration,
    /// When the client got its answer or gave up; `None` if it never did.
    pub ended: Option<Duration>,
    /// What the client knows.
    pub outcome: Outcome<O>,
}

/// The operations of all clients, in the order of their calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History<I, O> {
    operations: Vec<Operation<I, O>>,
    events: u64,
    latest: Duration,
}

impl<I, O> Default for History<I, O> {
    fn default() -> Self {
        Self { operations: Vec::new(), events: 0, latest: Duration::ZERO }
    }
}

impl<I, O> History<I, O> {
    /// A history without operations.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Records that a client calls an operation. Until its end is recorded its outcome is unknown.
    ///
    /// # Panics
    ///
    /// If `at` lies before an event that is already recorded.
    pub fn invoke(&mut self, client: ClientId, input: I, at: Duration) -> OperationId {
        let invoked = self.moment(at);
        let id = OperationId(self.operations.len());
        let outcome = Outcome::Unknown;
        self.operations.push(Operation { client, input, invoked, ended: None, outcome });
        id
    }

    /// Records that an operation was answered.
    ///
    /// # Panics
    ///
    /// If it had already ended, or `at` lies before an event that is already recorded.
    pub fn returned(&mut self, id: OperationId, output: O, at: Duration) {
        self.end(id, Outcome::Returned(output), at);
    }

    /// Records that a client gave up on an operation without knowing what became of it.
    ///
    /// # Panics
    ///
    /// If it had already ended, or `at` lies before an event that is already recorded.
    pub fn unknown(&mut self, id: OperationId, at: Duration) {
        self.end(id, Outcome::Unknown, at);
    }

    /// Records that a client learnt that an operation certainly has no effect.
    ///
    /// # Panics
    ///
    /// If it had already ended, or `at` lies before an event that is already recorded.
    pub fn failed(&mut self, id: OperationId, at: Duration) {
        self.end(id, Outcome::Failed, at);
    }

    fn end(&mut self, id: OperationId, outcome: Outcome<O>, at: Duration) {
        let ended = self.moment(at);
        let operation = &mut self.operations[id.0];
        assert!(operation.ended.is_none(), "operation {id} ended twice");
        operation.ended = Some(ended);
        operation.outcome = outcome;
    }

    fn moment(&mut self, at: Duration) -> Moment {
        let latest = self.latest;
        assert!(at >= latest, "an event at {at:?} was recorded after one at {latest:?}");
        self.latest = at;
        self.events += 1;
        Moment { at, order: self.events }
    }

    /// Builds a history from operations in any order. A call and a return that carry the same time
    /// count as overlapping.
    ///
    /// # Panics
    ///
    /// If an operation ended before it was called, or was answered at no time.
    #[must_use]
    pub fn from_timed(operations: impl IntoIterator<Item = Timed<I, O>>) -> Self {
        let mut timed: Vec<Timed<I, O>> = operations.into_iter().collect();
        timed.sort_by_key(|operation| operation.invoked);
        let mut events: Vec<(Duration, bool, usize)> = Vec::with_capacity(2 * timed.len());
        for (index, operation) in timed.iter().enumerate() {
            let answered = matches!(operation.outcome, Outcome::Returned(_));
            assert!(!answered || operation.ended.is_some(), "an answer needs a time");
            events.push((operation.invoked, false, index));
            if let Some(ended) = operation.ended {
                assert!(ended >= operation.invoked, "an operation ended before it was called");
                events.push((ended, true, index));
            }
        }
        events.sort_unstable();
        let mut history = Self::new();
        let mut outcomes = Vec::with_capacity(timed.len());
        let mut inputs = Vec::with_capacity(timed.len());
        for operation in timed {
            inputs.push(Some((operation.client, operation.input)));
            outcomes.push(Some(operation.outcome));
        }
        for (at, is_end, index) in events {
            if is_end {
                let outcome = outcomes[index].take().expect("an operation ends once");
                history.end(OperationId(index), outcome, at);
            } else {
                let (client, input) = inputs[index].take().expect("an operation is called once");
                history.invoke(client, input, at);
            }
        }
        // What failed without a time failed all the same.
        for (index, outcome) in outcomes.into_iter().enumerate() {
            if let Some(outcome) = outcome {
                history.operations[index].outcome = outcome;
            }
        }
        history
    }

    /// Number of operations.
    #[must_use]
    pub fn len(&self) -> usize {
        self.operations.len()
    }

    /// Whether there are no operations.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// All operations with their ids, in the order of their calls.
    pub fn iter(&self) -> impl Iterator<Item = (OperationId, &Operation<I, O>)> {
        self.operations.iter().enumerate().map(|(index, one)| (OperationId(index), one))
    }

    /// One operation.
    ///
    /// # Panics
    ///
    /// If the id belongs to another history and lies beyond the end of this one.
    #[must_use]
    pub fn operation(&self, id: OperationId) -> &Operation<I, O> {
        &self.operations[id.0]
    }

    /// A history of some of these operations, with their moments. Those marked as open are taken
    /// back to the time when their end was not known.
    pub(crate) fn select(&self, chosen: impl IntoIterator<Item = (OperationId, bool)>) -> Self
    where
        I: Clone,
        O: Clone,
    {
        let pick = |(id, open): (OperationId, bool)| {
            let mut operation = self.operation(id).clone();
            if open {
                operation.ended = None;
                operation.outcome = Outcome::Unknown;
            }
            operation
        };
        let operations = chosen.into_iter().map(pick).collect();
        Self { operations, events: self.events, latest: self.latest }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn timed(client: u32, invoked: u64, ended: Option<u64>) -> Timed<u32, u32> {
        let outcome = if ended.is_some() { Outcome::Returned(7) } else { Outcome::Unknown };
        Timed {
            client: ClientId(client),
            input: client,
            invoked: at(invoked),
            ended: ended.map(at),
            outcome,
        }
    }

    #[test]
    fn events_recorded_at_one_time_keep_their_order() {
        let mut history: History<u32, u32> = History::new();
        let first = history.invoke(ClientId(1), 1, at(1));
        history.returned(first, 7, at(1));
        let second = history.invoke(ClientId(1), 2, at(1));
        assert!(history.operation(first).precedes(history.operation(second)));
        assert!(!history.operation(second).precedes(history.operation(first)));
    }

    #[test]
    fn events_read_off_clocks_at_one_time_overlap() {
        let history = History::from_timed([timed(2, 5, None), timed(1, 0, Some(5))]);
        let ids: Vec<OperationId> = history.iter().map(|(id, _)| id).collect();
        assert_eq!(history.operation(ids[0]).client, ClientId(1));
        assert!(!history.operation(ids[0]).precedes(history.operation(ids[1])));
        let history = History::from_timed([timed(2, 6, None), timed(1, 0, Some(5))]);
        assert!(history.operation(ids[0]).precedes(history.operation(ids[1])));
    }

    #[test]
    fn an_operation_without_an_end_is_unknown_and_precedes_nothing() {
        let mut history: History<u32, u32> = History::new();
        let open = history.invoke(ClientId(1), 1, at(1));
        let given_up = history.invoke(ClientId(2), 1, at(1));
        history.unknown(given_up, at(2));
        let failed = history.invoke(ClientId(2), 1, at(3));
        history.failed(failed, at(4));
        let later = history.invoke(ClientId(3), 2, at(9));
        for id in [open, given_up, failed] {
            assert!(!history.operation(id).precedes(history.operation(later)));
        }
        assert_eq!(history.operation(open).outcome, Outcome::Unknown);
    }

    #[test]
    #[should_panic(expected = "ended twice")]
    fn an_operation_ends_once() {
        let mut history: History<u32, u32> = History::new();
        let id = history.invoke(ClientId(1), 1, at(1));
        history.unknown(id, at(2));
        history.returned(id, 1, at(3));
    }

    #[test]
    #[should_panic(expected = "was recorded after")]
    fn time_does_not_go_back() {
        let mut history: History<u32, u32> = History::new();
        history.invoke(ClientId(1), 1, at(2));
        history.invoke(ClientId(2), 1, at(1));
    }
}
