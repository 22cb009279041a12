//! The items of one node, searchable without looking at most of them.
//!
//! A key lies in the allocation of its version, so comparing with it costs a trip to main memory.
//! Next to its items a node therefore keeps eight bytes of each key, those behind what all its
//! keys begin with. Most searches look at one key, the one they find.
//!
//! Invariants:
//! - all keys of the node are equal in their first `skip` bytes;
//! - `words` has one element per item, in their order: the bytes of its key from `skip` on, read
//!   as a big-endian number, zeros behind the end. So a smaller word means a smaller key, and
//!   equal words mean nothing.

use core::cmp::Ordering;

use super::CAPACITY;
use crate::key_value::KeyValue;

/// An item that has a key.
pub(super) trait Keyed: Clone {
    fn key(&self) -> &[u8];
}

impl Keyed for KeyValue {
    fn key(&self) -> &[u8] {
        self.key()
    }
}

/// Items in the order of their keys.
#[derive(Debug)]
pub(super) struct Sorted<T> {
    pub(super) items: Vec<T>,
    skip: usize,
    words: Vec<u64>,
}

impl<T: Keyed> Clone for Sorted<T> {
    fn clone(&self) -> Self {
        Self { items: roomy(&self.items), skip: self.skip, words: roomy(&self.words) }
    }
}

/// A node's vectors have their final capacity from the start, so that growing never copies.
pub(super) fn roomy<T: Clone>(items: &[T]) -> Vec<T> {
    let mut vector = Vec::with_capacity(CAPACITY);
    vector.extend_from_slice(items);
    vector
}

/// Moves the items from a place on into a vector of their own.
pub(super) fn split_roomy<T>(items: &mut Vec<T>, cut: usize) -> Vec<T> {
    let mut upper = Vec::with_capacity(CAPACITY);
    upper.extend(items.drain(cut..));
    upper
}

/// The bytes of a key from a place on, as a number.
fn word(key: &[u8], skip: usize) -> u64 {
    let rest = key.get(skip..).unwrap_or_default();
    if let Some(bytes) = rest.first_chunk() {
        return u64::from_be_bytes(*bytes);
    }
    let mut bytes = [0; 8];
    bytes[..rest.len()].copy_from_slice(rest);
    u64::from_be_bytes(bytes)
}

impl<T: Keyed> Sorted<T> {
    /// Bytes of a word that may be wasted before all words are made anew.
    const SLACK: usize = 4;

    pub(super) fn new(items: Vec<T>) -> Self {
        let mut sorted = Self { items, skip: 0, words: Vec::with_capacity(CAPACITY) };
        sorted.rebuild(sorted.common());
        sorted
    }

    /// How many bytes all keys have in common from the start: as they are sorted, as many as the
    /// first and the last.
    fn common(&self) -> usize {
        let (Some(first), Some(last)) = (self.items.first(), self.items.last()) else { return 0 };
        first.key().iter().zip(last.key()).take_while(|(a, b)| a == b).count()
    }

    fn rebuild(&mut self, skip: usize) {
        self.skip = skip;
        self.words.clear();
        self.words.extend(self.items.iter().map(|item| word(item.key(), skip)));
    }

    /// How many items stand before a place in the order. `is_before` says so of an item whose
    /// key may be `key`, and must agree with the order of the keys.
    pub(super) fn partition(&self, key: &[u8], is_before: impl Fn(&T) -> bool) -> usize {
        let Some(first) = self.items.first() else { return 0 };
        if self.skip > 0 {
            let head = &key[..self.skip.min(key.len())];
            match head.cmp(&first.key()[..self.skip]) {
                Ordering::Less => return 0,
                Ordering::Greater => return self.items.len(),
                Ordering::Equal => {}
            }
        }
        let wanted = word(key, self.skip);
        let low = self.words.partition_point(|word| *word < wanted);
        let equal = self.words[low..].iter().take_while(|word| **word == wanted).count();
        low + self.items[low..low + equal].partition_point(is_before)
    }

    pub(super) fn insert(&mut self, index: usize, item: T) {
        let is_end = index == 0 || index == self.items.len();
        self.items.insert(index, item);
        let common = if is_end { self.common() } else { self.skip };
        if common < self.skip || self.items.len() == 1 {
            self.rebuild(common);
        } else {
            self.words.insert(index, word(self.items[index].key(), self.skip));
        }
    }

    pub(super) fn remove(&mut self, index: usize) -> T {
        self.words.remove(index);
        self.items.remove(index)
    }

    pub(super) fn pop(&mut self) -> Option<T> {
        self.words.pop();
        self.items.pop()
    }

    /// Gives away the items from a place on.
    pub(super) fn split_off(&mut self, cut: usize) -> Self {
        let mut upper = Self {
            items: split_roomy(&mut self.items, cut),
            skip: self.skip,
            words: split_roomy(&mut self.words, cut),
        };
        self.sharpen();
        upper.sharpen();
        upper
    }

    /// Makes the words anew if fewer keys have more in common than the words skip.
    fn sharpen(&mut self) {
        let common = self.common();
        if common >= self.skip + Self::SLACK {
            self.rebuild(common);
        }
    }

    /// Takes in items that stand behind all of its own.
    pub(super) fn append(&mut self, upper: &mut Self) {
        self.items.append(&mut upper.items);
        self.rebuild(self.common());
    }

    /// Panics where an invariant does not hold.
    #[cfg(test)]
    pub(super) fn assert_valid(&self) {
        assert!(self.items.is_empty() || self.skip <= self.common());
        assert!(self.words.iter().copied().eq(self.items.iter().map(|i| word(i.key(), self.skip))));
        assert!(self.words.is_sorted());
    }
}
