//! Where the core's effects meet the bytes: what is written, sent, executed and read back.

use quorate_core::mutant;

use super::*;
use crate::replica::tail::matches;

/// Reads of the log that may be under way. A disk that hangs answers none, and each heartbeat would
/// ask for one more.
const MOST_READS: usize = 256;
const NANOS_PER_MILLI: u64 = 1_000_000;

impl Replica {
    /// Gives the core one input, and does what it asks for.
    pub(super) fn step(&mut self, now: Instant, input: Input, out: &mut impl Effects) {
        self.raft.handle(now, input, &mut self.effects);
        self.obey(now, &[], out);
    }

    /// Does what the core asked for. `incoming` holds the entries of the message that it was given,
    /// where it was one.
    pub(super) fn obey(&mut self, now: Instant, incoming: &[Entries], out: &mut impl Effects) {
        let mut rest = incoming;
        if !self.effects.is_empty() {
            let mut effects = std::mem::take(&mut self.effects);
            for effect in effects.drain(..) {
                if let Effect::Truncated { from } = effect {
                    self.truncate(from, out);
                    continue;
                }
                if !rest.is_empty() {
                    self.absorb(std::mem::take(&mut rest));
                }
                match effect {
                    Effect::Persist(persist) => self.persist(persist, out),
                    Effect::Send(send) => self.send(now, send, out),
                    Effect::Apply { last, .. } => {
                        self.feed.extend(last);
                        self.pump(out);
                    }
                    rare => self.perform_rare(now, &rare, out),
                }
            }
            self.effects = effects;
        }
        if !rest.is_empty() {
            self.absorb(rest);
        }
        if self.raft.halted().is_none() {
            assert!(self.tail.last() == self.raft.last(), "the tail ends where the log ends");
        }
    }

    /// What does not come with every call.
    #[cold]
    fn perform_rare(&mut self, now: Instant, effect: &Effect, out: &mut impl Effects) {
        match *effect {
            Effect::Truncated { .. } => unreachable!("a cut comes before everything else"),
            Effect::Opened(id) => {
                self.term_began = (now, self.tail.log_time_ms());
                let envelope = EntryEnvelope::of(EntryKind::Opening, self.log_time_ms(now));
                self.tail.push(id, &envelope, &[]);
            }
            Effect::Persist(_) | Effect::Send(_) | Effect::Apply { .. } => {
                unreachable!("they are performed where they come")
            }
            Effect::ReadReady { id, index } => out.push(ReplicaEffect::ReadReady { id, index }),
            Effect::ReadFailed(id) => out.push(ReplicaEffect::ReadFailed(id)),
            Effect::Leadership { role, term, leader } => {
                out.push(ReplicaEffect::Leadership { role, term, leader });
            }
            Effect::ReceiveSnapshot(id) => out.push(ReplicaEffect::ReceiveSnapshot(id)),
            Effect::StoreChunk { id, offset, .. } => self.store_piece(id, offset, out),
            Effect::InstallSnapshot(id) => out.push(ReplicaEffect::InstallSnapshot(id)),
            Effect::ProposalRefused(_) => {}
            Effect::Dropped(reason) => self.counters.dropped(reason),
            Effect::Halt(reason) => self.halt(ReplicaHalt::Raft(reason), out),
        }
    }

    /// The log's time at this instant of this node's term as leader.
    pub(super) fn log_time_ms(&self, now: Instant) -> u64 {
        let (began, base) = self.term_began;
        let passed = now.as_nanos().saturating_sub(began.as_nanos());
        base.saturating_add(passed / NANOS_PER_MILLI)
    }

    fn halt(&mut self, reason: ReplicaHalt, out: &mut impl Effects) {
        self.halted = true;
        out.push(ReplicaEffect::Halt(reason));
    }

    /// Takes over what the core accepted of a message: what is beyond the tail.
    fn absorb(&mut self, incoming: &[Entries]) {
        for slice in incoming {
            let last = self.raft.last();
            let first = self.tail.last().index.next();
            let Some(part) = slice.part(first, last.index) else { continue };
            let raft = &self.raft;
            debug_assert!(
                matches(std::slice::from_ref(&part), part.first(), part.last(), |index| {
                    raft.term_run(index)
                }),
                "what the core accepted is what came"
            );
            if slice.has_membership() {
                self.rosters.extend(heads::rosters(&part));
            }
            self.tail.extend(part);
        }
    }

