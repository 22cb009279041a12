//! Builds a tree from versions that come in order: each node is made once, and none is searched.

use core::marker::PhantomData;
use std::sync::Arc;

use super::sorted::{Sorted, roomy};
use super::{Bound, CAPACITY, Inner, Node, Order, Tree};
use crate::key_value::KeyValue;

/// Items that a node gets: not all it has room for, so that the next change does not split it.
const FILL: usize = CAPACITY - CAPACITY / 8;

/// Takes versions in rising order.
#[derive(Debug)]
pub(crate) struct TreeBuilder<O> {
    leaf: Vec<KeyValue>,
    /// Nodes that are complete, those of each level behind each other; leaves come first.
    levels: Vec<Level>,
    len: usize,
    order: PhantomData<O>,
}

/// Nodes of one depth that have no parent yet.
#[derive(Debug, Default)]
struct Level {
    children: Vec<Arc<Node>>,
    counts: Vec<usize>,
    /// Where each child begins.
    firsts: Vec<Bound>,
}

impl<O: Order> TreeBuilder<O> {
    pub(crate) fn new() -> Self {
        Self { leaf: roomy(&[]), levels: Vec::new(), len: 0, order: PhantomData }
    }

    /// Adds a version that stands behind all that were added.
    pub(crate) fn push(&mut self, kv: KeyValue) {
        debug_assert!(
            self.leaf.last().is_none_or(|last| O::position(last) < O::position(&kv)),
            "versions come in order"
        );
        if self.leaf.len() == FILL {
            self.close_leaf();
        }
        self.leaf.push(kv);
        self.len += 1;
    }

    /// The tree of all that was added.
    pub(crate) fn finish(mut self) -> Tree<O> {
        if self.len == 0 {
            return Tree::default();
        }
        self.close_leaf();
        let mut depth = 0;
        loop {
            let is_top = depth + 1 == self.levels.len();
            if is_top && self.levels[depth].children.len() == 1 {
                let root = self.levels[depth].children.pop().expect("a level has a child");
                return Tree { root, len: self.len, order: PhantomData };
            }
            if !self.levels[depth].children.is_empty() {
                self.close_inner(depth);
            }
            depth += 1;
        }
    }

    fn close_leaf(&mut self) {
        let leaf = core::mem::replace(&mut self.leaf, roomy(&[]));
        let first = Bound::of(O::position(&leaf[0]));
        let count = leaf.len();
        self.adopt(0, first, Arc::new(Node::Leaf(Sorted::new(leaf))), count);
    }

    /// Puts a complete node behind those of its depth.
    fn adopt(&mut self, depth: usize, first: Bound, node: Arc<Node>, count: usize) {
        if self.levels.len() == depth {
            self.levels.push(Level::default());
        }
        if self.levels[depth].children.len() == FILL {
            self.close_inner(depth);
        }
        let level = &mut self.levels[depth];
        level.children.push(node);
        level.counts.push(count);
        level.firsts.push(first);
    }

    /// Makes a node of the children that wait at a depth.
    fn close_inner(&mut self, depth: usize) {
        let Level { children, counts, firsts } = core::mem::take(&mut self.levels[depth]);
        let mut firsts = firsts.into_iter();
        let first = firsts.next().expect("a node has a child");
        let mut bounds = roomy(&[]);
        bounds.extend(firsts);
        let count = counts.iter().sum();
        let inner = Inner {
            bounds: Arc::new(Sorted::new(bounds)),
            children: roomy(&children),
            counts: roomy(&counts),
        };
        self.adopt(depth + 1, first, Arc::new(Node::Inner(inner)), count);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ByKey, ByRevision, Position};
    use super::*;
    use crate::key_value::Stamp;

    fn version(number: usize) -> KeyValue {
        let stamp = Stamp { create_revision: 1, mod_revision: 1, version: 1, lease: 0 };
        KeyValue::assemble(format!("key/{number:07}").as_bytes(), b"", stamp)
    }

    #[test]
    fn a_tree_that_was_built_is_valid_and_bears_changes() {
        let sizes = [0, 1, FILL, FILL + 1, FILL * FILL, FILL * FILL + 1, FILL * FILL * 3 + 5];
        for len in sizes {
            let mut builder = TreeBuilder::<ByKey>::new();
            (0..len).for_each(|number| builder.push(version(2 * number)));
            let mut tree = builder.finish();
            tree.assert_valid();
            assert_eq!(tree.len(), len);
            assert!(tree.iter(0..len).enumerate().all(|(at, kv)| *kv == version(2 * at)));
            for number in (0..len).step_by(97) {
                assert_eq!(tree.rank(Position::first_of(version(2 * number).key())), number);
                assert_eq!(tree.insert(version(2 * number + 1)), None);
                let place = version(2 * number);
                assert!(tree.remove(Position::first_of(place.key())).is_some());
            }
            tree.assert_valid();
        }
    }

    #[test]
    fn many_versions_of_one_key_are_told_apart() {
        let mut builder = TreeBuilder::<ByRevision>::new();
        let at = |revision| {
            let stamp = Stamp { create_revision: 1, mod_revision: revision, version: 1, lease: 0 };
            KeyValue::assemble(b"key", b"", stamp)
        };
        (1..10_000).for_each(|revision| builder.push(at(revision)));
        let tree = builder.finish();
        tree.assert_valid();
        for revision in (1..10_000).step_by(77) {
            assert_eq!(tree.get(Position { key: b"key", revision }), Some(&at(revision)));
        }
    }
}
