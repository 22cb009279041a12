//! What can go wrong with a command.

use crate::dss::{labcodec, labrpc};

/// What can go wrong with a command.
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
    /// This peer does not lead.
    #[error("this peer does not lead")]
    NotLeader,
}

/// What a command ends with.
pub type Result<T> = std::result::Result<T, Error>;
