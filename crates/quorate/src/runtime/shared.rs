//! What the threads of one node share: their mailboxes, a few atomics, and why it stopped.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use quorate_core::{EntryId, Few, Index, NodeId, PersistToken, SnapshotId};
use quorate_log::{Entries, Fs, SnapshotReader, StoredSnapshot};
use tokio::sync::{oneshot, watch};

use super::mailbox::Mailbox;
use super::port::{Ended, Port, PortMessage, Queries, Submission};
use super::snapshot_role::SnapshotJob;
use crate::error::{Refusal, SnapshotRefusal, StopReason};
use crate::machine::StateMachine;
use crate::replica::{CallId, ForwardNumber, ForwardOutcome, Origin, ReadFault, Ticket};
use crate::status::{Facts, Status};

/// What the replica thread is told.
pub(crate) enum Event<M: StateMachine> {
    /// A port hands over what its callers want.
    Submitted { bytes: usize, batch: Vec<Submission<M>> },
    /// Every write up to this token is durable.
    Persisted(PersistToken),
    /// The founding record is durable.
    Founded,
    /// The state machine has executed everything up to here.
    Applied(Applied),
    /// Entries were read back.
    LogRead { ticket: Ticket, outcome: Result<Vec<Entries>, ReadFault> },
    /// A snapshot is durable.
    SnapshotTaken(StoredSnapshot),
    /// No snapshot could be taken.
    SnapshotTakeFailed { reason: String },
    /// So many bytes of a snapshot that comes from a peer are in its file.
    ChunkStored { id: SnapshotId, received: u64 },
    /// A snapshot that came from a peer is whole and durable.
    SnapshotVerified(StoredSnapshot),
    /// What came from a peer is no snapshot.
    SnapshotRejected(SnapshotId),
    /// A piece of a snapshot was read.
    SnapshotRead { ticket: Ticket, outcome: Result<Vec<u8>, String> },
    /// The log begins after this entry.
    Compacted(EntryId),
    /// Somebody wants a snapshot.
    SnapshotWanted(SnapshotWaiter),
    /// The node must stop.
    Stop(StopReason),
}

/// What the apply thread did.
#[derive(Debug)]
pub(crate) struct Applied {
    pub(crate) index: Index,
    pub(crate) application_index: u64,
    pub(crate) answers: Vec<(NodeId, ForwardNumber, ForwardOutcome)>,
}

/// What the apply thread shall do.
pub(crate) enum ApplyJob<M: StateMachine> {
    /// Execute entries.
    Entries { entries: Entries, answers: Few<(Index, Origin)> },
    /// Answer queries once `min_index` is applied; at once where there is none.
    Queries { min_index: Option<Index>, queries: Queries<M> },
    /// Have the present state written down; it is the one after the entry `last`.
    TakeSnapshot { last: EntryId, meta: Vec<u8> },
    /// Take over the state of a snapshot.
    Restore(StoredSnapshot),
    /// End, when everything before is done.
    Stop,
}

/// Who waits for a snapshot.
pub(crate) type SnapshotWaiter = oneshot::Sender<Result<SnapshotId, SnapshotRefusal>>;

/// Opens what a snapshot holds, whatever file system it is on.
pub(crate) trait Contents: Send + Sync {
    /// From its beginning; nothing when no such snapshot is held.
    fn open(&self, id: &SnapshotId) -> Option<Box<dyn io::Read + Send>>;
}

impl<F: Fs> Contents for SnapshotReader<F> {
    fn open(&self, id: &SnapshotId) -> Option<Box<dyn io::Read + Send>> {
        self.content(id).map(|content| Box::new(content) as Box<dyn io::Read + Send>)
    }
}

/// See the module.
pub(crate) struct Shared<M: StateMachine> {
    /// To the replica thread.
    pub(crate) inbox: Mailbox<Event<M>>,
    /// To the apply thread.
    pub(crate) apply: Mailbox<ApplyJob<M>>,
    /// To the snapshots' thread.
    pub(crate) snapshots: Mailbox<SnapshotJob>,
    pub(crate) facts: Facts,
    pub(crate) status: watch::Sender<Status>,
    call_timeout: Duration,
    ports: Mutex<Ports<M>>,
    /// What commands in the inbox and queries without an answer take.
    room: Arc<Room>,
    stopped: OnceLock<StopReason>,
}

struct Ports<M: StateMachine> {
    open: BTreeMap<u32, Arc<Port<M>>>,
    next: u32,
    stopped: bool,
}

impl<M: StateMachine> Shared<M> {
    pub(crate) fn new(status: Status, call_timeout: Duration, queue_limit: usize) -> Self {
        Self {
            inbox: Mailbox::default(),
            apply: Mailbox::default(),
            snapshots: Mailbox::default(),
            facts: Facts::default(),
            status: watch::Sender::new(status),
            call_timeout,
            ports: Mutex::new(Ports { open: BTreeMap::new(), next: 0, stopped: false }),
            room: Arc::new(Room { taken: AtomicUsize::new(0), limit: queue_limit }),
            stopped: OnceLock::new(),
        }
    }

