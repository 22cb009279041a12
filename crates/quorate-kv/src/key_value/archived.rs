//! What stands behind the key of an archived version: `mod revision (8) · place and the other
//! numbers`, the latter in as few bytes as they need.
//!
//! There is one archived version for every put that a later one replaced, and nothing of it is in a
//! file but the value. Searches look at key and mod revision alone; the rest is read by who reads
//! the version.

use quorate::SnapshotError;

use super::Stamp;
use crate::archive::Place;
use crate::varint;

/// Bytes of the mod revision.
const MOD_REVISION: usize = 8;

/// Numbers behind it: since when the key was there, version, lease, and three of the place.
const NUMBERS: usize = 6;

/// Most bytes that numbers and place can take.
const MOST: usize = MOD_REVISION + NUMBERS * varint::LONGEST;

/// Numbers and place of an archived version.
#[derive(Debug)]
pub(super) struct Packed {
    bytes: [u8; MOST],
    length: usize,
}

impl Packed {
    pub(super) fn new(stamp: Stamp, place: Place) -> Self {
        let mut packed = Self { bytes: [0; MOST], length: MOD_REVISION };
        packed.bytes[..MOD_REVISION].copy_from_slice(&stamp.mod_revision.to_le_bytes());
        let age = stamp.mod_revision.wrapping_sub(stamp.create_revision);
        let numbers = [age, stamp.version, stamp.lease].map(i64::cast_unsigned);
        for number in numbers.into_iter().chain(place.numbers().map(u64::from)) {
            varint::each_byte(number, |byte| {
                packed.bytes[packed.length] = byte;
                packed.length += 1;
            });
        }
        packed
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// The mod revision among the bytes of a [`Packed`].
pub(super) fn mod_revision(packed: &[u8]) -> i64 {
    packed.first_chunk().map_or(0, |bytes| i64::from_le_bytes(*bytes))
}

/// The place among the bytes of a [`Packed`].
pub(super) fn place(packed: &[u8]) -> Place {
    let [.., chunk, offset, length] = numbers(packed);
    let small = |number| u32::try_from(number).expect("a place was written as three small numbers");
    Place::from_numbers([chunk, offset, length].map(small))
}

/// The numbers among the bytes of a [`Packed`].
pub(super) fn stamp(packed: &[u8]) -> Stamp {
    let [age, version, lease, ..] = numbers(packed).map(u64::cast_signed);
    let mod_revision = mod_revision(packed);
    Stamp { create_revision: mod_revision.wrapping_sub(age), mod_revision, version, lease }
}

fn numbers(packed: &[u8]) -> [u64; NUMBERS] {
    let mut bytes = packed[MOD_REVISION..].iter();
    let end = || SnapshotError::Malformed(String::new());
    let mut next = || varint::read(|| bytes.next().copied().ok_or_else(end));
    core::array::from_fn(|_| next().expect("they were written here"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_place_come_back() {
        let small = Stamp { create_revision: 2, mod_revision: 5, version: 3, lease: 0 };
        let gone = Stamp { create_revision: 0, mod_revision: i64::MAX, version: 0, lease: 0 };
        let odd = Stamp { create_revision: 7, mod_revision: 5, version: -1, lease: i64::MIN };
        for stamp in [small, gone, odd] {
            for place in [[0, 0, 0], [3, 1 << 24, 256], [u32::MAX; 3]].map(Place::from_numbers) {
                let packed = Packed::new(stamp, place);
                let bytes = packed.as_bytes();
                assert_eq!((super::stamp(bytes), super::place(bytes)), (stamp, place));
                assert_eq!(mod_revision(bytes), stamp.mod_revision);
            }
        }
    }

    #[test]
    fn a_usual_one_is_small() {
        let stamp =
            Stamp { create_revision: 900_000, mod_revision: 1_000_000, version: 10, lease: 0 };
        let packed = Packed::new(stamp, Place::from_numbers([15, 12 << 20, 256]));
        assert_eq!(packed.as_bytes().len(), MOD_REVISION + 3 + 1 + 1 + 1 + 4 + 2);
    }
}
