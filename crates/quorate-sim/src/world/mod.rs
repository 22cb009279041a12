//! The virtual world: one queue of events, ordered by time and then by the order they were made.
//!
//! The world runs the production replica, log, recovery and applier of every node, and decides
//! when each of them does its next step, what reaches whom, and what goes wrong. Nothing in it
//! reads a clock or draws from anywhere but the seed: two runs of one seed are the same run.
//!
//! A run has two phases. In the first anything in the plan may happen. In the second a quorum, or
//! everything, is mended and left alone (`calm`), and must elect, serve and converge.

mod apply_steps;
mod calm;
mod clients;
mod connections;
mod counts;
mod damage;
mod disaster;
mod life;
mod log_steps;
mod network;
mod node;
mod noting;
pub(crate) mod observed;
pub mod plan;
mod replay;
mod rot;
pub mod script;
mod sessions;
mod shell;
mod snapshot_steps;
mod topology;
pub mod trace;
mod wire;
mod words;
pub mod workload;

use core::time::Duration;
use std::collections::BTreeMap;
use std::rc::Rc;

use quorate::StateMachine;
use quorate::replica::{ReplicaConfig, Ticket};
use quorate::roster::{FoundingRecord, Member, Roster};
use quorate::sessions::SessionLimits;
use quorate_core::{BootCounter, ClusterId, Config, Index, NodeId};
use quorate_log::fault::FaultFs;
use quorate_log::{LogConfig, OpenOptions, Progress, open_blocking};

pub use self::network::Delays;
pub use self::plan::{Fault, Faults, FaultsError, Plan, Rate, Strike, Strikes};
pub use self::topology::Shape;
pub use self::trace::{SnapshotStep, Trace, TraceEvent, Traced};

use self::calm::Health;
use self::clients::Clients;
use self::counts::Counts;
use self::disaster::{Mending, Upcoming};
use self::network::Network;
use self::node::{Ends, LocalClock, Node, State};
use self::plan::Chances;
use self::replay::Executed;
use self::rot::Rotten;
use self::script::Orders;
use self::sessions::Resend;
use self::snapshot_steps::Piece;
use self::workload::Workload;
use crate::invariants::bounds::Caps;
use crate::invariants::{Broken, Facts};
use crate::queue::Queue;
use crate::rng::Rng;

/// Bytes of a segment on a virtual disk: small, so that logs roll over often.
const SEGMENT_BYTES: u64 = 64 << 10;
/// Bytes of the largest command in a virtual world.
pub const COMMAND_BYTES: usize = 512 << 10;

/// How a world is set up.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The seed of everything.
    pub seed: u64,
    /// Number of nodes, all voters.
    pub nodes: usize,
    /// Number of clients.
    pub clients: u32,
    /// Time between two requests of all clients together.
    pub request_every: Duration,
    /// What goes wrong.
    pub plan: Plan,
    /// Settings of the protocol on every node.
    pub raft: Config,
}

/// The settings of the protocol that worlds have unless they ask for others: elections time out
/// after one to two seconds, and windows are small, so that they fill.
///
/// # Panics
///
/// Never: the settings are sound.
#[must_use]
pub fn usual_raft() -> Config {
    let timeouts = (Duration::from_secs(1), Duration::from_secs(2));
    Config::builder()
        .election_timeout(timeouts.0, timeouts.1)
        .max_append_bytes(64 << 10)
        .max_inflight_messages(64)
        .max_inflight_bytes(256 << 10)
        .max_uncommitted_bytes(2 << 20)
        .build()
        .expect("the settings are sound")
}

/// Something that is going to happen.
#[derive(Clone, Debug)]
enum Event {
    Wake { node: usize, life: u64 },
    Timer { node: usize, life: u64 },
    LogStep { node: usize, life: u64 },
    ApplyStep { node: usize, life: u64 },
    OpenStep { node: usize, life: u64 },
    Fence { node: usize, life: u64 },
    Report { node: usize, life: u64 },
    ReadBack { node: usize, life: u64, wanted: Wanted },
    SnapshotStep { node: usize, life: u64 },
    ReadPiece { node: usize, life: u64, piece: Piece },
    Start { node: usize, life: u64 },
    Frame { number: u64, from: usize, to: usize, boot: BootCounter, bytes: Rc<Vec<u8>> },
    Connected { node: usize, life: u64, peer: usize, peer_life: u64 },
    Closed { node: usize, life: u64, peer: usize, peer_life: u64 },
    Client(u32),
    GiveUp { client: u32, request: u64 },
    Ask(u32),
    Resend(Rc<Resend>),
    Disaster(Fault),
    Mend(Mending),
}

