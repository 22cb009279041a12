//! Losses that happened to other logs, each made to happen here.

use quorate_core::{Index, PersistToken};
use quorate_log::fault::{Fault, FaultFs, Loss};
use quorate_log::{Compact, OpenError, Operation, Progress, Write};

use crate::support::{
    CLUSTER, Ghost, Step, append, contents, entries, founded, id, open, settle, state, write,
};

/// An acknowledgement before the local sync. A token is reported only when nothing that
/// belongs to the log is unsynced, and survives a power loss at that very moment (R-ST1, R-ST5).
#[test]
fn no_token_is_reported_before_its_sync() {
    let fs = FaultFs::new();
    let mut log = founded(fs.another()).log;
    let mut expected = 0;
    for token in 2..40_u64 {
        let hard_state = token.is_multiple_of(5).then(|| state(token, 0));
        let term = token / 5 * 5;
        let size = usize::try_from(token * 40).unwrap();
        let count = token % 3 + 1;
        let entries = entries(expected + 1, count, term.max(1), size);
        log.enqueue(Write { hard_state, ..append(token, entries) });
        loop {
            match log.step().unwrap() {
                Progress::Working | Progress::Prepared => {
                    assert_ne!(log.last().index, Index(expected + count));
                }
                Progress::Persisted(done) => {
                    assert_eq!(done, PersistToken(token));
                    break;
                }
                other => panic!("{other:?}"),
            }
        }
        expected += count;
        let mut unsynced = fs.unsynced_sectors();
        unsynced.retain(|(name, _)| name != "spare.tmp");
        assert_eq!(unsynced, [], "nothing but a segment to come, which holds nothing");
        let fs = fs.duplicate();
        fs.crash(&Loss::Everything);
        let mut again = open(fs.reboot()).unwrap();
        assert_eq!(contents(&mut again).last(), id(expected, term.max(1)));
        assert_eq!(again.hard_state.term.0, term.max(1));
    }
}

/// A sync fails, the pages count as clean, the next sync succeeds. The log stops at the
/// first failure and acknowledges nothing more (R-ST3).
#[test]
fn after_a_failed_sync_nothing_is_acknowledged() {
    for fault in [Fault::SyncLosesData, Fault::SyncForgets, Fault::Fails] {
        let fs = FaultFs::new();
        let mut log = founded(fs.another()).log;
        log.enqueue(append(2, entries(1, 2, 1, 100)));
        settle(&mut log).unwrap();
        fs.fail_at(fs.operations() + 2, fault);
        log.enqueue(append(3, entries(3, 2, 1, 100)));
        log.enqueue(append(4, entries(5, 2, 1, 6000)));
        settle(&mut log).unwrap_err();
        let operations = fs.operations();
        log.enqueue(append(5, entries(7, 2, 1, 100)));
        settle(&mut log).unwrap_err();
        assert_eq!(fs.operations(), operations, "no second sync is tried");
        assert_eq!(log.last(), id(2, 1));
        drop(log);
        fs.crash(&Loss::Everything);
        let mut again = open(fs.reboot()).unwrap();
        assert_eq!(contents(&mut again).last(), id(2, 1));
    }
}

/// The process dies, the machine does not, and the next process reads pages
/// that the cache calls clean and the device never got. It must write them again before it counts
/// on them (R-ST3).
#[test]
fn what_only_the_cache_holds_is_written_again_at_the_next_start() {
    let fs = FaultFs::new();
    let mut log = founded(fs.another()).log;
    log.enqueue(append(2, entries(1, 2, 1, 100)));
    settle(&mut log).unwrap();
    fs.fail_at(fs.operations() + 2, Fault::SyncForgets);
    log.enqueue(append(3, entries(3, 2, 1, 3000)));
    settle(&mut log).unwrap_err();
    drop(log);
    fs.kill();
    let mut seen = open(fs.reboot()).unwrap();
    assert_eq!(contents(&mut seen).last(), id(4, 1), "the cache shows the batch");
    drop(seen);
    fs.crash(&Loss::Everything);
    let mut again = open(fs.reboot()).unwrap();
    assert_eq!(contents(&mut again).last(), id(4, 1), "what was reported is durable");
}

/// For the vote: the copy that the cache alone holds is written again, too.
#[test]
fn a_vote_that_only_the_cache_holds_is_written_again_at_the_next_start() {
    let fs = FaultFs::new();
    let mut log = founded(fs.another()).log;
    fs.fail_at(fs.operations() + 2, Fault::SyncForgets);
    log.enqueue(Write { hard_state: Some(state(9, 0xB1)), ..write(3) });
    settle(&mut log).unwrap_err();
    drop(log);
    fs.kill();
    assert_eq!(open(fs.reboot()).unwrap().hard_state, state(9, 0xB1));
    fs.crash(&Loss::Everything);
    assert_eq!(open(fs.reboot()).unwrap().hard_state, state(9, 0xB1));
}

