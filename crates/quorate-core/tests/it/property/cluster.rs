//! Thousands of short random lives of a cluster: messages lost, doubled, late and out of order,
//! disks that lag, nodes that crash and lose what was not durable, links that break, logs that give up
//! what a snapshot covers, so that others must be sent one. The rules are checked after every step. Then everything heals, and the cluster must elect, commit, converge
//! and answer reads.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use quorate_core::{
    Config, EntryId, Envelope, Index, Input, Instant, Membership, NodeId, Run, Term,
};

use crate::cluster::rng::Rng;
use crate::cluster::{Cluster, Event, HASH, Tally, Torn, node};

const SEEDS: u64 = 3000;
const ELECTION_MAX: Duration = Duration::from_millis(600);

/// What one life is like: each kind of trouble is switched on by a coin.
#[derive(Debug)]
struct Weather {
    steps: u64,
    /// Longest span between two steps, in microseconds.
    pace: u64,
    drop: u64,
    duplicate: u64,
    replay: u64,
    in_order: bool,
    slow_disks: bool,
    crashes: bool,
    partitions: bool,
    connections: bool,
    refused_sends: bool,
    snapshots: bool,
    /// Equal states give files that differ from node to node.
    unequal_files: bool,
    /// Time jumps to the next deadline: elections all the time.
    hasty: bool,
}

struct Life {
    rng: Rng,
    cluster: Cluster,
    weather: Weather,
    cut: BTreeSet<(NodeId, NodeId)>,
    archive: Vec<Envelope>,
    reads: u64,
}

/// What all lives together went through.
#[derive(Debug, Default)]
struct Seen {
    leaders: u64,
    commits: u64,
    lives_with_joint: u64,
    lives_above_base: u64,
    memberships_rolled_back: u64,
    tally: Tally,
}

#[test]
fn no_life_breaks_a_rule_and_every_life_recovers() {
    crate::pick_mutant();
    let mut seen = Seen::default();
    for seed in first_seed()..first_seed() + seeds() {
        match live(seed, false) {
            Ok(life) => seen.add(&life),
            Err(_) => {
                let Err(story) = live(seed, true) else {
                    panic!("seed {seed} is not the same twice")
                };
                panic!("seed {seed} breaks a rule; its end:\n{story}");
            }
        }
    }
    assert!(seen.leaders > seeds() * 2, "too few elections: {seen:?}");
    assert!(seen.commits > seeds() * 5, "too few commits: {seen:?}");
    assert!(seen.lives_with_joint > 0 && seen.lives_above_base > 0, "{seen:?}");
    let Tally { truncations, reads_ready, reads_failed, lost_writes, torn_writes, dropped, .. } =
        &seen.tally;
    for (what, count) in [
        ("truncations", truncations),
        ("reads ready", reads_ready),
        ("reads failed", reads_failed),
        ("lost writes", lost_writes),
        ("torn writes", torn_writes),
        ("memberships rolled back", &seen.memberships_rolled_back),
        ("snapshots taken", &seen.tally.snapshots_taken),
        ("compactions", &seen.tally.compactions),
        ("pieces", &seen.tally.pieces),
        ("resumptions", &seen.tally.resumptions),
        ("rejections", &seen.tally.rejections),
        ("installations", &seen.tally.installations),
        ("logs replaced", &seen.tally.logs_replaced),
        ("interrupted installations", &seen.tally.interrupted_installations),
    ] {
        assert!(*count > 0, "no {what}: {seen:?}");
    }
    if !cfg!(quorate_mutants) {
        let steady = seen.tally.steady_steps;
        assert!(steady > seeds() * 50, "too few steps of the steady state: {steady}");
    }
    assert!(dropped.len() >= 4, "too few kinds of drops: {seen:?}");
}

/// Longer runs by hand:
/// `QUORATE_SEEDS=100000 QUORATE_FIRST_SEED=1 cargo test -p quorate-core every_life`.
fn seeds() -> u64 {
    number_of("QUORATE_SEEDS").unwrap_or(SEEDS)
}

fn first_seed() -> u64 {
    number_of("QUORATE_FIRST_SEED").unwrap_or(1)
}

#[expect(clippy::disallowed_methods, reason = "a test may be told how long to run")]
fn number_of(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Lives one life; where it breaks a rule, says so, with its last events where `told`.
fn live(seed: u64, told: bool) -> Result<Life, String> {
    let mut life = Life::new(seed);
    life.cluster.journal = told.then(Vec::new);
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        life.trouble();
        life.heal();
    }));
    let Err(panic) = outcome else { return Ok(life) };
    let message = panic.downcast_ref::<String>().cloned();
    let message = message.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
    let mut story = format!("{:?}\n{}", life.weather, life.cluster.story(120));
    story.push_str(&message.unwrap_or_default());
    Err(story)
}

