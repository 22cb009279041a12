//! What one node sends another: the protocol's messages with their entries, and forwarded calls.

use std::sync::Arc;

use quorate_core::{BootCounter, Envelope, Few, NodeId};
use quorate_log::Entries;

use super::RefusalCode;
use crate::sessions::{SessionFault, Stamp};

/// Number of a forwarded call, unique over all boots of the node that forwards it and ascending.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ForwardNumber(pub u64);

/// One message between replicas.
///
/// It is two words, which travel in registers: what it says stays where it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A message of the protocol.
    Raft(Box<Letter>),
    /// A piece of a snapshot: the one frame that travels on the bulk channel.
    Chunk(Box<Chunk>),
    /// A call that another node took and the leader shall propose.
    Forward(Box<Forward>),
    /// Answers [`Frame::Forward`].
    ForwardReply(Box<ForwardReply>),
}

/// A message of the protocol with the entries that it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// The message.
    pub envelope: Envelope,
    /// The entries of an append, in order and without a gap; empty for whatever is none. The runs of
    /// an append that was received are made from them, whatever it said.
    pub entries: Few<Entries>,
}

/// A piece of a snapshot with its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// The message, a [`quorate_core::SnapshotChunk`] of as many bytes.
    pub envelope: Envelope,
    /// The bytes.
    pub data: Arc<Vec<u8>>,
}

/// A call for the leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// The boot of the receiver that this is for; in any other it is stale.
    pub to_boot: BootCounter,
    /// The sender's number of the call. Numbers ascend, so that one that was seen is a duplicate.
    pub number: ForwardNumber,
    /// What it says about sessions.
    pub stamp: Stamp,
    /// The encoded command; empty where the stamp is a request about a session.
    pub command: Arc<Vec<u8>>,
}

/// The leader's answer to a forwarded call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardReply {
    /// The number of the call.
    pub number: ForwardNumber,
    /// How it ended.
    pub outcome: ForwardOutcome,
}

/// How a forwarded call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForwardOutcome {
    /// It was applied, here and now or as a duplicate before; the encoded reply, or the id of the
    /// session.
    Applied(Vec<u8>),
    /// Its entry was not executed, or its reply is gone.
    Faulted(SessionFault),
    /// It was certainly not appended.
    Refused(RefusalCode),
    /// It was appended, and may be committed or not.
    Unknown,
}

impl Frame {
    /// A message of the protocol with its entries.
    #[must_use]
    pub fn raft(envelope: Envelope, entries: Few<Entries>) -> Self {
        Self::Raft(Box::new(Letter { envelope, entries }))
    }

    /// A piece of a snapshot.
    #[must_use]
    pub fn chunk(envelope: Envelope, data: Arc<Vec<u8>>) -> Self {
        Self::Chunk(Box::new(Chunk { envelope, data }))
    }

    /// A call for the leader.
    #[must_use]
    pub fn forward(forward: Forward) -> Self {
        Self::Forward(Box::new(forward))
    }

    /// The leader's answer to one.
    #[must_use]
    pub fn forward_reply(number: ForwardNumber, outcome: ForwardOutcome) -> Self {
        Self::ForwardReply(Box::new(ForwardReply { number, outcome }))
    }

    /// The message of the protocol in it; nothing for forwarded calls.
    #[must_use]
    pub const fn envelope(&self) -> Option<&Envelope> {
        match self {
            Self::Raft(letter) => Some(&letter.envelope),
            Self::Chunk(chunk) => Some(&chunk.envelope),
            Self::Forward(_) | Self::ForwardReply(_) => None,
        }
    }

    /// Whom the protocol's message names as its receiver; nothing for forwarded calls, whose
    /// receiver is the other end of the connection.
    #[must_use]
    pub fn addressee(&self) -> Option<NodeId> {
        self.envelope().map(|envelope| envelope.to)
    }
}
