//! Turns the next queued job into operations.
//!
//! Planning touches no file. It decides which writes share a batch, whether the batch still fits
//! its segment, and encodes it; [`Log::step`](super::Log::step) then does the operations in order.

use quorate_core::{EntryId, HardState, Index, PersistToken, mutant};

use super::{
    Action, Batch, Compact, Current, Effect, Job, Log, Outcome, Progress, Replacing, Write,
};
use crate::batch::{self, BatchHeader};
use crate::block::Entries;
use crate::fs::Fs;
use crate::hard_state::{Copy, HardStateRecord};
use crate::segment::SegmentHeader;
use crate::small::{Small, SmallKind};
use crate::whiten::mix;

/// Bytes of a segment that a write has to wait for, because none was made ahead.
const HURRIED_BYTES: u64 = 4 << 20;

/// Writes that became one.
#[derive(Debug, Default)]
struct Group {
    token: PersistToken,
    truncate_from: Option<Index>,
    entries: Vec<Entries>,
    bytes: u64,
}

impl<F: Fs> Log<F> {
    /// Takes the next job from the queue, if there is one.
    pub(super) fn plan(&mut self) {
        match self.queue.pop_front() {
            None => {}
            Some(Job::Write(write)) => self.plan_writes(write),
            Some(Job::Compact(compact)) => self.plan_compact(compact),
            Some(Job::Found(cluster, record)) => {
                self.outcome = Some(Outcome::Founded(cluster));
                let small = Small {
                    kind: SmallKind::Founding,
                    node: self.identity.node,
                    cluster,
                    numbers: [0; 3],
                    content: record,
                };
                let bytes = small.encode();
                self.plan_small(small.kind, bytes, Effect::Founding(cluster, small.content));
            }
            Some(Job::Fence) => {
                self.outcome = Some(Outcome::Fenced);
                if !self.fenced {
                    // A fence knows of no commit index: what is durable need not be committed.
                    // Recovery takes the highest that any batch recorded.
                    self.plan_batch(Group::default(), self.hard_state.state);
                }
            }
        }
    }

    /// What the shell is told when a job's last operation is done.
    pub(super) fn finish(&mut self, outcome: &Outcome) -> Progress {
        match *outcome {
            Outcome::Persisted(token) => Progress::Persisted(token),
            Outcome::Compacted(base) => Progress::Compacted(base),
            Outcome::Founded(cluster) => Progress::Founded(cluster),
            Outcome::Fenced => Progress::Fenced,
        }
    }

    /// Takes a write and those behind it that fit into one batch with it.
    fn plan_writes(&mut self, write: Write) {
        let limit = (self.config.batch_bytes as u64).min(self.config.segment_bytes / 2);
        let mut state = self.hard_state.state;
        let mut group = Group { truncate_from: write.truncate_from, ..Group::default() };
        let mut next = Some(write);
        while let Some(write) = next.take() {
            if let Some(hard_state) = write.hard_state {
                assert!(hard_state.term >= state.term, "terms of a node never decrease");
                state = hard_state;
            }
            group.token = write.token;
            self.commit = self.commit.max(write.commit);
            for entries in write.entries {
                group.bytes += entries.bytes().len() as u64;
                group.entries.push(entries);
            }
            next = match self.queue.front() {
                Some(Job::Write(behind))
                    if behind.truncate_from.is_none()
                        && group.bytes + bytes_of(behind) <= limit =>
                {
                    match self.queue.pop_front() {
                        Some(Job::Write(behind)) => Some(behind),
                        _ => None,
                    }
                }
                _ => None,
            };
        }
        self.outcome = Some(Outcome::Persisted(group.token));
        let last = self.check(&group);
        assert!(last.term <= state.term, "no entry has a higher term than the hard state");
        if group.truncate_from.is_some_and(|from| from > self.table().last.index) {
            group.truncate_from = None;
        }
        if group.truncate_from.is_some() || !group.entries.is_empty() {
            self.plan_batch(group, state);
        } else if state != self.hard_state.state {
            self.plan_hard_state(state, self.segment());
        }
    }

