//! One version of one key: key, value and numbers in a single shared allocation.
//!
//! The bytes are `key length (4) · key · value · create revision (8) · mod revision (8) ·
//! version (8) · lease (8)`, little-endian. The key comes first because ordering a key against
//! others touches nothing else: length and a usual key share the first cache line.
//!
//! Invariants:
//! - the allocation has exactly the size of its content; it is never a slice of something larger;
//! - bytes from outside become a [`KeyValue`] only through `from_encoded`, which checks the length;
//! - what is stored never changes: a version is stamped before it enters the store;
//! - in an archived version, which no other module but the store's own gets to see, the highest bit
//!   of the key's length is set, and what follows the key is packed (`archived.rs`).

mod archived;

use core::fmt;
use std::sync::Arc;

use self::archived::Packed;
use crate::archive::Place;
use crate::revision::{LeaseId, Revision};

/// Bytes of the key's length.
const PREFIX: usize = 4;

/// Marks an archived version, in the key's length.
const ARCHIVED: u32 = 1 << 31;

/// Bytes of the numbers behind the value.
const NUMBERS: usize = 32;

/// Offsets of the numbers from the end of the allocation.
const CREATE_REVISION: usize = 32;
const MOD_REVISION: usize = 24;
const VERSION: usize = 16;
const LEASE: usize = 8;

/// Numbers that the store gives a version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Revision of the first put since the key was absent.
    pub(crate) create_revision: i64,
    /// Revision of this version.
    pub(crate) mod_revision: i64,
    /// How many puts since the key was absent; zero marks a deletion.
    pub(crate) version: i64,
    /// Lease that the key is attached to.
    pub(crate) lease: i64,
}

impl Stamp {
    /// Writes the numbers one after the other.
    fn write(self, room: &mut [u8]) {
        let Self { create_revision, mod_revision, version, lease } = self;
        let numbers = [create_revision, mod_revision, version, lease];
        for (room, number) in room.chunks_exact_mut(8).zip(numbers) {
            room.copy_from_slice(&number.to_le_bytes());
        }
    }
}

/// The length of a key as it stands before it.
fn prefix(key: &[u8]) -> u32 {
    let length = u32::try_from(key.len()).ok().filter(|length| length & ARCHIVED == 0);
    length.expect("a key is shorter than 2 GiB")
}

/// One version of one key. Cloning it shares the bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyValue(Arc<[u8]>);

impl KeyValue {
    /// Bytes of a version beside its key and its value.
    pub(crate) const OVERHEAD: usize = PREFIX + NUMBERS;

    /// Copies key and value into one allocation of their exact size.
    ///
    /// # Panics
    ///
    /// When the key has 2 GiB or more.
    pub(crate) fn assemble(key: &[u8], value: &[u8], stamp: Stamp) -> Self {
        let mut kv = Self::joined(prefix(key), [key, value], NUMBERS);
        let numbers = kv.0.len() - NUMBERS;
        stamp.write(&mut Arc::get_mut(&mut kv.0).expect("it was made here")[numbers..]);
        kv
    }

    /// The same for a version whose value is kept elsewhere.
    ///
    /// # Panics
    ///
    /// When the key has 2 GiB or more.
    pub(crate) fn assemble_archived(key: &[u8], place: Place, stamp: Stamp) -> Self {
        let packed = Packed::new(stamp, place);
        Self::joined(prefix(key) | ARCHIVED, [key, packed.as_bytes()], 0)
    }

    /// A prefix, two parts and some zeros in one allocation.
    fn joined(prefix: u32, [key, rest]: [&[u8]; 2], zeros: usize) -> Self {
        let size = PREFIX + key.len() + rest.len() + zeros;
        let mut bytes: Arc<[u8]> = core::iter::repeat_n(0, size).collect();
        let room = Arc::get_mut(&mut bytes).expect("the allocation was made here");
        let (prefix_room, room) = room.split_at_mut(PREFIX);
        let (key_room, room) = room.split_at_mut(key.len());
        prefix_room.copy_from_slice(&prefix.to_le_bytes());
        key_room.copy_from_slice(key);
        room[..rest.len()].copy_from_slice(rest);
        Self(bytes)
    }

