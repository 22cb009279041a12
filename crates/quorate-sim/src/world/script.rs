//! Worlds under the control of a test: it says what happens, waits for what must follow, and looks.
//!
//! A scripted world has no faults and no clients of its own. Everything else is as in worlds that
//! come from a seed: the production code of every node, the invariants after every step, one run
//! per seed. Nodes are named by their position, from 0.
//!
//! ```
//! use core::time::Duration;
//! use quorate_sim::world::script::Scripted;
//! use quorate_sim::world::Setup;
//!
//! let second = Duration::from_secs(1);
//! let mut world = Scripted::of(&Setup::scripted(3));
//! world.wait_until("somebody leads", 5 * second, |world| world.leader().is_some());
//! let leader = world.leader().expect("it was just seen");
//! let proposed = world.propose(leader, &"hello".to_owned()).expect("leaders take commands");
//! // The entry that opened the leader's term does not count.
//! assert_eq!(proposed.index, 1);
//! world.wait_until("all executed it", second, |world| world.how_many_executed(1) == 3);
//! assert_eq!(world.executed(leader, 1), Some("hello"));
//! ```
//!
//! Where an invariant breaks, the methods that let time pass panic with the last events.

mod by_hand;
mod journal;
mod rot;
pub mod traffic;

use core::time::Duration;
use std::collections::BTreeMap;
use std::rc::Rc;

use quorate::replica::{CallId, ReplicaCounters, ReplicaInput};
use quorate::sessions::{SessionFault, SessionId, SessionRequest, Stamp};
use quorate::{Codec, StateMachine};
use quorate_core::{BootCounter, Config, EntryId, ReadId, RoleName, Status, Term};
use quorate_log::fault::Loss;

pub use self::journal::{Journal, Nobody};
pub use self::traffic::Traffic;
use super::observed::digest;
use super::plan::{Fault, Plan};
use super::workload::{End, Workload};
use super::{Setup, World, nanos, usual_raft};
use crate::invariants::Broken;

/// A world that a test controls, of nodes that remember every command.
pub type Scripted = World<Journal, Nobody>;

impl Setup {
    /// A calm world of this many nodes, without clients.
    #[must_use]
    pub fn scripted(nodes: usize) -> Self {
        Self {
            seed: 1,
            nodes,
            clients: 0,
            request_every: Duration::from_secs(1),
            plan: Plan::calm(),
            raft: usual_raft(),
        }
    }

    /// The same from another seed.
    #[must_use]
    pub const fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The same with other settings of the protocol.
    #[must_use]
    pub fn with_raft(mut self, raft: Config) -> Self {
        self.raft = raft;
        self
    }
}

impl Scripted {
    /// Founds a cluster whose clients, if it has any, are all of the script's making.
    #[must_use]
    pub fn of(setup: &Setup) -> Self {
        Self::new(setup, Nobody)
    }

    /// The command that a node executed at this index of the application.
    #[must_use]
    pub fn executed(&self, node: usize, index: u64) -> Option<&str> {
        self.machine(node).and_then(|journal| journal.command(index))
    }

    /// How many nodes executed a command at this index of the application; those that are down
    /// have forgotten what they executed.
    ///
    /// # Panics
    ///
    /// When two of them executed different ones.
    #[must_use]
    pub fn how_many_executed(&self, index: u64) -> usize {
        let commands = (0..self.nodes.len()).filter_map(|node| self.executed(node, index));
        let commands: Vec<&str> = commands.collect();
        let differ = commands.windows(2).any(|pair| pair[0] != pair[1]);
        assert!(!differ, "at {index} nodes executed different commands: {commands:?}");
        commands.len()
    }
}

/// A command that a leader took into its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proposed {
    /// The index that the application will see, if it is executed.
    pub index: u64,
    /// The entry.
    pub id: EntryId,
    /// To ask how it ended.
    pub asked: Asked,
}

/// Something that a script asked a node for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Asked(u64);

/// What a world keeps for its script.
#[derive(Debug)]
pub(crate) struct Orders<M: StateMachine> {
    asked: BTreeMap<u64, Asking<M>>,
    /// Who dies, before how many more effects.
    effects_left: Option<(usize, u32)>,
    /// The index of the application at which every machine panics.
    poison: Option<u64>,
    /// Who dies, before how many more steps of its recovery.
    steps_left: Option<(usize, u32)>,
    /// What survives the next crash of a node.
    losses: BTreeMap<usize, Loss>,
    recorded: Option<Vec<Recorded>>,
    pub(crate) traffic: Traffic,
    /// The sessions that it opened, by the request.
    sessions: BTreeMap<u64, SessionId>,
    /// What it was told in place of a reply.
    faults: BTreeMap<u64, SessionFault>,
    /// The first request of each sequence of each session.
    firsts: BTreeMap<(u64, u32), u64>,
}

