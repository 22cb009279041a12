//! Sessions: what makes a call that is sent twice happen once.
//!
//! A client opens a session and numbers its calls. Each call carries the session, its own sequence
//! and the highest sequence below which the client waits for no reply any more. The table of all
//! sessions is replicated state beside the state machine: it changes with the entries of the log
//! and with nothing else, so that every node has the same one at the same entry, and recognises a
//! duplicate whichever node took it, whoever led, and after any restart.
//!
//! What decides is pure and lives here; [`crate::Applier`] asks it about each entry that has a
//! session. The replica only routes a [`Stamp`] from the caller to the entry.
//!
//! - A sequence of a session is executed at most once, and never when it was acknowledged before.
//! - A duplicate is answered with the reply of the one execution, for as long as the client has not
//!   acknowledged it and the table had room for it.
//! - A session that the table does not know, because it expired, was evicted or closed, executes
//!   nothing. Ids are indices of entries, so that none comes again.
//! - The table is bounded, and what it does when it is full depends on the log alone.
//! - Time is the log's. Nothing here reads a clock.

mod encoding;
mod table;

use crate::codec::{Codec, CodecError};
use crate::replica::ForwardOutcome;
use crate::wire::{Reader, WireError};

pub use self::encoding::SessionsView;
pub use self::table::{Kept, SessionLimits, SessionTable, Verdict};

/// Version of a session's entry, and of the rules that the table follows: limits included.
const VERSION: u8 = 1;

/// Shortest time that a session may live without being heard of.
pub const MIN_TTL_MS: u64 = 1_000;
/// Longest time that a session may live without being heard of: a day.
pub const MAX_TTL_MS: u64 = 86_400_000;

/// Names a session: the index of the entry that opened it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

impl SessionId {
    /// No session.
    pub const NONE: Self = Self(0);

    /// The id as it travels in the reply of an entry that opened it.
    #[must_use]
    pub fn to_bytes(self) -> Vec<u8> {
        self.0.to_le_bytes().to_vec()
    }

    /// The id from such a reply.
    ///
    /// # Errors
    ///
    /// When the bytes are no id.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CodecError> {
        let bytes: [u8; 8] = bytes
            .try_into()
            .map_err(|_| CodecError::Malformed(format!("{} bytes are no session", bytes.len())))?;
        Ok(Self(u64::from_le_bytes(bytes)))
    }
}

impl std::fmt::Display for SessionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// What a call says about sessions; it becomes part of its entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stamp {
    /// Nothing: a command that is executed as often as it is in the log.
    #[default]
    None,
    /// A command of a session.
    Command {
        /// The session.
        session: SessionId,
        /// Number of the command within it, from 1.
        sequence: u32,
        /// The client waits for no reply up to this sequence any more; below `sequence`.
        acknowledged: u32,
    },
    /// No command: something to do with a session itself.
    Session {
        /// The session; [`SessionId::NONE`] to open one.
        session: SessionId,
        /// What to do.
        request: SessionRequest,
    },
}

/// What a client wants of a session itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionRequest {
    /// Opens one. The time is in the entry and not in a configuration, so that nodes cannot differ
    /// about it; it is held within [`MIN_TTL_MS`] and [`MAX_TTL_MS`].
    Open {
        /// Milliseconds of log time after which it expires when nothing is heard of it.
        ttl_ms: u64,
    },
    /// Says that the client is there.
    KeepAlive,
    /// Ends it.
    Close,
}

impl SessionRequest {
    const OPEN: u8 = 1;
    const KEEP_ALIVE: u8 = 2;
    const CLOSE: u8 = 3;

    /// The payload of the entry.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Open { ttl_ms } => {
                let mut out = vec![VERSION, Self::OPEN];
                out.extend_from_slice(&ttl_ms.to_le_bytes());
                out
            }
            Self::KeepAlive => vec![VERSION, Self::KEEP_ALIVE],
            Self::Close => vec![VERSION, Self::CLOSE],
        }
    }

    /// Reads the payload of an entry.
    ///
    /// # Errors
    ///
    /// When the bytes are not one, or of a later version.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(bytes);
        let found = reader.u8("session's version")?;
        if found != VERSION {
            return Err(WireError::Version { what: "session", found, known: VERSION });
        }
        let request = match reader.u8("request of a session")? {
            Self::OPEN => Self::Open { ttl_ms: reader.u64("time to live")? },
            Self::KEEP_ALIVE => Self::KeepAlive,
            Self::CLOSE => Self::Close,
            other => {
                let found = u64::from(other);
                return Err(WireError::Value { what: "request of a session", found });
            }
        };
        reader.finish("session")?;
        Ok(request)
    }
}

/// Why an entry of a session was not executed, or has no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[repr(u8)]
pub enum SessionFault {
    /// The session expired, was evicted or closed, or never was. This entry was not executed.
    #[error("the session has expired")]
    Expired = 1,
    /// The client had acknowledged the sequence. This entry was not executed.
    #[error("the sequence was acknowledged already")]
    Acknowledged = 2,
    /// The sequence is too far above what is acknowledged. This entry was not executed.
    #[error("too many sequences of the session are open")]
    Crowded = 3,
    /// The sequence was executed before, once, but its reply was too large to be kept, or could
    /// not be encoded.
    #[error("the command was applied, but its reply was not kept")]
    ReplyLost = 4,
}

impl SessionFault {
    /// The fault with this number on the wire, if this version knows it.
    #[must_use]
    pub const fn from_u8(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Expired),
            2 => Some(Self::Acknowledged),
            3 => Some(Self::Crowded),
            4 => Some(Self::ReplyLost),
            _ => None,
        }
    }
}

/// What an executed entry gives to whoever waits for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<R> {
    /// The state machine replied.
    Reply(R),
    /// It was a duplicate: the encoded reply of the one execution.
    Kept(std::sync::Arc<[u8]>),
    /// A session was opened, kept alive or closed.
    Session(SessionId),
    /// Nothing was executed, or the reply is gone.
    Fault(SessionFault),
}

impl<R: Codec> Outcome<R> {
    /// The outcome as it is sent to the node that forwarded the call.
    pub fn forwarded(self) -> ForwardOutcome {
        match self {
            Self::Reply(reply) => {
                let mut bytes = Vec::new();
                let encoded = reply.encode(&mut bytes).map(|()| ForwardOutcome::Applied(bytes));
                encoded.unwrap_or(ForwardOutcome::Unknown)
            }
            Self::Kept(reply) => ForwardOutcome::Applied(reply.to_vec()),
            Self::Session(session) => ForwardOutcome::Applied(session.to_bytes()),
            Self::Fault(fault) => ForwardOutcome::Faulted(fault),
        }
    }
}

#[cfg(test)]
mod tests;
