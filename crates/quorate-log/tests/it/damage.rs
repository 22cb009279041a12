//! Damage that is no torn tail: it is named, never cut.

use std::collections::BTreeSet;

use proptest::prelude::*;
use quorate_core::Index;
use quorate_log::fault::{Fault, FaultFs, Loss};
use quorate_log::{Compact, DamageKind, OpenError, Operation, Write};

use crate::support::{
    Contents, Ghost, Step, append, contents, entries, founded, id, open, settle, state,
};

/// A closed directory with three segments, a base, and a last batch that nothing later names
/// unless `fence` is set.
fn closed(fence: bool) -> (FaultFs, Contents) {
    let fs = FaultFs::new();
    let mut recovered = founded(fs.another());
    let mut ghost = Ghost::founded();
    let mut script = vec![
        Step::Writes(vec![append(2, entries(1, 4, 1, 300))]),
        Step::Writes(vec![append(3, entries(5, 3, 1, 1500))]),
        Step::Compact(Compact { base: id(2, 1), meta: b"base meta".to_vec() }),
        Step::Writes(vec![Write {
            truncate_from: Some(Index(7)),
            hard_state: Some(state(2, 0)),
            ..append(4, entries(7, 2, 2, 1800))
        }]),
        Step::Writes(vec![append(5, entries(9, 1, 2, 2500))]),
        Step::Writes(vec![append(6, entries(10, 2, 2, 100))]),
        Step::Writes(vec![append(7, entries(12, 1, 2, 900))]),
    ];
    if fence {
        script.push(Step::Fence);
    }
    ghost.run(&mut recovered.log, &script).unwrap();
    assert_eq!(segments(&fs).len(), 3);
    drop(recovered);
    fs.kill();
    (fs, ghost.after.last().unwrap().0.clone())
}

fn segments(fs: &FaultFs) -> Vec<String> {
    fs.names().into_iter().filter(|name| name.ends_with(".seg")).collect()
}

/// End of what is not zero.
fn written(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1)
}

/// Opens a damaged copy: everything is there, or the error names the file.
fn never_cut(
    fs: &FaultFs,
    file: &str,
    expected: &Contents,
    change: impl FnOnce(&mut Vec<u8>),
) -> bool {
    let fs = fs.duplicate();
    fs.corrupt(file, change);
    match open(fs.another()) {
        Ok(mut recovered) => {
            assert_eq!(contents(&mut recovered), *expected, "{file} was cut silently");
            true
        }
        Err(error) => {
            let text = error.to_string();
            assert!(text.contains(file), "{text} names {file}");
            assert!(text.contains("move the directory away") || text.contains("upgrade"), "{text}");
            false
        }
    }
}

/// R-ST4.
#[test]
fn a_bit_flip_anywhere_in_what_was_acknowledged_is_never_cut_silently() {
    let (fs, expected) = closed(false);
    for file in segments(&fs) {
        let end = written(&fs.bytes(&file).unwrap());
        let mut harmless = 0;
        for at in 0..end {
            let bit = 1 << ((at * 7 + at / 512) % 8);
            harmless += usize::from(never_cut(&fs, &file, &expected, |bytes| bytes[at] ^= bit));
        }
        // Only padding may change without anyone noticing.
        assert!(harmless < 4 * 512 + 384, "{harmless} of {end} flips went unnoticed in {file}");
    }
}

#[test]
fn damage_inside_a_batch_names_file_offset_and_entries() {
    let (fs, _) = closed(false);
    let file = "log-0000000000000001.seg";
    fs.corrupt(file, |bytes| bytes[512 + 200] ^= 1);
    let Err(OpenError::Damaged(damage)) = open(fs.another()) else { panic!("it is damaged") };
    assert_eq!(damage.file.to_string_lossy(), format!("data/{file}"));
    assert_eq!((damage.offset, damage.kind), (512, DamageKind::Checksum));
    assert_eq!((damage.first, damage.last), (Some(Index(1)), Some(Index(4))));
}

#[test]
fn a_lost_header_is_bounded_by_what_follows_it() {
    let (fs, _) = closed(false);
    let file = segments(&fs).pop().unwrap();
    fs.corrupt(&file, |bytes| bytes[512..1024].fill(0));
    let Err(OpenError::Damaged(damage)) = open(fs.another()) else { panic!("it is damaged") };
    assert_eq!((damage.offset, damage.kind), (512, DamageKind::Missing));
    assert!(damage.first.is_some() && damage.last >= damage.first, "{damage:?}");
}

