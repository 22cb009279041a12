//! gRPC for reads and writes of keys: one message in, one message out, nothing between.
//!
//! A message is a byte of flags, four bytes of length, and protobuf. What is wrong with it is said
//! in the words that clients of the usual servers know.

use bytes::{BufMut as _, Bytes, BytesMut};
use h2::RecvStream;
use http::Request;
use prost::Message;
use quorate::sessions::Stamp;
use tonic::Status;

use crate::backend::{Backend, Shared};
use crate::budget::Held;
use crate::config::FRAMING_BYTES;
use crate::kv::KvService;
use crate::route::{self, METHODS};
use crate::session::SESSION_METADATA;

/// Bytes before each message.
const PREFIX: usize = 5;

/// The number of the method, where it is one of those served here.
pub(super) fn method(request: &Request<RecvStream>) -> Option<usize> {
    let headers = request.headers();
    // Who asks for a leader first is told about it elsewhere.
    let is_plain = !headers.contains_key(route::WANTS_LEADER)
        // Nor is the session of a write looked at here.
        && !headers.contains_key(SESSION_METADATA);
    if !route::is_grpc(headers) || !is_plain {
        return None;
    }
    route::method(request.uri().path()).filter(|number| is_served(*number))
}

fn is_served(number: usize) -> bool {
    matches!(METHODS[number].path(), (0, "Put" | "Range" | "Txn" | "DeleteRange"))
}

/// Carries a method out; the answer with its prefix.
pub(super) async fn serve<B: Backend>(
    context: &Shared<B>,
    number: usize,
    mut body: RecvStream,
) -> Result<Bytes, Status> {
    let limit = context.max_request_bytes.saturating_add(FRAMING_BYTES);
    let mut held = context.incoming.hold();
    let message = receive(&mut body, limit, &mut held).await?;
    let kv = KvService::new(Shared::clone(context));
    match METHODS[number].path().1 {
        "Put" => encode(&kv.put(decode(message, held)?, Stamp::None).await?),
        "Range" => encode(&kv.range(decode(message, held)?).await?),
        "Txn" => encode(&kv.txn(decode(message, held)?, Stamp::None).await?),
        _ => encode(&kv.delete_range(decode(message, held)?, Stamp::None).await?),
    }
}

/// Waits for the whole request; gives its one message.
async fn receive(body: &mut RecvStream, limit: usize, held: &mut Held) -> Result<Bytes, Status> {
    let mut whole = Bytes::new();
    let mut parts = BytesMut::new();
    while let Some(data) = body.data().await {
        let data = data.map_err(|error| Status::cancelled(error.to_string()))?;
        held.add(data.len())?;
        drop(body.flow_control().release_capacity(data.len()));
        if whole.is_empty() && parts.is_empty() {
            // Nearly always it is all there is, and is not copied.
            whole = data;
        } else {
            parts.extend_from_slice(&std::mem::take(&mut whole));
            parts.extend_from_slice(&data);
        }
        let known = if parts.is_empty() { &whole[..] } else { &parts[..] };
        check_prefix(known, limit)?;
    }
    let mut message = if parts.is_empty() { whole } else { parts.freeze() };
    if message.is_empty() {
        return Err(Status::internal("Missing request message."));
    }
    if announced(&message).is_none_or(|length| message.len() != PREFIX + length) {
        return Err(Status::internal("the request is not one whole message"));
    }
    Ok(message.split_off(PREFIX))
}

/// Refuses what no more of needs to come.
fn check_prefix(known: &[u8], limit: usize) -> Result<(), Status> {
    if known.first().is_some_and(|flags| *flags != 0) {
        return Err(Status::unimplemented("grpc: compressed messages are not supported"));
    }
    match announced(known) {
        Some(length) if length > limit => Err(Status::resource_exhausted(format!(
            "grpc: received message larger than max ({length} vs. {limit})"
        ))),
        Some(length) if known.len() > PREFIX + length => {
            Err(Status::internal("the request is not one whole message"))
        }
        _ => Ok(()),
    }
}

/// The length that a prefix announces.
fn announced(bytes: &[u8]) -> Option<usize> {
    let [_, length @ ..] = *bytes.first_chunk::<PREFIX>()?;
    usize::try_from(u32::from_be_bytes(length)).ok()
}

/// Reads a message; its bytes count no longer as on their way in.
fn decode<M: Message + Default>(bytes: Bytes, held: Held) -> Result<M, Status> {
    let message = M::decode(bytes).map_err(|error| Status::internal(error.to_string()));
    drop(held);
    message
}

fn encode(message: &impl Message) -> Result<Bytes, Status> {
    let bytes = message.encoded_len();
    let length = u32::try_from(bytes)
        .map_err(|_| Status::resource_exhausted(format!("an answer of {bytes} bytes")))?;
    let mut answer = BytesMut::with_capacity(PREFIX + bytes);
    answer.put_u8(0);
    answer.put_u32(length);
    message.encode(&mut answer).map_err(|error| Status::internal(error.to_string()))?;
    Ok(answer.freeze())
}
