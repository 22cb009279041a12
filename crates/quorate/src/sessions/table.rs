//! The table: sessions, what each has acknowledged, and the replies that may still be asked for.
//!
//! Expiry and eviction are exact functions of the log, although the two orders that find their
//! victims are kept loosely: each holds for every session a mark at or below the true one, and a
//! mark that comes first is corrected before it counts. So a call costs one search in a shard.
//!
//! The table lies in shards that a view shares: a snapshot copies none of it, and a shard is copied
//! when the first of its sessions changes while a view is held.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use quorate_core::{Index, mutant};

use super::{MAX_TTL_MS, MIN_TTL_MS, SessionFault, SessionId, SessionRequest, SessionsView};

/// Parts of the table that are copied apart.
const SHARDS: u64 = 256;
/// What a session is charged with beside its replies.
pub(super) const SESSION_BYTES: usize = 256;
/// What a reply is charged with beside its bytes.
pub(super) const REPLY_BYTES: usize = 32;

/// Bounds of the table. What it does at them is part of the replicated state: all nodes of a
/// cluster must have the same, which is why a node has always the default and no setting. A later
/// version that changes them needs another version of the entry that opens a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionLimits {
    /// How far a sequence may be above the acknowledged one: so many calls of a session may be
    /// under way.
    pub window: u32,
    /// Bytes that one session may take. A reply that does not fit is not kept.
    pub session_bytes: usize,
    /// Bytes of all sessions together. Beyond it the one that was not used for longest is evicted.
    pub total_bytes: usize,
}

impl SessionLimits {
    /// The limits that every node has.
    pub const STANDARD: Self = Self { window: 4096, session_bytes: 1 << 20, total_bytes: 64 << 20 };
}

impl Default for SessionLimits {
    fn default() -> Self {
        Self::STANDARD
    }
}

/// What is left of an execution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// The encoded reply.
    Reply(Arc<[u8]>),
    /// That it took place; the reply was too large or has no encoding.
    Mark,
}

impl Kept {
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Reply(reply) => REPLY_BYTES + reply.len(),
            Self::Mark => REPLY_BYTES,
        }
    }
}

/// What to do with a command of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Execute it, then [`SessionTable::keep`] its reply.
    Execute,
    /// It was executed before; its reply.
    Duplicate(Arc<[u8]>),
    /// Do not execute it.
    Fault(SessionFault),
}

/// One session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Session {
    pub(super) ttl_ms: u64,
    /// Log time at which it was heard of last.
    pub(super) seen_ms: u64,
    /// Entry by which it was heard of last.
    pub(super) seen_at: Index,
    /// No sequence up to here is executed any more.
    pub(super) acknowledged: u32,
    /// Executions above `acknowledged`, ascending.
    pub(super) replies: VecDeque<(u32, Kept)>,
    /// What it is charged with.
    pub(super) bytes: usize,
    /// Its mark in the order of expiry and in that of use; no part of the state.
    marks: (u64, Index),
}

impl Session {
    pub(super) const fn new(ttl_ms: u64, seen: (Index, u64)) -> Self {
        let (seen_at, seen_ms) = seen;
        Self {
            ttl_ms,
            seen_ms,
            seen_at,
            acknowledged: 0,
            replies: VecDeque::new(),
            bytes: SESSION_BYTES,
            marks: (0, Index::ZERO),
        }
    }

    const fn expires_ms(&self) -> u64 {
        self.seen_ms.saturating_add(self.ttl_ms)
    }

    /// Where the sequence is among the replies, or would be.
    fn place(&self, sequence: u32) -> Result<usize, usize> {
        // Nearly always it belongs at the end.
        match self.replies.back() {
            Some((last, _)) if *last >= sequence => {
                self.replies.binary_search_by_key(&sequence, |(sequence, _)| *sequence)
            }
            _ => Err(self.replies.len()),
        }
    }

