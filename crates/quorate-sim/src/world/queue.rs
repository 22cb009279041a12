//! What is going to happen, ordered by time and then by the order in which it was planned.
//!
//! The heap holds keys alone, one number each, because they move on every step; events stay where
//! they are put until their time comes.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Bits of a key that say where its event is kept.
const SLOT_BITS: u32 = 24;
/// Bits of a key that say how many events were planned before.
const NUMBER_BITS: u32 = 64 - SLOT_BITS;

/// Events to come.
#[derive(Debug)]
pub(super) struct Queue<E> {
    /// Time, number and slot of each, from the highest bits down.
    due: BinaryHeap<Reverse<u128>>,
    events: Vec<Option<E>>,
    /// Slots without an event.
    free: Vec<usize>,
    /// Events planned so far.
    planned: u64,
}

impl<E> Queue<E> {
    pub(super) const fn new() -> Self {
        Self { due: BinaryHeap::new(), events: Vec::new(), free: Vec::new(), planned: 0 }
    }

    /// Events planned so far.
    pub(super) const fn planned(&self) -> u64 {
        self.planned
    }

    /// Plans an event, after whatever is planned for the same time.
    pub(super) fn push(&mut self, at: u64, event: E) {
        self.planned += 1;
        let slot = self.free.pop().unwrap_or_else(|| {
            self.events.push(None);
            self.events.len() - 1
        });
        assert!(slot >> SLOT_BITS == 0 && self.planned >> NUMBER_BITS == 0, "a run is short");
        self.events[slot] = Some(event);
        let key = (self.planned << SLOT_BITS) | slot as u64;
        self.due.push(Reverse(u128::from(at) << 64 | u128::from(key)));
    }

    /// Takes the next event, if it is due by then, and says when it is due.
    pub(super) fn pop_before(&mut self, until: u64) -> Option<(u64, E)> {
        let Reverse(next) = self.due.peek()?;
        let at = u64::try_from(next >> 64).expect("half of 128 bits");
        if at > until {
            return None;
        }
        let Reverse(key) = self.due.pop()?;
        let slot = usize::try_from(key & ((1 << SLOT_BITS) - 1)).expect("slots are few");
        let event = self.events[slot].take().expect("every key has its event");
        self.free.push(slot);
        Some((at, event))
    }
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
}
