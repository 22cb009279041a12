//! A cluster in memory: nodes with disks that lag and a wire that holds every message.
//!
//! It moves nothing by itself: tests deliver, drop, complete writes, crash and restart. Each input
//! of a node is checked by [`Checker`] over the whole cluster. What a node asks for is told to a
//! journal, where one is kept.

pub mod check;
pub mod disk;
pub mod rng;
mod snapshots;
mod steady;

use std::collections::{BTreeMap, VecDeque};

use quorate_core::{
    BootCounter, Config, DropReason, Effect, EntryId, EntryKind, Envelope, HaltReason, HardState,
    Index, Input, Instant, Membership, NodeId, PersistToken, ProposeError, Raft, ReadId, Run, Send,
    SnapshotId, Start, Term,
};

pub use self::check::Checker;
pub use self::disk::{Disk, Job, Store, Torn, Why, Write};

/// Hash of a snapshot, where a test wants no particular one: equal for equal states.
pub const HASH: u128 = 0xa11 << 96;

/// Node `id`, which is not zero.
pub fn node(id: u64) -> NodeId {
    NodeId::new(id).expect("node ids begin at 1")
}

/// What happened, for transcripts.
#[derive(Clone, Debug)]
pub enum Event {
    Effect(NodeId, Effect),
    /// It left, at once or when its write was durable.
    Sent(Envelope),
    /// It waits for a write.
    Held(Send),
    Persisted(NodeId, PersistToken),
}

/// How often what happened, so that a test can see that it tested something.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub truncations: u64,
    pub reads_ready: u64,
    pub reads_failed: u64,
    pub lost_writes: u64,
    pub torn_writes: u64,
    pub memberships_rolled_back: u64,
    pub snapshots_taken: u64,
    pub compactions: u64,
    pub pieces: u64,
    pub resumptions: u64,
    pub rejections: u64,
    pub installations: u64,
    pub logs_replaced: u64,
    pub interrupted_installations: u64,
    /// Inputs that the straight lines of the steady state take, too.
    pub steady_steps: u64,
    pub dropped: BTreeMap<DropReason, u64>,
}

#[derive(Clone, Debug)]
pub struct Cluster {
    pub now: Instant,
    pub nodes: BTreeMap<NodeId, Node>,
    /// Messages under way, in the order sent.
    pub wire: VecDeque<Envelope>,
    pub checker: Checker,
    /// Whether the checker is asked: not in tests that forge what no correct node sends.
    pub checked: bool,
    pub journal: Option<Vec<Event>>,
    pub tally: Tally,
    base: EntryId,
    membership: Membership,
    config: Config,
    seed: u64,
}

#[derive(Clone, Debug)]
pub struct Node {
    pub disk: Disk,
    pub alive: Option<Alive>,
    clock: Clock,
}

/// A node's own clock: where it stood when its rate was last set, and the rate.
#[derive(Clone, Copy, Debug)]
struct Clock {
    set_at: Instant,
    shown: Instant,
    /// In thousandths of the cluster's time.
    rate: u64,
}

/// A node that runs.
#[derive(Clone, Debug)]
pub struct Alive {
    pub raft: Raft,
    pub writes: VecDeque<Job>,
    pub store: VecDeque<Store>,
    durable: PersistToken,
    outbox: Vec<Send>,
    /// Handed out for apply and not reported yet.
    pub applying: Option<Index>,
    applied: Index,
    pub halted: Option<HaltReason>,
}

impl Cluster {
    pub fn new(membership: Membership, base: EntryId, config: Config, seed: u64) -> Self {
        let mut cluster = Self {
            now: Instant::ZERO,
            nodes: BTreeMap::new(),
            wire: VecDeque::new(),
            checker: Checker::new(base),
            checked: true,
            journal: None,
            tally: Tally::default(),
            base,
            membership,
            config,
            seed,
        };
        for id in cluster.membership.nodes() {
            cluster.add_node(id);
        }
        cluster
    }

    /// A disk that holds nothing above the base.
    pub fn add_node(&mut self, id: NodeId) {
        let hard_state = HardState { term: self.base.term, vote: None };
        let disk = Disk {
            boot: BootCounter::ZERO,
            hard_state,
            base: self.base,
            entries: Vec::new(),
            commit: self.base.index,
            snapshots: self.snapshot_of_base().into_iter().collect(),
            partial: None,
        };
        let clock = Clock { set_at: self.now, shown: self.now, rate: 1000 };
        self.nodes.insert(id, Node { disk, alive: None, clock });
    }

