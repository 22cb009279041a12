//! The bulk channel: a second connection to a peer, opened when something large has to go, so that
//! it never delays a heartbeat.
//!
//! No message travels on it yet; the channel is negotiated and kept open, and anything but silence
//! on it ends it.

use quorate_core::{BootCounter, NodeId};
use tokio::io::AsyncReadExt;

use super::handshake::Welcome;
use super::stream::Stream;

/// An open bulk connection to a peer.
#[derive(Debug)]
pub struct Bulk {
    stream: Stream,
    welcome: Welcome,
}

impl Bulk {
    pub(crate) const fn new(stream: Stream, welcome: Welcome) -> Self {
        Self { stream, welcome }
    }

    /// The peer.
    #[must_use]
    pub const fn peer(&self) -> NodeId {
        self.welcome.from.node
    }

    /// The boot of the peer.
    #[must_use]
    pub const fn boot(&self) -> BootCounter {
        self.welcome.from.boot
    }

    /// The version that was agreed on.
    #[must_use]
    pub const fn version(&self) -> u16 {
        self.welcome.version
    }

    /// Waits until the peer closes the connection.
    pub async fn closed(&mut self) {
        let mut unexpected = [0; 1];
        // Whatever comes, an end or bytes that nobody may send, the connection is of no more use.
        let _ended = self.stream.read(&mut unexpected).await;
    }
}
