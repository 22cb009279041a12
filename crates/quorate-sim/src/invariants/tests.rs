//! Each property with a history that keeps it, and with the one step that breaks it.

use std::sync::Arc;

use quorate::replica::{ReplicaConfig, ReplicaStatus};
use quorate::roster::{Member, Roster};
use quorate_core::{
    AppendReply, BootCounter, ClusterId, EntryId, EntryKind, Envelope, HardState, Index,
    Membership, Message, NodeId, PeerStatus, PersistToken, ReadId, RequestId, RoleName, Status,
    Term, VoteReply,
};
use quorate_log::fault::FaultFs;
use quorate_log::{BlockBuilder, Entries, OpenOptions, Write, open_blocking};

use super::atlas::Excuse;
use super::bounds::Caps;
use super::{Broken, Facts, check_leader, check_vote};
use crate::world::observed::Seen;

fn id(number: u64) -> NodeId {
    NodeId::new(number).unwrap()
}

/// Three nodes that have done nothing.
fn three() -> Facts {
    #[cfg(quorate_mutants)]
    quorate_core::mutant::pick(&std::env::var("QUORATE_MUTANT").unwrap_or_default());
    Facts::new((1..=3).map(id).collect())
}

/// Entries of one term, each with its text.
fn entries(first: u64, term: u64, texts: &[&str]) -> Entries {
    let mut builder = BlockBuilder::with_capacity(texts.len(), 256);
    for (index, text) in (first..).zip(texts) {
        let envelope = quorate_log::Envelope::of(EntryKind::Command, 0);
        builder.push(Index(index), Term(term), &envelope, text.as_bytes());
    }
    Entries::all(builder.finish())
}

fn write(token: u64, entries: Vec<Entries>) -> Write {
    Write {
        token: PersistToken(token),
        hard_state: None,
        truncate_from: None,
        entries: entries.into(),
        commit: Index::ZERO,
    }
}

fn votes(token: u64, term: u64, vote: u64) -> Write {
    let hard_state = HardState { term: Term(term), vote: Some(id(vote)) };
    Write { hard_state: Some(hard_state), ..write(token, Vec::new()) }
}

/// A node writes these entries, and they become durable.
fn holds(facts: &mut Facts, node: usize, first: u64, term: u64, texts: &[&str]) {
    let token = first * 10;
    facts.wrote(node, false, &write(token, vec![entries(first, term, texts)])).unwrap();
    facts.persisted(node, PersistToken(token)).unwrap();
}

fn commits(facts: &mut Facts, node: usize, index: u64) -> Result<(), Broken> {
    let voters = || Membership::of_voters((1..=3).map(id));
    facts.committed_on(node, Index(index), Term(1), voters)
}

/// Three nodes of which two hold `a` and `b`, committed.
fn two_committed() -> Facts {
    let mut facts = three();
    for node in [0, 1] {
        holds(&mut facts, node, 1, 1, &["a", "b"]);
    }
    commits(&mut facts, 0, 2).unwrap();
    facts
}

fn broken<T: core::fmt::Debug>(outcome: Result<T, Broken>, invariant: &str) {
    assert_eq!(outcome.unwrap_err().invariant, invariant);
}

#[test]
fn one_leader_per_term() {
    let mut facts = three();
    check_leader(&mut facts, Term(2), id(1)).unwrap();
    check_leader(&mut facts, Term(2), id(1)).unwrap();
    check_leader(&mut facts, Term(3), id(2)).unwrap();
    broken(check_leader(&mut facts, Term(2), id(2)), "one leader per term");
}

#[test]
fn one_vote_per_term_over_all_lives() {
    let mut facts = three();
    facts.wrote(0, false, &votes(1, 2, 2)).unwrap();
    facts.persisted(0, PersistToken(1)).unwrap();
    check_vote(&mut facts, Term(2), id(1), id(2)).unwrap();
    broken(check_vote(&mut facts, Term(2), id(1), id(3)), "one vote per term");
    facts.wrote(0, false, &votes(2, 2, 3)).unwrap();
    broken(facts.persisted(0, PersistToken(2)), "one vote per term");
}

#[test]
fn a_vote_holds_over_a_restart() {
    let options = OpenOptions { format_as: Some(id(1)), ..OpenOptions::default() };
    let mut log = open_blocking(FaultFs::new(), options).unwrap().log;
    let state = |vote| HardState { term: Term(2), vote: Some(id(vote)) };
    let mut facts = three();
    facts.wrote(0, false, &votes(1, 2, 2)).unwrap();
    facts.persisted(0, PersistToken(1)).unwrap();
    facts.recovered(0, state(2), &mut log).unwrap();
    broken(facts.recovered(0, state(3), &mut log), "no silent loss");
}