    /// Reads a version from its own bytes; `None` when they cannot be one.
    pub(crate) fn from_encoded(bytes: &[u8]) -> Option<Self> {
        let (prefix, rest) = bytes.split_first_chunk::<PREFIX>()?;
        let key_length = usize::try_from(u32::from_le_bytes(*prefix)).ok()?;
        let content = rest.len().checked_sub(NUMBERS)?;
        let is_whole = bytes[PREFIX - 1] & ARCHIVED.to_le_bytes()[PREFIX - 1] == 0;
        (is_whole && key_length <= content).then(|| Self(Arc::from(bytes)))
    }

    /// The bytes that [`Self::from_encoded`] reads.
    pub(crate) fn encoded(&self) -> &[u8] {
        &self.0
    }

    /// Gives the version its numbers, in place unless somebody else holds it too.
    pub(crate) fn stamped(mut self, stamp: Stamp) -> Self {
        let bytes = Arc::make_mut(&mut self.0);
        let start = bytes.len() - NUMBERS;
        stamp.write(&mut bytes[start..]);
        self
    }

    /// The mark that a key was deleted at a revision.
    pub(crate) fn tombstone(key: &[u8], revision: Revision) -> Self {
        let stamp = Stamp { mod_revision: revision.get(), ..Stamp::default() };
        Self::assemble(key, &[], stamp)
    }

    /// Whether this marks a deletion.
    pub(crate) fn is_tombstone(&self) -> bool {
        self.version() == 0
    }

    /// A copy of key and numbers, with an empty value.
    pub(crate) fn without_value(&self) -> Self {
        Self::assemble(self.key(), &[], self.stamp())
    }

    /// The version with its value kept elsewhere.
    pub(crate) fn archived(&self, place: Place) -> Self {
        Self::assemble_archived(self.key(), place, self.stamp())
    }

    /// Where the value is kept, unless it is here.
    pub(crate) fn place(&self) -> Option<Place> {
        self.packed().map(archived::place)
    }

    /// An archived version with its value; `read` fills the room for it.
    pub(crate) fn restored(&self, place: Place, read: impl FnOnce(&mut [u8])) -> Self {
        let mut value = vec![0; place.length as usize];
        read(&mut value);
        Self::assemble(self.key(), &value, self.stamp())
    }

    fn stamp(&self) -> Stamp {
        self.packed().map_or_else(
            || Stamp {
                create_revision: self.number(CREATE_REVISION),
                mod_revision: self.number(MOD_REVISION),
                version: self.number(VERSION),
                lease: self.number(LEASE),
            },
            archived::stamp,
        )
    }

    /// What follows the key of an archived version.
    fn packed(&self) -> Option<&[u8]> {
        let prefix = self.prefix();
        (prefix & ARCHIVED != 0).then(|| &self.0[PREFIX + (prefix & !ARCHIVED) as usize..])
    }

    /// Bytes of the version, wherever its value is kept.
    pub(crate) fn size(&self) -> usize {
        Self::OVERHEAD + self.key_length() + self.value_length()
    }

    /// Bytes of the value, wherever it is kept.
    pub(crate) fn value_length(&self) -> usize {
        self.place().map_or_else(|| self.content().len(), |place| place.length as usize)
    }

    fn prefix(&self) -> u32 {
        let [a, b, c, d, ..] = *self.0 else { return 0 };
        u32::from_le_bytes([a, b, c, d])
    }

    fn key_length(&self) -> usize {
        (self.prefix() & !ARCHIVED) as usize
    }

    /// The value of a version that is not archived.
    fn content(&self) -> &[u8] {
        &self.0[PREFIX + self.key_length()..self.0.len() - NUMBERS]
    }

    fn number(&self, from_end: usize) -> i64 {
        let start = self.0.len() - from_end;
        self.0[start..].first_chunk().map_or(0, |bytes| i64::from_le_bytes(*bytes))
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        &self.0[PREFIX..PREFIX + self.key_length()]
    }

