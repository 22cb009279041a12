//! What a Raft may tell of itself so that a page can show it; a page is made without it, too.

pub use quorate_core::RoleName;

/// What a server is at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inside {
    /// Its role.
    pub role: RoleName,
    /// Its term.
    pub term: u64,
    /// Whom it voted for in that term.
    pub vote: Option<usize>,
    /// The last index that it knows to be committed.
    pub commit: u64,
    /// Index and term of the last entry that a snapshot stands for, or zeros.
    pub base: (u64, u64),
    /// The term of each entry behind it.
    pub terms: Vec<u64>,
}

/// A message as it goes over the network.
#[derive(Clone, Copy, Debug)]
pub enum Wire<'a> {
    /// A request.
    Request {
        /// Its method.
        method: &'a str,
        /// Its bytes.
        args: &'a [u8],
    },
    /// The answer to a request.
    Answer {
        /// The request's method.
        method: &'a str,
        /// The request's bytes.
        args: &'a [u8],
        /// The answer's bytes.
        answer: &'a [u8],
    },
}

/// A message in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    /// What it is.
    pub kind: Kind,
    /// The term that it names.
    pub term: Option<u64>,
    /// What else it says, in few words: `prev=3@1 +2 commit=3`.
    pub says: String,
}

/// What a request, or its answer, is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A vote.
    Vote,
    /// Whether there would be a vote.
    PreVote,
    /// Entries.
    Append,
    /// An append without entries.
    Heartbeat,
    /// A snapshot.
    Snapshot,
    /// Something else.
    Call,
}

impl Kind {
    /// The kind of a request whose Raft does not say, by the name of its method.
    pub(super) fn of_method(method: &str) -> Self {
        let name = method.to_lowercase();
        let has = |part: &str| name.contains(part);
        if has("vote") {
            if has("pre") { Self::PreVote } else { Self::Vote }
        } else if has("heartbeat") {
            Self::Heartbeat
        } else if has("append") || has("replicate") || has("entries") {
            Self::Append
        } else if has("snapshot") {
            Self::Snapshot
        } else {
            Self::Call
        }
    }

    /// Its name on a page.
    pub(super) const fn name(self, is_answer: bool) -> &'static str {
        match (self, is_answer) {
            (Self::Vote, false) => "vote",
            (Self::Vote, true) => "vote-reply",
            (Self::PreVote, false) => "pre-vote",
            (Self::PreVote, true) => "pre-vote-reply",
            (Self::Append, false) => "append",
            (Self::Heartbeat, false) => "heartbeat",
            (Self::Append | Self::Heartbeat, true) => "append-reply",
            (Self::Snapshot, false) => "snapshot",
            (Self::Snapshot, true) => "snapshot-reply",
            (Self::Call, false) => "call",
            (Self::Call, true) => "call-reply",
        }
    }

    /// Whether a leader sends it.
    pub(super) const fn is_of_leader(self) -> bool {
        matches!(self, Self::Append | Self::Heartbeat | Self::Snapshot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_of_all_makes_are_recognized() {
        for (method, kind) in [
            ("RequestVote", Kind::Vote),
            ("request_vote", Kind::Vote),
            ("Raft.PreVote", Kind::PreVote),
            ("AppendEntries", Kind::Append),
            ("append", Kind::Append),
            ("heartbeat", Kind::Heartbeat),
            ("InstallSnapshot", Kind::Snapshot),
            ("Get", Kind::Call),
        ] {
            assert_eq!(Kind::of_method(method), kind, "{method}");
        }
    }
}