    #[cold]
    fn truncate(&mut self, from: Index, out: &mut impl Effects) {
        let before = from.previous();
        let term = self.raft.term_at(before).expect("what lies before a cut is in the log");
        self.tail.truncate(from, EntryId::new(before, term));
        let known = self.rosters.len();
        self.rosters.retain(|(index, _)| *index < from);
        if self.rosters.len() < known {
            out.push(ReplicaEffect::Roster(self.roster()));
        }
        let mut lost = Vec::new();
        self.proposals.truncated(from, &mut lost);
        self.end_lost(&lost, out);
    }

    fn persist(&mut self, persist: Persist, out: &mut impl Effects) {
        let Persist { token, hard_state, truncate_from, append, commit } = persist;
        let entries = append.map_or_else(Few::new, |(first, last)| {
            self.proposals.flushed(last);
            self.tail.range(first, last).expect("the tail holds what is not durable")
        });
        out.push(ReplicaEffect::Persist(Write {
            token,
            hard_state,
            truncate_from,
            entries,
            commit,
        }));
    }

    /// Attaches the entries that a message names, and lets it out when it may leave.
    fn send(&mut self, now: Instant, send: Send, out: &mut impl Effects) {
        let Send { envelope, after } = send;
        let (entries, reading) = match &envelope.message {
            Message::Append(append) if !append.runs.is_empty() => {
                let (first, last) = (append.prev.index.next(), append.end());
                let held = first.max(self.tail.first());
                let rest = self.tail.range(held, last).unwrap_or_default();
                let bytes = append.runs.iter().map(|run| run.bytes).sum::<u64>();
                if held == first {
                    self.proposals.flushed(last);
                    if !is_promised(&rest, &envelope) {
                        self.counters.attach_mismatches += 1;
                        let (to, request) = (envelope.to, envelope.request);
                        self.undelivered.push(Dropped { to, request });
                        return;
                    }
                    if self.outbox.is_free(envelope.to, after) {
                        return out.send(envelope.to, Frame::raft(*envelope, rest));
                    }
                    (rest, None)
                } else if self.reads.len() >= MOST_READS {
                    let (to, request) = (envelope.to, envelope.request);
                    self.undelivered.push(Dropped { to, request });
                    return;
                } else {
                    let before = last.min(held.previous());
                    let ticket = self.read_log(Reading::Append, first, before, usize::MAX, out);
                    (rest, Some((ticket, usize::try_from(bytes).unwrap_or(usize::MAX))))
                }
            }
            Message::SnapshotChunk(_) => return self.read_piece(Send { envelope, after }, out),
            _ if self.outbox.is_free(envelope.to, after) => {
                return out.send(envelope.to, Frame::raft(*envelope, Few::new()));
            }
            _ => (Few::new(), None),
        };
        let letter = Box::new(Letter { envelope: *envelope, entries });
        let slot = Slot { letter, after, reading };
        self.outbox.push(now, slot, out, &mut self.undelivered);
    }

    fn read_log(
        &mut self,
        reading: Reading,
        first: Index,
        last: Index,
        max_bytes: usize,
        out: &mut impl Effects,
    ) -> Ticket {
        let ticket = self.next_ticket();
        self.reads.insert(ticket, reading);
        self.counters.read_backs += 1;
        out.push(ReplicaEffect::ReadLog { ticket, first, last, max_bytes });
        ticket
    }

    pub(super) const fn next_ticket(&mut self) -> Ticket {
        self.last_ticket = Ticket(self.last_ticket.0 + 1);
        self.last_ticket
    }

    pub(super) fn handle_log_read(
        &mut self,
        now: Instant,
        ticket: Ticket,
        outcome: Result<Vec<Entries>, ReadFault>,
        out: &mut impl Effects,
    ) {
        match self.reads.remove(&ticket) {
            Some(Reading::Feed) => self.feed_read(ticket, outcome, out),
            Some(Reading::Append) => self.append_read(now, ticket, outcome, out),
            None => {}
        }
    }

