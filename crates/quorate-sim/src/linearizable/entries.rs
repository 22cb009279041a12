//! Calls and returns in the order in which they happened, as linked lists out of which an operation
//! can be lifted, and into which it can be put back, in constant time.
//!
//! There are two lists over the same nodes. The *required* one holds calls and returns of the
//! operations that have to find a place; the *optional* one holds the calls of those that may have
//! had no effect. Required ones are offered first: an optional one is rarely needed.

use super::Span;

#[derive(Clone, Copy, Debug)]
struct Event {
    item: usize,
    position: u64,
    is_return: bool,
}

#[derive(Debug)]
pub(super) struct Entries {
    events: Vec<Event>,
    /// Successors and predecessors; the two last places are the heads of the lists.
    next: Vec<usize>,
    previous: Vec<usize>,
    /// By item: the node of its call, and that of its return if it has one.
    calls: Vec<usize>,
    returns: Vec<Option<usize>>,
    required: Vec<bool>,
}

impl Entries {
    pub(super) fn new(spans: impl Iterator<Item = Span>) -> Self {
        let mut events = Vec::new();
        let mut required = Vec::new();
        for (item, span) in spans.enumerate() {
            events.push(Event { item, position: span.invoked, is_return: false });
            if let (Some(position), true) = (span.returned, span.required) {
                events.push(Event { item, position, is_return: true });
            }
            required.push(span.required);
        }
        events.sort_unstable_by_key(|event| (event.position, event.is_return, event.item));
        let heads = [events.len(), events.len() + 1];
        let mut entries = Self {
            next: (0..events.len() + 2).collect(),
            previous: (0..events.len() + 2).collect(),
            calls: vec![0; required.len()],
            returns: vec![None; required.len()],
            events,
            required,
        };
        for node in 0..entries.events.len() {
            let Event { item, is_return, .. } = entries.events[node];
            if is_return {
                entries.returns[item] = Some(node);
            } else {
                entries.calls[item] = node;
            }
            let head = heads[usize::from(!entries.required[item])];
            let last = entries.previous[head];
            entries.next[last] = node;
            entries.previous[node] = last;
            entries.next[node] = head;
            entries.previous[head] = node;
        }
        entries
    }

    fn required_head(&self) -> usize {
        self.events.len()
    }

    fn optional_head(&self) -> usize {
        self.events.len() + 1
    }

    /// Where to look for the first operation of what is left.
    pub(super) fn first(&self) -> usize {
        self.next[self.required_head()]
    }

    /// Where there is nothing to look for.
    pub(super) fn nowhere(&self) -> usize {
        self.optional_head()
    }

    /// Where to look on after an operation that is in its list.
    pub(super) fn after(&self, item: usize) -> usize {
        self.next[self.calls[item]]
    }

    /// The first operation from `node` on that may take effect next: it was called before the first
    /// of the remaining returns.
    pub(super) fn candidate(&self, node: usize) -> Option<usize> {
        let mut node = node;
        if node == self.required_head() || self.events.get(node).is_some_and(|e| e.is_return) {
            // All that is left of the required list comes after a return.
            node = self.next[self.optional_head()];
        }
        let event = self.events.get(node)?;
        let in_time = self.required[event.item]
            || self.first_return().is_none_or(|position| event.position < position);
        in_time.then_some(event.item)
    }

    /// The position of the first return that is left.
    fn first_return(&self) -> Option<u64> {
        let mut node = self.first();
        while let Some(event) = self.events.get(node) {
            if event.is_return {
                return Some(event.position);
            }
            node = self.next[node];
        }
        None
    }

    /// The required operations that are left, at their calls and returns, in order.
    pub(super) fn left(&self) -> impl Iterator<Item = (usize, bool)> {
        let event_at = |node: usize| self.events.get(node).map(|event| (node, event));
        let next = move |(node, _): &(usize, &Event)| event_at(self.next[*node]);
        let events = core::iter::successors(event_at(self.first()), next);
        events.map(|(_, event)| (event.item, event.is_return))
    }

    /// Takes an operation out.
    pub(super) fn lift(&mut self, item: usize) {
        self.unlink(self.calls[item]);
        if let Some(node) = self.returns[item] {
            self.unlink(node);
        }
    }

    /// Puts back the operation that was taken out last.
    pub(super) fn put_back(&mut self, item: usize) {
        if let Some(node) = self.returns[item] {
            self.relink(node);
        }
        self.relink(self.calls[item]);
    }

    fn unlink(&mut self, node: usize) {
        let (previous, next) = (self.previous[node], self.next[node]);
        self.next[previous] = next;
        self.previous[next] = previous;
    }

    fn relink(&mut self, node: usize) {
        let (previous, next) = (self.previous[node], self.next[node]);
        self.next[previous] = node;
        self.previous[next] = node;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates(entries: &Entries) -> Vec<usize> {
        let mut found = Vec::new();
        let mut node = entries.first();
        while let Some(item) = entries.candidate(node) {
            found.push(item);
            node = entries.after(item);
        }
        found
    }

    #[test]
    fn what_comes_next_was_called_before_the_first_return_that_is_left() {
        let span = |invoked, returned, required| Span { invoked, returned, required };
        let mut entries = Entries::new(
            [
                span(0, Some(3), true),
                span(1, Some(2), true),
                span(4, Some(6), true),
                span(1, None, false),
                span(5, None, false),
            ]
            .into_iter(),
        );
        assert_eq!(candidates(&entries), [0, 1, 3]);
        entries.lift(1);
        assert_eq!(candidates(&entries), [0, 3]);
        entries.lift(0);
        assert_eq!(candidates(&entries), [2, 3, 4]);
        entries.lift(3);
        assert_eq!(candidates(&entries), [2, 4]);
        for item in [3, 0, 1] {
            entries.put_back(item);
        }
        assert_eq!(candidates(&entries), [0, 1, 3]);
    }
}
