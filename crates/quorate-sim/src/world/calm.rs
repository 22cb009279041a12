//! The end of the faults: who is left alone from then on, and how those stand.

use core::fmt;
use core::time::Duration;

use quorate::StateMachine;
use quorate_core::{Index, RoleName, Term};

use super::node::State;
use super::plan::{Fault, Faults};
use super::trace::{LinkState, TraceEvent};
use super::workload::Workload;
use super::{Event, World};

/// How long frames are under way, at most, once everything is mended.
const LINGERING: Duration = Duration::from_millis(500);

/// The longest that a frame takes once everything is mended.
pub(super) const SLOWEST: Duration = Duration::from_millis(10);

/// How a node is once faults have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    /// It is left alone, with every other one that is.
    Well,
    /// It does not run.
    Down,
    /// Nobody hears it and it hears nobody.
    CutOff,
    /// It hears nobody and is heard.
    Deaf,
    /// It hears everybody and is not heard.
    Mute,
}

/// All ways not to be well.
const AILING: [Health; 4] = [Health::Down, Health::CutOff, Health::Deaf, Health::Mute];

impl Health {
    const fn words(self) -> &'static str {
        match self {
            Self::Well => "is left alone",
            Self::Down => "stays down",
            Self::CutOff => "stays cut off",
            Self::Deaf => "hears nobody",
            Self::Mute => "is heard by nobody",
        }
    }
}

/// Who is not well, in words.
struct Ailing<'a>(&'a [Health]);

impl fmt::Display for Ailing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ailing = self.0.iter().enumerate().filter(|(_, health)| **health != Health::Well);
        for (at, (node, health)) in ailing.enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}n{} {}", node + 1, health.words())?;
        }
        Ok(())
    }
}

impl<M: StateMachine + Default, W: Workload<M>> World<M, W> {
    /// Mends everything and lets nothing go wrong any more; nodes that are down start.
    pub fn heal(&mut self) {
        let health = vec![Health::Well; self.nodes.len()];
        self.heal_to(health);
    }

    /// Lets nothing go wrong any more, and mends either everything or, as the seed says, just a
    /// quorum: every other node stays down, cut off, deaf or mute.
    pub(crate) fn heal_quorum(&mut self) {
        let nodes = self.nodes.len();
        let mut health = vec![Health::Well; nodes];
        if self.healing.coin() {
            let mut left: Vec<usize> = (0..nodes).collect();
            while left.len() > nodes / 2 + 1 {
                let ailing = left.swap_remove(self.healing.index(left.len()));
                health[ailing] = AILING[self.healing.index(AILING.len())];
            }
            self.count("just a quorum mended");
        }
        self.heal_to(health);
    }

    fn heal_to(&mut self, health: Vec<Health>) {
        self.health = health;
        for node in 0..self.nodes.len() {
            if self.health[node] == Health::Down {
                self.crash(node);
            }
        }
        self.calm = true;
        self.chances.calm_down();
        self.network.heal();
        self.put_snapshot_back();
        for node in 0..self.nodes.len() {
            self.heal_node(node);
        }
        self.hurry();
        self.turn_to_the_well();
        self.trace.note(self.now, || TraceEvent::Mended);
        if self.health.iter().any(|health| *health != Health::Well) {
            let ailing = Ailing(&self.health).to_string();
            self.note_network(Some(ailing));
        }
    }

    fn heal_node(&mut self, node: usize) {
        let state = &mut self.nodes[node];
        (state.paused_until, state.stuck_until) = (0, 0);
        (state.slower, state.disk_slower) = (1, 1);
        state.unfelt = Faults::none();
        state.disk.limit_room(None);
        state.disk.clear_faults();
        if let Some(live) = state.live() {
            live.applier.machine().calm_down();
            live.timer_at = None;
            live.pieces_read_at = 0;
        }
        if matches!(state.state, State::Down) {
            let life = state.life;
            self.after(Duration::ZERO, Event::Start { node, life });
        }
        self.arm_timer(node);
        for peer in (0..self.nodes.len()).filter(|peer| *peer != node) {
            match self.health[node] {
                Health::Well | Health::Down => {}
                Health::CutOff => {
                    self.network.topology.isolate(Fault::Split, node, true);
                }
                Health::Deaf => self.network.topology.cut(Fault::OneWay, peer, node, true),
                Health::Mute => self.network.topology.cut(Fault::OneWay, node, peer, true),
            }
        }
    }

