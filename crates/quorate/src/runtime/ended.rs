//! The end of a call or a read, on its way to whoever waits for it.

use std::sync::Arc;

use crate::codec::Codec;
use crate::error::{CallError, Refusal, UnknownReason};
use crate::machine::StateMachine;
use crate::sessions::{Outcome, SessionFault, SessionId};

/// The end of one call or read, on its way to the caller.
pub(crate) enum Ended<M: StateMachine> {
    /// Applied here.
    Reply(M::Reply),
    /// Applied elsewhere, or as a duplicate before.
    Encoded(Box<[u8]>),
    /// As before, still shared with the table that keeps it.
    Kept(Arc<[u8]>),
    /// A session was opened, kept alive or closed.
    Session(SessionId),
    /// Its entry was not executed, or the reply is gone.
    Faulted(SessionFault),
    /// A query's answer.
    Answer(M::Answer),
    /// Refused. Failures are boxed because they are rare, and slots many.
    Refused(Box<Refusal>),
    /// Unknown.
    Unknown(Box<UnknownReason>),
}

impl<M: StateMachine> Ended<M> {
    pub(crate) fn refused(refusal: Refusal) -> Self {
        Self::Refused(Box::new(refusal))
    }

    pub(crate) fn unknown(reason: UnknownReason) -> Self {
        Self::Unknown(Box::new(reason))
    }
}

impl<M: StateMachine> From<Outcome<M::Reply>> for Ended<M> {
    fn from(outcome: Outcome<M::Reply>) -> Self {
        match outcome {
            Outcome::Reply(reply) => Self::Reply(reply),
            Outcome::Kept(reply) => Self::Kept(reply),
            Outcome::Session(session) => Self::Session(session),
            Outcome::Fault(fault) => Self::Faulted(fault),
        }
    }
}

/// The end of a call as its caller is told.
pub(crate) fn reply_of<M: StateMachine>(ended: Ended<M>) -> Result<M::Reply, CallError> {
    let decoded = |bytes: &[u8]| {
        let decoded = M::Reply::decode(bytes);
        decoded.map_err(|source| CallError::Unknown(UnknownReason::Reply(source)))
    };
    match ended {
        Ended::Reply(reply) => Ok(reply),
        Ended::Encoded(bytes) => decoded(&bytes),
        Ended::Kept(bytes) => decoded(&bytes),
        Ended::Refused(refusal) => Err((*refusal).into()),
        Ended::Unknown(reason) => Err((*reason).into()),
        Ended::Faulted(fault) => Err(fault.into()),
        Ended::Session(_) | Ended::Answer(_) => unreachable!("a call is answered by a reply"),
    }
}

impl From<SessionFault> for CallError {
    fn from(fault: SessionFault) -> Self {
        match fault {
            SessionFault::Expired => Self::Expired { maybe_applied: false },
            SessionFault::Acknowledged => Self::Unknown(UnknownReason::Acknowledged),
            SessionFault::Crowded => Self::Refused(Refusal::SessionCrowded),
            SessionFault::ReplyLost => Self::Unknown(UnknownReason::ReplyLost),
        }
    }
}
