//! The thread of each node that keeps its snapshots, a step whenever its disk is through with the one
//! before; the reader of their pieces, and what the state machine's thread does for them.
//!
//! The store is the one of production, on the disk that the log is on.

use quorate::applier::Applier;
use quorate::replica::{ReplicaEffect, ReplicaInput, Ticket};
use quorate::{SnapshotMeta, SnapshotView, StateMachine};
use quorate_core::{EntryId, SnapshotId};
use quorate_log::StoredSnapshot;
use quorate_log::snapshot::{Content, SnapshotProgress};

use super::observed::{Observed, digest};
use super::trace::SnapshotStep;
use super::workload::Workload;
use super::{Event, World};
use crate::invariants::{Broken, Name};

/// A piece of a snapshot that is to be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    ticket: Ticket,
    id: SnapshotId,
    offset: u64,
    bytes: u32,
}

/// A view of a state machine as the store takes it.
struct Viewed<V>(V);

impl<V: SnapshotView> Content for Viewed<V> {
    fn next(&mut self, room: &mut Vec<u8>) -> Result<bool, String> {
        self.0.next(room).map_err(|error| error.to_string())
    }
}

/// What tells one state from another by the bytes of a snapshot of it.
pub(super) fn digest_of<M: StateMachine>(
    applier: &mut Applier<Observed<M>>,
) -> Result<u64, Broken> {
    let (applied, mut bytes) = (applier.applied(), Vec::new());
    let mut view = applier.view();
    while view.next(&mut bytes).map_err(|error| {
        let what = format!("the state after {applied} cannot be written: {error}");
        Broken::new("states become bytes", what)
    })? {}
    Ok(digest(&bytes))
}

impl<M: StateMachine + Default, W: Workload<M>> World<M, W> {
    /// What a replica asks of the log, the store and the reader for snapshots.
    pub(super) fn perform_snapshot(&mut self, node: usize, effect: ReplicaEffect) {
        let Some(live) = self.nodes[node].live() else { return };
        match effect {
            ReplicaEffect::Compact(compact) => {
                live.log.compact(compact);
                return self.start_log(node);
            }
            ReplicaEffect::ReceiveSnapshot(id) => {
                live.opening_part = true;
                live.snapshots.receive(id);
            }
            ReplicaEffect::StoreChunk { id, offset, data } => {
                live.snapshots.store(id, offset, data);
                self.count("piece stored");
            }
            ReplicaEffect::InstallSnapshot(id) => live.snapshots.install(id),
            ReplicaEffect::KeepSnapshots(ids) => live.snapshots.keep(&ids),
            ReplicaEffect::ReadSnapshot { ticket, id, offset, bytes } => {
                let piece = Piece { ticket, id, offset, bytes };
                let (life, at) = (self.nodes[node].life, self.disk_done(node));
                let Some(live) = self.nodes[node].live() else { return };
                live.pieces_read_at = at.max(live.pieces_read_at + 1);
                let at = live.pieces_read_at;
                return self.at(at, Event::ReadPiece { node, life, piece });
            }
            other => unreachable!("nothing about snapshots: {other:?}"),
        }
        self.start_snapshots(node);
    }

    fn start_snapshots(&mut self, node: usize) {
        let life = self.nodes[node].life;
        let Some(live) = self.nodes[node].live() else { return };
        if !core::mem::replace(&mut live.snapshots_busy, true) {
            let at = self.disk_done(node);
            self.at(at, Event::SnapshotStep { node, life });
        }
    }

    pub(super) fn step_snapshots(&mut self, node: usize) -> Result<(), Broken> {
        if self.postpone(node, |node, life| Event::SnapshotStep { node, life }) {
            return Ok(());
        }
        if self.crashes_at_effect(node, 10) {
            return Ok(());
        }
        let Some(live) = self.nodes[node].live() else { return Ok(()) };
        live.snapshots_busy = false;
        let progress = live.snapshots.step();
        let disk_fails = self.feel_disk(node);
        self.trace.step(self.now, [7, node as u64, 0]);
        let progress = match progress {
            Ok(progress) => progress,
            // The process says so and exits.
            Err(_) if disk_fails => {
                self.count("log failed");
                self.crash(node);
                return Ok(());
            }
            Err(error) => {
                let what = format!("{node}: {error}", node = Name(node));
                return Err(Broken::new("a store of snapshots fails with its disk alone", what));
            }
        };
        if disk_fails && let Some(live) = self.nodes[node].live() {
            live.snapshots_hit += 1;
        }
        self.report_snapshots(node, progress)?;
        if self.nodes[node].as_live().is_some_and(|live| !live.snapshots.is_idle()) {
            self.start_snapshots(node);
        }
        Ok(())
    }

