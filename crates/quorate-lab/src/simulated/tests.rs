//! The simulation, its network, and what goes wrong in it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::mpsc::unbounded_channel;
use tokio::sync::oneshot;

use super::*;
use crate::context::{Context, VirtualTime};
use crate::persister::Persister;

fn run(seed: u64, plan: Plan) -> (Result<Summary, SimulationError>, Vec<String>) {
    let time = VirtualTime::new(seed);
    let lines = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&lines);
    let tell: Tell = Arc::new(move |line| told.lock().unwrap().push(line.to_owned()));
    let outcome = time.block_on(simulate(time.context(), plan, tell));
    let lines = std::mem::take(&mut *lines.lock().unwrap());
    (outcome, lines)
}

fn in_virtual_time<F>(act: impl FnOnce(Context) -> F) -> F::Output
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    let time = VirtualTime::new(7);
    time.block_on(act(time.context()))
}

#[test]
fn a_leader_is_elected_by_itself_and_all_machines_agree() {
    for seed in 0..20 {
        let (outcome, lines) = run(seed, Plan::default());
        let summary = outcome.unwrap();
        assert_eq!((summary.commit_index, summary.state, summary.nodes), (5, 15, 3), "{seed}");
        assert!(summary.first_leader_after < Duration::from_secs(2), "{summary}");
        let told = |what: &str| lines.iter().filter(|line| line.contains(what)).count();
        assert!(told("LeaderElected") >= 1);
        assert_eq!(told("EntryCommitted"), 15, "five entries on three nodes");
    }
}

#[test]
fn a_seed_replays_the_same_simulation() {
    let conditions = Conditions { loss_percent: 10, ..Conditions::default() };
    let plan = Plan { conditions, has_crash: true, ..Plan::default() };
    assert_eq!(run(3, plan.clone()), run(3, plan.clone()));
    assert_ne!(run(3, plan.clone()).1, run(4, plan).1);
}

#[test]
fn the_cluster_survives_loss_delay_partition_and_crash() {
    let conditions = Conditions {
        loss_percent: 10,
        delay_min: Duration::from_millis(1),
        delay_max: Duration::from_millis(20),
    };
    for seed in 0..20 {
        let plan = Plan {
            nodes: 5,
            commands: (1..=10).collect(),
            conditions,
            has_partition: true,
            has_crash: true,
            ..Plan::default()
        };
        let (outcome, lines) = run(seed, plan);
        let summary = outcome.unwrap_or_else(|error| panic!("seed {seed}: {error}\n{lines:#?}"));
        assert!(summary.commit_index >= 10 && summary.lost > 0, "{summary}");
        for step in ["is cut off", "has crashed", "is whole again", "is back with what it kept"] {
            assert!(lines.iter().any(|line| line.contains(step)), "seed {seed}: {step}");
        }
    }
}

#[test]
fn what_cannot_work_is_told_before_it_begins() {
    let too_few = Plan { nodes: 2, has_crash: true, ..Plan::default() };
    let words = run(1, too_few).0.unwrap_err().to_string();
    assert_eq!(words, "2 nodes cannot lose one and go on: three can");
    let config = Config { heartbeat_interval: Duration::from_millis(200), ..Config::default() };
    let slow = Plan { config, ..Plan::default() };
    let words = run(1, slow).0.unwrap_err().to_string();
    assert!(words.contains("must be shorter than election_timeout_min"), "{words}");
    let config = Config {
        election_timeout_max: Config::default().election_timeout_min,
        ..Config::default()
    };
    assert!(config.timing().unwrap_err().to_string().contains("election_timeout_max"));
}

/// One node that leads alone, and the channel to it.
async fn alone(
    context: Context,
    machine: Box<dyn StateMachine>,
) -> (NodeMessenger, Arc<Mutex<NodeView>>) {
    let network = Network::new(context.clone());
    let (messenger, receiver) = network.add_node(0);
    let (events, _) = unbounded_channel();
    let timing = Config::default().timing().unwrap();
    let surroundings = (context.clone(), events);
    let server =
        NodeServer::new(1, timing, machine, messenger.clone(), Persister::new(), surroundings);
    let server = server.unwrap();
    let view = server.view();
    context.spawn(async move { drop(server.run(receiver).await) });
    while view.lock().unwrap().state != NodeState::Leader {
        context.sleep(Duration::from_millis(10)).await;
    }
    (messenger, view)
}

