//! Connections between nodes: what they hear of each other besides frames, and what is refused.
//!
//! As in production, a node dials each peer for what it has to say to it, and a frame for a peer to
//! which no connection stands is refused at once. A connection over a link that was cut stands on
//! until somebody learns of its end.

use core::time::Duration;

use quorate::StateMachine;
use quorate::replica::ReplicaInput;

use super::trace::{TraceEvent, name};
use super::workload::Workload;
use super::{Event, World};

impl<M: StateMachine + Default, W: Workload<M>> World<M, W> {
    /// The connections between two nodes break, and are made anew a little later.
    pub(super) fn reset(&mut self, one: usize, other: usize) {
        for (node, peer) in [(one, other), (other, one)] {
            let (life, peer_life) = (self.nodes[node].life, self.nodes[peer].life);
            let span = self.schedule.span(Duration::from_micros(50), Duration::from_millis(5));
            self.after(span, Event::Closed { node, life, peer, peer_life });
            let span = self.schedule.span(Duration::from_millis(10), Duration::from_millis(100));
            self.after(span, Event::Connected { node, life, peer, peer_life });
        }
    }

    /// Whether the connection stands over which a node talks to a peer, as far as the node knows.
    pub(super) fn is_connected(&self, node: usize, peer: usize) -> bool {
        self.connected[node * self.nodes.len() + peer].is_some()
    }

    /// Notes with which life of a peer a connection stands, if one does.
    pub(super) fn set_connected(&mut self, node: usize, peer: usize, peer_life: Option<u64>) {
        let place = node * self.nodes.len() + peer;
        self.connected[place] = peer_life;
    }

    /// The handshakes of a node that came up.
    pub(super) fn greet(&mut self, node: usize) {
        let life = self.nodes[node].life;
        for peer in 0..self.nodes.len() {
            if peer == node || self.nodes[peer].as_live().is_none() {
                continue;
            }
            let peer_life = self.nodes[peer].life;
            let span = self.schedule.span(Duration::from_millis(1), Duration::from_millis(20));
            self.after(span, Event::Connected { node, life, peer, peer_life });
            let (node, life, peer, peer_life) = (peer, peer_life, node, life);
            self.after(span, Event::Connected { node, life, peer, peer_life });
        }
    }

    pub(super) fn connected(&mut self, node: usize, life: u64, peer: usize, peer_life: u64) {
        if self.nodes[node].life != life || self.nodes[peer].life != peer_life {
            return;
        }
        // A handshake takes both ways; it is tried again while one of them is cut.
        if self.network.topology.is_cut(node, peer) || self.network.topology.is_cut(peer, node) {
            let again = Event::Connected { node, life, peer, peer_life };
            self.after(Duration::from_millis(100), again);
            return;
        }
        // Who is not up yet shakes hands with everybody once it is.
        let Some(boot) = self.nodes[peer].as_live().map(|live| live.boot) else { return };
        if self.nodes[node].as_live().is_none() {
            return;
        }
        self.set_connected(node, peer, Some(peer_life));
        self.trace.note(self.now, || TraceEvent::Connects { node: name(node), peer: name(peer) });
        let peer = self.nodes[peer].id;
        self.give(node, ReplicaInput::PeerConnected { peer, boot });
    }

    pub(super) fn closed(&mut self, node: usize, life: u64, peer: usize, peer_life: u64) {
        // A connection with the peer's next life may stand already.
        let place = node * self.nodes.len() + peer;
        let is_old = self.connected[place].is_some_and(|stands| stands > peer_life);
        if self.nodes[node].life == life && !is_old && !self.network.topology.is_cut(peer, node) {
            self.trace.note(self.now, || TraceEvent::Closes { node: name(node), peer: name(peer) });
            self.set_connected(node, peer, None);
            let peer = self.nodes[peer].id;
            self.give(node, ReplicaInput::PeerClosed(peer));
        }
    }
}
