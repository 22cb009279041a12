//! Bits that rot on the disk of a node, by hand.
//!
//! But for snapshots, only here does anything damage what was durable. The checks are told, so that they know what the
//! node may refuse; it may never come back without what it had acknowledged.

use quorate::StateMachine;
use quorate_core::Index;

use super::super::World;
use super::super::plan::Fault;
use super::super::workload::Workload;
use crate::rng::Rng;

/// A byte of the first batch of a segment.
const IN_FIRST_BATCH: usize = 700;
/// A byte of what a copy of term and vote holds.
const IN_COPY: usize = 40;
/// The files of both copies of term and vote.
const COPIES: [&str; 2] = ["hs.a", "hs.b"];

impl<M: StateMachine + Default, W: Workload<M>> World<M, W> {
    /// A bit of the first entries of a node's log flips on its disk.
    ///
    /// # Panics
    ///
    /// When the node runs, or has no log.
    pub fn rot_first_entry(&mut self, node: usize) {
        assert!(self.nodes[node].as_live().is_none(), "disks rot while nobody looks");
        let names = self.nodes[node].disk.names();
        let first = names.iter().find(|name| name.ends_with(".seg"));
        self.flip(node, first.expect("a log has a segment"), IN_FIRST_BATCH);
        self.facts.entry_rots(node, Index(1));
    }

    /// A bit of one of the two copies of a node's term and vote flips on its disk.
    ///
    /// # Panics
    ///
    /// When the node runs, or there is no such copy.
    pub fn rot_vote(&mut self, node: usize, copy: usize) {
        assert!(self.nodes[node].as_live().is_none(), "disks rot while nobody looks");
        self.flip(node, COPIES[copy], IN_COPY);
        self.facts.copy_rots(node, copy);
    }

    /// A bit of a snapshot, whole or being received, flips on the disk of a node that runs or not.
    ///
    /// # Panics
    ///
    /// When there is none, or one is damaged already.
    pub fn rot_snapshot(&mut self, node: usize, seed: u64) {
        self.note_strike(Fault::SnapshotRot, Some(node), None);
        let rots = self.rot_a_snapshot(node, &mut Rng::new(seed));
        assert!(rots, "there is a snapshot, and no other one is damaged");
        self.count(Fault::SnapshotRot.name());
    }

    /// The file of the snapshot that was damaged is put back.
    pub fn put_back(&mut self) {
        self.put_snapshot_back();
    }

    fn flip(&self, node: usize, file: &str, at: usize) {
        self.nodes[node].disk.corrupt(file, |bytes| bytes[at] ^= 1);
    }
}
