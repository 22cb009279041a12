//! A running log: what shares a sync, what a step does, and what is said when something fails.

use quorate_core::{Index, PersistToken};
use quorate_log::fault::{Fault, FaultFs, Loss};
use quorate_log::{
    Compact, LogConfig, LogError, OpenOptions, OpenProgress, Opening, Operation, OsFs, Progress,
    ReadError, Write,
};

use crate::support::{
    CLUSTER, Ghost, Step, append, contents, entries, founded, id, open, options, script, settle,
    state, write,
};

#[test]
fn writes_that_wait_together_share_one_write_and_one_sync() {
    let fs = FaultFs::new();
    let mut log = founded(fs.another()).log;
    log.enqueue(append(2, entries(1, 1, 1, 10)));
    settle(&mut log).unwrap();
    let before = fs.operations();
    for token in 0..30 {
        log.enqueue(append(3 + token, entries(2 + token, 1, 1, 20)));
    }
    assert_eq!(settle(&mut log).unwrap(), [Progress::Persisted(PersistToken(32))]);
    assert_eq!(fs.operations() - before, 2);
    let last_two = &fs.history()[fs.history().len() - 2..];
    assert_eq!(
        last_two.iter().map(|(op, _)| *op).collect::<Vec<_>>(),
        [Operation::Write, Operation::Sync]
    );
}

#[test]
fn a_batch_is_bounded() {
    let fs = FaultFs::new();
    let config = LogConfig { segment_bytes: 1 << 20, batch_bytes: 10_000, ..options().config };
    let opened = quorate_log::open_blocking(fs.another(), OpenOptions { config, ..options() });
    let mut log = opened.unwrap().log;
    log.found(CLUSTER, Vec::new()).unwrap();
    log.enqueue(Write { hard_state: Some(state(1, 0)), ..write(1) });
    settle(&mut log).unwrap();
    for token in 0..20 {
        log.enqueue(append(2 + token, entries(1 + token, 1, 1, 952)));
    }
    let tokens: Vec<Progress> = settle(&mut log).unwrap();
    assert_eq!(
        tokens,
        [Progress::Persisted(PersistToken(11)), Progress::Persisted(PersistToken(21))]
    );
}

#[test]
fn no_step_does_more_than_one_operation() {
    let fs = FaultFs::new();
    let count = |fs: &FaultFs, before: u64| assert!(fs.operations() - before <= 1);
    for _ in 0..2 {
        let mut opening = Opening::new(fs.another(), options());
        loop {
            let before = fs.operations();
            let progress = opening.step().unwrap();
            count(&fs, before);
            if let OpenProgress::Ready(recovered) = progress {
                drop(recovered);
                break;
            }
        }
    }
    let mut log = open(fs.another()).unwrap().log;
    for step in script() {
        match step {
            Step::Writes(writes) => writes.into_iter().for_each(|write| log.enqueue(write)),
            Step::Compact(compact) => log.compact(compact),
            Step::Found => log.found(CLUSTER, Vec::new()).unwrap(),
            Step::Fence => log.fence(),
            Step::Prepare => log.prepare_segment(),
        }
        loop {
            let before = fs.operations();
            let progress = log.step().unwrap();
            count(&fs, before);
            assert_eq!(progress == Progress::Idle, log.is_idle() && fs.operations() == before);
            if progress == Progress::Idle {
                break;
            }
        }
    }
}

/// R-ST9.
#[test]
fn tokens_complete_in_order_whatever_their_writes_hold() {
    let fs = FaultFs::new();
    let mut log = founded(fs.another()).log;
    log.enqueue(append(2, entries(1, 3, 1, 800)));
    log.enqueue(write(3));
    log.enqueue(Write { hard_state: Some(state(2, 0)), ..write(4) });
    log.enqueue(Write { truncate_from: Some(Index(2)), ..append(5, entries(2, 1, 2, 10)) });
    log.enqueue(append(6, entries(3, 1, 2, 6000)));
    log.compact(Compact { base: id(2, 2), meta: Vec::new() });
    log.enqueue(write(7));
    let mut last = 0;
    for report in settle(&mut log).unwrap() {
        if let Progress::Persisted(token) = report {
            assert!(token.0 > last);
            last = token.0;
        }
    }
    assert_eq!(last, 7);
}

