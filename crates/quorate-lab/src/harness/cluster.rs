//! Servers of one Raft on one network, what they applied, and what was done to them.
//!
//! A crash leaves no trace but what the server had stored: its instance is cut off, told to end, and
//! its persister is copied, so that whatever it still writes goes nowhere. Each start is a server of its
//! own number of starts (`life`); what an earlier one still applies is not looked at.

use std::fmt::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use super::record::Record;
use super::{Failure, Manner, Tally, World, snapshot};
use crate::context::Scope;
use crate::network::{Network, RaftHandler};
use crate::persister::Persister;
use crate::raft::{ApplyMsg, ApplyReceiver, LabRaft, Setup, Start, apply_channel};
use crate::recording::{Recorder, Saves, Seen};

/// When the service above each Raft takes snapshots, and of what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Snapshots {
    /// Never.
    None,
    /// After every tenth index: the bytes of that command.
    LastCommand,
    /// After every tenth index: all values.
    AllValues,
}

/// A snapshot is taken where the next index is a multiple of this.
const EVERY: u64 = 10;

/// A cluster. Clones are the same one.
pub struct Cluster<R: LabRaft>(Arc<Inner<R>>);

struct Inner<R: LabRaft> {
    world: World<R>,
    network: Network,
    snapshots: Snapshots,
    members: Mutex<Vec<Member<R>>>,
    record: Mutex<Record>,
    /// Is told what happens, where a page is wanted.
    recorder: Option<Recorder>,
}

struct Member<R> {
    raft: Option<Arc<R>>,
    persister: Arc<Persister>,
    connected: bool,
    /// How often it was started or crashed.
    life: u64,
    /// Its tasks.
    scope: Option<Scope>,
}

/// Servers are named by number, and scenarios count to the number of them.
const EXISTS: &str = "a scenario names servers that exist";

impl<R: LabRaft> fmt::Debug for Cluster<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("servers", &self.len()).finish_non_exhaustive()
    }
}

impl<R: LabRaft> Clone for Cluster<R> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<R: LabRaft> Cluster<R> {
    /// Starts so many servers, connected and on a reliable network.
    #[must_use]
    pub fn start(world: &World<R>, servers: usize) -> Self {
        Self::start_with(world, servers, Snapshots::None)
    }

    /// Starts so many servers whose services take snapshots.
    #[must_use]
    pub fn start_with(world: &World<R>, servers: usize, snapshots: Snapshots) -> Self {
        let network = Network::new(world.settings().model, servers, world.context().clone());
        let recorder = world.record(&network);
        let member = |server| Member {
            raft: None,
            persister: Saves::persister(recorder.as_ref(), server),
            connected: false,
            life: 0,
            scope: None,
        };
        let cluster = Self(Arc::new(Inner {
            world: world.clone(),
            network,
            snapshots,
            members: Mutex::new((0..servers).map(member).collect()),
            record: Mutex::new(Record::new(servers)),
            recorder,
        }));
        // The course lab's Raft tests have calls to a dead end take seconds to fail.
        cluster.0.network.set_long_delays(world.settings().manner == Manner::Course);
        (0..servers).for_each(|server| cluster.launch(server));
        (0..servers).for_each(|server| cluster.connect(server));
        let inner = Arc::clone(&cluster.0);
        world.at_end(move || Self(inner).end());
        cluster
    }

    /// Stops every server and says what was counted.
    fn end(self) -> Tally {
        let counts = self.0.network.counts();
        let tally = Tally {
            peers: self.len(),
            requests: counts.requests,
            bytes: counts.bytes,
            commits: self.record().most(),
        };
        (0..self.len()).for_each(|server| self.crash(server));
        tally
    }