#[test]
fn a_leader_has_what_earlier_terms_committed() {
    let mut facts = two_committed();
    check_leader(&mut facts, Term(2), id(2)).unwrap();
    broken(check_leader(&mut facts, Term(3), id(3)), "leader completeness");
}

#[test]
fn logs_with_one_entry_in_common_have_one_past() {
    let mut facts = three();
    holds(&mut facts, 0, 1, 1, &["a", "b"]);
    facts.wrote(1, false, &write(1, vec![entries(1, 1, &["a"])])).unwrap();
    let other = write(2, vec![entries(2, 1, &["c"])]);
    broken(facts.wrote(1, false, &other), "log matching");
    let gap = write(3, vec![entries(5, 1, &["e"])]);
    broken(facts.wrote(2, false, &gap), "no gap in a log");
}

#[test]
fn leaders_cut_nothing_and_nobody_what_is_committed() {
    let mut facts = two_committed();
    holds(&mut facts, 0, 3, 1, &["c"]);
    let cut = |from| Write { truncate_from: Some(Index(from)), ..write(99, Vec::new()) };
    broken(facts.wrote(0, true, &cut(3)), "a leader only appends");
    broken(facts.wrote(0, false, &cut(2)), "committed entries never change");
    facts.wrote(0, false, &cut(3)).unwrap();
}

#[test]
fn what_a_later_term_committed_may_be_cut_in_an_earlier_one() {
    for (term, may) in [(2, true), (3, false)] {
        let mut facts = three();
        (0..3).for_each(|node| holds(&mut facts, node, 1, 1, &["a", "b"]));
        let voters = || Membership::of_voters((1..=3).map(id));
        facts.committed_on(0, Index(2), Term(3), voters).unwrap();
        facts.wrote(2, false, &votes(50, term, 1)).unwrap();
        let cut = Write { truncate_from: Some(Index(2)), ..write(99, Vec::new()) };
        let outcome = facts.wrote(2, false, &cut);
        assert_eq!(outcome.is_ok(), may, "in term {term}: {outcome:?}");
    }
}

#[test]
fn what_is_committed_is_durable_on_a_quorum() {
    let mut facts = three();
    holds(&mut facts, 0, 1, 1, &["a"]);
    facts.wrote(1, false, &write(1, vec![entries(1, 1, &["a"])])).unwrap();
    broken(commits(&mut facts, 0, 1), "commit evidence");
    facts.persisted(1, PersistToken(1)).unwrap();
    commits(&mut facts, 0, 1).unwrap();
}

#[test]
fn nobody_knows_another_entry_committed() {
    let mut facts = two_committed();
    holds(&mut facts, 2, 1, 3, &["x"]);
    broken(commits(&mut facts, 2, 1), "state machine safety");
    broken(facts.applies(2, &entries(1, 3, &["x"])), "state machine safety");
}

#[test]
fn what_is_executed_is_durable_and_has_the_bytes_of_its_entry() {
    let facts = two_committed();
    facts.applies(0, &entries(1, 1, &["a", "b"])).unwrap();
    broken(facts.applies(2, &entries(1, 1, &["a"])), "apply after persist");
    let mut builder = BlockBuilder::with_capacity(2, 256);
    let envelope = quorate_log::Envelope::of(EntryKind::Command, 0);
    builder.push(Index(1), Term(7), &envelope, b"z");
    builder.push(Index(2), Term(7), &envelope, b"b");
    let foreign = Entries::all(builder.finish());
    broken(facts.applies(0, &foreign), "bytes belong to their entry");
    // Those of another entry of the same term, and those of this one at another log time.
    broken(facts.applies(0, &entries(1, 1, &["b", "b"])), "bytes belong to their entry");
    let mut builder = BlockBuilder::with_capacity(1, 256);
    let later = quorate_log::Envelope::of(EntryKind::Command, 1);
    builder.push(Index(1), Term(1), &later, b"a");
    broken(facts.applies(0, &Entries::all(builder.finish())), "bytes belong to their entry");
}

#[test]
fn one_command_has_one_reply() {
    let mut facts = two_committed();
    let seen = Seen { index: 1, reply: 77, state: 5 };
    facts.replied(Some(0), seen).unwrap();
    facts.replied(Some(1), seen).unwrap();
    facts.replied(None, seen).unwrap();
    let told = facts.replied(Some(1), Seen { reply: 78, ..seen }).unwrap_err();
    assert_eq!(told.invariant, "same commands, same replies");
    assert!(told.what.contains("n2 got another reply"), "{told}");
    assert!(told.what.contains("iteration order of a hash map"), "{told}");
    broken(facts.replied(None, Seen { state: 6, ..seen }), "same commands, same state");
}

