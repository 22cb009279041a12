//! Holds messages back until they may leave: the rule that nothing rests on what is not durable.
//!
//! A message leaves when the write it waits for is durable and its entries are at hand. Pure code,
//! shared by every shell.
//!
//! - A message that waits for a token never leaves before that token, or a later one, is reported.
//! - Appends to one peer leave in the order in which they were made: one whose entries are being
//!   read back holds the later ones back. Nothing else is held up by it.
//! - A message without a token overtakes those that wait for theirs: a follower's read need not
//!   wait for the disk. The protocol survives any order.
//! - A read-back that takes longer than a heartbeat must not silence the leader: the next heartbeat
//!   pushes it out, and the core is told that it was dropped.
//! - What is held per peer is bounded in bytes; what does not fit is dropped, counted, and the core
//!   is told at once.

use std::collections::VecDeque;
use std::time::Duration;

use quorate_core::node_map::NodeMap;
use quorate_core::{Envelope, Few, Instant, Message, NodeId, PersistToken, RequestId};
use quorate_log::Entries;

use super::bytes::is_promised;
use super::{Effects, Frame, Letter, Ticket};

/// What a message that carries no entries is charged with.
const SLOT_BYTES: usize = 256;

/// One message that may have to wait.
#[derive(Debug)]
pub(crate) struct Slot {
    /// The message, with those of its entries that are at hand.
    pub(crate) letter: Box<Letter>,
    /// The write that must be durable first.
    pub(crate) after: Option<PersistToken>,
    /// The first of its entries are being read back from the log: the request for them, and the
    /// bytes of all entries together, as the core counts them.
    pub(crate) reading: Option<(Ticket, usize)>,
}

/// An append that will not leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dropped {
    /// Whom it was for.
    pub(crate) to: NodeId,
    /// Its number.
    pub(crate) request: RequestId,
}

#[derive(Debug)]
struct Held {
    slot: Slot,
    bytes: usize,
    since: Instant,
}

impl Held {
    const fn is_append(&self) -> bool {
        matches!(self.slot.letter.envelope.message, Message::Append(_))
    }

    fn waits_for(&self, read: Ticket) -> bool {
        self.slot.reading.is_some_and(|(ticket, _)| ticket == read)
    }

    fn dropped(&self) -> Option<Dropped> {
        let envelope = &self.slot.letter.envelope;
        self.is_append().then_some(Dropped { to: envelope.to, request: envelope.request })
    }
}

#[derive(Debug, Default)]
struct Queue {
    held: VecDeque<Held>,
    bytes: usize,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Outbox {
    queues: NodeMap<Queue>,
    /// Every write up to this token is durable.
    persisted: PersistToken,
    /// Bytes that may be held per peer.
    limit: usize,
    /// Time after which a heartbeat pushes a read-back out.
    patience: Duration,
    /// Messages that were dropped here.
    dropped: u64,
}

impl Outbox {
    pub(crate) const fn new(limit: usize, patience: Duration) -> Self {
        let queues = NodeMap::new();
        Self { queues, persisted: PersistToken::ZERO, limit, patience, dropped: 0 }
    }

    /// Messages that were dropped here so far.
    pub(crate) const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Messages held back.
    pub(crate) fn len(&self) -> usize {
        self.queues.values().map(|queue| queue.held.len()).sum()
    }

    /// Whether a message whose entries are at hand may leave at once, without coming here: nothing
    /// is held for its receiver, and the write that it waits for is durable.
    pub(crate) fn is_free(&self, to: NodeId, after: Option<PersistToken>) -> bool {
        let is_durable = after.is_none_or(|token| token <= self.persisted);
        is_durable && self.queues.get(to).is_none_or(|queue| queue.held.is_empty())
    }

    /// Whether the write that a message waits for is durable.
    pub(crate) fn is_durable(&self, after: Option<PersistToken>) -> bool {
        after.is_none_or(|token| token <= self.persisted)
    }

    /// Bytes held back for the peer for whom most are.
    pub(crate) fn bytes(&self) -> usize {
        self.queues.values().map(|queue| queue.bytes).max().unwrap_or_default()
    }

    /// Takes a message; sends it at once where nothing holds it back.
    pub(crate) fn push(
        &mut self,
        now: Instant,
        slot: Slot,
        out: &mut impl Effects,
        dropped: &mut Vec<Dropped>,
    ) {
        let (to, persisted) = (slot.letter.envelope.to, self.persisted);
        let queue = self.queues.get_or_insert_with(to, Queue::default);
        let at_hand = || slot.letter.entries.iter().map(|slice| slice.bytes().len()).sum();
        let entries: usize = slot.reading.map_or_else(at_hand, |(_, bytes)| bytes);
        let held = Held { slot, bytes: SLOT_BYTES + entries, since: now };
        if is_heartbeat(&held.slot) {
            self.dropped += queue.push_out(now, self.patience, dropped);
        }
        if queue.may_pass(&held, persisted) {
            release(held, out);
        } else if queue.bytes + held.bytes > self.limit && !queue.held.is_empty() {
            self.dropped += 1;
            dropped.extend(held.dropped());
        } else {
            queue.bytes += held.bytes;
            queue.held.push_back(held);
        }
    }