impl Life {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let base = match rng.below(3) {
            0 => EntryId::ZERO,
            _ => EntryId::new(Index(1 + rng.below(50)), Term(1 + rng.below(3))),
        };
        let (membership, next) = memberships(&mut rng);
        let config = config(&mut rng);
        let mut cluster = Cluster::new(membership, base, config, seed);
        if let Some(next) = next {
            for id in next.nodes() {
                if !cluster.nodes.contains_key(&id) {
                    cluster.add_node(id);
                }
            }
            let term = base.term.next();
            let run = Run::membership(base.index.next(), term, 64, Arc::new(next));
            for id in cluster.ids() {
                // A quorum knows of the term that made the entry; here everyone does.
                let disk = &mut cluster.nodes.get_mut(&id).expect("it exists").disk;
                disk.hard_state.term = term;
                if rng.chance(50) {
                    cluster.put_on_disk(id, &run);
                }
            }
        }
        if rng.chance(30) {
            for id in cluster.ids() {
                cluster.set_clock_rate(id, 700 + rng.below(700));
            }
        }
        cluster.start_all();
        let weather = Weather::new(&mut rng);
        let (cut, archive) = (BTreeSet::new(), Vec::new());
        Self { rng, cluster, weather, cut, archive, reads: 0 }
    }

    fn trouble(&mut self) {
        for _ in 0..self.weather.steps {
            let pace = self.rng.below(self.weather.pace) * 1000;
            self.cluster.now = Instant::from_nanos(self.cluster.now.as_nanos() + pace);
            match self.rng.below(100) {
                0..=42 => (0..=self.rng.below(9)).for_each(|_| self.deliver()),
                43..=54 => (0..=self.rng.below(3)).for_each(|_| self.write()),
                55..=59 => self.store(),
                60..=65 => self.snapshot(),
                66..=74 => self.time(),
                75..=82 => self.client(),
                83..=84 => self.apply(),
                85..=87 => self.links(),
                88..=91 => self.connections(),
                92 => self.refuse_send(),
                _ => self.lives(),
            }
        }
    }

    fn some_alive(&mut self) -> Option<NodeId> {
        let alive = self.cluster.alive();
        (!alive.is_empty()).then(|| self.rng.pick(&alive))
    }

    /// The end of a wake-up, sometimes only after more input.
    fn end_of_wake(&mut self, id: NodeId) {
        if self.rng.chance(80) && self.cluster.alive().contains(&id) {
            self.cluster.flush(id);
        }
    }

    fn deliver(&mut self) {
        if self.cluster.wire.is_empty() {
            return;
        }
        let len = self.cluster.wire.len();
        let at = if self.weather.in_order { 0 } else { self.rng.position(len) };
        let envelope = self.cluster.wire.remove(at).expect("the position is in the wire");
        while self.cluster.wire.len() > 300 {
            self.cluster.wire.pop_front();
        }
        if self.rng.chance(3) {
            self.archive.push(envelope.clone());
            if self.archive.len() > 40 {
                let at = self.rng.position(40);
                self.archive.swap_remove(at);
            }
        }
        if self.rng.chance(self.weather.drop) || self.cut.contains(&(envelope.from, envelope.to)) {
            return;
        }
        if self.rng.chance(self.weather.duplicate) {
            self.cluster.wire.push_back(envelope.clone());
        }
        let to = envelope.to;
        self.cluster.deliver(envelope);
        if !self.archive.is_empty() && self.rng.chance(self.weather.replay) {
            let at = self.rng.position(self.archive.len());
            self.cluster.deliver(self.archive[at].clone());
        }
        self.end_of_wake(to);
    }

    fn write(&mut self) {
        if self.weather.slow_disks && self.rng.chance(60) {
            return;
        }
        let Some(id) = self.some_alive() else { return };
        let count = 1 + self.rng.position(3);
        self.cluster.complete_writes(id, count);
        self.end_of_wake(id);
    }

    fn store(&mut self) {
        let Some(id) = self.some_alive() else { return };
        if self.rng.chance(8) {
            let _nothing_came = !self.cluster.reject_snapshot(id);
        } else {
            let count = 1 + self.rng.position(6);
            self.cluster.complete_store(id, count);
        }
        self.end_of_wake(id);
    }

    fn snapshot(&mut self) {
        if !self.weather.snapshots {
            return;
        }
        let leader = self.cluster.leader().filter(|_| self.rng.chance(60));
        let Some(id) = leader.or_else(|| self.some_alive()) else { return };
        if self.rng.chance(60) {
            let index = self.cluster.raft(id).status().applied;
            let (bytes, unequal) = (100 + index.get() * 37 % 2000, self.weather.unequal_files);
            let hash = if unequal { u128::from(id.get()) << 96 } else { HASH };
            self.cluster.take_snapshot(id, bytes, hash);
        }
        if self.rng.chance(70) {
            self.cluster.compact(id);
        }
        self.end_of_wake(id);
    }

    /// A timer fires: when due, late, or for no reason.
    fn time(&mut self) {
        let Some(id) = self.some_alive() else { return };
        let Some(deadline) = self.cluster.raft(id).next_deadline() else { return };
        if self.cluster.clock(id) < deadline {
            match self.rng.below(8) {
                0 => self.cluster.advance_to(id, deadline),
                1 => {}
                _ if self.weather.hasty => self.cluster.advance_to(id, deadline),
                _ => return,
            }
        }
        self.cluster.input(id, Input::Timer);
        self.end_of_wake(id);
    }

    fn client(&mut self) {
        let leader = self.cluster.leader().filter(|_| self.rng.chance(70));
        let Some(id) = leader.or_else(|| self.some_alive()) else { return };
        if self.rng.chance(30) {
            self.reads += 1;
            self.cluster.read(id, self.reads);
        } else {
            for _ in 0..=self.rng.below(3) {
                let bytes = u32::try_from(50 + self.rng.below(400)).expect("small");
                // Refused where the node does not lead: nothing happens, which is checked too.
                let _refused = self.cluster.propose(id, bytes).is_err();
            }
        }
        self.end_of_wake(id);
    }

    fn apply(&mut self) {
        let Some(id) = self.some_alive() else { return };
        self.cluster.complete_apply(id);
        self.end_of_wake(id);
    }

    fn links(&mut self) {
        if !self.weather.partitions {
            return;
        }
        let ids = self.cluster.ids();
        match self.rng.below(4) {
            0 => self.cut.clear(),
            1 => {
                let (from, to) = (self.rng.pick(&ids), self.rng.pick(&ids));
                self.cut.insert((from, to));
            }
            2 => {
                let alone = self.cluster.leader().unwrap_or_else(|| self.rng.pick(&ids));
                self.cut.extend(ids.iter().flat_map(|id| [(*id, alone), (alone, *id)]));
            }
            _ => {
                let sides: Vec<bool> = ids.iter().map(|_| self.rng.chance(50)).collect();
                for (a, one) in ids.iter().zip(&sides) {
                    for (b, other) in ids.iter().zip(&sides) {
                        if one != other {
                            self.cut.insert((*a, *b));
                        }
                    }
                }
            }
        }
    }

    fn connections(&mut self) {
        if !self.weather.connections {
            return;
        }
        let ids = self.cluster.ids();
        let Some(id) = self.some_alive() else { return };
        let peer = self.rng.pick(&ids);
        if peer == id {
            return;
        }
        let input = if self.rng.chance(50) {
            Input::PeerClosed(peer)
        } else {
            Input::PeerConnected { peer, boot: self.cluster.nodes[&peer].disk.boot }
        };
        self.cluster.input(id, input);
        self.end_of_wake(id);
    }

    /// A message that waits could not be sent after all, and its sender is told.
    fn refuse_send(&mut self) {
        if !self.weather.refused_sends || self.cluster.wire.is_empty() {
            return;
        }
        let at = self.rng.position(self.cluster.wire.len());
        let envelope = self.cluster.wire.remove(at).expect("the position is in the wire");
        let Envelope { from, to, request, boot, .. } = envelope;
        let node = &self.cluster.nodes[&from];
        if node.alive.is_some() && node.disk.boot == boot {
            self.cluster.input(from, Input::SendDropped { to, request });
            self.end_of_wake(from);
        }
    }

    fn lives(&mut self) {
        if !self.weather.crashes {
            return;
        }
        let ids = self.cluster.ids();
        let leader = self.cluster.leader().filter(|_| self.rng.chance(30));
        let id = leader.unwrap_or_else(|| self.rng.pick(&ids));
        if self.cluster.nodes[&id].alive.is_some() {
            if self.rng.chance(10) {
                for id in self.cluster.alive() {
                    self.crash(id);
                }
            } else {
                self.crash(id);
            }
        } else {
            let with_commit = self.rng.chance(50);
            self.cluster.restart(id, with_commit);
        }
    }

    fn crash(&mut self, id: NodeId) {
        let writes = self.cluster.nodes[&id].alive.as_ref().map_or(0, |alive| alive.writes.len());
        let whole = self.rng.position(writes + 1);
        let torn = match self.rng.below(4) {
            0 => Torn::Nothing,
            1 => Torn::HardState,
            2 => Torn::Truncated,
            _ => Torn::Entries(self.rng.position(4)),
        };
        self.cluster.crash(id, whole, torn);
    }

    /// Everything works again, for long enough.
    fn heal(&mut self) {
        self.cut.clear();
        self.reads += 1;
        for id in self.cluster.ids() {
            self.cluster.set_clock_rate(id, 1000);
            if self.cluster.nodes[&id].alive.is_none() {
                self.cluster.restart(id, true);
            }
        }
        let limit = self.cluster.now.after(ELECTION_MAX * 20);
        let mut proposed: Option<EntryId> = None;
        let mut asked = false;
        while self.cluster.now < limit {
            self.cluster.settle();
            if let Some(leader) = self.cluster.leader() {
                let lost =
                    |id: EntryId| self.cluster.raft(leader).term_at(id.index) != Some(id.term);
                if proposed.is_none_or(lost) {
                    proposed = self.cluster.propose(leader, 100).ok();
                    self.cluster.flush(leader);
                    self.cluster.settle();
                }
                if !asked && proposed.is_some_and(|id| self.is_everywhere(leader, id)) {
                    asked = true;
                    for id in self.cluster.raft(leader).membership().nodes() {
                        self.reads += 1;
                        self.cluster.read(id, self.reads);
                        self.cluster.flush(id);
                    }
                    self.cluster.settle();
                }
                if asked && self.cluster.checker.open_reads() == 0 {
                    return;
                }
            }
            self.cluster.next_timer();
        }
        panic!(
            "no recovery: proposed {proposed:?}, asked {asked}, open reads {}, nodes:\n{}",
            self.cluster.checker.open_reads(),
            self.cluster.statuses()
        );
    }

    fn is_everywhere(&self, leader: NodeId, id: EntryId) -> bool {
        let members = self.cluster.raft(leader).membership().nodes();
        members.iter().all(|member| {
            let raft = self.cluster.raft(*member);
            raft.commit() >= id.index && raft.last() == self.cluster.raft(leader).last()
        })
    }
}

