//! Snapshots as the replica sees them: when one is taken, what the log gives up for it, which files
//! stay, and how one that was received takes the place of log and state.
//!
//! - A snapshot is taken of what was handed to the state machine, at the very entry at which so many
//!   entries or bytes, and no fewer than the last one has, were since that: equal on every node that was not busy then. One at a
//!   time; what came due meanwhile is made up for.
//! - It is installed in this order: file durable, log begins after it, and only then do protocol,
//!   tail, feed and state machine know of it.
//! - A call whose entry a snapshot covers ends as unknown: nobody executes that entry here.
//! - Bytes of a piece stay with the message that names them, and leave only in its term.

use std::collections::BTreeMap;

use quorate_core::{SnapshotChunk, SnapshotId, mutant};
use quorate_log::Compact;

use super::*;
use crate::snapshot::SnapshotMeta;

/// See the module.
#[derive(Debug)]
pub(super) struct Snapshots {
    /// Entries and bytes handed out after which a snapshot is due.
    every: (u64, u64),
    /// Entries and bytes handed out since it was last.
    since: (u64, u64),
    /// Log time of the last entry handed out.
    log_time_ms: u64,
    /// Log time of the base, as far as is known: exact where nothing follows it.
    base_time_ms: u64,
    /// The last entry of the newest snapshot, and its log time.
    newest: (EntryId, u64),
    /// Commands up to and with the base.
    base_commands: u64,
    /// One is due.
    wanted: bool,
    /// One is being taken.
    taking: bool,
    /// One whose file cannot be read, and in whose place another was asked for.
    spoilt: Option<SnapshotId>,
    /// What the log is being told to begin after.
    compacting: Option<EntryId>,
    /// A snapshot that was received and is durable; the log is being told to begin after it.
    installing: Option<(StoredSnapshot, SnapshotMeta)>,
    /// Files that are there.
    files: Vec<SnapshotId>,
    /// Pieces that are being read for peers.
    reading: BTreeMap<Ticket, Send>,
    /// Bytes of the message that is being handled.
    incoming: Option<Arc<Vec<u8>>>,
}

impl Snapshots {
    pub(super) fn new(
        config: &ReplicaConfig,
        application_index: u64,
        newest: Option<(SnapshotId, u64)>,
    ) -> Self {
        let (last, log_time_ms) = newest.map_or_else(Default::default, |(id, at)| (id.last, at));
        Self {
            every: (config.snapshot_entries.max(1), config.snapshot_bytes.max(1)),
            since: (0, 0),
            log_time_ms,
            base_time_ms: 0,
            newest: (last, log_time_ms),
            base_commands: application_index,
            wanted: false,
            taking: false,
            spoilt: None,
            compacting: None,
            installing: None,
            files: newest.into_iter().map(|(id, _)| id).collect(),
            reading: BTreeMap::new(),
            incoming: None,
        }
    }

    /// Commands up to and with the entry before the log's first.
    pub(super) const fn base_commands(&self) -> u64 {
        self.base_commands
    }

    pub(super) const fn is_taking(&self) -> bool {
        self.taking
    }

    /// Whether a snapshot that was received, and that covers this entry, is taking the log's place.
    pub(super) fn is_installing_over(&self, index: Index) -> bool {
        self.installing.as_ref().is_some_and(|(stored, _)| stored.id.last.index >= index)
    }

    /// Bytes of pieces that are being read.
    pub(super) fn reading_bytes(&self) -> u64 {
        self.reading
            .values()
            .filter_map(|send| chunk_of(&send.envelope))
            .map(|chunk| u64::from(chunk.bytes))
            .sum()
    }

    /// Counts entries that are handed out; the first of them after which a snapshot is due. For
    /// their bytes it is not before they outweigh the newest snapshot: what a large state costs to
    /// write down stays below what its entries cost.
    fn due_within(&self, entries: &Entries, newest_bytes: u64) -> Option<Index> {
        let (count, bytes) = (entries.last().distance(entries.first()) + 1, entries.bytes().len());
        let (most_entries, most_bytes) = (self.every.0, self.every.1.max(newest_bytes));
        let (mut counted, mut counted_bytes) = self.since;
        if counted + count < most_entries && counted_bytes.saturating_add(bytes as u64) < most_bytes
        {
            return None;
        }
        for entry in entries.iter() {
            counted += 1;
            counted_bytes += (RECORD_HEADER_BYTES + entry.payload.len()) as u64;
            if counted >= most_entries || counted_bytes >= most_bytes {
                return Some(entry.id.index);
            }
        }
        None
    }

