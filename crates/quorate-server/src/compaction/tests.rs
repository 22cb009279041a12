//! When is compacted, and to what.

use super::*;
use crate::fake::Fake;

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn the_flags_mean_what_they_mean_to_etcd() {
    let periodic = |period| Ok(Some(AutoCompaction::Periodic(period)));
    for (retention, period) in [
        ("1", HOUR),
        ("72h", 72 * HOUR),
        ("30m", 30 * MINUTE),
        ("1h30m", 90 * MINUTE),
        ("1.5h", 90 * MINUTE),
        ("90s", 90 * MINUTE / 60),
        ("2000ms", Duration::from_secs(2)),
    ] {
        assert_eq!(AutoCompaction::parse("periodic", retention), periodic(period));
        assert_eq!(AutoCompaction::parse("", retention), periodic(period), "the default");
    }
    let revisions = AutoCompaction::parse("revision", "1000");
    assert_eq!(revisions, Ok(Some(AutoCompaction::Revision(1000))));
    for (mode, retention) in [("periodic", "0"), ("periodic", "0s"), ("revision", "0")] {
        assert_eq!(AutoCompaction::parse(mode, retention), Ok(None), "{mode} {retention}");
    }
    for (mode, retention) in [
        ("revision", "1h"),
        ("revision", "-1"),
        ("periodic", "-1"),
        ("periodic", "-1h"),
        ("periodic", "1d"),
        ("periodic", "h"),
        ("periodic", ".h"),
        ("periodic", "1h1"),
        ("periodic", ""),
        ("periodic", "1ms"),
        ("periodic", "99999999999999999999"),
        ("periodic", "9999999999999h"),
        ("sometimes", "1"),
    ] {
        assert!(AutoCompaction::parse(mode, retention).is_err(), "{mode} {retention}");
    }
}

/// Revision of a store that has seen much when the server starts, and makes one a second.
fn revision(now: Duration) -> Revision {
    Revision(5000 + i64::try_from(now.as_secs()).unwrap())
}

/// What a compactor does in such a store; by minutes.
fn schedule(keeps: AutoCompaction, length: Duration) -> Vec<(u64, i64)> {
    let mut compactor = Compactor::new(keeps);
    let (mut now, mut done) = (Duration::ZERO, Vec::new());
    while now < length {
        compactor.note(now, revision(now));
        now += compactor.pause();
        if let Some(due) = compactor.due(now, revision(now)) {
            compactor.compacted(now, due);
            done.push((now.as_secs() / 60, due.get()));
        }
    }
    done
}

/// The minutes at which a store with this period is compacted; checks what each leaves.
fn minutes(period: Duration, length: Duration) -> Vec<u64> {
    let done = schedule(AutoCompaction::Periodic(period), length);
    let pause = period.min(HOUR) / NOTES;
    for (minute, to) in &done {
        let kept = minute * 60 - u64::try_from(to - 5000).unwrap();
        assert!((period..=period + pause).contains(&Duration::from_secs(kept)));
    }
    done.into_iter().map(|(minute, _)| minute).collect()
}

#[test]
fn a_period_is_kept_and_compacted_once_a_period_or_once_an_hour() {
    assert_eq!(minutes(10 * MINUTE, 35 * MINUTE), [10, 20, 30]);
    assert_eq!(minutes(HOUR, 3 * HOUR), [60, 120, 180]);
    assert_eq!(minutes(3 * HOUR, 6 * HOUR), [180, 240, 300, 360]);
    assert_eq!(minutes(24 * HOUR, 24 * HOUR - MINUTE), [24 * 60], "not before a day is over");
}

#[test]
fn a_period_begins_with_the_first_note() {
    let mut compactor = Compactor::new(AutoCompaction::Periodic(3 * HOUR));
    // Two hours in which the node serves nobody; then a note, and nothing for long again.
    compactor.note(2 * HOUR, Revision(7));
    assert_eq!(compactor.due(5 * HOUR - MINUTE, Revision(9)), None);
    assert_eq!(compactor.due(5 * HOUR, Revision(9)), Some(Revision(7)));
    compactor.note(6 * HOUR, Revision(8));
    assert_eq!(compactor.due(9 * HOUR - MINUTE, Revision(9)), Some(Revision(7)));
    compactor.note(9 * HOUR, Revision(9));
    assert_eq!(compactor.due(9 * HOUR, Revision(9)), Some(Revision(8)));
    assert_eq!(compactor.noted.len(), 2, "what is too old is forgotten");
}

#[test]
fn a_number_of_revisions_is_kept() {
    let done = schedule(AutoCompaction::Revision(500), 21 * MINUTE);
    assert_eq!(done, [(5, 4800), (10, 5100), (15, 5400), (20, 5700), (25, 6000)]);
}

/// A store with so many revisions more.
async fn put(context: &Context<Fake>, count: usize) {
    for _ in 0..count {
        let put = quorate_kv::Put::new(b"k", b"v");
        context.backend.call(Command::Put(put)).await.unwrap().result.unwrap();
    }
}

fn compacted(context: &Context<Fake>) -> i64 {
    let machine = context.backend.machine.lock().unwrap();
    machine.store().as_view().compact_revision().map_or(0, Revision::get)
}

#[tokio::test(start_paused = true)]
async fn only_the_leader_compacts() {
    let context = Fake::context();
    put(&context, 100).await;
    let task = tokio::spawn(run(AutoCompaction::Revision(40), Arc::clone(&context)));
    context.backend.standing.lock().unwrap().leader = Some(0x99);
    tokio::time::sleep(HOUR).await;
    assert_eq!(compacted(&context), 0, "another member leads");
    context.backend.standing.lock().unwrap().leader = Some(0x0e);
    tokio::time::sleep(2 * COUNT_EVERY).await;
    assert_eq!(compacted(&context), 61);
    task.abort();
}

#[tokio::test(start_paused = true)]
async fn a_server_that_starts_again_keeps_what_it_found_for_a_whole_period() {
    let context = Fake::context();
    put(&context, 100).await;
    let keeps = AutoCompaction::Periodic(24 * HOUR);
    let task = tokio::spawn(run(keeps, Arc::clone(&context)));
    tokio::time::sleep(12 * HOUR).await;
    put(&context, 100).await;
    tokio::time::sleep(12 * HOUR - MINUTE).await;
    assert_eq!(compacted(&context), 0, "a day is not over");
    tokio::time::sleep(10 * MINUTE).await;
    assert_eq!(compacted(&context), 101, "what was there at the start of the day");
    tokio::time::sleep(11 * HOUR).await;
    assert_eq!(compacted(&context), 101);
    tokio::time::sleep(2 * HOUR).await;
    assert_eq!(compacted(&context), 201);
    task.abort();
}

#[tokio::test(start_paused = true)]
async fn who_comes_to_lead_compacts_by_what_it_noted_before() {
    let context = Fake::context();
    put(&context, 100).await;
    context.backend.standing.lock().unwrap().leader = Some(0x99);
    let keeps = AutoCompaction::Periodic(24 * HOUR);
    let task = tokio::spawn(run(keeps, Arc::clone(&context)));
    tokio::time::sleep(12 * HOUR).await;
    put(&context, 100).await;
    tokio::time::sleep(18 * HOUR).await;
    assert_eq!(compacted(&context), 0, "another member leads");
    context.backend.standing.lock().unwrap().leader = Some(0x0e);
    tokio::time::sleep(10 * MINUTE).await;
    assert_eq!(compacted(&context), 101);
    task.abort();
}
