//! What opening writes, once everything was read and believed.
//!
//! The order matters. First the last batch again: pages that only the cache holds become dirty and
//! reach the device. Then the names, then the hard state, which names the last segment and batch
//! and must not do so before both are durable. Of its two copies the one that was chosen is the only
//! good one, perhaps, and perhaps only in the cache of the system, where a killed process left it: it
//! is written as it is and synced before the other is touched, and written anew after the other. What
//! is not needed goes at the end.

use std::sync::{Arc, OnceLock};

use quorate_core::{ClusterId, Index};

use super::{FinishStep, Opening, Recovered, Stage};
use crate::directory::{Named, TEMPORARY};
use crate::error::{IoFailure, OpenError};
use crate::fs::Fs;
use crate::hard_state::{Copy, HardStateRecord};
use crate::log::{Identity, Log, Parts};
use crate::snapshot::SnapshotStore;

impl<F: Fs> Opening<F> {
    /// Refuses what contradicts the hard state, then plans what opening writes.
    pub(super) fn plan_finish(&mut self) -> Result<(), OpenError> {
        let (copy, record) = self.chosen.expect("the hard state was chosen");
        let directory = self.directory().root();
        let contents = self.contents.as_mut().expect("made with the hard state");
        let (log_term, log_boot) = (contents.term, contents.boot);
        let (term, boot) = (record.state.term, record.boot);
        if log_term > term || log_boot > boot {
            return Err(OpenError::Stale { directory, term, log_term, boot, log_boot });
        }
        let held = contents.rebase();
        if let Some(current) = &mut self.current {
            current.sealed |= !held;
        }
        if self.last_batch.is_some() {
            self.finish.extend([FinishStep::RewriteBatch, FinishStep::SyncBatch]);
        }
        // The hard state will name the last segment and batch: both are durable before it.
        self.finish.push_back(FinishStep::SyncNames);
        // Nothing else is touched while the chosen copy may be in the cache alone.
        self.finish.extend([FinishStep::KeepHardState(copy), FinishStep::SyncHardState(copy)]);
        // Until the other copy is durable, the chosen one is the only one.
        for copy in [copy.other(), copy] {
            if self.copies[copy.slot()].is_none() {
                let create = [FinishStep::CreateHardState(copy), FinishStep::SyncNames];
                self.finish.extend(create);
            }
            let write = [FinishStep::WriteHardState(copy), FinishStep::SyncHardState(copy)];
            self.finish.extend(write);
        }
        let temporary = self.names.iter().filter(|name| name.ends_with(TEMPORARY)).count();
        self.finish.extend(std::iter::repeat_n(FinishStep::RemoveTemporary, temporary));
        self.plan_snapshots();
        let unneeded = std::iter::repeat_n(FinishStep::RemoveSegment, self.unneeded.len());
        self.finish.extend(unneeded);
        let next = HardStateRecord {
            sequence: record.sequence + 1,
            cluster: self.cluster(),
            boot: record.boot.next(),
            durable_batch: self.chain.0.max(record.durable_batch),
            segment: self.current.as_ref().map_or(0, |current| current.header.sequence),
            ..record
        };
        self.chosen = Some((copy, next));
        self.kept = Some(record);
        self.stage = Stage::Finish;
        Ok(())
    }

    fn cluster(&self) -> ClusterId {
        self.founding.as_ref().map_or(ClusterId::ZERO, |founding| founding.cluster)
    }

    pub(super) fn finish_step(&mut self, step: FinishStep) -> Result<(), IoFailure> {
        let (_, record) = self.chosen.expect("the hard state was chosen");
        match step {
            FinishStep::RewriteBatch | FinishStep::SyncBatch => {
                let current = self.current.as_ref().expect("a batch stands in a segment");
                let (offset, bytes) = self.last_batch.as_ref().expect("planned for a batch");
                if step == FinishStep::RewriteBatch {
                    current.file.write(bytes, *offset)
                } else {
                    current.file.sync()
                }
            }
            FinishStep::SyncNames => self.directory().sync_dir(),
            FinishStep::CreateHardState(copy) => {
                // A copy that is there but could not be read is written in place.
                let file = if self.has(copy.name()) {
                    self.directory().open(copy.name())?
                } else {
                    self.directory().create(copy.name())?
                };
                self.copies[copy.slot()] = Some(file);
                Ok(())
            }
            FinishStep::KeepHardState(copy) => {
                let kept = self.kept.expect("planned with the record");
                self.hard_state_file(copy).write(&kept.encode(), 0)
            }
            FinishStep::WriteHardState(copy) => {
                self.hard_state_file(copy).write(&record.encode(), 0)
            }
            FinishStep::SyncHardState(copy) => self.hard_state_file(copy).sync(),
            FinishStep::RemoveTemporary => {
                let place = self.names.iter().position(|name| name.ends_with(TEMPORARY));
                let name = place.map(|place| self.names.swap_remove(place));
                name.map_or(Ok(()), |name| self.directory().remove(&name))
            }
            FinishStep::SetAsideSnapshot => self.set_aside(),
            FinishStep::RemoveSnapshot => self.remove_snapshot(),
            FinishStep::RemoveSegment => {
                let name = self.unneeded.pop_front();
                name.map_or(Ok(()), |name| self.directory().remove(&name))
            }
        }
    }

    const fn hard_state_file(&self, copy: Copy) -> &Named<F::File> {
        self.copies[copy.slot()].as_ref().expect("opened or created before")
    }

    /// Hands everything over.
    pub(super) fn recovered(&mut self) -> Recovered<F> {
        let (_, record) = self.chosen.expect("the hard state was chosen");
        let contents = self.contents.take().expect("made with the hard state");
        let (base, last) = (self.base_id(), contents.last().index);
        let founding = self.founding.take().map(|founding| founding.content);
        let identity = Identity { node: record.node, cluster: record.cluster, founding };
        let commit = contents.commit.min(contents.last().index).max(base.index);
        let cluster = Arc::new(OnceLock::new());
        if identity.founding.is_some() {
            cluster.get_or_init(|| identity.cluster);
        }
        let snapshots = self.directory().another();
        let snapshots =
            SnapshotStore::new(snapshots, Arc::clone(&cluster), self.snapshots.take_found());
        let covered = snapshots.newest().map_or(Index::ZERO, |newest| newest.id.last.index);
        let copies = [self.copies[0].take(), self.copies[1].take()];
        let log = Log::from_parts(Parts {
            directory: self.directory.take().expect("not handed over before"),
            config: self.options.config,
            identity: identity.clone(),
            cluster: Arc::clone(&cluster),
            hard_state: record,
            copies: copies.map(|copy| copy.expect("opened or created before")),
            table: contents.table,
            current: self.current.take(),
            chain: self.chain,
            commit,
            seed: self.options.seed,
        });
        Recovered {
            log,
            boot: record.boot,
            hard_state: record.state,
            base,
            base_meta: self.base.take().map(|base| base.content).unwrap_or_default(),
            runs: contents.runs.finish(),
            memberships: contents.memberships,
            snapshots,
            commit: commit.max(covered.min(last)),
            identity,
            report: std::mem::take(&mut self.report),
        }
    }
}
