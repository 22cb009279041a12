//! A crash at every operation, and every way a last batch can be torn.

use quorate_core::Index;
use quorate_log::fault::{Fault, FaultFs, Loss};
use quorate_log::{OpenOptions, Progress};

use crate::support::{
    Ghost, Step, append, attempt, contents, entries, founded, open, options, script, settle, write,
};

fn losses(seed: u64) -> Vec<Loss> {
    let mut losses = vec![Loss::Nothing, Loss::Everything];
    losses.extend((0..4).map(|part| Loss::Seeded(seed * 31 + part)));
    losses
}

/// Runs the script into a crash at the `number`-th operation.
fn crashed_at(number: u64, fault: Fault, script: &[Step]) -> Option<(FaultFs, Ghost)> {
    let fs = FaultFs::new();
    fs.fail_at(number, fault);
    let mut ghost = Ghost::default();
    let ended = attempt(fs.another(), &mut ghost, script);
    if ended {
        assert!(!fs.has_crashed());
        return None;
    }
    assert!(fs.has_crashed(), "only the planned crash ends a script early");
    Some((fs, ghost))
}

/// After recovery the log must take writes and survive another start.
fn goes_on(fs: &FaultFs, ghost: &mut Ghost) {
    let mut recovered = open(fs.reboot()).expect("what a crash left behind opens");
    let seen = ghost.check(&mut recovered);
    if recovered.identity.founding.is_none() {
        let founding = ghost.run(&mut recovered.log, &[Step::Found]);
        founding.expect("a founding record can be made");
    }
    let last = seen.last();
    let term = recovered.hard_state.term.0 + 1;
    let hard_state = Some(crate::support::state(term, 0));
    let next = entries(last.index.0 + 1, 2, term, 200);
    let more = Step::Writes(vec![quorate_log::Write { hard_state, ..append(1000, next) }]);
    ghost.run(&mut recovered.log, &[more, Step::Fence]).expect("the disk is sound");
    let boot = recovered.boot;
    drop(recovered);
    fs.crash(&Loss::Everything);
    let mut again = open(fs.reboot()).expect("what was acknowledged is there");
    ghost.check(&mut again);
    assert!(again.boot > boot);
    assert_eq!(again.report.torn, None, "all of it was synced");
}

#[test]
fn a_crash_at_every_operation_loses_nothing_acknowledged() {
    let script = script();
    let mut number = 0;
    loop {
        number += 1;
        let Some((fs, _)) = crashed_at(number, Fault::CrashBefore, &script) else { break };
        assert_eq!(fs.operations(), number);
        for fault in [Fault::CrashBefore, Fault::CrashAfter] {
            for loss in losses(number) {
                let (fs, mut ghost) = crashed_at(number, fault, &script).expect("it crashed");
                fs.crash(&loss);
                goes_on(&fs, &mut ghost);
            }
        }
    }
    assert!(number > 170, "the script has {number} operations");
}

#[test]
fn a_crash_at_every_operation_of_recovery_loses_nothing_either() {
    let script = script();
    let mut recoveries = 0_u32;
    for number in (1..).step_by(2) {
        let Some((fs, ghost)) = crashed_at(number, Fault::CrashAfter, &script) else { break };
        fs.crash(&Loss::Seeded(number));
        let mut whole = open(fs.duplicate().reboot()).unwrap();
        let (expected, state) = (contents(&mut whole), whole.hard_state);
        drop(whole);
        for inside in 1.. {
            let fs = fs.duplicate();
            let fault = if inside % 2 == 0 { Fault::CrashBefore } else { Fault::CrashAfter };
            fs.fail_at(inside, fault);
            if open(fs.reboot()).is_ok() {
                assert!(!fs.has_crashed());
                break;
            }
            fs.crash(&Loss::Seeded(number ^ (inside << 20)));
            let mut again = open(fs.reboot()).expect("recovery is repeatable");
            assert_eq!(contents(&mut again), expected);
            assert_eq!(again.hard_state, state);
            recoveries += 1;
        }
        drop(ghost);
    }
    assert!(recoveries > 2000, "{recoveries}");
}

