//! Taking a snapshot: create, write, sync, rename, sync the names.
//!
//! The content is asked for a piece at a time, and cut into full blocks. What fails before the
//! rename is reported and leaves nothing behind; a failed sync of the names afterwards stops the
//! store, because nobody knows any more which snapshots there are.

use quorate_core::{ClusterId, SnapshotId, mutant};
use xxhash_rust::xxh3::Xxh3;

use super::format::{BLOCK_BYTES, Footer, Header, id_of};
use super::names::{final_name, taking_name};
use super::store::{Held, SYNC_BYTES, SnapshotStore, Take};
use super::{Content, SnapshotFailure, SnapshotProgress, StoredSnapshot};
use crate::directory::Named;
use crate::error::IoFailure;
use crate::fs::Fs;

/// Bytes that a write has at least, unless it is the last.
const WRITE_BYTES: usize = 128 << 10;

/// What is done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Create,
    Write,
    Sync,
    Rename,
    SyncNames,
    /// The attempt failed: its file goes.
    Remove,
}

/// A snapshot being taken.
pub(super) struct Taking<T> {
    stored: StoredSnapshot,
    header: Header,
    content: Box<dyn Content>,
    /// Whether the content has ended.
    ended: bool,
    stage: Stage,
    file: Option<Named<T>>,
    /// Content that fills no block yet.
    rest: Vec<u8>,
    /// What the next write takes.
    buffer: Vec<u8>,
    /// Where it stands.
    offset: u64,
    synced: u64,
    content_bytes: u64,
    hash: Box<Xxh3>,
    failure: Option<SnapshotFailure>,
}

impl<T> Taking<T> {
    pub(super) fn new(cluster: ClusterId, take: Take) -> Self {
        let Take { last, meta, content } = take;
        let (header, head) = Header::encode(cluster, last, &meta);
        let bytes = [&head, meta.as_slice()].concat();
        let mut hash = Box::new(Xxh3::new());
        hash.update(&bytes);
        // Length and hash are those of the file once its footer is made.
        let id = SnapshotId { last, bytes: 0, hash: 0 };
        Self {
            stored: StoredSnapshot { id, meta },
            header,
            content,
            ended: false,
            stage: Stage::Create,
            file: None,
            rest: Vec::new(),
            buffer: bytes,
            offset: 0,
            synced: 0,
            content_bytes: 0,
            hash,
            failure: None,
        }
    }

    /// Fills the buffer for the next write; the footer ends the last one.
    fn fill(&mut self) -> Result<(), SnapshotFailure> {
        while !self.ended && self.buffer.len() < WRITE_BYTES {
            let before = self.rest.len();
            self.ended = !self.content.next(&mut self.rest).map_err(SnapshotFailure::Content)?;
            let piece = self.rest.len() - before;
            self.content_bytes += piece as u64;
            self.cut();
            if piece == 0 {
                // Nothing came: others shall have their turn.
                break;
            }
        }
        if self.ended && self.stored.id.bytes == 0 {
            let footer = Footer { content_bytes: self.content_bytes, hash: self.hash.digest128() };
            let at = self.offset + self.buffer.len() as u64;
            self.stored.id = id_of(&self.header, &footer, at);
            self.buffer.extend_from_slice(&footer.encode());
        }
        Ok(())
    }

    /// Cuts full blocks off what the content gave; all of it when it has ended.
    fn cut(&mut self) {
        let mut used = 0;
        while self.rest.len() - used >= BLOCK_BYTES || (self.ended && used < self.rest.len()) {
            let end = self.rest.len().min(used + BLOCK_BYTES);
            let (at, from) = (self.offset + self.buffer.len() as u64, self.buffer.len());
            self.header.push_block(&mut self.buffer, at, &self.rest[used..end]);
            self.hash.update(&self.buffer[from..]);
            used = end;
        }
        self.rest.drain(..used);
    }

    /// Whether everything was written.
    const fn is_written(&self) -> bool {
        self.stored.id.bytes > 0 && self.offset == self.stored.id.bytes
    }

    fn file(&self) -> &Named<T> {
        self.file.as_ref().expect("created before")
    }
}

impl<F: Fs> SnapshotStore<F> {
    /// One operation of taking a snapshot. Only a failure to sync the names is an error.
    pub(super) fn take_step(&mut self) -> Result<SnapshotProgress, IoFailure> {
        let mut taking = self.taking.take().expect("a snapshot is being taken");
        if taking.stage == Stage::SyncNames {
            self.directory.sync_dir()?;
            let file = Named {
                path: self.directory.path(&final_name(taking.stored.id.last)),
                file: taking.file().file.clone(),
            };
            // Only here may anybody learn of it: what the log drops on the strength of it is gone.
            self.shelf().put(Held { stored: taking.stored.clone(), file });
            return Ok(SnapshotProgress::Taken(taking.stored));
        }
        if let Err(failure) = self.take_operation(&mut taking) {
            if taking.file.is_none() {
                return Ok(SnapshotProgress::TakeFailed(failure));
            }
            taking.failure = Some(failure);
            taking.stage = Stage::Remove;
        } else if let Some(failure) = taking.failure.take() {
            return Ok(SnapshotProgress::TakeFailed(failure));
        }
        self.taking = Some(taking);
        Ok(SnapshotProgress::Working)
    }

    fn take_operation(&mut self, taking: &mut Taking<F::File>) -> Result<(), SnapshotFailure> {
        let name = taking_name(taking.stored.id.last);
        match taking.stage {
            Stage::Create => {
                if !self.tidy()? {
                    taking.file = Some(self.directory.create(&name)?);
                    taking.stage = Stage::Write;
                }
            }
            Stage::Write => {
                taking.fill()?;
                taking.file().write(&taking.buffer, taking.offset)?;
                taking.offset += taking.buffer.len() as u64;
                taking.buffer.clear();
                if taking.is_written() || taking.offset - taking.synced >= SYNC_BYTES {
                    taking.stage = Stage::Sync;
                }
            }
            Stage::Sync => {
                if !mutant!(PrefixGoneTooEarly) {
                    taking.file().sync()?;
                }
                taking.synced = taking.offset;
                taking.stage = if taking.is_written() { Stage::Rename } else { Stage::Write };
            }
            Stage::Rename => {
                self.directory.rename(&name, &final_name(taking.stored.id.last))?;
                taking.stage = Stage::SyncNames;
            }
            Stage::Remove => {
                // What cannot be removed means nothing, and goes before the next is made.
                if self.directory.remove(&name).is_err() {
                    self.litter.push(name);
                }
            }
            Stage::SyncNames => unreachable!("done by the caller"),
        }
        Ok(())
    }
}
