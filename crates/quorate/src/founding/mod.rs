//! How a cluster begins: once, or not at all.
//!
//! Every node is started with the same list of peer addresses. The nodes ask each other who they
//! are. Only when every listed node answers and none belongs to a cluster does the one with the
//! lowest [`NodeId`] make a founding record (random cluster id, voters by node id), write it
//! durably, and hand it round. [`Founding`] decides all of that; it does no I/O, reads no clock and
//! draws no random number: it is told what happened and says what to do.
//!
//! Invariants:
//! - A directory accepts at most one record, and only one that lists its own node id. So of two
//!   records, at most one is ever accepted by a majority while no majority is wiped.
//! - Nothing is shown or handed to others before it is durable here.
//! - Records are handed to nodes, never to addresses: a wiped directory has another id and is a
//!   stranger, also to the cluster that has its address.
//! - While any listed node is silent, holds a record, or has another list of peers, no record is
//!   made: it may belong to a cluster already.
//! - Nothing waits in silence: [`Founding::waiting`] says for whom and what to do about it.

mod peers;
mod waiting;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use quorate_core::{ClusterId, Instant, NodeId};

pub use self::peers::{Listed, PeerList, PeerListError};
pub use self::waiting::Waiting;
use crate::roster::{FoundingRecord, Member, Roster};

/// Time between an answer, or the lack of one, and the next question to the same address.
pub const ASK_AGAIN: Duration = Duration::from_millis(250);
/// Longest time between questions of a node that holds a record and still misses listed voters.
pub const ASK_AGAIN_MOST: Duration = Duration::from_secs(8);
/// Time after which a question that the shell never reported on is asked again.
pub const ASK_LOST: Duration = Duration::from_secs(10);
/// Age, counted from its question, up to which an answer counts when a record is made.
pub const ANSWER_VALID: Duration = Duration::from_secs(5);

/// What a node says of itself when it is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its identity, name and addresses.
    pub member: Member,
    /// The peer addresses it was started with, its own among them, in ascending order.
    pub listed: Vec<String>,
    /// The cluster it belongs to; zero while it belongs to none.
    pub cluster: ClusterId,
    /// The founding record it holds durably.
    pub record: Option<FoundingRecord>,
}

impl Answer {
    /// Whether the node belongs to no cluster.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.cluster == ClusterId::ZERO && self.record.is_none()
    }
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// The node at `address` answered a question.
    Answered {
        /// The address that was asked.
        address: String,
        /// When it was asked: the instant of the [`Action::Ask`] that this answers.
        asked: Instant,
        /// What it said.
        answer: Answer,
    },
    /// The node at `address` could not be asked.
    Unreachable {
        /// The address that was tried.
        address: String,
        /// Why, in words for the operator.
        reason: String,
    },
    /// Another node handed over its record.
    Offered(FoundingRecord),
    /// The record of [`Action::Persist`] is durable.
    Persisted,
    /// A listed voter was met, in a handshake, as a member of this node's cluster.
    Confirmed(NodeId),
    /// The deadline has come, or may have.
    Timer,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Ask the node at this address who it is; report with [`Input::Answered`] or
    /// [`Input::Unreachable`].
    Ask {
        /// Whom to ask.
        address: String,
        /// The present instant, to be reported with the answer.
        asked: Instant,
    },
    /// Make this record durable in the data directory, then answer with [`Input::Persisted`].
    Persist(FoundingRecord),
    /// Hand this node's record to the node `to`, which was last met at `address`; to nobody else.
    Offer {
        /// Where it was met.
        address: String,
        /// Whom the record is for.
        to: NodeId,
        /// The record, which is durable here.
        record: FoundingRecord,
    },
    /// This node belongs to the cluster of this record: start the protocol. Comes exactly once.
    Founded(FoundingRecord),
    /// A record that was offered was refused.
    Refused(RecordRefusal),
}

/// Why an offered record was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordRefusal {
    /// The record lists other nodes only.
    #[error(
        "the founding record of cluster {offered} was offered to node {node}, which it does not \
         list as a voter; this directory was formatted after that cluster was founded"
    )]
    NotListed {
        /// This node.
        node: NodeId,
        /// The cluster of the offered record.
        offered: ClusterId,
    },
    /// The directory has accepted another record.
    #[error(
        "the founding record of cluster {offered} was offered, but this directory belongs to \
         cluster {held}; check the peer lists of both clusters for addresses they share"
    )]
    OtherCluster {
        /// The cluster this directory belongs to.
        held: ClusterId,
        /// The cluster of the offered record.
        offered: ClusterId,
    },
}