#[test]
fn nothing_is_said_before_it_is_durable() {
    let says = |facts: &Facts, term: u64, message| {
        let envelope = Envelope {
            from: id(1),
            boot: BootCounter(1),
            to: id(2),
            term: Term(term),
            request: RequestId(1),
            message,
        };
        facts.sent(0, &envelope)
    };
    let granted =
        || Message::VoteReply(VoteReply { campaign: Term(2), pre_vote: false, granted: true });
    let accepted =
        |matched| Message::AppendReply(AppendReply::Accepted { matched: Index(matched) });
    let mut facts = three();
    broken(says(&facts, 2, granted()), "persist before send");
    facts.wrote(0, false, &votes(1, 2, 3)).unwrap();
    facts.persisted(0, PersistToken(1)).unwrap();
    broken(says(&facts, 2, granted()), "persist before send");
    holds(&mut facts, 0, 1, 2, &["a"]);
    says(&facts, 2, accepted(1)).unwrap();
    broken(says(&facts, 2, accepted(2)), "persist before send");
    // What is durable there is another entry, and what replaces it is not durable yet.
    let cut = Write { truncate_from: Some(Index(1)), ..write(9, vec![entries(1, 3, &["b"])]) };
    facts.wrote(0, false, &cut).unwrap();
    broken(says(&facts, 2, accepted(1)), "persist before send");
    facts.persisted(0, PersistToken(9)).unwrap();
    says(&facts, 2, accepted(1)).unwrap();
    // It heard of the next term since, whose leader's entries replace these: they were durable when
    // the acknowledgement was made.
    let next = Write { truncate_from: Some(Index(1)), ..votes(10, 4, 2) };
    facts.wrote(0, false, &Write { entries: vec![entries(1, 4, &["c"])].into(), ..next }).unwrap();
    says(&facts, 2, accepted(1)).unwrap();
    broken(says(&facts, 2, accepted(2)), "persist before send");
}

fn status(term: u64, commit: u64, applied: u64) -> Status {
    Status {
        id: id(1),
        role: RoleName::Follower,
        hard_state: HardState { term: Term(term), vote: None },
        leader: None,
        base: EntryId::ZERO,
        last: EntryId::new(Index(9), Term(1)),
        persisted: Index(9),
        commit: Index(commit),
        applying: Index(applied),
        applied: Index(applied),
        snapshot: None,
        receiving: None,
        peers: Vec::new(),
    }
}

#[test]
fn marks_stand_in_order_and_never_fall() {
    let mut facts = three();
    facts.stands(0, 1, &status(2, 5, 4)).unwrap();
    broken(facts.stands(0, 1, &status(2, 4, 5)), "marks stand in order");
    broken(facts.stands(0, 1, &status(1, 5, 4)), "a term never falls");
    broken(facts.stands(0, 1, &status(2, 4, 4)), "commit and applied index never fall");
    facts.stands(0, 2, &status(2, 0, 0)).unwrap();
    broken(facts.stands(0, 1, &status(2, 5, 4)), "a term never falls");
}

#[test]
fn each_life_has_a_boot_counter_of_its_own() {
    let mut facts = three();
    facts.begins(0, 1, Term(1)).unwrap();
    facts.stands(0, 1, &status(2, 5, 4)).unwrap();
    facts.clone().begins(0, 2, Term(2)).unwrap();
    broken(facts.begins(0, 1, Term(2)), "no boot counter comes twice");
    // What was durable bounds what follows.
    facts.begins(0, 2, Term(2)).unwrap();
    broken(facts.stands(0, 2, &status(1, 0, 0)), "a term never falls");
}

#[test]
fn a_disk_holds_what_was_written() {
    let options = OpenOptions { format_as: Some(id(1)), ..OpenOptions::default() };
    let mut log = open_blocking(FaultFs::new(), options).unwrap().log;
    log.found(ClusterId(1), Vec::new()).unwrap();
    log.enqueue(votes(9, 1, 1));
    log.enqueue(write(10, vec![entries(1, 1, &["a", "b"])]));
    while log.step().unwrap() != quorate_log::Progress::Idle {}
    let mut facts = three();
    holds(&mut facts, 0, 1, 1, &["a", "b"]);
    facts.reads_back(0, &mut log).unwrap();
    // One entry more than the disk has, while nothing is under way.
    let mut more = facts.clone();
    holds(&mut more, 0, 3, 1, &["c"]);
    broken(more.reads_back(0, &mut log), "disks hold what was written");
    // One that was cut and is still there.
    facts
        .wrote(0, false, &Write { truncate_from: Some(Index(2)), ..write(99, Vec::new()) })
        .unwrap();
    facts.reads_back(0, &mut log).unwrap();
    facts.persisted(0, PersistToken(99)).unwrap();
    broken(facts.reads_back(0, &mut log), "disks hold what was written");
}