    /// Entries for the state machine were read back: they are committed, so that they must be
    /// there, and must be the ones.
    fn feed_read(
        &mut self,
        ticket: Ticket,
        outcome: Result<Vec<Entries>, ReadFault>,
        out: &mut impl Effects,
    ) {
        let Some((first, last)) = self.feed.read_done(ticket) else { return };
        let fault = match outcome {
            Ok(slices) => {
                let end = slices.last().map_or_else(|| first.previous(), Entries::last);
                let raft = &self.raft;
                let known = matches(&slices, first, end, |index| raft.term_run(index));
                if known && end >= first && end <= last {
                    for slice in slices {
                        self.hand_out(slice, out);
                    }
                    return self.pump(out);
                }
                "the log holds other entries than were committed".to_owned()
            }
            // The log begins after a snapshot already, whose state takes their place.
            Err(ReadFault::Gone) if self.snapshots.is_installing_over(first) => return,
            Err(ReadFault::Gone) => "the log does not hold them any more".to_owned(),
            Err(ReadFault::Failed(reason)) => reason,
        };
        self.halt(ReplicaHalt::ReadBack { first, last, reason: fault }, out);
    }

    /// Entries for a peer were read back. Meanwhile they may have been rewritten: then the append
    /// is dropped, and the core told.
    fn append_read(
        &mut self,
        now: Instant,
        ticket: Ticket,
        outcome: Result<Vec<Entries>, ReadFault>,
        out: &mut impl Effects,
    ) {
        let entries = match outcome {
            Ok(entries) => Some(entries.into()),
            Err(ReadFault::Gone) => None,
            Err(ReadFault::Failed(reason)) => {
                let range =
                    self.outbox.reading(ticket).and_then(|envelope| match &envelope.message {
                        Message::Append(append) => Some((append.prev.index.next(), append.end())),
                        _ => None,
                    });
                let (first, last) = range.unwrap_or_default();
                return self.halt(ReplicaHalt::ReadBack { first, last, reason }, out);
            }
        };
        let mismatches = self.outbox.fulfil(ticket, entries, out, &mut self.undelivered);
        self.counters.attach_mismatches += mismatches;
        self.report_undelivered(now, out);
    }

    /// Tells the core which appends will not leave.
    pub(super) fn report_undelivered(&mut self, now: Instant, out: &mut impl Effects) {
        for Dropped { to, request } in std::mem::take(&mut self.undelivered) {
            self.counters.sends_dropped += 1;
            self.step(now, Input::SendDropped { to, request }, out);
        }
    }

    /// Hands committed entries to the state machine, as many as it has room for.
    #[inline]
    pub(super) fn pump(&mut self, out: &mut impl Effects) {
        if self.feed.want() != Want::Nothing {
            self.feed_entries(out);
        }
    }

    fn feed_entries(&mut self, out: &mut impl Effects) {
        while let Want::Entries { first, last, max_bytes } = self.feed.want() {
            let held = self.tail.first();
            if first < held {
                let last = last.min(held.previous());
                let ticket = self.read_log(Reading::Feed, first, last, max_bytes, out);
                self.feed.read(ticket, first, last);
                return;
            }
            let slice = self.tail.slice(first, last).expect("the tail reaches to the log's end");
            self.hand_out(slice.fitting(max_bytes), out);
        }
    }

    pub(super) fn hand_out_entries(&mut self, entries: Entries, out: &mut impl Effects) {
        self.feed.handed(&entries);
        let run = entries.only_run();
        let answers = run.and_then(|run| self.proposals.applied_run(run.last_id()));
        let answers = answers.unwrap_or_else(|| {
            let (mut answers, mut lost) = (Few::new(), Vec::new());
            let term_of = |index| entries.block().term(index);
            self.proposals.applied(entries.last(), term_of, &mut answers, &mut lost);
            self.end_lost(&lost, out);
            answers
        });
        out.apply(entries, answers);
    }
}

/// Whether the entries are those whose index and term the append names, every one of them.
pub(super) fn is_promised(entries: &[Entries], envelope: &Envelope) -> bool {
    let Message::Append(append) = &envelope.message else { return entries.is_empty() };
    let (first, last) = (append.prev.index.next(), append.end());
    if mutant!(BytesByIndexAlone) {
        let term_of = |index| entries.iter().find_map(|slice| slice.block().term(index));
        return matches(entries, first, last, |index| Some((term_of(index)?, index)));
    }
    let mut runs = append.runs.iter();
    let mut run: Option<&Run> = runs.next();
    let term_run = |index: Index| {
        while run.is_some_and(|run| run.last() < index) {
            run = runs.next();
        }
        run.filter(|run| run.first <= index).map(|run| (run.term, run.last()))
    };
    matches(entries, first, last, term_run)
}