    /// What the store did goes to the replica.
    fn report_snapshots(&mut self, node: usize, progress: SnapshotProgress) -> Result<(), Broken> {
        match progress {
            SnapshotProgress::Taken(snapshot) => {
                self.count("snapshot taken");
                self.note_snapshot(node, SnapshotStep::Taken, snapshot.id.last);
                self.check_snapshot(node, &snapshot)?;
                self.give(node, ReplicaInput::SnapshotTaken(snapshot));
            }
            SnapshotProgress::TakeFailed(reason) => {
                self.count("snapshot not taken");
                let reason = reason.to_string();
                self.excuse_snapshot(node, &reason)?;
                self.give(node, ReplicaInput::SnapshotTakeFailed { reason });
            }
            SnapshotProgress::Received { id, received } => {
                let live = self.nodes[node].live();
                let opens = live.is_some_and(|live| core::mem::take(&mut live.opening_part));
                if opens && received > 0 {
                    self.count("snapshot resumed");
                }
                self.give(node, ReplicaInput::ChunkStored { id, received });
            }
            SnapshotProgress::Rejected { id, reason } => {
                self.count("snapshot rejected");
                // What was sent may have been damaged where it came from.
                if !self.facts.any_rotted() {
                    self.excuse_snapshot(node, &reason.to_string())?;
                }
                self.give(node, ReplicaInput::SnapshotRejected(id));
            }
            SnapshotProgress::Installed(snapshot) => {
                self.count("snapshot received");
                self.note_snapshot(node, SnapshotStep::Received, snapshot.id.last);
                self.check_snapshot(node, &snapshot)?;
                // The log has not given way to it yet.
                if self.crashes_at_effect(node, 1_000) {
                    return Ok(());
                }
                self.give(node, ReplicaInput::SnapshotVerified(snapshot));
            }
            _ => {}
        }
        Ok(())
    }

    /// A snapshot was not taken, or not received: the disk did that, which fails some operations before
    /// it is said.
    fn excuse_snapshot(&mut self, node: usize, reason: &str) -> Result<(), Broken> {
        if let Some(live) = self.nodes[node].live()
            && let Some(left) = live.snapshots_hit.checked_sub(1)
        {
            live.snapshots_hit = left;
            return Ok(());
        }
        let what = format!("{}: {reason}", Name(node));
        Err(Broken::new("a snapshot fails with its disk alone", what))
    }

    /// A snapshot is durable on a node: it is the one that any node has of that entry.
    pub(super) fn check_snapshot(
        &mut self,
        node: usize,
        snapshot: &StoredSnapshot,
    ) -> Result<(), Broken> {
        let meta = SnapshotMeta::decode(&snapshot.meta).map_err(|error| {
            let what = format!("{} has {}: {error}", Name(node), snapshot.id);
            Broken::new("a snapshot says what it holds", what)
        })?;
        self.facts.snapshot_durable(node, snapshot.id, &meta)
    }

    /// The reader's thread: the piece may be gone, with the file that it was of.
    pub(super) fn read_piece(&mut self, node: usize, piece: Piece) -> Result<(), Broken> {
        if self.postpone(node, |node, life| Event::ReadPiece { node, life, piece }) {
            return Ok(());
        }
        let Piece { ticket, id, offset, bytes } = piece;
        let Some(live) = self.nodes[node].live() else { return Ok(()) };
        let read = live.snapshots.reader().read(&id, offset, bytes as usize);
        self.feel_disk(node);
        let outcome = read.map_err(|error| error.to_string());
        self.give(node, ReplicaInput::SnapshotRead { ticket, outcome });
        Ok(())
    }

    /// The state machine's thread is to write its state down.
    pub(super) fn take_snapshot(&mut self, node: usize, last: EntryId, meta: Vec<u8>) {
        let Some(live) = self.nodes[node].live() else { return };
        let content = Box::new(Viewed(live.applier.view()));
        live.snapshots.take(last, meta, content);
        self.start_snapshots(node);
    }

    /// The state machine's thread is to take the state of a snapshot.
    pub(super) fn restore(&mut self, node: usize, snapshot: &StoredSnapshot) -> Result<(), Broken> {
        let Some(live) = self.nodes[node].live() else { return Ok(()) };
        let broken = |what: String| {
            let what = format!("{} cannot restore {}: {what}", Name(node), snapshot.id);
            Broken::new("a snapshot restores", what)
        };
        let meta = SnapshotMeta::decode(&snapshot.meta).map_err(|e| broken(e.to_string()))?;
        let content = live.snapshots.content(&snapshot.id);
        let Some(mut content) = content else { return Err(broken("it is gone".to_owned())) };
        let restored = live.applier.restore(snapshot.id.last.index, &meta, &mut content);
        let may_fail = self.feel_disk(node) || self.facts.has_rotten_snapshot(node);
        if may_fail && restored.is_err() {
            self.count("log failed");
            self.crash(node);
            return Ok(());
        }
        restored.map_err(|error| broken(error.to_string()))?;
        self.count("snapshot restored");
        self.note_snapshot(node, SnapshotStep::Restored, snapshot.id.last);
        let Some(live) = self.nodes[node].live() else { return Ok(()) };
        let state = digest_of(&mut live.applier)?;
        let commands = live.applier.application_index();
        self.facts.restored(node, snapshot.id, (commands, state))
    }
}