#[test]
fn a_leader_commits_what_it_appended_itself() {
    let leads = |commit| Status { role: RoleName::Leader, ..status(2, commit, 0) };
    let mut facts = two_committed();
    holds(&mut facts, 0, 3, 2, &["c"]);
    facts.stands(0, 1, &leads(0)).unwrap();
    broken(facts.stands(0, 1, &leads(2)), "a leader commits entries of its own term");
    facts.stands(0, 1, &leads(3)).unwrap();
}

#[test]
fn a_leader_believes_of_its_peers_what_is_so() {
    let peer = |matched, next| PeerStatus {
        id: id(2),
        matched: Index(matched),
        next: Index(next),
        replicating: true,
        inflight: 0,
        inflight_bytes: 0,
        transfer: None,
    };
    let mut facts = two_committed();
    facts.progressed(0, Term(1), &peer(2, 3)).unwrap();
    broken(facts.progressed(0, Term(1), &peer(1, 3)), "progress is true");
    // A peer that restarted has acknowledged nothing; one that did not has.
    broken(facts.clone().progressed(0, Term(1), &peer(0, 3)), "progress is true");
    facts.begins(1, 1, Term(1)).unwrap();
    facts.progressed(0, Term(1), &peer(0, 3)).unwrap();
    broken(facts.progressed(0, Term(1), &peer(2, 2)), "progress is true");
    holds(&mut facts, 0, 3, 1, &["c"]);
    broken(facts.clone().progressed(0, Term(1), &peer(3, 4)), "progress is true");
    facts.progressed(0, Term(1), &peer(2, 3)).unwrap();
    broken(facts.progressed(0, Term(1), &peer(0, 3)), "progress is true");
}

#[test]
fn reads_see_what_was_committed_when_they_came() {
    let mut facts = two_committed();
    facts.read_came(0, ReadId(1));
    facts.read_came(0, ReadId(2));
    facts.read_ready(0, ReadId(1), Index(2)).unwrap();
    broken(facts.read_ready(0, ReadId(2), Index(1)), "read index");
}