    /// What every log of a cluster begins with that does not begin with the first entry.
    fn snapshot_of_base(&self) -> Option<SnapshotId> {
        let is_one = self.base != EntryId::ZERO;
        is_one.then_some(SnapshotId { last: self.base, bytes: 1000, hash: HASH })
    }

    /// Puts an entry on the disk of a node that has not started; makes room in its term.
    pub fn put_on_disk(&mut self, id: NodeId, run: &Run) {
        let disk = &mut self.nodes.get_mut(&id).expect("the node exists").disk;
        disk.hard_state.term = disk.hard_state.term.max(run.term);
        for index in run.first.get()..=run.last().get() {
            let mut one = run.clone();
            (one.first, one.count, one.bytes) = (Index(index), 1, run.bytes / u64::from(run.count));
            let after = disk.last();
            disk.entries.push(one.last_id());
            self.checker.found(after, one);
        }
    }

    pub fn start_all(&mut self) {
        for id in self.ids() {
            self.restart(id, true);
        }
    }

    pub fn ids(&self) -> Vec<NodeId> {
        self.nodes.keys().copied().collect()
    }

    pub fn alive(&self) -> Vec<NodeId> {
        self.nodes.iter().filter(|(_, node)| node.alive.is_some()).map(|(id, _)| *id).collect()
    }

    pub fn raft(&self, id: NodeId) -> &Raft {
        &self.nodes[&id].alive.as_ref().expect("the node runs").raft
    }

    pub fn leader(&self) -> Option<NodeId> {
        let leads = |id: &NodeId| self.raft(*id).is_leader();
        self.alive().into_iter().filter(leads).max_by_key(|id| self.raft(*id).term())
    }

    fn alive_mut(&mut self, id: NodeId) -> &mut Alive {
        self.nodes.get_mut(&id).and_then(|node| node.alive.as_mut()).expect("the node runs")
    }

    /// Starts a node from its disk. Whether the commit index of the last write is used is up to the
    /// test: it is only a hint.
    pub fn restart(&mut self, id: NodeId, with_commit: bool) {
        self.recover(id);
        let runs = self.runs_on_disk(id);
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let now = self.clock(id);
        let node = self.nodes.get_mut(&id).expect("the node exists");
        assert!(node.alive.is_none(), "{id} runs already");
        node.disk.boot = node.disk.boot.next();
        let membership = self.checker.membership_at(node.disk.base, &self.membership);
        let raft = Raft::new(Start {
            id,
            boot: node.disk.boot,
            config: self.config.clone(),
            seed: self.seed,
            now,
            hard_state: node.disk.hard_state,
            base: node.disk.base,
            membership,
            runs,
            commit: if with_commit { node.disk.commit } else { node.disk.base.index },
            snapshot: node.disk.snapshot(),
        });
        let raft = raft.expect("a disk that a node wrote is in order");
        self.checker.started(&raft, &node.disk, &self.membership);
        node.alive = Some(Alive {
            raft,
            writes: VecDeque::new(),
            store: VecDeque::new(),
            durable: PersistToken::ZERO,
            outbox: Vec::new(),
            applying: None,
            applied: node.disk.snapshot().map_or(Index::ZERO, |id| id.last.index),
            halted: None,
        });
        self.check(id);
        self.flush(id);
    }

    fn recover(&mut self, id: NodeId) {
        let disk = &mut self.nodes.get_mut(&id).expect("the node exists").disk;
        let base = disk.base;
        disk.recover();
        self.tally.interrupted_installations += u64::from(disk.base != base);
    }