/// A log whose last batch of `sectors` sectors was written and not synced.
fn unsynced_batch(sectors: u64, before: &[(u64, u64, usize)]) -> (FaultFs, Ghost, Index) {
    let fs = FaultFs::new();
    let mut recovered = founded(fs.another());
    let mut ghost = Ghost::founded();
    let mut next = 1;
    for &(token, count, size) in before {
        let step = Step::Writes(vec![append(token, entries(next, count, 1, size))]);
        ghost.run(&mut recovered.log, &[step]).unwrap();
        next += count;
    }
    // The payload is zeros but for its name: the hardest to tell from what was never written.
    let size = usize::try_from(sectors * 512).unwrap() - 164 - 48 - 1;
    recovered.log.enqueue(append(1000, entries(next, 1, 1, size)));
    while !fs.unsynced_sectors().iter().any(|(name, _)| name.ends_with(".seg")) {
        assert_eq!(recovered.log.step().unwrap(), Progress::Working);
    }
    assert_eq!(fs.unsynced_sectors().len() as u64, sectors);
    (fs, ghost, Index(next))
}

fn survives_subset(fs: &FaultFs, before: &Ghost, last: Index, kept: Vec<bool>) {
    let fs = fs.duplicate();
    let (none, all) = (!kept.contains(&true), !kept.contains(&false));
    fs.crash(&Loss::Sectors(kept));
    let mut recovered = open(fs.reboot()).expect("a torn tail is cut, never refused");
    let seen = contents(&mut recovered);
    assert_eq!(recovered.report.torn.is_some(), !none && !all);
    assert_eq!(seen.entries.contains_key(&last), all, "only a whole batch is served");
    let mut expected = before.after.last().unwrap().0.clone();
    if all {
        expected.entries.insert(last, seen.entries[&last].clone());
    }
    assert_eq!(seen, expected, "nothing acknowledged is missing");
    // What was cut never comes back.
    recovered.log.enqueue(append(1, entries(seen.last().index.0 + 1, 1, 1, 300)));
    settle(&mut recovered.log).unwrap();
    drop(recovered);
    let mut again = open(fs.another()).unwrap();
    assert_eq!(again.log.last().index, seen.last().index.next());
    contents(&mut again);
}

#[test]
fn every_subset_of_the_unsynced_sectors_of_a_last_batch_is_cut_or_whole() {
    for sectors in 1..=12 {
        let (fs, ghost, last) = unsynced_batch(sectors, &[(2, 2, 30)]);
        for kept in 0..1_u32 << sectors {
            let kept = (0..sectors).map(|sector| kept >> sector & 1 == 1).collect();
            survives_subset(&fs, &ghost, last, kept);
        }
    }
}

#[test]
fn every_subset_of_the_first_batch_of_a_segment_is_cut_or_whole() {
    let (fs, ghost, last) = unsynced_batch(9, &[(2, 3, 1500), (3, 1, 900)]);
    assert!(fs.names().contains(&"log-0000000000000002.seg".to_owned()));
    for kept in 0..1_u32 << 9 {
        survives_subset(&fs, &ghost, last, (0..9).map(|sector| kept >> sector & 1 == 1).collect());
    }
}

#[test]
fn ten_thousand_seeded_subsets_of_a_large_last_batch_are_cut_or_whole() {
    let (fs, ghost, last) = unsynced_batch(200, &[(2, 2, 30)]);
    let mut seed = 1_u64;
    for _ in 0..10_000 {
        let mut kept = Vec::new();
        // Half of the subsets are nearly whole: the dangerous ones lack one sector.
        let rare = seed.is_multiple_of(2);
        for _ in 0..200 {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            kept.push(if rare { !(seed >> 33).is_multiple_of(100) } else { seed >> 63 == 1 });
        }
        survives_subset(&fs, &ghost, last, kept);
    }
}

#[test]
fn tears_inside_sectors_are_cut_or_whole() {
    for sectors in [1, 2, 5] {
        let (fs, ghost, last) = unsynced_batch(sectors, &[(2, 2, 30)]);
        for seed in 0..2000 {
            let fs = fs.duplicate();
            fs.crash(&Loss::Seeded(seed));
            let mut recovered = open(fs.reboot()).expect("a torn tail is cut, never refused");
            let mut seen = contents(&mut recovered);
            seen.entries.remove(&last);
            assert_eq!(seen, ghost.after.last().unwrap().0);
        }
    }
}

