//! What must hold over the whole cluster, after every step of every node.
//!
//! The checker keeps what no node knows: who led which term, who voted for whom in any boot, which
//! entry was ever made after which, and what was ever committed.
//!
//! - Election Safety: at most one leader per term (Raft figure 3).
//! - One vote per voter and term, over all its boots.
//! - Log Matching: an entry is made once, after one entry; every log keeps to that.
//! - Leader Completeness, Leader Append-Only, State Machine Safety.
//! - Commit evidence: what a leader commits is of its own term and durable on a quorum.
//! - Persist before send: term, vote and acknowledged entries are durable before they are told.
//! - A read index is no lower than what was committed when the read came.
//! - A snapshot covers what was committed, with the membership in force there; one that is offered,
//!   and one whose last entry is acknowledged, is durable.

use std::collections::BTreeMap;

use quorate_core::{
    Append, AppendReply, Envelope, Index, Membership, Message, NodeId, Raft, ReadId, Run,
    SnapshotId, Status, Term, VoteReply,
};
use quorate_core::{EntryId, EntryKind};

use super::disk::Disk;

/// An entry, as it was made.
#[derive(Clone, Debug)]
struct Made {
    after: EntryId,
    run: Run,
}

/// A leader, as it was when its term began.
#[derive(Clone, Debug)]
struct Led {
    by: NodeId,
    opening: EntryId,
    /// Terms of the entries between the base and the opening one.
    before: Vec<Term>,
}

#[derive(Clone, Debug)]
pub struct Checker {
    base: EntryId,
    made: BTreeMap<EntryId, Made>,
    led: BTreeMap<Term, Led>,
    votes: BTreeMap<(Term, NodeId), NodeId>,
    /// Committed entries above the base, and the term of the leader that committed each.
    committed: Vec<(EntryId, Term)>,
    /// Terms of each node's log above the base, as its effects told.
    logs: BTreeMap<NodeId, Vec<Term>>,
    commits: BTreeMap<NodeId, Index>,
    /// What was committed when a read came.
    reads: BTreeMap<(NodeId, ReadId), Index>,
}

impl Checker {
    pub fn new(base: EntryId) -> Self {
        Self {
            base,
            made: BTreeMap::new(),
            led: BTreeMap::new(),
            votes: BTreeMap::new(),
            committed: Vec::new(),
            logs: BTreeMap::new(),
            commits: BTreeMap::new(),
            reads: BTreeMap::new(),
        }
    }

    /// Highest index that any leader ever committed.
    pub fn committed(&self) -> Index {
        self.base.index.plus(self.committed.len() as u64)
    }

    pub fn leaders(&self) -> usize {
        self.led.len()
    }

    /// The entry as it was made, as a run of one.
    pub fn run(&self, id: EntryId) -> Run {
        self.made[&id].run.clone()
    }

    /// An entry that was there before the test began; several nodes may have it.
    pub fn found(&mut self, after: EntryId, run: Run) {
        let id = run.last_id();
        if let Some(made) = self.made.get(&id) {
            assert_eq!(made.after, after, "{id} is on two disks after different entries");
            return;
        }
        self.made.insert(id, Made { after, run });
    }

    /// Everything up to `index` of this log counts as committed before the test began.
    pub fn found_committed(&mut self, disk: &Disk, index: Index) {
        let have = self.committed();
        for id in disk.entries.iter().filter(|id| id.index > have && id.index <= index) {
            self.committed.push((*id, id.term));
        }
    }

    /// How many membership entries a node loses that cuts its log from `from`.
    pub fn memberships_from(&self, raft: &Raft, from: Index) -> u64 {
        let log = &self.logs[&raft.id()];
        let lost = log.iter().enumerate().skip(offset(self.base, from));
        let ids = lost.map(|(at, term)| EntryId::new(self.base.index.plus(at as u64 + 1), *term));
        ids.filter(|id| self.made[id].run.membership.is_some()).count() as u64
    }

    pub fn proposed(&mut self, raft: &Raft, id: EntryId, bytes: u64) {
        let run = Run::new(id.index, 1, id.term, EntryKind::Command, bytes);
        self.make(raft, id, run);
    }

