//! Everything that may happen to a node, as one enum: recorded, replayed and shrunk as data.

use crate::id::{BootCounter, Index, NodeId, PersistToken, ReadId, RequestId};
use crate::message::Envelope;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A message arrived from a node whose handshake was accepted.
    Message(Box<Envelope>),
    /// A client wants a command of this many encoded bytes appended. The typed form, which answers
    /// at once, is `Raft::propose`.
    Propose {
        /// Encoded size of the entry.
        bytes: u32,
    },
    /// A batch of linearizable reads came; the shell chose the id and uses it once.
    Read(ReadId),
    /// The write with this token is durable, and so is every earlier one.
    Persisted(PersistToken),
    /// The state machine has executed everything up to this index.
    Applied(Index),
    /// A handshake with this peer succeeded in this boot of the peer.
    PeerConnected {
        /// The peer.
        peer: NodeId,
        /// Its boot counter.
        boot: BootCounter,
    },
    /// A connection from or to this peer was closed by the other side: it may have died.
    PeerClosed(NodeId),
    /// An append could not leave, because its entries were rewritten meanwhile or its queue was
    /// full: the same as lost on the way, but known at once.
    SendDropped {
        /// The receiver it was meant for.
        to: NodeId,
        /// Its number.
        request: RequestId,
    },
    /// The deadline has come, or may have.
    Timer,
    /// The wake-up ends: proposals so far become one write and one append per peer.
    Flush,
}
