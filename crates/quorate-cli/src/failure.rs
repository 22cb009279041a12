//! What a verb says when it cannot do what was asked: what, the likely cause, the next command.

use std::fmt;
use std::process::ExitCode;

use quorate_client::CallError;
use tonic::Code;

/// How the process ends; the numbers are listed in the help text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// The request was answered, and nothing was changed.
    Refused = 1,
    /// The command line could not be understood.
    Usage = 2,
    /// No server could answer; nothing was changed.
    Unserved = 3,
    /// A write was sent and may or may not have happened.
    Unknown = 4,
    /// A server could not start.
    Start = 5,
    /// A server stopped by itself.
    Stopped = 6,
    /// A simulated world or a lab scenario broke a rule.
    Broken = 7,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// A failure as a person reads it.
#[derive(Debug)]
pub(crate) struct Failure {
    /// What could not be done, with the thing named.
    pub(crate) what: String,
    /// The likely cause.
    pub(crate) cause: String,
    /// The next command to run, or what to change.
    pub(crate) next: String,
    pub(crate) exit: Exit,
}

impl Failure {
    pub(crate) fn new(
        exit: Exit,
        what: impl Into<String>,
        cause: impl Into<String>,
        next: impl Into<String>,
    ) -> Self {
        Self { what: what.into(), cause: cause.into(), next: next.into(), exit }
    }

    /// A command line that the parser accepts but that makes no sense.
    pub(crate) fn usage(
        what: impl Into<String>,
        cause: impl Into<String>,
        next: impl Into<String>,
    ) -> Self {
        Self::new(Exit::Usage, what, cause, next)
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        let what = error.to_string();
        match error {
            CallError::Unserved { .. } => Self::new(
                Exit::Unserved,
                what,
                "these servers do not run, or reach no majority of the cluster; nothing was changed",
                "`quorate status` shows who answers; `quorate demo` starts a cluster",
            ),
            CallError::Unknown { .. } => Self::new(
                Exit::Unknown,
                what,
                "the server stopped, lost its leader or was cut off after the write was sent",
                "read the key to see what holds: `quorate get KEY`",
            ),
            CallError::Expired { maybe_applied: false } => Self::new(
                Exit::Refused,
                what,
                "nothing was heard of the session for its time; nothing was changed",
                "run the command again",
            ),
            CallError::Refused { status, .. } => {
                let (cause, next) = refusal(status.code());
                Self::new(Exit::Refused, what, cause, next)
            }
            // The enum may grow.
            _ => Self::new(Exit::Unknown, what, "the call did not succeed", "`quorate status`"),
        }
    }
}

/// Cause and next step of a refusal.
fn refusal(code: Code) -> (&'static str, &'static str) {
    match code {
        Code::Unimplemented => {
            ("this server does not have that call", "README.md lists what is not there yet")
        }
        Code::OutOfRange => (
            "the revision asked for was compacted or lies in the future",
            "leave out --rev for the latest revision",
        ),
        Code::ResourceExhausted => (
            "the server has more to do than it accepts, or its space is used up",
            "try again later; `quorate status` shows the server's own errors",
        ),
        _ => (
            "the request breaks a rule of the API; nothing was changed",
            "the verb's --help shows what it accepts",
        ),
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}\ncause: {}\nnext:  {}", self.what, self.cause, self.next)
    }
}
