//! How snapshots travel: the offer and its answers on the control channel, the bytes on the bulk
//! channel.
//!
//! - A snapshot's whole id stands in every message, so that pieces of two can never mix.
//! - A chunk that was decoded has bytes, and lies within the snapshot that it names.

use std::sync::Arc;

use quorate_core::{
    EntryId, Envelope, Index, Message, RequestId, SnapshotChunk, SnapshotId, SnapshotReply, Term,
};

use super::{CodecError, Ends, kind, put};
use crate::replica::Frame;
use crate::transport::frame::{Encoded, RawFrame, Shared};
use crate::wire::{Reader, WireError};

/// The layout of an id.
pub(super) fn put_id(out: &mut Vec<u8>, id: &SnapshotId) {
    put(out, &[id.last.index.get(), id.last.term.get(), id.bytes]);
    out.extend_from_slice(&id.hash.to_le_bytes());
}

fn read_id(reader: &mut Reader<'_>) -> Result<SnapshotId, WireError> {
    let last = super::entry_id(reader)?;
    let bytes = reader.u64("bytes of the snapshot")?;
    let hash = u128::from(reader.u64("hash")?) | u128::from(reader.u64("hash")?) << 64;
    match (last.index, bytes) {
        (Index::ZERO, _) => Err(WireError::Value { what: "last index", found: 0 }),
        (_, 0) => Err(WireError::Value { what: "bytes of the snapshot", found: 0 }),
        _ => Ok(SnapshotId { last: EntryId::new(last.index, last.term), bytes, hash }),
    }
}

pub(super) fn decode_offer(reader: &mut Reader<'_>) -> Result<Message, WireError> {
    Ok(Message::OfferSnapshot(read_id(reader)?))
}

pub(super) fn decode_reply(reader: &mut Reader<'_>) -> Result<Message, WireError> {
    let id = read_id(reader)?;
    let received = reader.u64("received")?;
    if received > id.bytes {
        let (what, limit) = ("received", id.bytes);
        return Err(WireError::Limit { what, found: received, limit });
    }
    Ok(Message::SnapshotReply(SnapshotReply { id, received }))
}

/// A chunk with its bytes, which are shared.
pub(super) fn encode_chunk(
    envelope: &Envelope,
    chunk: &SnapshotChunk,
    data: Arc<Vec<u8>>,
) -> Encoded {
    Encoded::new(kind::SNAPSHOT_CHUNK, vec![Shared::Bytes(data)], |out| {
        put(out, &[envelope.term.get(), envelope.request.get()]);
        put_id(out, &chunk.id);
        put(out, &[chunk.offset]);
    })
}

pub(super) fn decode_chunk(frame: RawFrame<'_>, ends: Ends) -> Result<Frame, CodecError> {
    let mut reader = Reader::new(frame.body);
    let term = Term(reader.u64("term")?);
    let request = RequestId(reader.u64("request")?);
    let id = read_id(&mut reader)?;
    let offset = reader.u64("offset")?;
    let data = reader.rest();
    let outside = CodecError::Chunk { id, offset, bytes: data.len() };
    let bytes = u32::try_from(data.len()).map_err(|_| outside.clone())?;
    let chunk = SnapshotChunk { id, offset, bytes };
    if !chunk.is_well_formed() {
        return Err(outside);
    }
    let Ends { me: to, peer: from, boot } = ends;
    let message = Message::SnapshotChunk(chunk);
    let envelope = Envelope { from, boot, to, term, request, message };
    Ok(Frame::chunk(envelope, Arc::new(data.to_vec())))
}
