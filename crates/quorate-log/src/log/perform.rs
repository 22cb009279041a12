//! Does the operations of a planned job, one per call.
//!
//! An operation that returns has happened; what it makes true is noted only then. Errors pass
//! through untouched: [`Log::step`](super::Log::step) stops the log for good.

use std::sync::PoisonError;

use quorate_core::mutant;

use super::{Action, Batch, Current, Effect, Log};
use crate::directory::{Named, SPARE, TEMPORARY};
use crate::error::IoFailure;
use crate::fs::Fs;
use crate::hard_state::Copy;
use crate::segment::{Segment, Spot};

impl<F: Fs> Log<F> {
    /// Does one operation.
    pub(super) fn perform(&mut self, action: Action) -> Result<(), IoFailure> {
        match action {
            Action::HardStateWrite(copy) => {
                self.copy(copy).write(&self.next_hard_state.encode(), 0)
            }
            Action::HardStateSync(copy) => {
                self.copy(copy).sync()?;
                if copy == Copy::B || mutant!(OneHardStateCopy) {
                    self.hard_state = self.next_hard_state;
                }
                Ok(())
            }
            Action::Spare => {
                let bytes = self.next_segment.map_or(0, |header| header.capacity);
                if !self.spare.is_ready(bytes) {
                    self.spare.step(&mut self.directory, bytes)?;
                }
                if !self.spare.is_ready(bytes) {
                    self.actions.push_front(Action::Spare);
                }
                Ok(())
            }
            Action::SegmentHeader
            | Action::SegmentHeaderSync
            | Action::SegmentName
            | Action::SegmentNameSync => self.roll(action),
            Action::BatchWrite => {
                let (current, batch) = self.under_way();
                current.file.write(&self.buffer, batch.offset)
            }
            Action::BatchSync => {
                let synced = self.under_way().0.file.sync();
                if !mutant!(FailedSyncForgiven) {
                    synced?;
                }
                self.settle_batch();
                Ok(())
            }
            Action::SmallCreate
            | Action::SmallWrite
            | Action::SmallSync
            | Action::SmallName
            | Action::SmallNameSync => self.replace(action),
            Action::RemoveSegments => self.remove_segment(),
            Action::RemovalSync => self.directory.sync_dir(),
        }
    }

    const fn copy(&self, copy: Copy) -> &Named<F::File> {
        &self.copies[copy.slot()]
    }

    fn under_way(&self) -> (&Current<F::File>, &Batch) {
        let current = self.current.as_ref().expect("a batch goes to the current segment");
        (current, self.batch.as_ref().expect("a batch is under way"))
    }

    /// Takes a durable batch into the table.
    fn settle_batch(&mut self) {
        let batch = self.batch.take().expect("a batch is under way");
        let current = self.current.as_mut().expect("a batch goes to the current segment");
        current.end = batch.offset + batch.extent;
        self.chain = (batch.sequence, batch.hash);
        self.fenced = batch.fence;
        self.owes_spare = !batch.fence;
        if self.buffer.capacity() > 4 * self.config.batch_bytes.max(1 << 20) {
            self.buffer = Vec::new();
        }
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(from) = batch.truncate_from {
            table.truncate(from);
        }
        for part in &batch.entries {
            if part.first_id().term == part.last_id().term {
                table.extend(part.last_id());
            } else {
                part.iter().for_each(|entry| table.extend(entry.id));
            }
        }
        if let (Some(first), Some(last)) = (batch.entries.first(), batch.entries.last()) {
            table.place(Spot {
                first: first.first(),
                last: last.last(),
                offset: batch.offset,
                extent: batch.extent,
            });
        }
    }

    /// One operation of letting the spare take over.
    fn roll(&mut self, action: Action) -> Result<(), IoFailure> {
        let header = self.next_segment.expect("a segment is about to take over");
        let spare = self.spare.file().expect("the spare is ready");
        match action {
            Action::SegmentHeader => spare.write(&header.encode(), 0),
            Action::SegmentHeaderSync => spare.sync(),
            Action::SegmentName => self.directory.rename(SPARE, &header.name()),
            _ => {
                self.directory.sync_dir()?;
                let spare = self.spare.take().expect("the spare is ready");
                let file = Named { path: self.directory.path(&header.name()), file: spare.file };
                self.next_segment = None;
                // A segment proves that everything before it was durable.
                self.fenced = true;
                let segment = Segment { header, file: file.clone(), spots: Vec::new() };
                self.table().segments.push(segment);
                let end = header.body();
                self.current = Some(Current { header, file, end, sealed: false });
                Ok(())
            }
        }
    }

    /// One operation of replacing a small file.
    fn replace(&mut self, action: Action) -> Result<(), IoFailure> {
        let small = self.replacing.as_mut().expect("a small file is under way");
        let temporary = format!("{}{}", small.name, TEMPORARY);
        match action {
            Action::SmallCreate => {
                small.file = Some(self.directory.create(&temporary)?);
                return Ok(());
            }
            Action::SmallName => return self.directory.rename(&temporary, small.name),
            Action::SmallNameSync if mutant!(PrefixGoneTooEarly) => {}
            Action::SmallNameSync => self.directory.sync_dir()?,
            write_or_sync => {
                let file = small.file.as_ref().expect("the file was created");
                return if write_or_sync == Action::SmallWrite {
                    file.write(&small.bytes, 0)
                } else {
                    file.sync()
                };
            }
        }
        let small = self.replacing.take().expect("a small file is under way");
        match small.effect {
            Effect::Base(base) => self.rebase(base),
            Effect::Founding(cluster, record) => {
                self.identity.cluster = cluster;
                self.cluster.get_or_init(|| cluster);
                self.identity.founding = Some(record);
            }
        }
        Ok(())
    }

    /// Removes the oldest segment if the base covers it.
    fn remove_segment(&mut self) -> Result<(), IoFailure> {
        let oldest = {
            let table = self.table();
            let oldest = table.segments.first().map(|segment| segment.header.name());
            oldest.filter(|_| table.unneeded() > 0)
        };
        if let Some(name) = oldest {
            self.directory.remove(&name)?;
            let mut table = self.table();
            table.segments.remove(0);
            let more = table.unneeded() > 0;
            drop(table);
            self.actions.push_front(if more {
                Action::RemoveSegments
            } else {
                Action::RemovalSync
            });
        }
        Ok(())
    }
}