    /// Forgets what the client has; gives the bytes that it took.
    fn acknowledge(&mut self, acknowledged: u32) -> usize {
        self.acknowledged = self.acknowledged.max(acknowledged);
        let mut freed = 0;
        while let Some((_, kept)) = self.replies.pop_front_if(|(at, _)| *at <= self.acknowledged) {
            freed += kept.bytes();
        }
        self.bytes -= freed;
        freed
    }
}

pub(super) type Shard = BTreeMap<u64, Session>;

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct SessionTable {
    limits: SessionLimits,
    /// Empty until the first session is opened.
    shards: Vec<Arc<Shard>>,
    /// Log time before which each session does not expire, or less.
    by_expiry: BTreeSet<(u64, u64)>,
    /// Entry by which each was heard of last, or an earlier one.
    by_use: BTreeSet<(Index, u64)>,
    bytes: usize,
    evicted: u64,
    expired: u64,
}

impl SessionTable {
    /// A table without sessions.
    #[must_use]
    pub fn new(limits: SessionLimits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Sessions that are open, those included whose time is up and who were not looked at since.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_use.len()
    }

    /// Whether no session is open.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_use.is_empty()
    }

    /// Bytes that the sessions are charged with.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Sessions evicted for want of room since this table was made, and those whose time was up.
    #[must_use]
    pub const fn ended(&self) -> (u64, u64) {
        (self.evicted, self.expired)
    }

    /// Does what an entry of kind session asks for; gives the session.
    ///
    /// # Errors
    ///
    /// When there is no such session.
    pub fn request(
        &mut self,
        (index, log_time_ms): (Index, u64),
        session: SessionId,
        request: SessionRequest,
    ) -> Result<SessionId, SessionFault> {
        self.expire(log_time_ms);
        match request {
            SessionRequest::Open { ttl_ms } => {
                let ttl_ms = ttl_ms.clamp(MIN_TTL_MS, MAX_TTL_MS);
                self.insert(index.0, Session::new(ttl_ms, (index, log_time_ms)));
                self.make_room(index.0);
                Ok(SessionId(index.0))
            }
            SessionRequest::KeepAlive => self.seen((index, log_time_ms), session).map(|_| session),
            SessionRequest::Close => {
                self.remove(session.0).map(|_| session).ok_or(SessionFault::Expired)
            }
        }
    }

    /// Says what to do with a command of a session.
    pub fn begin(
        &mut self,
        (index, log_time_ms): (Index, u64),
        session: SessionId,
        sequence: u32,
        acknowledged: u32,
    ) -> Verdict {
        self.expire(log_time_ms);
        let window = self.limits.window;
        let found = match self.seen((index, log_time_ms), session) {
            Ok(found) => found,
            Err(fault) => return Verdict::Fault(fault),
        };
        let freed = found.acknowledge(acknowledged);
        let place = found.place(sequence);
        let verdict = match place {
            _ if mutant!(DuplicatesAtProposeOnly) => Verdict::Execute,
            _ if sequence <= found.acknowledged => Verdict::Fault(SessionFault::Acknowledged),
            Ok(at) => match &found.replies[at].1 {
                Kept::Reply(reply) => Verdict::Duplicate(Arc::clone(reply)),
                Kept::Mark => Verdict::Fault(SessionFault::ReplyLost),
            },
            Err(_) if sequence - found.acknowledged > window => {
                Verdict::Fault(SessionFault::Crowded)
            }
            Err(_) => Verdict::Execute,
        };
        self.bytes -= freed;
        verdict
    }

    /// Keeps the reply of the command that was just executed; `None` where it has no encoding.
    pub fn keep(&mut self, session: SessionId, sequence: u32, reply: Option<&[u8]>) {
        let limit = self.limits.session_bytes;
        let Some(found) = self.find(session.0) else { return };
        let taken = found.bytes + REPLY_BYTES;
        let kept = match reply {
            Some(reply) if taken + reply.len() <= limit => Kept::Reply(reply.into()),
            _ => Kept::Mark,
        };
        let Err(at) = found.place(sequence) else { return };
        let bytes = kept.bytes();
        found.bytes += bytes;
        found.replies.insert(at, (sequence, kept));
        self.bytes += bytes;
        self.make_room(session.0);
    }

    /// Removes every session whose time is up at this log time.
    ///
    /// Whether it is called in between makes no difference to what an entry finds: each looks at
    /// its own log time first.
    pub fn expire(&mut self, log_time_ms: u64) {
        while let Some(&(mark, id)) = self.by_expiry.first() {
            if mark > log_time_ms {
                return;
            }
            let truly = self.peek(id).expires_ms();
            if truly > log_time_ms {
                self.by_expiry.pop_first();
                self.by_expiry.insert((truly, id));
                self.marks(id).0 = truly;
            } else {
                self.remove(id);
                self.expired += 1;
            }
        }
    }

    /// A view that later changes leave as it is, without what expired by `log_time_ms`.
    #[must_use]
    pub fn view(&mut self, log_time_ms: u64) -> SessionsView {
        self.expire(log_time_ms);
        SessionsView::new(self.shards.clone())
    }

    /// Finds a session that was heard of just now.
    fn seen(
        &mut self,
        (index, log_time_ms): (Index, u64),
        session: SessionId,
    ) -> Result<&mut Session, SessionFault> {
        let found = self.find(session.0).ok_or(SessionFault::Expired)?;
        found.seen_ms = found.seen_ms.max(log_time_ms);
        found.seen_at = index;
        Ok(found)
    }

    /// Evicts sessions, the one that was not used for longest first and `spared` never, until the
    /// rest is within the limit.
    fn make_room(&mut self, spared: u64) {
        while self.bytes > self.limits.total_bytes {
            let Some(&(mark, id)) = self.by_use.first() else { return };
            let truly = self.peek(id).seen_at;
            if truly > mark {
                self.by_use.pop_first();
                self.by_use.insert((truly, id));
                self.marks(id).1 = truly;
            } else if id == spared {
                // All others were heard of before it, and are gone.
                return;
            } else {
                self.remove(id);
                self.evicted += 1;
            }
        }
    }

    pub(super) fn insert(&mut self, id: u64, mut session: Session) {
        if self.shards.is_empty() {
            self.shards = vec![Arc::default(); usize::try_from(SHARDS).expect("256 fit")];
        }
        self.bytes += session.bytes;
        session.marks = (session.expires_ms(), session.seen_at);
        self.by_expiry.insert((session.marks.0, id));
        self.by_use.insert((session.marks.1, id));
        Arc::make_mut(&mut self.shards[shard_of(id)]).insert(id, session);
    }

    /// The session that a mark belongs to.
    fn peek(&self, id: u64) -> &Session {
        self.shards[shard_of(id)].get(&id).expect("a mark goes with its session")
    }

    /// The marks of a session that has some.
    fn marks(&mut self, id: u64) -> &mut (u64, Index) {
        &mut self.find(id).expect("a mark goes with its session").marks
    }

    /// The session, to be changed. A shard that has none with this id is not copied.
    fn find(&mut self, id: u64) -> Option<&mut Session> {
        let shard = self.shards.get_mut(shard_of(id))?;
        if Arc::get_mut(shard).is_none() && !shard.contains_key(&id) {
            return None;
        }
        Arc::make_mut(shard).get_mut(&id)
    }

    /// Takes a session out of the table and of both orders.
    fn remove(&mut self, id: u64) -> Option<Session> {
        self.find(id)?;
        let session = Arc::make_mut(&mut self.shards[shard_of(id)]).remove(&id)?;
        self.bytes -= session.bytes;
        self.by_expiry.remove(&(session.marks.0, id));
        self.by_use.remove(&(session.marks.1, id));
        Some(session)
    }
}

fn shard_of(id: u64) -> usize {
    usize::try_from(id % SHARDS).expect("256 fit")
}
