//! What a leader knows of one peer: how far the logs agree, and what is on its way.
//!
//! - Probe: looks for the place where the logs agree; one append at a time.
//! - Replicate: entries stream, as many as the window allows.
//! - Snapshot: what the peer needs is in the log no more; a snapshot travels in its place.
//!
//! - `matched` never falls within one term and one boot of the peer.
//! - `next` is above `matched`.

mod inflight;
mod transfer;

pub(crate) use inflight::Inflight;
pub(crate) use transfer::Transfer;

use crate::id::{Index, RequestId};
use crate::snapshot::SnapshotId;
use crate::time::Instant;

/// A leader's record of one peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Highest entry known equal and durable on the peer, in its present boot.
    pub(crate) matched: Index,
    /// Next entry to send.
    pub(crate) next: Index,
    pub(crate) mode: Mode,
    /// Replies to requests before this one come from another boot of the peer, or another term.
    pub(crate) valid_from: RequestId,
    /// Rejections of requests before this one were answered by a change of mode already.
    pub(crate) rejects_from: RequestId,
    /// Highest request that the peer answered in this term.
    pub(crate) answered: RequestId,
    /// Highest request sent.
    pub(crate) asked: RequestId,
    /// When the last append of any sort left.
    pub(crate) sent_at: Instant,
    /// When the peer last answered in this term; the start of the term before that.
    pub(crate) heard_at: Instant,
    /// Highest commit index that the peer was told.
    pub(crate) told_commit: Index,
}

/// How entries travel to the peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// One append at a time.
    Probe {
        /// An append is unanswered.
        waiting: bool,
        /// The place has been asked before: the retry carries no entries.
        retry: bool,
    },
    /// A window of appends.
    Replicate(Inflight),
    /// Pieces of a snapshot; `next` is the entry after its last.
    Snapshot(Box<Transfer>),
}

impl Progress {
    /// A peer of which nothing is known yet. `request` is the next number to be used.
    pub(crate) const fn new(next: Index, request: RequestId, now: Instant) -> Self {
        Self {
            matched: Index::ZERO,
            next,
            mode: Mode::Probe { waiting: false, retry: false },
            valid_from: request,
            rejects_from: request,
            answered: RequestId::ZERO,
            asked: RequestId::ZERO,
            sent_at: now,
            heard_at: now,
            told_commit: Index::ZERO,
        }
    }

    /// The peer started anew: what an earlier boot acknowledged counts no more.
    pub(crate) fn forget_boot(&mut self, next: Index, request: RequestId) {
        self.matched = Index::ZERO;
        self.valid_from = request;
        if let Mode::Snapshot(transfer) = &mut self.mode {
            // What an earlier boot stored may be there yet: the peer will say.
            transfer.forget_boot();
            self.rejects_from = request;
        } else {
            self.become_probe(next, request);
        }
    }

    /// Something was lost or refused: look for the place again.
    pub(crate) fn become_probe(&mut self, next: Index, request: RequestId) {
        debug_assert!(next > self.matched, "what is matched is never sent again");
        self.next = next;
        self.rejects_from = request;
        self.mode = Mode::Probe { waiting: false, retry: false };
    }

    /// The place is found.
    pub(crate) fn become_replicate(&mut self) {
        self.mode = Mode::Replicate(Inflight::default());
    }

    /// The log begins after what the peer needs: it gets a snapshot.
    pub(crate) fn become_snapshot(&mut self, id: SnapshotId, request: RequestId, now: Instant) {
        debug_assert!(id.last.index > self.matched, "a snapshot brings more than is there");
        self.next = id.last.index.next();
        self.rejects_from = request;
        self.mode = Mode::Snapshot(Box::new(Transfer::new(id, now)));
    }

    /// The peer holds entries after which this log goes on.
    pub(crate) fn leave_snapshot(&mut self) {
        self.next = self.matched.next();
        self.become_replicate();
    }

    /// The snapshot that travels to the peer.
    pub(crate) fn transfer(&self) -> Option<&Transfer> {
        match &self.mode {
            Mode::Snapshot(transfer) => Some(transfer),
            Mode::Probe { .. } | Mode::Replicate(_) => None,
        }
    }

    pub(crate) fn transfer_mut(&mut self) -> Option<&mut Transfer> {
        match &mut self.mode {
            Mode::Snapshot(transfer) => Some(transfer),
            Mode::Probe { .. } | Mode::Replicate(_) => None,
        }
    }

    /// Takes an acknowledgement; says whether `matched` rose.
    pub(crate) fn accept(&mut self, matched: Index) -> bool {
        self.next = self.next.max(matched.next());
        if let Mode::Replicate(inflight) = &mut self.mode {
            inflight.free_through(matched);
        }
        let rose = matched > self.matched;
        self.matched = self.matched.max(matched);
        rose
    }

    /// Appends unanswered.
    pub(crate) fn inflight(&self) -> usize {
        match &self.mode {
            Mode::Probe { waiting, .. } => usize::from(*waiting),
            Mode::Replicate(inflight) => inflight.len(),
            Mode::Snapshot(_) => 0,
        }
    }

    /// Bytes of entries unanswered; a question for the place where the logs agree counts nothing.
    pub(crate) const fn inflight_bytes(&self) -> u64 {
        match &self.mode {
            Mode::Probe { .. } | Mode::Snapshot(_) => 0,
            Mode::Replicate(inflight) => inflight.bytes(),
        }
    }
}
