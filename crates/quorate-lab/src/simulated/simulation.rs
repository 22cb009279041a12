//! The simulation: a cluster in one process that elects a leader by itself, takes commands, survives
//! what it is told to, and shows that all machines agree.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

use super::{
    Conditions, Config, ConsensusError, ConsensusEvent, CounterStateMachine, Message, Network,
    NodeServer, NodeState, NodeView,
};
use crate::context::Context;
use crate::persister::Persister;

/// How often the simulation looks at its nodes.
const LOOK: Duration = Duration::from_millis(10);

/// What is simulated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Nodes.
    pub nodes: usize,
    /// Commands, in order.
    pub commands: Vec<u64>,
    /// Timeouts and intervals.
    pub config: Config,
    /// What befalls messages.
    pub conditions: Conditions,
    /// Whether the leader is cut off half way, and comes back.
    pub has_partition: bool,
    /// Whether a follower crashes half way, and comes back with what it kept.
    pub has_crash: bool,
}

impl Default for Plan {
    /// Three nodes, five commands, and nothing that goes wrong.
    fn default() -> Self {
        Self {
            nodes: 3,
            commands: vec![1, 2, 3, 4, 5],
            config: Config::default(),
            conditions: Conditions::default(),
            has_partition: false,
            has_crash: false,
        }
    }
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Nodes, all of which agree.
    pub nodes: usize,
    /// The leader at the end.
    pub leader: u64,
    /// Its term.
    pub term: u64,
    /// The last entry, executed on every node.
    pub commit_index: u64,
    /// The state of every machine.
    pub state: u64,
    /// When the first leader was there.
    pub first_leader_after: Duration,
    /// When all was done.
    pub elapsed: Duration,
    /// Messages between nodes.
    pub messages: u64,
    /// How many of them were lost.
    pub lost: u64,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "all {} machines agree: state {} after entry {}; node {} leads term {}; first leader after \
             {} ms, done after {} ms, {} messages, {} of them lost",
            self.nodes,
            self.state,
            self.commit_index,
            self.leader,
            self.term,
            self.first_leader_after.as_millis(),
            self.elapsed.as_millis(),
            self.messages,
            self.lost
        )
    }
}

/// Why a simulation did not end well.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SimulationError {
    /// Too few nodes for what is planned.
    #[error("{0}")]
    Plan(String),
    /// No node led in time.
    #[error("no leader after {0:?}")]
    NoLeader(Duration),
    /// A command was not executed.
    #[error("command {command} was not executed: {error}")]
    Command {
        /// The command.
        command: u64,
        /// Why.
        error: ConsensusError,
    },
    /// The machines do not agree.
    #[error("the machines do not agree: {0}")]
    Disagreement(String),
    /// A node cannot go on.
    #[error(transparent)]
    Node(#[from] ConsensusError),
}

/// Who is told each line.
pub type Tell = Arc<dyn Fn(&str) + Send + Sync>;

/// Runs a plan on an executor; each event and each step is told as a line.
///
/// # Errors
///
/// See [`SimulationError`].
pub async fn simulate(
    context: Context,
    plan: Plan,
    tell: Tell,
) -> Result<Summary, SimulationError> {
    if plan.nodes < 3 && (plan.has_partition || plan.has_crash) || plan.nodes == 0 {
        let why = format!("{} nodes cannot lose one and go on: three can", plan.nodes);
        return Err(SimulationError::Plan(why));
    }
    let mut cluster = Cluster::start(context, plan, tell)?;
    let outcome = cluster.play().await;
    for node in 0..cluster.nodes.len() {
        cluster.stop(node).await;
    }
    outcome
}

struct Cluster {
    context: Context,
    plan: Plan,
    tell: Tell,
    network: Network,
    events: UnboundedSender<ConsensusEvent>,
    nodes: Vec<Place>,
    began: Duration,
}

struct Place {
    view: Arc<Mutex<NodeView>>,
    persister: Arc<Persister>,
    ended: Option<oneshot::Receiver<()>>,
}