    pub fn opened(&mut self, raft: &Raft, id: EntryId) {
        assert_eq!(id.term, raft.term(), "a leader opens its own term");
        let run = Run::new(id.index, 1, id.term, EntryKind::Opening, 48);
        self.make(raft, id, run);
        let led = Led { by: raft.id(), opening: id, before: self.terms_before(raft, id.index) };
        // A leader of an earlier term that wins late may lack what a later one committed.
        for (id, _) in self.committed.iter().filter(|(_, by)| *by < raft.term()) {
            let held = self.term_at(raft, id.index) == Some(id.term);
            assert!(held, "Leader Completeness: {} leads {} without {id}", raft.id(), raft.term());
        }
        if let Some(other) = self.led.insert(id.term, led) {
            panic!("Election Safety: {} and {} both lead {}", other.by, raft.id(), id.term);
        }
    }

    fn make(&mut self, raft: &Raft, id: EntryId, run: Run) {
        assert!(raft.is_leader(), "only a leader makes entries");
        let before = id.index.previous();
        let term = raft.term_at(before).expect("the entry before a proposal is in the log");
        let made = Made { after: EntryId::new(before, term), run };
        if self.made.insert(id, made).is_some() {
            panic!("{id} was made twice, the second time by {}", raft.id());
        }
    }

    fn terms_before(&self, raft: &Raft, index: Index) -> Vec<Term> {
        let all = self.base.index.get() + 1..index.get();
        all.map(|at| self.term_at(raft, Index(at)).expect("the log has no gap")).collect()
    }

    /// The term of an entry of this log, also where the log gave it up.
    fn term_at(&self, raft: &Raft, index: Index) -> Option<Term> {
        let told = || self.logs.get(&raft.id())?.get(offset(self.base, index)).copied();
        raft.term_at(index).or_else(|| if index > self.base.index { told() } else { None })
    }

    /// The membership in force at an entry that was committed.
    pub fn membership_at(&self, at: EntryId, initial: &Membership) -> Membership {
        let covered = self.committed.iter().rev().filter(|(id, _)| id.index <= at.index);
        let mut memberships = covered.filter_map(|(id, _)| self.made[id].run.membership.as_ref());
        memberships.next().map_or_else(|| initial.clone(), |newest| (**newest).clone())
    }

    /// A snapshot takes the place of a log up to `last`, or of all of it.
    pub fn installing(&mut self, node: NodeId, last: EntryId, keeps_suffix: bool) {
        let covered = offset(self.base, last.index.next());
        let Some(committed) = self.committed.get(..covered) else { return };
        assert_eq!(
            committed.last().map(|(id, _)| *id),
            Some(last),
            "a snapshot is of what is committed"
        );
        let log = self.logs.get_mut(&node).expect("the node was started");
        let kept = if keeps_suffix { log.split_off(covered) } else { Vec::new() };
        *log = committed.iter().map(|(id, _)| id.term).chain(kept).collect();
    }

    /// The last membership of the log is in force.
    pub fn check_membership(&self, raft: &Raft, initial: &Membership) {
        let log = self.logs[&raft.id()].iter().enumerate();
        let ids = log.map(|(at, term)| EntryId::new(self.base.index.plus(at as u64 + 1), *term));
        let newest = ids.rev().find_map(|id| self.made[&id].run.membership.as_ref());
        let expected = newest.map_or(initial, |newest| newest);
        assert_eq!(&**raft.membership(), expected, "the membership of {}", raft.id());
    }

    pub fn truncated(&mut self, raft: &Raft, was_leader_of: Option<Term>, from: Index) {
        let still = was_leader_of == Some(raft.term());
        assert!(!still, "Leader Append-Only: {} cut its log from {from}", raft.id());
        if let Some(log) = self.logs.get_mut(&raft.id()) {
            log.truncate(offset(self.base, from));
        }
    }

    /// A node started from its disk.
    pub fn started(&mut self, raft: &Raft, disk: &Disk, initial: &Membership) {
        let last = raft.last();
        assert_eq!(last, disk.last(), "a node starts with what its disk holds");
        let covered = self.committed.iter().filter(|(id, _)| id.index <= disk.base.index);
        let log = covered.map(|(id, _)| id).chain(&disk.entries).map(|id| id.term);
        self.logs.insert(raft.id(), log.collect());
        self.commits.insert(raft.id(), disk.base.index);
        self.check_membership(raft, initial);
    }

