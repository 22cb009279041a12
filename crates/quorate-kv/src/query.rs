//! Reads of a range of keys, with every option that etcd has.

use core::cmp::Ordering;

use crate::key_range::KeyRange;
use crate::key_value::KeyValue;
use crate::revision::Revision;

/// Reads a range of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// The keys.
    pub range: KeyRange,
    /// Most keys to return; zero or less for all.
    pub limit: i64,
    /// Revision to read at; zero or less for the latest.
    pub revision: Revision,
    /// Order of the keys returned.
    pub sort_order: SortOrder,
    /// What the order goes by.
    pub sort_target: SortTarget,
    /// Whether values are left out.
    pub keys_only: bool,
    /// Whether only the count is wanted.
    pub count_only: bool,
    /// Leaves out keys that were last put before this revision; zero for none.
    pub min_mod_revision: i64,
    /// Leaves out keys that were last put after this revision; zero for none.
    pub max_mod_revision: i64,
    /// Leaves out keys that were created before this revision; zero for none.
    pub min_create_revision: i64,
    /// Leaves out keys that were created after this revision; zero for none.
    pub max_create_revision: i64,
}

impl Range {
    /// Reads these keys at the latest revision, in key order.
    #[must_use]
    pub const fn new(range: KeyRange) -> Self {
        Self {
            range,
            limit: 0,
            revision: Revision::ZERO,
            sort_order: SortOrder::None,
            sort_target: SortTarget::Key,
            keys_only: false,
            count_only: false,
            min_mod_revision: 0,
            max_mod_revision: 0,
            min_create_revision: 0,
            max_create_revision: 0,
        }
    }

    /// Reads one key at the latest revision.
    #[must_use]
    pub fn key(key: &[u8]) -> Self {
        Self::new(KeyRange::single(key))
    }

    /// The same read at a revision.
    #[must_use]
    pub const fn at(mut self, revision: Revision) -> Self {
        self.revision = revision;
        self
    }

    /// The same read of at most this many keys.
    #[must_use]
    pub const fn limit(mut self, limit: i64) -> Self {
        self.limit = limit;
        self
    }

    /// Whether the keys of the range come out in key order, rising or falling, none left out, so
    /// that the limit can be applied while reading.
    pub(crate) fn is_in_key_order(&self) -> bool {
        let filters = [
            self.min_mod_revision,
            self.max_mod_revision,
            self.min_create_revision,
            self.max_create_revision,
        ];
        self.count_only || (self.sort_target == SortTarget::Key && filters == [0; 4])
    }

    /// Whether the filters let a version through.
    pub(crate) fn keeps(&self, kv: &KeyValue) -> bool {
        let within = |number: Revision, min: i64, max: i64| {
            (min == 0 || number.get() >= min) && (max == 0 || number.get() <= max)
        };
        within(kv.mod_revision(), self.min_mod_revision, self.max_mod_revision)
            && within(kv.create_revision(), self.min_create_revision, self.max_create_revision)
    }

    /// Brings versions that stand in key order into the order asked for.
    pub(crate) fn sort(&self, kvs: &mut [KeyValue]) {
        let descend = self.sort_order == SortOrder::Descend;
        let by = |compare: fn(&KeyValue, &KeyValue) -> Ordering, kvs: &mut [KeyValue]| {
            kvs.sort_by(|a, b| if descend { compare(b, a) } else { compare(a, b) });
        };
        match self.sort_target {
            SortTarget::Key => {
                if descend {
                    kvs.reverse();
                }
            }
            SortTarget::Version => by(|a, b| a.version().cmp(&b.version()), kvs),
            SortTarget::CreateRevision => {
                by(|a, b| a.create_revision().cmp(&b.create_revision()), kvs);
            }
            SortTarget::ModRevision => by(|a, b| a.mod_revision().cmp(&b.mod_revision()), kvs),
            SortTarget::Value => by(|a, b| a.value().cmp(b.value()), kvs),
        }
    }
}

/// Order of the keys that a read returns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SortOrder {
    /// By key; with another target, ascending by that.
    #[default]
    None,
    /// Smallest first.
    Ascend,
    /// Largest first.
    Descend,
}

/// What the order of a read goes by; keys that are equal in it stay in key order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SortTarget {
    /// The key.
    #[default]
    Key,
    /// Number of puts since the key was absent.
    Version,
    /// Revision of the first put since the key was absent.
    CreateRevision,
    /// Revision of the last put.
    ModRevision,
    /// The value.
    Value,
}
