//! A persistent ordered set of versions: a B+ tree whose nodes are shared between copies.
//!
//! A clone costs one reference count. A change copies only those nodes on its path that another
//! clone still holds; without clones it works in place. Every inner node counts what is below
//! each child, so that a position has a rank, a range has a size without being walked, and an
//! iterator needs no comparison of keys.
//!
//! Why not a ready-made map: `docs/decisions/0002-store-map.md`.
//!
//! Invariants (checked by `assert_valid` in tests):
//! - versions stand in strictly rising position, which is the key and, by [`ByRevision`], the mod
//!   revision;
//! - a bound is above everything in the child before it and not above anything in the child
//!   after it; bounds are copies of keys, so that they keep no version alive;
//! - all leaves have one depth; no node but the root is empty; none exceeds its capacity.

mod build;
mod iter;
mod sorted;
#[cfg(test)]
mod tests;

use core::marker::PhantomData;
use core::ops::Range;
use std::sync::Arc;

pub(crate) use build::TreeBuilder;
pub(crate) use iter::{Iter, IterBack};
use sorted::{Keyed, Sorted, roomy, split_roomy};

use crate::key_value::KeyValue;

/// Most versions in a leaf and children of an inner node.
const CAPACITY: usize = 64;

/// A node with fewer is joined with a neighbour where both fit into one.
const SPARSE: usize = CAPACITY / 4;

/// Where a version stands in a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position<'a> {
    pub(crate) key: &'a [u8],
    /// Always zero in a tree that is ordered by key alone.
    pub(crate) revision: i64,
}

impl<'a> Position<'a> {
    /// The first position that a key can have.
    pub(crate) const fn first_of(key: &'a [u8]) -> Self {
        Self { key, revision: 0 }
    }

    /// Behind every position that a key can have.
    pub(crate) const fn after_all_of(key: &'a [u8]) -> Self {
        Self { key, revision: i64::MAX }
    }
}

/// What versions are ordered by.
pub(crate) trait Order: Clone {
    /// Where a version stands.
    fn position(kv: &KeyValue) -> Position<'_>;
}

/// One version per key.
#[derive(Clone, Debug)]
pub(crate) struct ByKey;

/// Many versions per key, in the order of their mod revisions.
#[derive(Clone, Debug)]
pub(crate) struct ByRevision;

impl Order for ByKey {
    fn position(kv: &KeyValue) -> Position<'_> {
        Position::first_of(kv.key())
    }
}

impl Order for ByRevision {
    fn position(kv: &KeyValue) -> Position<'_> {
        Position { key: kv.key(), revision: kv.mod_revision().get() }
    }
}

/// A persistent ordered set of versions.
#[derive(Clone, Debug)]
pub(crate) struct Tree<O> {
    root: Arc<Node>,
    len: usize,
    order: PhantomData<O>,
}

#[derive(Debug)]
enum Node {
    Leaf(Sorted<KeyValue>),
    Inner(Inner),
}

#[derive(Debug)]
struct Inner {
    /// One less than children; shared by copies of the node, because it changes only when a
    /// child splits or is joined.
    bounds: Arc<Sorted<Bound>>,
    children: Vec<Arc<Node>>,
    /// Versions below each child.
    counts: Vec<usize>,
}

/// Owned copy of the position that separates two children.
#[derive(Clone, Debug)]
struct Bound {
    key: Box<[u8]>,
    revision: i64,
}

/// What putting a version into a node came to.
enum Inserted {
    Added,
    Replaced(KeyValue),
    /// Added, and the node gave its upper half away.
    Split(Bound, Arc<Node>),
}

impl Bound {
    fn of(position: Position<'_>) -> Self {
        Self { key: position.key.into(), revision: position.revision }
    }

    fn position(&self) -> Position<'_> {
        Position { key: &self.key, revision: self.revision }
    }
}

impl Keyed for Bound {
    fn key(&self) -> &[u8] {
        &self.key
    }
}

impl Clone for Node {
    fn clone(&self) -> Self {
        match self {
            Self::Leaf(kvs) => Self::Leaf(kvs.clone()),
            Self::Inner(inner) => Self::Inner(Inner {
                bounds: Arc::clone(&inner.bounds),
                children: roomy(&inner.children),
                counts: roomy(&inner.counts),
            }),
        }
    }
}

impl Node {
    /// Versions or children that the node holds itself.
    fn width(&self) -> usize {
        match self {
            Self::Leaf(kvs) => kvs.items.len(),
            Self::Inner(inner) => inner.children.len(),
        }
    }

