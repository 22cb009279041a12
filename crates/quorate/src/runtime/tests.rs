//! Nodes on a disk that fails, and the pieces between threads.

use std::sync::Arc;
use std::time::Duration;

use quorate_core::{ClusterId, EntryKind, Few, Index, NodeId, SnapshotId, Term};
use quorate_log::fault::{Fault, FaultFs};
use quorate_log::{BlockBuilder, Entries, Envelope};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::mailbox::{Closed, Mailbox};
use super::shared::{ApplyJob, Contents, Event, Shared};
use super::start::{start_on, status_of};
use super::{apply_role, port};
use crate::transport::Listening;
use crate::{
    Applier, Applying, CallError, Client, Consistency, Node, Refusal, StateMachine, StopReason,
    UnknownReason,
};

const PATIENCE: Duration = Duration::from_secs(60);

/// Counts commands, and takes its time for some.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Count(u64);

impl StateMachine for Count {
    type Command = Vec<u8>;
    type Reply = u64;
    type Query = ();
    type Answer = u64;

    fn apply(&mut self, _: &Applying, _: Vec<u8>) -> u64 {
        self.0 += 1;
        self.0
    }

    fn query(&self, (): ()) -> u64 {
        self.0
    }
}

/// No snapshot is held.
struct NoSnapshots;

impl Contents for NoSnapshots {
    fn open(&self, _: &SnapshotId) -> Option<Box<dyn std::io::Read + Send>> {
        None
    }
}

async fn node_on(fs: FaultFs) -> Node<Count> {
    let listening = Listening::bind("127.0.0.1:0").unwrap();
    let builder = Node::<Count>::builder().listen_on(listening).data_dir("memory");
    let builder = builder.segment_bytes(1 << 20).call_timeout(Duration::from_secs(20));
    let (machine, settings, listen) = builder.check().unwrap();
    let node = start_on(fs, machine, settings, listen).await.unwrap();
    timeout(PATIENCE, node.ready()).await.unwrap().unwrap();
    node
}

/// Calls until a call fails; how many were applied, and how it failed.
async fn until_failure(client: &Client<Count>) -> (u64, CallError) {
    let mut applied = 0;
    let calls = async {
        loop {
            match client.call(vec![7; 10_000]).await {
                Ok(reply) => applied = reply,
                Err(error) => return error,
            }
        }
    };
    let error = timeout(PATIENCE, calls).await.expect("a failure");
    (applied, error)
}

/// Whatever fails, an acknowledged call is there again after the start on a mended disk.
#[tokio::test]
async fn a_full_disk_stops_the_node_and_says_what_to_do() {
    let fs = FaultFs::new();
    let node = node_on(fs.another()).await;
    let client = node.client();
    assert_eq!(client.call(vec![1]).await, Ok(1));
    fs.limit_room(Some(0));
    let (applied, error) = until_failure(&client).await;
    let reason = timeout(PATIENCE, node.stopped()).await.unwrap();
    let text = reason.to_string();
    assert!(matches!(reason, StopReason::LogFailed { .. }), "{reason:?}");
    assert!(text.contains("free space"), "{text}");
    match error {
        CallError::Unknown(UnknownReason::Stopped(StopReason::LogFailed { .. })) => {}
        other => panic!("{other}"),
    }
    fs.limit_room(None);
    let node = node_on(fs.reboot()).await;
    let seen = node.client().read((), Consistency::Linearizable).await.unwrap();
    assert!(seen >= applied, "{seen} of {applied} acknowledged");
}

#[tokio::test]
async fn a_failed_operation_of_any_number_stops_the_node_and_loses_nothing() {
    for after in 0..12 {
        let fs = FaultFs::new();
        let node = node_on(fs.another()).await;
        let client = node.client();
        assert_eq!(client.call(vec![1]).await, Ok(1));
        let fault = if after % 2 == 0 { Fault::Fails } else { Fault::SyncForgets };
        fs.fail_at(fs.operations() + 1 + after, fault);
        let (applied, error) = until_failure(&client).await;
        assert!(!matches!(error, CallError::Refused(Refusal::NoLeader { .. })), "{error}");
        let reason = timeout(PATIENCE, node.stopped()).await.unwrap();
        assert!(matches!(reason, StopReason::LogFailed { .. }), "{after}: {reason:?}");
        let node = node_on(fs.reboot()).await;
        let seen = node.client().read((), Consistency::Linearizable).await.unwrap();
        assert!(seen >= applied, "{after}: {seen} of {applied} acknowledged");
    }
}

