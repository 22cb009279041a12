//! What must not happen, each rule with the attempt to break it.

use super::*;
use quorate_core::RequestId;
use quorate_core::message::{Append, AppendReply};
use quorate_log::BlockBuilder;

/// Commands of one term as a block.
fn block(first: u64, term: u64, commands: &[&str]) -> Entries {
    let mut builder = BlockBuilder::new();
    for (at, command) in commands.iter().enumerate() {
        let envelope = EntryEnvelope::of(EntryKind::Command, 5);
        let index = Index(first + at as u64);
        builder.push(index, Term(term), &envelope, command.as_bytes());
    }
    Entries::all(builder.finish())
}

/// An append of a leader that the test plays.
fn append(from: u64, to: NodeId, term: u64, prev: EntryId, entries: Vec<Entries>) -> Frame {
    let message = Message::Append(Append {
        prev,
        commit: Index::ZERO,
        recorded: Index::ZERO,
        recorded_boot: BootCounter::ZERO,
        wants_reply: true,
        runs: Few::new(),
    });
    let envelope = Envelope {
        from: id(from),
        boot: BootCounter(1),
        to,
        term: Term(term),
        request: RequestId(1 << 40 | 77),
        message,
    };
    Frame::raft(envelope, entries.into())
}

fn accepted(frame: &Frame) -> Option<Index> {
    let Frame::Raft(letter) = frame else { return None };
    match letter.envelope.message {
        Message::AppendReply(AppendReply::Accepted { matched }) => Some(matched),
        _ => None,
    }
}

#[test]
fn an_acknowledgement_waits_for_its_write() {
    let mut world = World::new(3);
    world.hosts[0].holds_disk = true;
    let frame = append(2, id(1), 3, EntryId::ZERO, vec![block(1, 3, &["a", "b"])]);
    world.tell(0, ReplicaInput::Frame { from: id(2), frame });
    assert_eq!(world.hosts[0].replica.last(), Index(2), "the entries are in its log");
    assert!(world.sent.iter().all(|(_, _, frame)| accepted(frame).is_none()), "not durable yet");
    let persisted = world.hosts[0].write().expect("there is a write");
    world.tell(0, persisted);
    let acknowledged: Vec<Index> = world.sent.iter().filter_map(|(_, _, f)| accepted(f)).collect();
    assert_eq!(acknowledged, [Index(2)]);
}

#[test]
fn a_truncated_proposal_is_refused_while_it_never_left_and_unknown_after() {
    for flushed in [false, true] {
        let mut world = World::new(3);
        let leader = world.leader();
        let (me, term) = (world.hosts[leader].id, world.hosts[leader].replica.term());
        world.isolate(leader, true);
        let last = world.hosts[leader].replica.last();
        let opening = EntryId::new(last, term);
        world.call(leader, 1, "mine");
        if flushed {
            world.flush(leader);
        }
        let other = if leader == 1 { 3 } else { 2 };
        let theirs = block(last.0 + 1, term.0 + 1, &["theirs"]);
        let frame = append(other, me, term.0 + 1, opening, vec![theirs]);
        world.tell(leader, ReplicaInput::Frame { from: id(other), frame });
        let expected = if flushed {
            CallOutcome::Unknown(UnknownCode::LeaderChanged)
        } else {
            CallOutcome::Refused(RefusalCode::LeaderChanged)
        };
        assert_eq!(world.hosts[leader].ended[&CallId(1)], expected, "flushed: {flushed}");
        assert_eq!(
            world.hosts[leader].replica.tail.term_at(last.next()).map(|t| t.0),
            Some(term.0 + 1)
        );
    }
}