    fn handed(&mut self, entries: &Entries) {
        self.since.0 += entries.last().distance(entries.first()) + 1;
        self.since.1 += entries.bytes().len() as u64;
        self.log_time_ms = self.log_time_ms.max(entries.last_log_time_ms());
    }
}

/// What a message says of a piece, where it is one.
fn chunk_of(envelope: &Envelope) -> Option<SnapshotChunk> {
    match envelope.message {
        Message::SnapshotChunk(chunk) => Some(chunk),
        _ => None,
    }
}

// Taking one.
impl Replica {
    /// Hands entries to the state machine, and has a snapshot taken after the one where it is due.
    pub(super) fn hand_out(&mut self, entries: Entries, out: &mut impl Effects) {
        let mut rest = entries;
        let newest_bytes = self.raft.snapshot().map_or(0, |id| id.bytes);
        while let Some(due) = self.snapshots.due_within(&rest, newest_bytes) {
            let (first, last) = (rest.first(), rest.last());
            let part = rest.part(first, due).expect("the entry is one of these");
            self.hand_out_part(part, out);
            self.snapshots.since = (0, 0);
            self.snapshots.wanted = true;
            self.take_snapshot(out);
            let Some(after) = rest.part(due.next(), last).filter(|_| due < last) else { return };
            rest = after;
        }
        self.hand_out_part(rest, out);
    }

    fn hand_out_part(&mut self, entries: Entries, out: &mut impl Effects) {
        self.snapshots.handed(&entries);
        self.hand_out_entries(entries, out);
    }

    /// Somebody asks for one.
    pub(super) fn want_snapshot(&mut self, out: &mut impl Effects) {
        self.snapshots.wanted = true;
        self.take_snapshot(out);
    }

    /// Has the one taken that is due, where nothing stands against it.
    fn take_snapshot(&mut self, out: &mut impl Effects) {
        let snapshots = &mut self.snapshots;
        if !snapshots.wanted || snapshots.taking || snapshots.installing.is_some() {
            return;
        }
        snapshots.wanted = false;
        let index = self.feed.handed_out();
        // Where nothing was executed since, the same bytes take the place of a file that is spoilt.
        let newest = self.raft.snapshot();
        let has_more = newest.is_none_or(|id| id.last.index < index || snapshots.spoilt == newest);
        let Some(term) = self.raft.term_at(index).filter(|_| index > Index::ZERO && has_more)
        else {
            return;
        };
        let at = if mutant!(SnapshotEndsTooEarly) { index.previous() } else { index };
        let meta = SnapshotMeta {
            roster: self.roster_at(index),
            log_time_ms: self.snapshots.log_time_ms,
            application_index: self.commands_through(index),
        };
        self.snapshots.taking = true;
        self.snapshots.since = (0, 0);
        self.counters.snapshots_begun += 1;
        let last = EntryId::new(at, term);
        out.push(ReplicaEffect::TakeSnapshot { last, meta: meta.encode() });
    }

    pub(super) fn snapshot_taken(
        &mut self,
        now: Instant,
        snapshot: &StoredSnapshot,
        out: &mut impl Effects,
    ) {
        self.snapshots.taking = false;
        if !self.snapshots.files.contains(&snapshot.id) {
            self.snapshots.files.push(snapshot.id);
        }
        if snapshot.id.last.index > self.snapshots.newest.0.index
            && let Ok(meta) = SnapshotMeta::decode(&snapshot.meta)
        {
            self.snapshots.newest = (snapshot.id.last, meta.log_time_ms);
        }
        self.step(now, Input::SnapshotTaken(snapshot.id), out);
        self.tidy_snapshots(out);
        self.take_snapshot(out);
    }

