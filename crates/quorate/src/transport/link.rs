//! The way to one peer: a bounded queue, a connection that is dialled again and again, and a
//! writer that sends all that waits at once.

use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quorate_core::{BootCounter, NodeId, RequestId};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::backoff::Backoff;
use super::bulk::BulkQueue;
use super::codec::TooLarge;
use super::counters::{add, count};
use super::dial::{DialError, Dialer, dial};
use super::events::{Event, Side};
use super::frame::Encoded;
use super::handshake::{Channel, HandshakeRefusal};
use super::stream::Stream;
use super::tcp::Shared;

/// Why a frame was not taken. It certainly did not leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// Nothing is known of this peer.
    #[error("node {0} is no known peer")]
    UnknownPeer(NodeId),
    /// There is no connection to the peer at this moment.
    #[error("node {0} is not connected")]
    NotConnected(NodeId),
    /// Too much waits for the peer already.
    #[error("the queue to node {0} is full")]
    Full(NodeId),
    /// One entry or command exceeds what a frame may hold.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
}

/// What is known of the way to one peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkStatus {
    /// The peer.
    pub peer: NodeId,
    /// Its address.
    pub address: String,
    /// Its boot, while the connection stands.
    pub connected: Option<BootCounter>,
    /// Why the latest attempt failed or the latest connection ended; nothing while one stands.
    pub trouble: Option<String>,
}

#[derive(Debug, Default)]
struct State {
    queue: Vec<Encoded>,
    bytes: usize,
    /// The peer's boot, while the connection stands.
    connected: Option<BootCounter>,
    trouble: Option<String>,
    /// The connection is to be closed and made anew.
    renew: bool,
}

/// The way to one peer.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) peer: NodeId,
    pub(crate) address: String,
    pub(crate) bulk: BulkQueue,
    state: Mutex<State>,
    /// Wakes the writer: something is queued, or the connection is to be made anew.
    wake: Notify,
    /// Ends a wait between attempts: the peer was heard of.
    poke: Notify,
}