/// R-ST4.
#[test]
fn a_sector_of_zeros_in_what_was_acknowledged_is_never_cut_once_a_fence_is_there() {
    let (fs, expected) = closed(true);
    for file in segments(&fs) {
        let end = written(&fs.bytes(&file).unwrap());
        for start in (0..end).step_by(64) {
            never_cut(&fs, &file, &expected, |bytes| bytes[start..start + 64].fill(0));
        }
        for start in (0..end).step_by(512) {
            let changed = |bytes: &mut Vec<u8>| bytes[start..start + 512].fill(0);
            let whole = never_cut(&fs, &file, &expected, changed);
            let fence = start + 512 == end && file == *segments(&fs).last().unwrap();
            assert_eq!(whole, fence, "only the fence itself can be missed: {file} at {start}");
        }
    }
}

#[test]
fn without_fence_or_later_write_only_the_last_batch_can_pass_for_torn() {
    // The residue that no rule can see: it is as small as the documentation says.
    let (fs, expected) = closed(false);
    let last = segments(&fs).pop().unwrap();
    let mut cut = BTreeSet::new();
    for file in segments(&fs) {
        let end = written(&fs.bytes(&file).unwrap());
        for start in (0..end).step_by(512) {
            let fs = fs.duplicate();
            fs.corrupt(&file, |bytes| bytes[start..start + 512].fill(0));
            if let Ok(mut recovered) = open(fs.another()) {
                let seen = contents(&mut recovered);
                assert!(seen == expected || seen.last().index == Index(11));
                if seen != expected {
                    assert_eq!(file, last);
                    cut.insert(seen.last());
                }
            }
        }
    }
    assert_eq!(cut, BTreeSet::from([id(11, 2)]), "the window exists, and is one batch");
}

#[test]
fn the_next_start_closes_the_window_that_no_fence_closed() {
    let (fs, _) = closed(false);
    drop(open(fs.another()).unwrap());
    let file = segments(&fs).pop().unwrap();
    let end = written(&fs.bytes(&file).unwrap());
    fs.corrupt(&file, |bytes| bytes[end - 960..end - 896].fill(0));
    let error = open(fs.another()).unwrap_err();
    assert!(matches!(error, OpenError::Damaged(_)), "the hard state names the batch: {error}");
}

#[test]
fn a_file_that_lost_its_end_is_refused() {
    let (fs, expected) = closed(true);
    for file in fs.names().into_iter().filter(|name| name != "lock" && !name.starts_with("hs.")) {
        let length = fs.bytes(&file).unwrap().len();
        for left in
            [0, 1, 63, 512, length / 2, length - 1].into_iter().filter(|&left| left < length)
        {
            let whole = never_cut(&fs, &file, &expected, |bytes| bytes.truncate(left));
            assert!(!whole, "{file} cut to {left} of {length}");
        }
    }
}

#[test]
fn a_missing_file_is_refused_unless_it_is_not_needed() {
    let (fs, expected) = closed(true);
    for file in fs.names().into_iter().filter(|name| name != "lock") {
        let fs = fs.duplicate();
        fs.lose(&file);
        match open(fs.another()) {
            Ok(mut recovered) if file == "base" => {
                // Every entry that it covers is still in a segment: the log was never compacted.
                let seen = contents(&mut recovered);
                assert_eq!((seen.base, seen.entries.len()), (id(0, 0), 12));
            }
            Ok(mut recovered) => {
                assert!(file.starts_with("hs."), "{file} is needed");
                assert_eq!(contents(&mut recovered), expected);
                let repaired = &recovered.report.hard_state_repaired;
                assert_eq!(repaired[0].file_name().unwrap().to_string_lossy(), file);
            }
            Err(error) => {
                let text = error.to_string();
                assert!(text.contains(&file), "{text} names {file}");
                assert!(!file.starts_with("hs."), "one copy is enough: {text}");
            }
        }
    }
    fs.lose("hs.a");
    fs.lose("hs.b");
    assert!(matches!(open(fs.another()), Err(OpenError::HardStateMissing { .. })));
}

