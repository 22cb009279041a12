//! Recent entries whose bytes this node holds, durable or not.
//!
//! A tail is a contiguous run of blocks, each a batch of own proposals or one decoded frame, and
//! behind them the open block that takes own proposals until the wake-up ends. What is written to
//! disk, sent and applied is a slice of these blocks: bytes are encoded once.
//!
//! - The tail ends where the log of [`quorate_core::Raft`] ends, after every step.
//! - Only entries that are durable here leave it at its front, so that whatever is missing can be
//!   read back. They leave when the tail is full, and before that when nobody needs them any more:
//!   what is in a cache is worth more than what is in memory.
//! - Log time never goes back, not even over a truncation: the highest seen is kept.

use std::collections::VecDeque;

use quorate_core::{EntryId, Few, Index, Run, Term, recent};
use quorate_log::{BlockBuilder, Entries, Envelope};

/// What a block takes in memory beside its records, roughly.
const BLOCK_BYTES: usize = 192;

/// Bytes that stay below the limit although nobody is known to need them: the next leader may have
/// to send some of them.
const SPARE_BYTES: usize = 1 << 20;

/// See the module.
#[derive(Debug)]
pub(crate) struct Tail {
    /// Closed blocks, contiguous.
    blocks: VecDeque<Entries>,
    /// Memory of the closed blocks together.
    bytes: usize,
    /// Bytes above which the tail gives up durable entries.
    limit: usize,
    /// Own proposals since the last flush; they follow the closed blocks.
    open: BlockBuilder,
    /// Entries and bytes of the open block before: the next is given as much room when it begins,
    /// because under a load it will be alike.
    before: (usize, usize),
    /// The last entry, in the open block or not; before the tail's first where it is empty.
    last: EntryId,
    /// The highest log time of any entry that was ever here.
    log_time_ms: u64,
}

impl Tail {
    /// An empty tail behind the entry `last`.
    pub(crate) const fn new(limit: usize, last: EntryId, log_time_ms: u64) -> Self {
        Self {
            blocks: VecDeque::new(),
            bytes: 0,
            limit,
            open: BlockBuilder::new(),
            before: (0, 0),
            last,
            log_time_ms,
        }
    }

    /// The last entry held, or the one before the tail.
    pub(crate) const fn last(&self) -> EntryId {
        self.last
    }

    /// Bytes held in closed blocks.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// The highest log time seen.
    pub(crate) const fn log_time_ms(&self) -> u64 {
        self.log_time_ms
    }

    /// Index of the first entry held; one after the last where the tail is empty.
    pub(crate) fn first(&self) -> Index {
        match self.blocks.front() {
            Some(block) => block.first(),
            None => Index(self.last.index.0 + 1 - self.open.len() as u64),
        }
    }

    /// Appends an own entry to the open block.
    #[inline]
    pub(crate) fn push(&mut self, id: EntryId, envelope: &Envelope, command: &[u8]) {
        assert!(id.index == self.last.index.next(), "own entries follow the tail");
        self.log_time_ms = self.log_time_ms.max(envelope.log_time_ms);
        if self.open.is_empty() {
            let (entries, bytes) = self.before;
            self.open.reserve(entries, bytes);
        }
        self.open.push(id.index, id.term, envelope, command);
        self.last = id;
    }

    /// Appends entries that another node made.
    pub(crate) fn extend(&mut self, entries: Entries) {
        assert_eq!(entries.first(), self.last.index.next(), "accepted entries follow the tail");
        self.seal();
        self.last = entries.last_id();
        self.log_time_ms = self.log_time_ms.max(entries.last_log_time_ms());
        self.bytes += cost(&entries);
        self.blocks.push_back(entries);
    }

    /// Closes the open block, if it holds anything.
    pub(crate) fn seal(&mut self) {
        if self.open.is_empty() {
            return;
        }
        self.before = (self.open.len(), self.open.bytes());
        let entries = Entries::all(self.open.finish());
        self.bytes += cost(&entries);
        self.blocks.push_back(entries);
    }

    /// Cuts away everything from `from` on; `before` names the entry that is the last then.
    pub(crate) fn truncate(&mut self, from: Index, before: EntryId) {
        assert_eq!(before.index.next(), from, "the entry before the cut stays");
        self.seal();
        while let Some(block) = self.blocks.pop_back() {
            if block.last() < from {
                self.blocks.push_back(block);
                break;
            }
            self.bytes -= cost(&block);
            if let Some(kept) = block.up_to(from.previous()).filter(|_| block.first() < from) {
                self.bytes += cost(&kept);
                self.blocks.push_back(kept);
                break;
            }
        }
        self.last = before;
    }