#[tokio::test]
async fn a_call_ends_when_its_time_is_up_and_its_late_answer_reaches_nobody() {
    let fs = FaultFs::new();
    let listening = Listening::bind("127.0.0.1:0").unwrap();
    let builder = Node::builder_with(Slow(0)).listen_on(listening).data_dir("memory");
    let builder = builder.segment_bytes(1 << 20).call_timeout(Duration::from_millis(200));
    let (machine, settings, listen) = builder.check().unwrap();
    let node = start_on(fs, machine, settings, listen).await.unwrap();
    timeout(PATIENCE, node.ready()).await.unwrap().unwrap();
    let client = node.client();
    let late = client.call(1000).await;
    let waited = Duration::from_millis(200);
    assert_eq!(late, Err(CallError::Unknown(UnknownReason::TimedOut { waited })));
    // The slot is used again while the first answer is still to come.
    let mut next = client.call(0).await;
    while matches!(next, Err(CallError::Unknown(UnknownReason::TimedOut { .. }))) {
        next = client.call(0).await;
    }
    assert_eq!(next, Ok(0), "each call gets its own answer");
    let read = client.read((), Consistency::Local).await;
    assert!(read.is_ok_and(|count| count >= 2), "the late one was applied");
}

#[tokio::test]
async fn calls_beyond_the_room_of_the_queue_are_refused_at_once() {
    let listening = Listening::bind("127.0.0.1:0").unwrap();
    let builder = Node::<Count>::builder().listen_on(listening).data_dir("memory");
    let (machine, mut settings, listen) = builder.segment_bytes(1 << 20).check().unwrap();
    settings.limits.call_bytes = 1000;
    let node = start_on(FaultFs::new(), machine, settings, listen).await.unwrap();
    timeout(PATIENCE, node.ready()).await.unwrap().unwrap();
    let client = node.client();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let client = client.clone();
        tasks.spawn(async move { client.call(vec![1; 100]).await });
    }
    let ended = timeout(PATIENCE, tasks.join_all()).await.unwrap();
    let overloaded = Err(CallError::Refused(Refusal::Overloaded));
    let refused = ended.iter().filter(|ended| **ended == overloaded).count();
    let applied = ended.iter().filter(|ended| ended.is_ok()).count();
    assert!(refused > 0 && applied > 0 && refused + applied == 50, "{ended:?}");
    let seen = client.read((), Consistency::Linearizable).await;
    assert_eq!(seen, Ok(applied as u64), "what was refused was not applied");
    assert!(client.call(vec![1; 5000]).await.is_ok(), "one of any size finds room");
}

/// Takes as many milliseconds as its command says, and replies with them.
#[derive(Serialize, Deserialize)]
struct Slow(u64);

impl StateMachine for Slow {
    type Command = u64;
    type Reply = u64;
    type Query = ();
    type Answer = u64;

    fn apply(&mut self, _: &Applying, millis: u64) -> u64 {
        std::thread::sleep(Duration::from_millis(millis));
        self.0 += 1;
        millis
    }

    fn query(&self, (): ()) -> u64 {
        self.0
    }
}

fn commands(count: u64) -> Entries {
    let mut builder = BlockBuilder::new();
    for index in 1..=count {
        let envelope = Envelope::of(EntryKind::Command, 0);
        builder.push(Index(index), Term(1), &envelope, &[1, 0]);
    }
    Entries::all(builder.finish())
}

fn shared() -> Arc<Shared<Count>> {
    shared_with(1000)
}

/// With room for so many bytes of calls and queries.
fn shared_with(room: usize) -> Arc<Shared<Count>> {
    let status = status_of(NodeId::new(1).expect("not zero"), "n1", "127.0.0.1:1");
    Arc::new(Shared::new(status, PATIENCE, room))
}

