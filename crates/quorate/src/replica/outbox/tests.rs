//! Tokens, order, attached entries and bounds of the outbox, one rule a test.

use quorate_core::message::{Append, VoteReply};
use quorate_core::{BootCounter, EntryId, EntryKind, Index, Run, Term};
use quorate_log::{BlockBuilder, Envelope as EntryEnvelope};

use super::*;
use crate::replica::ReplicaEffect;

const PATIENCE: Duration = Duration::from_millis(100);

fn id(number: u64) -> NodeId {
    NodeId::new(number).expect("not zero")
}

fn letter(to: u64, request: u64, message: Message) -> Box<Letter> {
    let (boot, term) = (BootCounter(1), Term(3));
    let request = RequestId(request);
    let envelope = Envelope { from: id(9), boot, to: id(to), term, request, message };
    Box::new(Letter { envelope, entries: Few::new() })
}

fn vote(to: u64, request: u64, after: Option<u64>) -> Slot {
    let reply = VoteReply { campaign: Term(3), pre_vote: false, granted: true };
    let letter = letter(to, request, Message::VoteReply(reply));
    Slot { letter, after: after.map(PersistToken), reading: None }
}

fn append(to: u64, request: u64, runs: Few<Run>) -> Box<Letter> {
    let prev = EntryId::new(Index(runs.first().map_or(4, |run| run.first.0 - 1)), Term(2));
    let append = Append {
        prev,
        commit: Index(1),
        recorded: Index::ZERO,
        recorded_boot: BootCounter::ZERO,
        wants_reply: true,
        runs,
    };
    letter(to, request, Message::Append(append))
}

fn heartbeat(to: u64, request: u64) -> Slot {
    Slot { letter: append(to, request, Few::new()), after: None, reading: None }
}

fn entries(first: u64, term: u64, count: u64) -> Entries {
    let mut builder = BlockBuilder::new();
    for index in first..first + count {
        let envelope = EntryEnvelope::of(EntryKind::Command, 0);
        builder.push(Index(index), Term(term), &envelope, b"payload");
    }
    Entries::all(builder.finish())
}

fn runs(first: u64, term: u64, count: u32) -> Few<Run> {
    let bytes = 55 * u64::from(count);
    Few::one(Run::new(Index(first), count, Term(term), EntryKind::Command, bytes))
}

/// An append of entries that are read back.
fn reading(to: u64, request: u64, ticket: u64, first: u64, count: u32) -> Slot {
    let letter = append(to, request, runs(first, 2, count));
    Slot { letter, after: None, reading: Some((Ticket(ticket), 55 * count as usize)) }
}

/// An append of entries that are at hand.
fn ready(to: u64, request: u64, first: u64, count: u32) -> Slot {
    let mut letter = append(to, request, runs(first, 2, count));
    letter.entries = Few::one(entries(first, 2, u64::from(count)));
    Slot { letter, after: None, reading: None }
}

fn sent(effect: ReplicaEffect) -> Letter {
    match effect {
        ReplicaEffect::Send { frame: Frame::Raft(letter), .. } => *letter,
        other => panic!("{other:?} is no message of the protocol"),
    }
}

struct Rig {
    outbox: Outbox,
    now: Instant,
    released: Vec<ReplicaEffect>,
    dropped: Vec<Dropped>,
}

impl Rig {
    fn new(limit: usize) -> Self {
        let outbox = Outbox::new(limit, PATIENCE);
        Self { outbox, now: Instant::ZERO, released: Vec::new(), dropped: Vec::new() }
    }

    fn push(&mut self, slot: Slot) -> Vec<u64> {
        self.outbox.push(self.now, slot, &mut self.released, &mut self.dropped);
        self.out()
    }

    fn persisted(&mut self, token: u64) -> Vec<u64> {
        self.outbox.persisted(PersistToken(token), &mut self.released);
        self.out()
    }

    fn fulfil(&mut self, ticket: u64, read: Option<Entries>) -> Vec<u64> {
        let read = read.map(Few::one);
        self.outbox.fulfil(Ticket(ticket), read, &mut self.released, &mut self.dropped);
        self.out()
    }

    fn out(&mut self) -> Vec<u64> {
        self.released.drain(..).map(|effect| sent(effect).envelope.request.0).collect()
    }

    fn dropped(&mut self) -> Vec<u64> {
        self.dropped.drain(..).map(|dropped| dropped.request.0).collect()
    }
}

#[test]
fn a_message_leaves_with_its_token_or_a_later_one() {
    let mut rig = Rig::new(1 << 20);
    assert_eq!(rig.push(vote(1, 10, Some(5))), [0; 0]);
    assert_eq!(rig.push(vote(1, 11, Some(7))), [0; 0]);
    assert_eq!(rig.push(vote(2, 12, Some(6))), [0; 0]);
    assert_eq!(rig.persisted(4), [0; 0]);
    assert_eq!(rig.persisted(6), [10, 12]);
    assert_eq!(rig.push(vote(1, 13, Some(6))), [13], "its write is durable already");
    assert_eq!(rig.persisted(5), [0; 0], "an earlier report changes nothing");
    assert_eq!(rig.persisted(9), [11]);
}