/// R-RP7.
#[test]
fn the_first_failure_is_final_wherever_it_strikes() {
    let mut number = 0;
    loop {
        number += 1;
        let fs = FaultFs::new();
        let mut log = open(fs.another()).unwrap().log;
        let mut ghost = Ghost::default();
        let opened = fs.operations();
        let fault = [Fault::Fails, Fault::ShortWrite, Fault::SyncLosesData][number as usize % 3];
        fs.fail_at(opened + number, fault);
        fs.fail_at(opened + number + 1, Fault::Fails);
        let Err(error) = ghost.run(&mut log, &script()) else {
            assert!(fs.operations() < opened + number + 1, "both failures were met");
            break;
        };
        let failed = fs.operations();
        // Nothing is tried again, and the answer stays what it was.
        log.enqueue(append(9999, entries(1, 1, 1, 1)));
        log.fence();
        log.prepare_segment();
        for _ in 0..3 {
            assert_eq!(log.step().unwrap_err().to_string(), error.to_string());
        }
        assert_eq!(log.stopped().unwrap().to_string(), error.to_string());
        assert_eq!(fs.operations(), failed, "a stopped log touches nothing");
        assert!(error.to_string().contains("data"), "{error}");
        for loss in [Loss::Nothing, Loss::Everything, Loss::Seeded(number)] {
            let fs = fs.duplicate();
            fs.crash(&loss);
            let mut again = open(fs.reboot()).unwrap();
            ghost.clone().check(&mut again);
        }
    }
    assert!(number > 150, "{number}");
}

/// R-ST8.
#[test]
fn a_full_disk_says_so() {
    let fs = FaultFs::new();
    let mut log = founded(fs.another()).log;
    log.enqueue(append(2, entries(1, 1, 1, 10)));
    settle(&mut log).unwrap();
    fs.limit_room(Some(20_000));
    // Making the segment to come fails without harm, and may be asked for again.
    for _ in 0..2 {
        log.prepare_segment();
        assert_eq!(settle(&mut log).unwrap(), [Progress::NoSpace]);
        assert!(log.maintenance().no_space);
        assert!(!log.maintenance().prepare_segment, "the shell decides when to ask again");
    }
    let mut token = 100;
    let error = loop {
        token += 1;
        let next = log.last().index.0 + 1;
        log.enqueue(append(token, entries(next, 1, 1, 1000)));
        if let Err(error) = settle(&mut log) {
            break error;
        }
        assert!(token < 120);
    };
    assert!(token > 104, "what fits the present segment is written: {token}");
    assert!(matches!(error, LogError::Full(_)), "{error}");
    assert!(error.to_string().contains("free space on the disk"), "{error}");
    let last = log.last();
    drop(log);
    fs.limit_room(None);
    let mut again = open(fs.another()).unwrap();
    assert_eq!(contents(&mut again).last(), last);
    // And with room there is a way on from a spare that failed.
    fs.limit_room(Some(0));
    again.log.prepare_segment();
    assert_eq!(settle(&mut again.log).unwrap(), [Progress::NoSpace]);
    fs.limit_room(None);
    again.log.prepare_segment();
    assert_eq!(settle(&mut again.log).unwrap(), [Progress::Prepared]);
}

#[test]
fn the_fence_is_asked_for_once_after_each_batch() {
    let fs = FaultFs::new();
    let mut log = founded(fs.another()).log;
    assert!(!log.maintenance().fence, "there is nothing to fence");
    log.enqueue(append(2, entries(1, 1, 1, 10)));
    assert!(!log.maintenance().fence, "a batch is on its way");
    settle(&mut log).unwrap();
    assert!(log.maintenance().fence);
    log.fence();
    log.fence();
    let before = fs.operations();
    assert_eq!(settle(&mut log).unwrap(), [Progress::Fenced, Progress::Fenced]);
    assert_eq!(fs.operations() - before, 2, "one write, one sync, once");
    assert!(!log.maintenance().fence);
    log.enqueue(append(3, entries(2, 1, 1, 10)));
    settle(&mut log).unwrap();
    assert!(log.maintenance().fence);
}

#[test]
fn the_segment_to_come_is_made_ahead_and_taken_without_filling_it() {
    let fs = FaultFs::new();
    let mut log = founded(fs.another()).log;
    assert!(log.maintenance().prepare_segment, "the first segment, too");
    log.prepare_segment();
    assert_eq!(settle(&mut log).unwrap(), [Progress::Prepared]);
    assert!(!log.maintenance().prepare_segment);
    let before = fs.operations();
    log.enqueue(append(2, entries(1, 1, 1, 10)));
    settle(&mut log).unwrap();
    // Header, sync, name, sync of names; both copies of the hard state, which name the segment;
    // batch, sync.
    assert_eq!(fs.operations() - before, 10);
    assert!(!log.maintenance().prepare_segment, "most of the segment is free");
    log.enqueue(append(3, entries(2, 1, 1, 4000)));
    settle(&mut log).unwrap();
    assert!(log.maintenance().prepare_segment);
}