    /// Lets everything go: a snapshot up to `last` took the place of the log.
    pub(crate) fn restart(&mut self, last: EntryId, log_time_ms: u64) {
        self.open = BlockBuilder::new();
        self.blocks.clear();
        self.bytes = 0;
        self.last = last;
        self.log_time_ms = self.log_time_ms.max(log_time_ms);
    }

    /// The newest block, where it holds the entries `first..=last` and no others.
    #[inline]
    pub(crate) fn newest(&self, first: Index, last: Index) -> Option<Entries> {
        let newest = self.blocks.back()?;
        (newest.first() == first && newest.last() == last).then(|| newest.clone())
    }

    /// The entries from `first` to `last`, or to the end of the block that holds the first; nothing
    /// where the tail does not hold that one.
    pub(crate) fn slice(&mut self, first: Index, last: Index) -> Option<Entries> {
        if self.blocks.back().is_none_or(|block| block.last() < last) {
            self.seal();
        }
        // Nearly always it is in the last block.
        match self.blocks.back() {
            Some(block) if block.first() <= first => block.part(first, last),
            _ => {
                let at = recent::partition_point(&self.blocks, |block| block.last() < first);
                let block = self.blocks.get(at).filter(|block| block.first() <= first)?;
                block.part(first, last)
            }
        }
    }

    /// The entries `first..=last` as slices of blocks; nothing where the tail does not hold all.
    pub(crate) fn range(&mut self, first: Index, last: Index) -> Option<Few<Entries>> {
        if last > self.last.index || first > last {
            return None;
        }
        if self.blocks.back().is_none_or(|block| block.last() < last) {
            self.seal();
        }
        // Nearly always it is the last block that is asked for.
        match self.blocks.back() {
            Some(block) if block.first() <= first => block.part(first, last).map(Few::one),
            _ => self.range_of_several(first, last),
        }
    }

    #[cold]
    fn range_of_several(&self, first: Index, last: Index) -> Option<Few<Entries>> {
        if first < self.first() {
            return None;
        }
        let start = recent::partition_point(&self.blocks, |block| block.last() < first);
        let mut slices = Few::new();
        for block in self.blocks.range(start..) {
            if block.first() > last {
                break;
            }
            slices.push(block.part(first, last).expect("the block overlaps the range"));
        }
        Some(slices)
    }

    /// Term of the entry at `index`, where the tail holds it in a closed block.
    #[cfg(test)]
    pub(crate) fn term_at(&self, index: Index) -> Option<Term> {
        let at = self.blocks.partition_point(|block| block.last() < index);
        self.blocks.get(at)?.entry(index).map(|entry| entry.id.term)
    }

    /// Gives up the oldest blocks that are durable: all that are too much for the limit, and of the
    /// others those that nobody needs any more, up to the entry that `unneeded` tells.
    pub(crate) fn evict(&mut self, durable: Index, unneeded: impl FnOnce() -> Index) {
        if self.bytes <= self.limit.min(SPARE_BYTES) {
            return;
        }
        let unneeded = unneeded().min(durable);
        while let Some(block) = self.blocks.front() {
            let through = if self.bytes > self.limit { durable } else { unneeded };
            if self.bytes <= self.limit.min(SPARE_BYTES) || block.last() > through {
                break;
            }
            self.bytes -= cost(block);
            self.blocks.pop_front();
        }
    }
}

/// Bytes that a block is charged with: small ones are mostly overhead.
fn cost(entries: &Entries) -> usize {
    BLOCK_BYTES + entries.bytes().len()
}

/// Whether every entry of `slices` has the term that `term_run` gives for its index, and the slices
/// cover `first..=last` without a gap. `term_run` says up to which index its term holds, too.
pub(crate) fn matches(
    slices: &[Entries],
    first: Index,
    last: Index,
    mut term_run: impl FnMut(Index) -> Option<(Term, Index)>,
) -> bool {
    let mut expected = first;
    for slice in slices {
        if slice.first() != expected {
            return false;
        }
        let mut holds = |run: Run| {
            let mut index = run.first;
            while index <= run.last() {
                match term_run(index) {
                    Some((term, until)) if term == run.term && until >= index => {
                        index = until.next();
                    }
                    _ => return false,
                }
            }
            true
        };
        let holds = match slice.only_run() {
            Some(run) => holds(run),
            None => slice.runs().all(holds),
        };
        if !holds {
            return false;
        }
        expected = slice.last().next();
    }
    expected == last.next()
}

#[cfg(test)]
mod tests;
