//! Seeds, or whatever else has numbers, on several cores and in the order of their numbers.
//!
//! Each world lives on one thread from its beginning to its end, so what happens in it does not
//! depend on how many there are.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;

/// Runs `work` for every seed and hands each result to `take`, in order. When `is_end` says so of a
/// result, no later seed is begun or handed out.
pub(in crate::verb) fn each<T: Send>(
    seeds: &Range<u64>,
    jobs: usize,
    work: impl Fn(u64) -> T + Sync,
    is_end: impl Fn(&T) -> bool + Sync,
    mut take: impl FnMut(u64, T),
) {
    let next = AtomicU64::new(seeds.start);
    let end = AtomicU64::new(seeds.end);
    let (sender, receiver) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..jobs {
            let sender = sender.clone();
            let (next, end, work, is_end) = (&next, &end, &work, &is_end);
            scope.spawn(move || {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end.load(Ordering::Relaxed) {
                        return;
                    }
                    let done = work(seed);
                    if is_end(&done) {
                        end.fetch_min(seed + 1, Ordering::Relaxed);
                    }
                    if sender.send((seed, done)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let mut early = BTreeMap::new();
        let mut expected = seeds.start;
        let mut ended = false;
        for (seed, done) in receiver {
            early.insert(seed, done);
            while let Some(done) = early.remove(&expected)
                && !ended
            {
                ended = is_end(&done);
                take(expected, done);
                expected += 1;
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(seeds: Range<u64>, jobs: usize, end: u64) -> Vec<(u64, u64)> {
        let mut taken = Vec::new();
        // The first ones take longest, so that later ones are done before them.
        let work = |seed: u64| {
            let rounds = if seed.is_multiple_of(4) { 200_000 } else { 10 };
            (0..rounds).fold(seed, |hash: u64, at| hash.wrapping_mul(31) ^ at) & 1 | (seed << 1)
        };
        each(
            &seeds,
            jobs,
            work,
            |done| done >> 1 == end,
            |seed, done| taken.push((seed, done >> 1)),
        );
        taken
    }

    #[test]
    fn results_come_in_order_whatever_the_number_of_threads() {
        for jobs in [1, 2, 7] {
            let taken = run(3..60, jobs, u64::MAX);
            assert_eq!(taken, (3..60).map(|seed| (seed, seed)).collect::<Vec<_>>());
        }
    }

    #[test]
    fn nothing_after_the_end_is_handed_out() {
        for jobs in [1, 3] {
            assert_eq!(run(0..1000, jobs, 20).last(), Some(&(20, 20)));
        }
    }
}
