//! Heads of entries, gathered into runs for the core.
//!
//! A membership entry is a run of its own. Entries of one term and kind share a run while all have
//! one size; a run of unequal sizes ends at 64 entries, so that an average over it is of use.

use quorate_core::{EntryId, EntryKind, Index, Run};

/// Entries of unequal size whose bytes one run may average.
const AVERAGED_ENTRIES: u32 = 64;

/// Gathers entries into runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Runs {
    done: Vec<Run>,
    /// Whether all entries of the last run have one size.
    even: bool,
}

impl Runs {
    /// Adds the entry that follows.
    pub(crate) fn push(&mut self, id: EntryId, kind: EntryKind, bytes: u64) {
        if let Some(run) = self.done.last_mut() {
            let same = run.term == id.term && run.kind == kind && run.last().next() == id.index;
            let even = self.even && run.bytes == bytes.saturating_mul(u64::from(run.count));
            let room = if even { run.count < u32::MAX } else { run.count < AVERAGED_ENTRIES };
            if same && kind != EntryKind::Membership && room {
                run.count += 1;
                run.bytes += bytes;
                self.even = even;
                return;
            }
        }
        self.done.push(Run::new(id.index, 1, id.term, kind, bytes));
        self.even = true;
    }

    /// Drops the entries from `from` on. A run that is cut keeps its average.
    pub(crate) fn truncate(&mut self, from: Index) {
        while let Some(run) = self.done.last_mut() {
            if run.last() < from {
                return;
            }
            self.even = false;
            if run.first < from {
                resize(run, u32::try_from(from.distance(run.first)).unwrap_or(run.count));
                return;
            }
            self.done.pop();
        }
    }

    /// Drops the entries up to and with `base`.
    pub(crate) fn drop_through(&mut self, base: Index) {
        let gone = self.done.partition_point(|run| run.last() <= base);
        self.done.drain(..gone);
        if let Some(run) = self.done.first_mut()
            && run.first <= base
        {
            let left = run.last().distance(base);
            resize(run, u32::try_from(left).unwrap_or(run.count));
            run.first = base.next();
        }
    }

    /// The runs gathered.
    pub(crate) fn finish(self) -> Vec<Run> {
        self.done
    }
}

/// Gives a run another number of entries of the same average size.
fn resize(run: &mut Run, count: u32) {
    let average = u128::from(run.bytes) * u128::from(count) / u128::from(run.count.max(1));
    run.bytes = u64::try_from(average).unwrap_or(run.bytes);
    run.count = count;
}
