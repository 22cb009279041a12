//! What is durable here, and which write each message must wait for.
//!
//! Tokens complete in order. A truncation lowers everything known as persisted, handed out or
//! pending to the cut, so that a write that completes later can raise nothing that is gone.

use std::collections::VecDeque;

use crate::id::{Index, PersistToken};
use crate::time::Instant;

/// Writes handed out and not yet durable, and what they will make durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Durability {
    persisted: Index,
    /// Highest index handed out to the disk and not truncated since.
    handed_out: Index,
    pending: VecDeque<Pending>,
    last_issued: PersistToken,
    /// The write that makes the present term and vote durable, until it completes.
    term_token: Option<PersistToken>,
    /// Since when the disk owes an answer: the last it gave, or the first write after that.
    owing_since: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pending {
    token: PersistToken,
    /// Last index that is durable when this write completes.
    end: Index,
}

impl Durability {
    /// After a restart everything in the log is durable.
    pub(crate) const fn new(persisted: Index) -> Self {
        Self {
            persisted,
            handed_out: persisted,
            pending: VecDeque::new(),
            last_issued: PersistToken::ZERO,
            term_token: None,
            owing_since: None,
        }
    }

    /// Highest durable index.
    pub(crate) const fn persisted(&self) -> Index {
        self.persisted
    }

    /// Highest index that was handed out to the disk.
    pub(crate) const fn handed_out(&self) -> Index {
        self.handed_out
    }

    /// The token that the next write will get.
    pub(crate) const fn next_token(&self) -> PersistToken {
        self.last_issued.next()
    }

    /// The write that this node's messages wait for, because it carries their term.
    pub(crate) const fn term_token(&self) -> Option<PersistToken> {
        self.term_token
    }

    /// Since when writes are under way of which none has completed.
    pub(crate) const fn owing_since(&self) -> Option<Instant> {
        self.owing_since
    }

    /// Hands out a write that ends at `end`.
    pub(crate) fn issue(
        &mut self,
        now: Instant,
        end: Index,
        with_hard_state: bool,
    ) -> PersistToken {
        let token = self.next_token();
        self.owing_since.get_or_insert(now);
        self.last_issued = token;
        self.handed_out = end;
        self.pending.push_back(Pending { token, end });
        if with_hard_state {
            self.term_token = Some(token);
        }
        token
    }

    /// Entries from `from` on are gone.
    pub(crate) fn truncate_from(&mut self, from: Index) {
        let end = from.previous();
        self.persisted = self.persisted.min(end);
        self.handed_out = self.handed_out.min(end);
        for pending in &mut self.pending {
            pending.end = pending.end.min(end);
        }
    }

    /// A durable snapshot covers everything up to `last`. Where nothing of the log above it was
    /// kept, writes under way bring nothing any more.
    pub(crate) fn install(&mut self, last: Index, keeps_suffix: bool) {
        if keeps_suffix {
            self.persisted = self.persisted.max(last);
            self.handed_out = self.handed_out.max(last);
            return;
        }
        self.persisted = last;
        self.handed_out = last;
        for pending in &mut self.pending {
            pending.end = pending.end.min(last);
        }
    }

    /// Whether a write with this token is under way.
    #[inline]
    pub(crate) fn is_open(&self, token: PersistToken) -> bool {
        self.pending.front().is_some_and(|first| first.token <= token) && token <= self.last_issued
    }

    /// The write with this token is durable, and every earlier one. Says whether the token is one
    /// that was handed out and still open.
    pub(crate) fn complete(&mut self, now: Instant, token: PersistToken) -> bool {
        if !self.is_open(token) {
            return false;
        }
        while let Some(pending) = self.pending.front().filter(|pending| pending.token <= token) {
            self.persisted = self.persisted.max(pending.end);
            self.pending.pop_front();
        }
        if self.term_token.is_some_and(|waiting| waiting <= token) {
            self.term_token = None;
        }
        self.owing_since = self.pending.front().map(|_| now);
        true
    }

    /// The write under way that makes `index` durable; `None` where it is durable.
    ///
    /// # Panics
    ///
    /// When no write that was handed out covers `index`.
    pub(crate) fn covering(&self, index: Index) -> Option<PersistToken> {
        if index <= self.persisted {
            return None;
        }
        let covering = self.pending.iter().find(|pending| pending.end >= index);
        Some(covering.expect("an acknowledged entry was handed out to the disk").token)
    }
}