    fn members(&self) -> MutexGuard<'_, Vec<Member<R>>> {
        self.0.members.lock().expect("nobody panics while holding it")
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.0.record.lock().expect("nobody panics while holding it")
    }

    /// The world that it lives in.
    #[must_use]
    pub fn world(&self) -> &World<R> {
        &self.0.world
    }

    /// The network between its servers.
    #[must_use]
    pub fn network(&self) -> &Network {
        &self.0.network
    }

    /// Number of servers, running or not.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "no cluster is empty")]
    pub fn len(&self) -> usize {
        self.0.network.servers()
    }

    /// The server so many places after another, in the round.
    #[must_use]
    pub fn after(&self, server: usize, places: usize) -> usize {
        (server + places) % self.len()
    }

    // What is done to servers.

    /// Logs what is done to a server, with the time by the clock of the run.
    fn note(&self, server: usize, what: &str) {
        tracing::debug!(ms = self.0.world.elapsed().as_millis(), server, "{what}");
    }

    /// Starts a server that is not running, from what it stored. It stays disconnected.
    fn launch(&self, server: usize) {
        self.note(server, "starts");
        let (life, persister) = {
            let mut members = self.members();
            let member = &mut members[server];
            member.life += 1;
            (member.life, Arc::clone(&member.persister))
        };
        match (self.0.world.settings().manner, self.0.snapshots) {
            (Manner::Process, _) => self.record().forgotten(server),
            (Manner::Course, Snapshots::AllValues) => {
                match snapshot::decode(&persister.snapshot()) {
                    Some(values) => self.record().restored(server, values),
                    None => self.broken(format!("server {server} stored a snapshot that is none")),
                }
            }
            (Manner::Course, _) => self.record().restarted(server),
        }
        let (apply, applied) = apply_channel();
        let (context, scope) = self.0.world.context().scope();
        let setup = Setup {
            me: server,
            peers: self.0.network.ends_of(server).expect(EXISTS),
            persister,
            apply,
            context: context.clone(),
            timing: self.0.world.settings().timing,
        };
        let raft = self.watched("make", server, || R::make(setup));
        if let Some(recorder) = &self.0.recorder {
            let raft = Arc::downgrade(&raft);
            recorder.started(server, move || raft.upgrade().map(|raft| Seen::of(&*raft)));
        }
        let consumer = Consumer {
            cluster: Arc::downgrade(&self.0),
            raft: Arc::downgrade(&raft),
            server,
            life,
        };
        context.spawn(consumer.run(applied));
        let handler = RaftHandler(Arc::clone(&raft));
        self.0.network.add(server, Arc::new(handler)).expect(EXISTS);
        let mut members = self.members();
        members[server].raft = Some(raft);
        members[server].scope = Some(scope);
    }

    /// Calls what must return at once, so that an executor can say who blocks it.
    fn watched<T>(&self, what: &'static str, server: usize, call: impl FnOnce() -> T) -> T {
        self.0.world.context().watched(what, server, call)
    }

    /// Crashes a server: it keeps what it stored, and nothing else. Also disconnects it.
    pub fn crash(&self, server: usize) {
        self.note(server, "crashes");
        if let Some(recorder) = &self.0.recorder {
            recorder.died(server);
        }
        self.disconnect(server);
        self.0.network.remove(server).expect(EXISTS);
        let (raft, scope) = {
            let mut members = self.members();
            let member = &mut members[server];
            member.persister = member.persister.copy();
            member.life += 1;
            (member.raft.take(), member.scope.take())
        };
        if let Some(raft) = raft {
            self.watched("kill", server, || raft.kill());
        }
        if let Some(scope) = scope {
            scope.end();
        }
    }

    /// Starts a server from what it stored, crashing it before if it runs. In the course lab's manner it
    /// stays disconnected; a process is reachable as soon as it runs.
    pub fn restart(&self, server: usize) {
        self.crash(server);
        self.launch(server);
        if self.0.world.settings().manner == Manner::Process {
            self.connect(server);
        }
    }

    /// Connects a server with all that are connected.
    pub fn connect(&self, server: usize) {
        self.note(server, "is connected");
        self.members()[server].connected = true;
        self.0.network.connect(server).expect(EXISTS);
    }

    /// Cuts a server off.
    pub fn disconnect(&self, server: usize) {
        self.note(server, "is cut off");
        self.members()[server].connected = false;
        self.0.network.disconnect(server).expect(EXISTS);
    }

    /// Connects all servers.
    pub fn connect_all(&self) {
        (0..self.len()).for_each(|server| self.connect(server));
    }

    /// Separates groups of servers.
    pub fn partition(&self, groups: &[&[usize]]) {
        tracing::debug!(ms = self.0.world.elapsed().as_millis(), ?groups, "are cut apart");
        self.0.network.partition(groups).expect(EXISTS);
    }

    /// Ends every partition and connects all servers.
    pub fn heal(&self) {
        self.0.network.heal();
        self.connect_all();
    }

    // What servers are asked.

    /// The Raft of a server that runs.
    #[must_use]
    pub fn raft(&self, server: usize) -> Option<Arc<R>> {
        self.members()[server].raft.clone()
    }

    /// Whether a server runs.
    #[must_use]
    pub fn is_running(&self, server: usize) -> bool {
        self.members()[server].raft.is_some()
    }

    /// Whether a server is connected.
    #[must_use]
    pub fn is_connected(&self, server: usize) -> bool {
        self.members()[server].connected
    }

    /// Servers that run and are connected.
    #[must_use]
    pub fn connected(&self) -> Vec<usize> {
        let members = self.members();
        let is_in = |server: &usize| members[*server].connected && members[*server].raft.is_some();
        (0..members.len()).filter(is_in).collect()
    }

    /// Servers that run.
    #[must_use]
    pub fn running(&self) -> Vec<usize> {
        let members = self.members();
        (0..members.len()).filter(|server| members[*server].raft.is_some()).collect()
    }

    /// Term of a server that runs, and whether it leads.
    #[must_use]
    pub fn state(&self, server: usize) -> Option<(u64, bool)> {
        let raft = self.raft(server)?;
        let (term, leads) = self.watched("state", server, || raft.state());
        if leads && let Err(what) = self.record().led(server, term) {
            self.broken(what);
        }
        Some((term, leads))
    }

    /// Gives a command to a server; nothing where it does not run or does not lead.
    pub fn submit(&self, server: usize, command: &[u8]) -> Option<Start> {
        let raft = self.raft(server)?;
        let start = self.watched("start", server, || raft.start(command));
        if let Some(recorder) = &self.0.recorder {
            recorder.submitted(server, command, start);
        }
        let start = start?;
        if start.index == 0 {
            self.broken(format!("server {server} accepted a command at index 0; the first is 1"));
        }
        Some(start)
    }

    /// Servers that have committed an index, and the value there.
    ///
    /// # Errors
    ///
    /// What was reported before.
    pub fn committed(&self, index: u64) -> Result<(usize, Option<Vec<u8>>), Failure> {
        self.0.world.check()?;
        if self.0.world.settings().manner == Manner::Course {
            return Ok(self.record().committed(index));
        }
        let mut values = self.running().into_iter().filter_map(|server| self.value(server, index));
        let value = values.next();
        let count = usize::from(value.is_some()) + values.count();
        // Two of them may have differed.
        self.0.world.check()?;
        Ok((count, value))
    }

    /// The value that a server that runs has committed at an index: what it says itself, if it does,
    /// else what it applied.
    #[must_use]
    pub fn value(&self, server: usize, index: u64) -> Option<Vec<u8>> {
        let raft = self.raft(server)?;
        let Ok(told) = self.watched("committed", server, || raft.committed(index)) else {
            return self.record().value(server, index).map(<[u8]>::to_vec);
        };
        if let Some(value) = &told
            && let Err(what) = self.record().choose(server, index, value)
        {
            self.broken(what);
        }
        told
    }

    /// Bytes of the largest Raft state that any server stored last.
    #[must_use]
    pub fn largest_state(&self) -> usize {
        let members = self.members();
        members.iter().map(|member| member.persister.state_len()).max().unwrap_or(0)
    }

    /// Reports something that went wrong beside the scenario's steps.
    pub fn broken(&self, what: impl Into<String>) {
        self.0.world.report(Failure::new(what));
    }

    /// How every server is, for a failure.
    #[must_use]
    pub fn describe(&self) -> String {
        let members = self.members();
        let mut text = String::new();
        for (server, member) in members.iter().enumerate() {
            let how = member.raft.as_ref().map_or_else(
                || "down".to_owned(),
                |raft| {
                    let (term, leads) = raft.state();
                    let role = if leads { " leads" } else { "" };
                    let cut = if member.connected { "" } else { ", cut off" };
                    format!("t{term}{role}{cut}, applied {}", self.record().last(server))
                },
            );
            let separator = if server == 0 { "" } else { "; " };
            write!(text, "{separator}n{server} {how}").expect("a string grows");
        }
        text
    }

    /// A failure that also says how every server is.
    pub(crate) fn failure(&self, what: impl fmt::Display) -> Failure {
        let at = self.0.world.elapsed().as_secs_f64();
        Failure::new(format!("{what} (after {at:.3} s: {})", self.describe()))
    }

    /// Waits, then says what was reported.
    ///
    /// # Errors
    ///
    /// What was reported.
    pub(crate) async fn wait_for(&self, span: Duration) -> Result<(), Failure> {
        self.0.world.sleep(span).await;
        self.0.world.check()
    }
}

