//! How a scenario ends when it does not pass, in words.

use std::fmt;

/// Why a scenario did not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Whether something went wrong, or the scenario asks for what this Raft does not have.
    pub kind: FailureKind,
    /// What happened, for somebody who did not write the scenario.
    pub what: String,
}

/// Whether a scenario failed or could not be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// A rule was broken, or something did not happen in its time.
    Broken,
    /// The Raft lacks something that the scenario needs, for instance snapshots.
    Skipped,
}

impl Failure {
    /// Something went wrong.
    pub fn new(what: impl Into<String>) -> Self {
        Self { kind: FailureKind::Broken, what: what.into() }
    }

    /// The scenario cannot be run on this Raft.
    pub fn skipped(what: impl Into<String>) -> Self {
        Self { kind: FailureKind::Skipped, what: what.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            FailureKind::Broken => write!(f, "{}", self.what),
            FailureKind::Skipped => write!(f, "skipped: {}", self.what),
        }
    }
}

impl std::error::Error for Failure {}

/// Ends a scenario with a [`Failure`] unless a condition holds.
macro_rules! ensure {
    ($condition:expr, $($words:tt)+) => {
        if !$condition {
            return Err($crate::harness::Failure::new(format!($($words)+)));
        }
    };
}
pub(crate) use ensure;