/// A leader whose peers take nothing at the moment writes without sending: the disk may have the
/// entry when it is cut away, and a later start may bring it back.
#[test]
fn a_truncated_proposal_that_was_only_written_is_unknown() {
    let mut world = World::new(3);
    let leader = world.leader();
    let (me, term) = (world.hosts[leader].id, world.hosts[leader].replica.term());
    world.isolate(leader, true);
    let appends: Vec<(NodeId, RequestId)> = world
        .sent
        .iter()
        .filter_map(|(from, to, frame)| match frame {
            Frame::Raft(letter) if *from == me => Some((*to, letter.envelope.request)),
            _ => None,
        })
        .collect();
    for (to, request) in appends {
        world.give(leader, ReplicaInput::SendDropped { to, request });
    }
    world.sent.clear();
    world.hosts[leader].holds_disk = true;
    let opening = EntryId::new(world.hosts[leader].replica.last(), term);
    world.call(leader, 1, "mine");
    world.flush(leader);
    assert!(world.sent.is_empty() && world.hosts[leader].writes.len() == 1, "only written");
    let other = if leader == 1 { 3 } else { 2 };
    let theirs = block(opening.index.0 + 1, term.0 + 1, &["theirs"]);
    let frame = append(other, me, term.0 + 1, opening, vec![theirs]);
    world.tell(leader, ReplicaInput::Frame { from: id(other), frame });
    let unknown = CallOutcome::Unknown(UnknownCode::LeaderChanged);
    assert_eq!(world.hosts[leader].ended[&CallId(1)], unknown);
}

#[test]
fn heads_that_contradict_the_entries_count_for_nothing() {
    let mut world = World::new(3);
    let mut frame = append(2, id(1), 3, EntryId::ZERO, vec![block(1, 3, &["a", "b"])]);
    if let Frame::Raft(letter) = &mut frame
        && let Message::Append(append) = &mut letter.envelope.message
    {
        append.runs = Few::one(Run::new(Index(1), 5, Term(2), EntryKind::Command, 10));
    }
    world.tell(0, ReplicaInput::Frame { from: id(2), frame });
    assert_eq!(world.hosts[0].replica.last(), Index(2));
    assert_eq!(world.hosts[0].replica.raft.term_at(Index(2)), Some(Term(3)));
    let mut frame = append(2, id(1), 3, EntryId::new(Index(2), Term(3)), Vec::new());
    if let Frame::Raft(letter) = &mut frame
        && let Message::Append(append) = &mut letter.envelope.message
    {
        append.runs = Few::one(Run::new(Index(3), 5, Term(3), EntryKind::Command, 10));
    }
    world.tell(0, ReplicaInput::Frame { from: id(2), frame });
    assert_eq!(world.hosts[0].replica.last(), Index(2), "entries without bytes are none");
}

#[test]
fn a_forwarded_call_is_proposed_once_however_often_its_frame_comes() {
    let mut world = World::new(3);
    let leader = world.leader();
    let follower = (leader + 1) % 3;
    world.call(follower, 1, "once");
    world.flush(follower);
    world.until("apply", |w| w.hosts.iter().all(|host| host.applied.len() == 1));
    let forwards: Vec<_> =
        world.sent.iter().filter(|(_, _, f)| matches!(f, Frame::Forward(_))).cloned().collect();
    assert_eq!(forwards.len(), 1, "nothing is sent twice");
    for (from, _, frame) in forwards.iter().cycle().take(3).cloned() {
        world.tell(leader, ReplicaInput::Frame { from, frame });
        world.settle();
    }
    assert_eq!(world.hosts[leader].commands(), ["once"]);
    // A leader that was started again remembers nothing, but is in another boot.
    world.restart(leader);
    world.until("a leader", |w| w.hosts.iter().any(Host::is_leader));
    world.until("it to lead", |w| {
        w.hosts[leader].is_leader()
            || w.hosts[follower].is_leader()
            || w.hosts[3 - leader - follower].is_leader()
    });
    let (from, _, frame) = forwards[0].clone();
    world.tell(leader, ReplicaInput::Frame { from, frame });
    world.settle();
    world.until("replay", |w| !w.hosts[leader].applied.is_empty());
    assert_eq!(world.hosts[leader].commands(), ["once"]);
    assert!(world.hosts[leader].replica.counters().frames_dropped > 0);
}