impl Weather {
    fn new(rng: &mut Rng) -> Self {
        let mut coin = |percent: u64| rng.chance(percent);
        let (drops, duplicates, replays) = (coin(50), coin(50), coin(30));
        Self {
            in_order: coin(30),
            slow_disks: coin(40),
            crashes: coin(70),
            partitions: coin(50),
            connections: coin(50),
            refused_sends: coin(40),
            snapshots: coin(60),
            unequal_files: coin(30),
            hasty: coin(40),
            drop: if drops { rng.below(30) } else { 0 },
            duplicate: if duplicates { rng.below(40) } else { 0 },
            replay: if replays { rng.below(20) } else { 0 },
            steps: 300 + rng.below(1200),
            pace: [6_000, 15_000, 40_000][rng.position(3)],
        }
    }
}

impl Seen {
    fn add(&mut self, life: &Life) {
        let cluster = &life.cluster;
        self.leaders += cluster.checker.leaders() as u64;
        let ids = cluster.ids();
        let base = cluster.nodes[&ids[0]].disk.base;
        self.commits += cluster.checker.committed().distance(base.index);
        self.lives_above_base += u64::from(base != EntryId::ZERO);
        let joint = |id: &NodeId| !cluster.raft(*id).membership().outgoing().is_empty();
        self.lives_with_joint += u64::from(ids.iter().any(joint));
        self.memberships_rolled_back += u64::from(cluster.tally.memberships_rolled_back > 0);
        let tally = &cluster.tally;
        self.tally.truncations += tally.truncations;
        self.tally.reads_ready += tally.reads_ready;
        self.tally.reads_failed += tally.reads_failed;
        self.tally.lost_writes += tally.lost_writes;
        self.tally.torn_writes += tally.torn_writes;
        self.tally.snapshots_taken += tally.snapshots_taken;
        self.tally.compactions += tally.compactions;
        self.tally.pieces += tally.pieces;
        self.tally.resumptions += tally.resumptions;
        self.tally.rejections += tally.rejections;
        self.tally.installations += tally.installations;
        self.tally.logs_replaced += tally.logs_replaced;
        self.tally.interrupted_installations += tally.interrupted_installations;
        self.tally.steady_steps += tally.steady_steps;
        for (reason, count) in &tally.dropped {
            *self.tally.dropped.entry(*reason).or_default() += count;
        }
    }
}

