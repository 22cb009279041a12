//! Connections that others open: the handshake, then whatever it allows.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use quorate_core::{BootCounter, NodeId};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::codec::{self, BULK_FRAME_BYTES, CodecError, Ends, FrameLimits};
use super::counters::{add, count};
use super::dial::prepare;
use super::events::{Event, Side};
use super::founding::{FOUNDING_FRAME_BYTES, FoundingMessage, FoundingMessageError};
use super::frame::RawFrame;
use super::handshake::{
    Accepted, Caller, Channel, HELLO_BYTES, HandshakeRefusal, Hello, Use, encode_reply,
};
use super::reader::{FrameReader, ReadEnd};
use super::stream::{Listener, Stream};
use super::tcp::Shared;
use crate::founding::Input;
use crate::replica::Frame;

/// Wait after the system could not accept a connection, as when it has no file descriptors left.
const AFTER_ACCEPT_ERROR: Duration = Duration::from_millis(100);

/// The connection that a peer sends over at present.
#[derive(Clone, Debug)]
pub(crate) struct Incoming {
    number: u64,
    boot: BootCounter,
    /// Ends the connection without a word: another one has taken its place.
    replaced: Arc<Notify>,
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error(transparent)]
    Read(#[from] ReadEnd),
    #[error("it sent what this node does not understand: {0}")]
    Message(#[from] CodecError),
    #[error("it sent what this node does not understand: {0}")]
    Founding(#[from] FoundingMessageError),
    #[error("another connection of the same node took its place")]
    Replaced,
    #[error("this node is not ready to answer")]
    NotReady,
}

/// Accepts connections, for ever.
pub(crate) async fn run(mut listener: Listener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, from)) if connections.len() < shared.config.max_connections => {
                    connections.spawn(serve(stream, from, Arc::clone(&shared)));
                }
                Ok((stream, from)) => {
                    drop(stream);
                    count(&shared.counters.too_many);
                    tracing::warn!(%from, "closed: there are too many connections");
                }
                Err(error) => {
                    tracing::error!("no connection of a peer could be accepted: {error}");
                    sleep(AFTER_ACCEPT_ERROR).await;
                }
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

/// Serves one connection to its end.
async fn serve(mut stream: Stream, from: SocketAddr, shared: Arc<Shared>) {
    let Some((hello, accepted)) = welcome(&mut stream, from, &shared).await else { return };
    count(&shared.counters.accepted);
    let end = match accepted.carries {
        Use::Founding => founding(stream, &shared).await,
        Use::Bulk => Some(bulk(stream, hello.from, &shared).await),
        Use::Control => Some(control(stream, hello.from, accepted.new_boot, &shared).await),
    };
    let Some(end) = end else { return };
    let counter = match &end {
        End::Read(ReadEnd::TooSlow(_)) => &shared.counters.too_slow,
        End::Read(ReadEnd::Frame(_) | ReadEnd::Cut) => &shared.counters.bad_frames,
        End::Message(CodecError::WrongChannel(_)) => &shared.counters.wrong_channel,
        End::Message(_) | End::Founding(_) => &shared.counters.bad_messages,
        End::Read(ReadEnd::Closed | ReadEnd::Io(_)) | End::Replaced | End::NotReady => {
            tracing::debug!(peer = %hello.from.node, %from, "connection ended: {end}");
            return;
        }
    };
    count(counter);
    tracing::warn!(peer = %hello.from.node, %from, "connection closed: {end}");
}

/// Performs the handshake; nothing when the connection is not to be served.
async fn welcome(
    stream: &mut Stream,
    from: SocketAddr,
    shared: &Shared,
) -> Option<(Hello, Accepted)> {
    if let Err(error) = prepare(stream) {
        tracing::debug!(%from, "closed: {error}");
        return None;
    }
    let mut bytes = [0; HELLO_BYTES];
    match timeout(shared.config.read_timeout, stream.read_exact(&mut bytes)).await {
        Ok(Ok(_)) => {}
        // Who connects and closes again without a word is a probe of a port, or a peer that died.
        Ok(Err(error)) => {
            tracing::debug!(%from, "closed before its hello: {error}");
            count(&shared.counters.garbage);
            return None;
        }
        Err(_) => {
            tracing::debug!(%from, "closed: no hello in time");
            count(&shared.counters.too_slow);
            return None;
        }
    }
    let hello = match Hello::decode(&bytes) {
        Ok(hello) => hello,
        Err(error) => {
            tracing::warn!(%from, "closed: no node speaks like this: {error}");
            count(&shared.counters.garbage);
            return None;
        }
    };
    let (judgement, me, cluster) = {
        let mut known = shared.acquaintances();
        (known.judge(&hello), known.me(), known.cluster())
    };
    let answer = judgement.as_ref().map(|accepted| accepted.welcome).map_err(|refusal| *refusal);
    let reply = encode_reply(me, cluster, answer);
    let written = timeout(shared.config.read_timeout, stream.write_all(&reply)).await;
    match judgement {
        Ok(accepted) if matches!(written, Ok(Ok(()))) => Some((hello, accepted)),
        Ok(_) => None,
        Err(refusal) => {
            count(&shared.counters.refused);
            tracing::warn!(peer = %hello.from.node, %from, "refused: {refusal}");
            react(hello.from, me, refusal, shared);
            None
        }
    }
}

/// What a refusal means beyond the refused connection.
fn react(dialer: Caller, me: Caller, refusal: HandshakeRefusal, shared: &Shared) {
    if dialer.node == me.node {
        if refusal != HandshakeRefusal::Itself {
            shared.events.push(Event::Twin { boot: dialer.boot });
        }
        return;
    }
    // Of two processes of one node and boot neither is to be believed: the other one goes, too.
    if matches!(refusal, HandshakeRefusal::SameNode { .. }) {
        if let Some(incoming) = shared.incoming(Channel::Bulk).remove(&dialer.node) {
            incoming.replaced.notify_one();
        }
        if let Some(incoming) = shared.incoming(Channel::Control).remove(&dialer.node) {
            incoming.replaced.notify_one();
            shared.events.push(Event::Closed { peer: dialer.node, side: Side::Incoming });
        }
        if let Some(link) = shared.link(dialer.node) {
            link.renew();
        }
    }
}

/// Takes one founding message and answers it.
async fn founding(mut stream: Stream, shared: &Shared) -> Option<End> {
    let exchange = async {
        let timeout = shared.config.read_timeout;
        let mut reader = FrameReader::new(&mut stream, FOUNDING_FRAME_BYTES, timeout);
        let message = loop {
            match reader.next().map_err(ReadEnd::from)? {
                Some(frame) => break super::founding::decode(frame)?,
                None => reader.fill().await?,
            }
        };
        let answer = shared.answer().ok_or(End::NotReady)?;
        if let FoundingMessage::Offer(record) = message {
            let weight = 1024;
            let event = Event::Founding(Input::Offered(record));
            shared.events.push_when_room(event, (Channel::Control, weight)).await;
        }
        let answer = super::founding::encode(&FoundingMessage::Answer(answer));
        let answer = answer.map_err(FoundingMessageError::from)?;
        stream.write_all(&answer.to_vec()).await.map_err(ReadEnd::from)?;
        // Closing before the other side has read would throw the answer away.
        stream.shutdown().await.map_err(ReadEnd::from)?;
        Ok::<(), End>(())
    };
    match timeout(shared.config.read_timeout, exchange).await {
        Ok(done) => done.err(),
        Err(_) => Some(ReadEnd::TooSlow(shared.config.read_timeout).into()),
    }
}

/// Receives the chunks of a peer until the connection ends or another takes its place.
async fn bulk(stream: Stream, peer: Caller, shared: &Shared) -> End {
    let (number, replaced) = register(peer, Channel::Bulk, shared);
    tracing::debug!(peer = %peer.node, boot = %peer.boot, "accepted for bulk");
    let end = tokio::select! {
        end = receive(stream, peer, Channel::Bulk, shared) => end,
        () = replaced.notified() => return End::Replaced,
    };
    unregister(peer.node, number, Channel::Bulk, shared);
    end
}

/// Receives the frames of a peer until the connection ends or another takes its place.
async fn control(stream: Stream, peer: Caller, new_boot: bool, shared: &Shared) -> End {
    let (number, replaced) = register(peer, Channel::Control, shared);
    if new_boot {
        end_earlier_bulk(peer, shared);
    }
    if let Some(link) = shared.link(peer.node) {
        link.met(peer.boot);
    }
    let (node, boot) = (peer.node, peer.boot);
    tracing::debug!(peer = %node, %boot, new_boot, "accepted");
    shared.events.push(Event::Connected { peer: node, boot, side: Side::Incoming });
    let end = tokio::select! {
        end = receive(stream, peer, Channel::Control, shared) => end,
        () = replaced.notified() => return End::Replaced,
    };
    if unregister(node, number, Channel::Control, shared) {
        shared.events.push(Event::Closed { peer: node, side: Side::Incoming });
    }
    end
}

/// Makes this the connection that the peer sends over; ends the one before.
fn register(peer: Caller, channel: Channel, shared: &Shared) -> (u64, Arc<Notify>) {
    let (number, replaced) = (shared.next_number(), Arc::new(Notify::new()));
    let incoming = Incoming { number, boot: peer.boot, replaced: Arc::clone(&replaced) };
    if let Some(before) = shared.incoming(channel).insert(peer.node, incoming) {
        before.replaced.notify_one();
    }
    (number, replaced)
}

/// Notes that a connection has ended; says whether it was the present one.
fn unregister(peer: NodeId, number: u64, channel: Channel, shared: &Shared) -> bool {
    let mut incoming = shared.incoming(channel);
    let is_present = incoming.get(&peer).is_some_and(|present| present.number == number);
    if is_present {
        incoming.remove(&peer);
    }
    is_present
}

/// Ends the bulk connection of an earlier boot of the peer.
fn end_earlier_bulk(peer: Caller, shared: &Shared) {
    let mut incoming = shared.incoming(Channel::Bulk);
    if incoming.get(&peer.node).is_some_and(|present| present.boot < peer.boot) {
        let earlier = incoming.remove(&peer.node).expect("it was just seen there");
        earlier.replaced.notify_one();
    }
}

async fn receive(stream: Stream, peer: Caller, channel: Channel, shared: &Shared) -> End {
    let limits = shared.config.frame_limits();
    let limit = match channel {
        Channel::Control => limits.frame_bytes(),
        Channel::Bulk => BULK_FRAME_BYTES,
    };
    let ends = Ends { me: shared.acquaintances().me().node, peer: peer.node, boot: peer.boot };
    let mut reader = FrameReader::new(stream, limit, shared.config.read_timeout);
    loop {
        let mut frames = Vec::new();
        let mut bytes = 0;
        // What came before a bad frame is good, and is handed over before the end.
        let end = loop {
            match reader.next() {
                Ok(Some(raw)) => match decode(raw, channel, ends, limits) {
                    Ok(frame) => {
                        bytes += raw.bytes;
                        frames.push(frame);
                    }
                    Err(error) => break Some(End::from(error)),
                },
                Ok(None) => break None,
                Err(error) => break Some(End::from(ReadEnd::from(error))),
            }
        };
        if !frames.is_empty() {
            add(&shared.counters.frames_received, frames.len());
            if channel == Channel::Bulk {
                add(&shared.counters.chunks_received, frames.len());
            }
            add(&shared.counters.bytes_received, bytes);
            let event = Event::Frames { peer: peer.node, frames };
            shared.events.push_when_room(event, (channel, bytes)).await;
        }
        if let Some(end) = end {
            return end;
        }
        if let Err(end) = reader.fill().await {
            return end.into();
        }
    }
}

fn decode(
    raw: RawFrame<'_>,
    channel: Channel,
    ends: Ends,
    limits: FrameLimits,
) -> Result<Frame, CodecError> {
    match channel {
        Channel::Control => codec::decode(raw, ends, limits),
        Channel::Bulk => codec::decode_bulk(raw, ends),
    }
}
