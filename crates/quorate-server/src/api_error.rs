//! The errors that clients see: etcd's codes and texts, to the letter, because clients match them.
//!
//! - What certainly had no effect carries the mark of [`OUTCOME_METADATA`] in the metadata, so that
//!   a client that knows it may try again without doing anything twice.
//! - Whatever may or may not have happened is `Unavailable` and carries no mark: etcd's clients
//!   never send a write again on their own after that.

use std::borrow::Cow;

use quorate::{CallError, Refusal, UnknownReason};
use quorate_kv::{ErrorCode, KvError};
use tonic::metadata::MetadataValue;
use tonic::{Code, Status};

/// Metadata by which a client learns that its request was certainly not carried out.
const OUTCOME_METADATA: &str = "quorate-outcome";
const OUTCOME_REFUSED: &str = "refused";
/// The session is gone; this request, at least, was not carried out.
const OUTCOME_EXPIRED: &str = "expired";
/// It was carried out, once, but its reply is gone.
const OUTCOME_REPLY_LOST: &str = "reply-lost";

/// Why a request gets no reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ApiError {
    /// The store refuses the command or the read.
    Kv(KvError),
    /// The request exceeds what is proposed.
    RequestTooLarge,
    /// A number stands where one of a few was expected.
    UnknownEnum { field: &'static str, value: i32 },
    /// What a request says of its session is no such thing.
    BadSession,
    /// The session of the request is gone; the request was not carried out.
    Expired,
    /// The client wants a leader to be there, and none is known.
    NoLeader,
    /// The service or the option is not there yet.
    NotThereYet { what: &'static str },
    /// Something here does not work as it must; whether there was an effect is not known.
    Internal { what: &'static str },
    /// The node refuses; the request had no effect.
    Refused(Refusal),
    /// The request may have had its effect.
    Unknown(UnknownReason),
}

impl From<KvError> for ApiError {
    fn from(error: KvError) -> Self {
        Self::Kv(error)
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<CallError> for ApiError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Refused(refusal) => Self::Refused(refusal),
            CallError::Unknown(reason) => Self::Unknown(reason),
            CallError::Expired { .. } => Self::Expired,
            // The enum may grow; what is not known to be refused counts as unknown.
            _ => Self::Unknown(UnknownReason::ConnectionLost),
        }
    }
}

impl From<ApiError> for Status {
    fn from(error: ApiError) -> Self {
        let mut status = Self::new(error.code(), error.text());
        if let Some(mark) = error.outcome() {
            status.metadata_mut().insert(OUTCOME_METADATA, MetadataValue::from_static(mark));
        }
        status
    }
}

impl ApiError {
    /// The gRPC code, as etcd gives it.
    pub(crate) fn code(&self) -> Code {
        match self {
            Self::Kv(error) => match error.code() {
                ErrorCode::InvalidArgument => Code::InvalidArgument,
                ErrorCode::OutOfRange => Code::OutOfRange,
                ErrorCode::NotFound => Code::NotFound,
                ErrorCode::FailedPrecondition => Code::FailedPrecondition,
                ErrorCode::ResourceExhausted => Code::ResourceExhausted,
                ErrorCode::DataLoss => Code::DataLoss,
                _ => Code::Unknown,
            },
            Self::RequestTooLarge | Self::UnknownEnum { .. } | Self::BadSession => {
                Code::InvalidArgument
            }
            Self::Expired => Code::FailedPrecondition,
            Self::NoLeader => Code::Unavailable,
            Self::NotThereYet { .. } => Code::Unimplemented,
            Self::Internal { .. } => Code::Internal,
            Self::Refused(refusal) => match refusal {
                Refusal::Overloaded | Refusal::SessionCrowded => Code::ResourceExhausted,
                Refusal::TooLarge { .. } => Code::InvalidArgument,
                Refusal::Unencodable(_) => Code::Internal,
                _ => Code::Unavailable,
            },
            Self::Unknown(UnknownReason::Reply(_) | UnknownReason::ReplyLost) => Code::Unknown,
            Self::Unknown(_) => Code::Unavailable,
        }
    }

    /// The text, as etcd gives it.
    pub(crate) fn text(&self) -> Cow<'static, str> {
        match self {
            Self::Kv(error) => error.to_string().into(),
            Self::RequestTooLarge => "etcdserver: request is too large".into(),
            Self::UnknownEnum { field, value } => {
                format!("quorate: {field} has no meaning for {value}").into()
            }
            Self::BadSession => {
                "quorate: the session is to be given as SESSION.SEQUENCE.ACKNOWLEDGED".into()
            }
            Self::Expired => "quorate: the session has expired".into(),
            Self::NoLeader => "etcdserver: no leader".into(),
            Self::NotThereYet { what } => format!("quorate: {what} is not there yet").into(),
            Self::Internal { what } => format!("quorate: {what}").into(),
            Self::Refused(refusal) => refusal_text(refusal),
            Self::Unknown(reason) => unknown_text(reason),
        }
    }

    /// What certainly became of the request, for clients that look.
    const fn outcome(&self) -> Option<&'static str> {
        match self {
            Self::Expired => Some(OUTCOME_EXPIRED),
            Self::Unknown(UnknownReason::ReplyLost) => Some(OUTCOME_REPLY_LOST),
            Self::Unknown(_) | Self::Internal { .. } => None,
            _ => Some(OUTCOME_REFUSED),
        }
    }
}

fn refusal_text(refusal: &Refusal) -> Cow<'static, str> {
    match refusal {
        // Clients that look for the text of a missing leader find it; people read on.
        Refusal::NotFounded { .. } => format!("etcdserver: no leader; {refusal}").into(),
        Refusal::NoLeader { .. } => "etcdserver: no leader".into(),
        Refusal::LeaderChanged => "etcdserver: leader changed".into(),
        Refusal::Overloaded => "etcdserver: too many requests".into(),
        Refusal::TooLarge { .. } => "etcdserver: request is too large".into(),
        Refusal::Stopped(_) => "etcdserver: server stopped".into(),
        Refusal::TimedOut { .. } => "etcdserver: request timed out".into(),
        other => format!("quorate: {other}").into(),
    }
}

fn unknown_text(reason: &UnknownReason) -> Cow<'static, str> {
    match reason {
        UnknownReason::ConnectionLost => {
            "etcdserver: request timed out, possibly due to connection lost".into()
        }
        UnknownReason::LeaderChanged => {
            "etcdserver: request timed out, possibly due to previous leader failure".into()
        }
        UnknownReason::Reply(_) | UnknownReason::ReplyLost | UnknownReason::Acknowledged => {
            format!("quorate: {reason}").into()
        }
        // "server stopped" would read as a refusal, which this is not.
        _ => "etcdserver: request timed out".into(),
    }
}

#[cfg(test)]
mod tests;
