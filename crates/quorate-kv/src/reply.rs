//! What commands and reads answer.

use crate::alarm::Alarm;
use crate::error::KvError;
use crate::key_value::KeyValue;
use crate::revision::Revision;

/// What a command answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Revision of the store after the command.
    pub revision: Revision,
    /// What the command did, or why it did nothing.
    pub result: Result<Outcome, KvError>,
}

/// What a command, or an operation of a transaction, did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A key was set.
    Put(PutReply),
    /// Keys were deleted, possibly none.
    DeleteRange(DeleteRangeReply),
    /// Keys were read.
    Range(RangeReply),
    /// A transaction ran.
    Txn(TxnReply),
    /// Older revisions were given up.
    Compact,
    /// The alarms that were meant: the one raised, or the one taken back if it was raised.
    Alarms(Vec<Alarm>),
    /// A value was added to.
    Append(AppendReply),
}

/// What an append answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppendReply {
    /// Revision that the append made.
    pub revision: Revision,
    /// Bytes of the value after it.
    pub length: u64,
}

/// What a put answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutReply {
    /// Revision that the put made.
    pub revision: Revision,
    /// The version that was replaced, if it was asked for and there was one.
    pub previous: Option<KeyValue>,
}

/// What a deletion answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteRangeReply {
    /// Revision of the store after the deletion.
    pub revision: Revision,
    /// Number of keys deleted.
    pub deleted: u64,
    /// The versions that were deleted, in key order, if they were asked for.
    pub previous: Vec<KeyValue>,
}

/// What a read answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeReply {
    /// Revision of the store when it was read; not the revision that was asked for.
    pub revision: Revision,
    /// The keys found, in the order asked for.
    pub kvs: Vec<KeyValue>,
    /// Whether the limit cut something off.
    pub more: bool,
    /// Number of keys in the range at the revision, whatever limit and filters leave out.
    pub count: u64,
}

/// What a transaction answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TxnReply {
    /// Revision of the store after the transaction.
    pub revision: Revision,
    /// Whether all comparisons held.
    pub succeeded: bool,
    /// What the operations of the chosen branch did, in order.
    pub outcomes: Vec<Outcome>,
}