impl Link {
    pub(crate) fn new(peer: NodeId, address: String) -> Self {
        let (bulk, state) = (BulkQueue::default(), Mutex::new(State::default()));
        Self { peer, address, bulk, state, wake: Notify::new(), poke: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing can panic while the lock is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn status(&self) -> LinkStatus {
        let state = self.lock();
        LinkStatus {
            peer: self.peer,
            address: self.address.clone(),
            connected: state.connected,
            trouble: state.trouble.clone(),
        }
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.lock().connected.is_some()
    }

    /// Queues a frame, if the peer is connected and `limit` bytes are not exceeded.
    pub(crate) fn send(&self, frame: Encoded, limit: usize) -> Result<(), SendError> {
        let mut state = self.lock();
        if state.connected.is_none() {
            return Err(SendError::NotConnected(self.peer));
        }
        // A single frame may exceed the limit, or an entry could never be sent.
        if !state.queue.is_empty() && state.bytes + frame.bytes() > limit {
            return Err(SendError::Full(self.peer));
        }
        state.bytes += frame.bytes();
        state.queue.push(frame);
        let first = state.queue.len() == 1;
        drop(state);
        if first {
            self.wake.notify_one();
        }
        Ok(())
    }

    /// Queues a chunk for the bulk channel, if the peer is connected and `limit` bytes are not
    /// exceeded.
    pub(crate) fn send_chunk(
        &self,
        request: RequestId,
        frame: Encoded,
        limit: usize,
    ) -> Result<(), SendError> {
        self.bulk.send(self.peer, (request, frame), limit)
    }

    /// Notes that a process of the peer was met: a connection to an earlier boot is given up, and
    /// an attempt that waits is made at once.
    pub(crate) fn met(&self, boot: BootCounter) {
        let mut state = self.lock();
        let outdated = state.connected.is_some_and(|connected| connected < boot);
        state.renew |= outdated;
        let idle = state.connected.is_none();
        drop(state);
        if outdated {
            self.wake.notify_one();
        }
        if idle {
            self.poke.notify_one();
        }
    }

    /// Gives up the present connection.
    pub(crate) fn renew(&self) {
        self.lock().renew = true;
        self.wake.notify_one();
    }

    fn up(&self, boot: BootCounter) {
        let mut state = self.lock();
        state.connected = Some(boot);
        state.trouble = None;
        state.renew = false;
        drop(state);
        self.bulk.allow(boot);
    }

    /// Notes that there is no connection; says how many frames are lost with it, and whether the
    /// reason is another one than before.
    pub(crate) fn down(&self, reason: String) -> (usize, bool) {
        let mut state = self.lock();
        let lost = state.queue.len();
        state.queue.clear();
        state.bytes = 0;
        state.connected = None;
        let changed = state.trouble.as_ref() != Some(&reason);
        state.trouble = Some(reason);
        drop(state);
        (lost + self.bulk.forbid(), changed)
    }

    /// Takes everything queued; nothing when the connection is to be given up.
    fn take(&self, into: &mut Vec<Encoded>) -> bool {
        let mut state = self.lock();
        if state.renew {
            return false;
        }
        std::mem::swap(&mut state.queue, into);
        state.bytes = 0;
        true
    }
}

/// Keeps one peer connected, for ever.
pub(crate) async fn run(link: Arc<Link>, shared: Arc<Shared>) {
    let mut backoff = Backoff::new(shared.config.seed ^ link.peer.get());
    let mut refused_for = None;
    loop {
        let error = match connect(&link, &shared, Channel::Control).await {
            Ok((stream, boot)) => {
                backoff.reset();
                refused_for = None;
                let end = serve(&link, &shared, stream, boot).await;
                let (lost, _) = link.down(end.to_string());
                add(&shared.counters.dropped_connection_lost, lost);
                tracing::info!(peer = %link.peer, address = link.address, "disconnected: {end}");
                shared.events.push(Event::Closed { peer: link.peer, side: Side::Outgoing });
                end
            }
            Err(error) => {
                count(&shared.counters.dial_failures);
                let (_, changed) = link.down(error.to_string());
                if changed {
                    let address = &link.address;
                    tracing::warn!(peer = %link.peer, address, "not connected: {error}");
                }
                report(&link, &shared, &error, &mut refused_for);
                error
            }
        };
        tokio::select! {
            () = sleep(backoff.wait(error.is_refusal())) => {}
            () = link.poke.notified() => backoff.reset(),
        }
    }
}

/// Tells the shell of a refusal, once per reason.
fn report(
    link: &Link,
    shared: &Shared,
    error: &DialError,
    refused_for: &mut Option<HandshakeRefusal>,
) {
    let DialError::Refused(refusal) = error else { return };
    if refused_for.replace(*refusal) != Some(*refusal) {
        shared.events.push(Event::Refused { peer: link.peer, refusal: *refusal });
    }
}

/// Makes a connection of its own for a channel; gives the boot that answered.
pub(super) async fn connect(
    link: &Link,
    shared: &Shared,
    channel: Channel,
) -> Result<(Stream, BootCounter), DialError> {
    let (me, cluster) = {
        let known = shared.acquaintances();
        (known.me(), known.cluster())
    };
    let dialer = Dialer { me, cluster, to: Some(link.peer), channel };
    let (stream, welcome) =
        dial(&link.address, dialer, &shared.config, shared.network.as_ref()).await?;
    let checked = shared.acquaintances().check_welcome(link.peer, &welcome);
    checked.map_err(DialError::Unwelcome)?;
    Ok((stream, welcome.from.boot))
}

/// Writes what is queued until the connection ends.
async fn serve(link: &Link, shared: &Shared, stream: Stream, boot: BootCounter) -> DialError {
    link.up(boot);
    tracing::info!(peer = %link.peer, address = link.address, %boot, "connected");
    shared.events.push(Event::Connected { peer: link.peer, boot, side: Side::Outgoing });
    let (mut read, mut write) = tokio::io::split(stream);
    let mut batch = Vec::new();
    let mut unexpected = [0; 1];
    loop {
        tokio::select! {
            () = link.wake.notified() => {
                if !link.take(&mut batch) {
                    return DialError::Protocol("a later process of the node was met".to_owned());
                }
                let stall = shared.config.write_timeout;
                if let Err(error) = write_batch(&mut write, &batch, stall).await {
                    add(&shared.counters.dropped_connection_lost, batch.len());
                    return error.into();
                }
                let bytes = batch.iter().map(Encoded::bytes).sum();
                add(&shared.counters.frames_sent, batch.len());
                add(&shared.counters.bytes_sent, bytes);
                count(&shared.counters.writes);
                batch.clear();
            }
            // Nothing ever comes back on this connection but its end.
            read = read.read(&mut unexpected) => return match read {
                Ok(0) => io::Error::new(io::ErrorKind::ConnectionReset, "closed by the peer").into(),
                Ok(_) => DialError::Protocol("bytes on a connection that only sends".to_owned()),
                Err(error) => error.into(),
            },
        }
    }
}

/// Writes frames with as few system calls as the socket allows, copying nothing.
async fn write_batch(
    stream: &mut (impl AsyncWrite + Unpin),
    batch: &[Encoded],
    stall: Duration,
) -> io::Result<()> {
    let parts = batch.iter().flat_map(Encoded::parts).filter(|part| !part.is_empty());
    let mut slices: Vec<IoSlice<'_>> = parts.map(IoSlice::new).collect();
    let mut rest = slices.as_mut_slice();
    while !rest.is_empty() {
        let Ok(written) = timeout(stall, stream.write_vectored(rest)).await else {
            let text = format!("the peer took nothing for {stall:?}");
            return Err(io::Error::new(io::ErrorKind::TimedOut, text));
        };
        match written? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            written => IoSlice::advance_slices(&mut rest, written),
        }
    }
    Ok(())
}