    /// Versions below the node.
    fn count(&self) -> usize {
        match self {
            Self::Leaf(kvs) => kvs.items.len(),
            Self::Inner(inner) => inner.counts.iter().sum(),
        }
    }
}

impl Inner {
    /// Which child covers a position.
    fn child_at(&self, at: Position<'_>) -> usize {
        self.bounds.partition(at.key, |bound| bound.position() <= at)
    }

    /// Makes room for one more child by giving the upper part of the children away.
    fn split(&mut self, inserting_at: usize) -> (Bound, Self) {
        let cut = split_point(self.children.len(), inserting_at);
        let bounds = Arc::make_mut(&mut self.bounds);
        let upper_bounds = bounds.split_off(cut);
        let bound = bounds.pop().expect("a split leaves at least one child on either side");
        let upper = Self {
            bounds: Arc::new(upper_bounds),
            children: split_roomy(&mut self.children, cut),
            counts: split_roomy(&mut self.counts, cut),
        };
        (bound, upper)
    }

    /// Takes in the child that `child` split off.
    fn adopt(&mut self, child: usize, bound: Bound, upper: Arc<Node>) {
        let count = upper.count();
        Arc::make_mut(&mut self.bounds).insert(child, bound);
        self.children.insert(child + 1, upper);
        self.counts.insert(child + 1, count);
        self.counts[child] -= count;
    }

    /// Drops a child that was emptied; joins a sparse one with a neighbour.
    fn tend(&mut self, child: usize) {
        if self.children.len() == 1 || self.children[child].width() >= SPARSE {
            return;
        }
        let left = child.saturating_sub(1);
        if self.counts[child] == 0 {
            Arc::make_mut(&mut self.bounds).remove(left);
            self.children.remove(child);
            self.counts.remove(child);
            return;
        }
        if self.children[left].width() + self.children[left + 1].width() > CAPACITY {
            return;
        }
        let bound = Arc::make_mut(&mut self.bounds).remove(left);
        let right = Arc::unwrap_or_clone(self.children.remove(left + 1));
        self.counts[left] += self.counts.remove(left + 1);
        match (Arc::make_mut(&mut self.children[left]), right) {
            (Node::Leaf(left), Node::Leaf(mut right)) => left.append(&mut right),
            (Node::Inner(left), Node::Inner(mut right)) => {
                let bounds = Arc::make_mut(&mut left.bounds);
                bounds.insert(bounds.items.len(), bound);
                bounds.append(Arc::make_mut(&mut right.bounds));
                left.children.append(&mut right.children);
                left.counts.append(&mut right.counts);
            }
            (Node::Leaf(_), Node::Inner(_)) | (Node::Inner(_), Node::Leaf(_)) => {
                unreachable!("all leaves have one depth")
            }
        }
    }
}

/// Where a full node splits: in the middle, or at its end when it grows there, so that keys that
/// come in order fill their nodes.
const fn split_point(width: usize, inserting_at: usize) -> usize {
    if inserting_at == width { width - 1 } else { width / 2 }
}

impl<O: Order> Default for Tree<O> {
    fn default() -> Self {
        Self { root: Arc::new(Node::Leaf(Sorted::new(roomy(&[])))), len: 0, order: PhantomData }
    }
}

impl<O: Order> Tree<O> {
    /// How many versions there are.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Puts a version in; returns the one that stood at its position.
    pub(crate) fn insert(&mut self, kv: KeyValue) -> Option<KeyValue> {
        match insert_into::<O>(&mut self.root, kv) {
            Inserted::Replaced(old) => return Some(old),
            Inserted::Added => {}
            Inserted::Split(bound, upper) => {
                let upper_count = upper.count();
                let lower = core::mem::replace(
                    &mut self.root,
                    Arc::new(Node::Leaf(Sorted::new(Vec::new()))),
                );
                self.root = Arc::new(Node::Inner(Inner {
                    bounds: Arc::new(Sorted::new(roomy(&[bound]))),
                    children: roomy(&[lower, upper]),
                    counts: roomy(&[self.len + 1 - upper_count, upper_count]),
                }));
            }
        }
        self.len += 1;
        None
    }

