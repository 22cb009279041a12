//! Whole replicas in one thread: a small world with a disk that can be held, links that can be cut,
//! and frames that can be kept and sent again.

mod bounds;
mod safety;
mod service;
mod snapshots;
mod store;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use quorate_core::{ReadId, RoleName, SnapshotId};
use quorate_log::Compact;

use self::store::Store;
use super::*;
use crate::roster::Member;

/// A replica with its disk and what it did.
pub(super) struct Host {
    pub(super) replica: Replica,
    pub(super) id: NodeId,
    boot: BootCounter,
    /// The durable log, an entry each, and the rest of what is durable.
    base: EntryId,
    base_meta: Vec<u8>,
    log: Vec<Entries>,
    hard_state: HardState,
    commit: Index,
    /// Writes that are not durable yet.
    writes: VecDeque<LogJob>,
    /// The files of snapshots, and what is to be done with them.
    pub(super) store: Store,
    /// Whether writes stay under way.
    pub(super) holds_disk: bool,
    /// Whether entries handed to the state machine stay there.
    pub(super) holds_apply: bool,
    handed: VecDeque<ApplyJob>,
    /// Commands executed, in order.
    pub(super) applied: Vec<(EntryId, Vec<u8>)>,
    pub(super) log_times: Vec<u64>,
    pub(super) replies: BTreeMap<CallId, Vec<u8>>,
    pub(super) ended: BTreeMap<CallId, CallOutcome>,
    pub(super) reads: BTreeMap<ReadId, Index>,
    pub(super) read_backs: VecDeque<(Ticket, Index, Index, usize)>,
    /// Whether read-backs stay under way.
    pub(super) holds_reads: bool,
    pub(super) halt: Option<ReplicaHalt>,
}

/// What the log shall do.
pub(super) enum LogJob {
    Write(Write),
    Compact(Compact),
}

/// What the state machine shall do.
pub(super) enum ApplyJob {
    Entries(Entries, Vec<(Index, Origin)>),
    Take(EntryId, Vec<u8>),
    Restore(StoredSnapshot),
}

pub(super) struct World {
    pub(super) hosts: Vec<Host>,
    pub(super) now: Instant,
    /// Frames on their way.
    pub(super) wire: VecDeque<(NodeId, NodeId, Frame)>,
    /// Directed links that lose everything.
    pub(super) cut: BTreeSet<(NodeId, NodeId)>,
    /// Everything ever sent.
    pub(super) sent: Vec<(NodeId, NodeId, Frame)>,
    config: ReplicaConfig,
}

pub(super) fn id(number: u64) -> NodeId {
    NodeId::new(number).expect("not zero")
}

fn roster(nodes: u64) -> Arc<Roster> {
    let member = |number: u64| Member {
        id: id(number),
        name: format!("n{number}"),
        peer_address: format!("h{number}:1"),
        client_urls: Vec::new(),
    };
    Arc::new(Roster::of_voters((1..=nodes).map(member)).unwrap())
}