#[test]
fn what_waits_for_nothing_overtakes_what_waits_for_the_disk() {
    let mut rig = Rig::new(1 << 20);
    assert_eq!(rig.push(vote(1, 10, Some(5))), [0; 0]);
    assert_eq!(rig.push(vote(1, 11, None)), [11]);
    assert_eq!(rig.push(ready(1, 12, 5, 2)), [12]);
}

#[test]
fn appends_to_one_peer_keep_their_order_behind_a_read_back() {
    let mut rig = Rig::new(1 << 20);
    assert_eq!(rig.push(reading(1, 10, 1, 5, 2)), [0; 0]);
    assert_eq!(rig.push(ready(1, 11, 7, 2)), [0; 0], "it follows the first");
    assert_eq!(rig.push(vote(1, 12, None)), [12], "which holds up nothing else");
    assert_eq!(rig.push(ready(2, 13, 7, 2)), [13], "nor another peer");
    assert_eq!(rig.push(reading(1, 14, 2, 9, 1)), [0; 0]);
    assert_eq!(rig.fulfil(2, Some(entries(9, 2, 1))), [0; 0], "the first is still missing");
    assert_eq!(rig.fulfil(1, Some(entries(5, 2, 2))), [10, 11, 14]);
    assert!(rig.dropped().is_empty());
}

#[test]
fn a_read_back_and_the_rest_at_hand_leave_together() {
    let mut rig = Rig::new(1 << 20);
    let mut slot = reading(1, 10, 1, 5, 3);
    slot.letter.entries.push(entries(7, 2, 1));
    assert_eq!(rig.push(slot), [0; 0]);
    rig.outbox.fulfil(
        Ticket(1),
        Some(Few::one(entries(5, 2, 2))),
        &mut rig.released,
        &mut rig.dropped,
    );
    let letter = sent(rig.released.pop().expect("it left"));
    let indices = letter.entries.iter().flat_map(|slice| slice.iter().map(|e| e.id.index.0));
    assert_eq!(indices.collect::<Vec<_>>(), [5, 6, 7]);
}

#[test]
fn entries_of_other_names_never_leave() {
    for wrong in
        [entries(5, 1, 2), entries(5, 3, 2), entries(5, 2, 1), entries(5, 2, 3), entries(6, 2, 2)]
    {
        let mut rig = Rig::new(1 << 20);
        rig.push(reading(1, 10, 1, 5, 2));
        rig.push(ready(1, 11, 7, 1));
        assert_eq!(rig.fulfil(1, Some(wrong.clone())), [11], "{wrong:?}");
        assert_eq!(rig.dropped(), [10], "{wrong:?}");
    }
    let mut rig = Rig::new(1 << 20);
    rig.push(reading(1, 10, 1, 5, 2));
    assert_eq!(rig.fulfil(1, None), [0; 0], "the log does not hold them any more");
    assert_eq!(rig.dropped(), [10]);
    assert_eq!(rig.outbox.len(), 0);
}

#[test]
fn a_heartbeat_pushes_out_what_is_read_back_for_too_long() {
    let mut rig = Rig::new(1 << 20);
    rig.push(reading(1, 10, 1, 5, 2));
    rig.push(ready(1, 11, 7, 1));
    rig.push(vote(1, 12, Some(3)));
    assert_eq!(rig.push(heartbeat(1, 13)), [0; 0], "there is still time");
    rig.now = Instant::from_millis(100);
    assert_eq!(rig.push(heartbeat(1, 14)), [14]);
    assert_eq!(rig.dropped(), [10, 11, 13]);
    assert_eq!(rig.persisted(3), [12], "what waits for the disk is not touched");
    assert_eq!(rig.fulfil(1, Some(entries(5, 2, 2))), [0; 0], "the read comes too late");
}

#[test]
fn what_is_held_for_a_peer_is_bounded_in_bytes() {
    let mut rig = Rig::new(2000);
    for request in 0..100 {
        rig.push(reading(1, request, request, 5 + 2 * request, 2));
    }
    let dropped = rig.dropped();
    assert_eq!(dropped.len() as u64, rig.outbox.dropped());
    assert_eq!(rig.outbox.len() + dropped.len(), 100);
    assert!(rig.outbox.len() <= 2000 / SLOT_BYTES, "{} held", rig.outbox.len());
    // One message of whatever size must be able to wait, or it could never be sent.
    let mut rig = Rig::new(10);
    rig.push(reading(1, 1, 1, 5, 100));
    assert_eq!(rig.fulfil(1, Some(entries(5, 2, 100))), [1]);
    assert!(rig.dropped().is_empty());
}