#[derive(Debug)]
struct Asking<M: StateMachine> {
    node: usize,
    end: Option<EndOf<M>>,
}

/// An end that can be shown whatever the machine.
struct EndOf<M: StateMachine>(End<M>);

impl<M: StateMachine> core::fmt::Debug for EndOf<M> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match &self.0 {
            End::Replied(_) => "Replied",
            End::Answered(_) => "Answered",
            End::Refused => "Refused",
            End::Unknown => "Unknown",
        })
    }
}

/// A frame that was sent.
#[derive(Clone, Debug)]
struct Recorded {
    number: u64,
    from: usize,
    to: usize,
    boot: BootCounter,
    bytes: Rc<Vec<u8>>,
}

impl<M: StateMachine> Default for Orders<M> {
    fn default() -> Self {
        Self {
            asked: BTreeMap::new(),
            effects_left: None,
            poison: None,
            steps_left: None,
            losses: BTreeMap::new(),
            recorded: None,
            traffic: Traffic::default(),
            sessions: BTreeMap::new(),
            faults: BTreeMap::new(),
            firsts: BTreeMap::new(),
        }
    }
}

impl<M: StateMachine> Orders<M> {
    /// A request about a session was done.
    pub(crate) fn note_session(&mut self, request: u64, session: SessionId) {
        self.sessions.insert(request, session);
    }

    /// A request was answered by a fault of its session.
    pub(crate) fn note_fault(&mut self, request: u64, fault: SessionFault) {
        self.faults.insert(request, fault);
    }

    /// Keeps the end of a request that the script made; gives back that of any other.
    pub(crate) fn take_end(&mut self, request: u64, end: End<M>) -> Option<End<M>> {
        let Some(asking) = self.asked.get_mut(&request) else { return Some(end) };
        asking.end.get_or_insert(EndOf(end));
        None
    }

    /// A node died: nobody will say how its requests ended.
    pub(crate) fn abandon(&mut self, node: usize) {
        for asking in self.asked.values_mut().filter(|asking| asking.node == node) {
            asking.end.get_or_insert(EndOf(End::Unknown));
        }
    }

    pub(crate) fn record(
        &mut self,
        (number, from, to): (u64, usize, usize),
        boot: BootCounter,
        bytes: &Rc<Vec<u8>>,
    ) {
        if let Some(recorded) = &mut self.recorded {
            recorded.push(Recorded { number, from, to, boot, bytes: Rc::clone(bytes) });
        }
    }

    /// Where every state machine panics.
    pub(crate) const fn poison(&self) -> Option<u64> {
        self.poison
    }

    pub(crate) fn take_loss(&mut self, node: usize) -> Option<Loss> {
        self.losses.remove(&node)
    }

    pub(crate) fn dies_at_effect(&mut self, node: usize) -> bool {
        strikes(&mut self.effects_left, node)
    }

    pub(crate) fn dies_opening(&mut self, node: usize) -> bool {
        strikes(&mut self.steps_left, node)
    }
}

/// Counts down for one node; says when it is through.
fn strikes(left: &mut Option<(usize, u32)>, node: usize) -> bool {
    let Some((_, count)) = left.as_mut().filter(|(victim, _)| *victim == node) else {
        return false;
    };
    let now = *count == 0;
    *count = count.saturating_sub(1);
    if now {
        *left = None;
    }
    now
}

/// Time passes.
impl<M: StateMachine + Default, W: Workload<M>> World<M, W> {
    /// Lets the world go on until a condition holds, for as long as `limit` at most. Says how long
    /// it took, or nothing where it did not come about.
    ///
    /// # Errors
    ///
    /// The first invariant that breaks.
    pub fn run_until(
        &mut self,
        limit: Duration,
        mut condition: impl FnMut(&Self) -> bool,
    ) -> Result<Option<Duration>, Broken> {
        let (began, until) = (self.now, self.now.saturating_add(nanos(limit)));
        while !condition(self) {
            if !self.step_before(until)? {
                self.now = until;
                return Ok(None);
            }
        }
        Ok(Some(Duration::from_nanos(self.now - began)))
    }

