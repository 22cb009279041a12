//! The blob against what a log is, and against every kind of damage.

use quorate_core::{Few, PersistToken};

use super::*;

fn id(index: u64, term: u64) -> EntryId {
    EntryId::new(Index(index), Term(term))
}

/// A write of entries from `first` on; an empty command opens a term.
fn write(truncate_from: Option<u64>, first: u64, items: &[(u64, &str)]) -> Write {
    let mut builder = Builder::default();
    for (at, (term, command)) in items.iter().enumerate() {
        let command = (!command.is_empty()).then_some(command.as_bytes());
        builder.push(Index(first + at as u64), Item { term: Term(*term), command });
    }
    Write {
        token: PersistToken(1),
        hard_state: Some(HardState { term: Term(9), vote: NodeId::new(2) }),
        truncate_from: truncate_from.map(Index),
        entries: builder.finish().map_or_else(Few::new, Few::one),
        commit: Index(0),
    }
}

fn compact(index: u64, term: u64) -> Compact {
    Compact { base: id(index, term), meta: Vec::new() }
}

/// Two terms, each opened by an entry that is no command.
fn sample() -> State {
    let mut state = State::default();
    state.write(&write(None, 1, &[(1, ""), (1, "a"), (1, "bb"), (3, ""), (3, "ccc"), (3, "d")]));
    state
}

/// All that it says, so that two can be compared.
fn content(state: &State) -> Vec<(EntryId, Option<Vec<u8>>, u64)> {
    let indices = state.base.index.0..=state.last().index.0;
    let entry = |index: u64| {
        let index = Index(index);
        let term = state.term_at(index).expect("it is held");
        let command = state.command(index).map(<[u8]>::to_vec);
        (EntryId::new(index, term), command, state.commands_through(index))
    };
    indices.map(entry).collect()
}

fn again(state: &State, snapshot: &[u8]) -> State {
    let decoded = State::decode(&state.encode(), snapshot).expect("nothing is damaged");
    assert_eq!(content(&decoded), content(state));
    assert_eq!((decoded.hard_state, decoded.base), (state.hard_state, state.base));
    assert_eq!(decoded.snapshot(), state.snapshot());
    decoded
}

#[test]
fn commands_are_numbered_without_the_entries_that_open_terms() {
    let state = again(&sample(), &[]);
    assert_eq!(state.last(), id(6, 3));
    let numbered = [(1, 2, "a"), (2, 3, "bb"), (3, 5, "ccc"), (4, 6, "d")];
    for (number, index, command) in numbered {
        let entry = state.entry_of_command(number).unwrap();
        assert_eq!(entry.index, Index(index));
        assert_eq!(state.command(entry.index), Some(command.as_bytes()));
    }
    assert_eq!((state.entry_of_command(0), state.entry_of_command(5)), (None, None));
    let runs: Vec<_> =
        state.runs().iter().map(|run| (run.first.0, run.count, run.term.0)).collect();
    assert_eq!(runs, [(1, 1, 1), (2, 2, 1), (4, 1, 3), (5, 2, 3)]);
    let read = state.read(Index(2), Index(6), usize::MAX).unwrap();
    assert_eq!((read.first(), read.last_id()), (Index(2), id(6, 3)));
    let one = state.read(Index(2), Index(6), 1).unwrap();
    assert_eq!((one.first(), one.last()), (Index(2), Index(2)), "one at least");
    assert!(state.read(Index(7), Index(9), 1).is_none());
}

#[test]
fn a_suffix_goes_and_another_takes_its_place() {
    let mut state = sample();
    state.write(&write(Some(3), 3, &[(4, ""), (4, "x")]));
    let state = again(&state, &[]);
    assert_eq!((state.last(), state.commands_through(Index(4))), (id(4, 4), 2));
    assert_eq!(state.command(Index(4)), Some(b"x".as_slice()));
}