/// The service above one Raft: checks what it is given, and takes snapshots.
struct Consumer<R: LabRaft> {
    cluster: Weak<Inner<R>>,
    raft: Weak<R>,
    server: usize,
    life: u64,
}

impl<R: LabRaft> Consumer<R> {
    async fn run(self, mut applied: ApplyReceiver) {
        while let Some(message) = applied.recv().await {
            let Some(cluster) = self.cluster.upgrade().map(Cluster) else { return };
            if cluster.members()[self.server].life != self.life {
                return;
            }
            match message {
                ApplyMsg::Command { data, index, term } => {
                    if let Some(recorder) = &cluster.0.recorder {
                        recorder.applied(self.server, index, term, &data);
                    }
                    self.command(&cluster, data, index);
                }
                ApplyMsg::Snapshot { data, term, index } => {
                    self.snapshot(&cluster, &data, term, index);
                }
            }
        }
    }

    fn command(&self, cluster: &Cluster<R>, data: Vec<u8>, index: u64) {
        let taken = match cluster.0.snapshots {
            Snapshots::LastCommand => Some(data.clone()),
            Snapshots::None | Snapshots::AllValues => None,
        };
        if let Err(what) = cluster.record().apply(self.server, index, data) {
            return cluster.broken(what);
        }
        if cluster.0.snapshots == Snapshots::None || !(index + 1).is_multiple_of(EVERY) {
            return;
        }
        let data = taken.unwrap_or_else(|| snapshot::encode(&cluster.record().values(self.server)));
        // From inside the apply loop, with no lock held: a Raft that holds its own while it hands
        // entries over would wait for itself here.
        if let Some(raft) = self.raft.upgrade() {
            raft.snapshot(index, &data);
        }
    }

    fn snapshot(&self, cluster: &Cluster<R>, data: &[u8], term: u64, index: u64) {
        let Some(raft) = self.raft.upgrade() else { return };
        if !raft.cond_install_snapshot(term, index, data) {
            return;
        }
        let values = match cluster.0.snapshots {
            Snapshots::AllValues => snapshot::decode(data),
            Snapshots::None | Snapshots::LastCommand => Some(vec![data.to_vec()]),
        };
        let server = self.server;
        if let Some(recorder) = &cluster.0.recorder {
            recorder.installed(server, index);
        }
        let Some(values) = values else {
            return cluster.broken(format!("server {server} got a snapshot that no service made"));
        };
        if let Err(what) = cluster.record().install(server, index, values) {
            cluster.broken(what);
        }
    }
}
