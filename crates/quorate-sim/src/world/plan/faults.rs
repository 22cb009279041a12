//! Which kinds of faults a run may draw from, and which of their strikes: a set, as text and back.
//!
//! The text is what `--faults` and `regression!` take: words with commas between them. A word is
//! `all`, `none`, the name of a kind, or one with a minus in front to take it away. Behind a name,
//! `/4` leaves every fourth strike of the kind, and `:0+3-7` leaves the strikes with these numbers:
//! the strikes of each kind are counted from 0.

use core::fmt;
use core::str::FromStr;
use std::collections::BTreeMap;

use super::Fault;

/// Kinds of faults that a run may draw from.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Faults {
    /// A bit for each kind.
    kinds: u64,
    /// Kinds of which some strikes are left out.
    limits: BTreeMap<Fault, Limit>,
}

/// Which strikes of a kind are left.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Limit {
    /// One in so many.
    each: u32,
    /// Of those the ones in these ranges, ends included; every one where there is no range.
    only: Vec<(u32, u32)>,
}

const _: () = assert!(Fault::ALL.len() <= 64, "a bit for each kind");

const fn bit(kind: Fault) -> u64 {
    1 << kind as u64
}

impl Faults {
    /// Every kind.
    #[must_use]
    pub fn all() -> Self {
        Self::only(Fault::ALL)
    }

    /// No kind: a calm world.
    #[must_use]
    pub const fn none() -> Self {
        Self { kinds: 0, limits: BTreeMap::new() }
    }

    /// These kinds alone.
    #[must_use]
    pub fn only(kinds: impl IntoIterator<Item = Fault>) -> Self {
        let kinds = kinds.into_iter().fold(0, |kinds, kind| kinds | bit(kind));
        Self { kinds, limits: BTreeMap::new() }
    }

    /// All but this kind.
    #[must_use]
    pub fn without(mut self, kind: Fault) -> Self {
        self.remove(kind);
        self
    }

    /// Whether a kind may be drawn.
    #[must_use]
    pub const fn contains(&self, kind: Fault) -> bool {
        self.kinds & bit(kind) != 0
    }

    /// How many kinds there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.kinds.count_ones() as usize
    }

    /// Whether there is no kind.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.kinds == 0
    }

    /// The kinds.
    pub fn iter(&self) -> impl Iterator<Item = Fault> {
        Fault::ALL.into_iter().filter(|kind| self.contains(*kind))
    }

    /// Those kinds for which `keep` holds, with their strikes.
    #[must_use]
    pub fn filter(&self, keep: impl Fn(Fault) -> bool) -> Self {
        let mut faults = self.clone();
        self.iter().filter(|kind| !keep(*kind)).for_each(|kind| faults.remove(kind));
        faults
    }

    /// The same with one strike in so many of this kind.
    #[must_use]
    pub fn one_in(mut self, kind: Fault, each: u32) -> Self {
        self.insert(kind);
        self.limit(kind).each = each.max(1);
        self.forget_empty_limit(kind);
        self
    }

    /// The same with no strikes of this kind but those with these numbers, in ascending order.
    #[must_use]
    pub fn strikes(mut self, kind: Fault, numbers: impl IntoIterator<Item = u32>) -> Self {
        let mut only: Vec<(u32, u32)> = Vec::new();
        for number in numbers {
            match only.last_mut() {
                Some((_, last)) if *last + 1 == number => *last = number,
                _ => only.push((number, number)),
            }
        }
        if only.is_empty() {
            return self.without(kind);
        }
        self.insert(kind);
        self.limit(kind).only = only;
        self
    }

    /// Whether the strike of a kind with this number is left.
    #[must_use]
    pub fn leaves(&self, kind: Fault, number: u32) -> bool {
        if self.limits.is_empty() {
            return true;
        }
        self.limits.get(&kind).is_none_or(|limit| {
            let is_in = |(first, last): &(u32, u32)| (*first..=*last).contains(&number);
            number.is_multiple_of(limit.each)
                && (limit.only.is_empty() || limit.only.iter().any(is_in))
        })
    }

    pub(crate) fn insert(&mut self, kind: Fault) {
        self.kinds |= bit(kind);
    }

    pub(crate) fn remove(&mut self, kind: Fault) {
        self.kinds &= !bit(kind);
        self.limits.remove(&kind);
    }

    fn limit(&mut self, kind: Fault) -> &mut Limit {
        self.limits.entry(kind).or_insert(Limit { each: 1, only: Vec::new() })
    }

    fn forget_empty_limit(&mut self, kind: Fault) {
        if self.limits.get(&kind).is_some_and(|limit| limit.each == 1 && limit.only.is_empty()) {
            self.limits.remove(&kind);
        }
    }

    /// The name of a kind with what limits it.
    fn word(&self, kind: Fault) -> String {
        self.limits.get(&kind).map_or_else(|| kind.to_string(), |limit| format!("{kind}{limit}"))
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.each > 1 {
            write!(f, "/{}", self.each)?;
        }
        for (at, (first, last)) in self.only.iter().enumerate() {
            f.write_str(if at == 0 { ":" } else { "+" })?;
            if first == last { write!(f, "{first}")? } else { write!(f, "{first}-{last}")? }
        }
        Ok(())
    }
}