/// The membership at the base, and sometimes a joint one that some logs already hold.
fn memberships(rng: &mut Rng) -> (Membership, Option<Membership>) {
    let voters = rng.pick(&[1, 2, 3, 3, 3, 4, 5, 5]);
    let learners = rng.below(3);
    let outgoing = if rng.chance(20) { 1 + rng.below(3) } else { 0 };
    let some = |from: u64, count: u64| (from..from + count).map(node).collect::<Vec<_>>();
    let shift = rng.below(3);
    let base = Membership::new(
        some(1, voters),
        some(voters + 1 - shift.min(voters), outgoing),
        some(7, learners),
    );
    if outgoing > 0 || !rng.chance(25) {
        return (base, None);
    }
    let incoming = some(1 + rng.below(4), 1 + rng.below(4));
    let next = Membership::new(incoming, base.voters().to_vec(), some(7, learners));
    (base, Some(next))
}

fn config(rng: &mut Rng) -> Config {
    let builder = Config::builder()
        .election_timeout(Duration::from_millis(300), ELECTION_MAX)
        .pre_vote(rng.chance(75))
        .check_quorum(rng.chance(75))
        .leader_stickiness(rng.chance(75))
        .commit_notices(rng.chance(75))
        .max_append_bytes([100, 1000, 100_000][rng.position(3)])
        .max_inflight_messages([1, 3, 100][rng.position(3)])
        .max_inflight_bytes([1, 2000, 1_000_000][rng.position(3)])
        .max_uncommitted_bytes([5000, 1_000_000][rng.position(2)])
        .max_pending_reads([2, 100][rng.position(2)])
        .snapshot_chunk_bytes([50, 300, 5000][rng.position(3)])
        .snapshot_window_bytes([1, 700, 100_000][rng.position(3)])
        .snapshot_bytes_per_second([0, 5000, 1_000_000][rng.position(3)])
        .keep_bytes([0, 0, 400][rng.position(3)])
        .retain_bytes([0, 0, 1000][rng.position(3)]);
    builder.build().expect("every choice is allowed")
}