impl Host {
    fn start(
        number: u64,
        nodes: u64,
        now: Instant,
        config: &ReplicaConfig,
        old: Option<Self>,
    ) -> Self {
        let mut store = Store::default();
        let mut base = (EntryId::ZERO, Vec::new());
        let (boot, mut log, hard_state, commit) = match old {
            None => (BootCounter(1), Vec::new(), HardState::default(), Index::ZERO),
            Some(old) => {
                base = (old.base, old.base_meta);
                store = old.store.restarted();
                (BootCounter(old.boot.0 + 1), old.log, old.hard_state, old.commit)
            }
        };
        let snapshot = store.newest();
        if let Some(StoredSnapshot { id, meta }) = &snapshot
            && store::term_at(base.0, &log, id.last.index) != Some(id.last.term)
        {
            log.clear();
            base = (id.last, meta.clone());
        }
        let (base, base_meta) = base;
        let at_base = SnapshotMeta::decode(&base_meta).ok();
        let applied = snapshot.as_ref().map_or_else(Vec::new, |it| store.state(it.id));
        let runs = heads(&log).unwrap();
        let newest = log.last().and_then(|slice| slice.entry(slice.last()));
        let replica = Replica::new(ReplicaStart {
            id: id(number),
            boot,
            config: config.clone(),
            seed: number * 1000 + boot.0,
            now,
            hard_state,
            base,
            roster: at_base.as_ref().map_or_else(|| roster(nodes), |meta| Arc::clone(&meta.roster)),
            application_index: at_base.as_ref().map_or(0, |meta| meta.application_index),
            snapshot,
            runs: runs.into_iter().collect(),
            memberships: Vec::new(),
            commit: commit.min(log.last().map_or(base.index, Entries::last)),
            log_time_ms: newest.map_or_else(
                || at_base.map_or(0, |meta| meta.log_time_ms),
                |entry| entry.envelope.log_time_ms,
            ),
        })
        .unwrap();
        Self {
            replica,
            id: id(number),
            boot,
            base,
            base_meta,
            log,
            hard_state,
            commit,
            writes: VecDeque::new(),
            store,
            holds_disk: false,
            holds_apply: false,
            handed: VecDeque::new(),
            applied,
            log_times: Vec::new(),
            replies: BTreeMap::new(),
            ended: BTreeMap::new(),
            reads: BTreeMap::new(),
            read_backs: VecDeque::new(),
            holds_reads: false,
            halt: None,
        }
    }

    /// Does the oldest job of the log.
    fn write(&mut self) -> Option<ReplicaInput> {
        let write = match self.writes.pop_front()? {
            LogJob::Write(write) => write,
            LogJob::Compact(Compact { base, meta }) => {
                let held = store::term_at(self.base, &self.log, base.index) == Some(base.term);
                self.log.retain(|slice| held && slice.first() > base.index);
                (self.base, self.base_meta) = (base, meta);
                return Some(ReplicaInput::Compacted(base));
            }
        };
        self.hard_state = write.hard_state.unwrap_or(self.hard_state);
        if let Some(from) = write.truncate_from {
            self.log.retain(|slice| slice.first() < from);
        }
        for slice in write.entries {
            for entry in slice.iter() {
                let index = entry.id.index;
                let last = self.log.last().map_or(self.base.index, Entries::last);
                assert_eq!(index, last.next(), "the log has no gap");
                self.log.push(Entries::of(Arc::clone(slice.block()), index, index).unwrap());
            }
        }
        self.commit = self.commit.max(write.commit);
        Some(ReplicaInput::Persisted(write.token))
    }

    fn read(&self, first: Index, last: Index, max_bytes: usize) -> Vec<Entries> {
        let mut bytes = 0;
        let wanted = self.log.iter().filter(|slice| slice.first() >= first && slice.last() <= last);
        let fits = |slice: &&Entries| {
            bytes += slice.bytes().len();
            slice.first() == first || bytes <= max_bytes
        };
        wanted.take_while(fits).cloned().collect()
    }

    fn execute(&mut self) -> Option<ReplicaInput> {
        let (entries, mut answers) = match self.handed.pop_front()? {
            ApplyJob::Entries(entries, answers) => (entries, answers),
            ApplyJob::Take(last, meta) => return Some(self.store.take(last, meta, &self.applied)),
            ApplyJob::Restore(snapshot) => {
                self.applied = self.store.state(snapshot.id);
                return self.execute();
            }
        };
        for entry in entries.iter() {
            self.log_times.push(entry.envelope.log_time_ms);
            if entry.envelope.kind == EntryKind::Command {
                self.applied.push((entry.id, entry.payload.to_vec()));
            }
            if let Some((_, origin)) = answers.pop_if(|(index, _)| *index == entry.id.index) {
                let Origin::Local(call) = origin else { continue };
                self.replies.insert(call, entry.payload.to_vec());
            }
        }
        Some(ReplicaInput::Applied(entries.last()))
    }

    /// What the durable log holds.
    pub(super) fn entries(&self) -> impl Iterator<Item = (EntryEnvelope, Vec<u8>)> {
        let all = self.log.iter().flat_map(Entries::iter);
        all.map(|entry| (entry.envelope, entry.payload.to_vec()))
    }