async fn submit(messenger: &NodeMessenger, command: u64) -> Result<CommandReply, ()> {
    let (reply, replied) = oneshot::channel();
    messenger.send_self(Message::StartAppendEntriesCmd { command, reply }).unwrap();
    replied.await.map_err(drop)
}

#[test]
fn a_command_is_answered_when_it_is_executed_and_not_before() {
    in_virtual_time(async |context| {
        let (messenger, view) = alone(context, Box::<CounterStateMachine>::default()).await;
        for (index, command) in [(1, 40), (2, 2)] {
            assert_eq!(submit(&messenger, command).await, Ok(Ok(index)));
            assert_eq!(view.lock().unwrap().last_applied, index);
        }
        assert_eq!(view.lock().unwrap().machine, 42);
    });
}

#[derive(Debug)]
struct Brittle;

impl StateMachine for Brittle {
    fn apply(&mut self, command: u64) {
        assert!(command != 13, "thirteen");
    }

    fn get_state(&self) -> u64 {
        0
    }
}

#[test]
fn a_machine_that_fails_stops_its_node_at_that_entry_and_whoever_waits_is_told() {
    in_virtual_time(async |context| {
        let (messenger, view) = alone(context.clone(), Box::new(Brittle)).await;
        assert_eq!(submit(&messenger, 1).await, Ok(Ok(1)));
        assert_eq!(submit(&messenger, 13).await, Err(()));
        context.sleep(Duration::from_millis(1)).await;
        let running = view.lock().unwrap().running.clone();
        let why = "thirteen".to_owned();
        assert_eq!(running, Err(ConsensusError::MachineFailed { node: 0, index: 2, why }));
        let sent = messenger.send_self(Message::Stop);
        assert_eq!(sent, Err(MessagingError::Closed(0)));
    });
}

#[test]
fn messages_to_nobody_are_refused_and_a_broadcast_reaches_the_others_all_the_same() {
    in_virtual_time(async |context| {
        let network = Network::new(context);
        let (messenger, mut own) = network.add_node(0);
        let (_, mut two) = network.add_node(2);
        let (_, gone) = network.add_node(1);
        drop(gone);
        let missing = messenger.send_to(9, Message::Stop);
        assert_eq!(missing, Err(MessagingError::NodeNotFound(9)));
        assert_eq!(messenger.broadcast(&Message::Stop), Err(MessagingError::Closed(1)));
        assert!(matches!(two.receive().await, Ok(Message::Stop)));
        messenger.send_self(Message::Stop).unwrap();
        assert!(matches!(own.receive().await, Ok(Message::Stop)));
        let (_, mut later) = network.add_node(0);
        assert_eq!(own.receive().await.unwrap_err(), MessagingError::Ended);
        messenger.send_self(Message::Stop).unwrap();
        assert!(later.receive().await.is_ok(), "the number has another channel now");
        network.partition(&[&[0], &[2]]);
        messenger.send_to(2, Message::Stop).unwrap();
        assert_eq!(network.counts().1, 1, "what a cut takes is no error");
    });
}

#[test]
fn what_no_node_kept_is_told_plainly() {
    let time = VirtualTime::new(1);
    let network = Network::new(time.context());
    let (messenger, _receiver) = network.add_node(0);
    let (events, _) = unbounded_channel();
    let persister = Persister::from_parts(vec![0xff; 40], Vec::new());
    let timing = Config::default().timing().unwrap();
    let machine = Box::<CounterStateMachine>::default();
    let surroundings = (time.context(), events);
    let server = NodeServer::new(3, timing, machine, messenger, persister, surroundings);
    assert!(matches!(server.unwrap_err(), ConsensusError::Halted { node: 0, .. }));
}