/// Entries to be read back from a log.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    ticket: Ticket,
    first: Index,
    last: Index,
    max_bytes: usize,
}

/// A cluster with its clients, in a world of its own.
#[derive(Debug)]
pub struct World<M: StateMachine + Default, W> {
    plan: Plan,
    /// Settings of every replica.
    config: ReplicaConfig,
    /// What that lets each of them hold.
    caps: Caps,
    /// Bounds of the sessions on every node.
    session_limits: SessionLimits,
    now: u64,
    queue: Queue<Event>,
    nodes: Vec<Node<M>>,
    network: Network,
    clients: Clients<M>,
    workload: W,
    facts: Facts,
    executed: Executed,
    /// How often everything happened.
    counts: Counts,
    trace: Trace,
    schedule: Rng,
    /// Nothing goes wrong any more.
    calm: bool,
    /// How each node is since then.
    health: Vec<Health>,
    /// Who is mended, and who is not.
    healing: Rng,
    /// What befalls one thing in so many.
    chances: Chances,
    /// What strikes at times of its own.
    upcoming: BTreeMap<Fault, Upcoming>,
    /// With which life of the peer a connection stands over each link.
    connected: Vec<Option<u64>>,
    /// The last strike of each kind that gave the network a shape.
    shapes: BTreeMap<Fault, u32>,
    /// The snapshot that is damaged.
    rotten: Option<Rotten>,
    /// What a script asked for.
    script: Orders<M>,
}

impl<M: StateMachine + Default, W: Workload<M>> World<M, W> {
    /// Founds a cluster and starts its nodes.
    ///
    /// # Panics
    ///
    /// When there is no node.
    pub fn new(setup: &Setup, workload: W) -> Self {
        assert!(setup.nodes > 0, "a world has nodes");
        let seed = setup.seed;
        let ids: Vec<NodeId> = (1..=setup.nodes as u64).filter_map(NodeId::new).collect();
        let record = founding_record(&ids);
        let node = |(at, id): (usize, &NodeId)| new_node(seed, at, *id, &record, &setup.plan);
        let nodes = ids.iter().enumerate().map(node).collect();
        let mut config = replica_config(setup.raft.clone());
        if Fault::ALL.iter().any(|fault| setup.plan.has(*fault)) {
            draw_snapshots(&mut config, &setup.plan, &mut Rng::stream(seed, "snapshots", 0));
        }
        let mut world = Self {
            plan: setup.plan.clone(),
            caps: Caps::of(&config),
            session_limits: sessions::limits(seed, setup.clients, &setup.plan),
            config,
            now: 0,
            queue: Queue::new(),
            nodes,
            network: Network::new(setup.nodes, Rng::stream(seed, "network", 0)),
            clients: Clients::new(
                seed,
                setup.clients,
                setup.request_every,
                workload.has_sessions(),
            ),
            workload,
            facts: Facts::new(ids),
            executed: Executed::default(),
            counts: Counts::default(),
            trace: Trace::new(),
            schedule: Rng::stream(seed, "schedule", 0),
            calm: false,
            health: vec![Health::Well; setup.nodes],
            healing: Rng::stream(seed, "healing", 0),
            chances: Chances::new(seed),
            upcoming: BTreeMap::new(),
            connected: vec![None; setup.nodes * setup.nodes],
            shapes: BTreeMap::new(),
            rotten: None,
            script: Orders::default(),
        };
        for node in 0..setup.nodes {
            world.after(Duration::ZERO, Event::Start { node, life: 0 });
        }
        for client in 0..setup.clients {
            world.after(Duration::from_millis(500), Event::Client(client));
        }
        world.plan_disasters(seed);
        world
    }

    /// World time since the beginning.
    #[must_use]
    pub const fn now(&self) -> Duration {
        Duration::from_nanos(self.now)
    }