#[test]
fn a_forward_of_an_earlier_boot_is_dropped_even_by_a_leader() {
    let mut world = World::new(1);
    let leader = world.leader();
    let forward = |boot: u64, number: u64| ReplicaInput::Frame {
        from: id(9),
        frame: Frame::forward(Forward {
            to_boot: BootCounter(boot),
            number: ForwardNumber(number),
            stamp: Stamp::None,
            command: Arc::new(b"x".to_vec()),
        }),
    };
    world.tell(leader, forward(1, 5));
    world.settle();
    assert_eq!(world.hosts[leader].applied.len(), 1);
    world.tell(leader, forward(7, 6));
    world.tell(leader, forward(1, 5));
    world.tell(leader, forward(1, 4));
    world.wire.clear();
    world.settle();
    assert_eq!(world.hosts[leader].applied.len(), 1, "another boot, seen before, out of order");
}

#[test]
fn a_call_without_an_answer_is_unknown_and_one_that_never_left_is_refused() {
    let mut world = World::new(3);
    let leader = world.leader();
    let follower = (leader + 1) % 3;
    world.call(follower, 1, "lost");
    world.flush(follower);
    world.wire.clear();
    let peer = world.hosts[leader].id;
    world.give(follower, ReplicaInput::PeerClosed(peer));
    let unknown = CallOutcome::Unknown(UnknownCode::ConnectionLost);
    assert_eq!(world.hosts[follower].ended[&CallId(1)], unknown);
    world.connect(leader);
    world.until("a leader", |w| w.hosts[follower].replica.leader().is_some());
    if world.hosts[follower].is_leader() {
        return;
    }
    world.sent.clear();
    world.call(follower, 2, "dropped");
    let number = world.sent.iter().find_map(|(_, _, frame)| match frame {
        Frame::Forward(forward) => Some(forward.number),
        _ => None,
    });
    world.give(follower, ReplicaInput::ForwardDropped(number.expect("it was forwarded")));
    let refused = CallOutcome::Refused(RefusalCode::Overloaded);
    assert_eq!(world.hosts[follower].ended[&CallId(2)], refused);
}

#[test]
fn a_node_that_does_not_lead_refuses_a_forward_and_the_call_waits_for_the_leader() {
    let mut world = World::new(3);
    let leader = world.leader();
    let (follower, other) = ((leader + 1) % 3, (leader + 2) % 3);
    world.call(follower, 1, "patient");
    world.flush(follower);
    let (from, _, frame) = world.wire.pop_back().expect("the forward");
    let Frame::Forward(forward) = frame else { panic!("a forward") };
    // The wrong node gets it, and says so in the leader's name.
    let number = forward.number;
    world.tell(other, ReplicaInput::Frame { from, frame: Frame::Forward(forward) });
    let outcome = ForwardOutcome::Refused(RefusalCode::NotLeader);
    let reply = Frame::forward_reply(number, outcome);
    assert!(world.sent.iter().any(|(_, to, f)| *to == from && *f == reply), "it says so");
    let peer = world.hosts[leader].id;
    world.wire.clear();
    world.tell(follower, ReplicaInput::Frame { from: peer, frame: reply });
    assert!(!world.hosts[follower].ended.contains_key(&CallId(1)), "it waits");
    assert!(world.wire.is_empty(), "and does not ask again at once");
    world.until("its apply", |w| w.hosts[follower].applied.len() == 1);
}

