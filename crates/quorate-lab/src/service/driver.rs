//! From a command to its reply, over anyone's Raft: start it, wait until it is executed, and be told
//! when it never will be known.
//!
//! What waits at an index is answered when the entry of that index is executed: with its reply if the
//! entry has the term in which the command was started, and otherwise with [`Lost`], because another
//! command took the place. It is also [`Lost`] when the term moves on or this server stops leading:
//! the command may still be executed, on every server or on none, so whoever sends it again needs
//! a number by which the machine recognises it. When the channel of what is applied closes, whatever
//! waits has [`Lost::Stopped`].
//!
//! Invariants:
//! - entries are executed in the order of their indexes, each once; a gap is somebody's mistake, and
//!   is told by a panic that names both ends;
//! - a snapshot is made of the state after an index, and is handed over as that of this very index,
//!   because the one task that executes makes it;
//! - the lock of what was executed is held while a command is started, and at no other call of the Raft
//!   below: `snapshot` may take its time.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::machine::Machine;
use crate::context::Context;
use crate::persister::Persister;
use crate::raft::{ApplyMsg, ApplyReceiver, LabRaft, Peers, Setup, Start, Timing, apply_channel};

/// How often a wait looks whether the term moved on.
const LOOK: Duration = Duration::from_millis(40);

/// Where one server of a service sits: what it is given to start with.
#[derive(Debug)]
pub struct Seat {
    /// Its own number.
    pub me: usize,
    /// The way to each server, its own included.
    pub peers: Peers,
    /// What it knew before.
    pub persister: Arc<Persister>,
    /// Time, tasks and randomness.
    pub context: Context,
    /// How often to beat, how long to wait.
    pub timing: Timing,
    /// How large the state of the Raft below may grow, in bytes; without it no snapshot is made.
    pub max_raft_state: Option<usize>,
}

/// Why a command has no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// This server does not lead; the command was not taken.
    NotLeader,
    /// This server stopped leading in the term in which it took the command, or another command has its
    /// place. It may have been executed all the same.
    Overtaken,
    /// This server stopped. The command may have been executed all the same.
    Stopped,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotLeader => "not the leader: the command was not taken",
            Self::Overtaken => "the leader changed: the command may or may not be executed",
            Self::Stopped => "the server stopped: the command may or may not be executed",
        })
    }
}

impl std::error::Error for Lost {}

type Outcome = Result<Vec<u8>, Lost>;

/// One server of a service: a machine, and the Raft that says what it executes.
pub struct Driver<R, M> {
    shared: Arc<Shared<R, M>>,
}

impl<R, M> Clone for Driver<R, M> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<R, M> fmt::Debug for Driver<R, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let executed = self.shared.inside();
        f.debug_struct("Driver").field("applied", &executed.applied).finish_non_exhaustive()
    }
}

struct Shared<R, M> {
    me: usize,
    raft: Arc<R>,
    context: Context,
    inside: Mutex<Inside<M>>,
}

impl<R, M> Shared<R, M> {
    fn inside(&self) -> MutexGuard<'_, Inside<M>> {
        // A panic of the machine ends the run with its own words; what it left is only looked at.
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the Raft something that it must answer at once.
    fn watched<T>(&self, what: &'static str, ask: impl FnOnce(&R) -> T) -> T {
        self.context.watched(what, self.me, || ask(&self.raft))
    }
}

struct Inside<M> {
    machine: M,
    /// The last index executed.
    applied: u64,
    /// Who waits at which index, beyond `applied`.
    waiting: BTreeMap<u64, Waiting>,
    /// Whether nothing will be executed any more.
    is_stopped: bool,
}

/// Somebody who waits for the reply to one command.
#[derive(Debug)]
pub struct Waiter {
    term: u64,
    told: oneshot::Receiver<Outcome>,
}

/// Those who wait for one entry.
struct Waiting {
    /// The term in which it was started.
    term: u64,
    told: Vec<oneshot::Sender<Outcome>>,
}