#[test]
fn a_gap_below_the_base_is_no_damage() {
    let fs = FaultFs::new();
    let mut recovered = founded(fs.another());
    let mut ghost = Ghost::founded();
    let script: Vec<Step> = (0..5)
        .map(|part| Step::Writes(vec![append(part + 2, entries(part * 2 + 1, 2, 1, 2500))]))
        .collect();
    ghost.run(&mut recovered.log, &script).unwrap();
    let before = fs.duplicate();
    let base = Step::Compact(Compact { base: id(8, 1), meta: Vec::new() });
    ghost.run(&mut recovered.log, &[base]).unwrap();
    assert_eq!(segments(&before).len(), 5);
    assert_eq!(segments(&fs), ["log-0000000000000005.seg"]);
    drop(recovered);
    // A crash may undo any of the removals, since no name is durable until the last step.
    for survivors in 0..16_u32 {
        let fs = fs.duplicate();
        for (bit, name) in segments(&before)[..4].iter().enumerate() {
            if survivors >> bit & 1 == 1 {
                fs.plant(name, &before.bytes(name).unwrap());
            }
        }
        let mut again = open(fs.another()).unwrap();
        assert_eq!(contents(&mut again), ghost.after.last().unwrap().0);
        drop(again);
        assert_eq!(segments(&fs), ["log-0000000000000005.seg"], "they are removed for good");
    }
}

#[test]
fn bytes_of_another_place_are_refused() {
    let (fs, expected) = closed(true);
    let names = segments(&fs);
    for (one, two) in [(0, 1), (1, 2), (2, 0)] {
        let bytes = fs.bytes(&names[one]).unwrap();
        assert!(!never_cut(&fs, &names[two], &expected, |target| *target = bytes));
    }
    // A sector written to another sector's place.
    let file = &names[1];
    let bytes = fs.bytes(file).unwrap();
    let sectors = written(&bytes).div_ceil(512);
    for from in 1..sectors {
        for to in (1..sectors).filter(|&to| to != from) {
            let sector = bytes[from * 512..from * 512 + 512].to_vec();
            let whole = never_cut(&fs, file, &expected, |target| {
                target[to * 512..to * 512 + 512].copy_from_slice(&sector);
            });
            assert!(!whole, "sector {from} over {to}");
        }
    }
}

#[test]
fn a_segment_of_another_directory_is_refused() {
    let (fs, expected) = closed(true);
    let other = FaultFs::new();
    let options = quorate_log::OpenOptions {
        format_as: quorate_core::NodeId::new(0xEE),
        seed: 99,
        ..crate::support::options()
    };
    let mut recovered = quorate_log::open_blocking(other.another(), options).unwrap();
    recovered.log.found(crate::support::CLUSTER, Vec::new()).unwrap();
    let hard_state = Some(state(1, 0));
    recovered.log.enqueue(Write { hard_state, ..append(1, entries(1, 4, 1, 300)) });
    settle(&mut recovered.log).unwrap();
    for file in ["log-0000000000000001.seg", "hs.a", "founding"] {
        let bytes = other.bytes(file).unwrap();
        let fs = fs.duplicate();
        fs.corrupt(file, |target| *target = bytes);
        let error = open(fs.another()).map(|mut recovered| contents(&mut recovered));
        assert!(matches!(error, Err(OpenError::OtherNode { .. })), "{error:?} {expected:?}");
    }
}

#[test]
fn a_read_that_fails_is_never_taken_for_a_torn_tail() {
    let (fs, expected) = closed(false);
    let probe = fs.duplicate();
    drop(open(probe.reboot()).unwrap());
    let history = probe.history();
    let mut reads = 0;
    for (number, (operation, name)) in (1..).zip(&history) {
        let fs = fs.duplicate();
        fs.fail_at(fs.operations() + number, Fault::Fails);
        match open(fs.another()) {
            Ok(mut recovered) => {
                assert_eq!(*operation, Operation::Read);
                assert!(name.starts_with("hs."), "one copy is enough, but not {name}");
                assert_eq!(contents(&mut recovered), expected);
            }
            Err(OpenError::Damaged(damage)) => {
                assert_eq!(damage.kind, DamageKind::Unreadable);
                reads += 1;
            }
            Err(_) => assert_ne!(*operation, Operation::Read),
        }
        fs.crash(&Loss::Nothing);
        let mut again = open(fs.reboot()).unwrap();
        assert_eq!(contents(&mut again), expected);
    }
    assert_eq!(reads, 9, "identity, founding, base, and header and body of each segment");
}

#[test]
fn one_bad_copy_of_the_hard_state_is_written_again() {
    let (fs, expected) = closed(true);
    for (bad, good) in [("hs.a", "hs.b"), ("hs.b", "hs.a")] {
        for at in (0..4096).step_by(5) {
            let fs = fs.duplicate();
            fs.corrupt(bad, |bytes| bytes[at] ^= 4);
            let mut recovered = open(fs.another()).unwrap();
            assert_eq!(recovered.hard_state, state(2, 0));
            assert_eq!(contents(&mut recovered), expected);
            assert_eq!(recovered.report.hard_state_repaired.len(), 1);
            assert_eq!(fs.bytes(bad), fs.bytes(good));
        }
    }
    fs.corrupt("hs.a", |bytes| bytes[50] ^= 4);
    fs.corrupt("hs.b", |bytes| bytes[60] ^= 4);
    let error = open(fs.another()).unwrap_err();
    assert!(matches!(error, OpenError::HardStateDamaged { .. }), "{error}");
}

