//! What the frames say: on a control connection the protocol's messages and forwarded calls, on a
//! bulk connection the pieces of snapshots.
//!
//! Sender, receiver and boot are not in the frames: they are those of the connection's handshake,
//! so that no frame can claim another. An append is a fixed head and then the very records that the
//! log holds; the receiver makes the runs from the records, never from what a sender claims.
//!
//! - A decoded message is well formed: entries follow `prev` without a gap, terms never fall nor
//!   pass the message's term, a membership entry has a roster.
//! - What a decoder keeps is copied into allocations of its exact size, which are no larger than
//!   the frame that was received.
//! - Each kind of frame belongs to one channel; on the other it is an error.
//! - Every body ends where its layout ends; unknown kinds, versions and flags are errors.

mod snapshot;

use std::sync::Arc;

use quorate_core::{
    Append, AppendReply, BootCounter, EntryId, Envelope, Few, Index, Message, NodeId,
    ReadIndexReply, RequestId, RequestVote, SnapshotId, SnapshotReply, Term, VoteReply,
};
use quorate_log::{Block, Entries, Limits, RecordError};

use super::frame::{Encoded, FRAME_HEADER_BYTES, RawFrame, Shared};
use crate::replica::{
    Chunk, Forward, ForwardNumber, ForwardOutcome, ForwardReply, Frame, HeadsError, Letter,
    RefusalCode, heads,
};
use crate::sessions::{SessionFault, SessionId, SessionRequest, Stamp};
use crate::wire::{Reader, WireError};

/// Kinds of frames.
mod kind {
    pub(super) const REQUEST_VOTE: u8 = 16;
    pub(super) const VOTE_REPLY: u8 = 17;
    pub(super) const APPEND: u8 = 18;
    pub(super) const APPEND_REPLY: u8 = 19;
    pub(super) const READ_INDEX: u8 = 20;
    pub(super) const READ_INDEX_REPLY: u8 = 21;
    pub(super) const OFFER_SNAPSHOT: u8 = 22;
    pub(super) const SNAPSHOT_REPLY: u8 = 23;
    pub(super) const FORWARD: u8 = 32;
    pub(super) const FORWARD_REPLY: u8 = 33;
    pub(super) const FORWARD_OF_SESSION: u8 = 34;
    pub(super) const SESSION_REQUEST: u8 = 35;
    /// The only one on a bulk connection.
    pub(super) const SNAPSHOT_CHUNK: u8 = 64;
}

/// Bytes that a control frame has at most, unless a single entry or call is larger.
pub const CONTROL_FRAME_BYTES: usize = 1 << 20;
/// Bytes of kind and body that a frame on a bulk connection has at most.
pub const BULK_FRAME_BYTES: usize = 1 << 20;
/// Bytes of a snapshot that one chunk holds at most.
pub const MAX_CHUNK_BYTES: usize = BULK_FRAME_BYTES - HEAD_BYTES;
/// Largest entry that can be configured.
pub const MAX_ENTRY_BYTES: usize = 64 << 20;
/// Bytes of the fixed part of any frame, with room to spare.
const HEAD_BYTES: usize = 128;

/// Sizes that encoder and decoder hold to. All nodes of a cluster have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameLimits {
    /// Bytes of the largest entry record, or of the largest forwarded command or reply.
    entry_bytes: usize,
}

impl FrameLimits {
    /// Limits for entries of up to this many bytes, header included; held at
    /// [`MAX_ENTRY_BYTES`].
    #[must_use]
    pub const fn for_entries(entry_bytes: usize) -> Self {
        let entry_bytes = if entry_bytes < MAX_ENTRY_BYTES { entry_bytes } else { MAX_ENTRY_BYTES };
        Self { entry_bytes }
    }

    /// Bytes of kind and body that a control frame may have: one mebibyte, or one entry.
    #[must_use]
    pub const fn frame_bytes(&self) -> usize {
        let one_entry = self.entry_bytes + HEAD_BYTES;
        if one_entry > CONTROL_FRAME_BYTES { one_entry } else { CONTROL_FRAME_BYTES }
    }

    const fn for_records(&self) -> Limits {
        Limits { block_bytes: self.frame_bytes(), record_bytes: self.frame_bytes() }
    }
}

