//! The store in worlds, and each thing that its clients would notice.

use quorate::Applying;
use quorate_core::{EntryId, Index, Term};
use quorate_sim::run::{Lines, Run};
use quorate_sim::totals::{Bounds, Totals};
use quorate_sim::world::workload::Decision;

use super::*;

#[test]
fn the_store_survives_and_shows_what_it_does() {
    let options = Options::default();
    let run = Run::new(Kv, options.clone());
    let mut totals = Totals::new(Bounds::of(&options));
    for seed in 0..8 {
        let outcome = run.seed(seed, Lines::None);
        if outcome.broken.is_some() {
            panic!("{}", run.seed(seed, Lines::Recent));
        }
        totals.add(&outcome);
    }
    assert_eq!(totals.verdict(), Ok(()));
}

#[test]
fn two_runs_of_a_seed_are_one_run() {
    let run = Run::new(Kv, Options::default());
    let (first, second) = (run.seed(9, Lines::None), run.seed(9, Lines::Recent));
    assert_eq!((first.hash, first.counts), (second.hash, second.counts));
}

/// Clients that asked for one change of each sort, and a store that executes what they ask for.
struct Fixture {
    clients: KvClients,
    store: KvMachine,
    rng: Rng,
    now: u64,
    last: Option<(OperationId, Request<KvMachine>)>,
}

impl Fixture {
    fn new() -> Self {
        let mut clients = KvClients::default();
        let mut rng = Rng::new(5);
        let mut store = KvMachine::default();
        let mut now = 0;
        for _ in 0..300 {
            now += 1;
            let at = Duration::from_millis(now);
            let (id, request) = clients.next(ClientId(1), &mut rng, at);
            let end = execute(&mut store, request, now);
            if let Some(id) = id {
                clients.ended(id, end, at);
            }
        }
        assert_eq!(clients.verdict(), Ok(Decision::Explained));
        Self { clients, store, rng, now, last: None }
    }

    /// Asks until the request is one of those wanted; what is not is executed and answered.
    fn ask(&mut self, wanted: impl Fn(&Request<KvMachine>) -> bool) {
        loop {
            self.now += 1;
            let at = Duration::from_millis(self.now);
            let (id, request) = self.clients.next(ClientId(1), &mut self.rng, at);
            match id {
                Some(id) if wanted(&request) => {
                    self.last = Some((id, request));
                    return;
                }
                Some(id) => {
                    let end = execute(&mut self.store, request, self.now);
                    self.clients.ended(id, end, at);
                }
                None => drop(execute(&mut self.store, request, self.now)),
            }
        }
    }

    /// The request ends with a true answer, after `lie` had a look at it.
    fn end(mut self, lie: impl FnOnce(&mut End<KvMachine>)) -> String {
        let (id, request) = self.last.take().unwrap();
        let mut end = execute(&mut self.store, request, self.now);
        lie(&mut end);
        self.clients.ended(id, end, Duration::from_millis(self.now));
        self.clients.verdict().err().unwrap_or_default()
    }
}

fn execute(store: &mut KvMachine, request: Request<KvMachine>, now: u64) -> End<KvMachine> {
    let id = EntryId { index: Index(now), term: Term(1) };
    let at = Applying { id, application_index: now, log_time_ms: now };
    match request {
        Request::Call(command) => End::Replied(store.apply(&at, command)),
        Request::Read(query) => End::Answered(store.query(query)),
    }
}

fn is_put(request: &Request<KvMachine>) -> bool {
    matches!(request, Request::Call(Command::Put(put)) if put.return_previous)
}

fn is_get(request: &Request<KvMachine>) -> bool {
    matches!(request, Request::Read(Query::Range(range))
        if range.range.range_end.is_empty() && range.revision == Revision::ZERO)
}

#[test]
fn true_answers_are_taken() {
    for wanted in [is_put, is_get] {
        let mut fixture = Fixture::new();
        fixture.ask(wanted);
        assert_eq!(fixture.end(|_| {}), "");
    }
}

#[test]
fn a_revision_that_does_not_grow_is_seen() {
    let mut fixture = Fixture::new();
    fixture.ask(is_put);
    let known = fixture.clients.revision;
    let told = fixture.end(|end| {
        if let End::Replied(reply) = end {
            reply.revision = Revision(known);
        }
    });
    assert!(told.starts_with(&format!("a change at revision {known}, ")), "{told}");
}

#[test]
fn an_answer_from_an_old_revision_is_seen() {
    let mut fixture = Fixture::new();
    fixture.ask(is_get);
    let known = fixture.clients.revision;
    let told = fixture.end(|end| {
        if let End::Answered(Answer::Range(Ok(reply))) = end {
            reply.revision = Revision(known - 1);
        }
    });
    assert!(told.starts_with(&format!("an answer at revision {}, ", known - 1)), "{told}");
}

#[test]
fn a_version_that_changes_is_seen() {
    let mut fixture = Fixture::new();
    fixture.ask(is_get);
    for value in fixture.clients.versions.values_mut() {
        value.push(b'!');
    }
    let told = fixture.end(|end| {
        if let End::Answered(Answer::Range(Ok(reply))) = end {
            assert!(!reply.kvs.is_empty(), "another seed finds a key");
        }
    });
    assert!(told.starts_with("version "), "{told}");
}

#[test]
fn a_stale_read_is_seen_by_the_model() {
    let mut fixture = Fixture::new();
    fixture.ask(is_get);
    let told = fixture.end(|end| {
        if let End::Answered(Answer::Range(Ok(reply))) = end {
            assert!(!reply.kvs.is_empty(), "another seed finds a key");
            reply.kvs.clear();
        }
    });
    assert!(told.contains("k"), "{told}");
    assert!(told.lines().count() > 2, "{told}");
}

#[test]
fn a_replay_that_reads_something_else_is_seen() {
    let mut fixture = Fixture::new();
    fixture.ask(is_get);
    let (id, request) = fixture.last.take().unwrap();
    let end = execute(&mut fixture.store, request, fixture.now);
    fixture.clients.ended(id, end, Duration::from_millis(fixture.now));
    assert_eq!(fixture.clients.replay_read(id, &fixture.store), Ok(()));
    let told = fixture.clients.replay_read(id, &KvMachine::default()).unwrap_err();
    assert!(told.contains("a replay says"), "{told}");
}

// Seeds that failed, each named after its bug; the first shows the form and never failed.
regression!(a_seed_becomes_a_test, target = Kv, seed = 17, nodes = 3, millis = 5_000);
regression!(entries_that_an_installation_takes_the_place_of_may_be_gone, target = Kv, seed = 944);
regression!(a_damaged_frame_is_no_piece_of_a_snapshot, target = Kv, seed = 1552);
regression!(a_file_put_back_while_a_node_reads_it_excuses_that_opening, target = Kv, seed = 2646);
regression!(what_a_later_term_committed_may_be_cut_in_an_earlier_one, target = Kv, seed = 7698);
regression!(
    a_failure_that_waits_for_a_node_may_hit_what_looks_at_its_disk,
    target = Kv,
    seed = 8618
);
regression!(pieces_read_for_peers_outlive_the_lead, target = Kv, seed = 19191);
