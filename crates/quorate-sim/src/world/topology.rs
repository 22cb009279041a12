//! Which links stand: every reason why one does not comes and goes on its own, so that partitions
//! nest and overlap.

use core::fmt;
use std::collections::BTreeMap;

use super::plan::Fault;

/// How the nodes are cut off from each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    /// All links stand.
    Whole,
    /// Two sides; a node on neither talks to all.
    Split(Vec<usize>, Vec<usize>),
    /// Nothing that this node says is heard.
    Mute(usize),
    /// Nothing that is said reaches this node.
    Deaf(usize),
    /// Each node talks to its neighbours in this order, round or with the ends apart.
    Row(Vec<usize>, bool),
}

impl Shape {
    fn cuts(&self, from: usize, to: usize) -> bool {
        match self {
            Self::Whole => false,
            Self::Split(left, right) => {
                (left.contains(&from) && right.contains(&to))
                    || (right.contains(&from) && left.contains(&to))
            }
            Self::Mute(node) => from == *node,
            Self::Deaf(node) => to == *node,
            Self::Row(order, round) => {
                let place = |node| order.iter().position(|other| *other == node);
                let (Some(a), Some(b)) = (place(from), place(to)) else { return false };
                let apart = a.abs_diff(b);
                apart > 1 && !(*round && apart == order.len() - 1)
            }
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => f.write_str("whole"),
            Self::Split(left, right) => {
                write!(f, "split: {} | {}", names(left, " "), names(right, " "))
            }
            Self::Mute(node) => write!(f, "whole, but nobody hears n{}", node + 1),
            Self::Deaf(node) => write!(f, "whole, but n{} hears nobody", node + 1),
            Self::Row(order, true) => write!(f, "a ring: {}", names(order, " - ")),
            Self::Row(order, false) => write!(f, "a chain: {}", names(order, " - ")),
        }
    }
}

fn names(nodes: &[usize], between: &str) -> String {
    let names: Vec<String> = nodes.iter().map(|node| format!("n{}", node + 1)).collect();
    names.join(between)
}

/// The kinds of faults for which something is cut.
#[derive(Clone, Copy, Debug, Default)]
struct Reasons(u64);

impl Reasons {
    const fn set(&mut self, kind: Fault, is_one: bool) {
        let bit = 1 << kind as u64;
        self.0 = if is_one { self.0 | bit } else { self.0 & !bit };
    }

    const fn has(self, kind: Fault) -> bool {
        self.0 & (1 << kind as u64) != 0
    }

    const fn any(self) -> bool {
        self.0 != 0
    }
}

/// All links, and why those are cut that are.
#[derive(Debug)]
pub(crate) struct Topology {
    nodes: usize,
    /// Why nothing passes, for each sender and receiver.
    cut: Vec<Reasons>,
    /// Why nobody talks with a node.
    alone: Vec<Reasons>,
    /// The shapes that cut links, one of a kind.
    shapes: BTreeMap<Fault, Shape>,
}

impl Topology {
    /// Every link stands.
    pub(crate) fn new(nodes: usize) -> Self {
        let cut = vec![Reasons::default(); nodes * nodes];
        Self { nodes, cut, alone: vec![Reasons::default(); nodes], shapes: BTreeMap::new() }
    }

    /// Every link stands again.
    pub(crate) fn mend(&mut self) {
        *self = Self::new(self.nodes);
    }

    /// Whether nothing passes from one node to another.
    pub(crate) fn is_cut(&self, from: usize, to: usize) -> bool {
        let [one, other] = [self.alone[from], self.alone[to]];
        self.cut[from * self.nodes + to].any() || one.any() || other.any()
    }

    /// Whether a kind is among the reasons why nothing passes from one node to another.
    pub(crate) fn is_cut_by(&self, kind: Fault, from: usize, to: usize) -> bool {
        self.cut[from * self.nodes + to].has(kind)
    }

    /// One direction of a link is cut by a kind, or no longer by that one.
    pub(crate) fn cut(&mut self, kind: Fault, from: usize, to: usize, is_cut: bool) {
        self.cut[from * self.nodes + to].set(kind, is_cut);
    }