    /// Lets the world go on until a condition holds, and says how long that took.
    ///
    /// # Panics
    ///
    /// When it does not hold within `limit`, or an invariant breaks.
    pub fn wait_until(
        &mut self,
        what: &str,
        limit: Duration,
        condition: impl FnMut(&Self) -> bool,
    ) -> Duration {
        match self.run_until(limit, condition) {
            Ok(Some(took)) => took,
            Ok(None) => self.give_up_script(&format!("not within {limit:?}: {what}")),
            Err(broken) => self.give_up_script(&format!("waiting for: {what}: {broken}")),
        }
    }

    /// Lets the world go on for a while.
    ///
    /// # Panics
    ///
    /// When an invariant breaks.
    pub fn let_pass(&mut self, span: Duration) {
        if let Err(broken) = self.run_for(span) {
            self.give_up_script(&broken.to_string());
        }
    }

    fn give_up_script(&self, what: &str) -> ! {
        let lines: Vec<String> = self.trace.events().map(ToString::to_string).collect();
        let (now, lines) = (self.now(), lines.join("\n"));
        panic!("after {now:?}: {what}\n{}\n{lines}", self.describe())
    }
}

/// Asking.
impl<M: StateMachine + Default, W: Workload<M>> World<M, W> {
    /// Submits a command to a node and learns at once which place it has in the log; nothing where
    /// the node does not lead, is down or paused, or refuses.
    ///
    /// # Panics
    ///
    /// When the command has no encoding.
    pub fn propose(&mut self, node: usize, command: &M::Command) -> Option<Proposed> {
        let mut bytes = Vec::new();
        command.encode(&mut bytes).expect("commands of a script encode");
        if self.nodes[node].paused_until > self.now {
            return None;
        }
        let local = self.nodes[node].clock.local(self.now);
        let live = self.nodes[node].live()?;
        if live.replica.role() != RoleName::Leader {
            return None;
        }
        let before = live.replica.last();
        let asked = self.script.asks(&mut self.clients.last_request, node);
        self.facts.called(asked.0, digest(&bytes));
        let live = self.nodes[node].live()?;
        let (call, command) = (CallId(asked.0), bytes.into());
        let input = ReplicaInput::Call { call, command, stamp: Stamp::None };
        live.replica.handle(local, input, &mut live.effects);
        let status = live.replica.status().raft;
        let index = live.replica.commands_through(status.last.index);
        self.wake_soon(node);
        let taken = status.last.index > before;
        taken.then_some(Proposed { index, id: status.last, asked })
    }

    /// Gives a node a command as its client would: it finds the leader and waits for the reply.
    ///
    /// # Panics
    ///
    /// When the command has no encoding.
    pub fn call(&mut self, node: usize, command: &M::Command) -> Asked {
        let mut bytes = Vec::new();
        command.encode(&mut bytes).expect("commands of a script encode");
        let asked = self.script.asks(&mut self.clients.last_request, node);
        let (call, command) = (CallId(asked.0), bytes.into());
        let input = ReplicaInput::Call { call, command, stamp: Stamp::None };
        self.give_asked(node, asked, input);
        asked
    }

    /// Asks a node for something to be done with a session; [`SessionId::NONE`] is the one to open.
    pub fn ask_session(
        &mut self,
        node: usize,
        session: SessionId,
        request: SessionRequest,
    ) -> Asked {
        let asked = self.script.asks(&mut self.clients.last_request, node);
        self.clients.errands.insert(asked.0, request);
        let stamp = Stamp::Session { session, request };
        let (call, command) = (CallId(asked.0), Vec::new().into());
        self.give_asked(node, asked, ReplicaInput::Call { call, command, stamp });
        asked
    }

    /// The session that was opened, kept alive or closed; nothing while that is under way.
    #[must_use]
    pub fn session_of(&self, asked: Asked) -> Option<SessionId> {
        self.script.sessions.get(&asked.0).copied()
    }

    /// What a request was told in place of a reply.
    #[must_use]
    pub fn fault_of(&self, asked: Asked) -> Option<SessionFault> {
        self.script.faults.get(&asked.0).copied()
    }

