//! A snapshot on its way to a peer: how far it is sent, how far it is there.
//!
//! Pieces leave in order, as many as the window and the pace allow, and none before the peer has
//! said how much of the snapshot an earlier attempt left with it. A lost piece is not missed by
//! name: without progress for a while, what the peer says to an offer is where sending goes on
//! (go-back-N).
//!
//! - `acked` ≤ `next` ≤ the snapshot's length.
//! - What is offered and sent is one snapshot, whatever newer one is taken meanwhile, unless the
//!   receiver finds it damaged.

use core::time::Duration;

use crate::config::Config;
use crate::id::RequestId;
use crate::snapshot::SnapshotId;
use crate::time::Instant;

/// Time for which a late timer may be made up for, in nanoseconds.
const BURST_NANOS: u64 = 20_000_000;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Transfer {
    pub(crate) id: SnapshotId,
    /// Next byte to send.
    pub(crate) next: u64,
    /// Bytes that the peer has stored.
    pub(crate) acked: u64,
    /// Whether the peer said how much it has; nothing but offers leaves before it does.
    answered: bool,
    /// Whether its file cannot be read: the next newer one takes its place.
    pub(crate) is_unreadable: bool,
    /// Whether an offer is to leave without waiting for the next heartbeat.
    pub(crate) offer_due: bool,
    /// The last piece sent. Replies to later requests answer offers.
    last_piece: RequestId,
    /// When the peer last had more than before, or sending began anew.
    progress_at: Instant,
    /// When the next piece may leave.
    ready_at: Instant,
}

impl Transfer {
    pub(crate) const fn new(id: SnapshotId, now: Instant) -> Self {
        Self {
            id,
            next: 0,
            acked: 0,
            answered: false,
            is_unreadable: false,
            offer_due: true,
            last_piece: RequestId::ZERO,
            progress_at: now,
            ready_at: Instant::ZERO,
        }
    }

    /// Its file cannot be read.
    pub(crate) const fn give_up_for_newer(&mut self) {
        self.is_unreadable = true;
    }

    /// What was under way is lost: it is sent again when the peer has said how much it has.
    pub(crate) const fn rewind(&mut self) {
        self.next = self.acked;
        self.answered = false;
    }

    /// The peer started anew: what it had stored it may have no more.
    pub(crate) const fn forget_boot(&mut self) {
        self.acked = 0;
        self.rewind();
        self.offer_due = true;
    }

    /// The peer says, in answer to `request`, how much it has stored.
    pub(crate) fn stored(
        &mut self,
        received: u64,
        request: RequestId,
        now: Instant,
        patience: Duration,
    ) {
        let answers_offer = request > self.last_piece;
        let begins = answers_offer && !self.answered;
        let is_stalled = now.since(self.progress_at) >= patience;
        if begins || answers_offer && is_stalled && received <= self.acked {
            (self.acked, self.next) = (received, received);
            self.answered = true;
            self.progress_at = now;
        } else if received > self.acked {
            self.acked = received;
            self.next = self.next.max(received);
            self.progress_at = now;
        }
    }

    /// The piece that may leave at this moment: its place and its length.
    pub(crate) fn piece(&self, now: Instant, config: &Config) -> Option<(u64, u32)> {
        let rest = self.id.bytes - self.next;
        let is_free = self.has_room(config) && now >= self.ready_at;
        let bytes = u32::try_from(rest).unwrap_or(u32::MAX).min(config.snapshot_chunk_bytes);
        is_free.then_some((self.next, bytes))
    }

    /// When the pace allows the next piece, where nothing else holds it back.
    pub(crate) fn next_deadline(&self, config: &Config) -> Option<Instant> {
        self.has_room(config).then_some(self.ready_at)
    }

    fn has_room(&self, config: &Config) -> bool {
        let under_way = self.next - self.acked;
        self.answered && self.next < self.id.bytes && under_way < config.snapshot_window_bytes
    }

