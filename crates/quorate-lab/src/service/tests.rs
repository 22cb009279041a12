//! What a driver and a server do by themselves, above a Raft that does what the test says.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use super::machine::Action;
use super::*;
use crate::context::{Context, RealTime, VirtualTime};
use crate::harness::spawn;
use crate::persister::Persister;
use crate::raft::{ApplyMsg, ApplySender, LabRaft, Peers, Setup, Start, Timing};

/// Leads, takes what it is given, applies what it is told to. Killing it changes nothing: not even the
/// channel ends.
struct Scripted {
    apply: ApplySender,
    script: Mutex<Script>,
}

struct Script {
    term: u64,
    log: Vec<(u64, Vec<u8>)>,
}

impl LabRaft for Scripted {
    fn make(setup: Setup) -> Arc<Self> {
        let script = Mutex::new(Script { term: 1, log: Vec::new() });
        Arc::new(Self { apply: setup.apply, script })
    }

    fn start(&self, command: &[u8]) -> Option<Start> {
        let mut script = self.script();
        let term = script.term;
        script.log.push((term, command.to_vec()));
        Some(Start { index: script.log.len() as u64, term })
    }

    fn state(&self) -> (u64, bool) {
        (self.script().term, true)
    }

    async fn handle(self: Arc<Self>, _: String, _: Vec<u8>) -> Vec<u8> {
        Vec::new()
    }

    fn kill(&self) {}
}

impl Scripted {
    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap()
    }

    fn entries(&self) -> usize {
        self.script().log.len()
    }

    fn apply(&self, index: u64) {
        let (term, data) = self.script().log[usize::try_from(index).unwrap() - 1].clone();
        assert!(self.apply.send(ApplyMsg::Command { data, index, term }));
    }
}

fn seat(context: &Context) -> Seat {
    Seat {
        me: 0,
        peers: Peers::default(),
        persister: Persister::new(),
        context: context.clone(),
        timing: Timing::course(),
        max_raft_state: None,
    }
}

fn in_virtual_time<F>(act: impl FnOnce(Context) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let time = VirtualTime::new(1);
    time.block_on(act(time.context()));
}

const SECOND: Duration = Duration::from_secs(1);

type Counting = Driver<Scripted, CounterMachine>;

/// A command that waits, and what ends the wait.
async fn ends_with(context: &Context, end: impl FnOnce(&Counting)) -> Option<Lost> {
    let driver: Counting = Driver::new(seat(context), CounterMachine::default());
    let (_, waiter) = driver.start(&CounterMachine::add(1)).expect("it leads");
    let waiting = driver.clone();
    let outcome = spawn(context, async move { waiting.outcome(waiter).await });
    context.sleep(SECOND).await;
    end(&driver);
    let outcome = context.timeout(SECOND, outcome.join()).await?;
    assert!(driver.start(&CounterMachine::add(1)).is_none(), "it takes no more");
    outcome.err()
}

#[test]
fn whoever_waits_is_told_when_nothing_will_be_applied_any_more() {
    in_virtual_time(async |context| {
        // A Raft that stops by itself closes its channel; it may still say that it leads.
        let lost = ends_with(&context, |driver| driver.raft().apply.close()).await;
        assert_eq!(lost, Some(Lost::Stopped));
    });
}

#[test]
fn whoever_waits_is_told_of_a_kill_even_where_the_raft_says_nothing() {
    in_virtual_time(async |context| {
        assert_eq!(ends_with(&context, Driver::kill).await, Some(Lost::Stopped));
    });
}

/// Takes its time for a command: more than anybody has.
struct Slow;

impl LabRaft for Slow {
    fn make(_: Setup) -> Arc<Self> {
        Arc::new(Self)
    }

    fn start(&self, _: &[u8]) -> Option<Start> {
        std::thread::sleep(SECOND);
        None
    }

    fn state(&self) -> (u64, bool) {
        (1, true)
    }

    async fn handle(self: Arc<Self>, _: String, _: Vec<u8>) -> Vec<u8> {
        Vec::new()
    }

    fn kill(&self) {}
}

#[test]
fn a_start_that_blocks_below_a_service_is_told_by_name() {
    const PATIENCE: Duration = Duration::from_millis(50);
    let submit = |context: Context| async move {
        let seat = Seat { me: 2, ..seat(&context) };
        let driver: Driver<Slow, CounterMachine> = Driver::new(seat, CounterMachine::default());
        drop(driver.submit(&CounterMachine::add(1)).await);
    };
    let said = |run: &dyn Fn()| {
        let run = std::panic::AssertUnwindSafe(run);
        let panic = std::panic::catch_unwind(run).expect_err("it is not waited for");
        panic.downcast_ref::<String>().cloned().unwrap_or_default()
    };
    let virtual_time = VirtualTime::new(1).patience(PATIENCE);
    let real_time = RealTime::new(1).patience(PATIENCE);
    for said in [
        said(&|| virtual_time.block_on(submit(virtual_time.context()))),
        said(&|| real_time.block_on(submit(real_time.context()))),
    ] {
        assert!(said.contains("`start` of peer 2 has blocked the thread"), "{said}");
    }
}

fn append(sequence: u64) -> KvCommand {
    let [client, key, value] = ["c", "k", "x"].map(str::to_owned);
    KvCommand { client, sequence, action: Action::Append, key, value }
}

fn value(server: &KvServer<Scripted>) -> Option<String> {
    server.driver().with_machine(|machine| machine.value("k").map(str::to_owned))
}

#[test]
fn a_request_that_comes_again_waits_for_its_first_entry() {
    in_virtual_time(async |context| {
        let server: Arc<KvServer<Scripted>> = KvServer::start(seat(&context));
        let raft = Arc::clone(server.driver().raft());
        let serve = |sequence| {
            let server = Arc::clone(&server);
            spawn(&context, async move { server.serve(&append(sequence)).await })
        };
        let replies: Vec<_> = (0..5).map(|_| serve(1)).collect();
        context.sleep(SECOND / 10).await;
        assert_eq!(raft.entries(), 1, "five times the same request are one entry");
        raft.apply(1);
        for reply in replies {
            assert_eq!(reply.join().await, KvReply::default());
        }
        // What is executed already is known to the machine, not to the server.
        let late = serve(1);
        context.sleep(SECOND / 10).await;
        raft.apply(2);
        assert_eq!(late.join().await, KvReply::default());
        assert_eq!(value(&server).as_deref(), Some("x"));
    });
}

#[test]
fn a_request_of_an_earlier_term_is_started_again() {
    in_virtual_time(async |context| {
        let server: Arc<KvServer<Scripted>> = KvServer::start(seat(&context));
        let raft = Arc::clone(server.driver().raft());
        let serve = || {
            let server = Arc::clone(&server);
            spawn(&context, async move { server.serve(&append(1)).await })
        };
        let first = serve();
        context.sleep(SECOND / 10).await;
        raft.script().term = 2;
        assert!(first.join().await.wrong_leader, "the term moved on");
        let second = serve();
        context.sleep(SECOND / 10).await;
        assert_eq!(raft.entries(), 2, "the first entry may never be executed");
        raft.apply(1);
        raft.apply(2);
        assert_eq!(second.join().await, KvReply::default());
        assert_eq!(value(&server).as_deref(), Some("x"), "both were executed, and it counts once");
    });
}