    /// Gives a node a command of a session, for the first time or again.
    ///
    /// # Panics
    ///
    /// When the command has no encoding.
    pub fn call_in_session(
        &mut self,
        node: usize,
        command: &M::Command,
        session: SessionId,
        (sequence, acknowledged): (u32, u32),
    ) -> Asked {
        let mut bytes = Vec::new();
        command.encode(&mut bytes).expect("commands of a script encode");
        let asked = self.script.asks(&mut self.clients.last_request, node);
        let first = *self.script.firsts.entry((session.0, sequence)).or_insert(asked.0);
        self.facts.called_in_session(asked.0, first, digest(&bytes));
        if first != asked.0 {
            self.count(Fault::Resend.name());
        }
        let stamp = Stamp::Command { session, sequence, acknowledged };
        let (call, command) = (CallId(asked.0), bytes.into());
        self.give_asked(node, asked, ReplicaInput::Call { call, command, stamp });
        asked
    }

    /// Asks a node a query, linearizably, as its client would.
    pub fn read(&mut self, node: usize, query: M::Query) -> Asked {
        let asked = self.script.asks(&mut self.clients.last_request, node);
        self.clients.queries.insert(asked.0, query);
        self.facts.read_came(node, ReadId(asked.0));
        self.give_asked(node, asked, ReplicaInput::Read(ReadId(asked.0)));
        asked
    }

    /// How something ended that was asked for; nothing while it is under way.
    #[must_use]
    pub fn end_of(&self, asked: Asked) -> Option<&End<M>> {
        self.script.asked.get(&asked.0)?.end.as_ref().map(|end| &end.0)
    }

    fn give_asked(&mut self, node: usize, asked: Asked, input: ReplicaInput) {
        if self.nodes[node].as_live().is_some() {
            self.give(node, input);
        } else {
            // Nobody listens: the connection is refused.
            self.end_request(asked.0, End::Refused);
        }
    }
}

impl<M: StateMachine> Orders<M> {
    /// A number for a new request; clients of the world take theirs from the same counter.
    fn asks(&mut self, last_request: &mut u64, node: usize) -> Asked {
        *last_request += 1;
        self.asked.insert(*last_request, Asking { node, end: None });
        Asked(*last_request)
    }
}

/// Looking.
impl<M: StateMachine + Default, W: Workload<M>> World<M, W> {
    /// Number of nodes.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there are no nodes: never.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Where a node stands; nothing while it is down.
    #[must_use]
    pub fn status(&self, node: usize) -> Option<Status> {
        self.nodes[node].as_live().map(|live| live.replica.status().raft)
    }

    /// The state machine of a node; nothing while it is down.
    #[must_use]
    pub fn machine(&self, node: usize) -> Option<&M> {
        self.nodes[node].as_live().map(|live| live.applier.machine().inner())
    }

    /// Whether a node runs; one that opens its directory does not yet.
    #[must_use]
    pub fn is_up(&self, node: usize) -> bool {
        self.nodes[node].as_live().is_some()
    }

    /// Every node that thinks it leads, with its term.
    #[must_use]
    pub fn leaders(&self) -> Vec<(usize, Term)> {
        let leads = |node: usize| {
            let live = self.nodes[node].as_live()?;
            let leads = live.replica.role() == RoleName::Leader;
            leads.then(|| (node, live.replica.term()))
        };
        (0..self.nodes.len()).filter_map(leads).collect()
    }

    /// The node that leads the highest term, if any leads.
    #[must_use]
    pub fn leader(&self) -> Option<usize> {
        self.leaders().into_iter().max_by_key(|(_, term)| *term).map(|(node, _)| node)
    }

    /// The highest term that any node is in.
    #[must_use]
    pub fn highest_term(&self) -> Term {
        let terms = self.nodes.iter().filter_map(|node| node.as_live()).map(|l| l.replica.term());
        terms.max().unwrap_or_default()
    }

    /// How often something happened, by its name in [`World::counts`].
    #[must_use]
    pub fn count_of(&self, what: &str) -> u64 {
        self.counts.of(what)
    }

    /// What a node dropped or had to do again in this life; nothing while it is down.
    #[must_use]
    pub fn counters(&self, node: usize) -> Option<&ReplicaCounters> {
        self.nodes[node].as_live().map(|live| live.replica.counters())
    }

    /// What nodes received from each other so far.
    #[must_use]
    pub const fn traffic(&self) -> Traffic {
        self.script.traffic
    }

    /// Commands that a node executed.
    #[must_use]
    pub fn executed_by(&self, node: usize) -> u64 {
        self.nodes[node].as_live().map_or(0, |live| live.applier.application_index())
    }
}