/// The process dies while it opens its directory, at any operation, and leaves what it wrote to the
/// cache alone; the power fails while the next one opens it, at any operation. One good copy of term
/// and vote survives: the next process makes the one that it chose durable before it touches the
/// other. Found by a simulated world.
#[test]
fn a_power_failure_after_a_killed_opening_leaves_term_and_vote() {
    let before = FaultFs::new();
    let mut log = founded(before.another()).log;
    log.enqueue(Write { hard_state: Some(state(9, 0xB1)), ..append(3, entries(1, 3, 9, 100)) });
    settle(&mut log).unwrap();
    drop(log);
    before.crash(&Loss::Nothing);
    let operations = {
        let fs = before.duplicate();
        open(fs.reboot()).unwrap();
        fs.operations()
    };
    for killed in 1..=operations {
        let first = before.duplicate();
        first.fail_at(killed, Fault::CrashAfter);
        assert!(open(first.reboot()).is_err(), "it dies at operation {killed}");
        first.kill();
        for failed in 1..=operations {
            for loss in (0..40).map(Loss::Seeded).chain([Loss::Everything]) {
                let second = first.duplicate();
                second.fail_at(failed, Fault::CrashAfter);
                drop(open(second.reboot()));
                second.crash(&loss);
                let third = open(second.reboot());
                let third = third.unwrap_or_else(|e| panic!("{killed}, {failed}, {loss:?}: {e}"));
                assert_eq!(third.hard_state, state(9, 0xB1));
                assert_eq!(third.log.last(), id(3, 9));
            }
        }
    }
}

/// A repaired tail is never appended to, and a second recovery ends where the first did (R-ST4).
#[test]
fn a_second_recovery_after_a_torn_tail_loses_nothing() {
    for seed in 0..200 {
        let fs = FaultFs::new();
        let mut log = founded(fs.another()).log;
        log.enqueue(append(2, entries(1, 2, 1, 100)));
        settle(&mut log).unwrap();
        log.enqueue(append(3, entries(3, 2, 1, 900)));
        log.step().unwrap();
        fs.crash(&Loss::Seeded(seed));
        let mut recovered = open(fs.reboot()).unwrap();
        let after_first = contents(&mut recovered);
        let torn = recovered.report.torn.clone();
        let next = after_first.last().index.0 + 1;
        recovered.log.enqueue(append(4, entries(next, 1, 1, 50)));
        recovered.log.enqueue(append(5, entries(next + 1, 3, 1, 500)));
        settle(&mut recovered.log).unwrap();
        let segments = fs.names().iter().filter(|name| name.ends_with(".seg")).count();
        assert_eq!(segments, if torn.is_some() { 2 } else { 1 });
        drop(recovered);
        for _ in 0..2 {
            fs.crash(&Loss::Everything);
            let mut again = open(fs.reboot()).unwrap();
            assert_eq!(again.report.torn, None);
            assert_eq!(contents(&mut again).last().index, Index(next + 3));
        }
    }
}

/// The directory entry of a segment is lost after its rename. The rename is durable before
/// anything is written into the segment.
#[test]
fn a_segment_has_its_name_before_its_first_batch() {
    let fs = FaultFs::new();
    let mut recovered = founded(fs.another());
    let mut ghost = Ghost::founded();
    let script: Vec<Step> = (0..6)
        .map(|part| Step::Writes(vec![append(2 + part, entries(1 + part, 1, 1, 3000))]))
        .collect();
    ghost.run(&mut recovered.log, &script).unwrap();
    let history = fs.history();
    for (number, (operation, name)) in history.iter().enumerate() {
        if *operation == Operation::Write && name.ends_with(".seg") {
            let before = history[..number].iter().rev();
            let rename = before.clone().position(|(op, _)| *op == Operation::Rename).unwrap();
            let synced = before.clone().position(|(op, _)| *op == Operation::SyncDir).unwrap();
            assert!(synced < rename, "names are synced between the rename and the first batch");
        }
    }
    drop(recovered);
    fs.crash(&Loss::Everything);
    ghost.check(&mut open(fs.reboot()).unwrap());
}

