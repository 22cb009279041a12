//! The log view against a plain list of entries, over random histories; writes against a model of a
//! disk. Each on a log that begins at the first entry, and on one that begins at a snapshot.

use std::sync::Arc;

use super::*;
use crate::id::{NodeId, PersistToken};
use crate::rng::Rng;
use crate::time::Instant;

const BASES: [EntryId; 2] = [EntryId::ZERO, EntryId::new(Index(57), Term(3))];

/// One entry of the plain list.
#[derive(Clone, Debug, PartialEq)]
struct Plain {
    term: Term,
    kind: EntryKind,
    bytes: u64,
    membership: Option<Arc<Membership>>,
}

struct Model {
    base: EntryId,
    entries: Vec<Plain>,
}

impl Model {
    fn at(&self, index: Index) -> Option<&Plain> {
        let at = index.get().checked_sub(self.base.index.get() + 1)?;
        self.entries.get(usize::try_from(at).unwrap())
    }

    fn term_at(&self, index: Index) -> Option<Term> {
        if index == self.base.index {
            return Some(self.base.term);
        }
        self.at(index).map(|entry| entry.term)
    }

    fn last(&self) -> EntryId {
        let index = self.base.index.plus(self.entries.len() as u64);
        EntryId::new(index, self.term_at(index).unwrap())
    }

    fn highest_at_or_below(&self, index: Index, term: Term) -> Option<EntryId> {
        let mut at = index.min(self.last().index);
        loop {
            let found = self.term_at(at)?;
            if found <= term {
                return Some(EntryId::new(at, found));
            }
            at = Index(at.get().checked_sub(1)?);
        }
    }

    fn push(&mut self, run: &Run) {
        let bytes = run.bytes / u64::from(run.count);
        for _ in 0..run.count {
            let membership = run.membership.clone();
            self.entries.push(Plain { term: run.term, kind: run.kind, bytes, membership });
        }
    }

    fn truncate_from(&mut self, from: Index) {
        self.entries.truncate(usize::try_from(from.distance(self.base.index)).unwrap() - 1);
    }
}

/// A log and its model after the same random history; `size` gives the bytes of an entry.
fn grow(base: EntryId, rng: &mut Rng, steps: u64, size: impl Fn(&mut Rng) -> u64) -> (Log, Model) {
    let (mut log, mut model) = (Log::new(base), Model { base, entries: Vec::new() });
    for _ in 0..steps {
        if rng.below(6) == 0 && !model.entries.is_empty() {
            let from = base.index.plus(1 + rng.below(model.entries.len() as u64 + 2));
            if from <= model.last().index {
                model.truncate_from(from);
            }
            log.truncate_from(from);
            continue;
        }
        let run = some_run(model.last(), rng, &size);
        model.push(&run);
        log.push(&run);
    }
    (log, model)
}

fn some_run(after: EntryId, rng: &mut Rng, size: &impl Fn(&mut Rng) -> u64) -> Run {
    let first = after.index.next();
    let later = if rng.below(4) == 0 { rng.below(3) } else { 0 };
    let term = after.term.plus(later).max(Term(1));
    match rng.below(10) {
        0 => Run::new(first, 1, term, EntryKind::Opening, size(rng)),
        1 => {
            let voters = (1..2 + rng.below(3)).filter_map(NodeId::new);
            Run::membership(first, term, size(rng), Arc::new(Membership::of_voters(voters)))
        }
        _ => {
            let long = if rng.below(10) == 0 { 90 } else { 4 };
            let count = 1 + u32::try_from(rng.below(long)).unwrap();
            Run::new(first, count, term, EntryKind::Command, size(rng) * u64::from(count))
        }
    }
}

fn any_size(rng: &mut Rng) -> u64 {
    match rng.below(8) {
        0 => 1,
        1 => 5000 + rng.below(20_000),
        _ => 50 + rng.below(300),
    }
}

/// Every case for both bases and many histories.
fn each(check: impl Fn(EntryId, &mut Rng)) {
    for base in BASES {
        for seed in 0..300 {
            check(base, &mut Rng::new(seed));
        }
    }
}

