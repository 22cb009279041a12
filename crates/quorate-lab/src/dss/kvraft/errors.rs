//! What can go wrong with a request.

use crate::dss::{labcodec, labrpc, raft};

/// What can go wrong with a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It cannot be encoded.
    #[error(transparent)]
    Encode(labcodec::EncodeError),
    /// It cannot be decoded.
    #[error(transparent)]
    Decode(labcodec::DecodeError),
    /// A call failed.
    #[error(transparent)]
    Rpc(labrpc::Error),
    /// The Raft below refused.
    #[error(transparent)]
    Raft(raft::errors::Error),
    /// This server does not lead.
    #[error("this server does not lead")]
    NoLeader,
}

/// What a request ends with.
pub type Result<T> = std::result::Result<T, Error>;