    /// As [`Self::push`], for what is no append and carries no entries: only its own write can hold
    /// it back.
    #[inline]
    pub(crate) fn push_reply(
        &mut self,
        now: Instant,
        letter: Box<Letter>,
        after: Option<PersistToken>,
        out: &mut impl Effects,
    ) {
        let to = letter.envelope.to;
        if self.is_durable(after) {
            return out.send(to, Frame::Raft(letter));
        }
        let queue = self.queues.get_or_insert_with(to, Queue::default);
        if queue.bytes + SLOT_BYTES > self.limit && !queue.held.is_empty() {
            self.dropped += 1;
        } else {
            queue.bytes += SLOT_BYTES;
            let slot = Slot { letter, after, reading: None };
            queue.held.push_back(Held { slot, bytes: SLOT_BYTES, since: now });
        }
    }

    /// Notes that every write up to `token` is durable.
    pub(crate) fn persisted(&mut self, token: PersistToken, out: &mut impl Effects) {
        self.persisted = self.persisted.max(token);
        for queue in self.queues.values_mut() {
            if !queue.held.is_empty() {
                queue.drain(self.persisted, out);
            }
        }
    }

    /// The append that waits for a read-back, where it was not dropped meanwhile.
    pub(crate) fn reading(&self, ticket: Ticket) -> Option<&Envelope> {
        let mut held = self.queues.values().flat_map(|queue| &queue.held);
        let held = held.find(|held| held.waits_for(ticket))?;
        Some(&held.slot.letter.envelope)
    }

    /// Gives an append the entries that were read back for it, or drops it where they are not the
    /// ones that it names. Says how many were dropped.
    pub(crate) fn fulfil(
        &mut self,
        ticket: Ticket,
        read: Option<Few<Entries>>,
        out: &mut impl Effects,
        dropped: &mut Vec<Dropped>,
    ) -> u64 {
        for queue in self.queues.values_mut() {
            let Some(at) = queue.held.iter().position(|held| held.waits_for(ticket)) else {
                continue;
            };
            let slot = &mut queue.held[at].slot;
            slot.reading = None;
            let Letter { envelope, entries } = &mut *slot.letter;
            let at_hand = std::mem::replace(entries, read.unwrap_or_default());
            entries.extend(at_hand);
            let promised = is_promised(entries, envelope);
            if !promised {
                self.dropped += 1;
                dropped.extend(queue.remove(at).and_then(|held| held.dropped()));
            }
            queue.drain(self.persisted, out);
            return u64::from(!promised);
        }
        0
    }
}

impl Queue {
    /// Whether a message may leave at once, before everything that is held.
    fn may_pass(&self, held: &Held, persisted: PersistToken) -> bool {
        let blocked = held.is_append() && self.held.iter().any(Held::is_append);
        is_ready(&held.slot, persisted) && !blocked
    }

    /// Releases what may leave, in order.
    fn drain(&mut self, persisted: PersistToken, out: &mut impl Effects) {
        // Nearly always it is all that is held, and the first may leave.
        while let Some(held) = self.held.pop_front_if(|held| is_ready(&held.slot, persisted)) {
            self.bytes -= held.bytes;
            release(held, out);
        }
        let mut appends_wait = false;
        let mut at = 0;
        while let Some(held) = self.held.get(at) {
            if is_ready(&held.slot, persisted) && !(held.is_append() && appends_wait) {
                let held = self.remove(at).expect("it was just seen there");
                release(held, out);
            } else {
                appends_wait |= held.is_append();
                at += 1;
            }
        }
    }

    /// Drops the appends that wait for a read-back longer than `patience`, and those behind them.
    fn push_out(&mut self, now: Instant, patience: Duration, dropped: &mut Vec<Dropped>) -> u64 {
        let slow = |held: &Held| held.slot.reading.is_some() && now.since(held.since) >= patience;
        let Some(first) = self.held.iter().position(slow) else { return 0 };
        let mut count = 0;
        let mut at = first;
        while let Some(held) = self.held.get(at) {
            if held.is_append() {
                let held = self.remove(at).expect("it was just seen there");
                dropped.extend(held.dropped());
                count += 1;
            } else {
                at += 1;
            }
        }
        count
    }

    fn remove(&mut self, at: usize) -> Option<Held> {
        let held = if at == 0 { self.held.pop_front() } else { self.held.remove(at) }?;
        self.bytes -= held.bytes;
        Some(held)
    }
}

fn is_ready(slot: &Slot, persisted: PersistToken) -> bool {
    slot.reading.is_none() && slot.after.is_none_or(|token| token <= persisted)
}

fn is_heartbeat(slot: &Slot) -> bool {
    matches!(&slot.letter.envelope.message, Message::Append(append) if append.runs.is_empty())
}

#[inline]
fn release(held: Held, out: &mut impl Effects) {
    let letter = held.slot.letter;
    out.send(letter.envelope.to, Frame::Raft(letter));
}

#[cfg(test)]
mod tests;
