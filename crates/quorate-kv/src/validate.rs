//! What is wrong with a request whatever the state.
//!
//! A server asks before it proposes, so that a bad request costs no entry; the store asks again
//! when it executes, because it trusts nobody.
//!
//! Deviation: etcd misses two cases in which a transaction puts a key and deletes it too (the
//! deletion has no end; the put stands in an earlier nested transaction than the deletion). They
//! are refused here, so that a key has at most one change per revision.

use std::collections::{BTreeMap, BTreeSet};

use crate::command::{Command, DeleteRange, MAX_TXN_OPERATIONS, Operation, Put, Txn};
use crate::error::KvError;
use crate::key_range::{KeyRange, Span};
use crate::query::Range;

impl Command {
    /// Checks what needs no state.
    ///
    /// # Errors
    ///
    /// When the command cannot succeed in any state.
    pub fn validate(&self) -> Result<(), KvError> {
        match self {
            Self::Put(put) => put.validate(),
            Self::DeleteRange(delete) => delete.validate(),
            Self::Txn(txn) => txn.validate(),
            Self::Compact(_) | Self::Alarm(_) => Ok(()),
            Self::Append(append) => check_key(&append.key),
        }
    }
}

impl Put {
    /// Checks what needs no state.
    ///
    /// # Errors
    ///
    /// When the key is empty, or something is given that is to be kept.
    pub fn validate(&self) -> Result<(), KvError> {
        check_key(self.key())?;
        if self.ignore_value && !self.value().is_empty() {
            return Err(KvError::ValueProvided);
        }
        if self.ignore_lease && self.lease.get() != 0 {
            return Err(KvError::LeaseProvided);
        }
        Ok(())
    }
}

impl DeleteRange {
    /// Checks what needs no state.
    ///
    /// # Errors
    ///
    /// When the key is empty.
    pub fn validate(&self) -> Result<(), KvError> {
        check_key(&self.range.key)
    }
}

impl Range {
    /// Checks what needs no state.
    ///
    /// # Errors
    ///
    /// When the key is empty.
    pub fn validate(&self) -> Result<(), KvError> {
        check_key(&self.range.key)
    }
}

impl Txn {
    /// Checks what needs no state.
    ///
    /// # Errors
    ///
    /// When there are too many operations, one of them is wrong, or a branch writes a key twice.
    pub fn validate(&self) -> Result<(), KvError> {
        self.validate_operations(MAX_TXN_OPERATIONS)?;
        Writes::of(&self.success)?;
        Writes::of(&self.failure)?;
        Ok(())
    }

    /// Checks each operation, and their number against what outer transactions left of the limit.
    /// Nesting is bounded by that, because every level takes at least one.
    fn validate_operations(&self, limit: usize) -> Result<(), KvError> {
        let longest = self.compares.len().max(self.success.len()).max(self.failure.len());
        let left = limit.checked_sub(longest).ok_or(KvError::TooManyOperations)?;
        for compare in &self.compares {
            check_key(&compare.range.key)?;
        }
        for operation in self.success.iter().chain(&self.failure) {
            match operation {
                Operation::Range(range) => range.validate()?,
                Operation::Put(put) => put.validate()?,
                Operation::DeleteRange(delete) => delete.validate()?,
                Operation::Txn(nested) => nested.validate_operations(left)?,
            }
        }
        Ok(())
    }
}

fn check_key(key: &[u8]) -> Result<(), KvError> {
    if key.is_empty() { Err(KvError::KeyNotProvided) } else { Ok(()) }
}

/// What a branch writes.
#[derive(Debug, Default)]
struct Writes<'a> {
    puts: BTreeSet<&'a [u8]>,
    deleted_keys: BTreeSet<&'a [u8]>,
    deleted_spans: Spans<'a>,
}