#[test]
fn a_prefix_goes_and_numbers_stay() {
    for keep in 0..=6 {
        let mut state = sample();
        let base = EntryId::new(Index(keep), state.term_at(Index(keep)).unwrap());
        let commands = state.commands_through(base.index);
        let before = content(&state);
        state.set_snapshot(id(6, 3), b"all of it");
        state.compact(&Compact { base, meta: Vec::new() }, commands);
        let state = again(&state, b"all of it");
        assert_eq!(content(&state)[1..], before[usize::try_from(keep).unwrap() + 1..]);
        let mut longer = state.clone();
        longer.write(&write(None, 7, &[(4, "more")]));
        assert_eq!(again(&longer, b"all of it").entry_of_command(5), Some(id(7, 4)));
    }
}

#[test]
fn a_snapshot_that_contradicts_the_log_takes_its_place() {
    let mut state = sample();
    state.set_snapshot(id(5, 4), b"other");
    state.compact(&compact(5, 4), 2);
    let state = again(&state, b"other");
    assert_eq!((state.last(), state.commands_through(Index(5))), (id(5, 4), 2));
    let mut further = sample();
    further.set_snapshot(id(50, 4), b"other");
    further.compact(&compact(50, 4), 45);
    further.write(&write(None, 51, &[(5, "x")]));
    assert_eq!(again(&further, b"other").entry_of_command(46), Some(id(51, 5)));
}

#[test]
fn every_changed_or_missing_byte_is_told() {
    let mut state = sample();
    state.set_snapshot(id(3, 1), b"snapshot");
    let blob = state.encode();
    assert!(State::decode(&blob, b"snapshot").is_ok());
    for at in 0..blob.len() {
        for bit in 0..8 {
            let mut damaged = blob.clone();
            damaged[at] ^= 1 << bit;
            let error = State::decode(&damaged, b"snapshot").expect_err("a bit is flipped");
            assert!(matches!(error, Damaged::NotAState { .. } | Damaged::Checksum { .. }));
        }
        if at > 0 {
            State::decode(&blob[..at], b"snapshot").expect_err("it is cut short");
        }
    }
    let said = State::decode(&[&blob[..9], &[1, 2, 3, 4]].concat(), b"snapshot").unwrap_err();
    assert!(said.to_string().starts_with("the saved state of 13 bytes is damaged"), "{said}");
    let said = State::decode(b"{}", &[]).unwrap_err().to_string();
    assert!(said.contains("none that this Raft wrote"), "{said}");
}

#[test]
fn a_snapshot_of_another_save_is_told() {
    let mut state = sample();
    let before = state.encode();
    state.set_snapshot(id(3, 1), b"snapshot");
    let blob = state.encode();
    for (blob, snapshot) in [
        (blob.as_slice(), b"snapshoT".as_slice()),
        (&blob, b"snapsho"),
        (&blob, b""),
        (&before, b"snapshot"),
        (&[], b"snapshot"),
    ] {
        let error = State::decode(blob, snapshot).expect_err("they do not belong together");
        assert!(matches!(error, Damaged::Snapshot { .. }), "{error}");
    }
}

#[test]
fn content_without_sense_is_told_even_where_the_checksum_holds() {
    let sealed = |content: &[u8]| {
        let checksum = crc32c::crc32c(content).to_le_bytes();
        [content, &checksum].concat()
    };
    for content in [
        &[VERSION][..],
        &[VERSION, 1, 0, 0, 0],
        &[VERSION, 1, 0, 0, 0, 0, 0, 0b100],
        &[VERSION, 1, 0, 0, 0, 0, 9, 0, 1, 2, 3, 4],
        &[VERSION, 1, 0, 0, 0, 0, 0, 0b101, 7],
    ] {
        let error = State::decode(&sealed(content), &[]).expect_err("it makes no sense");
        assert!(matches!(error, Damaged::Content { .. }), "{content:?}: {error}");
    }
}

#[test]
fn the_blob_costs_a_byte_or_two_per_entry() {
    let mut state = State::default();
    let command = "01234567890123456789";
    let items: Vec<_> = (0..20).map(|_| (1, command)).collect();
    state.write(&write(None, 1, &items));
    assert!(state.encode().len() <= 20 * (20 + 2) + 20, "{}", state.encode().len());
}
