//! The store behind the trait that replication drives.

use std::sync::{Arc, Mutex};

use quorate::{Applying, StateMachine};
use quorate_core::{EntryId, Index, Term};
use quorate_kv::{
    Answer, Command, DeleteRange, Event, EventKind, EventSink, KeyRange, KvError, KvMachine,
    Operation, Put, Query, Range, Revision, Txn,
};

type Published = Vec<(Revision, Vec<Event>)>;

#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Published>>);

impl EventSink for Recorder {
    fn publish(&mut self, revision: Revision, events: &[Event]) {
        self.0.lock().unwrap().push((revision, events.to_vec()));
    }
}

fn applying(number: u64) -> Applying {
    let id = EntryId::new(Index(number), Term(1));
    Applying { id, application_index: number, log_time_ms: 0 }
}

#[test]
fn all_events_of_a_revision_reach_the_sink_at_once_and_in_order() {
    let recorder = Recorder::default();
    let mut machine = KvMachine::new(recorder.clone());
    let puts = [&b"b"[..], b"a"].map(|key| Operation::Put(Put::new(key, b"1")));
    let txn = Txn { success: puts.to_vec(), ..Txn::default() };
    machine.apply(&applying(1), Command::Txn(txn));
    machine.apply(&applying(2), Command::DeleteRange(DeleteRange::key(b"absent")));
    machine.apply(&applying(3), Command::Put(Put::new(b"", b"refused")));
    machine.apply(&applying(4), Command::DeleteRange(DeleteRange::new(KeyRange::prefix(b""))));

    let published = recorder.0.lock().unwrap().clone();
    let seen: Vec<_> = published
        .iter()
        .map(|(revision, events)| {
            let keys = events.iter().map(|event| (event.kind, event.kv.key())).collect::<Vec<_>>();
            (revision.get(), keys)
        })
        .collect();
    let (a, b) = (&b"a"[..], &b"b"[..]);
    assert_eq!(
        seen,
        [
            (2, vec![(EventKind::Put, b), (EventKind::Put, a)]),
            (3, vec![(EventKind::Delete, a), (EventKind::Delete, b)]),
        ]
    );
    let deletion = &published[1].1[0];
    assert_eq!(deletion.kv.mod_revision(), Revision(3));
    assert_eq!((deletion.kv.create_revision(), deletion.kv.version()), (Revision(0), 0));
    assert_eq!(deletion.previous.as_ref().map(|kv| kv.value()), Some(&b"1"[..]));
}

#[test]
fn queries_answer_from_the_present_state() {
    let mut machine = KvMachine::<quorate_kv::NoSink>::default();
    machine.apply(&applying(1), Command::Put(Put::new(b"k", b"1")));
    let Answer::View(view) = machine.query(Query::View) else { panic!("not a view") };
    machine.apply(&applying(2), Command::Put(Put::new(b"k", b"2")));

    let Answer::Range(Ok(range)) = machine.query(Query::Range(Range::key(b"k"))) else {
        panic!("not a range")
    };
    assert_eq!((range.revision, range.kvs[0].value()), (Revision(3), &b"2"[..]));
    assert_eq!(view.range(&Range::key(b"k")).unwrap().kvs[0].value(), b"1");

    let Answer::Range(refused) = machine.query(Query::Range(Range::key(b"k").at(Revision(4))))
    else {
        panic!("not a range")
    };
    assert_eq!(refused, Err(KvError::FutureRevision));

    let Answer::Stats(stats) = machine.query(Query::Stats) else { panic!("not figures") };
    assert_eq!((stats.revision, stats.compact_revision), (Revision(3), None));
    assert_eq!((stats.keys, stats.versions), (1, 2));

    let Answer::Digest(Ok(digest)) = machine.query(Query::Digest(Revision(2))) else {
        panic!("not a digest")
    };
    assert_eq!(Ok(digest.hash), view.digest(Revision::ZERO).map(|digest| digest.hash));
}

#[test]
fn a_view_can_be_read_from_another_thread_while_commands_go_on() {
    let mut machine = KvMachine::<quorate_kv::NoSink>::default();
    for number in 0..5000_u32 {
        let put = Put::new(&number.to_be_bytes(), b"first");
        machine.apply(&applying(1), Command::Put(put));
    }
    let view = machine.store().view();
    let reader = std::thread::Builder::new()
        .spawn(move || {
            let all = Range::new(KeyRange::prefix(b""));
            (0..20).all(|_| {
                let read = view.range(&all).unwrap();
                read.count == 5000 && read.kvs.iter().all(|kv| kv.value() == b"first")
            })
        })
        .unwrap();
    for number in 0..5000_u32 {
        let put = Put::new(&number.to_be_bytes(), b"second");
        machine.apply(&applying(2), Command::Put(put));
    }
    assert!(reader.join().unwrap());
}