    /// A piece of so many bytes leaves.
    pub(crate) fn sent(&mut self, bytes: u32, request: RequestId, now: Instant, config: &Config) {
        self.next += u64::from(bytes);
        self.last_piece = request;
        let pace = config.snapshot_bytes_per_second;
        if let Some(span) = (u64::from(bytes) * 1_000_000_000).checked_div(pace) {
            let earliest = Instant::from_nanos(now.as_nanos().saturating_sub(BURST_NANOS));
            self.ready_at = self.ready_at.max(earliest).after_nanos(span);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{EntryId, Index, Term};

    const PATIENCE: Duration = Duration::from_millis(300);

    fn transfer(bytes: u64) -> Transfer {
        let last = EntryId::new(Index(9), Term(2));
        Transfer::new(SnapshotId { last, bytes, hash: 1 }, Instant::ZERO)
    }

    fn config(pace: u64) -> Config {
        let config = Config::builder().snapshot_chunk_bytes(100).snapshot_window_bytes(250);
        config.snapshot_bytes_per_second(pace).build().unwrap()
    }

    /// Sends what may leave, and says which pieces did.
    fn send(transfer: &mut Transfer, at: Instant, config: &Config) -> Vec<(u64, u32)> {
        let mut sent = Vec::new();
        while let Some((offset, bytes)) = transfer.piece(at, config) {
            sent.push((offset, bytes));
            let request = RequestId(transfer.last_piece.0 + 1);
            transfer.sent(bytes, request, at, config);
        }
        sent
    }

    #[test]
    fn nothing_leaves_before_the_peer_said_what_it_has() {
        let (mut transfer, config, now) = (transfer(1000), config(0), Instant::ZERO);
        assert_eq!(send(&mut transfer, now, &config), []);
        transfer.stored(430, RequestId(1), now, PATIENCE);
        assert_eq!(send(&mut transfer, now, &config), [(430, 100), (530, 100), (630, 100)]);
        // Half of the window is there: half of it leaves again.
        transfer.stored(560, RequestId(1), now, PATIENCE);
        assert_eq!(send(&mut transfer, now, &config), [(730, 100)]);
        transfer.stored(830, RequestId(4), now, PATIENCE);
        assert_eq!(send(&mut transfer, now, &config), [(830, 100), (930, 70)]);
        assert_eq!(transfer.next_deadline(&config), None);
    }

    #[test]
    fn only_an_offer_that_was_made_after_all_pieces_rewinds_and_only_after_a_while() {
        let (mut transfer, config, now) = (transfer(1000), config(0), Instant::ZERO);
        transfer.stored(0, RequestId(1), now, PATIENCE);
        assert_eq!(send(&mut transfer, now, &config).len(), 3);
        let (soon, late) = (Instant::from_millis(299), Instant::from_millis(300));
        transfer.stored(0, RequestId(9), soon, PATIENCE);
        assert_eq!(transfer.next, 300, "it is too early to give up on pieces under way");
        transfer.stored(0, RequestId(3), late, PATIENCE);
        assert_eq!(transfer.next, 300, "a reply to a piece tells nothing of those after it");
        transfer.stored(100, RequestId(2), late, PATIENCE);
        assert_eq!((transfer.acked, transfer.next), (100, 300), "progress");
        transfer.stored(0, RequestId(9), Instant::from_millis(600), PATIENCE);
        assert_eq!((transfer.acked, transfer.next), (0, 0), "it lost what it had");
    }

    #[test]
    fn the_pace_lets_no_more_leave_than_it_says() {
        let (mut transfer, config) = (transfer(100_000), config(10_000));
        let mut sent = 0;
        transfer.stored(0, RequestId(1), Instant::ZERO, PATIENCE);
        let mut now = Instant::ZERO;
        while now < Instant::from_millis(1000) {
            sent += send(&mut transfer, now, &config).len();
            let next = transfer.next;
            transfer.stored(next, transfer.last_piece, now, PATIENCE);
            now = transfer.next_deadline(&config).unwrap();
        }
        // A hundred pieces in a second, and what a burst allows at its beginning.
        assert!((100..=102).contains(&sent), "{sent}");
    }
}