    /// One node took one input.
    pub fn stepped(&mut self, raft: &Raft, disks: &BTreeMap<NodeId, &Disk>) {
        self.check_log(raft);
        let known = self.commits[&raft.id()];
        if raft.commit() > known {
            if raft.is_leader() && raft.commit() > self.committed() {
                self.check_evidence(raft, disks);
            }
            for index in known.get() + 1..=raft.commit().get() {
                self.check_committed(raft, Index(index));
            }
            self.commits.insert(raft.id(), raft.commit());
        }
        assert!(raft.commit() >= known, "{}'s commit index fell", raft.id());
        if raft.is_leader() {
            self.check_progress(&raft.status(), disks);
        }
    }

    /// Every entry is one that was made, after the entry that it was made after.
    fn check_log(&mut self, raft: &Raft) {
        let log = self.logs.get_mut(&raft.id()).expect("the node was started");
        let last = raft.last();
        let held = offset(self.base, last.index.next());
        assert!(log.len() <= held, "{} lost entries without saying so", raft.id());
        let mut before = log
            .last()
            .map_or(self.base, |term| EntryId::new(self.base.index.plus(log.len() as u64), *term));
        while log.len() < held {
            let index = before.index.next();
            let id = EntryId::new(index, raft.term_at(index).expect("the log has no gap"));
            let made = self.made.get(&id);
            let made = made.unwrap_or_else(|| panic!("{} holds {id}, made by nobody", raft.id()));
            assert_eq!(made.after, before, "Log Matching: what comes before {id} in {}", raft.id());
            log.push(id.term);
            before = id;
        }
        assert_eq!(before, last, "the last entry of {}", raft.id());
    }

    fn check_evidence(&mut self, raft: &Raft, disks: &BTreeMap<NodeId, &Disk>) {
        let commit = raft.commit();
        let term = raft.term_at(commit).expect("a committed entry is in the log");
        assert_eq!(term, raft.term(), "a leader commits an entry of its own term by counting");
        let id = EntryId::new(commit, term);
        let holds = |node: NodeId| disks.get(&node).is_some_and(|disk| disk.holds(id));
        let enough = majorities_hold(raft.membership(), holds);
        assert!(enough, "Commit evidence: {} commits {id} without a quorum", raft.id());
        for index in self.committed().get() + 1..=commit.get() {
            let index = Index(index);
            let term = raft.term_at(index).expect("a committed entry is in the log");
            self.committed.push((EntryId::new(index, term), raft.term()));
        }
    }

    fn check_committed(&self, raft: &Raft, index: Index) {
        if index <= self.base.index {
            return;
        }
        let committed = self.committed.get(offset(self.base, index)).copied();
        let (committed, _) = committed
            .unwrap_or_else(|| panic!("{} commits {index}, which no leader has", raft.id()));
        let held = self.term_at(raft, index).expect("a committed entry is in the log");
        assert_eq!(held, committed.term, "State Machine Safety: {index} in {}", raft.id());
    }

    /// What a leader believes of a peer was true when the peer said so.
    fn check_progress(&self, status: &Status, disks: &BTreeMap<NodeId, &Disk>) {
        let term = status.hard_state.term;
        for peer in &status.peers {
            assert!(peer.next > peer.matched, "next lies above match for {}", peer.id);
            let Some(disk) = disks.get(&peer.id) else { continue };
            let index = peer.matched;
            if index <= self.base.index || disk.hard_state.term > term {
                continue;
            }
            let id = EntryId::new(index, self.term_in_log_of(term, index));
            assert!(disk.holds(id), "{} believes that {} holds {id}", status.id, peer.id);
        }
    }

    /// The term of an entry in the log of the leader of `term`.
    fn term_in_log_of(&self, term: Term, index: Index) -> Term {
        let led = &self.led[&term];
        if index >= led.opening.index {
            return term;
        }
        led.before[offset(self.base, index)]
    }