impl Place {
    fn view(&self) -> NodeView {
        self.view.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Cluster {
    fn start(context: Context, plan: Plan, tell: Tell) -> Result<Self, SimulationError> {
        let network = Network::new(context.clone());
        network.set_conditions(plan.conditions);
        let (events, mut seen) = unbounded_channel::<ConsensusEvent>();
        let began = context.now();
        let (telling, clock) = (Arc::clone(&tell), context.clone());
        context.spawn(async move {
            while let Some(event) = seen.recv().await {
                let at = clock.now().saturating_sub(began).as_millis();
                telling(&format!("{at:>6} ms  {event}"));
            }
        });
        let mut cluster = Self { context, plan, tell, network, events, nodes: Vec::new(), began };
        // Every channel is there before the first message.
        let ends: Vec<_> =
            (0..cluster.plan.nodes).map(|node| cluster.network.add_node(node as u64)).collect();
        for end in ends {
            let place = cluster.launch(end, Persister::new())?;
            cluster.nodes.push(place);
        }
        Ok(cluster)
    }

    fn launch(
        &self,
        end: (super::NodeMessenger, super::NodeReceiver),
        persister: Arc<Persister>,
    ) -> Result<Place, SimulationError> {
        let (messenger, receiver) = end;
        let timing = self.plan.config.timing().map_err(ConsensusError::from)?;
        let machine = Box::<CounterStateMachine>::default();
        let surroundings = (self.context.clone(), self.events.clone());
        let kept = Arc::clone(&persister);
        let server =
            NodeServer::new(self.plan.nodes, timing, machine, messenger, kept, surroundings)?;
        let view = server.view();
        let (ending, ended) = oneshot::channel();
        self.context.spawn(async move {
            // The view says how it ended.
            drop(server.run(receiver).await);
            ending.send(()).unwrap_or_default();
        });
        Ok(Place { view, persister, ended: Some(ended) })
    }

    fn say(&self, what: &str) {
        let at = self.context.now().saturating_sub(self.began).as_millis();
        (self.tell)(&format!("{at:>6} ms  {what}"));
    }

    async fn play(&mut self) -> Result<Summary, SimulationError> {
        let first = self.leader(&[]).await?;
        let first_leader_after = self.context.now().saturating_sub(self.began);
        let commands = self.plan.commands.clone();
        let (before, after) = commands.split_at(commands.len() / 2);
        self.submit_all(before).await?;
        let mut crashed = None;
        if self.plan.has_partition {
            let others: Vec<u64> = self.others(first);
            self.network.partition(&[&[first], &others]);
            self.say(&format!("node {first} is cut off"));
            self.leader(&[first]).await?;
        }
        if self.plan.has_crash {
            let node = self.others(first).into_iter().find(|node| !self.leads(*node));
            if let Some(node) = node.filter(|_| self.plan.nodes > 3 || !self.plan.has_partition) {
                self.stop(at(node)).await;
                self.say(&format!("node {node} has crashed"));
                crashed = Some(node);
            }
        }
        self.submit_all(after).await?;
        if self.plan.has_partition {
            self.network.heal();
            self.say("the network is whole again");
        }
        if let Some(node) = crashed {
            let persister = self.nodes[at(node)].persister.copy();
            let end = self.network.add_node(node);
            self.nodes[at(node)] = self.launch(end, persister)?;
            self.say(&format!("node {node} is back with what it kept"));
        }
        self.agreed(commands.len() as u64, first_leader_after).await
    }

    fn others(&self, node: u64) -> Vec<u64> {
        (0..self.plan.nodes as u64).filter(|other| *other != node).collect()
    }

    fn leads(&self, node: u64) -> bool {
        let view = self.nodes[at(node)].view();
        view.running == Ok(true) && view.state == NodeState::Leader
    }

    /// The running leader of the highest term, but for some nodes that nobody hears.
    async fn leader(&self, but: &[u64]) -> Result<u64, SimulationError> {
        let limit = self.plan.config.commit_timeout;
        let until = self.context.now() + limit;
        while self.context.now() < until {
            self.check()?;
            let views = self.nodes.iter().map(Place::view);
            let leaders = views.filter(|view| self.leads(view.node) && !but.contains(&view.node));
            if let Some(leader) = leaders.max_by_key(|view| view.term) {
                return Ok(leader.node);
            }
            self.context.sleep(LOOK).await;
        }
        Err(SimulationError::NoLeader(limit))
    }

    fn check(&self) -> Result<(), SimulationError> {
        let failed = self.nodes.iter().find_map(|node| node.view().running.err());
        failed.map_or(Ok(()), |error| Err(error.into()))
    }

    async fn submit_all(&self, commands: &[u64]) -> Result<(), SimulationError> {
        for command in commands {
            let submitted = self.submit(*command).await;
            let index =
                submitted.map_err(|error| SimulationError::Command { command: *command, error })?;
            self.say(&format!("command {command} was executed as entry {index}"));
        }
        Ok(())
    }

    /// Gives a command to the leader and waits until it is executed there; again, while there is time.
    /// Where it may have been executed although nobody said so, that is told: the machine may count it
    /// twice then, on every node alike.
    async fn submit(&self, command: u64) -> Result<u64, ConsensusError> {
        let until = self.context.now() + self.plan.config.commit_timeout;
        loop {
            let error = match self.submit_once(command, until).await {
                Ok(index) => return Ok(index),
                Err(error) => error,
            };
            if self.context.now() >= until {
                return Err(error);
            }
            if !matches!(error, ConsensusError::NotLeader(_) | ConsensusError::Timeout) {
                self.say(&format!("command {command} is given again: {error}"));
            }
            self.context.sleep(LOOK).await;
        }
    }

    async fn submit_once(&self, command: u64, until: Duration) -> Result<u64, ConsensusError> {
        let leaders = self.nodes.iter().map(Place::view).filter(|view| self.leads(view.node));
        let leader = leaders.max_by_key(|view| view.term).ok_or(ConsensusError::Timeout)?;
        let (reply, replied) = oneshot::channel();
        let message = Message::StartAppendEntriesCmd { command, reply };
        self.network.deliver(leader.node, message)?;
        let left = until.saturating_sub(self.context.now());
        let outcome = self.context.timeout(left, replied).await.ok_or(ConsensusError::Timeout)?;
        outcome.unwrap_or(Err(ConsensusError::Stopped))
    }

    /// Waits until every node has executed so many entries, and compares their machines.
    async fn agreed(
        &self,
        commands: u64,
        first_leader_after: Duration,
    ) -> Result<Summary, SimulationError> {
        let until = self.context.now() + self.plan.config.commit_timeout;
        loop {
            self.check()?;
            let views: Vec<NodeView> = self.nodes.iter().map(Place::view).collect();
            let states: BTreeSet<(u64, u64)> =
                views.iter().map(|view| (view.last_applied, view.machine)).collect();
            let is_done = views.iter().all(|view| view.last_applied >= commands);
            if let (true, Some((commit_index, state)), 1) = (is_done, states.first(), states.len())
            {
                let leader = self.leader(&[]).await?;
                let (messages, lost) = self.network.counts();
                return Ok(Summary {
                    nodes: self.plan.nodes,
                    leader,
                    term: self.nodes[at(leader)].view().term,
                    commit_index: *commit_index,
                    state: *state,
                    first_leader_after,
                    elapsed: self.context.now().saturating_sub(self.began),
                    messages,
                    lost,
                });
            }
            if self.context.now() >= until {
                let one = |view: &NodeView| {
                    format!("node {} executed {} ({})", view.node, view.last_applied, view.machine)
                };
                let all: Vec<String> = views.iter().map(one).collect();
                return Err(SimulationError::Disagreement(all.join(", ")));
            }
            self.context.sleep(LOOK).await;
        }
    }

    async fn stop(&mut self, node: usize) {
        // One that has stopped already does not receive it.
        self.network.deliver(node as u64, Message::Stop).unwrap_or_default();
        if let Some(ended) = self.nodes[node].ended.take() {
            drop(ended.await);
        }
    }
}

fn at(node: u64) -> usize {
    usize::try_from(node).expect("nodes are fewer than addresses")
}
