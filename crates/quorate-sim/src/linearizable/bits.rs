//! A set of small numbers that is compact while they are put in roughly in order.
//!
//! A search has done all operations up to some point and few beyond it. So a set is described by the
//! number of leading full words and the words after them, without trailing empty ones: a few
//! words, however long the history.

/// A set of numbers below a fixed limit.
#[derive(Clone, Debug)]
pub(super) struct Bits {
    words: Vec<u64>,
    /// Words before this one are full.
    base: usize,
    /// Words from this one on are empty.
    top: usize,
}

/// A description of a [`Bits`] for comparisons; equal sets have equal ones.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Compact {
    base: usize,
    window: Box<[u64]>,
}

impl Bits {
    /// The empty set of numbers below `limit`.
    pub(super) fn new(limit: usize) -> Self {
        Self { words: vec![0; limit.div_ceil(64)], base: 0, top: 0 }
    }

    pub(super) fn set(&mut self, number: usize) {
        let word = number / 64;
        self.words[word] |= 1 << (number % 64);
        self.top = self.top.max(word + 1);
        while self.base < self.top && self.words[self.base] == u64::MAX {
            self.base += 1;
        }
    }

    pub(super) fn clear(&mut self, number: usize) {
        let word = number / 64;
        self.words[word] &= !(1 << (number % 64));
        self.base = self.base.min(word);
        while self.top > 0 && self.words[self.top - 1] == 0 {
            self.top -= 1;
        }
    }

    pub(super) fn contains(&self, number: usize) -> bool {
        self.words[number / 64] & (1 << (number % 64)) != 0
    }

    pub(super) fn compact(&self) -> Compact {
        Compact { base: self.base, window: self.words[self.base..self.top].into() }
    }
}

impl Compact {
    fn word(&self, index: usize) -> u64 {
        match index.checked_sub(self.base) {
            None => u64::MAX,
            Some(offset) => self.window.get(offset).copied().unwrap_or(0),
        }
    }

    /// Whether every number of this set is in the other, too.
    pub(super) fn is_within(&self, other: &Self) -> bool {
        (0..self.base + self.window.len()).all(|index| self.word(index) & !other.word(index) == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_sets_have_equal_descriptions_whatever_was_done_to_them() {
        let mut straight = Bits::new(200);
        let mut detour = Bits::new(200);
        for number in 0..130 {
            straight.set(number);
        }
        for number in (0..200).rev() {
            detour.set(number);
        }
        for number in (130..200).chain([64, 3]) {
            detour.clear(number);
        }
        assert_ne!(straight.compact(), detour.compact());
        assert!(detour.compact().is_within(&straight.compact()));
        assert!(!straight.compact().is_within(&detour.compact()));
        detour.set(3);
        detour.set(64);
        assert_eq!(straight.compact(), detour.compact());
        assert_eq!(straight.compact().base, 2);
        assert_eq!(*straight.compact().window, [3]);
    }
}
