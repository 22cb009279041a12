//! The steady state, in straight lines: entries that follow, their answers, writes that are durable,
//! the end of a leader's wake-up.
//!
//! The core says of each step whether it is one of these ([`Raft::follow_on`], [`Raft::acknowledged`],
//! [`Raft::written`], [`Raft::flush_to`]) and hands back what follows; here it is done at once. All
//! else takes the general way, through the core's effects, which does the same in the same order.
//!
//! A letter that was read is kept for its memory: who answers what it gets needs no other.

use quorate_core::{Desk, Followed};

use super::*;

/// Letters kept for their memory.
const KEPT_LETTERS: usize = 8;

impl Replica {
    /// A letter of a peer, with its entries.
    pub(super) fn handle_letter(
        &mut self,
        now: Instant,
        mut envelope: Box<Envelope>,
        entries: Few<Entries>,
        out: &mut impl Effects,
    ) {
        match &envelope.message {
            Message::Append(_) => {
                if let Some(followed) = self.follow_on(now, &mut envelope, &entries) {
                    return self.followed(now, followed, envelope, entries, out);
                }
            }
            Message::AppendReply(_) => {
                if let Some(settled) = self.raft.acknowledged(now, &envelope) {
                    self.keep_letter(envelope);
                    return self.execute(settled.apply, out);
                }
            }
            _ => {}
        }
        self.handle_any_letter(now, envelope, &entries, out);
    }

    /// The heads come from the bytes themselves, so that they cannot contradict them.
    fn follow_on(
        &mut self,
        now: Instant,
        envelope: &mut Envelope,
        entries: &[Entries],
    ) -> Option<Followed> {
        match entries {
            [] => self.raft.follow_on(now, envelope, None),
            [slice] => self.raft.follow_on(now, envelope, Some(&slice.only_run()?)),
            _ => None,
        }
    }

    /// Does what follows from an append. The envelope is its answer, where one is wanted.
    fn followed(
        &mut self,
        now: Instant,
        followed: Followed,
        envelope: Box<Envelope>,
        entries: Few<Entries>,
        out: &mut impl Effects,
    ) {
        let Followed { apply, persist, reply } = followed;
        if let [slice] = &entries[..] {
            self.tail.extend(slice.clone());
        }
        assert!(self.tail.last() == self.raft.last(), "the tail ends where the log ends");
        self.execute(apply, out);
        if let Some(Persist { token, hard_state, truncate_from, append: _, commit }) = persist {
            self.proposals.flushed(self.tail.last().index);
            let write = Write { token, hard_state, truncate_from, entries, commit };
            out.persist(write);
        }
        match reply {
            Some(after) => {
                let slot = Slot { envelope, after, payload: Payload::Ready(Few::new()) };
                self.outbox.push_reply(now, slot, out);
            }
            None => self.keep_letter(envelope),
        }
    }

    /// Entries may be executed.
    #[inline]
    fn execute(&mut self, apply: Option<(Index, Index)>, out: &mut impl Effects) {
        let Some((first, last)) = apply else { return };
        self.feed.extend(last);
        // Nearly always they are the newest block, and the state machine waits for them.
        match self.tail.newest(first, last) {
            Some(block) if self.feed.has_room(first, block.bytes().len()) => {
                self.hand_out(block, out);
            }
            _ => self.pump(out),
        }
    }

    pub(super) fn handle_persisted(
        &mut self,
        now: Instant,
        token: PersistToken,
        out: &mut impl Effects,
    ) {
        self.outbox.persisted(token, out);
        if let Some(settled) = self.raft.written(now, token) {
            self.execute(settled.apply, out);
        } else {
            self.raft.persisted(now, token, &mut self.effects);
            self.obey(now, &[], out);
        }
        self.tail.evict(self.raft.durable());
    }

    /// The end of a wake-up, where the core has something to do in it.
    pub(super) fn flush_raft(&mut self, now: Instant, out: &mut impl Effects) {
        let mut hands = Hands {
            tail: &mut self.tail,
            outbox: &mut self.outbox,
            proposals: &mut self.proposals,
            letters: &mut self.letters,
            rest: &mut self.effects,
            out,
        };
        if !self.raft.flush_to(now, &mut hands) {
            self.raft.flush(now, &mut self.effects);
        }
        if !self.effects.is_empty() {
            self.obey(now, &[], out);
        }
    }

    fn keep_letter(&mut self, envelope: Box<Envelope>) {
        if self.letters.len() < KEPT_LETTERS {
            self.letters.push(envelope);
        }
    }
}

/// Does what a flush asks for while the core decides it, as far as what is at hand suffices.
struct Hands<'a, E> {
    tail: &'a mut Tail,
    outbox: &'a mut Outbox,
    proposals: &'a mut Proposals,
    letters: &'a mut UsedLetters,
    /// What is left for the general way; once there is something, all else follows it.
    rest: &'a mut Vec<Effect>,
    out: &'a mut E,
}

impl<E: Effects> Desk for Hands<'_, E> {
    #[inline]
    fn persist(&mut self, persist: Persist) {
        let Persist { token, hard_state, truncate_from, append, commit } = persist;
        let entries = append.map_or_else(Few::new, |(first, last)| {
            self.proposals.flushed(last);
            self.tail.range(first, last).expect("the tail holds what is not durable")
        });
        let write = Write { token, hard_state, truncate_from, entries, commit };
        self.out.persist(write);
    }

    #[inline]
    fn send(&mut self, send: Send) {
        let Send { envelope, after } = send;
        let is_free = self.rest.is_empty() && self.outbox.is_free(envelope.to, after);
        match self.entries_of(&envelope).filter(|_| is_free) {
            Some(entries) => {
                let to = envelope.to;
                self.out.send(to, Frame::Raft { envelope, entries });
            }
            None => self.rest.push(Effect::Send(Send { envelope, after })),
        }
    }

    #[inline]
    fn used(&mut self) -> Option<Box<Envelope>> {
        self.letters.pop()
    }
}

impl<E> Hands<'_, E> {
    /// The entries that an append names, where they are one run that lies in one block; the index
    /// and term of every one of them is what the append says.
    #[inline]
    fn entries_of(&mut self, envelope: &Envelope) -> Option<Few<Entries>> {
        let Message::Append(append) = &envelope.message else { return None };
        let run = match &append.runs[..] {
            [] => return Some(Few::new()),
            [run] => run,
            _ => return None,
        };
        let slice = self.tail.slice(run.first, run.last())?;
        let held = slice.only_run()?;
        let is_promised = (held.first, held.count, held.term) == (run.first, run.count, run.term);
        if !is_promised {
            return None;
        }
        self.proposals.flushed(run.last());
        Some(Few::one(slice))
    }
}