#[test]
fn terms_and_ends_are_those_of_the_list() {
    each(|base, rng| {
        let (log, model) = grow(base, rng, 40, any_size);
        assert_eq!(log.last(), model.last());
        assert_eq!(log.base(), base);
        for index in base.index.get().saturating_sub(2)..model.last().index.get() + 3 {
            let index = Index(index);
            let term = model.term_at(index);
            assert_eq!(log.term_at(index), term, "at {index}");
            for other in 0..12 {
                let id = EntryId::new(index, Term(other));
                assert_eq!(log.holds(id), term == Some(Term(other)), "{id}");
            }
        }
    });
}

#[test]
fn the_highest_entry_at_or_below_is_found() {
    each(|base, rng| {
        let (log, model) = grow(base, rng, 40, any_size);
        for index in base.index.get().saturating_sub(2)..model.last().index.get() + 3 {
            for term in 0..14 {
                let (index, term) = (Index(index), Term(term));
                let expected = model.highest_at_or_below(index, term);
                assert_eq!(log.highest_at_or_below(index, term), expected, "{index} {term}");
            }
        }
    });
}

#[test]
fn the_first_difference_is_where_lists_part() {
    each(|base, rng| {
        let (log, model) = grow(base, rng, 30, any_size);
        let (_, other) = grow(base, rng, 30, any_size);
        for model_to_compare in [&model, &other] {
            for _ in 0..10 {
                let len = model_to_compare.entries.len() as u64;
                let first = base.index.plus(1 + rng.below(len + 1));
                let mut runs = runs_of(model_to_compare, first, rng);
                let last = runs.last().map_or_else(|| first.previous(), Run::last);
                if let Some(run) = runs.first_mut().filter(|run| run.membership.is_none()) {
                    // A part below the base, of which this log knows nothing.
                    let below = u32::try_from(rng.below(3).min(base.index.get())).unwrap();
                    if run.first == base.index.next() {
                        run.first = Index(run.first.get() - u64::from(below));
                        run.count += below;
                    }
                }
                let differs = |index: &Index| {
                    model.at(*index).map(|entry| entry.term) != model_to_compare.term_at(*index)
                };
                let expected = (first.get()..=last.get()).map(Index).find(differs);
                assert_eq!(log.first_difference(&runs), expected, "from {first}");
            }
        }
    });
}

/// Runs of random lengths over a part of a list.
fn runs_of(model: &Model, first: Index, rng: &mut Rng) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    let mut index = first;
    while let Some(entry) = model.at(index).filter(|_| rng.below(40) > 0) {
        let joins = runs.last().is_some_and(|run| {
            run.term == entry.term && run.kind == entry.kind && run.membership.is_none()
        });
        match runs.last_mut() {
            Some(run) if joins && entry.membership.is_none() && rng.below(4) > 0 => run.count += 1,
            _ => {
                let mut run = Run::new(index, 1, entry.term, entry.kind, entry.bytes);
                run.membership.clone_from(&entry.membership);
                runs.push(run);
            }
        }
        index = index.next();
    }
    runs
}

#[test]
fn a_slice_is_a_part_of_the_list_within_its_limit() {
    each(|base, rng| {
        let (log, model) = grow(base, rng, 30, any_size);
        let len = model.entries.len() as u64;
        for _ in 0..20 {
            let from = base.index.plus(rng.below(len + 3));
            let max_bytes =
                [0, 1, 100, 1000, 10_000, 1_000_000][usize::try_from(rng.below(6)).unwrap()];
            let runs = log.slice(from, max_bytes);
            let mut index = from;
            for run in &runs {
                assert!(run.is_well_formed() && run.first == index, "{run} at {index}");
                for at in run.first.get()..=run.last().get() {
                    let entry = model.at(Index(at)).expect("a slice ends with the log");
                    assert_eq!((entry.term, entry.kind), (run.term, run.kind), "at {at}");
                    assert_eq!(entry.membership, run.membership, "at {at}");
                }
                index = run.last().next();
            }
            let count: u64 = runs.iter().map(|run| u64::from(run.count)).sum();
            let bytes: u64 = runs.iter().map(|run| run.bytes).sum();
            assert!(bytes <= max_bytes || count == 1, "{bytes} of {max_bytes} bytes");
            let is_held = from > base.index && from <= model.last().index;
            assert_eq!(count > 0, is_held, "at least one entry where there is one");
        }
    });
}