    pub(super) fn snapshot_take_failed(&mut self, out: &mut impl Effects) {
        self.snapshots.taking = false;
        self.counters.snapshots_failed += 1;
        self.take_snapshot(out);
    }

    /// Lets go of entries and files that nobody needs.
    pub(super) fn tidy_snapshots(&mut self, out: &mut impl Effects) {
        let snapshots = &mut self.snapshots;
        if snapshots.files.len() > 1 {
            let in_use = self.raft.snapshots_in_use();
            let known = snapshots.files.len();
            snapshots.files.retain(|id| in_use.contains(id));
            if snapshots.files.len() < known {
                out.push(ReplicaEffect::KeepSnapshots(in_use));
            }
        }
        if snapshots.compacting.is_none() && snapshots.installing.is_none() {
            let Some(base) = self.raft.compaction_target() else { return };
            self.snapshots.compacting = Some(base);
            let (newest, newest_time_ms) = self.snapshots.newest;
            if newest == base {
                self.snapshots.base_time_ms = newest_time_ms;
            }
            let meta = SnapshotMeta {
                roster: self.roster_at(base.index),
                log_time_ms: self.snapshots.base_time_ms,
                application_index: self.commands_through(base.index),
            };
            out.push(ReplicaEffect::Compact(Compact { base, meta: meta.encode() }));
        }
    }

    fn roster_at(&self, index: Index) -> Arc<Roster> {
        let (_, roster) = self
            .rosters
            .iter()
            .rev()
            .find(|(from, _)| *from <= index)
            .expect("there is a roster at the base");
        Arc::clone(roster)
    }
}

// What the log and the store report.
impl Replica {
    /// The log begins after `base`.
    pub(super) fn log_begins(&mut self, now: Instant, base: EntryId, out: &mut impl Effects) {
        let is_it = |(snapshot, _): &mut (StoredSnapshot, SnapshotMeta)| snapshot.id.last == base;
        if let Some((snapshot, meta)) = self.snapshots.installing.take_if(is_it) {
            self.install(now, snapshot, &meta, out);
        } else {
            if self.snapshots.compacting == Some(base) {
                self.snapshots.compacting = None;
            }
            self.snapshots.base_commands = self.commands_through(base.index);
            let covered = self.rosters.partition_point(|(index, _)| *index <= base.index);
            self.rosters.drain(..covered.saturating_sub(1));
            self.step(now, Input::Compacted(base), out);
        }
        self.tidy_snapshots(out);
        self.take_snapshot(out);
    }

    /// A snapshot that was received is durable.
    pub(super) fn snapshot_verified(
        &mut self,
        now: Instant,
        snapshot: StoredSnapshot,
        out: &mut impl Effects,
    ) {
        self.snapshots.files.push(snapshot.id);
        let Ok(meta) = SnapshotMeta::decode(&snapshot.meta) else {
            // It was made by a program that says more than this one understands.
            self.counters.snapshots_failed += 1;
            return self.step(now, Input::SnapshotFailed(snapshot.id), out);
        };
        let (base, head) = (snapshot.id.last, snapshot.meta.clone());
        out.push(ReplicaEffect::Compact(Compact { base, meta: head }));
        self.snapshots.installing = Some((snapshot, meta));
    }

    /// File and log are durable: all that remembers entries begins after the snapshot.
    fn install(
        &mut self,
        now: Instant,
        snapshot: StoredSnapshot,
        meta: &SnapshotMeta,
        out: &mut impl Effects,
    ) {
        let last = snapshot.id.last;
        let keeps_suffix = self.raft.term_at(last.index) == Some(last.term);
        let mut lost = Vec::new();
        self.proposals.covered(last.index, &mut lost);
        if !keeps_suffix {
            self.proposals.truncated(last.index.next(), &mut lost);
            self.tail.restart(last, meta.log_time_ms);
        }
        self.end_lost(&lost, out);
        self.rosters.retain(|(index, _)| keeps_suffix && *index > last.index);
        self.rosters.insert(0, (last.index, Arc::clone(&meta.roster)));
        out.push(ReplicaEffect::Roster(self.roster()));
        self.feed.restored(last.index);
        self.snapshots.since = (0, 0);
        self.snapshots.log_time_ms = meta.log_time_ms;
        self.snapshots.base_time_ms = meta.log_time_ms;
        self.snapshots.newest = (last, meta.log_time_ms);
        self.snapshots.base_commands = meta.application_index;
        self.counters.snapshots_installed += 1;
        let (id, membership) = (snapshot.id, Arc::new(meta.roster.membership()));
        out.push(ReplicaEffect::Restore(snapshot));
        self.step(now, Input::SnapshotInstalled { id, membership }, out);
    }
}

