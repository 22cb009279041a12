//! The table as bytes, for a snapshot: equal tables have equal bytes, on whatever node.
//!
//! Little-endian. Version 1 byte (1), then every session in ascending order of its id: id 8, time
//! to live in milliseconds 8, log time at which it was heard of last 8, entry by which it was 8,
//! acknowledged sequence 4, number of replies 4, and each reply, ascending: sequence 4, 1 for a
//! reply or 0 for a mark that it was not kept 1, and of a reply its length 4 and its bytes.
//!
//! Bytes are hostile until checked: nothing is allocated by a number that was read, and what would
//! not be a table that the log can have made is refused.

use std::sync::Arc;

use quorate_core::Index;

use super::table::{REPLY_BYTES, Session, Shard};
use super::{Kept, MAX_TTL_MS, MIN_TTL_MS, SessionLimits, SessionTable, VERSION};
use crate::wire::{Reader, WireError, within};

/// Bytes of a session before its replies.
const HEAD_BYTES: usize = 40;

/// The sessions as they were when the view was taken.
#[derive(Clone, Debug, Default)]
pub struct SessionsView {
    shards: Vec<Arc<Shard>>,
}

impl SessionsView {
    pub(super) const fn new(shards: Vec<Arc<Shard>>) -> Self {
        Self { shards }
    }

    /// Bytes that [`SessionsView::encode`] appends.
    #[must_use]
    pub fn encoded_bytes(&self) -> usize {
        let of = |session: &Session| {
            let replies = session.replies.iter();
            let replies = replies.map(|(_, kept)| match kept {
                Kept::Reply(reply) => 9 + reply.len(),
                Kept::Mark => 5,
            });
            HEAD_BYTES + replies.sum::<usize>()
        };
        1 + self.shards.iter().flat_map(|shard| shard.values()).map(of).sum::<usize>()
    }

    /// Appends the sessions as bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(VERSION);
        let sessions = self.shards.iter().flat_map(|shard| shard.iter());
        let mut sessions: Vec<(&u64, &Session)> = sessions.collect();
        sessions.sort_unstable_by_key(|(id, _)| **id);
        for (id, session) in sessions {
            for number in [*id, session.ttl_ms, session.seen_ms, session.seen_at.0] {
                out.extend_from_slice(&number.to_le_bytes());
            }
            out.extend_from_slice(&session.acknowledged.to_le_bytes());
            put_length(out, session.replies.len());
            for (sequence, kept) in &session.replies {
                out.extend_from_slice(&sequence.to_le_bytes());
                match kept {
                    Kept::Reply(reply) => {
                        out.push(1);
                        put_length(out, reply.len());
                        out.extend_from_slice(reply);
                    }
                    Kept::Mark => out.push(0),
                }
            }
        }
    }
}

fn put_length(out: &mut Vec<u8>, length: usize) {
    let length = u32::try_from(length).expect("a session is bounded far below 4 GiB");
    out.extend_from_slice(&length.to_le_bytes());
}

impl SessionTable {
    /// Reads what [`SessionsView::encode`] wrote.
    ///
    /// # Errors
    ///
    /// When the bytes are no table, or one beyond the limits.
    pub fn decode(bytes: &[u8], limits: SessionLimits) -> Result<Self, WireError> {
        let mut reader = Reader::new(bytes);
        let found = reader.u8("sessions' version")?;
        if found != VERSION {
            return Err(WireError::Version { what: "sessions", found, known: VERSION });
        }
        let mut table = Self::new(limits);
        let mut before = 0;
        while !reader.is_empty() {
            let id = reader.u64("session")?;
            if id <= before {
                return Err(WireError::Value { what: "session", found: id });
            }
            before = id;
            let session = session(&mut reader, id, limits)?;
            table.insert(id, session);
            within("bytes of sessions", table.bytes(), limits.total_bytes)?;
        }
        Ok(table)
    }
}

fn session(reader: &mut Reader<'_>, id: u64, limits: SessionLimits) -> Result<Session, WireError> {
    let ttl_ms = reader.u64("time to live")?;
    if !(MIN_TTL_MS..=MAX_TTL_MS).contains(&ttl_ms) {
        return Err(WireError::Value { what: "time to live", found: ttl_ms });
    }
    let seen_ms = reader.u64("log time")?;
    let seen_at = reader.u64("entry")?;
    if seen_at < id {
        return Err(WireError::Value { what: "entry", found: seen_at });
    }
    let mut session = Session::new(ttl_ms, (Index(seen_at), seen_ms));
    session.acknowledged = reader.u32("acknowledged sequence")?;
    let mut last = session.acknowledged;
    for _ in 0..reader.u32("replies of a session")? {
        let sequence = reader.u32("sequence")?;
        if sequence <= last || sequence - session.acknowledged > limits.window {
            return Err(WireError::Value { what: "sequence", found: u64::from(sequence) });
        }
        last = sequence;
        let kept = if reader.flag("whether a reply was kept")? {
            let length = reader.u32("bytes of a reply")?;
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            Kept::Reply(reader.take("reply", length)?.into())
        } else {
            Kept::Mark
        };
        session.bytes += kept.bytes();
        session.replies.push_back((sequence, kept));
        // Marks are kept whether there is room or not; there are no more than the window is wide.
        let marks = REPLY_BYTES * session.replies.len();
        within("bytes of a session", session.bytes, limits.session_bytes + marks)?;
    }
    Ok(session)
}