#[test]
fn entries_of_one_size_are_cut_exactly() {
    each(|base, rng| {
        let size = 1 + rng.below(500);
        let (log, model) = grow(base, rng, 40, |_| size);
        let last = model.last().index;
        for _ in 0..20 {
            let from = base.index.plus(1 + rng.below(model.entries.len() as u64 + 1));
            let max_bytes = rng.below(size * 40);
            let held = last.next().distance(from);
            let expected = (max_bytes / size).max(1).min(held);
            let runs = log.slice(from, max_bytes);
            let count: u64 = runs.iter().map(|run| u64::from(run.count)).sum();
            assert_eq!(count, expected, "from {from} with {max_bytes} of {size} each");
            let bytes = log.bytes_through(last) - log.bytes_through(from.previous());
            assert_eq!(bytes, held * size, "bytes after {from}");
        }
    });
}

#[test]
fn sizes_add_up_and_a_large_entry_stands_alone() {
    for base in BASES {
        let mut log = Log::new(base);
        let first = base.index.next();
        log.push(&Run::new(first, 1, Term(4), EntryKind::Command, 100));
        log.push(&Run::new(first.plus(1), 1, Term(4), EntryKind::Command, 1_000_000));
        log.push(&Run::new(first.plus(2), 1, Term(4), EntryKind::Command, 100));
        assert_eq!(log.bytes() - log.bytes_through(base.index), 1_000_200);
        let alone = log.slice(first.plus(1), 10);
        assert_eq!(alone.len(), 1);
        assert_eq!((alone[0].count, alone[0].bytes), (1, 1_000_000));
        assert_eq!(log.slice(first, 500)[0].last(), first, "the large one does not fit");
    }
}

#[test]
#[should_panic(expected = "a run continues the log")]
fn a_gap_is_a_fault_of_the_caller() {
    Log::new(EntryId::ZERO).push(&Run::new(Index(2), 1, Term(1), EntryKind::Command, 1));
}

#[test]
#[should_panic(expected = "terms never fall")]
fn a_falling_term_is_a_fault_of_the_caller() {
    let mut log = Log::new(BASES[1]);
    log.push(&Run::new(Index(58), 1, Term(2), EntryKind::Command, 1));
}

#[test]
#[should_panic(expected = "at or below the base")]
fn what_a_snapshot_covers_is_never_cut() {
    Log::new(BASES[1]).truncate_from(Index(57));
}

/// A disk that holds entries by index, each with the number of the write that made it.
#[test]
fn durability_is_what_a_disk_holds_whatever_was_cut() {
    each(|base, rng| {
        let mut durability = Durability::new(base.index);
        // Writes made each entry in memory; what the disk holds of them; writes under way.
        let mut memory: Vec<u64> = Vec::new();
        let mut disk: Vec<u64> = Vec::new();
        let mut under_way: Vec<(PersistToken, usize, Vec<u64>)> = Vec::new();
        let mut cut: Option<usize> = None;
        for step in 0..60 {
            match rng.below(4) {
                0 if !memory.is_empty() => {
                    let at = usize::try_from(rng.below(memory.len() as u64)).unwrap();
                    memory.truncate(at);
                    durability.truncate_from(base.index.plus(at as u64 + 1));
                    cut = Some(cut.map_or(at, |cut| cut.min(at)));
                }
                0 | 1 => {
                    let handed_out = durability.handed_out().distance(base.index);
                    let from = usize::try_from(handed_out).unwrap();
                    memory
                        .extend(std::iter::repeat_n(step, usize::try_from(rng.below(4)).unwrap()));
                    let end = base.index.plus(memory.len() as u64);
                    let token = durability.issue(Instant::ZERO, end, false);
                    let keep = cut.take().map_or(from, |cut| cut.min(from));
                    under_way.push((token, keep, memory[keep..].to_vec()));
                }
                _ if !under_way.is_empty() => {
                    let count = 1 + usize::try_from(rng.below(under_way.len() as u64)).unwrap();
                    let mut last = PersistToken::ZERO;
                    for (token, keep, entries) in under_way.drain(..count) {
                        disk.truncate(keep);
                        disk.extend(entries);
                        last = token;
                    }
                    assert!(durability.complete(Instant::ZERO, last));
                    assert!(!durability.complete(Instant::ZERO, last), "a token completes once");
                }
                _ => {}
            }
            let equal = disk.iter().zip(&memory).take_while(|(a, b)| a == b).count() as u64;
            let persisted = durability.persisted().distance(base.index);
            assert!(persisted <= equal, "step {step}: {persisted} of {equal}");
            if under_way.is_empty() && cut.is_none() {
                assert_eq!(persisted, memory.len() as u64, "all writes have completed");
            }
            for index in base.index.get()..=durability.handed_out().get() {
                let covering = durability.covering(Index(index));
                assert_eq!(covering.is_none(), Index(index) <= durability.persisted());
            }
        }
    });
}