#[test]
fn a_write_never_waits_for_a_whole_segment() {
    let fs = FaultFs::new();
    let config = LogConfig { segment_bytes: 64 << 20, ..options().config };
    let opened = quorate_log::open_blocking(fs.another(), OpenOptions { config, ..options() });
    let mut log = opened.unwrap().log;
    log.found(CLUSTER, Vec::new()).unwrap();
    log.enqueue(Write { hard_state: Some(state(1, 0)), ..append(1, entries(1, 1, 1, 1)) });
    settle(&mut log).unwrap();
    assert_eq!(fs.bytes("log-0000000000000001.seg").unwrap().len(), 4 << 20);
    // The next one is made ahead, in full; or is taken as far as it is ready.
    log.prepare_segment();
    for _ in 0..15 {
        assert_eq!(log.step().unwrap(), Progress::Working);
    }
    log.enqueue(append(2, entries(2, 1, 1, 5 << 20)));
    settle(&mut log).unwrap();
    let second = fs.bytes("log-0000000000000002.seg").unwrap().len();
    assert!((7 << 20..9 << 20).contains(&second), "{second}");
    assert!(!log.maintenance().prepare_segment, "what was asked for is made after all");
    log.enqueue(append(3, entries(3, 1, 1, 5 << 20)));
    settle(&mut log).unwrap();
    assert_eq!(fs.bytes("log-0000000000000003.seg").unwrap().len(), 64 << 20);
    drop(log);
    fs.crash(&Loss::Everything);
    let mut again = open(fs.reboot()).unwrap();
    assert_eq!(contents(&mut again).entries.len(), 3);
}

#[test]
fn a_load_without_a_pause_gets_its_segments_made_ahead() {
    let fs = FaultFs::new();
    let config = LogConfig { segment_bytes: 16 << 20, batch_bytes: 1, ..options().config };
    let opened = quorate_log::open_blocking(fs.another(), OpenOptions { config, ..options() });
    let mut log = opened.unwrap().log;
    log.found(CLUSTER, Vec::new()).unwrap();
    log.enqueue(Write { hard_state: Some(state(1, 0)), ..append(1, entries(1, 1, 1, 1)) });
    for token in 2..500 {
        log.enqueue(append(token, entries(token, 1, 1, 100_000)));
    }
    settle(&mut log).unwrap();
    let segments = fs.names().into_iter().filter(|name| name.ends_with(".seg"));
    let sizes: Vec<usize> = segments.map(|name| fs.bytes(&name).unwrap().len() >> 20).collect();
    assert_eq!(sizes[0], 4, "nothing was ready for the first");
    assert!(sizes[1..].iter().all(|&size| size > 8), "{sizes:?}");
    assert_eq!(log.last(), id(499, 1));
}

#[test]
fn making_the_segment_to_come_yields_to_writes() {
    let fs = FaultFs::new();
    let config = LogConfig { segment_bytes: 8 << 20, ..options().config };
    let opened = quorate_log::open_blocking(fs.another(), OpenOptions { config, ..options() });
    let mut log = opened.unwrap().log;
    log.found(CLUSTER, Vec::new()).unwrap();
    log.enqueue(Write { hard_state: Some(state(1, 0)), ..append(1, entries(1, 1, 1, 1)) });
    settle(&mut log).unwrap();
    log.prepare_segment();
    for _ in 0..5 {
        assert_eq!(log.step().unwrap(), Progress::Working);
    }
    log.enqueue(append(2, entries(2, 1, 1, 1)));
    assert_eq!(log.step().unwrap(), Progress::Working);
    assert_eq!(log.step().unwrap(), Progress::Persisted(PersistToken(2)));
    assert_eq!(settle(&mut log).unwrap(), [Progress::Prepared]);
}

