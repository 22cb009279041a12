//! Where the values of replaced versions are kept: out of the way, because they are rarely read
//! again, and there are soon more of them than of anything else.
//!
//! Key and numbers of a replaced version stay in the tree; its value moves to a chunk, and a
//! [`Place`] stands where it was. What a chunk is, the owner of the store decides: memory, or a
//! file ([`ArchiveStorage`]). A chunk is dropped when no store and no view needs a value of it.
//!
//! Invariants:
//! - what was appended to a chunk never changes, so that a view reads it without asking anybody;
//! - an archive holds every chunk in which a version of its view has its value;
//! - where a value is kept changes neither a reply nor a digest nor a figure of the store.

use core::fmt;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes of a chunk; one value that is larger has a chunk of its own.
const CHUNK_BYTES: usize = 16 << 20;

/// Values up to this size stay where they are: their place would hardly be smaller.
const SMALL: usize = 32;

/// Makes the chunks in which a store keeps the values of replaced versions.
pub trait ArchiveStorage: fmt::Debug + Send + Sync {
    /// An empty chunk.
    fn chunk(&self) -> Arc<dyn ArchiveChunk>;
}

/// A sequence of bytes that only grows.
///
/// Nothing in it has to survive a restart: the log brings it back. So storage that is full must
/// not refuse: what it cannot take, a chunk keeps in memory.
pub trait ArchiveChunk: fmt::Debug + Send + Sync {
    /// Puts bytes behind all that was appended before.
    fn append(&self, bytes: &[u8]);

    /// Says that nothing more will be appended.
    fn seal(&self) {}

    /// Fills `room` with the bytes from `offset` on, all of which were appended.
    ///
    /// # Panics
    ///
    /// When they cannot be read any more. A store that goes on without them would differ from
    /// the other replicas, so the panic stops the node.
    fn read(&self, offset: u64, room: &mut [u8]);
}

/// Keeps values in memory.
#[derive(Debug, Default)]
pub(crate) struct InMemory;

impl ArchiveStorage for InMemory {
    fn chunk(&self) -> Arc<dyn ArchiveChunk> {
        Arc::new(MemoryChunk::default())
    }
}

#[derive(Debug, Default)]
struct MemoryChunk(Mutex<Vec<u8>>);

impl ArchiveChunk for MemoryChunk {
    fn append(&self, bytes: &[u8]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
    }

    fn seal(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).shrink_to_fit();
    }

    fn read(&self, offset: u64, room: &mut [u8]) {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let start = usize::try_from(offset).expect("what is in memory has an address");
        room.copy_from_slice(&bytes[start..start + room.len()]);
    }
}

/// Where a value is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    chunk: u32,
    offset: u32,
    pub(crate) length: u32,
}

impl Place {
    /// What tells places apart: chunk, offset, length.
    pub(crate) const fn numbers(self) -> [u32; 3] {
        [self.chunk, self.offset, self.length]
    }

    /// The place of which [`Self::numbers`] gave these.
    pub(crate) const fn from_numbers([chunk, offset, length]: [u32; 3]) -> Self {
        Self { chunk, offset, length }
    }
}

/// The chunks that a view needs. Cloning it takes constant time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Archive(Arc<BTreeMap<u32, Arc<dyn ArchiveChunk>>>);

impl Archive {
    /// The value at a place that one of this archive's versions names.
    pub(crate) fn read(&self, place: Place, room: &mut [u8]) {
        let chunk = self.0.get(&place.chunk).expect("a view holds the chunks of its versions");
        chunk.read(u64::from(place.offset), room);
    }
}

/// Puts values into an archive, and drops chunks of which no value is left.
#[derive(Debug)]
pub(crate) struct Archivist {
    storage: Box<dyn ArchiveStorage>,
    /// Number of the chunk that grows.
    open: u32,
    /// Bytes in it.
    end: usize,
    /// Values left in each chunk.
    values: BTreeMap<u32, u32>,
}

impl Default for Archivist {
    fn default() -> Self {
        Self::new(Box::new(InMemory))
    }
}

impl Archivist {
    pub(crate) fn new(storage: Box<dyn ArchiveStorage>) -> Self {
        // Full from the start, so that an empty store has no chunk.
        Self { storage, open: 0, end: CHUNK_BYTES, values: BTreeMap::new() }
    }