impl Cluster {
    /// Delivers and completes everything there is, in order, until nothing moves.
    fn settle(&mut self) {
        for round in 0.. {
            assert!(round < 10_000, "the cluster never comes to rest");
            let mut moved = false;
            for id in self.alive() {
                let alive = self.nodes[&id].alive.as_ref().expect("the node runs");
                moved |= !alive.writes.is_empty() || alive.applying.is_some();
                moved |= !alive.store.is_empty();
                self.complete_apply(id);
                self.complete_store(id, usize::MAX);
                self.complete_writes(id, usize::MAX);
                self.flush(id);
            }
            if let Some(envelope) = self.wire.pop_front() {
                moved = true;
                let to = envelope.to;
                self.deliver(envelope);
                if self.nodes.get(&to).is_some_and(|node| node.alive.is_some()) {
                    self.flush(to);
                }
            }
            if !moved {
                return;
            }
        }
    }

    /// Moves time to the next deadline of any node and fires it.
    fn next_timer(&mut self) {
        let due = |id: &NodeId| {
            let at = self.raft(*id).next_deadline()?;
            Some((at.since(self.clock(*id)), at, *id))
        };
        let first = self.alive().iter().filter_map(due).min();
        let Some((_, at, id)) = first else { panic!("no node waits for anything") };
        self.advance_to(id, at);
        self.wake(id, Input::Timer);
    }

    fn statuses(&self) -> String {
        let status = |id: &NodeId| {
            let raft = self.raft(*id);
            format!("{} {}\n", raft.status(), raft.membership())
        };
        self.alive().iter().map(status).collect()
    }

    /// The last `count` events.
    fn story(&self, count: usize) -> String {
        let journal = self.journal.as_deref().unwrap_or_default();
        let tell = |event: &Event| match event {
            Event::Effect(id, effect) => format!("  {id}: {effect}\n"),
            Event::Sent(envelope) => format!("  sent {envelope}\n"),
            Event::Held(send) => format!("  held {send}\n"),
            Event::Persisted(id, token) => format!("  {id}: persisted {token}\n"),
        };
        journal.iter().skip(journal.len().saturating_sub(count)).map(tell).collect()
    }
}