#[test]
fn a_late_write_raises_nothing_that_was_cut() {
    let mut durability = Durability::new(Index(10));
    let early = durability.issue(Instant::ZERO, Index(15), false);
    durability.truncate_from(Index(12));
    assert_eq!(durability.covering(Index(11)), Some(early), "11 is in the early write");
    let late = durability.issue(Instant::ZERO, Index(14), false);
    assert_eq!(durability.covering(Index(14)), Some(late), "14 is another entry than before");
    assert!(durability.complete(Instant::ZERO, early));
    assert_eq!(durability.persisted(), Index(11));
    assert!(durability.complete(Instant::ZERO, late));
    assert_eq!(durability.persisted(), Index(14));
}

#[test]
fn messages_wait_for_the_latest_write_of_their_term() {
    let mut durability = Durability::new(Index(0));
    let first = durability.issue(Instant::ZERO, Index(0), true);
    let second = durability.issue(Instant::ZERO, Index(0), true);
    assert_eq!(durability.term_token(), Some(second));
    assert!(durability.complete(Instant::ZERO, first));
    assert_eq!(durability.term_token(), Some(second), "the vote of the second is not durable");
    assert!(!durability.complete(Instant::ZERO, PersistToken(99)), "never handed out");
    assert!(durability.complete(Instant::ZERO, second));
    assert_eq!(durability.term_token(), None);
}

#[test]
fn commands_are_counted_without_what_the_protocol_appends() {
    let mut log = Log::new(EntryId::new(Index(10), Term(1)));
    log.push(&Run::new(Index(11), 1, Term(2), EntryKind::Opening, 48));
    log.push(&Run::new(Index(12), 3, Term(2), EntryKind::Command, 300));
    log.push(&Run::new(Index(15), 1, Term(3), EntryKind::Opening, 48));
    log.push(&Run::new(Index(16), 2, Term(3), EntryKind::Command, 200));
    let counts = [(9, 0), (10, 0), (11, 0), (12, 1), (14, 3), (15, 3), (16, 4), (17, 5), (99, 5)];
    for (index, count) in counts {
        assert_eq!(log.commands_through(Index(index)), count, "through {index}");
    }
    log.truncate_from(Index(14));
    assert_eq!(log.commands_through(Index(99)), 2);
}

#[test]
fn a_disk_owes_an_answer_from_its_last_one_on() {
    let at = Instant::from_millis;
    let mut durability = Durability::new(Index(0));
    assert_eq!(durability.owing_since(), None);
    let first = durability.issue(at(10), Index(1), false);
    let second = durability.issue(at(20), Index(2), false);
    assert_eq!(durability.owing_since(), Some(at(10)));
    assert!(durability.complete(at(30), first));
    assert_eq!(durability.owing_since(), Some(at(30)), "it does answer");
    assert!(!durability.complete(at(40), first), "once");
    assert_eq!(durability.owing_since(), Some(at(30)));
    assert!(durability.complete(at(50), second));
    assert_eq!(durability.owing_since(), None);
}