/// Who is at the two ends of a connection, from its handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// This node.
    pub me: NodeId,
    /// The node that sends.
    pub peer: NodeId,
    /// Its boot.
    pub boot: BootCounter,
}

/// Why a frame, though undamaged, says nothing that this node understands.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// No message has this kind.
    #[error("no message has the kind {0}; the sender speaks another version")]
    Kind(u8),
    /// The kind belongs to the other channel.
    #[error(
        "a frame of kind {0} came on the wrong channel: only chunks travel on bulk connections"
    )]
    WrongChannel(u8),
    /// A chunk has no bytes, or lies outside of its snapshot.
    #[error("a chunk of {bytes} bytes at {offset} is no part of the snapshot {id}")]
    Chunk {
        /// The snapshot that it names.
        id: SnapshotId,
        /// Where it claims to begin.
        offset: u64,
        /// Its bytes.
        bytes: usize,
    },
    /// The body is not the layout of its kind.
    #[error("the message cannot be read: {0}")]
    Wire(#[from] WireError),
    /// The entries of an append cannot be read.
    #[error("the entries of an append cannot be read: {0}")]
    Records(RecordError),
    /// A membership among the entries cannot be read.
    #[error(transparent)]
    Heads(#[from] HeadsError),
    /// Entries do not follow what they should, or have terms above the message's.
    #[error("an append of term {term} has entries that do not follow {prev}")]
    IllFormed {
        /// The entry before them.
        prev: EntryId,
        /// The message's term.
        term: Term,
    },
    /// Several entries came in a frame above the size that only a single entry may reach.
    #[error("{entries} entries came in a frame of {bytes} bytes, which only a single one may have")]
    Crowded {
        /// Number of entries.
        entries: usize,
        /// Bytes of the frame.
        bytes: usize,
    },
}

/// A frame that is ready to be sent, and what had to give for it to fit.
#[derive(Clone, Debug)]
pub struct Packed {
    /// The frame.
    pub encoded: Encoded,
    /// Whether entries at the end of an append, or the reply to a call, were left out because they
    /// do not fit. The protocol sends the entries again; the call's outcome is unknown to its
    /// caller.
    pub trimmed: bool,
}

/// A frame that cannot be sent at all: one entry or command is larger than the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a message of {bytes} bytes cannot be sent: the limit is {limit}; raise the entry limit")]
pub struct TooLarge {
    /// Bytes that it would have.
    pub bytes: usize,
    /// What is allowed.
    pub limit: usize,
}

/// Encodes a frame. Entries and commands are shared, not copied.
///
/// # Errors
///
/// When a single entry or command exceeds the limit.
pub fn encode(frame: Frame, limits: FrameLimits) -> Result<Packed, TooLarge> {
    let whole = |encoded| Packed { encoded, trimmed: false };
    let packed = match frame {
        Frame::Raft(letter) => {
            let Letter { envelope, entries } = *letter;
            match &envelope.message {
                Message::Append(append) => {
                    return encode_append(&envelope, append, entries, limits);
                }
                _ => whole(encode_small(&envelope)),
            }
        }
        Frame::Chunk(chunk) => {
            let Chunk { envelope, data } = *chunk;
            let Message::SnapshotChunk(chunk) = &envelope.message else {
                unreachable!("a frame with a piece of a snapshot says which one it is")
            };
            let encoded = snapshot::encode_chunk(&envelope, chunk, data);
            return fitting(whole(encoded), BULK_FRAME_BYTES);
        }
        Frame::Forward(forward) => whole(encode_forward(*forward)),
        Frame::ForwardReply(reply) => {
            let ForwardReply { number, outcome } = *reply;
            let fits = match &outcome {
                ForwardOutcome::Applied(reply) => reply.len() <= limits.frame_bytes() - HEAD_BYTES,
                ForwardOutcome::Refused(_)
                | ForwardOutcome::Faulted(_)
                | ForwardOutcome::Unknown => true,
            };
            let outcome = if fits { outcome } else { ForwardOutcome::Unknown };
            let encoded = encode_forward_reply(number, outcome);
            return Ok(Packed { encoded, trimmed: !fits });
        }
    };
    fitting(packed, limits.frame_bytes())
}

fn fitting(packed: Packed, limit: usize) -> Result<Packed, TooLarge> {
    let bytes = packed.encoded.bytes() - FRAME_HEADER_BYTES;
    if bytes > limit { Err(TooLarge { bytes, limit }) } else { Ok(packed) }
}

fn encode_forward(forward: Forward) -> Encoded {
    let Forward { to_boot, number, stamp, command } = forward;
    let head = [to_boot.get(), number.0];
    match stamp {
        Stamp::None => Encoded::new(kind::FORWARD, vec![Shared::Bytes(command)], |out| {
            put(out, &head);
        }),
        Stamp::Command { session, sequence, acknowledged } => {
            Encoded::new(kind::FORWARD_OF_SESSION, vec![Shared::Bytes(command)], |out| {
                put(out, &head);
                put(out, &[session.0]);
                out.extend_from_slice(&sequence.to_le_bytes());
                out.extend_from_slice(&acknowledged.to_le_bytes());
            })
        }
        Stamp::Session { session, request } => {
            Encoded::new(kind::SESSION_REQUEST, Vec::new(), |out| {
                put(out, &head);
                put(out, &[session.0]);
                out.extend_from_slice(&request.encode());
            })
        }
    }
}

/// Reads a forwarded call of any kind.
fn decode_forward(reader: &mut Reader<'_>, kind: u8) -> Result<Forward, WireError> {
    let to_boot = BootCounter(reader.u64("receiver's boot")?);
    let number = ForwardNumber(reader.u64("number")?);
    let stamp = match kind {
        kind::FORWARD_OF_SESSION => Stamp::Command {
            session: SessionId(reader.u64("session")?),
            sequence: reader.u32("sequence")?,
            acknowledged: reader.u32("acknowledged sequence")?,
        },
        kind::SESSION_REQUEST => {
            let session = SessionId(reader.u64("session")?);
            let request = SessionRequest::decode(reader.rest())?;
            Stamp::Session { session, request }
        }
        _ => Stamp::None,
    };
    let command = Arc::new(reader.rest().to_vec());
    Ok(Forward { to_boot, number, stamp, command })
}

fn encode_forward_reply(number: ForwardNumber, outcome: ForwardOutcome) -> Encoded {
    let (tag, code, shared) = match outcome {
        ForwardOutcome::Applied(reply) => (1, None, vec![Shared::Bytes(Arc::new(reply))]),
        ForwardOutcome::Refused(code) => (2, Some(code as u8), Vec::new()),
        ForwardOutcome::Unknown => (3, None, Vec::new()),
        ForwardOutcome::Faulted(fault) => (4, Some(fault as u8), Vec::new()),
    };
    Encoded::new(kind::FORWARD_REPLY, shared, |out| {
        put(out, &[number.0]);
        out.push(tag);
        out.extend(code);
    })
}

fn encode_append(
    envelope: &Envelope,
    append: &Append,
    entries: Few<Entries>,
    limits: FrameLimits,
) -> Result<Packed, TooLarge> {
    let end = entries.last().map(Entries::last);
    let mut room = CONTROL_FRAME_BYTES - HEAD_BYTES;
    let mut sent = None;
    let mut shared = Vec::with_capacity(entries.len());
    for slice in entries {
        let part = slice.within(room);
        let bytes = part.bytes().len();
        // Only the very first entry may exceed the room, and then travels alone.
        if bytes > room && sent.is_some() {
            break;
        }
        room = room.saturating_sub(bytes);
        sent = Some(part.last());
        let whole = part.last() == slice.last();
        shared.push(Shared::Entries(part));
        if !whole {
            break;
        }
    }
    let trimmed = sent != end;
    let encoded = Encoded::new(kind::APPEND, shared, |out| {
        put(out, &[envelope.term.get(), envelope.request.get()]);
        put(out, &[append.prev.index.get(), append.prev.term.get(), append.commit.get()]);
        put(out, &[append.recorded.get(), append.recorded_boot.get()]);
        out.push(u8::from(append.wants_reply));
    });
    fitting(Packed { encoded, trimmed }, limits.frame_bytes())
}

fn encode_small(envelope: &Envelope) -> Encoded {
    let head = [envelope.term.get(), envelope.request.get()];
    let make = |kind: u8, numbers: &[u64], flags: &[u8]| {
        Encoded::new(kind, Vec::new(), |out| {
            put(out, &head);
            put(out, numbers);
            out.extend_from_slice(flags);
        })
    };
    match &envelope.message {
        Message::RequestVote(vote) => make(
            kind::REQUEST_VOTE,
            &[vote.campaign.get(), vote.last.index.get(), vote.last.term.get()],
            &[u8::from(vote.pre_vote)],
        ),
        Message::VoteReply(reply) => make(
            kind::VOTE_REPLY,
            &[reply.campaign.get()],
            &[u8::from(reply.pre_vote), u8::from(reply.granted)],
        ),
        Message::AppendReply(AppendReply::Accepted { matched }) => {
            make(kind::APPEND_REPLY, &[matched.get(), 0, 0], &[1])
        }
        Message::AppendReply(AppendReply::Rejected { prev, hint }) => {
            make(kind::APPEND_REPLY, &[prev.get(), hint.index.get(), hint.term.get()], &[2])
        }
        Message::ReadIndex => make(kind::READ_INDEX, &[], &[]),
        Message::ReadIndexReply(ReadIndexReply { index }) => make(
            kind::READ_INDEX_REPLY,
            &[index.map_or(0, Index::get)],
            &[u8::from(index.is_some())],
        ),
        Message::OfferSnapshot(id) => Encoded::new(kind::OFFER_SNAPSHOT, Vec::new(), |out| {
            put(out, &head);
            snapshot::put_id(out, id);
        }),
        Message::SnapshotReply(SnapshotReply { id, received }) => {
            Encoded::new(kind::SNAPSHOT_REPLY, Vec::new(), |out| {
                put(out, &head);
                snapshot::put_id(out, id);
                put(out, &[*received]);
            })
        }
        Message::Append(_) | Message::SnapshotChunk(_) => {
            unreachable!("appends and chunks have encoders of their own")
        }
    }
}

fn put(out: &mut Vec<u8>, numbers: &[u64]) {
    for number in numbers {
        out.extend_from_slice(&number.to_le_bytes());
    }
}

/// Reads a frame that came over a control connection.
///
/// # Errors
///
/// When the body is not a message of its kind, or an append's entries do not hold together.
pub fn decode(frame: RawFrame<'_>, ends: Ends, limits: FrameLimits) -> Result<Frame, CodecError> {
    let mut reader = Reader::new(frame.body);
    match frame.kind {
        kind::FORWARD | kind::FORWARD_OF_SESSION | kind::SESSION_REQUEST => {
            Ok(Frame::forward(decode_forward(&mut reader, frame.kind)?))
        }
        kind::FORWARD_REPLY => {
            let number = ForwardNumber(reader.u64("number")?);
            let outcome = match reader.u8("outcome")? {
                1 => ForwardOutcome::Applied(reader.rest().to_vec()),
                2 => ForwardOutcome::Refused(refusal_code(reader.u8("reason")?)?),
                3 => ForwardOutcome::Unknown,
                4 => {
                    let number = reader.u8("fault")?;
                    let fault = SessionFault::from_u8(number);
                    let found = u64::from(number);
                    let what = "fault of a session";
                    ForwardOutcome::Faulted(fault.ok_or(WireError::Value { what, found })?)
                }
                other => {
                    let found = u64::from(other);
                    return Err(WireError::Value { what: "outcome", found }.into());
                }
            };
            reader.finish("reply to a forwarded call")?;
            Ok(Frame::forward_reply(number, outcome))
        }
        kind::REQUEST_VOTE..=kind::SNAPSHOT_REPLY => {
            let term = Term(reader.u64("term")?);
            let request = RequestId(reader.u64("request")?);
            let mut entries = Few::new();
            let message = match frame.kind {
                kind::APPEND => decode_append(&mut reader, term, frame, limits, &mut entries)?,
                kind => decode_small(&mut reader, kind)?,
            };
            reader.finish("message")?;
            let Ends { me: to, peer: from, boot } = ends;
            let envelope = Envelope { from, boot, to, term, request, message };
            Ok(Frame::raft(envelope, entries))
        }
        kind::SNAPSHOT_CHUNK => Err(CodecError::WrongChannel(frame.kind)),
        other => Err(CodecError::Kind(other)),
    }
}

/// Reads a frame that came over a bulk connection.
///
/// # Errors
///
/// When it is no chunk, or none of the snapshot that it names.
pub fn decode_bulk(frame: RawFrame<'_>, ends: Ends) -> Result<Frame, CodecError> {
    match frame.kind {
        kind::SNAPSHOT_CHUNK => snapshot::decode_chunk(frame, ends),
        kind::REQUEST_VOTE..=kind::SNAPSHOT_REPLY | kind::FORWARD..=kind::SESSION_REQUEST => {
            Err(CodecError::WrongChannel(frame.kind))
        }
        other => Err(CodecError::Kind(other)),
    }
}

fn refusal_code(number: u8) -> Result<RefusalCode, WireError> {
    RefusalCode::from_u8(number)
        .ok_or_else(|| WireError::Value { what: "reason", found: u64::from(number) })
}

fn entry_id(reader: &mut Reader<'_>) -> Result<EntryId, WireError> {
    Ok(EntryId::new(Index(reader.u64("index")?), Term(reader.u64("term")?)))
}

fn decode_append(
    reader: &mut Reader<'_>,
    term: Term,
    frame: RawFrame<'_>,
    limits: FrameLimits,
    entries: &mut Few<Entries>,
) -> Result<Message, CodecError> {
    let prev = entry_id(reader)?;
    let commit = Index(reader.u64("commit index")?);
    let recorded = Index(reader.u64("recorded match")?);
    let recorded_boot = BootCounter(reader.u64("recorded boot")?);
    let wants_reply = reader.flag("wants reply")?;
    let records = reader.rest();
    let mut runs = Few::new();
    if !records.is_empty() {
        let block =
            Block::decode(records.to_vec(), limits.for_records()).map_err(CodecError::Records)?;
        let oversize = frame.bytes - FRAME_HEADER_BYTES > CONTROL_FRAME_BYTES;
        if oversize && block.len() > 1 {
            return Err(CodecError::Crowded { entries: block.len(), bytes: frame.bytes });
        }
        entries.push(Entries::all(block));
        runs = heads(entries)?;
    }
    let append = Append { prev, commit, recorded, recorded_boot, wants_reply, runs };
    if !append.is_well_formed(term) {
        return Err(CodecError::IllFormed { prev, term });
    }
    Ok(Message::Append(append))
}

fn decode_small(reader: &mut Reader<'_>, kind: u8) -> Result<Message, CodecError> {
    Ok(match kind {
        kind::REQUEST_VOTE => {
            let campaign = Term(reader.u64("campaign")?);
            let last = entry_id(reader)?;
            let pre_vote = reader.flag("pre-vote")?;
            Message::RequestVote(RequestVote { campaign, last, pre_vote })
        }
        kind::VOTE_REPLY => {
            let campaign = Term(reader.u64("campaign")?);
            let pre_vote = reader.flag("pre-vote")?;
            let granted = reader.flag("granted")?;
            Message::VoteReply(VoteReply { campaign, pre_vote, granted })
        }
        kind::APPEND_REPLY => {
            let index = Index(reader.u64("index")?);
            let hint = entry_id(reader)?;
            match reader.u8("outcome")? {
                1 if hint == EntryId::ZERO => {
                    Message::AppendReply(AppendReply::Accepted { matched: index })
                }
                2 => Message::AppendReply(AppendReply::Rejected { prev: index, hint }),
                other => {
                    let found = u64::from(other);
                    return Err(WireError::Value { what: "outcome", found }.into());
                }
            }
        }
        kind::READ_INDEX => Message::ReadIndex,
        kind::READ_INDEX_REPLY => {
            let index = Index(reader.u64("read index")?);
            let index = match (reader.flag("has index")?, index) {
                (true, index) => Some(index),
                (false, Index::ZERO) => None,
                (false, Index(found)) => {
                    return Err(WireError::Value { what: "read index", found }.into());
                }
            };
            Message::ReadIndexReply(ReadIndexReply { index })
        }
        kind::OFFER_SNAPSHOT => snapshot::decode_offer(reader)?,
        kind::SNAPSHOT_REPLY => snapshot::decode_reply(reader)?,
        other => return Err(CodecError::Kind(other)),
    })
}

#[cfg(test)]
mod tests;