    /// Nobody talks with a node because of a kind, or no longer because of that one. Says whether a
    /// link went down that stood.
    pub(crate) fn isolate(&mut self, kind: Fault, node: usize, is_alone: bool) -> bool {
        let stood = (0..self.nodes)
            .any(|peer| peer != node && !(self.is_cut(node, peer) && self.is_cut(peer, node)));
        self.alone[node].set(kind, is_alone);
        is_alone && stood
    }

    /// Whether nobody talks with a node, for any reason.
    pub(crate) fn is_isolated(&self, node: usize) -> bool {
        self.alone[node].any()
    }

    /// A kind gives the network this shape, in place of one that it gave it before and on top of
    /// those of other kinds. Says whether a link went down that stood.
    pub(crate) fn take_shape(&mut self, kind: Fault, shape: Shape) -> bool {
        let mut is_felt = false;
        for from in 0..self.nodes {
            for to in (0..self.nodes).filter(|to| *to != from) {
                let cuts = shape.cuts(from, to);
                is_felt |= cuts && !self.is_cut(from, to);
                self.cut(kind, from, to, cuts);
            }
        }
        match shape {
            Shape::Whole => drop(self.shapes.remove(&kind)),
            shape => drop(self.shapes.insert(kind, shape)),
        }
        is_felt
    }

    /// No kind gives the network a shape any more.
    pub(crate) fn forget_shapes(&mut self) {
        let kinds: Vec<Fault> = self.shapes.keys().copied().collect();
        for kind in kinds {
            self.take_shape(kind, Shape::Whole);
        }
    }

    /// Kinds that give the network more than one shape at this moment.
    pub(crate) fn overlap(&self) -> bool {
        self.shapes.len() > 1
    }
}

impl fmt::Display for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shapes: Vec<String> = self.shapes.values().map(ToString::to_string).collect();
        let alone: Vec<usize> = (0..self.nodes).filter(|node| self.is_isolated(*node)).collect();
        f.write_str(&if shapes.is_empty() { "whole".to_owned() } else { shapes.join("; and ") })?;
        if alone.is_empty() { Ok(()) } else { write!(f, "; alone: {}", names(&alone, " ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cuts(topology: &Topology) -> Vec<(usize, usize)> {
        let pairs = (0..4).flat_map(|from| (0..4).map(move |to| (from, to)));
        pairs.filter(|(from, to)| topology.is_cut(*from, *to)).collect()
    }

    #[test]
    fn shapes_of_two_kinds_lie_on_top_of_each_other() {
        let mut topology = Topology::new(4);
        assert!(topology.take_shape(Fault::Split, Shape::Split(vec![0, 1], vec![2, 3])));
        let outer = cuts(&topology);
        assert_eq!(outer.len(), 8);
        // One inside a side of the other.
        assert!(topology.take_shape(Fault::Bridge, Shape::Split(vec![0], vec![1])));
        assert_eq!(cuts(&topology).len(), 10);
        assert_eq!(topology.to_string(), "split: n1 n2 | n3 n4; and split: n1 | n2");
        assert!(topology.overlap());
        // One that changes nothing is not felt, and goes without mending what another cut.
        assert!(!topology.take_shape(Fault::Chain, Shape::Split(vec![1], vec![2])));
        topology.take_shape(Fault::Chain, Shape::Whole);
        topology.take_shape(Fault::Bridge, Shape::Whole);
        assert_eq!(cuts(&topology), outer);
        topology.forget_shapes();
        assert_eq!((cuts(&topology), topology.to_string()), (Vec::new(), "whole".to_owned()));
    }

    #[test]
    fn a_node_is_alone_until_no_kind_isolates_it() {
        let mut topology = Topology::new(4);
        assert!(topology.isolate(Fault::Swizzle, 1, true));
        assert!(!topology.isolate(Fault::Split, 1, true), "it was alone");
        assert!(!topology.isolate(Fault::Swizzle, 1, false));
        assert_eq!(cuts(&topology).len(), 7, "all its links and itself");
        topology.cut(Fault::Flap, 0, 2, true);
        assert!(topology.is_cut_by(Fault::Flap, 0, 2) && !topology.is_cut_by(Fault::Flap, 2, 0));
        topology.isolate(Fault::Split, 1, false);
        assert_eq!(cuts(&topology), [(0, 2)]);
        topology.mend();
        assert_eq!(cuts(&topology), []);
    }
}