/// A recycled file with records of an earlier use passes for a segment (R-ST4).
#[test]
fn an_old_segment_under_another_name_is_refused() {
    let fs = FaultFs::new();
    let mut log = founded(fs.another()).log;
    for token in 0..4 {
        log.enqueue(append(2 + token, entries(1 + token, 1, 1, 5000)));
        settle(&mut log).unwrap();
    }
    drop(log);
    let old = fs.bytes("log-0000000000000002.seg").unwrap();
    fs.plant("log-0000000000000005.seg", &old);
    let error = open(fs.another()).unwrap_err();
    assert!(matches!(error, OpenError::Damaged(_)), "{error}");
    fs.lose("log-0000000000000005.seg");
    // Its batches alone, behind those of the last segment.
    fs.corrupt("log-0000000000000004.seg", |bytes| {
        let end = bytes.iter().rposition(|&byte| byte != 0).unwrap() + 1;
        let end = end.next_multiple_of(512);
        let room = bytes.len() - end;
        bytes[end..].copy_from_slice(&old[512..512 + room]);
    });
    let error = open(fs.another()).unwrap_err();
    assert!(matches!(error, OpenError::Damaged(_)), "never served: {error}");
}

/// A file that is replaced by truncating and writing it. Here it is the old one or the
/// new one at every moment.
#[test]
fn a_base_is_the_old_one_or_the_other_at_every_moment() {
    let metas = [vec![1_u8; 3000], vec![2_u8; 50]];
    for number in 1.. {
        let fs = FaultFs::new();
        let mut log = founded(fs.another()).log;
        log.enqueue(append(2, entries(1, 20, 1, 200)));
        log.compact(Compact { base: id(5, 1), meta: metas[0].clone() });
        settle(&mut log).unwrap();
        fs.fail_at(fs.operations() + number, Fault::CrashAfter);
        log.compact(Compact { base: id(9, 1), meta: metas[1].clone() });
        let ended = settle(&mut log).is_ok();
        drop(log);
        for loss in [Loss::Nothing, Loss::Everything].into_iter().chain((0..20).map(Loss::Seeded)) {
            let fs = fs.duplicate();
            fs.crash(&loss);
            let mut again = open(fs.reboot()).unwrap();
            let seen = contents(&mut again);
            let which = usize::from(seen.base == id(9, 1));
            assert_eq!(seen.meta, metas[which]);
            assert_eq!(seen.base, [id(5, 1), id(9, 1)][which]);
            assert_eq!(seen.last(), id(20, 1));
            assert!(!ended || which == 1, "a compaction that was reported is durable");
        }
        if ended {
            assert!(number > 5);
            break;
        }
    }
}

/// The same for the founding record.
#[test]
fn a_founding_record_is_there_in_full_or_not_at_all() {
    for number in 1.. {
        let fs = FaultFs::new();
        let mut log = open(fs.another()).unwrap().log;
        fs.fail_at(fs.operations() + number, Fault::CrashAfter);
        log.found(CLUSTER, vec![7; 2000]).unwrap();
        let ended = settle(&mut log).is_ok();
        drop(log);
        for seed in 0..40 {
            let fs = fs.duplicate();
            fs.crash(&Loss::Seeded(seed));
            match open(fs.reboot()).unwrap().identity.founding {
                Some(record) => assert_eq!(record, vec![7; 2000]),
                None => assert!(!ended),
            }
            // Whichever it was, it stays.
            let found = open(fs.reboot()).unwrap().identity.founding.is_some();
            fs.crash(&Loss::Everything);
            assert_eq!(open(fs.reboot()).unwrap().identity.founding.is_some(), found);
        }
        if ended {
            break;
        }
    }
}

/// Two appends complete in reverse. One batch is under way at a time, and what shares it
/// completes with it (R-ST9).
#[test]
fn no_token_completes_before_an_earlier_one() {
    let fs = FaultFs::new();
    let mut log = founded(fs.another()).log;
    let mut reported = Vec::new();
    let mut token = 1;
    let mut next = 1;
    for round in 0..60_u64 {
        for _ in 0..round % 4 {
            token += 1;
            let size = usize::try_from(round * 37 % 1500).unwrap();
            log.enqueue(append(token, entries(next, 1, 1, size)));
            next += 1;
        }
        // Some of the queue is taken while more of it comes.
        for _ in 0..round % 3 {
            if let Progress::Persisted(token) = log.step().unwrap() {
                reported.push((token, log.last().index));
            }
        }
    }
    loop {
        match log.step().unwrap() {
            Progress::Persisted(token) => reported.push((token, log.last().index)),
            Progress::Working => {}
            _ => break,
        }
    }
    assert!(reported.is_sorted());
    assert_eq!(reported.last(), Some(&(PersistToken(token), Index(next - 1))));
    for (token, last) in reported {
        assert_eq!(last.0 + 1, token.0, "a token covers exactly what was queued up to it");
    }
}