    /// Opens a port; its task has to be started by whoever asked.
    pub(crate) fn register(&self) -> Arc<Port<M>> {
        let mut ports = self.ports.lock().unwrap_or_else(PoisonError::into_inner);
        let id = ports.next;
        ports.next = (id + 1) & 0x00ff_ffff;
        let port = Arc::new(Port::new(id, self.call_timeout));
        if ports.stopped {
            port.answer(&mut vec![PortMessage::Stopped(self.stop_reason())]);
        } else {
            ports.open.insert(id, Arc::clone(&port));
        }
        port
    }

    pub(crate) fn unregister(&self, id: u32) {
        self.ports.lock().unwrap_or_else(PoisonError::into_inner).open.remove(&id);
    }

    fn port(&self, id: u32) -> Option<Arc<Port<M>>> {
        let ports = self.ports.lock().unwrap_or_else(PoisonError::into_inner);
        ports.open.get(&id).map(Arc::clone)
    }

    /// Takes room for a command on its way to the replica; refuses what would exceed the limit.
    /// One command may always be on its way.
    pub(crate) fn charge(&self, bytes: usize) -> Result<(), Refusal> {
        self.room.take(bytes)
    }

    /// Gives the room back.
    pub(crate) fn discharge(&self, bytes: usize) {
        self.room.give_back(bytes);
    }

    /// Takes room for a query, until it is answered or given up.
    pub(crate) fn charge_query(&self, bytes: usize) -> Result<Charge, Refusal> {
        let bytes = CALL_BYTES + bytes;
        self.room.take(bytes)?;
        Ok(Charge { room: Arc::clone(&self.room), bytes })
    }

    /// The refusal of a node that belongs to no cluster yet.
    pub(crate) fn not_founded(&self) -> Option<Refusal> {
        if self.facts.cluster().is_some() {
            return None;
        }
        let waiting_for = self.status.borrow().waiting_for.clone().unwrap_or_default();
        Some(Refusal::NotFounded { waiting_for })
    }

    /// Why the node stopped, or stops.
    pub(crate) fn stop_reason(&self) -> StopReason {
        self.stopped.get().cloned().unwrap_or(StopReason::Shutdown)
    }

    /// Notes why the node stops; the first reason stays.
    pub(crate) fn set_stop_reason(&self, reason: StopReason) -> StopReason {
        self.stopped.get_or_init(|| reason).clone()
    }

    /// Tells every port that nothing comes any more.
    pub(crate) fn stop_ports(&self) {
        let mut ports = self.ports.lock().unwrap_or_else(PoisonError::into_inner);
        ports.stopped = true;
        for port in std::mem::take(&mut ports.open).into_values() {
            port.answer(&mut vec![PortMessage::Stopped(self.stop_reason())]);
        }
    }
}

/// What a call or query takes beside itself, roughly.
pub(crate) const CALL_BYTES: usize = 64;

/// Bytes of what is under way in a node, and the bytes that may be.
#[derive(Debug)]
struct Room {
    taken: AtomicUsize,
    limit: usize,
}

impl Room {
    fn take(&self, bytes: usize) -> Result<(), Refusal> {
        let taken = self.taken.fetch_add(bytes, Ordering::Relaxed);
        if taken > 0 && taken + bytes > self.limit {
            self.give_back(bytes);
            return Err(Refusal::Overloaded);
        }
        Ok(())
    }

    fn give_back(&self, bytes: usize) {
        self.taken.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// The room that one query takes, given back with it.
#[derive(Debug)]
pub(crate) struct Charge {
    room: Arc<Room>,
    bytes: usize,
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.room.give_back(self.bytes);
    }
}

/// Answers on their way to the ports, gathered so that each port is woken once.
pub(crate) struct Outgoing<M: StateMachine> {
    ports: BTreeMap<u32, Pouch<M>>,
}

/// A port with what is on its way to it.
type Pouch<M> = (Arc<Port<M>>, Vec<PortMessage<M>>);

impl<M: StateMachine> Default for Outgoing<M> {
    fn default() -> Self {
        Self { ports: BTreeMap::new() }
    }
}

impl<M: StateMachine> Outgoing<M> {
    pub(crate) fn push(&mut self, shared: &Shared<M>, call: CallId, ended: Ended<M>) {
        let id = Port::<M>::of(call);
        let message = PortMessage::Ended(call, ended);
        if let Some((_, messages)) = self.ports.get_mut(&id) {
            messages.push(message);
        } else if let Some(port) = shared.port(id) {
            self.ports.insert(id, (port, vec![message]));
        }
    }

    /// Sends everything gathered. Ports that had nothing this time are looked up again.
    pub(crate) fn flush(&mut self) {
        self.ports.retain(|_, (port, messages)| {
            let used = !messages.is_empty();
            port.answer(messages);
            used
        });
    }
}