/// Why a founding record that was found in a data directory cannot be this node's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ForeignRecord {
    /// It does not list the node whose directory it is in.
    #[error(
        "the founding record of cluster {cluster} in this data directory does not list node \
         {node}, whose directory this is; it was copied from another node: start the node on its \
         own directory"
    )]
    Unlisted {
        /// This node.
        node: NodeId,
        /// The cluster of the record.
        cluster: ClusterId,
    },
    /// It lists the node as another one than it was started as.
    #[error(
        "this data directory is that of node {node} of cluster {cluster}, which was founded as \
         {listed}, and the node was started as {started}; start it on its own directory, or with \
         the name and peer address that it was founded with"
    )]
    OtherMember {
        /// The node whose directory it is.
        node: NodeId,
        /// The cluster of the record.
        cluster: ClusterId,
        /// Name and peer address in the record.
        listed: String,
        /// Name and peer address that the node was started with.
        started: String,
    },
}

/// What this directory has accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Held {
    /// Nothing: it may still accept one record.
    Nothing,
    /// A record whose write is under way; nothing else is accepted any more.
    Writing(FoundingRecord),
    /// A record that is durable, for ever.
    Durable(FoundingRecord),
}

/// What is known of one address.
#[derive(Clone, Debug)]
struct Contact {
    /// The latest outcome of asking, with the time of the question.
    outcome: Option<(Instant, Result<Answer, String>)>,
    /// When to ask next.
    ask_at: Instant,
    /// Time to the question after that one.
    pause: Duration,
}

/// The founding of a cluster as one node sees it.
#[derive(Clone, Debug)]
pub struct Founding {
    /// This node.
    me: Member,
    /// The addresses it was started with.
    peers: PeerList,
    /// Cluster id to use in case this node makes the record; random, drawn by the shell.
    draw: ClusterId,
    /// What this directory has accepted; changes only from nothing to writing to durable.
    held: Held,
    /// Addresses to ask: the listed ones, and those of the record's voters once one is durable.
    contacts: BTreeMap<String, Contact>,
    /// Voters of the record that were seen to hold it, this node among them.
    confirmed: BTreeSet<NodeId>,
}

impl Founding {
    /// Begins; call [`Founding::handle`] with [`Input::Timer`] next. `held` is the record found in
    /// the data directory, `draw` a random cluster id for the case that this node makes one.
    ///
    /// # Errors
    ///
    /// When the record that was found does not list this node.
    ///
    /// # Panics
    ///
    /// When `draw` is zero, which no cluster has.
    pub fn new(
        now: Instant,
        me: Member,
        peers: PeerList,
        draw: ClusterId,
        held: Option<FoundingRecord>,
    ) -> Result<Self, ForeignRecord> {
        assert!(draw != ClusterId::ZERO, "a cluster id is drawn among the numbers above zero");
        let mut contacts = BTreeMap::new();
        for address in peers.others() {
            contacts.insert(address.to_owned(), Contact::new(now));
        }
        let confirmed = BTreeSet::from([me.id]);
        let mut founding = Self { me, peers, draw, held: Held::Nothing, contacts, confirmed };
        if let Some(record) = held {
            founding.check_place(&record)?;
            founding.hold(now, record);
        }
        Ok(founding)
    }

    /// Takes one thing that happened; says what to do, in order.
    pub fn handle(&mut self, now: Instant, input: Input) -> Vec<Action> {
        let mut actions = Vec::new();
        match input {
            Input::Answered { address, asked, answer } => {
                self.answered(now, (&address, asked), answer, &mut actions);
            }
            Input::Unreachable { address, reason } => {
                if let Some(contact) = self.contacts.get_mut(&address) {
                    contact.report(now, now, Err(reason), matches!(self.held, Held::Durable(_)));
                }
            }
            Input::Offered(record) => {
                if let Err(refusal) = self.accept(record, &mut actions) {
                    actions.push(Action::Refused(refusal));
                }
            }
            Input::Persisted => self.persisted(now, &mut actions),
            Input::Confirmed(node) => self.confirm(node),
            Input::Timer => self.ask(now, &mut actions),
        }
        self.make(now, &mut actions);
        actions
    }