    /// Forgets every value; views of before keep theirs.
    pub(crate) fn clear(&mut self, archive: &mut Archive) {
        *archive = Archive::default();
        self.end = CHUNK_BYTES;
        self.values.clear();
    }

    /// Keeps a value; `None` where it is too small to gain anything, or too large for a place.
    pub(crate) fn keep(&mut self, archive: &mut Archive, value: &[u8]) -> Option<Place> {
        let length = u32::try_from(value.len()).ok().filter(|_| value.len() > SMALL)?;
        if self.end.saturating_add(value.len()) > CHUNK_BYTES {
            self.roll(archive);
        }
        let chunk = archive.0.get(&self.open).expect("the archive holds the chunk that grows");
        chunk.append(value);
        let offset = u32::try_from(self.end).expect("a chunk is smaller than 4 GiB");
        self.end += value.len();
        *self.values.entry(self.open).or_default() += 1;
        Some(Place { chunk: self.open, offset, length })
    }

    /// Begins the next chunk.
    fn roll(&mut self, archive: &mut Archive) {
        let chunks = Arc::make_mut(&mut archive.0);
        if let Some(full) = chunks.get(&self.open) {
            full.seal();
        }
        if !self.values.contains_key(&self.open) {
            chunks.remove(&self.open);
        }
        self.open += 1;
        self.end = 0;
        chunks.insert(self.open, self.storage.chunk());
    }

    /// Says that the store needs a value no more.
    pub(crate) fn release(&mut self, archive: &mut Archive, place: Place) {
        let Some(left) = self.values.get_mut(&place.chunk) else { return };
        *left -= 1;
        if *left > 0 {
            return;
        }
        self.values.remove(&place.chunk);
        if place.chunk != self.open {
            Arc::make_mut(&mut archive.0).remove(&place.chunk);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(archive: &Archive, place: Place) -> Vec<u8> {
        let mut room = vec![0; place.length as usize];
        archive.read(place, &mut room);
        room
    }

    #[test]
    fn values_come_back_from_whichever_chunk_they_are_in() {
        let (mut archivist, mut archive) = (Archivist::default(), Archive::default());
        let sizes = [SMALL + 1, CHUNK_BYTES, CHUNK_BYTES + 7, 100, CHUNK_BYTES - 100, 1000];
        let values: Vec<Vec<u8>> = sizes.iter().zip(1..).map(|(&n, byte)| vec![byte; n]).collect();
        let keep = |value: &Vec<u8>| archivist.keep(&mut archive, value).unwrap();
        let places: Vec<Place> = values.iter().map(keep).collect();
        for (place, value) in places.iter().zip(&values) {
            assert!(read(&archive, *place) == *value, "{place:?}");
            assert_eq!(Place::from_numbers(place.numbers()), *place);
        }
        assert_eq!(archive.0.len(), 5, "the fourth and the fifth fill one chunk");
    }

    #[test]
    fn a_small_value_is_not_taken() {
        let (mut archivist, mut archive) = (Archivist::default(), Archive::default());
        assert_eq!(archivist.keep(&mut archive, &[7; SMALL]), None);
        assert!(archive.0.is_empty());
    }

    #[test]
    fn a_chunk_goes_with_its_last_value_unless_an_older_view_needs_it() {
        let (mut archivist, mut archive) = (Archivist::default(), Archive::default());
        let half = vec![1; CHUNK_BYTES / 2];
        let places: Vec<Place> =
            (0..5).map(|_| archivist.keep(&mut archive, &half).unwrap()).collect();
        let before = archive.clone();
        let chunks = |archive: &Archive| archive.0.keys().copied().collect::<Vec<_>>();
        archivist.release(&mut archive, places[0]);
        assert_eq!(chunks(&archive), [1, 2, 3]);
        archivist.release(&mut archive, places[1]);
        assert_eq!(chunks(&archive), [2, 3]);
        assert!(read(&before, places[0]) == half, "the view of before reads on");
        let gone = Arc::downgrade(&before.0[&1]);
        drop(before);
        assert!(gone.upgrade().is_none(), "nobody needs it");

        // The chunk that grows stays, empty or not, until it is full.
        archivist.release(&mut archive, places[4]);
        assert_eq!(chunks(&archive), [2, 3]);
        let last = archivist.keep(&mut archive, &[9; CHUNK_BYTES / 2]).unwrap();
        archivist.release(&mut archive, last);
        archivist.keep(&mut archive, &half).unwrap();
        assert_eq!(chunks(&archive), [2, 4]);
    }
}