    pub(super) fn is_leader(&self) -> bool {
        self.replica.role() == RoleName::Leader
    }

    /// The commands executed, as text.
    pub(super) fn commands(&self) -> Vec<String> {
        let text = |(_, bytes): &(EntryId, Vec<u8>)| String::from_utf8(bytes.clone()).unwrap();
        self.applied.iter().map(text).collect()
    }
}

impl World {
    pub(super) fn new(nodes: u64) -> Self {
        Self::with(nodes, ReplicaConfig::default())
    }

    pub(super) fn with(nodes: u64, config: ReplicaConfig) -> Self {
        #[cfg(quorate_mutants)]
        quorate_core::mutant::pick(&std::env::var("QUORATE_MUTANT").unwrap_or_default());
        let now = Instant::from_millis(1000);
        let hosts = (1..=nodes).map(|n| Host::start(n, nodes, now, &config, None)).collect();
        let (wire, cut, sent) = (VecDeque::new(), BTreeSet::new(), Vec::new());
        let mut world = Self { hosts, now, wire, cut, sent, config };
        for host in 0..world.hosts.len() {
            world.connect(host);
        }
        world
    }

    /// Connects a host with every other.
    pub(super) fn connect(&mut self, host: usize) {
        for other in 0..self.hosts.len() {
            if other != host {
                let (a, b) = (&self.hosts[host], &self.hosts[other]);
                let to_a = ReplicaInput::PeerConnected { peer: b.id, boot: b.boot };
                let to_b = ReplicaInput::PeerConnected { peer: a.id, boot: a.boot };
                self.give(host, to_a);
                self.give(other, to_b);
            }
        }
    }

    /// Kills a host and starts it again from its disk.
    pub(super) fn restart(&mut self, host: usize) {
        let nodes = self.hosts.len() as u64;
        let old = self.hosts.remove(host);
        let dead = old.id;
        self.wire.retain(|(from, to, _)| *from != dead && *to != dead);
        let number = host as u64 + 1;
        let new = Host::start(number, nodes, self.now, &self.config, Some(old));
        self.hosts.insert(host, new);
        for other in 0..self.hosts.len() {
            if other != host {
                self.give(other, ReplicaInput::PeerClosed(dead));
            }
        }
        self.connect(host);
    }

    /// Gives a host one input, without ending its wake-up.
    pub(super) fn give(&mut self, host: usize, input: ReplicaInput) {
        let mut out = Vec::new();
        let now = self.now;
        let host = &mut self.hosts[host];
        host.replica.handle(now, input, &mut out);
        for effect in out {
            match effect {
                ReplicaEffect::Persist(write) => host.writes.push_back(LogJob::Write(write)),
                ReplicaEffect::Compact(compact) => {
                    host.writes.push_back(LogJob::Compact(compact));
                }
                ReplicaEffect::Send { to, frame } => {
                    self.sent.push((host.id, to, frame.clone()));
                    self.wire.push_back((host.id, to, frame));
                }
                ReplicaEffect::Apply { entries, answers } => {
                    let answers = answers.into_iter().rev().collect();
                    host.handed.push_back(ApplyJob::Entries(entries, answers));
                }
                ReplicaEffect::ReadLog { ticket, first, last, max_bytes } => {
                    host.read_backs.push_back((ticket, first, last, max_bytes));
                }
                ReplicaEffect::CallEnded { call, outcome } => {
                    assert!(host.ended.insert(call, outcome).is_none(), "a call ends once");
                }
                ReplicaEffect::ReadReady { id, index } => {
                    host.reads.insert(id, index);
                }
                ReplicaEffect::ReadFailed(_)
                | ReplicaEffect::Leadership { .. }
                | ReplicaEffect::Roster(_) => {}
                ReplicaEffect::TakeSnapshot { last, meta } => {
                    host.handed.push_back(ApplyJob::Take(last, meta));
                }
                ReplicaEffect::Restore(snapshot) => {
                    host.handed.push_back(ApplyJob::Restore(snapshot));
                }
                effect @ (ReplicaEffect::ReceiveSnapshot(_)
                | ReplicaEffect::StoreChunk { .. }
                | ReplicaEffect::InstallSnapshot(_)
                | ReplicaEffect::ReadSnapshot { .. }
                | ReplicaEffect::KeepSnapshots(_)) => host.store.jobs.push_back(effect),
                ReplicaEffect::Halt(reason) => host.halt = Some(reason),
            }
        }
    }