    /// Takes out the version at exactly this position.
    pub(crate) fn remove(&mut self, at: Position<'_>) -> Option<KeyValue> {
        // Looking first keeps the nodes on the path shared when there is nothing to take out.
        self.get(at)?;
        let removed = remove_from::<O>(&mut self.root, at);
        self.len -= 1;
        while let Node::Inner(inner) = &*self.root {
            if inner.children.len() > 1 {
                break;
            }
            let only = Arc::clone(&inner.children[0]);
            self.root = only;
        }
        Some(removed)
    }

    /// The version at exactly this position.
    pub(crate) fn get(&self, at: Position<'_>) -> Option<&KeyValue> {
        let mut node = &*self.root;
        loop {
            match node {
                Node::Inner(inner) => node = &inner.children[inner.child_at(at)],
                Node::Leaf(kvs) => {
                    let index = kvs.partition(at.key, |kv| O::position(kv) < at);
                    return kvs.items.get(index).filter(|kv| O::position(kv) == at);
                }
            }
        }
    }

    /// How many versions stand before this position.
    pub(crate) fn rank(&self, at: Position<'_>) -> usize {
        let mut node = &*self.root;
        let mut before = 0;
        loop {
            match node {
                Node::Inner(inner) => {
                    let child = inner.child_at(at);
                    before += inner.counts[..child].iter().sum::<usize>();
                    node = &inner.children[child];
                }
                Node::Leaf(kvs) => {
                    return before + kvs.partition(at.key, |kv| O::position(kv) < at);
                }
            }
        }
    }

    /// The version with so many before it.
    pub(crate) fn nth(&self, rank: usize) -> Option<&KeyValue> {
        self.iter(rank..self.len).next()
    }

    /// Versions by rank, in rising order.
    pub(crate) fn iter(&self, ranks: Range<usize>) -> Iter<'_> {
        Iter::new(&self.root, ranks)
    }

    /// Versions by rank, in falling order.
    pub(crate) fn iter_back(&self, ranks: Range<usize>) -> IterBack<'_> {
        IterBack::new(&self.root, ranks)
    }
}

fn insert_into<O: Order>(node: &mut Arc<Node>, kv: KeyValue) -> Inserted {
    match Arc::make_mut(node) {
        Node::Leaf(kvs) => insert_into_leaf::<O>(kvs, kv),
        Node::Inner(inner) => {
            let child = inner.child_at(O::position(&kv));
            match insert_into::<O>(&mut inner.children[child], kv) {
                Inserted::Replaced(old) => Inserted::Replaced(old),
                Inserted::Added => {
                    inner.counts[child] += 1;
                    Inserted::Added
                }
                Inserted::Split(bound, upper) => {
                    inner.counts[child] += 1;
                    if inner.children.len() < CAPACITY {
                        inner.adopt(child, bound, upper);
                        return Inserted::Added;
                    }
                    let (middle, mut sibling) = inner.split(child + 1);
                    if child < inner.children.len() {
                        inner.adopt(child, bound, upper);
                    } else {
                        sibling.adopt(child - inner.children.len(), bound, upper);
                    }
                    Inserted::Split(middle, Arc::new(Node::Inner(sibling)))
                }
            }
        }
    }
}

fn insert_into_leaf<O: Order>(kvs: &mut Sorted<KeyValue>, kv: KeyValue) -> Inserted {
    let position = O::position(&kv);
    let at = kvs.partition(position.key, |other| O::position(other) < position);
    if let Some(other) = kvs.items.get_mut(at)
        && O::position(other) == position
    {
        return Inserted::Replaced(core::mem::replace(other, kv));
    }
    if kvs.items.len() < CAPACITY {
        kvs.insert(at, kv);
        return Inserted::Added;
    }
    let mut upper = kvs.split_off(split_point(CAPACITY, at));
    match at.checked_sub(kvs.items.len()) {
        Some(at) if at > 0 => upper.insert(at, kv),
        _ => kvs.insert(at, kv),
    }
    let bound = Bound::of(O::position(&upper.items[0]));
    Inserted::Split(bound, Arc::new(Node::Leaf(upper)))
}

/// Takes out the version at a position where one stands.
fn remove_from<O: Order>(node: &mut Arc<Node>, at: Position<'_>) -> KeyValue {
    match Arc::make_mut(node) {
        Node::Leaf(kvs) => {
            let index = kvs.partition(at.key, |kv| O::position(kv) < at);
            kvs.remove(index)
        }
        Node::Inner(inner) => {
            let child = inner.child_at(at);
            let removed = remove_from::<O>(&mut inner.children[child], at);
            inner.counts[child] -= 1;
            inner.tend(child);
            removed
        }
    }
}
