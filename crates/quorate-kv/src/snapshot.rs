//! The store as bytes, and back: what a snapshot of it holds.
//!
//! Everything that a readable revision sees, and nothing else: stores that are alike to their
//! readers have the same bytes, however far each has swept what a compaction dropped.
//! `docs/store-format.md` says what the bytes are.
//!
//! - Writing starts from a view, in constant time, and walks it a piece at a time.
//! - Reading trusts nothing: it takes no byte sequence but the one that writing would make of the
//!   result, and never asks for more memory than bytes have come.
//! - A store that was read is, to its clients, the store that was written: the same replies, events
//!   and digests to whatever follows.

mod read;
mod source;

use std::io::Read;

use quorate::{PIECE_BYTES, Snapshot, SnapshotError, SnapshotView};

use crate::key_value::KeyValue;
use crate::store::Store;
use crate::varint;
use crate::versions::{Cursor, Walked};
use crate::view::View;

/// Version of the format.
const VERSION: u8 = 1;

/// The key is that of the version before.
const SAME_KEY: u8 = 1;
/// A mark of deletion.
const MARK: u8 = 2;
/// A newer version or mark of the same key follows.
const REPLACED: u8 = 4;
/// Attached to a lease.
const LEASED: u8 = 8;
/// Stands behind the last version.
const END: u8 = 128;

/// Versions that one piece walks over at most: many of them may be invisible.
const STEPS: usize = 4096;

impl View {
    /// The bytes of the store at this moment.
    #[must_use]
    pub fn snapshot(&self) -> StoreSnapshot {
        StoreSnapshot {
            view: self.clone(),
            cursor: Cursor::default(),
            encoder: Encoder::default(),
            part: Part::Head,
        }
    }
}

impl Snapshot for Store {
    type View = StoreSnapshot;

    fn view(&self) -> StoreSnapshot {
        self.as_view().snapshot()
    }

    /// Keeps the storage of its archive. Empty after an error.
    fn restore(&mut self, from: &mut dyn Read) -> Result<(), SnapshotError> {
        self.refill(|archivist, view| read::restore(from, archivist, view))
    }
}

/// The store at one moment, being written.
#[derive(Debug)]
pub struct StoreSnapshot {
    view: View,
    cursor: Cursor,
    encoder: Encoder,
    part: Part,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Head,
    Versions,
    Nothing,
}

impl StoreSnapshot {
    /// Bytes of the whole snapshot. Walks over all versions, but reads no value.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let mut encoder = Encoder::default();
        let (mut heads, mut bytes) = (Vec::new(), 0_u64);
        encoder.head(&self.view, &mut heads);
        for walked in self.view.walk(Cursor::default()).filter(|walked| walked.is_visible) {
            let value = encoder.version(walked, &mut heads);
            bytes = bytes.saturating_add(as_u64(heads.len() + value));
            heads.clear();
        }
        encoder.end(&mut heads);
        bytes.saturating_add(as_u64(heads.len()))
    }
}

impl SnapshotView for StoreSnapshot {
    fn next(&mut self, room: &mut Vec<u8>) -> Result<bool, SnapshotError> {
        let Self { view, cursor, encoder, part } = self;
        let full = room.len() + PIECE_BYTES;
        match part {
            Part::Head => encoder.head(view, room),
            Part::Versions => {}
            Part::Nothing => return Ok(false),
        }
        *part = Part::Versions;
        let mut walk = view.walk(*cursor);
        for _ in 0..STEPS {
            let Some(walked) = walk.next() else {
                encoder.end(room);
                *part = Part::Nothing;
                return Ok(false);
            };
            if walked.is_visible {
                encoder.version(walked, room);
                view.append_value(walked.kv, room);
            }
            if room.len() >= full {
                break;
            }
        }
        *cursor = walk.cursor();
        Ok(true)
    }
}

/// What the next version is told apart from.
#[derive(Debug, Default)]
struct Encoder {
    key: Vec<u8>,
    /// Mod revision of the version before; none before the first.
    mod_revision: i64,
    keys: u64,
    others: u64,
}

impl Encoder {
    fn head(&self, view: &View, room: &mut Vec<u8>) {
        room.push(VERSION);
        varint::write(number(view.revision.get()), room);
        varint::write(number(view.compacted.get()), room);
        varint::write(as_u64(view.alarms().len()), room);
        for alarm in view.alarms() {
            room.push(alarm.kind.number());
            varint::write(alarm.member, room);
        }
    }

    /// Writes a version up to its value; returns how many bytes that has.
    fn version(&mut self, walked: Walked<'_>, room: &mut Vec<u8>) -> usize {
        let Walked { kv, is_replaced, .. } = walked;
        let (is_mark, lease) = (kv.is_tombstone(), kv.lease().get());
        let is_same = self.mod_revision > 0 && kv.key() == self.key;
        let flag = |is_set, flag| if is_set { flag } else { 0 };
        room.push(
            flag(is_same, SAME_KEY)
                | flag(is_mark, MARK)
                | flag(is_replaced && !is_mark, REPLACED)
                | flag(lease != 0, LEASED),
        );
        let revision = kv.mod_revision().get();
        if is_same {
            varint::write(number(revision - self.mod_revision), room);
        } else {
            self.key(kv.key(), room);
            varint::write(number(revision), room);
        }
        self.mod_revision = revision;
        *(if is_replaced { &mut self.others } else { &mut self.keys }) += 1;
        if is_mark {
            return 0;
        }
        varint::write(number(revision - kv.create_revision().get()), room);
        varint::write(number(kv.version()), room);
        if lease != 0 {
            varint::write(lease.cast_unsigned(), room);
        }
        let value = kv.value_length();
        varint::write(as_u64(value), room);
        value
    }

    fn key(&mut self, key: &[u8], room: &mut Vec<u8>) {
        let shared = shared(&self.key, key);
        varint::write(as_u64(shared), room);
        varint::write(as_u64(key.len() - shared), room);
        room.extend_from_slice(&key[shared..]);
        self.key.truncate(shared);
        self.key.extend_from_slice(&key[shared..]);
    }

    fn end(&self, room: &mut Vec<u8>) {
        room.push(END);
        varint::write(self.keys, room);
        varint::write(self.others, room);
    }
}

impl View {
    /// Appends the value of one of this view's versions, wherever it is kept.
    fn append_value(&self, kv: &KeyValue, room: &mut Vec<u8>) {
        match kv.place() {
            Some(place) => {
                let start = room.len();
                room.resize(start + place.length as usize, 0);
                self.archive.read(place, &mut room[start..]);
            }
            None => room.extend_from_slice(kv.value()),
        }
    }
}

/// How many bytes two keys have in common from the start.
fn shared(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// A number of the store, none of which is negative.
fn number(number: i64) -> u64 {
    u64::try_from(number).expect("the numbers of a version are not negative")
}

fn as_u64(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

fn malformed(what: &str) -> SnapshotError {
    SnapshotError::Malformed(what.to_owned())
}