    /// The value; empty in a deletion and where only keys were asked for.
    #[must_use]
    pub fn value(&self) -> &[u8] {
        debug_assert!(self.place().is_none(), "the value of {:?} is kept elsewhere", self.key());
        self.content()
    }

    /// Revision of the first put since the key was absent; zero in a deletion.
    #[must_use]
    pub fn create_revision(&self) -> Revision {
        Revision(self.stamp().create_revision)
    }

    /// Revision of this version.
    #[must_use]
    pub fn mod_revision(&self) -> Revision {
        Revision(match self.packed() {
            Some(packed) => archived::mod_revision(packed),
            None => self.number(MOD_REVISION),
        })
    }

    /// How many puts since the key was absent; zero in a deletion.
    #[must_use]
    pub fn version(&self) -> i64 {
        self.stamp().version
    }

    /// Lease that the key is attached to.
    #[must_use]
    pub fn lease(&self) -> LeaseId {
        LeaseId(self.stamp().lease)
    }
}

impl fmt::Debug for KeyValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}=", self.key().escape_ascii())?;
        match self.place() {
            Some(place) => write!(f, "{place:?}")?,
            None => write!(f, "{}", self.value().escape_ascii())?,
        }
        write!(
            f,
            " (create {}, mod {}, version {}, lease {})",
            self.create_revision(),
            self.mod_revision(),
            self.version(),
            self.lease()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = Stamp { create_revision: 2, mod_revision: 5, version: 3, lease: -7 };

    #[test]
    fn a_version_gives_back_what_was_put_in() {
        let kv = KeyValue::assemble(b"key", b"value", STAMP);
        assert_eq!((kv.key(), kv.value()), (&b"key"[..], &b"value"[..]));
        assert_eq!((kv.create_revision(), kv.mod_revision()), (Revision(2), Revision(5)));
        assert_eq!((kv.version(), kv.lease()), (3, LeaseId(-7)));
        assert_eq!(kv.size(), KeyValue::OVERHEAD + 8, "the allocation has no slack");
    }

    #[test]
    fn stamping_a_shared_version_leaves_the_other_holder_alone() {
        let kv = KeyValue::assemble(b"key", b"value", STAMP);
        let stamped = kv.clone().stamped(Stamp { version: 9, ..STAMP });
        assert_eq!((kv.version(), stamped.version()), (3, 9));
        assert_eq!(stamped.value(), b"value");
    }

    #[test]
    fn encoded_bytes_are_read_only_when_the_lengths_fit() {
        let kv = KeyValue::assemble(b"key", b"v", STAMP);
        assert_eq!(KeyValue::from_encoded(kv.encoded()).as_ref(), Some(&kv));
        for cut in 0..kv.size() {
            let read = KeyValue::from_encoded(&kv.encoded()[..cut]);
            // Cut by one byte it is still a version: of the same key with an empty value.
            assert_eq!(read.is_some(), cut == kv.size() - 1, "cut to {cut} bytes");
        }
        let mut long_key = kv.encoded().to_vec();
        long_key[0] = 5;
        assert_eq!(KeyValue::from_encoded(&long_key), None, "the key would reach the numbers");
    }

    #[test]
    fn an_archived_version_keeps_key_numbers_and_size() {
        let kv = KeyValue::assemble(b"key", &[7; 100], STAMP);
        let place = Place::from_numbers([1, 2, 100]);
        let archived = kv.archived(place);
        assert_eq!((archived.key(), archived.stamp()), (kv.key(), STAMP));
        assert_eq!((archived.size(), archived.place()), (kv.size(), Some(place)));
        assert!(archived.encoded().len() < kv.size());
        assert_eq!(archived.without_value(), kv.without_value());
        assert_eq!(archived.restored(place, |room| room.fill(7)), kv);
        assert_eq!(KeyValue::from_encoded(archived.encoded()), None, "nobody sends a place");
    }

    #[test]
    fn a_version_without_value_keeps_key_and_numbers() {
        let bare = KeyValue::assemble(b"key", b"value", STAMP).without_value();
        assert_eq!(bare, KeyValue::assemble(b"key", b"", STAMP));
    }
}