    /// When [`Input::Timer`] is due; nothing once every listed voter holds the record.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.contacts.values().map(|contact| contact.ask_at).min()
    }

    /// What this node says of itself. A record shows only once it is durable; its cluster already
    /// while it is written, so that nobody counts this node as empty any more.
    #[must_use]
    pub fn answer(&self) -> Answer {
        let (cluster, record) = match &self.held {
            Held::Nothing => (ClusterId::ZERO, None),
            Held::Writing(record) => (record.cluster, None),
            Held::Durable(record) => (record.cluster, Some(record.clone())),
        };
        let listed = self.peers.addresses().map(str::to_owned).collect();
        Answer { member: self.me.clone(), listed, cluster, record }
    }

    /// The record that is durable here.
    #[must_use]
    pub fn record(&self) -> Option<&FoundingRecord> {
        match &self.held {
            Held::Durable(record) => Some(record),
            Held::Nothing | Held::Writing(_) => None,
        }
    }

    /// What this node waits for, in a form that prints as a sentence with its remedy; nothing once
    /// it belongs to a cluster.
    #[must_use]
    pub fn waiting(&self, now: Instant) -> Option<Waiting> {
        match &self.held {
            Held::Nothing => self.assess(now).err(),
            Held::Writing(record) => Some(Waiting::Writing { cluster: record.cluster }),
            Held::Durable(_) => None,
        }
    }

    fn is_voter_of(&self, record: &FoundingRecord) -> bool {
        record.roster.voters().any(|voter| voter.id == self.me.id)
    }

    /// Checks that a record from the data directory speaks of this node, as it was started.
    ///
    /// A copy of a directory, or the directory of another cluster's node, shows in name or address
    /// before anything is sent as the wrong node. A node without peers may move.
    fn check_place(&self, record: &FoundingRecord) -> Result<(), ForeignRecord> {
        let (node, cluster) = (self.me.id, record.cluster);
        let mut voters = record.roster.voters();
        let Some(listed) = voters.find(|voter| voter.id == node) else {
            return Err(ForeignRecord::Unlisted { node, cluster });
        };
        let is_same = listed.name == self.me.name && listed.peer_address == self.me.peer_address;
        if is_same || record.roster.voters().count() == 1 {
            return Ok(());
        }
        let place = |member: &Member| format!("{} at {}", member.name, member.peer_address);
        let (listed, started) = (place(listed), place(&self.me));
        Err(ForeignRecord::OtherMember { node, cluster, listed, started })
    }

    /// Accepts a record, if this directory may: at most one, and only one that lists its node.
    fn accept(
        &mut self,
        record: FoundingRecord,
        actions: &mut Vec<Action>,
    ) -> Result<(), RecordRefusal> {
        let offered = record.cluster;
        match &self.held {
            Held::Nothing if self.is_voter_of(&record) => {
                self.held = Held::Writing(record.clone());
                actions.push(Action::Persist(record));
                Ok(())
            }
            Held::Nothing => Err(RecordRefusal::NotListed { node: self.me.id, offered }),
            Held::Writing(held) | Held::Durable(held) if *held == record => Ok(()),
            Held::Writing(held) | Held::Durable(held) => {
                Err(RecordRefusal::OtherCluster { held: held.cluster, offered })
            }
        }
    }

    fn answered(
        &mut self,
        now: Instant,
        (address, asked): (&str, Instant),
        answer: Answer,
        actions: &mut Vec<Action>,
    ) {
        let holder = matches!(self.held, Held::Durable(_));
        let Some(contact) = self.contacts.get_mut(address) else { return };
        contact.report(now, asked, Ok(answer.clone()), holder);
        match &self.held {
            Held::Durable(held) if answer.cluster == held.cluster => self.confirm(answer.member.id),
            Held::Durable(_) => self.offer(address, &answer, actions),
            // A record that lists this node is taken from whoever shows it; a record that does not
            // shows in `waiting`, and is no offer that could be refused.
            Held::Nothing => {
                if let Some(record) = answer.record.filter(|record| self.is_voter_of(record)) {
                    self.accept(record, actions).expect("nothing is held and the record lists us");
                }
            }
            Held::Writing(_) => {}
        }
    }

    /// Hands the record to a listed voter that is still empty. Who is no voter gets nothing, even
    /// at a voter's address: its directory was replaced.
    fn offer(&self, address: &str, answer: &Answer, actions: &mut Vec<Action>) {
        let Held::Durable(record) = &self.held else { return };
        let to = answer.member.id;
        let listed = record.roster.voters().any(|voter| voter.id == to);
        if listed && answer.is_empty() && to != self.me.id {
            let (address, record) = (address.to_owned(), record.clone());
            actions.push(Action::Offer { address, to, record });
        }
    }

    fn persisted(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let Held::Writing(record) = &self.held else { return };
        let record = record.clone();
        let known: Vec<(String, Answer)> = self
            .contacts
            .iter()
            .filter_map(|(address, contact)| {
                contact.answer().map(|answer| (address.clone(), answer.clone()))
            })
            .collect();
        self.hold(now, record.clone());
        actions.push(Action::Founded(record));
        for (address, answer) in known {
            self.offer(&address, &answer, actions);
        }
    }

    /// Becomes a holder: asks the record's other voters until each was seen to hold it.
    fn hold(&mut self, now: Instant, record: FoundingRecord) {
        let voters: BTreeMap<String, Contact> = record
            .roster
            .voters()
            .filter(|voter| voter.id != self.me.id)
            .map(|voter| (voter.peer_address.clone(), Contact::new(now)))
            .collect();
        self.contacts = voters;
        self.held = Held::Durable(record);
    }

    /// Stops asking for a voter that holds the record.
    fn confirm(&mut self, node: NodeId) {
        let Held::Durable(record) = &self.held else { return };
        let Some(voter) = record.roster.voters().find(|voter| voter.id == node) else { return };
        self.contacts.remove(&voter.peer_address);
        self.confirmed.insert(node);
    }

    /// Voters of the record that were not yet seen to hold it.
    #[must_use]
    pub fn unconfirmed(&self) -> Vec<NodeId> {
        let voters = self.record().into_iter().flat_map(|record| record.roster.voters());
        voters.map(|voter| voter.id).filter(|id| !self.confirmed.contains(id)).collect()
    }

    fn ask(&mut self, now: Instant, actions: &mut Vec<Action>) {
        for (address, contact) in &mut self.contacts {
            if contact.ask_at <= now {
                contact.ask_at = now.after(ASK_LOST);
                actions.push(Action::Ask { address: address.clone(), asked: now });
            }
        }
    }

    /// Makes the record if this node is the one to do it and everybody agrees.
    fn make(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if self.held != Held::Nothing {
            return;
        }
        let Ok(roster) = self.assess(now) else { return };
        let record = FoundingRecord { cluster: self.draw, roster };
        self.accept(record, actions).expect("nothing is held and the record lists its maker");
    }

    /// The roster to found with, or what stands against it. The order is that of what an operator
    /// has to know first: a cluster that exists, then silence, then contradictions.
    fn assess(&self, now: Instant) -> Result<Roster, Waiting> {
        let known = || self.contacts.iter().filter_map(|(a, c)| c.answer().map(|n| (a, n)));
        if let Some((address, answer)) = known().find(|(_, answer)| !answer.is_empty()) {
            return Err(Waiting::belongs(self.me.id, address, answer));
        }
        let silent: Vec<(String, String)> = self
            .contacts
            .iter()
            .filter_map(|(address, contact)| {
                contact.silence(now).map(|reason| (address.clone(), reason))
            })
            .collect();
        if !silent.is_empty() {
            return Err(Waiting::Silent { silent, listed: self.peers.len() });
        }
        let mut members = vec![self.me.clone()];
        for (address, answer) in known() {
            waiting::check(&self.peers, address, answer, &members)?;
            members.push(answer.member.clone());
        }
        members.sort_unstable_by_key(|member| member.id);
        let maker = members.first().expect("this node is among them");
        if maker.id != self.me.id {
            let (node, address) = (maker.id, maker.peer_address.clone());
            return Err(Waiting::Maker { node, address });
        }
        Roster::of_voters(members).map_err(|error| Waiting::Unfit { reason: error.to_string() })
    }
}

