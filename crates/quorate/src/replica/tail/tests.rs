//! The tail against a plain vector, and its edges.

use proptest::prelude::*;
use quorate_core::EntryKind;

use super::*;

const fn id(index: u64, term: u64) -> EntryId {
    EntryId::new(Index(index), Term(term))
}

fn envelope(time: u64) -> Envelope {
    Envelope::of(EntryKind::Command, time)
}

fn block(first: u64, term: u64, count: u64) -> Entries {
    let mut builder = BlockBuilder::new();
    for index in first..first + count {
        builder.push(Index(index), Term(term), &envelope(index), b"payload");
    }
    Entries::all(builder.finish())
}

fn ids(slices: &[Entries]) -> Vec<(u64, u64)> {
    let entries = slices.iter().flat_map(Entries::iter);
    entries.map(|entry| (entry.id.index.0, entry.id.term.0)).collect()
}

#[test]
fn own_and_accepted_entries_follow_each_other() {
    let mut tail = Tail::new(1 << 20, id(4, 1), 0);
    assert_eq!((tail.first(), tail.range(Index(4), Index(4))), (Index(5), None));
    tail.push(id(5, 2), &envelope(1), b"a");
    tail.push(id(6, 2), &envelope(2), b"b");
    assert_eq!(tail.first(), Index(5), "the open block counts");
    tail.extend(block(7, 3, 2));
    tail.push(id(9, 4), &envelope(3), b"c");
    let slices = tail.range(Index(6), Index(9)).expect("all of it is here");
    assert_eq!(ids(&slices), [(6, 2), (7, 3), (8, 3), (9, 4)]);
    assert_eq!(tail.range(Index(6), Index(10)), None);
    assert_eq!(tail.log_time_ms(), 8, "log time never goes back");
}

#[test]
fn a_cut_may_go_through_a_block_the_open_block_or_everything() {
    let mut tail = Tail::new(1 << 20, id(0, 0), 0);
    tail.extend(block(1, 1, 5));
    tail.push(id(6, 2), &envelope(1), b"a");
    tail.push(id(7, 2), &envelope(1), b"b");
    tail.truncate(Index(7), id(6, 2));
    assert_eq!(ids(&tail.range(Index(5), Index(6)).unwrap()), [(5, 1), (6, 2)]);
    tail.truncate(Index(4), id(3, 1));
    tail.push(id(4, 3), &envelope(1), b"c");
    assert_eq!(ids(&tail.range(Index(1), Index(4)).unwrap()), [(1, 1), (2, 1), (3, 1), (4, 3)]);
    tail.truncate(Index(1), id(0, 0));
    assert_eq!((tail.first(), tail.bytes()), (Index(1), 0));
}

#[test]
fn only_durable_entries_are_given_up() {
    let mut tail = Tail::new(100, id(0, 0), 0);
    for first in [1, 3, 5] {
        tail.extend(block(first, 1, 2));
    }
    let nothing = || Index::ZERO;
    tail.evict(Index(1), nothing);
    assert_eq!(tail.first(), Index(1), "half of the first block is not durable");
    tail.evict(Index(4), nothing);
    assert_eq!(tail.first(), Index(5));
    tail.evict(Index(6), nothing);
    assert_eq!(tail.first(), Index(7), "the last block alone is above the limit");
    assert_eq!(tail.range(Index(6), Index(6)), None);
}

#[test]
fn what_nobody_needs_leaves_before_the_tail_is_full() {
    let held = |durable, unneeded| {
        let mut tail = Tail::new(32 << 20, id(0, 0), 0);
        let mut first = 1;
        while tail.bytes() <= 2 * SPARE_BYTES {
            tail.extend(block(first, 1, 100));
            first += 100;
        }
        tail.evict(durable, || unneeded);
        (tail.first(), tail.bytes())
    };
    let end = Index(u64::MAX);
    assert_eq!(held(end, Index::ZERO).0, Index(1), "somebody needs all of it");
    assert_eq!(held(end, Index(350)).0, Index(301), "the fourth block is needed");
    assert_eq!(held(Index(250), end).0, Index(201), "the third is not durable here");
    let (_, bytes) = held(end, end);
    assert!((SPARE_BYTES / 2..=SPARE_BYTES).contains(&bytes), "{bytes} bytes are spare");
}

proptest! {
    /// Against a plain vector of entries.
    #[test]
    fn a_tail_is_what_was_put_into_it(steps in prop::collection::vec((0_u8..4, 1_u64..5), 1..40)) {
        let mut tail = Tail::new(200, id(0, 0), 0);
        let mut model: Vec<(u64, u64)> = Vec::new();
        let (mut term, mut gone) = (1, 0);
        for (step, size) in steps {
            let last = model.len() as u64;
            match step {
                0 => {
                    tail.extend(block(last + 1, term, size));
                    model.extend((last + 1..=last + size).map(|index| (index, term)));
                }
                1 => {
                    tail.push(id(last + 1, term), &envelope(0), b"own");
                    model.push((last + 1, term));
                }
                2 if last > gone => {
                    let from = (last + 1 - size.min(last - gone)).max(1);
                    model.truncate(usize::try_from(from - 1).unwrap());
                    let (index, before) = model.last().copied().unwrap_or((0, 0));
                    tail.truncate(Index(from), id(index, before));
                    term += 1;
                }
                _ => {
                    tail.evict(Index(last.saturating_sub(size)), || Index::ZERO);
                    gone = gone.max(tail.first().0 - 1);
                }
            }
            let last = model.last().copied().unwrap_or((0, 0));
            prop_assert_eq!((tail.last().index.0, tail.last().term.0), last);
            for first in tail.first().0..=last.0 {
                for end in first..=last.0 {
                    let slices = tail.range(Index(first), Index(end)).expect("it is here");
                    let from = usize::try_from(first - 1).unwrap();
                    let to = usize::try_from(end).unwrap();
                    prop_assert_eq!(&ids(&slices)[..], &model[from..to]);
                }
            }
        }
    }
}

#[test]
fn slices_match_only_when_every_entry_does() {
    let slices = [block(1, 1, 2), block(3, 2, 2)];
    let terms = |index: Index| {
        let (term, last) = if index.0 < 3 { (1, 2) } else { (2, 9) };
        Some((Term(term), Index(last)))
    };
    assert!(matches(&slices, Index(1), Index(4), terms));
    assert!(!matches(&slices, Index(1), Index(5), terms), "one is missing");
    assert!(!matches(&slices, Index(1), Index(3), terms), "one is too many");
    assert!(!matches(&slices, Index(2), Index(4), terms), "they begin elsewhere");
    assert!(!matches(&slices[1..], Index(1), Index(4), terms));
    assert!(!matches(&slices, Index(1), Index(4), |_| Some((Term(1), Index(9)))));
    assert!(!matches(&slices, Index(1), Index(4), |_| None));
    let last_differs = |index: Index| Some((Term(if index.0 == 2 { 2 } else { 1 }), index));
    assert!(!matches(&slices[..1], Index(1), Index(2), last_differs), "every entry counts");
    let long = [block(1, 1, 100)];
    let parts = |index: Index| Some((Term(1), Index(index.0.div_ceil(7) * 7)));
    assert!(matches(&long, Index(1), Index(100), parts), "in pieces of any length");
    let one_differs = |index: Index| match index.0 {
        51 => Some((Term(2), index)),
        at => Some((Term(1), Index(if at < 51 { 50 } else { 100 }))),
    };
    assert!(!matches(&long, Index(1), Index(100), one_differs), "one of a hundred");
}