impl fmt::Display for Faults {
    /// As [`str::parse`] reads it, in the shorter of two ways.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("none");
        }
        if self.len() * 2 <= Fault::ALL.len() {
            let words: Vec<String> = self.iter().map(|kind| self.word(kind)).collect();
            return f.write_str(&words.join(","));
        }
        f.write_str("all")?;
        for kind in Fault::ALL {
            if !self.contains(kind) {
                write!(f, ",-{kind}")?;
            } else if self.limits.contains_key(&kind) {
                write!(f, ",{}", self.word(kind))?;
            }
        }
        Ok(())
    }
}

/// A word that says nothing about faults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FaultsError {
    /// No kind of fault has this name.
    Unknown(String),
    /// Which strikes are left of a kind cannot be read.
    Strikes(String),
}

impl fmt::Display for FaultsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(name) => {
                let names: Vec<&str> = Fault::ALL.iter().map(|fault| fault.name()).collect();
                write!(f, "no fault is named `{name}`; there are {}", names.join(", "))
            }
            Self::Strikes(word) => write!(
                f,
                "`{word}`: behind the name of a fault comes /4 for every fourth strike, :0+3-7 for \
                 the strikes with these numbers in ascending order, or first one and then the other"
            ),
        }
    }
}

impl std::error::Error for FaultsError {}

impl FromStr for Faults {
    type Err = FaultsError;

    /// Reads `all`, `none`, `drop,crash`, `all,-crash` or `drop/4,crash:0+3-7`.
    fn from_str(text: &str) -> Result<Self, FaultsError> {
        let mut words = text.split(',').map(str::trim).peekable();
        let mut faults = match words.peek() {
            Some(&"all") => {
                words.next();
                Self::all()
            }
            Some(&"none") => {
                words.next();
                Self::none()
            }
            Some(first) if first.starts_with('-') => Self::all(),
            _ => Self::none(),
        };
        let named =
            |name: &str| Fault::named(name).ok_or_else(|| FaultsError::Unknown(name.to_owned()));
        for word in words {
            if let Some(name) = word.strip_prefix('-') {
                faults.remove(named(name)?);
                continue;
            }
            let at = word.find(['/', ':']).unwrap_or(word.len());
            let kind = named(&word[..at])?;
            faults.remove(kind);
            faults.insert(kind);
            if at < word.len() {
                let limit = parse_limit(&word[at..]);
                let limit = limit.ok_or_else(|| FaultsError::Strikes(word.to_owned()))?;
                faults.limits.insert(kind, limit);
                faults.forget_empty_limit(kind);
            }
        }
        Ok(faults)
    }
}

/// Reads `/4`, `:0+3-7` or both.
fn parse_limit(text: &str) -> Option<Limit> {
    let (each, numbers) = match text.split_once(':') {
        Some((each, numbers)) => (each, Some(numbers)),
        None => (text, None),
    };
    let each = match each.strip_prefix('/') {
        Some(each) => each.parse().ok().filter(|each| *each > 0)?,
        None => 1,
    };
    let mut only: Vec<(u32, u32)> = Vec::new();
    for range in numbers.into_iter().flat_map(|numbers| numbers.split('+')) {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        if first > last || only.last().is_some_and(|(_, before)| *before >= first) {
            return None;
        }
        only.push((first, last));
    }
    Some(Limit { each, only })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_read_as_they_are_written() {
        for faults in [
            Faults::all(),
            Faults::none(),
            Faults::only([Fault::Drop]),
            Faults::all().without(Fault::Crash).without(Fault::Drop),
            Faults::only([Fault::Drop]).one_in(Fault::Drop, 8),
            Faults::only([Fault::Drop]).strikes(Fault::Crash, [0, 3, 4, 5, 9]),
            Faults::all().one_in(Fault::Drop, 4).strikes(Fault::Drop, [4, 8]).without(Fault::Flap),
        ] {
            assert_eq!(faults.to_string().parse(), Ok(faults));
        }
        let few = Faults::none().one_in(Fault::Drop, 4).strikes(Fault::Drop, [4, 8, 9]);
        assert_eq!(few.to_string(), "drop/4:4+8-9");
        let left: Vec<u32> = (0..20).filter(|number| few.leaves(Fault::Drop, *number)).collect();
        assert_eq!(left, [4, 8]);
        assert!(few.leaves(Fault::Crash, 3), "nothing is said of that kind");
        assert_eq!(few.without(Fault::Drop), Faults::none());
        assert_eq!("drop/1".parse(), Ok(Faults::only([Fault::Drop])));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let error = "drop,crush".parse::<Faults>().unwrap_err();
        assert!(error.to_string().starts_with("no fault is named `crush`; there are drop,"));
        for wrong in ["drop/0", "drop/", "drop:", "drop:3-1", "drop:3+1", "drop:1+", "drop:x"] {
            let error = wrong.parse::<Faults>().unwrap_err();
            assert_eq!(error, FaultsError::Strikes(wrong.to_owned()));
        }
    }
}
