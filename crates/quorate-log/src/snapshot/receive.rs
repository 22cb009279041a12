//! Receiving a snapshot: bytes in order, then sync, verification, rename, sync of the names.
//!
//! A part outlives connections and processes. Within a life the store knows how much it wrote; after
//! a restart it believes what it can verify block by block, and writes that again: a page that a
//! failed sync left in the cache of the system looks whole and is not on the device.

use quorate_core::SnapshotId;

use super::format::LEAST_BYTES;
use super::names::{final_name, part_name};
use super::store::{Held, SYNC_BYTES, SnapshotStore};
use super::walk::{Walk, Walked};
use super::{SnapshotFailure, SnapshotProgress, StoredSnapshot};
use crate::directory::Named;
use crate::error::{Damage, DamageKind, IoFailure};
use crate::fs::Fs;
use crate::segment::HeaderError;

/// What is done next.
#[derive(Debug)]
enum Stage {
    /// The file is made.
    Create,
    /// A file that an earlier life left is opened.
    Open,
    /// Its length is asked for.
    Length,
    /// It is verified as far as it goes.
    Resume(Walk),
    /// What was verified is written again.
    Rewrite(Walk, bool),
    /// Bytes are awaited.
    Waiting,
    /// What was written lately is synced.
    SyncPiece,
    /// All is there and synced.
    Sync,
    /// All of it is verified.
    Verify(Walk),
    /// It gets its name.
    Rename(StoredSnapshot),
    SyncNames(StoredSnapshot),
    /// It is given up: the file goes.
    Remove(SnapshotFailure),
}

/// A snapshot being received.
#[derive(Debug)]
pub(super) struct Receiving<T> {
    id: SnapshotId,
    stage: Stage,
    file: Option<Named<T>>,
    /// Bytes from the beginning that are in the file.
    received: u64,
    synced: u64,
}

impl<T> Receiving<T> {
    /// Whether it waits for bytes, and has nothing to do until they come.
    pub(super) const fn is_waiting(&self) -> bool {
        matches!(self.stage, Stage::Waiting)
    }

    fn file(&self) -> &Named<T> {
        self.file.as_ref().expect("opened before")
    }

    const fn progress(&self) -> SnapshotProgress {
        SnapshotProgress::Received { id: self.id, received: self.received }
    }
}

impl<F: Fs> SnapshotStore<F> {
    pub(super) fn begin_receiving(&mut self, id: SnapshotId) -> SnapshotProgress {
        if self.shelf().file(&id).is_some() {
            return SnapshotProgress::Received { id, received: id.bytes };
        }
        if let Some(receiving) = &self.receiving
            && receiving.id == id
        {
            return receiving.progress();
        }
        if let Some(before) = self.receiving.take() {
            self.litter.push(part_name(&before.id));
        }
        self.discard_parts(&id);
        let stage = if self.parts.is_empty() { Stage::Create } else { Stage::Open };
        self.receiving = Some(Receiving { id, stage, file: None, received: 0, synced: 0 });
        SnapshotProgress::Working
    }

    /// Writes bytes that follow those that are there.
    pub(super) fn store_data(
        &mut self,
        id: SnapshotId,
        offset: u64,
        data: &[u8],
    ) -> Result<SnapshotProgress, IoFailure> {
        let Some(receiving) = self.receiving.as_mut().filter(|receiving| receiving.id == id) else {
            // Bytes of a snapshot that is not being received: of one that came before, or that was
            // given up meanwhile.
            return Ok(SnapshotProgress::Working);
        };
        let fits = offset
            .checked_add(data.len() as u64)
            .is_some_and(|end| offset == receiving.received && end <= id.bytes);
        if !fits {
            return Ok(receiving.progress());
        }
        if let Err(failure) = receiving.file().write(data, offset) {
            receiving.stage = Stage::Remove(SnapshotFailure::Io(failure));
            return Ok(SnapshotProgress::Working);
        }
        receiving.received += data.len() as u64;
        if receiving.received - receiving.synced >= SYNC_BYTES {
            receiving.stage = Stage::SyncPiece;
        }
        Ok(receiving.progress())
    }

    pub(super) fn begin_installing(&mut self, id: SnapshotId) -> SnapshotProgress {
        let held = self.shelf().stored(&id);
        if let Some(stored) = held {
            return SnapshotProgress::Installed(stored);
        }
        let Some(receiving) = self.receiving.as_mut().filter(|receiving| receiving.id == id) else {
            let reason = SnapshotFailure::Incomplete { received: 0 };
            return SnapshotProgress::Rejected { id, reason };
        };
        if receiving.received < id.bytes || id.bytes < LEAST_BYTES {
            let received = receiving.received;
            receiving.stage = Stage::Remove(SnapshotFailure::Incomplete { received });
        } else {
            receiving.stage = Stage::Sync;
        }
        SnapshotProgress::Working
    }