#[test]
fn frames_in_another_name_and_answers_from_others_are_dropped() {
    let mut world = World::new(3);
    let frame = append(2, id(1), 3, EntryId::ZERO, vec![block(1, 3, &["a"])]);
    world.tell(0, ReplicaInput::Frame { from: id(3), frame });
    assert_eq!(world.hosts[0].replica.last(), Index::ZERO);
    assert_eq!(world.hosts[0].replica.counters().frames_dropped, 1);
    let leader = world.leader();
    let (follower, other) = ((leader + 1) % 3, (leader + 2) % 3);
    world.call(follower, 1, "mine");
    world.flush(follower);
    let number = world.wire.iter().find_map(|(_, _, frame)| match frame {
        Frame::Forward(forward) => Some(forward.number),
        _ => None,
    });
    let outcome = ForwardOutcome::Applied(b"forged".to_vec());
    let number = number.expect("it was forwarded");
    let frame = Frame::forward_reply(number, outcome);
    let from = world.hosts[other].id;
    world.tell(follower, ReplicaInput::Frame { from, frame });
    assert!(world.hosts[follower].ended.is_empty());
}

#[test]
fn entries_that_leave_a_gap_or_do_not_follow_are_not_taken() {
    let mut world = World::new(3);
    let gap = vec![block(1, 3, &["a"]), block(3, 3, &["c"])];
    let frame = append(2, id(1), 3, EntryId::ZERO, gap);
    world.tell(0, ReplicaInput::Frame { from: id(2), frame });
    let frame = append(2, id(1), 3, EntryId::ZERO, vec![block(2, 3, &["b"])]);
    world.tell(0, ReplicaInput::Frame { from: id(2), frame });
    let frame = append(2, id(1), 3, EntryId::ZERO, vec![block(1, 4, &["later"])]);
    world.tell(0, ReplicaInput::Frame { from: id(2), frame });
    assert_eq!(world.hosts[0].replica.last(), Index::ZERO);
    world.settle();
}

/// The range that an append names is rewritten on disk while it is read back: the bytes must not be
/// sent under the old names (R-RP6).
#[test]
fn entries_read_back_are_attached_only_to_the_append_that_names_them() {
    let config = ReplicaConfig { tail_bytes: 1, ..ReplicaConfig::default() };
    let mut world = World::with(3, config);
    let leader = world.leader();
    let away = (leader + 1) % 3;
    world.isolate(away, true);
    for call in 0..10 {
        world.call(leader, call, &format!("c{call}"));
        world.flush(leader);
        world.settle();
    }
    world.hosts[leader].holds_reads = true;
    world.isolate(away, false);
    world.until("a read-back", |w| !w.hosts[leader].read_backs.is_empty());
    let (ticket, first, last, _) = world.hosts[leader].read_backs.pop_front().unwrap();
    let count = usize::try_from(last.0 - first.0 + 1).unwrap();
    let other = block(first.0, 1 << 20, &vec!["other"; count]);
    world.sent.clear();
    world.tell(leader, ReplicaInput::LogRead { ticket, outcome: Ok(vec![other]) });
    assert_eq!(world.hosts[leader].replica.counters().attach_mismatches, 1);
    let carries =
        |frame: &Frame| matches!(frame, Frame::Raft(letter) if !letter.entries.is_empty());
    assert!(!world.sent.iter().any(|(_, _, frame)| carries(frame)), "nothing of it is sent");
    world.hosts[leader].holds_reads = false;
    world.until("it to catch up", |w| w.hosts[away].applied.len() == 10);
    assert_eq!(world.hosts[away].applied, world.hosts[leader].applied);
}

/// R-RP6.
#[test]
fn committed_entries_that_cannot_be_read_back_stop_the_node() {
    let config = ReplicaConfig { tail_bytes: 1, ..ReplicaConfig::default() };
    let mut world = World::with(1, config);
    let leader = world.leader();
    world.call(leader, 1, "x");
    world.flush(leader);
    world.settle();
    world.restart(leader);
    world.hosts[leader].holds_reads = true;
    world.until("a read-back", |w| !w.hosts[leader].read_backs.is_empty());
    let (ticket, first, ..) = world.hosts[leader].read_backs.pop_front().unwrap();
    let outcome = Ok(vec![block(first.0, 77, &["another"])]);
    world.tell(leader, ReplicaInput::LogRead { ticket, outcome });
    assert!(matches!(world.hosts[leader].halt, Some(ReplicaHalt::ReadBack { .. })));
}