#[test]
fn a_write_larger_than_a_segment_gets_a_larger_one() {
    let fs = FaultFs::new();
    let mut recovered = founded(fs.another());
    let mut ghost = Ghost::founded();
    let script = [
        Step::Writes(vec![append(2, entries(1, 2, 1, 100))]),
        Step::Prepare,
        Step::Writes(vec![append(3, entries(3, 1, 1, 100_000))]),
        Step::Writes(vec![append(4, entries(4, 3, 1, 100))]),
    ];
    ghost.run(&mut recovered.log, &script).unwrap();
    drop(recovered);
    fs.crash(&Loss::Everything);
    ghost.check(&mut open(fs.reboot()).unwrap());
}

#[test]
fn reading_back_says_what_it_cannot_give() {
    let fs = FaultFs::new();
    let mut log = founded(fs.another()).log;
    log.enqueue(append(2, entries(1, 10, 1, 100)));
    log.enqueue(append(3, entries(11, 10, 1, 100)));
    settle(&mut log).unwrap();
    log.compact(Compact { base: id(5, 1), meta: Vec::new() });
    settle(&mut log).unwrap();
    let read = |log: &mut quorate_log::Log<FaultFs>, first, last, bytes| {
        let parts = log.read(Index(first), Index(last), bytes)?;
        Ok::<_, ReadError>((parts[0].first().0, parts.last().unwrap().last().0))
    };
    assert_eq!(read(&mut log, 6, 20, usize::MAX).unwrap(), (6, 20));
    assert_eq!(read(&mut log, 6, 99, usize::MAX).unwrap(), (6, 20), "as far as it is durable");
    assert_eq!(read(&mut log, 8, 8, 0).unwrap(), (8, 8), "always at least one");
    assert_eq!(read(&mut log, 8, 20, 148 * 4).unwrap(), (8, 11));
    let compacted = read(&mut log, 5, 9, 1000).unwrap_err();
    assert!(matches!(compacted, ReadError::Compacted { base: Index(5) }), "{compacted}");
    let beyond = read(&mut log, 21, 22, 1000).unwrap_err();
    assert!(matches!(beyond, ReadError::Beyond { last: Index(20) }), "{beyond}");
    let mut reader = log.reader();
    fs.corrupt("log-0000000000000001.seg", |bytes| bytes[1000] ^= 1);
    let damaged = reader.read(Index(8), Index(20), 1000).unwrap_err();
    assert!(matches!(damaged, ReadError::Damaged(_)), "{damaged}");
}

#[test]
fn a_reader_follows_the_log_from_another_thread() {
    let root = tempfile::tempdir().unwrap();
    let mut log = founded(OsFs::new(root.path())).log;
    let mut reader = log.reader();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let mut next = 1;
            while next <= 600 {
                match reader.read(Index(next), Index(600), 5000) {
                    Ok(parts) => {
                        for entry in parts.iter().flat_map(quorate_log::Entries::iter) {
                            assert_eq!(entry.id.index, Index(next));
                            next += 1;
                        }
                    }
                    Err(ReadError::Beyond { .. }) => {
                        assert!(!done.load(std::sync::atomic::Ordering::Acquire) || next > 600);
                        std::thread::yield_now();
                    }
                    Err(error) => panic!("{error}"),
                }
            }
        });
        for token in 0..200 {
            log.enqueue(append(2 + token, entries(1 + token * 3, 3, 1, 150)));
            settle(&mut log).unwrap();
        }
        done.store(true, std::sync::atomic::Ordering::Release);
        reading.join().unwrap();
    });
}

#[test]
fn the_commit_index_comes_back_as_far_as_the_log_reaches() {
    let fs = FaultFs::new();
    let mut log = founded(fs.another()).log;
    log.enqueue(Write { commit: Index(2), ..append(2, entries(1, 3, 1, 10)) });
    settle(&mut log).unwrap();
    log.enqueue(Write { commit: Index(99), ..append(3, entries(4, 1, 1, 10)) });
    settle(&mut log).unwrap();
    drop(log);
    assert_eq!(open(fs.another()).unwrap().commit, Index(4));
}

#[test]
#[should_panic(expected = "entries follow the log without a gap")]
fn a_gap_is_the_callers_error() {
    let mut log = founded(FaultFs::new()).log;
    log.enqueue(append(2, entries(2, 1, 1, 10)));
    drop(settle(&mut log));
}

#[test]
#[should_panic(expected = "no entry has a higher term than the hard state")]
fn a_term_without_a_hard_state_is_the_callers_error() {
    let mut log = founded(FaultFs::new()).log;
    log.enqueue(append(2, entries(1, 1, 2, 10)));
    drop(settle(&mut log));
}