impl<'a> Writes<'a> {
    /// Collects what a branch writes; fails where it writes a key twice.
    fn of(operations: &'a [Operation]) -> Result<Self, KvError> {
        let mut writes = Self::default();
        for operation in operations {
            match operation {
                Operation::Range(_) => {}
                Operation::Put(put) => writes.add_put(put.key())?,
                Operation::DeleteRange(delete) => writes.add_delete(&delete.range)?,
                Operation::Txn(nested) => {
                    // Only one of the branches runs, so they may write the same keys.
                    let mut either = Self::of(&nested.success)?;
                    either.unite(Self::of(&nested.failure)?);
                    writes.add_nested(either)?;
                }
            }
        }
        Ok(writes)
    }

    fn add_put(&mut self, key: &'a [u8]) -> Result<(), KvError> {
        let deleted = self.deleted_keys.contains(key) || self.deleted_spans.contain(key);
        if deleted || !self.puts.insert(key) {
            return Err(KvError::DuplicateKey);
        }
        Ok(())
    }

    fn add_delete(&mut self, range: &'a KeyRange) -> Result<(), KvError> {
        match range.span() {
            Span::Key(key) => {
                if self.puts.contains(key) {
                    return Err(KvError::DuplicateKey);
                }
                self.deleted_keys.insert(key);
                Ok(())
            }
            Span::From(key) => self.add_span(key, None),
            Span::Between(key, end) => self.add_span(key, Some(end)),
        }
    }

    fn add_span(&mut self, first: &'a [u8], end: Option<&'a [u8]>) -> Result<(), KvError> {
        if self.puts_in(first, end) {
            return Err(KvError::DuplicateKey);
        }
        self.deleted_spans.add(first, end);
        Ok(())
    }

    /// Adds what a nested transaction writes. Everything is compared before anything is added,
    /// because the nested transaction's own puts and deletions were compared already.
    fn add_nested(&mut self, nested: Self) -> Result<(), KvError> {
        if nested.deleted_keys.iter().any(|key| self.puts.contains(key))
            || nested.deleted_spans.0.iter().any(|(first, end)| self.puts_in(first, *end))
        {
            return Err(KvError::DuplicateKey);
        }
        for put in nested.puts {
            self.add_put(put)?;
        }
        self.deleted_keys.extend(nested.deleted_keys);
        for (first, end) in nested.deleted_spans.0 {
            self.deleted_spans.add(first, end);
        }
        Ok(())
    }

    /// Whether any put lies in a span.
    fn puts_in(&self, first: &'a [u8], end: Option<&'a [u8]>) -> bool {
        let put = self.puts.range(first..).next();
        put.is_some_and(|put| end.is_none_or(|end| *put < end))
    }

    /// Adds what another branch writes that runs only if this one does not.
    fn unite(&mut self, other: Self) {
        self.puts.extend(other.puts);
        self.deleted_keys.extend(other.deleted_keys);
        for (first, end) in other.deleted_spans.0 {
            self.deleted_spans.add(first, end);
        }
    }
}

/// Disjoint spans of keys: the first of each, and its exclusive end unless it has none.
#[derive(Debug, Default)]
struct Spans<'a>(BTreeMap<&'a [u8], Option<&'a [u8]>>);

impl<'a> Spans<'a> {
    fn contain(&self, key: &'a [u8]) -> bool {
        let before = self.0.range(..=key).next_back();
        before.is_some_and(|(_, end)| end.is_none_or(|end| key < end))
    }

    /// Adds a span, merging it with those that it overlaps.
    fn add(&mut self, mut first: &'a [u8], mut end: Option<&'a [u8]>) {
        if end.is_some_and(|end| end <= first) {
            return;
        }
        if let Some((&before, &before_end)) = self.0.range(..first).next_back()
            && before_end.is_none_or(|before_end| before_end >= first)
        {
            first = before;
            end = later(end, before_end);
        }
        while let Some((&next, &next_end)) = self.0.range(first..).next()
            && end.is_none_or(|end| next <= end)
        {
            self.0.remove(next);
            end = later(end, next_end);
        }
        self.0.insert(first, end);
    }
}

/// The later of two ends; none is later than any.
fn later<'a>(one: Option<&'a [u8]>, other: Option<&'a [u8]>) -> Option<&'a [u8]> {
    Some(one?.max(other?))
}
