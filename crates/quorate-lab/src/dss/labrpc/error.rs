//! Why a call has no reply.

use crate::dss::labcodec::{DecodeError, EncodeError};

/// Why a call has no reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The server has no such service, or the service no such method.
    #[error("`{0}` is not implemented there")]
    Unimplemented(String),
    /// Request or reply was lost, or nobody was there; the request may have been executed.
    #[error("no reply came: the request may or may not have been executed")]
    Timeout,
    /// The server, or the whole network, ended.
    #[error("the server has stopped")]
    Stopped,
    /// The request or the reply cannot be encoded.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The request or the reply cannot be decoded.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// A service with this name was added before.
    #[error("the server has a service `{0}` already")]
    Duplicate(String),
    /// What the handler said.
    #[error("{0}")]
    Other(String),
}

/// What a call ends with.
pub type Result<T> = std::result::Result<T, Error>;

/// How an answer begins: the reply follows, or why there is none.
const REPLY: u8 = 0;
const UNIMPLEMENTED: u8 = 1;
const STOPPED: u8 = 2;
const OTHER: u8 = 3;

/// A reply, or why there is none, as it travels.
pub(super) fn to_answer(result: Result<Vec<u8>>) -> Vec<u8> {
    let (first, rest) = match result {
        Ok(reply) => (REPLY, reply),
        Err(Error::Unimplemented(what)) => (UNIMPLEMENTED, what.into_bytes()),
        Err(Error::Stopped) => (STOPPED, Vec::new()),
        Err(error) => (OTHER, error.to_string().into_bytes()),
    };
    let mut answer = Vec::with_capacity(1 + rest.len());
    answer.push(first);
    answer.extend(rest);
    answer
}

/// What an answer says.
pub(super) fn from_answer(answer: Option<Vec<u8>>) -> Result<Vec<u8>> {
    let Some(answer) = answer else { return Err(Error::Timeout) };
    let Some((first, rest)) = answer.split_first() else { return Err(Error::Timeout) };
    let words = || String::from_utf8_lossy(rest).into_owned();
    match *first {
        REPLY => Ok(rest.to_vec()),
        UNIMPLEMENTED => Err(Error::Unimplemented(words())),
        STOPPED => Err(Error::Stopped),
        _ => Err(Error::Other(words())),
    }
}
