//! The tree against a plain ordered map.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::key_value::Stamp;

fn version(key: &[u8], mod_revision: i64) -> KeyValue {
    let stamp = Stamp { create_revision: 1, mod_revision, version: 1, lease: 0 };
    KeyValue::assemble(key, b"", stamp)
}

impl<O: Order> Tree<O> {
    /// Panics where an invariant of the module does not hold.
    pub(super) fn assert_valid(&self) {
        let mut depths = Vec::new();
        assert_eq!(check::<O>(&self.root, None, None, 0, &mut depths), self.len);
        depths.dedup();
        assert_eq!(depths.len(), 1, "all leaves have one depth");
        let all: Vec<_> = self.iter(0..self.len).collect();
        assert_eq!(all.len(), self.len);
        assert!(all.windows(2).all(|pair| O::position(pair[0]) < O::position(pair[1])));
    }
}

fn check<O: Order>(
    node: &Node,
    from: Option<Position<'_>>,
    below: Option<Position<'_>>,
    depth: usize,
    depths: &mut Vec<usize>,
) -> usize {
    assert!(depth == 0 || node.width() > 0, "only the root may be empty");
    assert!(node.width() <= CAPACITY);
    match node {
        Node::Leaf(kvs) => {
            depths.push(depth);
            kvs.assert_valid();
            for kv in &kvs.items {
                assert!(from.is_none_or(|from| from <= O::position(kv)));
                assert!(below.is_none_or(|below| O::position(kv) < below));
            }
            kvs.items.len()
        }
        Node::Inner(inner) => {
            inner.bounds.assert_valid();
            assert_eq!(inner.bounds.items.len() + 1, inner.children.len());
            assert_eq!(inner.counts.len(), inner.children.len());
            for (i, child) in inner.children.iter().enumerate() {
                let from = if i == 0 { from } else { Some(inner.bounds.items[i - 1].position()) };
                let below = inner.bounds.items.get(i).map(Bound::position).or(below);
                assert_eq!(
                    check::<O>(child, from, below, depth + 1, depths),
                    inner.counts[i],
                    "every child is counted"
                );
            }
            node.count()
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Insert(u16, i64),
    Remove(u16, i64),
    RemoveMany(u16, u16),
    Keep,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (0..2000_u16, 1..4_i64).prop_map(|(key, revision)| Step::Insert(key, revision)),
        4 => (0..2000_u16, 1..4_i64).prop_map(|(key, revision)| Step::Remove(key, revision)),
        1 => (0..2000_u16, 0..400_u16).prop_map(|(key, many)| Step::RemoveMany(key, many)),
        1 => Just(Step::Keep),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn a_tree_behaves_as_an_ordered_map_and_copies_keep_what_they_saw(
        sequential in 0..3000_u16,
        steps in prop::collection::vec(step(), 1..1500),
    ) {
        let mut tree = Tree::<ByRevision>::default();
        let mut model = BTreeMap::new();
        let mut kept = Vec::new();
        for key in 0..sequential {
            let key = key.to_be_bytes();
            tree.insert(version(&key, 1));
            model.insert((key.to_vec(), 1), version(&key, 1));
        }
        for step in steps {
            match step {
                Step::Insert(key, revision) => {
                    let kv = version(&key.to_be_bytes(), revision);
                    let old = model.insert((kv.key().to_vec(), revision), kv.clone());
                    prop_assert_eq!(tree.insert(kv), old);
                }
                Step::Remove(key, revision) => remove(&mut tree, &mut model, key, revision),
                Step::RemoveMany(first, many) => {
                    for key in first..first + many {
                        (1..4).for_each(|revision| remove(&mut tree, &mut model, key, revision));
                    }
                }
                Step::Keep => kept.push((tree.clone(), model.clone())),
            }
            prop_assert_eq!(tree.len(), model.len());
        }
        kept.push((tree, model));
        for (tree, model) in kept {
            tree.assert_valid();
            prop_assert!(tree.iter(0..tree.len()).eq(model.values()));
            prop_assert!(tree.iter_back(0..tree.len()).eq(model.values().rev()));
            let (low, high) = (tree.len() / 3, tree.len() / 2);
            prop_assert!(tree.iter(low..high).eq(model.values().skip(low).take(high - low)));
            prop_assert!(tree
                .iter_back(low..high)
                .eq(model.values().skip(low).take(high - low).rev()));
            for key in (0..2100_u16).step_by(7) {
                let key = key.to_be_bytes();
                let at = Position { key: &key, revision: 2 };
                let rank = model.range(..(key.to_vec(), 2)).count();
                prop_assert_eq!(tree.rank(at), rank);
                prop_assert_eq!(tree.nth(rank), model.values().nth(rank));
                prop_assert_eq!(tree.get(at), model.get(&(key.to_vec(), 2)));
            }
        }
    }
}

fn remove(
    tree: &mut Tree<ByRevision>,
    model: &mut BTreeMap<(Vec<u8>, i64), KeyValue>,
    key: u16,
    revision: i64,
) {
    let key = key.to_be_bytes();
    let removed = tree.remove(Position { key: &key, revision });
    assert_eq!(removed, model.remove(&(key.to_vec(), revision)));
}

#[test]
fn keys_that_come_in_order_fill_their_leaves() {
    let mut tree = Tree::<ByKey>::default();
    for key in 0..10_000_u32 {
        tree.insert(version(&key.to_be_bytes(), 1));
    }
    tree.assert_valid();
    let mut leaves = 0;
    let mut nodes = vec![&tree.root];
    while let Some(node) = nodes.pop() {
        match &**node {
            Node::Leaf(_) => leaves += 1,
            Node::Inner(inner) => nodes.extend(&inner.children),
        }
    }
    assert!(leaves <= 10_000 / (CAPACITY - 1) + 1, "{leaves} leaves");
}

#[test]
fn a_tree_that_was_emptied_is_one_leaf_again() {
    let mut tree = Tree::<ByKey>::default();
    let keys: Vec<_> = (0..10_000_u32).map(u32::to_be_bytes).collect();
    keys.iter().for_each(|key| assert_eq!(tree.insert(version(key, 1)), None));
    for key in keys.iter().step_by(2).chain(keys.iter().skip(1).step_by(2)) {
        assert!(tree.remove(Position::first_of(key)).is_some());
    }
    tree.assert_valid();
    assert_eq!((tree.len(), tree.root.width()), (0, 0));
    assert!(matches!(&*tree.root, Node::Leaf(_)));
}