    /// One operation for the snapshot that is being received. Only a failure to sync the names is
    /// an error.
    pub(super) fn receive_step(&mut self) -> Result<SnapshotProgress, IoFailure> {
        let mut receiving = self.receiving.take().expect("a snapshot is being received");
        let stage = std::mem::replace(&mut receiving.stage, Stage::Waiting);
        let id = receiving.id;
        match stage {
            Stage::SyncNames(stored) => {
                self.directory.sync_dir()?;
                let path = self.directory.path(&final_name(id.last));
                let file = Named { path, file: receiving.file().file.clone() };
                self.shelf().put(Held { stored: stored.clone(), file });
                return Ok(SnapshotProgress::Installed(stored));
            }
            Stage::Remove(reason) => {
                let name = part_name(&id);
                if self.directory.remove(&name).is_err() {
                    self.litter.push(name);
                }
                return Ok(SnapshotProgress::Rejected { id, reason });
            }
            stage => match self.receive_operation(&mut receiving, stage) {
                Ok(next) => receiving.stage = next,
                Err(reason) if receiving.file.is_none() => {
                    return Ok(SnapshotProgress::Rejected { id, reason });
                }
                Err(reason) => receiving.stage = Stage::Remove(reason),
            },
        }
        let waits = receiving.is_waiting();
        let progress = if waits { receiving.progress() } else { SnapshotProgress::Working };
        self.receiving = Some(receiving);
        Ok(progress)
    }

    fn receive_operation(
        &mut self,
        receiving: &mut Receiving<F::File>,
        stage: Stage,
    ) -> Result<Stage, SnapshotFailure> {
        let id = receiving.id;
        match stage {
            Stage::Create => {
                if self.tidy()? {
                    return Ok(Stage::Create);
                }
                receiving.file = Some(self.directory.create(&part_name(&id))?);
                Ok(Stage::Waiting)
            }
            Stage::Open => {
                if self.tidy()? {
                    return Ok(Stage::Open);
                }
                self.parts.clear();
                receiving.file = Some(self.directory.open(&part_name(&id))?);
                Ok(Stage::Length)
            }
            Stage::Length => {
                let length = receiving.file().length()?;
                Ok(Stage::Resume(Walk::new(length.min(id.bytes))))
            }
            Stage::Resume(mut walk) => {
                let going = matches!(walk.step(receiving.file())?, Walked::Going);
                Ok(Stage::Rewrite(walk, going))
            }
            Stage::Rewrite(walk, going) => {
                let (offset, bytes) = walk.verified();
                if !bytes.is_empty() {
                    receiving.file().write(bytes, offset)?;
                }
                receiving.received = walk.offset();
                Ok(if going { Stage::Resume(walk) } else { Stage::Waiting })
            }
            Stage::SyncPiece => {
                receiving.file().sync()?;
                receiving.synced = receiving.received;
                Ok(Stage::Waiting)
            }
            Stage::Sync => {
                receiving.file().sync()?;
                Ok(Stage::Verify(Walk::new(id.bytes)))
            }
            Stage::Verify(mut walk) => match walk.step(receiving.file())? {
                Walked::Going => Ok(Stage::Verify(walk)),
                Walked::Whole(stored) if stored.id == id && self.is_ours(&walk) => {
                    Ok(Stage::Rename(stored))
                }
                Walked::Whole(_) => Err(damaged(receiving, 0, DamageKind::Misplaced)),
                Walked::Bad(error) => {
                    let kind = match error {
                        HeaderError::Bad(kind) => kind,
                        HeaderError::Newer(_) => DamageKind::Magic,
                    };
                    Err(damaged(receiving, walk.offset(), kind))
                }
            },
            Stage::Rename(stored) => {
                self.directory.rename(&part_name(&id), &final_name(id.last))?;
                Ok(Stage::SyncNames(stored))
            }
            Stage::Waiting | Stage::SyncNames(_) | Stage::Remove(_) => {
                unreachable!("done by the caller, or nothing to do")
            }
        }
    }
}

fn damaged<T>(receiving: &Receiving<T>, offset: u64, kind: DamageKind) -> SnapshotFailure {
    let file = receiving.file().path.clone();
    SnapshotFailure::Damaged(Damage { file, offset, kind, first: None, last: None })
}
