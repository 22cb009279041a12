//! How a call may end when it does not succeed; written for the person who reads it.

use std::fmt;
use std::time::Duration;

use tonic::Status;

/// Why a call gave no reply.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// No endpoint could serve the request, and none carried it out.
    #[error("no endpoint could serve the request: {}", list(.attempts))]
    Unserved {
        /// What each endpoint met, in the order of trying.
        attempts: Vec<Attempt>,
    },
    /// A server refused the request, and would do so again; it was not carried out.
    #[error("{endpoint} refused the request: {}", .status.message())]
    Refused {
        /// The endpoint that answered.
        endpoint: String,
        /// Its answer.
        #[source]
        status: Box<Status>,
    },
    /// The write may or may not have been carried out; it is not sent again.
    #[error("whether {endpoint} carried out the write is unknown: {why}")]
    Unknown {
        /// The endpoint that the write was sent to.
        endpoint: String,
        /// What happened after it was sent.
        why: String,
        /// The error behind it, if there was one.
        #[source]
        status: Option<Box<Status>>,
    },
    /// The session is gone. The write will not be carried out any more.
    #[error("{}", if *maybe_applied {
        "the session has expired; the write may have been carried out before that"
    } else {
        "the session has expired; the write was certainly not carried out"
    })]
    Expired {
        /// Whether it may have been carried out before the session expired.
        maybe_applied: bool,
    },
    /// The write was carried out, once; its reply was lost on the way and not kept.
    #[error("the write was carried out, but its reply was lost and {endpoint} does not have it")]
    ReplyLost {
        /// The endpoint that said so.
        endpoint: String,
    },
}

impl CallError {
    /// Whether it is certain that the request changed nothing.
    #[must_use]
    pub const fn is_certainly_without_effect(&self) -> bool {
        !matches!(
            self,
            Self::Unknown { .. } | Self::ReplyLost { .. } | Self::Expired { maybe_applied: true }
        )
    }
}

/// What a call met at one endpoint.
#[derive(Debug)]
pub struct Attempt {
    /// The endpoint as it was given.
    pub endpoint: String,
    /// What went wrong there.
    pub why: String,
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.endpoint, self.why)
    }
}

fn list(attempts: &[Attempt]) -> String {
    attempts.iter().map(Attempt::to_string).collect::<Vec<_>>().join("; ")
}

/// An error with everything that lies behind it, in one line.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let next_text = next.to_string();
        // Layers that only repeat what lies below them add nothing for the reader.
        if !text.contains(&next_text) {
            text.push_str(": ");
            text.push_str(&next_text);
        }
        cause = next.source();
    }
    text
}

/// What to say when an endpoint let the time run out.
pub(crate) fn silence(waited: Duration) -> String {
    format!("no answer within {:.1} s", waited.as_secs_f64())
}