    /// Position of the segment that takes the writes; zero when there is none.
    fn segment(&self) -> u64 {
        self.current.as_ref().map_or(0, |current| current.header.sequence)
    }

    /// Checks that a group follows what the log holds; gives the last entry with it.
    fn check(&self, group: &Group) -> EntryId {
        let table = self.table();
        let mut last = table.last;
        if let Some(from) = group.truncate_from {
            assert!(from > table.base.index, "no truncation reaches into the compacted prefix");
            assert!(from <= last.index.next(), "a truncation begins in the log or at its end");
            let term = table.term_at(from.previous()).expect("checked to be in the log");
            last = EntryId::new(from.previous(), term);
        }
        for entries in &group.entries {
            assert_eq!(entries.first(), last.index.next(), "entries follow the log without a gap");
            assert!(entries.first_id().term >= last.term, "terms of a log never decrease");
            last = entries.last_id();
        }
        last
    }

    /// Plans to write both copies of the hard state, naming a segment that is durable by then.
    ///
    /// At most once per job: what is planned is one record.
    fn plan_hard_state(&mut self, state: HardState, segment: u64) {
        assert_eq!(self.next_hard_state, self.hard_state, "one record is under way at a time");
        self.next_hard_state = HardStateRecord {
            sequence: self.hard_state.sequence + 1,
            cluster: self.identity.cluster,
            state,
            durable_batch: self.chain.0,
            segment,
            ..self.hard_state
        };
        let both: &[Copy] = &[Copy::A, Copy::B];
        for &copy in if mutant!(OneHardStateCopy) { &both[..1] } else { both } {
            self.actions.extend([Action::HardStateWrite(copy), Action::HardStateSync(copy)]);
        }
    }

    /// Encodes a batch and plans it, with a segment before it when the present one has no room,
    /// and term and vote before it when they changed.
    fn plan_batch(&mut self, group: Group, state: HardState) {
        assert!(self.identity.founding.is_some(), "a log belongs to a founded cluster");
        let fence = group.truncate_from.is_none() && group.entries.is_empty();
        let extent = |sector| {
            batch::extent(group.bytes, sector).expect("entries in memory are smaller than that")
        };
        // One sector stays free, so that the last batch of every segment can have its fence.
        let reserve = |sector| if fence { 0 } else { u64::from(sector) };
        let fits = |current: &Current<F::File>| {
            let sector = current.header.sector_bytes;
            let end = current.end + extent(sector) + reserve(sector);
            !current.sealed && end <= current.header.capacity
        };
        let (segment, offset) = match self.current.as_ref().filter(|current| fits(current)) {
            Some(current) => {
                let place = (current.header, current.end);
                if state != self.hard_state.state {
                    self.plan_hard_state(state, self.segment());
                }
                place
            }
            None => {
                let sector = self.config.sector_bytes;
                let needed = u64::from(sector) + extent(sector) + reserve(sector);
                let header = self.plan_segment(needed, state);
                (header, header.body())
            }
        };
        let last = group.entries.last().map(Entries::last_id);
        let bound = last.map_or_else(
            || group.truncate_from.map_or(self.table().last.index, Index::previous),
            |last| last.index,
        );
        let header = BatchHeader {
            cluster: self.identity.cluster,
            node: self.identity.node,
            segment_id: segment.id,
            sequence: self.chain.0 + 1,
            offset,
            body_bytes: group.bytes,
            first: group.entries.first().map(Entries::first_id).unwrap_or_default(),
            last: last.unwrap_or_default(),
            commit: self.commit.min(bound),
            boot: self.hard_state.boot,
            durable: self.chain.0,
            truncate_from: group.truncate_from.unwrap_or_default(),
            previous: self.chain.1,
        };
        let hash = batch::encode(&header, &group.entries, &segment, &mut self.buffer);
        self.batch = Some(Batch {
            offset,
            extent: extent(segment.sector_bytes),
            sequence: header.sequence,
            hash,
            fence,
            truncate_from: group.truncate_from,
            entries: group.entries,
        });
        self.actions.extend([Action::BatchWrite, Action::BatchSync]);
    }