#[test]
fn a_hard_state_from_before_the_log_is_refused() {
    let (fs, _) = closed(true);
    let (a, b) = (fs.bytes("hs.a").unwrap(), fs.bytes("hs.b").unwrap());
    // A whole life later, with a higher term in the log.
    let mut recovered = open(fs.another()).unwrap();
    let boot = recovered.boot;
    recovered
        .log
        .enqueue(Write { hard_state: Some(state(5, 0)), ..append(9, entries(13, 1, 5, 10)) });
    settle(&mut recovered.log).unwrap();
    drop(recovered);
    fs.corrupt("hs.a", |bytes| *bytes = a);
    fs.corrupt("hs.b", |bytes| *bytes = b);
    let Err(OpenError::Stale { term, log_term, boot: old, log_boot, .. }) = open(fs.another())
    else {
        panic!("the hard state is stale");
    };
    assert_eq!((term.0, log_term.0), (2, 5));
    assert!(old < boot && log_boot == boot);
}

#[test]
fn an_index_that_the_shell_knows_as_durable_is_never_cut() {
    let (fs, _) = closed(false);
    let file = segments(&fs).pop().unwrap();
    let end = written(&fs.bytes(&file).unwrap());
    fs.corrupt(&file, |bytes| bytes[end - 960..end - 896].fill(0));
    let options =
        |proven| quorate_log::OpenOptions { proven: Index(proven), ..crate::support::options() };
    let known = fs.duplicate();
    let error = quorate_log::open_blocking(known.another(), options(12)).unwrap_err();
    assert!(matches!(error, OpenError::Damaged(_)), "{error}");
    let recovered = quorate_log::open_blocking(fs.another(), options(11)).unwrap();
    assert!(recovered.report.torn.is_some());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_in_any_file_never_panic_and_never_pass(
        file in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        splice in proptest::collection::vec(any::<u8>(), 1..600),
        whole in prop::bool::weighted(0.1),
    ) {
        let (fs, expected) = closed(true);
        let names: Vec<String> = fs.names().into_iter().filter(|name| name != "lock").collect();
        let file = &names[file.index(names.len())];
        let fs = fs.duplicate();
        fs.corrupt(file, |bytes| {
            if whole {
                bytes.clone_from(&splice);
                return;
            }
            let at = at.index(bytes.len());
            let end = (at + splice.len()).min(bytes.len());
            bytes[at..end].copy_from_slice(&splice[..end - at]);
        });
        if let Ok(mut recovered) = open(fs.another()) {
            prop_assert_eq!(contents(&mut recovered), expected);
        }
    }
}

/// R-ST4.
#[test]
fn a_batch_of_another_history_of_the_same_segment_is_refused() {
    // The same segment, the same place, the same number and the same index: only the chain tells
    // that a sector range of an older copy of the file came back.
    let fs = FaultFs::new();
    let mut recovered = founded(fs.another());
    let mut ghost = Ghost::founded();
    ghost.run(&mut recovered.log, &[Step::Writes(vec![append(2, entries(1, 1, 1, 300))])]).unwrap();
    drop(recovered);
    fs.kill();
    let other = fs.duplicate();
    for (fs, size) in [(&fs, 400), (&other, 410)] {
        let mut log = open(fs.reboot()).unwrap().log;
        for token in 3..6 {
            log.enqueue(append(token, entries(token - 1, 1, 1, size)));
            settle(&mut log).unwrap();
        }
    }
    let file = "log-0000000000000001.seg";
    for start in [1024, 2048, 3072] {
        let fs = fs.duplicate();
        let stale = other.bytes(file).unwrap()[start..start + 1024].to_vec();
        assert_ne!(stale, fs.bytes(file).unwrap()[start..start + 1024]);
        fs.corrupt(file, |bytes| bytes[start..start + 1024].copy_from_slice(&stale));
        let error = open(fs.reboot()).unwrap_err();
        let OpenError::Damaged(damage) = &error else { panic!("{error}") };
        assert_eq!(damage.kind, DamageKind::Chain);
    }
}