    pub(super) fn flush(&mut self, host: usize) {
        self.give(host, ReplicaInput::Flush);
    }

    /// Gives a host one input and ends its wake-up.
    pub(super) fn tell(&mut self, host: usize, input: ReplicaInput) {
        self.give(host, input);
        self.flush(host);
    }

    pub(super) fn call(&mut self, host: usize, call: u64, command: &str) {
        let command = command.as_bytes().to_vec();
        let command = command.into();
        self.give(host, ReplicaInput::Call { call: CallId(call), command, stamp: Stamp::None });
    }

    /// Does everything that can be done without time passing.
    pub(super) fn settle(&mut self) {
        for _ in 0..100_000 {
            let mut busy = false;
            if let Some((from, to, frame)) = self.wire.pop_front() {
                busy = true;
                let at = self.hosts.iter().position(|host| host.id == to).unwrap();
                if !self.cut.contains(&(from, to)) {
                    self.tell(at, ReplicaInput::Frame { from, frame });
                }
            }
            for at in 0..self.hosts.len() {
                busy |= self.settle_host(at);
            }
            if !busy {
                return;
            }
        }
        panic!("the world does not settle");
    }

    fn settle_host(&mut self, at: usize) -> bool {
        let host = &mut self.hosts[at];
        if !host.holds_disk
            && let Some(done) = host.write()
        {
            self.tell(at, done);
            return true;
        }
        if !host.holds_apply
            && let Some(done) = host.execute()
        {
            self.tell(at, done);
            return true;
        }
        if !host.store.is_held
            && let Some(done) = host.store.work()
        {
            done.into_iter().for_each(|input| self.tell(at, input));
            return true;
        }
        if !host.holds_reads
            && let Some((ticket, first, last, most)) = host.read_backs.pop_front()
        {
            let is_held = first > host.base.index;
            let read = is_held.then(|| host.read(first, last, most));
            let outcome = read.ok_or(ReadFault::Gone);
            self.tell(at, ReplicaInput::LogRead { ticket, outcome });
            return true;
        }
        false
    }

    /// Lets time pass to the next deadline of any host, and settles.
    pub(super) fn tick(&mut self) {
        let deadlines = self.hosts.iter().filter_map(|host| host.replica.next_deadline());
        let next = deadlines.min().expect("there is always an election or a heartbeat to come");
        self.now = self.now.max(next);
        for at in 0..self.hosts.len() {
            if self.hosts[at].replica.next_deadline().is_some_and(|due| due <= self.now) {
                self.tell(at, ReplicaInput::Timer);
            }
        }
        self.settle();
    }

    /// Lets time pass until a condition holds.
    pub(super) fn until(&mut self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        self.settle();
        for _ in 0..2000 {
            if holds(self) {
                return;
            }
            self.tick();
        }
        panic!("never came: {what}");
    }

    /// Waits for a leader that everybody that can hear it follows; its place.
    pub(super) fn leader(&mut self) -> usize {
        self.until("a leader", |world| world.leading().is_some());
        self.leading().expect("there is one")
    }

    fn leading(&self) -> Option<usize> {
        let term = self.hosts.iter().map(|host| host.replica.term()).max()?;
        self.hosts.iter().position(|host| host.is_leader() && host.replica.term() == term)
    }

    /// Cuts a host off from everybody, or lets it back in.
    pub(super) fn isolate(&mut self, host: usize, cut: bool) {
        let alone = self.hosts[host].id;
        for other in self.hosts.iter().map(|host| host.id).filter(|id| *id != alone) {
            for link in [(alone, other), (other, alone)] {
                if cut {
                    self.cut.insert(link);
                } else {
                    self.cut.remove(&link);
                }
            }
        }
    }
}