impl Waiting {
    fn tell(self, outcome: &Outcome) {
        for one in self.told {
            // Whoever does not listen any more has given up.
            drop(one.send(outcome.clone()));
        }
    }
}

impl<R: LabRaft, M: Machine> Driver<R, M> {
    /// Starts a server: the machine goes on from the persisted snapshot, if there is one.
    ///
    /// # Panics
    ///
    /// If the persisted snapshot is damaged.
    #[must_use]
    pub fn new(seat: Seat, mut machine: M) -> Self {
        let Seat { me, peers, persister, context, timing, max_raft_state } = seat;
        let mut applied = 0;
        let snapshot = persister.snapshot();
        if !snapshot.is_empty() {
            applied = load(&mut machine, &snapshot);
        }
        let (apply, applies) = apply_channel();
        let copy = (Arc::clone(&persister), context.clone());
        let setup = Setup { me, peers, persister: copy.0, apply, context: copy.1, timing };
        let raft = context.watched("make", me, || R::make(setup));
        let inside = Inside { machine, applied, waiting: BTreeMap::new(), is_stopped: false };
        let shared =
            Arc::new(Shared { me, raft, context: context.clone(), inside: Mutex::new(inside) });
        let executing = Arc::clone(&shared);
        context.spawn(async move { executing.execute(applies, &persister, max_raft_state).await });
        Self { shared }
    }

    /// The Raft below.
    #[must_use]
    pub fn raft(&self) -> &Arc<R> {
        &self.shared.raft
    }

    /// Looks at the machine.
    pub fn with_machine<T>(&self, look: impl FnOnce(&M) -> T) -> T {
        look(&self.shared.inside().machine)
    }

    /// The last index that was executed here.
    #[must_use]
    pub fn applied(&self) -> u64 {
        self.shared.inside().applied
    }

    /// Starts a command: where it will stand in the log, and who waits for it; `None` where this server
    /// does not lead. Returns at once.
    #[must_use]
    pub fn start(&self, command: &[u8]) -> Option<(Start, Waiter)> {
        // Held across the start, so that the entry cannot be executed before somebody waits for it. A
        // Raft never waits in `start` for what is applied.
        let mut inside = self.shared.inside();
        if inside.is_stopped {
            return None;
        }
        let start = self.shared.watched("start", |raft| raft.start(command))?;
        let told = inside.wait_at(start);
        Some((start, Waiter { term: start.term, told }))
    }

    /// Waits, too, for a command that was started here; `None` if it is not known any more how it ended.
    #[must_use]
    pub fn join(&self, start: Start) -> Option<Waiter> {
        let mut inside = self.shared.inside();
        let is_open = start.index > inside.applied && !inside.is_stopped;
        is_open.then(|| Waiter { term: start.term, told: inside.wait_at(start) })
    }

    /// Starts a command and waits for its reply.
    ///
    /// # Errors
    ///
    /// See [`Lost`].
    pub async fn submit(&self, command: &[u8]) -> Result<Vec<u8>, Lost> {
        let (_, waiter) = self.start(command).ok_or(Lost::NotLeader)?;
        self.outcome(waiter).await
    }

    /// Waits for the reply.
    ///
    /// # Errors
    ///
    /// See [`Lost`].
    pub async fn outcome(&self, waiter: Waiter) -> Result<Vec<u8>, Lost> {
        let Waiter { term, mut told } = waiter;
        loop {
            match self.shared.context.timeout(LOOK, &mut told).await {
                Some(Ok(outcome)) => return outcome,
                Some(Err(_)) => return Err(Lost::Stopped),
                None if self.shared.watched("state", R::state) != (term, true) => {
                    // It may have been executed at this very moment.
                    return told.try_recv().unwrap_or(Err(Lost::Overtaken));
                }
                None => {}
            }
        }
    }

    /// Stops this server; whoever waits is told.
    pub fn kill(&self) {
        self.shared.watched("kill", R::kill);
        self.shared.stop();
    }
}