#[tokio::test]
async fn a_local_query_waits_for_what_was_known_committed_at_the_start() {
    let shared = shared();
    shared.facts.set_cluster(ClusterId(1));
    let port = shared.register();
    tokio::spawn(port::run(Arc::clone(&port), Arc::clone(&shared)));
    let asked = tokio::spawn({
        let (port, shared) = (Arc::clone(&port), Arc::clone(&shared));
        async move { port.read(&shared, (), false).await }
    });
    // The query comes first, the entries after it in the same batch.
    timeout(PATIENCE, shared.apply.ready()).await.unwrap();
    let answers = Few::new();
    assert!(shared.apply.push(ApplyJob::Entries { entries: commands(2), answers }).is_ok());
    let apply = std::thread::spawn({
        let shared = Arc::clone(&shared);
        move || {
            apply_role::run(
                Applier::new(Count::default()),
                Box::new(NoSnapshots),
                &shared,
                (1000, Index(2)),
            );
        }
    });
    assert_eq!(timeout(PATIENCE, asked).await.unwrap().unwrap(), Ok(2));
    assert!(shared.apply.push(ApplyJob::Stop).is_ok());
    apply.join().unwrap();
}

/// A thread of tokio's larger runtime runs at once what was woken last: the port's task has to stand
/// back itself, or each call is handed over alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn calls_that_are_made_together_are_handed_over_together() {
    const CALLS: usize = 100;
    let shared = shared_with(100_000);
    let port = shared.register();
    tokio::spawn(port::run(Arc::clone(&port), Arc::clone(&shared)));
    let (all, there) = (Arc::clone(&shared), Arc::clone(&port));
    let callers = tokio::spawn(async move {
        let call = |_| {
            let (port, shared) = (Arc::clone(&there), Arc::clone(&all));
            tokio::spawn(async move { port.call(&shared, vec![1]).await })
        };
        (0..CALLS).map(call).collect::<Vec<_>>()
    });
    drop(callers.await.unwrap());
    let (mut taken, mut batches) = (Vec::new(), Vec::new());
    while batches.iter().sum::<usize>() < CALLS {
        timeout(PATIENCE, shared.inbox.ready()).await.unwrap();
        shared.inbox.take(&mut taken);
        for event in taken.drain(..) {
            let Event::Submitted { bytes, batch } = event else { panic!("nothing else sends") };
            shared.discharge(bytes);
            batches.push(batch.len());
        }
    }
    // The port's task may have begun among them.
    assert!(batches.len() <= 2, "{batches:?}");
}

#[tokio::test]
async fn calls_beyond_the_room_of_the_node_are_refused_until_it_took_others() {
    // Each weighs 64 bytes beside its command, so that even empty ones are bounded.
    let shared = shared();
    let port = shared.register();
    tokio::spawn(port::run(Arc::clone(&port), Arc::clone(&shared)));
    let call = || {
        let (port, shared) = (Arc::clone(&port), Arc::clone(&shared));
        tokio::spawn(async move { port.call(&shared, Vec::new()).await })
    };
    let _waiting: Vec<_> = (0..15).map(|_| call()).collect();
    timeout(PATIENCE, shared.inbox.ready()).await.unwrap();
    let refused = Err(CallError::Refused(Refusal::Overloaded));
    assert_eq!(call().await.unwrap(), refused);
    let mut taken = Vec::new();
    shared.inbox.take(&mut taken);
    for event in taken {
        let Event::Submitted { bytes, .. } = event else { panic!("nothing else sends") };
        assert_eq!(bytes % 64, 0);
        shared.discharge(bytes);
    }
    assert!(shared.charge(900).is_ok(), "there is room again");
}

