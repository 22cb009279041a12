//! What a scan gathers: the table, the heads of all entries, and the memberships among them.
//!
//! Batches are applied in the order in which they were written; a batch that truncates takes back
//! what earlier ones gave. Nothing is believed that does not follow from what came before it.

use quorate_core::{BootCounter, EntryId, EntryKind, Index, Term};

use crate::batch::{BATCH_HEADER_BYTES, BatchHeader};
use crate::error::DamageKind;
use crate::record::{Limits, RECORD_HEADER_BYTES, walk};
use crate::runs::Runs;
use crate::segment::{Segment, SegmentHeader, Spot};
use crate::table::Table;

/// What a scan gathers.
#[derive(Debug)]
pub(crate) struct Contents<File> {
    pub(crate) table: Table<File>,
    pub(crate) runs: Runs,
    pub(crate) memberships: Vec<(Index, Vec<u8>)>,
    /// Highest commit index in any batch.
    pub(crate) commit: Index,
    /// Highest term in any batch.
    pub(crate) term: Term,
    /// Highest boot counter in any segment or batch.
    pub(crate) boot: BootCounter,
    /// Entries up to this one are covered by a snapshot.
    base: EntryId,
}

impl<File> Contents<File> {
    pub(crate) fn new(base: EntryId) -> Self {
        Self {
            table: Table::new(base),
            runs: Runs::default(),
            memberships: Vec::new(),
            commit: base.index,
            term: base.term,
            boot: BootCounter::ZERO,
            base,
        }
    }

    /// Last entry so far.
    pub(crate) const fn last(&self) -> EntryId {
        self.table.last
    }

    /// Begins a segment.
    ///
    /// A segment that does not continue the log begins at a snapshot that replaced it.
    pub(crate) fn begin(&mut self, segment: Segment<File>) -> Result<(), DamageKind> {
        let SegmentHeader { start, boot, .. } = segment.header;
        self.boot = self.boot.max(boot);
        self.term = self.term.max(start.term);
        let last = self.last();
        let continues = start == last || (start.index == last.index && last.term == Term::ZERO);
        if self.table.segments.is_empty() || !continues {
            if start.index > self.base.index {
                return Err(DamageKind::Missing);
            }
            self.restart(start);
        }
        self.table.segments.push(segment);
        Ok(())
    }

    /// Forgets every entry; the next one follows `start`.
    fn restart(&mut self, start: EntryId) {
        let segments = std::mem::take(&mut self.table.segments);
        self.table = Table::new(start);
        self.table.segments = segments;
        self.table.segments.iter_mut().for_each(|segment| segment.spots.clear());
        self.runs = Runs::default();
        self.memberships.clear();
    }

    /// Applies a batch whose checksum is right. `bytes` are the shown bytes of its extent.
    pub(crate) fn apply(&mut self, header: &BatchHeader, bytes: &[u8]) -> Result<(), DamageKind> {
        self.boot = self.boot.max(header.boot);
        self.term = self.term.max(header.last.term);
        self.commit = self.commit.max(header.commit);
        if header.truncate_from > Index::ZERO {
            self.truncate(header.truncate_from)?;
        }
        if !header.has_entries() {
            return Ok(());
        }
        let end = usize::try_from(header.body_bytes).map_err(|_| DamageKind::Length)?;
        let body = bytes.get(BATCH_HEADER_BYTES..).and_then(|body| body.get(..end));
        let body = body.ok_or(DamageKind::Length)?;
        let before = self.last();
        if header.first.index != before.index.next() || header.first.term < before.term {
            return Err(DamageKind::Chain);
        }
        let mut first = None;
        let last = walk(body, Limits::FORMAT, |entry, _| {
            first.get_or_insert(entry.id);
            let bytes = (entry.payload.len() + RECORD_HEADER_BYTES) as u64;
            self.runs.push(entry.id, entry.envelope.kind, bytes);
            self.table.extend(entry.id);
            if entry.envelope.kind == EntryKind::Membership {
                self.memberships.push((entry.id.index, entry.payload.to_vec()));
            }
        })
        .map_err(|_| DamageKind::Record)?;
        if first != Some(header.first) || last != header.last {
            return Err(DamageKind::Chain);
        }
        self.table.place(Spot {
            first: header.first.index,
            last: header.last.index,
            offset: header.offset,
            extent: bytes.len() as u64,
        });
        Ok(())
    }

    fn truncate(&mut self, from: Index) -> Result<(), DamageKind> {
        let origin = self.table.origin.index;
        if from <= origin {
            // The entries before this segment went when a base covered them, and with them the
            // term of the one that the cut leaves as the last.
            if origin > self.base.index || from == Index::ZERO {
                return Err(DamageKind::Chain);
            }
            self.restart(EntryId::new(from.previous(), Term::ZERO));
            return Ok(());
        }
        if from > self.last().index.next() {
            return Err(DamageKind::Chain);
        }
        self.table.truncate(from);
        self.runs.truncate(from);
        let kept = self.memberships.partition_point(|&(index, _)| index < from);
        self.memberships.truncate(kept);
        Ok(())
    }

    /// Lets the log begin after the base; says whether the log went on from it.
    pub(crate) fn rebase(&mut self) -> bool {
        let held = self.table.holds(self.base);
        self.table.rebase(self.base);
        if held {
            self.runs.drop_through(self.base.index);
            let gone = self.memberships.partition_point(|&(index, _)| index <= self.base.index);
            self.memberships.drain(..gone);
        } else {
            self.runs = Runs::default();
            self.memberships.clear();
        }
        held
    }
}
