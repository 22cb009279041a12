//! Walks a tree by rank. The number of steps is known from the start, so no key is compared.

use core::ops::Range;
use std::sync::Arc;

use super::{Inner, Node};
use crate::key_value::KeyValue;

/// Versions in rising order.
#[derive(Debug)]
pub(crate) struct Iter<'a> {
    /// The inner nodes above the leaf, each with the child that comes after the present one.
    path: Vec<(&'a Inner, usize)>,
    leaf: &'a [KeyValue],
    remaining: usize,
}

impl<'a> Iter<'a> {
    pub(super) fn new(root: &'a Arc<Node>, ranks: Range<usize>) -> Self {
        let mut iter = Self { path: Vec::new(), leaf: &[], remaining: ranks.len() };
        if iter.remaining > 0 {
            iter.descend(root, ranks.start);
        }
        iter
    }

    /// Walks over one version, or none.
    pub(crate) fn of(kv: Option<&'a KeyValue>) -> Self {
        let leaf = kv.map(core::slice::from_ref).unwrap_or_default();
        Self { path: Vec::new(), leaf, remaining: leaf.len() }
    }

    fn descend(&mut self, mut node: &'a Node, mut rank: usize) {
        loop {
            match node {
                Node::Leaf(kvs) => {
                    self.leaf = &kvs.items[rank.min(kvs.items.len())..];
                    return;
                }
                Node::Inner(inner) => {
                    let mut child = 0;
                    while child + 1 < inner.counts.len() && rank >= inner.counts[child] {
                        rank -= inner.counts[child];
                        child += 1;
                    }
                    self.path.push((inner, child + 1));
                    node = &inner.children[child];
                }
            }
        }
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = &'a KeyValue;

    fn next(&mut self) -> Option<&'a KeyValue> {
        if self.remaining == 0 {
            return None;
        }
        while self.leaf.is_empty() {
            let (inner, next) = self.path.last_mut()?;
            if let Some(child) = inner.children.get(*next) {
                *next += 1;
                self.descend(child, 0);
            } else {
                self.path.pop();
            }
        }
        let (kv, rest) = self.leaf.split_first()?;
        self.leaf = rest;
        self.remaining -= 1;
        Some(kv)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.remaining, Some(self.remaining))
    }
}

impl ExactSizeIterator for Iter<'_> {}

/// Versions in falling order.
#[derive(Debug)]
pub(crate) struct IterBack<'a> {
    /// The inner nodes above the leaf, each with the child that the leaf is in.
    path: Vec<(&'a Inner, usize)>,
    leaf: &'a [KeyValue],
    remaining: usize,
}

impl<'a> IterBack<'a> {
    pub(super) fn new(root: &'a Arc<Node>, ranks: Range<usize>) -> Self {
        let mut iter = Self { path: Vec::new(), leaf: &[], remaining: ranks.len() };
        if iter.remaining > 0 {
            iter.descend(root, Some(ranks.end));
        }
        iter
    }

    /// Goes down to the leaf that holds the last of the first `end` versions below `node`; to the
    /// last leaf without an end.
    fn descend(&mut self, mut node: &'a Node, mut end: Option<usize>) {
        loop {
            match node {
                Node::Leaf(kvs) => {
                    let len = kvs.items.len();
                    self.leaf = &kvs.items[..end.map_or(len, |end| end.min(len))];
                    return;
                }
                Node::Inner(inner) => {
                    let mut child = inner.children.len() - 1;
                    if let Some(end) = &mut end {
                        child = 0;
                        while child + 1 < inner.counts.len() && *end > inner.counts[child] {
                            *end -= inner.counts[child];
                            child += 1;
                        }
                    }
                    self.path.push((inner, child));
                    node = &inner.children[child];
                }
            }
        }
    }
}

impl<'a> Iterator for IterBack<'a> {
    type Item = &'a KeyValue;

    fn next(&mut self) -> Option<&'a KeyValue> {
        if self.remaining == 0 {
            return None;
        }
        while self.leaf.is_empty() {
            let (inner, child) = self.path.last_mut()?;
            if *child == 0 {
                self.path.pop();
            } else {
                *child -= 1;
                let node = &inner.children[*child];
                self.descend(node, None);
            }
        }
        let (kv, rest) = self.leaf.split_last()?;
        self.leaf = rest;
        self.remaining -= 1;
        Some(kv)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.remaining, Some(self.remaining))
    }
}
