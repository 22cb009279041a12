//! What changes the store, as data.
//!
//! The types say what a client asks for, nothing of how it is done: `validate` holds what is
//! wrong whatever the state, `store` and `txn` execute, `codec` makes bytes.

use core::fmt;

use crate::alarm::AlarmChange;
use crate::key_range::KeyRange;
use crate::key_value::{KeyValue, Stamp};
use crate::query::Range;
use crate::revision::{LeaseId, Revision};

/// Most operations of a transaction: the longest of its three lists, and what that leaves is the
/// limit of the transactions nested in it.
pub const MAX_TXN_OPERATIONS: usize = 128;

/// What changes the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Sets one key.
    Put(Put),
    /// Deletes a range of keys.
    DeleteRange(DeleteRange),
    /// Compares, then executes one of two branches, as one change.
    Txn(Txn),
    /// Gives up what only revisions below this one can see.
    Compact(Revision),
    /// Raises an alarm or takes one back.
    Alarm(AlarmChange),
    /// Adds to the end of a value.
    Append(Append),
}

/// Most bytes that a value may have after an append: each version of it is kept, so that values
/// that only grow must not grow for ever.
pub const MAX_APPENDED_BYTES: usize = 1 << 20;

/// Adds to the end of a value; a key that is absent begins with it. The lease stays.
///
/// etcd has no such command: with a transaction a client has to read, compare and try again.
#[derive(Clone, PartialEq, Eq)]
pub struct Append {
    /// The key.
    pub key: Box<[u8]>,
    /// What is added.
    pub suffix: Box<[u8]>,
}

impl Append {
    /// Adds a copy of `suffix` to the value of `key`.
    #[must_use]
    pub fn new(key: &[u8], suffix: &[u8]) -> Self {
        Self { key: key.into(), suffix: suffix.into() }
    }
}

impl fmt::Debug for Append {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Append")
            .field("key", &format_args!("{}", self.key.escape_ascii()))
            .field("suffix", &format_args!("{}", self.suffix.escape_ascii()))
            .finish()
    }
}

/// Sets one key.
#[derive(Clone, PartialEq, Eq)]
pub struct Put {
    /// Key and value, already in the allocation that the store will keep.
    pair: KeyValue,
    /// Lease to attach the key to; it must exist unless it is [`LeaseId::NONE`].
    pub lease: LeaseId,
    /// Whether the reply carries the version that was replaced.
    pub return_previous: bool,
    /// Keeps the present value; the key must exist and no value be given.
    pub ignore_value: bool,
    /// Keeps the present lease; the key must exist and no lease be given.
    pub ignore_lease: bool,
}

impl Put {
    /// A put of a copy of `value` under a copy of `key`.
    ///
    /// # Panics
    ///
    /// When the key has 4 GiB or more.
    #[must_use]
    pub fn new(key: &[u8], value: &[u8]) -> Self {
        Self {
            pair: KeyValue::assemble(key, value, Stamp::default()),
            lease: LeaseId::NONE,
            return_previous: false,
            ignore_value: false,
            ignore_lease: false,
        }
    }

    /// The same put, with the replaced version in the reply.
    #[must_use]
    pub fn with_previous(mut self) -> Self {
        self.return_previous = true;
        self
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        self.pair.key()
    }

    /// The value.
    #[must_use]
    pub fn value(&self) -> &[u8] {
        self.pair.value()
    }

    /// Key and value, to be stamped.
    pub(crate) fn into_pair(self) -> KeyValue {
        self.pair
    }
}

impl fmt::Debug for Put {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Put")
            .field("key", &format_args!("{}", self.key().escape_ascii()))
            .field("value", &format_args!("{}", self.value().escape_ascii()))
            .field("lease", &self.lease)
            .field("return_previous", &self.return_previous)
            .field("ignore_value", &self.ignore_value)
            .field("ignore_lease", &self.ignore_lease)
            .finish()
    }
}

/// Deletes a range of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteRange {
    /// The keys.
    pub range: KeyRange,
    /// Whether the reply carries the versions that were deleted.
    pub return_previous: bool,
}

impl DeleteRange {
    /// Deletes these keys.
    #[must_use]
    pub const fn new(range: KeyRange) -> Self {
        Self { range, return_previous: false }
    }

    /// Deletes one key.
    #[must_use]
    pub fn key(key: &[u8]) -> Self {
        Self::new(KeyRange::single(key))
    }

    /// The same deletion, with the deleted versions in the reply.
    #[must_use]
    pub fn with_previous(mut self) -> Self {
        self.return_previous = true;
        self
    }
}

/// Compares, then executes one of two branches, as one change with one revision.
///
/// All comparisons, those of nested transactions too, look at the state before the transaction.
/// The operations of a branch run in order and see what earlier ones wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Txn {
    /// All must hold for `success` to run; without any, they hold.
    pub compares: Vec<Compare>,
    /// Runs when all comparisons hold.
    pub success: Vec<Operation>,
    /// Runs when one does not.
    pub failure: Vec<Operation>,
}

/// One operation of a branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Reads a range.
    Range(Range),
    /// Sets one key.
    Put(Put),
    /// Deletes a range of keys.
    DeleteRange(DeleteRange),
    /// A transaction within the transaction.
    Txn(Txn),
}

/// One comparison: every key of the range must satisfy it.
///
/// A range without any key is compared as one absent key, whose numbers are zero and whose value
/// satisfies nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compare {
    /// The keys.
    pub range: KeyRange,
    /// How what is stored must relate to what is given.
    pub relation: Relation,
    /// What of each key is compared, and with what.
    pub target: CompareTarget,
}

impl Compare {
    /// Compares one key.
    #[must_use]
    pub fn key(key: &[u8], relation: Relation, target: CompareTarget) -> Self {
        Self { range: KeyRange::single(key), relation, target }
    }
}

/// How what is stored must relate to what is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// Equal to it.
    Equal,
    /// Greater than it.
    Greater,
    /// Less than it.
    Less,
    /// Other than it.
    NotEqual,
}

/// What of a key is compared, and with what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CompareTarget {
    /// Number of puts since the key was absent.
    Version(i64),
    /// Revision of the first put since the key was absent.
    CreateRevision(i64),
    /// Revision of the last put.
    ModRevision(i64),
    /// The value.
    Value(Box<[u8]>),
    /// The attached lease.
    Lease(i64),
}
