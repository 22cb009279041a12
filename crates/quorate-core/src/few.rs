//! A list of nearly always one element, which then needs no memory of its own.
//!
//! A wake-up with one proposal makes one run, one slice of entries, one of everything: as vectors
//! they would cost more to allocate and free than all that the protocol does with them.

use core::fmt;
use core::ops::{Deref, DerefMut};

/// A list of any length; up to one element lies in it, more lie in a vector.
#[derive(Clone)]
pub struct Few<T>(Held<T>);

#[derive(Clone)]
enum Held<T> {
    Nothing,
    One(T),
    Many(Vec<T>),
}

impl<T> Few<T> {
    /// A list without elements.
    #[must_use]
    pub const fn new() -> Self {
        Self(Held::Nothing)
    }

    /// A list of one element.
    #[must_use]
    pub const fn one(element: T) -> Self {
        Self(Held::One(element))
    }

    /// The one element, where there is exactly one.
    #[must_use]
    #[inline]
    pub fn only(&self) -> Option<&T> {
        match &self[..] {
            [only] => Some(only),
            _ => None,
        }
    }

    /// Takes the one element out, where there is exactly one.
    #[must_use]
    #[inline]
    pub fn take_only(&mut self) -> Option<T> {
        match core::mem::take(self).0 {
            Held::One(only) => Some(only),
            Held::Many(mut many) if many.len() == 1 => many.pop(),
            held @ (Held::Nothing | Held::Many(_)) => {
                self.0 = held;
                None
            }
        }
    }

    /// Makes room for so many elements more, where they will be more than one.
    pub fn reserve(&mut self, more: usize) {
        if self.len() + more > 1 {
            self.to_vec_mut().reserve(more);
        }
    }

    /// The same elements as a vector, from here on.
    fn to_vec_mut(&mut self) -> &mut Vec<T> {
        if !matches!(self.0, Held::Many(_)) {
            let many = core::mem::take(self).into_iter().collect();
            self.0 = Held::Many(many);
        }
        match &mut self.0 {
            Held::Many(many) => many,
            Held::Nothing | Held::One(_) => unreachable!("it was just made a vector"),
        }
    }

    /// Appends an element.
    pub fn push(&mut self, element: T) {
        match &mut self.0 {
            Held::Many(many) => many.push(element),
            held @ (Held::Nothing | Held::One(_)) => {
                *held = match core::mem::replace(held, Held::Nothing) {
                    Held::One(first) => Held::Many(vec![first, element]),
                    Held::Nothing | Held::Many(_) => Held::One(element),
                };
            }
        }
    }
}

impl<T> Default for Few<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Deref for Few<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        match &self.0 {
            Held::Nothing => &[],
            Held::One(one) => core::slice::from_ref(one),
            Held::Many(many) => many,
        }
    }
}

impl<T> DerefMut for Few<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        match &mut self.0 {
            Held::Nothing => &mut [],
            Held::One(one) => core::slice::from_mut(one),
            Held::Many(many) => many,
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Few<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self[..].fmt(f)
    }
}

impl<T: PartialEq> PartialEq for Few<T> {
    fn eq(&self, other: &Self) -> bool {
        self[..] == other[..]
    }
}

impl<T: Eq> Eq for Few<T> {}

impl<T> From<Vec<T>> for Few<T> {
    fn from(many: Vec<T>) -> Self {
        Self(Held::Many(many))
    }
}

impl<T> Extend<T> for Few<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, elements: I) {
        elements.into_iter().for_each(|element| self.push(element));
    }
}

impl<T> FromIterator<T> for Few<T> {
    fn from_iter<I: IntoIterator<Item = T>>(elements: I) -> Self {
        let mut few = Self::new();
        few.extend(elements);
        few
    }
}

impl<'a, T> IntoIterator for &'a Few<T> {
    type Item = &'a T;
    type IntoIter = core::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<T> IntoIterator for Few<T> {
    type Item = T;
    type IntoIter = core::iter::Chain<core::option::IntoIter<T>, std::vec::IntoIter<T>>;

    fn into_iter(self) -> Self::IntoIter {
        let (one, many) = match self.0 {
            Held::Nothing => (None, Vec::new()),
            Held::One(one) => (Some(one), Vec::new()),
            Held::Many(many) => (None, many),
        };
        one.into_iter().chain(many)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_list_that_a_vector_of_the_same_elements_is() {
        for count in 0..5 {
            let plain: Vec<u32> = (0..count).collect();
            let mut few: Few<u32> = plain.iter().copied().collect();
            assert_eq!((few.to_vec(), &few), (plain.clone(), &Few::from(plain.clone())));
            assert_eq!(format!("{few:?}"), format!("{plain:?}"));
            assert_eq!((&few).into_iter().sum::<u32>(), plain.iter().sum());
            assert_eq!(few.clone().into_iter().collect::<Vec<_>>(), plain);
            assert_eq!(few.only(), plain.first().filter(|_| plain.len() == 1));
            let mut other = few.clone();
            assert_eq!(other.take_only(), few.only().copied());
            let rest = if count == 1 { &[][..] } else { &plain };
            assert_eq!(&other[..], rest, "nothing else is taken out");
            few.iter_mut().for_each(|element| *element += 10);
            few.reserve(3);
            few.push(7);
            assert_eq!((few.len(), few.first() == Some(&7)), (plain.len() + 1, plain.is_empty()));
            assert_eq!(few.last(), Some(&7));
        }
        assert_eq!(Few::from(vec![7]).take_only(), Some(7));
        // What a vector held stays a vector's, and is equal all the same.
        let mut few = Few::from(Vec::new());
        few.push(1);
        assert_eq!(few, Few::one(1));
    }
}