#[tokio::test]
async fn queries_beyond_the_room_of_the_node_are_refused_until_others_are_answered() {
    // Each weighs 64 bytes beside its own none, of which 15 fit.
    let shared = shared();
    shared.facts.set_cluster(ClusterId(1));
    let port = shared.register();
    tokio::spawn(port::run(Arc::clone(&port), Arc::clone(&shared)));
    let ask = |linearizable| {
        let (port, shared) = (Arc::clone(&port), Arc::clone(&shared));
        tokio::spawn(async move { port.read(&shared, (), linearizable).await })
    };
    let asked: Vec<_> = (0..14).map(|_| ask(false)).collect();
    let given_up = ask(true);
    timeout(PATIENCE, shared.apply.ready()).await.unwrap();
    timeout(PATIENCE, shared.inbox.ready()).await.unwrap();
    // Handed over or not, they take room.
    assert_eq!(ask(false).await.unwrap(), Err(Refusal::Overloaded));
    assert_eq!(ask(true).await.unwrap(), Err(Refusal::Overloaded));
    let mut taken = Vec::new();
    shared.inbox.take(&mut taken);
    drop(taken);
    given_up.abort();
    let apply = std::thread::spawn({
        let shared = Arc::clone(&shared);
        move || {
            apply_role::run(
                Applier::new(Count::default()),
                Box::new(NoSnapshots),
                &shared,
                (1000, Index::ZERO),
            );
        }
    });
    for asked in asked {
        assert_eq!(timeout(PATIENCE, asked).await.unwrap().unwrap(), Ok(0));
    }
    assert!(shared.charge(1000).is_ok(), "all of the room is back");
    assert_eq!(ask(false).await.unwrap(), Err(Refusal::Overloaded));
    shared.discharge(1000);
    assert_eq!(timeout(PATIENCE, ask(false)).await.unwrap().unwrap(), Ok(0));
    assert!(shared.apply.push(ApplyJob::Stop).is_ok());
    apply.join().unwrap();
}

#[tokio::test]
async fn a_replica_that_sleeps_hears_of_executed_entries_without_another_event() {
    let shared = shared();
    let woken = tokio::spawn({
        let shared = Arc::clone(&shared);
        async move { shared.inbox.ready().await }
    });
    // It sleeps before anything happens.
    for _ in 0..4 {
        tokio::task::yield_now().await;
    }
    let apply = std::thread::spawn({
        let shared = Arc::clone(&shared);
        move || {
            apply_role::run(
                Applier::new(Count::default()),
                Box::new(NoSnapshots),
                &shared,
                (1000, Index::ZERO),
            );
        }
    });
    let answers = Few::new();
    assert!(shared.apply.push(ApplyJob::Entries { entries: commands(2), answers }).is_ok());
    timeout(PATIENCE, woken).await.expect("it is woken").unwrap();
    assert!(shared.apply.push(ApplyJob::Stop).is_ok());
    apply.join().unwrap();
}

#[tokio::test]
async fn a_mailbox_wakes_a_task_and_loses_nothing() {
    let mailbox = Arc::new(Mailbox::default());
    let sender = Arc::clone(&mailbox);
    let sending = std::thread::spawn(move || {
        for number in 0..10_000_u32 {
            if number % 3 == 0 {
                sender.push(number).unwrap();
            } else {
                sender.append(&mut vec![number]).unwrap();
            }
        }
    });
    let (mut all, mut taken) = (Vec::new(), Vec::new());
    while all.len() < 10_000 {
        timeout(PATIENCE, mailbox.ready()).await.expect("it is woken");
        mailbox.take(&mut taken);
        all.append(&mut taken);
    }
    sending.join().unwrap();
    assert!(all.into_iter().eq(0..10_000), "all of it, in order");
}

#[test]
fn a_mailbox_wakes_a_thread_times_out_and_closes() {
    let mailbox = Arc::new(Mailbox::default());
    let sender = Arc::clone(&mailbox);
    let mut taken = Vec::new();
    mailbox.wait(&mut taken, Some(Duration::from_millis(5)));
    assert!(taken.is_empty(), "the time was up");
    let sending = std::thread::spawn(move || (0..10_000_u32).for_each(|n| sender.push(n).unwrap()));
    let mut all = Vec::new();
    while all.len() < 10_000 {
        mailbox.wait(&mut taken, None);
        all.append(&mut taken);
    }
    sending.join().unwrap();
    assert!(all.into_iter().eq(0..10_000));
    mailbox.push(1).unwrap();
    mailbox.close(&mut taken);
    assert_eq!(taken, [1], "what was there is not lost");
    assert!(matches!(mailbox.push(2), Err(Closed(2))), "and what comes is given back");
    assert!(matches!(mailbox.append(&mut vec![3]), Err(Closed(back)) if back == [3]));
}
