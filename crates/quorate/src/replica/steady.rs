//! The steady state, in straight lines: entries that follow, their answers, writes that are durable,
//! the end of a leader's wake-up.
//!
//! The core says of each step whether it is one of these ([`Raft::follow_on`], [`Raft::acknowledged`],
//! [`Raft::written`], [`Raft::flush_to`]) and hands back what follows; here it is done at once. All
//! else takes the general way, through the core's effects, which does the same in the same order.
//!
//! A letter that was read is kept for its memory: who answers what it gets needs no other.

use quorate_core::Desk;

use super::*;

/// Letters kept for their memory.
const KEPT_LETTERS: usize = 8;

impl Replica {
    /// A letter of a peer.
    pub(super) fn handle_letter(
        &mut self,
        now: Instant,
        mut letter: Box<Letter>,
        out: &mut impl Effects,
    ) {
        match &letter.envelope.message {
            Message::Append(_) => self.handle_append(now, letter, out),
            Message::AppendReply(_) => {
                let executable = self.raft.executable_through();
                if self.raft.acknowledged(now, &letter.envelope) {
                    self.keep_letter(letter);
                    self.execute(executable, out);
                } else {
                    self.handle_any_letter(now, &mut letter, out);
                }
            }
            _ => self.handle_any_letter(now, &mut letter, out),
        }
    }

    /// An append, which nearly always goes on where the log ends.
    fn handle_append(&mut self, now: Instant, mut letter: Box<Letter>, out: &mut impl Effects) {
        // The heads come from the bytes themselves, so that they cannot contradict them.
        let run = letter.entries.only().and_then(Entries::only_run);
        if run.is_none() && !letter.entries.is_empty() {
            return self.handle_any_letter(now, &mut letter, out);
        }
        let executable = self.raft.executable_through();
        let Some(after) = self.raft.follow_on(now, &mut letter.envelope, run.as_ref()) else {
            return self.handle_any_letter(now, &mut letter, out);
        };
        let entries = letter.entries.take_only();
        if let Some(entries) = &entries {
            self.tail.extend(entries.clone());
        }
        assert!(self.tail.last() == self.raft.last(), "the tail ends where the log ends");
        self.execute(executable, out);
        if let (Some(entries), Some(token)) = (entries, after) {
            self.proposals.flushed(self.tail.last().index);
            out.persist(Write {
                token,
                hard_state: None,
                truncate_from: None,
                entries: Few::one(entries),
                commit: self.raft.commit(),
            });
        }
        if letter.envelope.message.is_reply() {
            self.outbox.push_reply(now, letter, after, out);
        } else {
            self.keep_letter(letter);
        }
    }

    /// Entries beyond `before` may be executed, if the step that was just taken says so.
    #[inline]
    fn execute(&mut self, before: Index, out: &mut impl Effects) {
        let last = self.raft.executable_through();
        if last > before {
            self.execute_through(before.next(), last, out);
        }
    }

    fn execute_through(&mut self, first: Index, last: Index, out: &mut impl Effects) {
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
        let executable = self.raft.executable_through();
        if self.raft.written(now, token) {
            self.execute(executable, out);
        } else {
            self.raft.persisted(now, token, &mut self.effects);
            self.obey(now, &[], out);
        }
        // Executed here and durable everywhere: only a peer that loses its disk asks for it again.
        let unneeded = || self.feed.handed_out().min(self.raft.durable_everywhere());
        self.tail.evict(self.raft.durable(), unneeded);
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

    fn keep_letter(&mut self, letter: Box<Letter>) {
        if self.letters.len() < KEPT_LETTERS {
            self.letters.push(letter);
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
    fn send(&mut self, envelope: Envelope, after: Option<PersistToken>) {
        let to = envelope.to;
        let is_free = self.rest.is_empty() && self.outbox.is_free(to, after);
        match self.entries_of(&envelope).filter(|_| is_free) {
            Some(entries) => {
                let letter = Letter { envelope, entries };
                let letter = match self.letters.pop() {
                    Some(mut used) => {
                        *used = letter;
                        used
                    }
                    None => Box::new(letter),
                };
                self.out.send(to, Frame::Raft(letter));
            }
            None => self.rest.push(Effect::Send(Send { envelope: Box::new(envelope), after })),
        }
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