#[test]
fn what_a_replica_holds_is_bounded_in_every_respect() {
    let config = ReplicaConfig::default();
    let member = Member {
        id: id(1),
        name: "n1".to_owned(),
        peer_address: "n1:1".to_owned(),
        client_urls: Vec::new(),
    };
    let within = ReplicaStatus {
        raft: status(1, 0, 0),
        roster: Arc::new(Roster::of_voters([member]).unwrap()),
        proposals: 0,
        waiting: 0,
        forwarded: 0,
        tail_bytes: 0,
        apply_bytes: 0,
        call_bytes: 0,
        held_messages: 0,
        held_bytes: 0,
        held_dropped: 0,
        taking_snapshot: false,
        piece_bytes: 0,
    };
    let caps = Caps::of(&config);
    let mut facts = three();
    facts.check_bounds(0, &caps, &within).unwrap();
    let peer = |inflight, inflight_bytes| {
        let (matched, next) = (Index(1), Index(2));
        let replicating = true;
        let transfer = None;
        PeerStatus { id: id(2), matched, next, replicating, inflight, inflight_bytes, transfer }
    };
    let (messages, window) = (config.raft.max_inflight_messages(), 8 << 20);
    type Exceed<'a> = &'a dyn Fn(&mut ReplicaStatus);
    let beyond: [(&str, Exceed<'_>); 7] = [
        ("bytes of recent entries", &|status| status.tail_bytes = config.tail_bytes + 1),
        ("bytes to execute", &|status| {
            status.apply_bytes = config.apply_bytes + config.max_command_bytes + 100;
        }),
        ("bytes of calls that wait", &|status| status.call_bytes = config.call_bytes + 1),
        ("bytes of messages held back", &|status| {
            status.held_bytes = config.outbox_bytes + config.max_command_bytes;
        }),
        // Nine entries are in the log.
        ("proposals", &|status| status.proposals = 10),
        ("appends under way", &|status| status.raft.peers.push(peer(messages + 1, 0))),
        ("bytes under way", &|status| {
            status.raft.peers.push(peer(1, window + (config.max_command_bytes as u64) + 100));
        }),
    ];
    for (what, exceed) in beyond {
        let mut status = within.clone();
        exceed(&mut status);
        let told = facts.check_bounds(0, &caps, &status).unwrap_err();
        assert!(told.what.contains(what), "{told}");
        broken::<()>(Err(told), "everything is bounded");
    }
    // Pieces that are being read for each of the others, by one that leads no more.
    let pieces = |bytes| ReplicaStatus { piece_bytes: bytes, ..within.clone() };
    let window =
        config.raft.snapshot_window_bytes() + u64::from(config.raft.snapshot_chunk_bytes());
    facts.check_bounds(0, &caps, &pieces(2 * 2 * window)).unwrap();
    let told = facts.check_bounds(0, &caps, &pieces(2 * 2 * window + 1));
    assert!(told.as_ref().is_err_and(|told| told.what.contains("pieces to read")), "{told:?}");
    broken::<()>(told, "everything is bounded");
    // A disk that does not keep up.
    let many = write(1, vec![entries(1, 1, &["a"])]);
    facts.wrote(0, false, &many).unwrap();
    let small =
        Caps::of(&ReplicaConfig { raft: no_room(), max_command_bytes: 1, ..config.clone() });
    facts.check_bounds(0, &caps, &within).unwrap();
    broken(facts.check_bounds(0, &small, &within), "everything is bounded");
}

/// Settings under which nothing may wait for a disk.
fn no_room() -> quorate_core::Config {
    let config = quorate_core::Config::builder();
    let config = config.max_append_bytes(1).max_inflight_bytes(1).max_uncommitted_bytes(1);
    config.build().unwrap()
}

#[test]
fn what_is_committed_stays_on_a_quorum() {
    let mut facts = two_committed();
    facts.check_held().unwrap();
    assert_eq!(facts.holders(Index(2)), [0, 1]);
    facts.nodes[1].durable.truncate(1);
    broken(facts.check_held(), "what is committed is held by a quorum");
}

#[test]
fn who_holds_an_entry_is_who_holds_it_intact() {
    let mut facts = two_committed();
    facts.entry_rots(1, Index(2));
    // What was never durable there is not missed.
    facts.entry_rots(2, Index(1));
    assert_eq!(facts.holders(Index(1)), [0, 1]);
    assert_eq!(facts.holders(Index(2)), [0]);
    facts.check_held().unwrap();
}

#[test]
fn a_node_must_come_back_unless_something_excuses_it() {
    let mut facts = two_committed();
    let must = "recovery succeeds without damage";
    broken(facts.refuses(0, false, &"no"), must);
    assert_eq!(facts.refuses(0, true, &"no"), Ok(Excuse::DiskFails));
    // One copy of term and vote is enough.
    facts.copy_rots(0, 1);
    broken(facts.refuses(0, false, &"no"), must);
    facts.copy_rots(0, 0);
    assert_eq!(facts.refuses(0, false, &"no"), Ok(Excuse::BothCopies));
    facts.entry_rots(1, Index(2));
    assert_eq!(facts.refuses(1, false, &"no"), Ok(Excuse::Entry(Index(2))));
    facts.entry_rots(2, Index(1));
    broken(facts.refuses(2, false, &"no"), must);
}

#[test]
fn what_comes_back_was_written() {
    let options = OpenOptions { format_as: Some(id(1)), ..OpenOptions::default() };
    let mut log = open_blocking(FaultFs::new(), options).unwrap().log;
    let state = |term, vote| HardState { term: Term(term), vote: Some(id(vote)) };
    let mut facts = three();
    facts.wrote(0, false, &votes(1, 2, 2)).unwrap();
    facts.persisted(0, PersistToken(1)).unwrap();
    facts.wrote(0, false, &votes(2, 3, 3)).unwrap();
    // Under way: it may have reached the disk, or not.
    facts.clone().recovered(0, state(2, 2), &mut log).unwrap();
    facts.clone().recovered(0, state(3, 3), &mut log).unwrap();
    // A term that nobody wrote, and a vote of another term.
    broken(facts.clone().recovered(0, state(4, 3), &mut log), "no silent loss");
    broken(facts.clone().recovered(0, state(3, 2), &mut log), "no silent loss");
    // An entry that was durable may not be missing, damaged or not.
    holds(&mut facts, 0, 1, 3, &["a"]);
    facts.entry_rots(0, Index(1));
    broken(facts.recovered(0, state(3, 3), &mut log), "no silent loss");
}
