//! Everything that may happen to a node, as one enum: recorded, replayed and shrunk as data.

use std::sync::Arc;

use crate::id::{BootCounter, EntryId, Index, NodeId, PersistToken, ReadId, RequestId};
use crate::membership::Membership;
use crate::message::Envelope;
use crate::snapshot::SnapshotId;

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
    /// An append or a piece of a snapshot could not leave, because its entries were rewritten
    /// meanwhile, its bytes could not be read or its queue was full: the same as lost on the way, but known at once.
    SendDropped {
        /// The receiver it was meant for.
        to: NodeId,
        /// Its number.
        request: RequestId,
    },
    /// A snapshot that this node took itself is durable.
    SnapshotTaken(SnapshotId),
    /// The log durably begins after this entry.
    Compacted(EntryId),
    /// So many bytes of the snapshot that is being received are in its file. Also answers
    /// [`crate::Effect::ReceiveSnapshot`]: what an earlier attempt left.
    ChunkStored {
        /// The snapshot.
        id: SnapshotId,
        /// Bytes from its beginning on.
        received: u64,
    },
    /// The snapshot that was received is durable, and the log durably begins after its last entry,
    /// or before it where the log holds that entry: answers [`crate::Effect::InstallSnapshot`].
    SnapshotInstalled {
        /// The snapshot.
        id: SnapshotId,
        /// The membership at its last entry.
        membership: Arc<Membership>,
    },
    /// What was received, or is to be received, is of no use: it is to be begun again.
    SnapshotFailed(SnapshotId),
    /// A piece of this snapshot of its own cannot be read: who is being sent it gets a newer one, as
    /// soon as there is one.
    SnapshotUnreadable(SnapshotId),
    /// The deadline has come, or may have.
    Timer,
    /// The wake-up ends: proposals so far become one write and one append per peer.
    Flush,
}
