//! What must hold after every step, of all nodes together: one small file per property.
//!
//! The checks keep a history of their own, which no node can touch: what each node holds, what is
//! durable there, who voted and led, what was committed. Each step adds to it and compares, at a
//! cost that does not grow with the run: every entry carries a hash of the whole log up to it, so
//! that two logs are compared by one number.

mod atlas;
pub(crate) mod bounds;
mod clients;
mod commitment;
mod durability;
mod elections;
mod logs;
mod order;
mod reads;
mod snapshots;

use std::collections::BTreeMap;

use quorate_core::{Index, Membership, NodeId, ReadId, Term};

use self::bounds::Terms;
use crate::world::observed::Seen;

pub use self::elections::{check_leader, check_vote};
pub use self::order::Watermarks;

/// A node by its place in the world, as people name it.
#[derive(Clone, Copy)]
pub(crate) struct Name(pub(crate) usize);

impl core::fmt::Display for Name {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "n{}", self.0 + 1)
    }
}

impl core::fmt::Debug for Name {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{self}")
    }
}

/// A property that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The property, by its name.
    pub invariant: &'static str,
    /// What was seen, in words.
    pub what: String,
}

impl Broken {
    /// Says that `invariant` did not hold.
    pub fn new(invariant: &'static str, what: impl Into<String>) -> Self {
        Self { invariant, what: what.into() }
    }
}

impl core::fmt::Display for Broken {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}: {}", self.invariant, self.what)
    }
}

impl std::error::Error for Broken {}

/// One entry as the checks see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its term.
    pub term: Term,
    /// Hash of it and of every entry before it.
    pub hash: u128,
}

/// What one node holds; index 1 is at position 0.
#[derive(Clone, Debug, Default)]
pub struct NodeFacts {
    /// The log as the node handed it to its disk.
    pub log: Vec<Link>,
    /// What the disk would give back now, at least.
    pub durable: Vec<Link>,
    /// Writes handed out: token, what it cuts, what it adds, term and vote.
    pending: Vec<Pending>,
    /// Bytes of entries in them.
    unstable_bytes: usize,
    /// Term and vote that the disk would give back now, at least.
    pub durable_vote: (Term, Option<NodeId>),
    /// What a durable snapshot there covers.
    pub(crate) covered: Index,
    /// What was damaged on its disk.
    damage: atlas::Damage,
    /// Where it stood last.
    pub marks: Watermarks,
    /// The boot that the marks belong to.
    pub boot: u64,
}

#[derive(Clone, Debug)]
struct Pending {
    token: u64,
    truncate_from: Option<u64>,
    first: u64,
    links: Vec<Link>,
    bytes: usize,
    vote: Option<(Term, Option<NodeId>)>,
}

/// What a leader last believed that a peer holds.
#[derive(Clone, Copy, Debug)]
struct Believed {
    term: Term,
    matched: Index,
    /// The peer's boot when this was first looked at in the term.
    since: u64,
    /// How often the match fell since.
    falls: u64,
}

/// The history that the checks keep.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Each node's part, in the order of the world.
    pub nodes: Vec<NodeFacts>,
    ids: Vec<NodeId>,
    /// Every entry ever seen, by index and term: its hash.
    seen: BTreeMap<(u64, u64), u128>,
    /// Who voted for whom: by term and voter.
    votes: BTreeMap<(Term, NodeId), NodeId>,
    /// Who led which term.
    leaders: BTreeMap<Term, NodeId>,
    /// What is committed; never changes.
    pub committed: Vec<Link>,
    /// In which term each of them was committed; never falls.
    committed_in: Vec<Term>,
    /// Whose quorum committed the latest of them.
    committed_by: Option<Membership>,
    /// What each leader last believed of each peer.
    matches: Vec<Vec<Option<Believed>>>,
    /// How fast terms pass.
    pub(crate) terms: Terms,
    /// What the first execution of each committed command showed.
    replies: BTreeMap<u64, Seen>,
    clients: clients::Clients,
    /// What was known to be committed when a read came.
    reads: BTreeMap<(usize, ReadId), Index>,
    /// Snapshots, by the index of their last entry.
    snapshots: BTreeMap<u64, snapshots::Known>,
    /// Whether any was ever damaged.
    any_rotted: bool,
}

impl Facts {
    /// An empty history of these nodes.
    #[must_use]
    pub fn new(ids: Vec<NodeId>) -> Self {
        Self {
            nodes: vec![NodeFacts::default(); ids.len()],
            matches: vec![vec![None; ids.len()]; ids.len()],
            ids,
            seen: BTreeMap::new(),
            votes: BTreeMap::new(),
            leaders: BTreeMap::new(),
            committed: Vec::new(),
            committed_in: Vec::new(),
            committed_by: None,
            terms: Terms::default(),
            replies: BTreeMap::new(),
            clients: clients::Clients::default(),
            reads: BTreeMap::new(),
            snapshots: BTreeMap::new(),
            any_rotted: false,
        }
    }

    /// Position of a node in the world.
    pub(crate) fn position(&self, id: NodeId) -> Option<usize> {
        self.ids.iter().position(|other| *other == id)
    }

    pub(crate) fn id(&self, node: usize) -> NodeId {
        self.ids[node]
    }
}

/// The entry at `index` of a log that begins at 1.
pub(crate) fn link_at(log: &[Link], index: Index) -> Option<Link> {
    let at = usize::try_from(index.0).ok()?.checked_sub(1)?;
    log.get(at).copied()
}

/// Length of a log as an index.
pub(crate) fn end_of(log: &[Link]) -> Index {
    Index(log.len() as u64)
}

#[cfg(test)]
mod tests;
