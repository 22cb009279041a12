//! Bits of snapshots that rot on a disk, and what is known of them.
//!
//! The checks are told: a node may refuse to come back while a file of its own is damaged, and what a
//! damaged file is sent to is rejected. Nobody may take the state of one. Somebody puts the file back
//! after a while, as an operator would from a copy.

use quorate::StateMachine;

use super::World;
use super::node::State;
use super::workload::Workload;
use crate::rng::Rng;

/// Letters of a file's name that say which entry its snapshot ends with.
const STEM: usize = 38;

/// A bit that flipped.
#[derive(Clone, Debug)]
pub(super) struct Rotten {
    node: usize,
    /// What the names of all files of this snapshot begin with: it may get its final one meanwhile.
    stem: String,
    at: usize,
    /// The byte with the flipped bit.
    found: u8,
    bit: u8,
}

impl<M: StateMachine + Default, W: Workload<M>> World<M, W> {
    /// A bit of a snapshot flips on the disk of a node; says whether there was one. One is damaged at
    /// a time.
    pub(super) fn rot_a_snapshot(&mut self, node: usize, rng: &mut Rng) -> bool {
        if self.rotten.is_some() {
            return false;
        }
        let disk = &self.nodes[node].disk;
        let is_snapshot = |name: &String| name.ends_with(".snap") || name.ends_with(".part");
        let names: Vec<String> = disk.names().into_iter().filter(is_snapshot).collect();
        if names.is_empty() {
            return false;
        }
        let name = &names[rng.index(names.len())];
        let length = disk.bytes(name).map_or(0, |bytes| bytes.len());
        if length == 0 {
            return false;
        }
        let (at, bit) = (rng.index(length), 1 << rng.range(0..8_u8));
        let mut found = 0;
        disk.corrupt(name, |bytes| {
            bytes[at] ^= bit;
            found = bytes[at];
        });
        let stem = name.get(..STEM).unwrap_or(name).to_owned();
        self.rotten = Some(Rotten { node, stem, at, found, bit });
        self.facts.snapshot_rots(node, true);
        true
    }

    /// The file that was damaged is put back, where it is still there.
    pub(super) fn put_snapshot_back(&mut self) {
        let Some(Rotten { node, stem, at, found, bit }) = self.rotten.take() else { return };
        let disk = &self.nodes[node].disk;
        for name in disk.names().iter().filter(|name| name.starts_with(&stem)) {
            // What was written anew meanwhile is as it should be.
            let is_rotten = disk.bytes(name).is_some_and(|bytes| bytes.get(at) == Some(&found));
            if is_rotten {
                disk.corrupt(name, |bytes| bytes[at] ^= bit);
            }
        }
        // A node that opens its directory may have read the file before.
        if !matches!(self.nodes[node].state, State::Opening(_)) {
            self.facts.snapshot_rots(node, false);
        }
    }

    /// What was put back while a node opened its directory excuses nothing from here on.
    pub(super) fn forget_old_rot(&mut self, node: usize) {
        if self.rotten.as_ref().is_none_or(|rotten| rotten.node != node) {
            self.facts.snapshot_rots(node, false);
        }
    }
}