    /// Plans a segment with room for at least this many bytes; gives its header.
    fn plan_segment(&mut self, needed: u64, state: HardState) -> SegmentHeader {
        let start = self.table().last;
        let previous = self.current.as_ref();
        let sequence = previous.map_or(1, |current| current.header.sequence + 1);
        // A write waits for this segment: as much as is ready, or a short one.
        let hurried = self.config.segment_bytes.min(HURRIED_BYTES);
        let header = SegmentHeader {
            sector_bytes: self.config.sector_bytes,
            cluster: self.identity.cluster,
            node: self.identity.node,
            id: segment_id(self.seed, self.identity.node.get(), self.hard_state.boot.0, sequence),
            sequence,
            boot: self.hard_state.boot,
            capacity: needed.max(self.spare.capacity()).max(hurried),
            previous_id: previous.map_or(0, |current| current.header.id),
            previous_end: previous.map_or(0, |current| current.end),
            previous_batch: self.chain.0,
            previous_hash: self.chain.1,
            start,
        };
        self.next_segment = Some(header);
        self.actions.extend([
            Action::Spare,
            Action::SegmentHeader,
            Action::SegmentHeaderSync,
            Action::SegmentName,
            Action::SegmentNameSync,
        ]);
        // From here on the loss of this file cannot pass for a log that never had it.
        self.plan_hard_state(state, sequence);
        header
    }

    fn plan_small(&mut self, kind: SmallKind, bytes: Vec<u8>, effect: Effect) {
        self.replacing = Some(Replacing { name: kind.name(), bytes, file: None, effect });
        self.actions.extend([
            Action::SmallCreate,
            Action::SmallWrite,
            Action::SmallSync,
            Action::SmallName,
            Action::SmallNameSync,
        ]);
    }

    fn plan_compact(&mut self, compact: Compact) {
        let Compact { base, meta } = compact;
        let present = self.table().base;
        if base.index <= present.index {
            self.outcome = Some(Outcome::Compacted(present));
            return;
        }
        assert!(base.term <= self.hard_state.state.term, "a base's term was seen before");
        self.outcome = Some(Outcome::Compacted(base));
        let small = Small {
            kind: SmallKind::Base,
            node: self.identity.node,
            cluster: self.identity.cluster,
            numbers: [base.index.0, base.term.0, self.chain.0],
            content: meta,
        };
        self.plan_small(SmallKind::Base, small.encode(), Effect::Base(base));
        self.actions.push_back(Action::RemoveSegments);
    }

    /// Lets the log begin after a base whose file is durable.
    pub(super) fn rebase(&mut self, base: EntryId) {
        let mut table = self.table();
        let replaced = !table.holds(base);
        table.rebase(base);
        drop(table);
        if replaced && self.current.is_some() {
            // The old segments hold nothing that counts, but the chain of batches runs through
            // them: they may go only when a segment exists that continues it.
            self.plan_segment_first();
        }
    }

    /// Plans a segment before what is planned already.
    fn plan_segment_first(&mut self) {
        let planned = std::mem::take(&mut self.actions);
        self.plan_segment(0, self.hard_state.state);
        self.actions.extend(planned);
    }
}

/// Bytes of a write's entries.
fn bytes_of(write: &Write) -> u64 {
    write.entries.iter().map(|entries| entries.bytes().len() as u64).sum()
}

/// A random id that no other segment has: a shell that repeats a seed still gets another one.
fn segment_id(seed: u64, node: u64, boot: u64, sequence: u64) -> u64 {
    let mut id = seed;
    for part in [node, boot, sequence] {
        id = mix(id.wrapping_add(0x9E37_79B9_7F4A_7C15) ^ mix(part));
    }
    id.max(1)
}