#[test]
fn a_torn_vote_leaves_the_one_before() {
    // Votes in two terms of one life: the first is acknowledged, the second under way.
    let fs = FaultFs::new();
    let mut recovered = founded(fs.another());
    let vote = |term| Some(crate::support::state(term, 9));
    recovered.log.enqueue(quorate_log::Write { hard_state: vote(5), ..write(2) });
    settle(&mut recovered.log).unwrap();
    recovered.log.enqueue(quorate_log::Write { hard_state: vote(6), ..write(3) });
    let mut torn = 0;
    for _ in 0..4 {
        for seed in 0..100 {
            let fs = fs.duplicate();
            fs.crash(&Loss::Seeded(seed));
            let again = open(fs.reboot()).expect("one copy is whole");
            let found = Some(again.hard_state);
            assert!(found == vote(5) || found == vote(6), "{found:?}");
            torn += again.report.hard_state_repaired.len();
        }
        recovered.log.step().unwrap();
    }
    assert!(torn > 0, "a copy was torn at least once");
}

#[test]
fn sectors_of_4096_bytes_are_as_safe() {
    let options = sectors_of(4096);
    let (fs, unsynced) = three_entries_and_an_unsynced_one(&options);
    assert_eq!(unsynced, 16);
    for seed in 0..500 {
        let fs = fs.duplicate();
        fs.crash(&Loss::Seeded(seed));
        let mut again = quorate_log::open_blocking(fs.reboot(), options.clone()).unwrap();
        let seen = contents(&mut again);
        assert!(seen.entries.len() == 3 || seen.entries.len() == 4);
    }
}

fn sectors_of(sector_bytes: u32) -> OpenOptions {
    let config =
        quorate_log::LogConfig { sector_bytes, segment_bytes: 64 << 10, ..options().config };
    OpenOptions { config, ..options() }
}

/// A disk of 4096-byte sectors, and how many of 512 bytes on it are not synced.
fn three_entries_and_an_unsynced_one(options: &OpenOptions) -> (FaultFs, usize) {
    let fs = FaultFs::new();
    fs.set_sector_bytes(4096);
    let mut recovered = quorate_log::open_blocking(fs.another(), options.clone()).unwrap();
    recovered.log.found(crate::support::CLUSTER, Vec::new()).unwrap();
    recovered.log.enqueue(quorate_log::Write {
        hard_state: Some(crate::support::state(1, 0)),
        ..append(1, entries(1, 3, 1, 50))
    });
    settle(&mut recovered.log).unwrap();
    recovered.log.enqueue(append(2, entries(4, 1, 1, 7000)));
    recovered.log.step().unwrap();
    let unsynced = fs.unsynced_sectors().len();
    (fs, unsynced)
}

#[test]
fn a_log_that_is_told_too_small_a_sector_loses_what_shares_one() {
    let options = sectors_of(512);
    let (fs, _) = three_entries_and_an_unsynced_one(&options);
    let harmed = (0..500).filter(|seed| {
        let fs = fs.duplicate();
        fs.crash(&Loss::Seeded(*seed));
        let again = quorate_log::open_blocking(fs.reboot(), options.clone());
        again.map_or(true, |mut again| contents(&mut again).entries.len() < 3)
    });
    let harmed = harmed.count();
    assert!(harmed > 50, "{harmed}: the disk harms what shares a sector");
}

#[test]
fn a_batch_that_was_cut_never_rejoins_behind_another_life() {
    // Three batches of one life, the middle one lost: the first is cut off with all behind it. A
    // later life writes a batch of the same length in its place, in a segment of its own.
    let (fs, _, last) = unsynced_batch(3, &[(2, 2, 30)]);
    fs.crash(&Loss::Sectors(vec![true, false, true]));
    let mut recovered = open(fs.reboot()).unwrap();
    let torn = recovered.report.torn.clone().expect("the batch is torn");
    assert_eq!(torn.first, last);
    recovered.log.enqueue(append(1, entries(last.0, 1, 1, 3 * 512 - 164 - 49)));
    recovered.log.enqueue(write(2));
    settle(&mut recovered.log).unwrap();
    assert_eq!(fs.names().iter().filter(|name| name.ends_with(".seg")).count(), 2);
    drop(recovered);
    let mut again = open(fs.another()).unwrap();
    assert_eq!(again.report.torn, None, "the segment's end is on record");
    assert_eq!(contents(&mut again).last().index, last);
}