    /// What a paused node or a stuck disk has put off is due at once, and what would linger in the
    /// network is lost: heartbeats of a leader that is dead would hold up the election of the next.
    fn hurry(&mut self) {
        let lingers = self.now + super::nanos(LINGERING);
        self.queue.forget_after(lingers, |event| matches!(event, Event::Frame { .. }));
        self.queue.hurry(self.now, |event| {
            matches!(
                event,
                Event::Wake { .. }
                    | Event::LogStep { .. }
                    | Event::ApplyStep { .. }
                    | Event::OpenStep { .. }
                    | Event::ReadBack { .. }
                    | Event::SnapshotStep { .. }
                    | Event::ReadPiece { .. }
            )
        });
    }

    /// Whether a node must not start.
    pub(super) fn stays_down(&self, node: usize) -> bool {
        self.health[node] == Health::Down
    }

    /// The first node at or behind this one that is well.
    pub(super) fn well_from(&self, node: usize) -> usize {
        let nodes = self.nodes.len();
        let mut ring = (0..nodes).map(|apart| (node + apart) % nodes);
        ring.find(|at| self.health[*at] == Health::Well).unwrap_or(node)
    }

    /// Nodes of this world.
    pub(crate) const fn size(&self) -> usize {
        self.nodes.len()
    }

    fn well(&self) -> impl Iterator<Item = usize> {
        (0..self.nodes.len()).filter(|node| self.health[*node] == Health::Well)
    }

    /// The node that leads those that are well, and its term.
    pub(crate) fn leader_of_the_well(&self) -> Option<(usize, Term)> {
        let live = self.well().filter_map(|node| Some((node, self.nodes[node].as_live()?)));
        let standing = live.map(|(node, live)| (live.replica.term(), live.replica.role(), node));
        let latest = standing.max_by_key(|(term, role, _)| (*term, *role == RoleName::Leader));
        let (term, role, node) = latest?;
        (role == RoleName::Leader).then_some((node, term))
    }

    /// Clients that wait for an answer.
    pub(crate) fn clients_at_work(&self) -> u64 {
        self.clients.waiting() as u64
    }

    /// Highest committed entry.
    pub(crate) fn commit(&self) -> Index {
        self.facts.commit()
    }

    /// Whether every node that is well has executed everything up to `index`.
    pub(crate) fn has_executed(&self, index: Index) -> bool {
        self.well().all(|node| {
            self.nodes[node].as_live().is_some_and(|live| live.applier.applied() >= index)
        })
    }

    /// How long a snapshot may take from one node to another while nothing goes wrong: two of the
    /// largest that there are, because another may have to follow the first.
    pub(crate) fn transfer_time(&self) -> Duration {
        let raft = &self.config.raft;
        let (window, chunk) = (raft.snapshot_window_bytes(), raft.snapshot_chunk_bytes());
        let bytes = self.facts.largest_snapshot();
        // Each piece of a window is read and written.
        let pieces = u32::try_from(window / u64::from(chunk)).unwrap_or(u32::MAX) + 1;
        let round = SLOWEST * 2 + self.plan.disk * 3 * pieces;
        let rounds = u32::try_from(bytes / window).unwrap_or(u32::MAX) + 2;
        let pace = raft.snapshot_bytes_per_second();
        let paced = (bytes * 1_000_000_000).checked_div(pace).map(Duration::from_nanos);
        2 * (round * rounds + paced.unwrap_or_default())
    }

    /// Whether every node that is well has executed everything that is committed.
    #[must_use]
    pub fn has_converged(&self) -> bool {
        let commit = self.commit();
        let knows = |node: usize| {
            let live = self.nodes[node].as_live();
            live.is_some_and(|live| live.replica.status().raft.applied >= commit)
        };
        self.has_executed(commit) && self.well().all(knows)
    }

    /// Whether a client has asked for a command since this request, and whether one was told that it
    /// was executed.
    pub(crate) const fn commands_behind(&self, request: u64) -> (bool, bool) {
        self.facts.commands_behind(request)
    }

    /// Notes that something happened which is counted and no more.
    pub(crate) fn note_count(&mut self, what: &'static str) {
        self.count(what);
    }

    /// Cuts the way from one node to another, or lets it stand again, while nothing else is wrong.
    pub(crate) fn cut_way(&mut self, from: usize, to: usize, cut: bool) {
        self.network.topology.cut(Fault::OneWay, from, to, cut);
        let state = if cut { LinkState::Cut } else { LinkState::Stands };
        self.note_link(from, to, state, None);
    }
}