impl<M> Inside<M> {
    fn wait_at(&mut self, start: Start) -> oneshot::Receiver<Outcome> {
        let (tell, told) = oneshot::channel();
        let fresh = || Waiting { term: start.term, told: Vec::new() };
        let waiting = self.waiting.entry(start.index).or_insert_with(fresh);
        if waiting.term < start.term {
            std::mem::replace(waiting, fresh()).tell(&Err(Lost::Overtaken));
        }
        if waiting.term == start.term {
            waiting.told.push(tell);
        } else {
            drop(tell.send(Err(Lost::Overtaken)));
        }
        told
    }
}

impl<R, M> Shared<R, M> {
    fn stop(&self) {
        let mut inside = self.inside();
        inside.is_stopped = true;
        for (_, waiting) in std::mem::take(&mut inside.waiting) {
            waiting.tell(&Err(Lost::Stopped));
        }
    }
}

impl<R: LabRaft, M: Machine> Shared<R, M> {
    async fn execute(
        &self,
        mut applies: ApplyReceiver,
        persister: &Persister,
        max_raft_state: Option<usize>,
    ) {
        while let Some(msg) = applies.recv().await {
            match msg {
                ApplyMsg::Command { data, index, term } => {
                    self.command(index, term, &data);
                    self.maybe_snapshot(index, persister, max_raft_state);
                }
                ApplyMsg::Snapshot { data, term, index } => self.install(index, term, &data),
            }
        }
        self.stop();
    }

    fn command(&self, index: u64, term: u64, data: &[u8]) {
        let mut inside = self.inside();
        if index <= inside.applied || inside.is_stopped {
            return;
        }
        let next = inside.applied + 1;
        assert!(index == next, "entry {index} was applied where entry {next} was due");
        let reply = inside.machine.apply(data);
        inside.applied = index;
        if let Some(waiting) = inside.waiting.remove(&index) {
            let is_ours = waiting.term == term;
            waiting.tell(&if is_ours { Ok(reply) } else { Err(Lost::Overtaken) });
        }
    }

    /// Hands a snapshot over when the state below has come near its bound: at three quarters of it,
    /// so that what is under way has room.
    fn maybe_snapshot(&self, index: u64, persister: &Persister, max_raft_state: Option<usize>) {
        let Some(max) = max_raft_state.filter(|_| R::SNAPSHOTS) else { return };
        if persister.state_len() < max - max / 4 {
            return;
        }
        let inside = self.inside();
        if inside.applied != index || inside.is_stopped {
            return;
        }
        let snapshot = save(&inside.machine, index);
        drop(inside);
        self.raft.snapshot(index, &snapshot);
    }

    fn install(&self, index: u64, term: u64, data: &[u8]) {
        if !self.raft.cond_install_snapshot(term, index, data) {
            return;
        }
        let mut inside = self.inside();
        if index <= inside.applied || inside.is_stopped {
            return;
        }
        let of = load(&mut inside.machine, data);
        assert!(of == index, "the snapshot of index {of} was delivered as that of index {index}");
        inside.applied = index;
        let beyond = inside.waiting.split_off(&(index + 1));
        for (_, waiting) in std::mem::replace(&mut inside.waiting, beyond) {
            waiting.tell(&Err(Lost::Overtaken));
        }
    }
}

/// A snapshot: the index, then the machine.
fn save(machine: &impl Machine, index: u64) -> Vec<u8> {
    super::wire::Writer::default().number(index).bytes(&machine.save()).finish()
}

/// Takes the machine out of a snapshot and answers its index.
fn load(machine: &mut impl Machine, snapshot: &[u8]) -> u64 {
    let mut reader = super::wire::Reader::new(snapshot);
    let parts = (|| {
        let index = reader.number()?;
        let state = reader.bytes()?;
        reader.end().map(|()| (index, state))
    })();
    let (index, state) = parts.expect("a snapshot is an index and the state of a machine");
    machine.load(state).expect("a snapshot is read by the machine that wrote it");
    index
}