impl Contact {
    const fn new(now: Instant) -> Self {
        Self { outcome: None, ask_at: now, pause: ASK_AGAIN }
    }

    /// Notes an outcome. A holder asks ever more seldom; an empty node keeps its pace, because
    /// somebody waits for the cluster to begin.
    fn report(
        &mut self,
        now: Instant,
        asked: Instant,
        outcome: Result<Answer, String>,
        holder: bool,
    ) {
        self.outcome = Some((asked, outcome));
        self.ask_at = now.after(self.pause);
        if holder {
            self.pause = (self.pause * 2).min(ASK_AGAIN_MOST);
        }
    }

    fn answer(&self) -> Option<&Answer> {
        self.outcome.as_ref().and_then(|(_, outcome)| outcome.as_ref().ok())
    }

    /// Why this address counts as silent; nothing while its answer is fresh.
    fn silence(&self, now: Instant) -> Option<String> {
        match &self.outcome {
            None => Some("not reached yet".to_owned()),
            Some((_, Err(reason))) => Some(reason.clone()),
            Some((at, Ok(_))) if now.since(*at) > ANSWER_VALID => {
                Some("stopped answering".to_owned())
            }
            Some((_, Ok(_))) => None,
        }
    }
}

#[cfg(test)]
mod explore;
#[cfg(test)]
mod tests;
