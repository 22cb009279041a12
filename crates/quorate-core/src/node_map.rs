//! A small map from nodes to what is known of them, in ascending order.
//!
//! A cluster has a handful of nodes: one sorted vector beats a tree in every step.

use crate::id::NodeId;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeMap<T> {
    entries: Vec<(NodeId, T)>,
}

impl<T> NodeMap<T> {
    /// A map of nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self { entries: Vec::new() }
    }

    /// What is known of a node.
    #[must_use]
    #[inline]
    pub fn get(&self, id: NodeId) -> Option<&T> {
        self.entries.iter().find(|(other, _)| *other == id).map(|(_, value)| value)
    }

    /// As [`Self::get`], to change it.
    #[inline]
    pub fn get_mut(&mut self, id: NodeId) -> Option<&mut T> {
        self.entries.iter_mut().find(|(other, _)| *other == id).map(|(_, value)| value)
    }

    /// What is known of a node; `value` from here on, where nothing was.
    pub fn get_or_insert(&mut self, id: NodeId, value: T) -> &mut T {
        self.get_or_insert_with(id, || value)
    }

    /// As [`Self::get_or_insert`], for a value that is made only where it is needed.
    pub fn get_or_insert_with(&mut self, id: NodeId, make: impl FnOnce() -> T) -> &mut T {
        let at = match self.position(id) {
            Ok(at) => at,
            Err(at) => {
                self.entries.insert(at, (id, make()));
                at
            }
        };
        &mut self.entries[at].1
    }

    /// Every node, with what is known of it.
    pub fn iter(&self) -> impl Iterator<Item = (NodeId, &T)> {
        self.entries.iter().map(|(id, value)| (*id, value))
    }

    /// As [`Self::iter`], to change it.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (NodeId, &mut T)> {
        self.entries.iter_mut().map(|(id, value)| (*id, value))
    }

    /// Every node.
    pub fn ids(&self) -> impl Iterator<Item = NodeId> {
        self.entries.iter().map(|(id, _)| *id)
    }

    /// What is known of each node.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.entries.iter().map(|(_, value)| value)
    }

    /// As [`Self::values`], to change them.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.entries.iter_mut().map(|(_, value)| value)
    }

    /// Where a node is, or would be. What is short is walked: that costs less than halving it.
    fn position(&self, id: NodeId) -> Result<usize, usize> {
        for (at, (other, _)) in self.entries.iter().enumerate() {
            if *other >= id {
                return if *other == id { Ok(at) } else { Err(at) };
            }
        }
        Err(self.entries.len())
    }
}

impl<T> Default for NodeMap<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> FromIterator<(NodeId, T)> for NodeMap<T> {
    fn from_iter<I: IntoIterator<Item = (NodeId, T)>>(entries: I) -> Self {
        let mut map = Self::new();
        for (id, value) in entries {
            map.get_or_insert(id, value);
        }
        map
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u64) -> NodeId {
        NodeId::new(number).unwrap()
    }

    #[test]
    fn it_holds_each_node_once_in_ascending_order() {
        let mut map: NodeMap<u64> =
            [5, 2, 9].map(|number| (id(number), number)).into_iter().collect();
        assert_eq!(*map.get_or_insert(id(2), 7), 2, "what is known stays");
        assert_eq!(*map.get_or_insert(id(1), 1), 1);
        *map.get_mut(id(9)).unwrap() = 90;
        assert_eq!(map.ids().collect::<Vec<_>>(), [1, 2, 5, 9].map(id));
        assert_eq!(map.values().copied().collect::<Vec<_>>(), [1, 2, 5, 90]);
        assert_eq!((map.get(id(5)), map.get(id(3)), map.get(id(10))), (Some(&5), None, None));
        assert_eq!(map.iter_mut().last(), Some((id(9), &mut 90)));
    }
}
