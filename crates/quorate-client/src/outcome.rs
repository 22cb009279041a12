//! What an error answer says about the request: carried out, not carried out, or nobody knows.

use std::error::Error as _;

use tonic::{Code, ConnectError, Status};

/// Metadata by which a Quorate server says what became of the request behind an error.
pub const OUTCOME_METADATA: &str = "quorate-outcome";
/// Its value when the request was certainly not carried out.
pub const OUTCOME_REFUSED: &str = "refused";
/// Its value when the session of the request is gone; the request was not carried out.
pub const OUTCOME_EXPIRED: &str = "expired";
/// Its value when the request was carried out, once, and its reply is gone.
pub const OUTCOME_REPLY_LOST: &str = "reply-lost";

/// What to make of an error answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Not carried out, and no endpoint would: the request itself is at fault.
    Final,
    /// Not carried out; another endpoint, or this one a little later, may do it.
    Elsewhere,
    /// Not sent at all: the connection is not there.
    NotSent,
    /// Perhaps carried out.
    Unknown,
}

/// Judges an error answer.
pub(crate) fn judge(status: &Status) -> Verdict {
    if never_connected(status) {
        return Verdict::NotSent;
    }
    match status.code() {
        // A server decides these before it carries anything out.
        Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::Unauthenticated
        | Code::ResourceExhausted
        | Code::FailedPrecondition
        | Code::OutOfRange
        | Code::Unimplemented => Verdict::Final,
        _ if says_refused(status) => Verdict::Elsewhere,
        _ => Verdict::Unknown,
    }
}

pub(crate) fn says_refused(status: &Status) -> bool {
    outcome_of(status) == Some(OUTCOME_REFUSED)
}

/// What the server says became of the request.
pub(crate) fn outcome_of(status: &Status) -> Option<&str> {
    status.metadata().get(OUTCOME_METADATA)?.to_str().ok()
}

/// Whether the error is that no connection came about.
fn never_connected(status: &Status) -> bool {
    let mut cause = status.source();
    while let Some(error) = cause {
        if error.is::<ConnectError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_server_decides_beforehand_is_final() {
        for code in (0..=16).map(Code::from_i32) {
            let verdict = judge(&Status::new(code, ""));
            let is_final = !matches!(
                code,
                Code::Ok
                    | Code::Cancelled
                    | Code::Unknown
                    | Code::DeadlineExceeded
                    | Code::Aborted
                    | Code::Internal
                    | Code::Unavailable
                    | Code::DataLoss
            );
            let expected = if is_final { Verdict::Final } else { Verdict::Unknown };
            assert_eq!(verdict, expected, "{code:?}");
        }
    }

    #[test]
    fn unavailable_may_be_tried_elsewhere_only_if_the_server_says_refused() {
        let mut status = Status::unavailable("etcdserver: no leader");
        assert_eq!(judge(&status), Verdict::Unknown);
        status.metadata_mut().insert(OUTCOME_METADATA, "applied".parse().unwrap());
        assert_eq!(judge(&status), Verdict::Unknown);
        status.metadata_mut().insert(OUTCOME_METADATA, OUTCOME_REFUSED.parse().unwrap());
        assert_eq!(judge(&status), Verdict::Elsewhere);
    }
}
