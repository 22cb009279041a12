//! What waits for a place in the log to be reached, found again without a search.

use std::collections::BTreeMap;

/// Things that wait, by what each waits for. Looking for what is due costs one comparison while
/// nothing is, however much waits.
#[derive(Debug)]
pub(crate) struct Waiting<K, T> {
    by_place: BTreeMap<K, Vec<T>>,
}

impl<K: Ord, T> Waiting<K, T> {
    pub(crate) const fn new() -> Self {
        Self { by_place: BTreeMap::new() }
    }

    /// Adds something that is due when `place` is reached.
    pub(crate) fn push(&mut self, place: K, item: T) {
        self.by_place.entry(place).or_default().push(item);
    }

    /// Takes what waits for the earliest place, where `reached` is as far: those who came first are
    /// first in it.
    pub(crate) fn next_due(&mut self, reached: &K) -> Option<Vec<T>> {
        let entry = self.by_place.first_entry().filter(|entry| entry.key() <= reached)?;
        Some(entry.remove())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::cmp::Ordering;

    use super::*;

    thread_local! {
        static COMPARED: Cell<u64> = const { Cell::new(0) };
    }

    /// A place that counts how often any two are compared.
    #[derive(PartialEq, Eq)]
    struct Place(u64);

    impl Ord for Place {
        fn cmp(&self, other: &Self) -> Ordering {
            COMPARED.set(COMPARED.get() + 1);
            self.0.cmp(&other.0)
        }
    }

    impl PartialOrd for Place {
        fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
            Some(self.cmp(other))
        }
    }

    #[test]
    fn what_is_due_comes_in_order_and_nothing_else_does() {
        let mut waiting = Waiting::new();
        for (place, item) in [(5, "a"), (3, "b"), (5, "c"), (9, "d")] {
            waiting.push(place, item);
        }
        assert_eq!(waiting.next_due(&2), None);
        assert_eq!(waiting.next_due(&5), Some(vec!["b"]));
        assert_eq!(waiting.next_due(&5), Some(vec!["a", "c"]));
        assert_eq!(waiting.next_due(&8), None);
        assert_eq!(waiting.next_due(&9), Some(vec!["d"]));
    }

    #[test]
    fn looking_for_what_is_due_does_not_look_at_all_that_waits() {
        const COUNT: u64 = 4096;
        let mut waiting = Waiting::new();
        for place in (1..=COUNT).rev() {
            waiting.push(Place(place), ());
        }
        COMPARED.set(0);
        for reached in 1..=COUNT {
            assert!(waiting.next_due(&Place(reached)).is_some());
            assert!(waiting.next_due(&Place(reached)).is_none());
        }
        let each = COMPARED.get() / COUNT;
        assert!(each <= 4, "{each} comparisons for each of {COUNT} that wait");
    }
}