    /// A message leaves: everything that it rests on is durable.
    pub fn sent(&mut self, envelope: &Envelope, raft: &Raft, disk: &Disk) {
        let Envelope { from, to, term, .. } = *envelope;
        let durable = disk.hard_state;
        assert!(term <= durable.term, "{from} tells of {term} before it is durable");
        match &envelope.message {
            Message::RequestVote(vote) if !vote.pre_vote => {
                let is_own = durable.term > term || durable.vote == Some(from);
                assert!(is_own, "{from} asks for votes in {term} before its own is durable");
                self.vote(term, from, from);
            }
            Message::VoteReply(VoteReply { granted: true, pre_vote: false, campaign }) => {
                assert_eq!(*campaign, term, "a vote is given in its own term");
                let given = durable.term > term || durable.vote == Some(to);
                assert!(given, "{from} votes for {to} in {term} before that is durable");
                self.vote(term, from, to);
            }
            Message::AppendReply(AppendReply::Accepted { matched }) => {
                self.check_acknowledgement(from, term, *matched, disk);
            }
            Message::Append(append) => self.check_append(append, raft, term),
            Message::RequestVote(_)
            | Message::VoteReply(_)
            | Message::AppendReply(AppendReply::Rejected { .. })
            | Message::ReadIndex
            | Message::ReadIndexReply(_)
            | Message::SnapshotReply(_) => {}
            Message::OfferSnapshot(id) => check_offered(from, *id, disk),
            Message::SnapshotChunk(chunk) => {
                assert!(chunk.is_well_formed(), "{from} sends {chunk:?}");
                check_offered(from, chunk.id, disk);
            }
        }
    }

    fn vote(&mut self, term: Term, voter: NodeId, candidate: NodeId) {
        let given = *self.votes.entry((term, voter)).or_insert(candidate);
        assert_eq!(given, candidate, "{voter} votes twice in {term}");
    }

    fn check_acknowledgement(&self, from: NodeId, term: Term, matched: Index, disk: &Disk) {
        if matched <= self.base.index || disk.hard_state.term > term {
            return;
        }
        if self.led.contains_key(&term) {
            let id = EntryId::new(matched, self.term_in_log_of(term, matched));
            assert!(disk.holds(id), "{from} acknowledges {id} before it is durable");
        }
    }

    /// An append leaves at once, so that it shows its sender's log as it is.
    fn check_append(&self, append: &Append, raft: &Raft, term: Term) {
        if raft.term() != term || !raft.is_leader() {
            return;
        }
        let mut before = append.prev;
        let real = self.term_at(raft, before.index) == Some(before.term) || before == self.base;
        assert!(real, "an append follows {before}, which its sender does not hold");
        for run in &append.runs {
            for index in run.first.get()..=run.last().get() {
                let id = EntryId::new(Index(index), run.term);
                let made = &self.made[&id];
                assert_eq!(made.after, before, "an append has {id} after {before}");
                assert_eq!(made.run.kind, run.kind, "the kind of {id}");
                assert_eq!(made.run.membership, run.membership, "the membership in {id}");
                before = id;
            }
        }
    }

    pub fn read(&mut self, node: NodeId, id: ReadId) {
        self.reads.insert((node, id), self.committed());
    }

    pub fn read_ready(&mut self, node: NodeId, id: ReadId, index: Index) {
        let least = self.reads.remove(&(node, id));
        let least = least.unwrap_or_else(|| panic!("{node} answers {id}, which nobody asked"));
        assert!(index >= least, "{node} reads at {index}, but {least} was committed before");
        assert!(index <= self.committed(), "{node} reads at {index}, which is not committed");
    }

    pub fn read_failed(&mut self, node: NodeId, id: ReadId) {
        let asked = self.reads.remove(&(node, id)).is_some();
        assert!(asked, "{node} fails {id}, which nobody asked");
    }

    /// Reads of a crashed node are never answered.
    pub fn forget_reads(&mut self, node: NodeId) {
        self.reads.retain(|(reader, _), _| *reader != node);
    }

    pub fn open_reads(&self) -> usize {
        self.reads.len()
    }
}

fn check_offered(from: NodeId, id: SnapshotId, disk: &Disk) {
    assert!(disk.snapshots.contains(&id), "{from} offers {id}, which is not durable there");
}

fn offset(base: EntryId, index: Index) -> usize {
    usize::try_from(index.get() - base.index.get() - 1).expect("test logs are short")
}

/// Majorities by the book, apart from the core's own arithmetic.
fn majorities_hold(membership: &Membership, holds: impl Fn(NodeId) -> bool) -> bool {
    let half = |voters: &[NodeId]| {
        let held = voters.iter().filter(|id| holds(**id)).count();
        2 * held > voters.len()
    };
    let outgoing = membership.outgoing();
    half(membership.voters()) && (outgoing.is_empty() || half(outgoing))
}
