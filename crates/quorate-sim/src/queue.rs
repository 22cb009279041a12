//! What is going to happen, ordered by time and then by the order in which it was planned.
//!
//! The heap holds keys alone, one number each, because they move on every step; events stay where
//! they are put until their time comes. A parent has four children: half as many levels as with
//! two, and the children of one parent lie side by side.
//!
//! Times are numbers, of whatever unit. Two events of one time come in the order they were planned in,
//! so that the queue of a run is the same in every run.

/// Children of a place in the heap.
const CHILDREN: usize = 4;
/// Bits of a key that say where its event is kept.
const SLOT_BITS: u32 = 24;
/// Bits of a key that say how many events were planned before.
const NUMBER_BITS: u32 = 64 - SLOT_BITS;

/// Events to come.
#[derive(Debug)]
pub struct Queue<E> {
    /// Time, number and slot of each, from the highest bits down; none is below its parent.
    due: Vec<u128>,
    events: Vec<Option<E>>,
    /// Slots without an event.
    free: Vec<usize>,
    /// Events planned so far.
    planned: u64,
}

impl<E> Default for Queue<E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<E> Queue<E> {
    /// An empty queue.
    #[must_use]
    pub const fn new() -> Self {
        Self { due: Vec::new(), events: Vec::new(), free: Vec::new(), planned: 0 }
    }

    /// Events planned so far.
    #[must_use]
    pub const fn planned(&self) -> u64 {
        self.planned
    }

    /// Plans an event, after whatever is planned for the same time.
    ///
    /// # Panics
    ///
    /// When 2^24 events are planned at a time, or 2^40 in all.
    pub fn push(&mut self, at: u64, event: E) {
        self.planned += 1;
        let slot = self.free.pop().unwrap_or_else(|| {
            self.events.push(None);
            self.events.len() - 1
        });
        assert!(slot >> SLOT_BITS == 0 && self.planned >> NUMBER_BITS == 0, "a run is short");
        self.events[slot] = Some(event);
        let key = (self.planned << SLOT_BITS) | slot as u64;
        let key = u128::from(at) << 64 | u128::from(key);
        self.due.push(key);
        self.rise(key);
    }

    /// Takes the next event, if it is due by then, and says when it is due.
    pub fn pop_before(&mut self, until: u64) -> Option<(u64, E)> {
        let key = *self.due.first()?;
        let at = u64::try_from(key >> 64).expect("half of 128 bits");
        if at > until {
            return None;
        }
        let last = self.due.pop()?;
        if !self.due.is_empty() {
            self.sink(last);
        }
        let slot = slot_of(key);
        let event = self.events[slot].take().expect("every key has its event");
        self.free.push(slot);
        Some((at, event))
    }

    /// Forgets the events that `goes` picks and that are due after then.
    pub fn forget_after(&mut self, then: u64, goes: impl Fn(&E) -> bool) {
        let Self { due, events, free, .. } = self;
        due.retain(|key| {
            let slot = slot_of(*key);
            let gone = *key >> 64 > u128::from(then) && events[slot].as_ref().is_some_and(&goes);
            if gone {
                events[slot] = None;
                free.push(slot);
            }
            !gone
        });
        // What is sorted is a heap, too.
        due.sort_unstable();
    }

    /// Lets the events that `hurries` picks be due at once, in the order of their plans.
    pub fn hurry(&mut self, now: u64, hurries: impl Fn(&E) -> bool) {
        for key in &mut self.due {
            if self.events[slot_of(*key)].as_ref().is_some_and(&hurries) {
                *key = u128::from(now) << 64 | *key & u128::from(u64::MAX);
            }
        }
        // What is sorted is a heap, too.
        self.due.sort_unstable();
    }

    /// Finds the place of a key that was put at the end.
    fn rise(&mut self, key: u128) {
        let mut place = self.due.len() - 1;
        while place > 0 {
            let parent = (place - 1) / CHILDREN;
            if self.due[parent] < key {
                break;
            }
            self.due[place] = self.due[parent];
            place = parent;
        }
        self.due[place] = key;
    }

    /// Finds the place of a key that takes that of the first.
    fn sink(&mut self, key: u128) {
        let mut place = 0;
        loop {
            let first = place * CHILDREN + 1;
            let Some(children) = self.due.get(first..) else { break };
            let (child, least) = match children.first_chunk::<CHILDREN>() {
                Some([a, b, c, d]) => {
                    let left = if b < a { (1, *b) } else { (0, *a) };
                    let right = if d < c { (3, *d) } else { (2, *c) };
                    if right.1 < left.1 { right } else { left }
                }
                None => {
                    let children = children.iter().copied().enumerate();
                    let Some(least) = children.min_by_key(|(_, key)| *key) else { break };
                    least
                }
            };
            if key < least {
                break;
            }
            self.due[place] = least;
            place = first + child;
        }
        self.due[place] = key;
    }
}

fn slot_of(key: u128) -> usize {
    usize::try_from(key & ((1 << SLOT_BITS) - 1)).expect("slots are few")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    #[test]
    fn events_come_by_time_and_then_in_the_order_of_their_plans() {
        let (mut queue, mut rng) = (Queue::new(), Rng::new(1));
        let mut planned = Vec::new();
        let mut taken = Vec::new();
        for number in 0..1_000_u64 {
            let at = rng.range(0..50);
            queue.push(at, number);
            planned.push((at, number));
            if rng.chance(250_000) {
                // In between, so that slots are used again.
                taken.extend(queue.pop_before(0));
            }
        }
        assert!(taken.iter().all(|(at, _)| *at == 0), "nothing comes before its time");
        planned.retain(|event| !taken.contains(event));
        planned.sort_unstable();
        let rest: Vec<_> = std::iter::from_fn(|| queue.pop_before(u64::MAX)).collect();
        assert_eq!(rest, planned);
        assert!(queue.events.len() <= 1_000 && queue.planned() == 1_000);
    }

    #[test]
    fn what_is_forgotten_does_not_come() {
        let mut queue = Queue::new();
        for number in 0..20_u64 {
            queue.push(100 - number, number);
        }
        queue.forget_after(90, |number| number % 2 == 0);
        let taken: Vec<_> = std::iter::from_fn(|| queue.pop_before(u64::MAX)).collect();
        let left = (0..20_u64).rev().filter(|number| number % 2 == 1 || 100 - number <= 90);
        assert_eq!(taken, left.map(|number| (100 - number, number)).collect::<Vec<_>>());
    }

    #[test]
    fn what_is_hurried_comes_at_once_and_in_order() {
        let mut queue = Queue::new();
        for number in 0..20_u64 {
            queue.push(100 + number % 7, number);
        }
        queue.hurry(50, |number| number % 2 == 0);
        let taken: Vec<_> = std::iter::from_fn(|| queue.pop_before(u64::MAX)).collect();
        let mut expected: Vec<_> = (0..20_u64).step_by(2).map(|number| (50, number)).collect();
        let mut others: Vec<_> = (1..20_u64).step_by(2).map(|n| (100 + n % 7, n)).collect();
        others.sort_unstable();
        expected.append(&mut others);
        assert_eq!(taken, expected);
    }
}