// Pieces.
impl Replica {
    /// Has the bytes of a piece read that a peer is to be sent.
    #[cold]
    pub(super) fn read_piece(&mut self, send: Send, out: &mut impl Effects) {
        let Some(chunk) = chunk_of(&send.envelope) else { return };
        let SnapshotChunk { id, offset, bytes } = chunk;
        // A disk that is slow, or stuck, is not asked again for what it was asked for.
        let is_same = |other: &&mut Send| {
            other.envelope.to == send.envelope.to && chunk_of(&other.envelope) == Some(chunk)
        };
        if let Some(asked) = self.snapshots.reading.values_mut().find(is_same) {
            *asked = send;
            return;
        }
        let ticket = self.next_ticket();
        self.snapshots.reading.insert(ticket, send);
        out.push(ReplicaEffect::ReadSnapshot { ticket, id, offset, bytes });
    }

    /// The bytes of a piece are there: it leaves, where it still may.
    pub(super) fn piece_read(
        &mut self,
        now: Instant,
        ticket: Ticket,
        outcome: Result<Vec<u8>, String>,
        out: &mut impl Effects,
    ) {
        let Some(send) = self.snapshots.reading.remove(&ticket) else { return };
        let Send { envelope, after } = send;
        if envelope.term != self.raft.term() {
            return;
        }
        let (to, request) = (envelope.to, envelope.request);
        let is_whole =
            |data: &Vec<u8>| chunk_of(&envelope).is_some_and(|c| c.bytes as usize == data.len());
        if outcome.is_err() {
            self.piece_unreadable(now, &envelope, out);
        }
        match outcome.ok().filter(is_whole).filter(|_| self.outbox.is_durable(after)) {
            Some(data) => {
                let data = Arc::new(data);
                out.push(ReplicaEffect::Send { to, frame: Frame::chunk(*envelope, data) });
            }
            None => {
                self.counters.sends_dropped += 1;
                self.step(now, Input::SendDropped { to, request }, out);
            }
        }
    }

    /// A snapshot that is sent to peers cannot be read: one more is taken in its place, once.
    #[cold]
    fn piece_unreadable(&mut self, now: Instant, envelope: &Envelope, out: &mut impl Effects) {
        let Some(SnapshotChunk { id, .. }) = chunk_of(envelope) else { return };
        self.step(now, Input::SnapshotUnreadable(id), out);
        if self.snapshots.spoilt != Some(id) {
            self.snapshots.spoilt = Some(id);
            self.snapshots.wanted = true;
            self.take_snapshot(out);
        }
    }

    /// A piece arrives with its bytes.
    #[cold]
    pub(super) fn handle_chunk(
        &mut self,
        now: Instant,
        envelope: &Envelope,
        data: Arc<Vec<u8>>,
        out: &mut impl Effects,
    ) {
        if chunk_of(envelope).is_none_or(|chunk| chunk.bytes as usize != data.len()) {
            self.counters.frames_dropped += 1;
            return;
        }
        self.snapshots.incoming = Some(data);
        self.raft.receive(now, envelope, &mut self.effects);
        self.obey(now, &[], out);
        self.snapshots.incoming = None;
    }

    /// The core wants the piece that came in the file.
    pub(super) fn store_piece(&mut self, id: SnapshotId, offset: u64, out: &mut impl Effects) {
        let data = self.snapshots.incoming.take().expect("a piece comes with its bytes");
        out.push(ReplicaEffect::StoreChunk { id, offset, data });
    }
}
