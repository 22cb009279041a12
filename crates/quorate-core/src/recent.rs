//! Searching a sorted deque from its end: what is asked for is nearly always recent.

use std::collections::VecDeque;

/// As [`VecDeque::partition_point`]: the number of elements at the front for which `pred` holds,
/// where it holds for none behind the first for which it does not. Takes steps that double from the
/// end, so that the cost grows with the logarithm of the distance from there, and what was not
/// touched for long stays untouched.
pub fn partition_point<T>(deque: &VecDeque<T>, mut pred: impl FnMut(&T) -> bool) -> usize {
    let len = deque.len();
    let mut reach = 1;
    while reach <= len && !pred(&deque[len - reach]) {
        reach *= 2;
    }
    // Everything from `high` on is known not to hold; `low` is the first that may not.
    let mut low = if reach <= len { len - reach + 1 } else { 0 };
    let mut high = len - reach / 2;
    while low < high {
        let middle = low + (high - low) / 2;
        if pred(&deque[middle]) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_finds_what_a_search_from_the_front_finds() {
        for len in 0..70_usize {
            let deque: VecDeque<usize> = (0..len).collect();
            for point in 0..=len {
                assert_eq!(partition_point(&deque, |at| *at < point), point, "{point} of {len}");
            }
        }
    }
}