    fn runs_on_disk(&self, id: NodeId) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        for id in &self.nodes[&id].disk.entries {
            let one = self.checker.run(*id);
            match runs.last_mut() {
                Some(run) if run.term == one.term && joins(run) && joins(&one) => {
                    run.count += 1;
                    run.bytes += one.bytes;
                }
                _ => runs.push(one),
            }
        }
        runs
    }

    /// The node stops. Of its writes under way, the first `whole` reached the disk, and of the next
    /// what `torn` says.
    pub fn crash(&mut self, id: NodeId, whole: usize, torn: Torn) {
        let node = self.nodes.get_mut(&id).expect("the node exists");
        let alive = node.alive.take().expect("the node runs");
        self.tally.lost_writes += u64::from(alive.writes.len() > whole);
        self.tally.torn_writes +=
            u64::from(alive.writes.len() > whole && !matches!(torn, Torn::Nothing));
        node.disk.crash(&alive.writes, whole, torn);
        self.checker.forget_reads(id);
    }

    /// The node's own clock.
    pub fn clock(&self, id: NodeId) -> Instant {
        let Clock { set_at, shown, rate } = self.nodes[&id].clock;
        Instant::from_nanos(
            shown.as_nanos() + (self.now.as_nanos() - set_at.as_nanos()) / 1000 * rate,
        )
    }

    /// From this moment on the node's clock runs at `rate` thousandths of the cluster's time.
    pub fn set_clock_rate(&mut self, id: NodeId, rate: u64) {
        let clock = Clock { set_at: self.now, shown: self.clock(id), rate };
        self.nodes.get_mut(&id).expect("the node exists").clock = clock;
    }

    /// Moves time to where the node's clock shows `at`.
    pub fn advance_to(&mut self, id: NodeId, at: Instant) {
        let missing = u64::try_from(at.since(self.clock(id)).as_nanos()).expect("tests are short");
        if missing > 0 {
            let span = (missing / self.nodes[&id].clock.rate + 2) * 1000;
            self.now = Instant::from_nanos(self.now.as_nanos() + span);
        }
    }

    /// One input, without the end of a wake-up.
    pub fn input(&mut self, id: NodeId, input: Input) {
        let now = self.clock(id);
        let alive = self.alive_mut(id);
        let was_leader_of = alive.raft.is_leader().then(|| alive.raft.term());
        let mut effects = Vec::new();
        let (twin, taken) = (alive.raft.clone(), input.clone());
        alive.raft.handle(now, input, &mut effects);
        let is_steady = steady::takes_the_same_step(twin, now, &taken, &alive.raft, &effects);
        self.tally.steady_steps += u64::from(is_steady);
        for effect in &effects {
            self.take_log(id, was_leader_of, effect);
        }
        self.check(id);
        for effect in effects {
            if !matches!(effect, Effect::Send(_)) {
                self.tell(Event::Effect(id, effect.clone()));
            }
            self.take(id, effect);
        }
    }

    pub fn flush(&mut self, id: NodeId) {
        self.input(id, Input::Flush);
    }

    /// One input and the end of the wake-up.
    pub fn wake(&mut self, id: NodeId, input: Input) {
        self.input(id, input);
        self.flush(id);
    }

    /// Proposes a command, without the end of the wake-up.
    pub fn propose(&mut self, id: NodeId, bytes: u32) -> Result<EntryId, ProposeError> {
        let alive = self.nodes.get_mut(&id).and_then(|node| node.alive.as_mut());
        let alive = alive.expect("the node runs");
        let entry = alive.raft.propose(bytes)?;
        self.checker.proposed(&alive.raft, entry, u64::from(bytes));
        self.check(id);
        Ok(entry)
    }

    pub fn read(&mut self, id: NodeId, read: u64) {
        self.checker.read(id, ReadId(read));
        self.input(id, Input::Read(ReadId(read)));
    }

    /// Gives a message to its receiver, where that runs, without the end of the wake-up.
    pub fn deliver(&mut self, envelope: Envelope) {
        let to = envelope.to;
        if self.nodes.get(&to).is_some_and(|node| node.alive.is_some()) {
            self.input(to, Input::Message(Box::new(envelope)));
        }
    }

    /// Completes the first `count` writes under way, without the end of the wake-up.
    pub fn complete_writes(&mut self, id: NodeId, count: usize) {
        let mut token = None;
        for _ in 0..count {
            let node = self.nodes.get_mut(&id).expect("the node exists");
            let alive = node.alive.as_mut().expect("the node runs");
            let Some(job) = alive.writes.pop_front() else { break };
            match (node.disk.do_job(&job), job) {
                (Some(done), _) => {
                    alive.durable = done;
                    token = Some(done);
                    self.tell(Event::Persisted(id, done));
                    self.release(id);
                }
                (None, Job::Begin(base, why)) => {
                    // What completed before it is reported before it.
                    if let Some(token) = token.take() {
                        self.input(id, Input::Persisted(token));
                    }
                    self.begun(id, base, why);
                }
                (None, Job::Write(_)) => unreachable!("a write has a token"),
            }
        }
        if let Some(token) = token {
            self.input(id, Input::Persisted(token));
        }
    }

    /// Reports everything handed out for apply as executed, without the end of the wake-up.
    pub fn complete_apply(&mut self, id: NodeId) {
        if let Some(index) = self.alive_mut(id).applying.take() {
            self.input(id, Input::Applied(index));
        }
    }

    fn release(&mut self, id: NodeId) {
        let alive = self.alive_mut(id);
        let durable = Some(alive.durable);
        let (ready, held) = alive.outbox.drain(..).partition(|send| send.after <= durable);
        alive.outbox = held;
        let ready: Vec<Send> = ready;
        for send in ready {
            self.transmit(id, *send.envelope);
        }
    }

    fn transmit(&mut self, id: NodeId, envelope: Envelope) {
        if self.checked {
            let node = &self.nodes[&id];
            let raft = &node.alive.as_ref().expect("the node runs").raft;
            self.checker.sent(&envelope, raft, &node.disk);
        }
        self.tell(Event::Sent(envelope.clone()));
        self.wire.push_back(envelope);
    }

    /// What an effect tells of the log, before the checker looks at it.
    fn take_log(&mut self, id: NodeId, was_leader_of: Option<Term>, effect: &Effect) {
        let raft = &self.nodes[&id].alive.as_ref().expect("the node runs").raft;
        match effect {
            Effect::Truncated { from } => {
                self.tally.truncations += 1;
                self.tally.memberships_rolled_back += self.checker.memberships_from(raft, *from);
                self.checker.truncated(raft, was_leader_of, *from);
            }
            Effect::Opened(entry) => self.checker.opened(raft, *entry),
            _ => {}
        }
    }

    fn take(&mut self, id: NodeId, effect: Effect) {
        match effect {
            Effect::Persist(persist) => {
                let raft = self.raft(id);
                let term = |index| raft.term_at(Index(index)).expect("what is written is held");
                let entries = persist.append.map_or_else(Vec::new, |(first, last)| {
                    let all = first.get()..=last.get();
                    all.map(|index| EntryId::new(Index(index), term(index))).collect()
                });
                let alive = self.alive_mut(id);
                let before = newest_token(&alive.writes).unwrap_or(alive.durable);
                assert_eq!(persist.token, before.next(), "tokens are handed out in order");
                alive.writes.push_back(Job::Write(Write { persist, entries }));
            }
            Effect::Send(send) => {
                let alive = self.alive_mut(id);
                if send.after <= Some(alive.durable) {
                    self.transmit(id, *send.envelope);
                } else {
                    let newest = newest_token(&alive.writes);
                    assert!(send.after <= newest, "a message waits for a write handed out before");
                    alive.outbox.push(send.clone());
                    self.tell(Event::Held(send));
                }
            }
            Effect::Apply { first, last } => self.take_apply(id, first, last),
            Effect::ReadReady { id: read, index } => {
                self.tally.reads_ready += 1;
                self.checker.read_ready(id, read, index);
            }
            Effect::ReadFailed(read) => {
                self.tally.reads_failed += 1;
                self.checker.read_failed(id, read);
            }
            Effect::Dropped(reason) => {
                *self.tally.dropped.entry(reason).or_default() += 1;
                let expected = !matches!(reason, DropReason::Absurd | DropReason::UnknownToken);
                assert!(expected || !self.checked, "{id} dropped something: {reason}");
            }
            Effect::Halt(reason) => {
                assert!(!self.checked, "{id} halts: {reason}");
                self.alive_mut(id).halted = Some(reason);
            }
            Effect::ReceiveSnapshot(_) | Effect::StoreChunk { .. } | Effect::InstallSnapshot(_) => {
                self.take_store(id, &effect);
            }
            Effect::Truncated { .. }
            | Effect::Opened(_)
            | Effect::Leadership { .. }
            | Effect::ProposalRefused(_) => {}
        }
    }

    fn take_apply(&mut self, id: NodeId, first: Index, last: Index) {
        let node = &self.nodes[&id];
        let alive = node.alive.as_ref().expect("the node runs");
        assert_eq!(first, alive.applied.next(), "{id} executes without a gap");
        for index in first.get()..=last.get() {
            let term = alive.raft.term_at(Index(index)).expect("what is executed is held");
            let entry = EntryId::new(Index(index), term);
            if self.checked {
                // The commit index that hands it out is checked when the step ends.
                assert!(node.disk.holds(entry), "{id} executes {entry} before it is durable");
            }
        }
        let alive = self.alive_mut(id);
        alive.applied = last;
        alive.applying = Some(last);
    }

    fn check(&mut self, id: NodeId) {
        if !self.checked {
            return;
        }
        let disks = self.nodes.iter().map(|(id, node)| (*id, &node.disk)).collect();
        let raft = &self.nodes[&id].alive.as_ref().expect("the node runs").raft;
        self.checker.stepped(raft, &disks);
    }

    fn tell(&mut self, event: Event) {
        if let Some(journal) = &mut self.journal {
            journal.push(event);
        }
    }
}

/// The newest write under way.
fn newest_token(jobs: &VecDeque<Job>) -> Option<PersistToken> {
    jobs.iter().rev().find_map(|job| match job {
        Job::Write(write) => Some(write.persist.token),
        Job::Begin(..) => None,
    })
}

fn joins(run: &Run) -> bool {
    run.kind == EntryKind::Command
}
