//! What the transport tells its shell, as one queue that is taken whole.

use std::sync::{Mutex, MutexGuard, PoisonError};

use quorate_core::{BootCounter, NodeId, RequestId};
use tokio::sync::Notify;

use super::handshake::{Channel, HandshakeRefusal};
use crate::founding;
use crate::replica::Frame;

/// Which of the two connections with a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The one this node dialled and sends over.
    Outgoing,
    /// The one the peer dialled and sends over.
    Incoming,
}

/// One thing that happened.
#[derive(Debug)]
pub enum Event {
    /// A control connection passed its handshake. Frames can be sent once the outgoing one did.
    Connected {
        /// The peer.
        peer: NodeId,
        /// The boot of the peer.
        boot: BootCounter,
        /// Which connection.
        side: Side,
    },
    /// A control connection is gone: the peer may have died, and what was sent to it and not
    /// answered may or may not have arrived.
    Closed {
        /// The peer.
        peer: NodeId,
        /// Which connection.
        side: Side,
    },
    /// Frames of one peer, in the order in which it sent them.
    Frames {
        /// The peer.
        peer: NodeId,
        /// What it sent.
        frames: Vec<Frame>,
    },
    /// The bulk connection to a peer could not be made, or broke: these chunks did not leave, or may
    /// be lost. The control connections stand.
    ChunksLost {
        /// The peer.
        peer: NodeId,
        /// The numbers of the chunks.
        requests: Vec<RequestId>,
    },
    /// A peer refuses to talk to this node, for a reason other than the last time.
    Refused {
        /// The peer.
        peer: NodeId,
        /// Its reason. Where [`HandshakeRefusal::supersedes_dialer`] holds, this node must stop.
        refusal: HandshakeRefusal,
    },
    /// Another process claims to be this very node. Where its boot is the later one, this node must
    /// stop.
    Twin {
        /// The boot of the other process.
        boot: BootCounter,
    },
    /// Something happened that the founding has to be told.
    Founding(founding::Input),
}

/// Bytes that wait, or may wait, by the channel that they came over.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PerChannel {
    pub(crate) control: usize,
    pub(crate) bulk: usize,
}

impl PerChannel {
    const fn of(&mut self, channel: Channel) -> &mut usize {
        match channel {
            Channel::Control => &mut self.control,
            Channel::Bulk => &mut self.bulk,
        }
    }

    const fn has_room(self, limit: Self, channel: Channel) -> bool {
        match channel {
            Channel::Control => self.control < limit.control,
            Channel::Bulk => self.bulk < limit.bulk,
        }
    }
}

#[derive(Debug, Default)]
struct Inner {
    events: Vec<Event>,
    bytes: PerChannel,
}

/// A queue with one receiver, bounded in bytes: whoever fills it waits. Each channel has room of its
/// own, so that chunks that nobody takes do not keep heartbeats out.
#[derive(Debug)]
pub struct EventQueue {
    inner: Mutex<Inner>,
    limit: PerChannel,
    ready: Notify,
    room: Notify,
}

impl EventQueue {
    pub(crate) fn new(limit: PerChannel) -> Self {
        let inner = Mutex::new(Inner::default());
        Self { inner, limit, ready: Notify::new(), room: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing can panic while the lock is held.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes everything there is into `into`, behind what it holds.
    pub fn take(&self, into: &mut Vec<Event>) {
        let mut inner = self.lock();
        let all = [Channel::Control, Channel::Bulk];
        let was_full = !all.iter().all(|channel| inner.bytes.has_room(self.limit, *channel));
        inner.bytes = PerChannel::default();
        if into.is_empty() {
            std::mem::swap(&mut inner.events, into);
        } else {
            into.append(&mut inner.events);
        }
        drop(inner);
        if was_full {
            self.room.notify_waiters();
        }
    }

    /// Waits until there is something to take. Cancelling it loses nothing.
    pub async fn ready(&self) {
        loop {
            if !self.lock().events.is_empty() {
                return;
            }
            self.ready.notified().await;
        }
    }

    /// Adds an event that weighs nothing: one that comes seldom, or ends something.
    pub(crate) fn push(&self, event: Event) {
        self.push_weighed(event, (Channel::Control, 0));
    }

    fn push_weighed(&self, event: Event, (channel, bytes): (Channel, usize)) {
        let mut inner = self.lock();
        inner.events.push(event);
        *inner.bytes.of(channel) += bytes;
        drop(inner);
        self.ready.notify_one();
    }

    /// Adds an event of this weight once there is room; until then its connection is not read.
    pub(crate) async fn push_when_room(&self, event: Event, weight: (Channel, usize)) {
        loop {
            let room = self.room.notified();
            // The waiter counts from its creation on, so that no wake between here and there is
            // lost.
            if self.lock().bytes.has_room(self.limit, weight.0) {
                break;
            }
            room.await;
        }
        self.push_weighed(event, weight);
    }
}
