//! Why a command or a read failed: etcd's texts and classes, because clients match on them.
//!
//! These failures are results. They depend on the command and the state alone, so every node
//! answers the same, and a command that fails leaves the state as it was.

/// Why a command or a read failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum KvError {
    /// A request or an operation has an empty key.
    #[error("etcdserver: key is not provided")]
    KeyNotProvided,
    /// A put that keeps value or lease names an absent key; also an operation without content.
    #[error("etcdserver: key not found")]
    KeyNotFound,
    /// A put that keeps the value brings one.
    #[error("etcdserver: value is provided")]
    ValueProvided,
    /// A put that keeps the lease brings one.
    #[error("etcdserver: lease is provided")]
    LeaseProvided,
    /// A transaction, with its nested ones, has more operations than allowed.
    #[error("etcdserver: too many operations in txn request")]
    TooManyOperations,
    /// A transaction writes one key twice.
    #[error("etcdserver: duplicate key given in txn request")]
    DuplicateKey,
    /// A read asks for an order or a sort target that does not exist.
    #[error("etcdserver: invalid sort option")]
    InvalidSortOption,
    /// The revision lies below the compacted one, or is to be compacted again.
    #[error("etcdserver: mvcc: required revision has been compacted")]
    Compacted,
    /// The revision is not made yet.
    #[error("etcdserver: mvcc: required revision is a future revision")]
    FutureRevision,
    /// A put names a lease that does not exist.
    #[error("etcdserver: requested lease not found")]
    LeaseNotFound,
    /// An alarm says that space is used up.
    #[error("etcdserver: mvcc: database space exceeded")]
    NoSpace,
    /// An alarm says that stores differ.
    #[error("etcdserver: corrupt cluster")]
    Corrupt,
    /// No more alarms are kept.
    #[error("quorate: too many alarms are raised; take some back")]
    TooManyAlarms,
    /// An append would make a value too large.
    #[error("quorate: the value would have more than 1048576 bytes")]
    ValueTooLarge,
}

/// The class of an error, named as gRPC names its status codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorCode {
    /// The request is wrong whatever the state.
    InvalidArgument,
    /// The request names a revision that is not readable.
    OutOfRange,
    /// The request names something that does not exist.
    NotFound,
    /// The state does not allow the request.
    FailedPrecondition,
    /// There is no room for it.
    ResourceExhausted,
    /// Data was lost or differs.
    DataLoss,
}

impl KvError {
    /// The class that etcd gives this error.
    #[must_use]
    pub const fn code(self) -> ErrorCode {
        match self {
            Self::KeyNotProvided
            | Self::KeyNotFound
            | Self::ValueProvided
            | Self::LeaseProvided
            | Self::TooManyOperations
            | Self::DuplicateKey
            | Self::InvalidSortOption => ErrorCode::InvalidArgument,
            Self::Compacted | Self::FutureRevision => ErrorCode::OutOfRange,
            Self::LeaseNotFound => ErrorCode::NotFound,
            Self::NoSpace | Self::TooManyAlarms => ErrorCode::ResourceExhausted,
            Self::Corrupt => ErrorCode::DataLoss,
            Self::ValueTooLarge => ErrorCode::FailedPrecondition,
        }
    }
}