    /// How often everything happened.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.counts.all()
    }

    /// What was drawn for each machine, by name, for people.
    #[must_use]
    pub fn machines(&self) -> Vec<(&'static str, String)> {
        let all = |of: &dyn Fn(&Node<M>) -> String| {
            let each: Vec<String> = self.nodes.iter().map(of).collect();
            each.join(" ")
        };
        let mut drawn = vec![("bytes of a sector", all(&|node| node.sector_bytes.to_string()))];
        if self.plan.has(Fault::Drift) {
            drawn
                .push(("clocks gain, in a million", all(&|node| format!("{:+}", node.clock.gain))));
        }
        drawn
    }

    /// What happened.
    #[must_use]
    pub const fn trace(&self) -> &Trace {
        &self.trace
    }

    /// The hash of everything that happened, of what clients were told and of all counts: equal for
    /// equal runs.
    #[must_use]
    pub fn hash(&self) -> u64 {
        let mut bytes = self.trace.hash().to_le_bytes().to_vec();
        for (what, count) in self.counts() {
            bytes.extend_from_slice(what.as_bytes());
            bytes.extend_from_slice(&count.to_le_bytes());
        }
        observed::fingerprint(&bytes)
    }

    /// What happened, to say which lines are wanted.
    pub const fn trace_mut(&mut self) -> &mut Trace {
        &mut self.trace
    }

    /// World time in which clients asked for something.
    pub(crate) fn loaded(&self) -> Duration {
        Duration::from_nanos(self.clients.stopped_at.unwrap_or(self.now))
    }

    /// Lets no client ask for anything more.
    pub fn stop_clients(&mut self) {
        self.clients.stopped_at.get_or_insert(self.now);
        self.trace.note(self.now, || TraceEvent::ClientsStop);
    }

    /// Where every node stands, in a line.
    #[must_use]
    pub fn describe(&self) -> String {
        let node = |(at, node): (usize, &Node<M>)| match node.as_live() {
            Some(live) => {
                let status = live.replica.status().raft;
                format!(
                    "n{} {} {} last={} commit={} applied={}",
                    at + 1,
                    status.role.as_str(),
                    status.hard_state.term,
                    status.last,
                    status.commit,
                    status.applied
                )
            }
            None => format!("n{} down", at + 1),
        };
        let nodes: Vec<String> = self.nodes.iter().enumerate().map(node).collect();
        format!("committed {}; {}", self.facts.commit(), nodes.join("; "))
    }

    /// What the clients saw.
    #[must_use]
    pub const fn workload(&self) -> &W {
        &self.workload
    }

    /// Lets the world go on for a while.
    ///
    /// # Errors
    ///
    /// The first invariant that breaks.
    pub fn run_for(&mut self, span: Duration) -> Result<(), Broken> {
        let until = self.now + nanos(span);
        while self.step_before(until)? {}
        self.now = until;
        Ok(())
    }

    /// Lets the next event happen, if it is due by then; says whether it was.
    fn step_before(&mut self, until: u64) -> Result<bool, Broken> {
        let Some((at, event)) = self.queue.pop_before(until) else { return Ok(false) };
        self.now = at;
        self.counts.events += 1;
        self.happen(event)?;
        Ok(true)
    }

    fn happen(&mut self, event: Event) -> Result<(), Broken> {
        match event {
            Event::Wake { node, life } => self.if_alive(node, life, Self::wake),
            Event::Timer { node, life } => self.if_alive(node, life, Self::fire_timer),
            Event::LogStep { node, life } => self.if_alive(node, life, Self::step_log),
            Event::ApplyStep { node, life } => self.if_alive(node, life, Self::step_apply),
            Event::OpenStep { node, life } => self.if_alive(node, life, Self::step_opening),
            Event::Fence { node, life } => self.if_alive(node, life, Self::fence_log),
            Event::Report { node, life } => self.if_alive(node, life, Self::report_executed),
            Event::ReadBack { node, life, wanted } => {
                self.if_alive(node, life, |world, node| world.read_back(node, wanted))
            }
            Event::SnapshotStep { node, life } => self.if_alive(node, life, Self::step_snapshots),
            Event::ReadPiece { node, life, piece } => {
                self.if_alive(node, life, |world, node| world.read_piece(node, piece))
            }
            Event::Start { node, life } => self.if_alive(node, life, Self::start),
            Event::Frame { number, from, to, boot, bytes } => {
                self.receive(number, (from, to), boot, &bytes)
            }
            Event::Connected { node, life, peer, peer_life } => {
                self.connected(node, life, peer, peer_life);
                Ok(())
            }
            Event::Closed { node, life, peer, peer_life } => {
                self.closed(node, life, peer, peer_life);
                Ok(())
            }
            Event::Client(client) => {
                self.client_turn(client);
                Ok(())
            }
            Event::GiveUp { client, request } => {
                self.give_up(client, request);
                Ok(())
            }
            Event::Ask(client) => {
                self.ask(client);
                Ok(())
            }
            Event::Resend(resend) => {
                self.resend(&resend);
                Ok(())
            }
            Event::Disaster(fault) => {
                self.strike(fault);
                Ok(())
            }
            Event::Mend(mending) => {
                self.mend(mending);
                Ok(())
            }
        }
    }

    fn if_alive(
        &mut self,
        node: usize,
        life: u64,
        step: impl FnOnce(&mut Self, usize) -> Result<(), Broken>,
    ) -> Result<(), Broken> {
        if self.nodes[node].life == life { step(self, node) } else { Ok(()) }
    }

    fn after(&mut self, span: Duration, event: Event) {
        self.at(self.now + nanos(span), event);
    }

    fn at(&mut self, at: u64, event: Event) {
        self.queue.push(at.max(self.now), event);
    }

    fn count(&mut self, what: &'static str) {
        self.counts.add(what);
    }
}

