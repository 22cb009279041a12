//! Reading durable entries back, on any thread.
//!
//! A reader looks the place up in the log's table and reads the whole batch there. Its header and
//! every entry in it carry a checksum of their own: nothing unverified is ever served. It holds no lock while it reads: a truncation or
//! compaction meanwhile leaves the bytes of the open file as they were, and what they hold was true
//! when the read began; who asked compares terms in any case.

use std::sync::{Arc, Mutex, PoisonError};

use quorate_core::Index;

use crate::batch::{BATCH_HEADER_BYTES, BatchHeader};
use crate::block::{Block, Entries};
use crate::directory::Named;
use crate::error::{Damage, DamageKind, ReadError};
use crate::fs::Fs;
use crate::record::Limits;
use crate::segment::{SegmentHeader, Spot};
use crate::table::Table;
use crate::whiten::Whitener;

/// Reads durable entries from any thread.
#[derive(Debug)]
pub struct LogReader<F: Fs> {
    table: Arc<Mutex<Table<F::File>>>,
    /// The batch read last, with its segment and place: the next read often begins in it.
    kept: Option<(u64, u64, Arc<Block>)>,
}

impl<F: Fs> Clone for LogReader<F> {
    fn clone(&self) -> Self {
        Self { table: Arc::clone(&self.table), kept: None }
    }
}

/// Where entries stand, with all that is needed to read them.
struct Place<File> {
    segment: SegmentHeader,
    file: Named<File>,
    spot: Spot,
}

impl<F: Fs> LogReader<F> {
    pub(crate) const fn new(table: Arc<Mutex<Table<F::File>>>) -> Self {
        Self { table, kept: None }
    }

    /// Reads durable entries, verified: from `first` on, up to `last` and about `max_bytes`, but
    /// at least one.
    ///
    /// # Errors
    ///
    /// When `first` is compacted or not durable, or the bytes cannot be believed.
    pub fn read(
        &mut self,
        first: Index,
        last: Index,
        max_bytes: usize,
    ) -> Result<Vec<Entries>, ReadError> {
        let mut found: Vec<Entries> = Vec::new();
        let mut left = max_bytes;
        let mut next = first;
        while next <= last {
            let place = match self.place(next) {
                Ok(place) => place,
                Err(_) if !found.is_empty() => break,
                Err(error) => return Err(error),
            };
            let end = last.min(place.spot.last);
            let block = self.batch(&place)?;
            let Some(entries) = Entries::of(block, next, end) else {
                return Err(damaged(&place, DamageKind::Chain));
            };
            let entries = entries.within(left);
            let bytes = entries.bytes().len();
            if bytes > left && !found.is_empty() {
                break;
            }
            left = left.saturating_sub(bytes);
            next = entries.last().next();
            let cut = entries.last() < end;
            found.push(entries);
            if cut {
                break;
            }
        }
        Ok(found)
    }

    fn place(&self, index: Index) -> Result<Place<F::File>, ReadError> {
        let table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        if index <= table.base.index {
            return Err(ReadError::Compacted { base: table.base.index });
        }
        let beyond = ReadError::Beyond { last: table.last.index };
        let (segment, spot) = table.find(index).ok_or(beyond)?;
        Ok(Place { segment: segment.header, file: segment.file.clone(), spot })
    }

    /// The entries of one batch.
    fn batch(&mut self, place: &Place<F::File>) -> Result<Arc<Block>, ReadError> {
        if let Some((segment, offset, block)) = &self.kept
            && (*segment, *offset) == (place.segment.id, place.spot.offset)
        {
            return Ok(Arc::clone(block));
        }
        let block = read_batch(place)?;
        self.kept = Some((place.segment.id, place.spot.offset, Arc::clone(&block)));
        Ok(block)
    }
}

fn read_batch<T: crate::fs::File>(place: &Place<T>) -> Result<Arc<Block>, ReadError> {
    let offset = place.spot.offset;
    let extent =
        usize::try_from(place.spot.extent).map_err(|_| damaged(place, DamageKind::Length))?;
    let mut bytes = vec![0; extent];
    let read = place.file.read(&mut bytes, offset).map_err(ReadError::Io)?;
    if read < extent {
        return Err(damaged(place, DamageKind::Short));
    }
    Whitener::new(place.segment.id).apply(&mut bytes, offset);
    let header = BatchHeader::decode(&bytes).ok_or_else(|| damaged(place, DamageKind::Checksum))?;
    if !header.is_placed(&place.segment, offset) || header.first.index != place.spot.first {
        return Err(damaged(place, DamageKind::Misplaced));
    }
    let end = usize::try_from(header.body_bytes)
        .map_err(|_| damaged(place, DamageKind::Length))?
        .saturating_add(BATCH_HEADER_BYTES);
    bytes.truncate(end);
    bytes.drain(..BATCH_HEADER_BYTES);
    Block::decode(bytes, Limits::FORMAT).map_err(|_| damaged(place, DamageKind::Record))
}

fn damaged<T>(place: &Place<T>, kind: DamageKind) -> ReadError {
    ReadError::Damaged(Damage {
        file: place.file.path.clone(),
        offset: place.spot.offset,
        kind,
        first: Some(place.spot.first),
        last: Some(place.spot.last),
    })
}
