//! One entry of the log, as the machine sees it.

/// A command and the term in which a leader took it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// The term.
    pub term: u64,
    /// The command.
    pub command: u64,
}