fn founding_record(ids: &[NodeId]) -> FoundingRecord {
    let member = |id: &NodeId| Member {
        id: *id,
        name: format!("n{}", id.get()),
        peer_address: format!("n{}:1", id.get()),
        client_urls: Vec::new(),
    };
    let roster = Roster::of_voters(ids.iter().map(member)).expect("names and addresses differ");
    FoundingRecord { cluster: ClusterId(0x0C1), roster }
}

/// A node whose disk holds a founded, empty data directory.
fn new_node<M: StateMachine>(
    seed: u64,
    at: usize,
    id: NodeId,
    record: &FoundingRecord,
    plan: &Plan,
) -> Node<M> {
    let disk = FaultFs::new();
    // One disk in four has large ones: what is written to those costs eight times as much.
    let is_large = Rng::stream(seed, "sectors", at as u64).range(0..4) == 0;
    let sector_bytes = if is_large { 4096 } else { 512 };
    disk.set_sector_bytes(usize::try_from(sector_bytes).expect("4096 at most"));
    let options = OpenOptions {
        config: log_config(sector_bytes),
        format_as: Some(id),
        seed,
        ..OpenOptions::default()
    };
    let mut log = open_blocking(disk.another(), options).expect("the disk is sound").log;
    log.found(record.cluster, record.encode()).expect("the directory is empty");
    while !matches!(log.step().expect("the disk is sound"), Progress::Founded(_)) {}
    drop(log);
    disk.crash(&quorate_log::fault::Loss::Nothing);
    let mut clock = Rng::stream(seed, "clock", at as u64);
    let drift = plan.rate(Fault::Drift).size;
    let gain = i64::try_from(clock.range(0..drift * 2 + 1)).unwrap_or_default();
    let drift = i64::try_from(drift).unwrap_or_default();
    Node {
        id,
        disk,
        life: 0,
        state: State::Down,
        clock: LocalClock { gain: gain - drift, began: 0, shown: 0 },
        paused_until: 0,
        stuck_until: 0,
        slower: 1,
        disk_slower: 1,
        ends: Ends::default(),
        sector_bytes,
        unfelt: Faults::none(),
        rng: Rng::stream(seed, "disk", at as u64),
        lives: Rng::stream(seed, "lives", at as u64),
        quiet: Rng::stream(seed, "quiet", at as u64),
    }
}

/// Snapshots are drawn, so that they are taken, sent in pieces and installed in nearly every world in
/// which something goes wrong.
fn draw_snapshots(config: &mut ReplicaConfig, plan: &Plan, rng: &mut Rng) {
    // Where commands are large states are, too, and pieces are sixteen times as large.
    let scale = if plan.has(Fault::Sizes) { 16 } else { 1 };
    let chunk = (512_u32 << rng.range(0..5)) * scale;
    let paces = [0, 100_000, 1_000_000];
    let pace = paces[rng.index(paces.len())] * u64::from(scale);
    let raft = config.raft.clone().change();
    let raft = raft
        .snapshot_chunk_bytes(chunk)
        .snapshot_window_bytes(u64::from(chunk) * rng.range(2..16))
        .snapshot_bytes_per_second(pace)
        .keep_bytes(rng.range(0..16 << 10))
        .retain_bytes(rng.range(8 << 10..64 << 10));
    config.raft = raft.build().expect("the settings are sound");
    config.snapshot_entries = rng.range(50..400);
    config.snapshot_bytes = rng.range(16 << 10..256 << 10);
}

fn replica_config(raft: Config) -> ReplicaConfig {
    ReplicaConfig {
        raft,
        tail_bytes: 64 << 10,
        outbox_bytes: 256 << 10,
        apply_bytes: 128 << 10,
        call_bytes: 1 << 20,
        max_command_bytes: COMMAND_BYTES,
        ..ReplicaConfig::default()
    }
}

const fn log_config(sector_bytes: u32) -> LogConfig {
    LogConfig { segment_bytes: SEGMENT_BYTES, sector_bytes, batch_bytes: 64 << 10 }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}
