//! The bulk channel to one peer: a second connection, made when pieces of a snapshot have to go and
//! closed when none went for a while, so that they never delay a heartbeat.
//!
//! - It stands only beside the control connection to the same boot of the peer.
//! - What waits is bounded in bytes, apart from what waits on the control channel.
//! - A chunk is written in small pieces, and before each of them everything else that is ready has
//!   its turn.
//! - Nothing is sent again. When the connection cannot be made or breaks, the numbers of the chunks
//!   that did not leave, and of the last one that did, are reported: the protocol goes back to what
//!   the receiver has acknowledged. No chunk is taken then until it is time to dial again.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quorate_core::{BootCounter, NodeId, RequestId};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::Notify;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep, timeout};

use super::backoff::Backoff;
use super::counters::{add, count};
use super::dial::DialError;
use super::events::Event;
use super::frame::Encoded;
use super::handshake::Channel;
use super::link::{Link, SendError, connect};
use super::stream::Stream;
use super::tcp::Shared;

/// Bytes that one write hands to the system at most, roughly.
const PIECE: usize = 64 * 1024;
/// A connection that lived so long is no failed attempt.
const PROVEN: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<(RequestId, Encoded)>,
    /// Bytes in `queue`, and of the chunk that is being written.
    bytes: usize,
    /// The chunk that is being written.
    writing: Option<(RequestId, usize)>,
    /// The last chunk written over the present connection.
    written: Option<RequestId>,
    /// The peer's boot, while the control connection to it stands.
    allowed: Option<BootCounter>,
    /// Whether the last attempt failed and it is not time for the next.
    is_resting: bool,
}

/// What waits for a peer on its bulk channel.
#[derive(Debug, Default)]
pub(crate) struct BulkQueue {
    state: Mutex<State>,
    /// Wakes the writer: something is queued.
    wake: Notify,
    /// Wakes the writer: the connection may have to be given up.
    end: Notify,
}

impl BulkQueue {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing can panic while the lock is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a chunk, if the peer is connected and `limit` bytes are not exceeded.
    pub(crate) fn send(
        &self,
        peer: NodeId,
        (request, frame): (RequestId, Encoded),
        limit: usize,
    ) -> Result<(), SendError> {
        let mut state = self.lock();
        if state.allowed.is_none() || state.is_resting {
            return Err(SendError::NotConnected(peer));
        }
        // A single chunk may exceed the limit, or it could never be sent.
        if state.bytes > 0 && state.bytes + frame.bytes() > limit {
            return Err(SendError::Full(peer));
        }
        state.bytes += frame.bytes();
        state.queue.push_back((request, frame));
        drop(state);
        self.wake.notify_one();
        Ok(())
    }

    /// Notes that the control connection to this boot of the peer stands.
    pub(crate) fn allow(&self, boot: BootCounter) {
        self.lock().allowed = Some(boot);
        self.end.notify_one();
    }

    /// Notes that the control connection is gone, which its receiver hears of; says how many chunks
    /// are lost with it.
    pub(crate) fn forbid(&self) -> usize {
        let mut state = self.lock();
        let lost = state.queue.len();
        let queued: usize = state.queue.drain(..).map(|(_, frame)| frame.bytes()).sum();
        state.bytes -= queued;
        state.allowed = None;
        drop(state);
        self.end.notify_one();
        lost
    }

    /// Takes the next chunk to write.
    fn begin(&self) -> Option<Encoded> {
        let mut state = self.lock();
        let (request, frame) = state.queue.pop_front()?;
        state.writing = Some((request, frame.bytes()));
        Some(frame)
    }

    /// Notes that the chunk was written.
    fn finish(&self) {
        let mut state = self.lock();
        if let Some((request, bytes)) = state.writing.take() {
            state.bytes -= bytes;
            state.written = Some(request);
        }
    }

    /// Notes that the connection is closed because nothing is to be sent; refuses where something
    /// is.
    fn retire(&self) -> bool {
        let mut state = self.lock();
        let is_idle = state.queue.is_empty();
        if is_idle {
            state.written = None;
        }
        is_idle
    }

    /// Notes that there is no connection and none will be made for a while. The chunks that did not
    /// leave, or may be lost; all but the last written.
    fn fail(&self) -> (Vec<RequestId>, usize) {
        let mut state = self.lock();
        let lost = state.queue.len() + usize::from(state.writing.is_some());
        let written = state.written.take();
        let writing = state.writing.take().map(|(request, _)| request);
        let queued = state.queue.drain(..).map(|(request, _)| request);
        let requests = written.into_iter().chain(writing).chain(queued).collect();
        state.bytes = 0;
        state.is_resting = true;
        (requests, lost)
    }

    fn rested(&self) {
        self.lock().is_resting = false;
    }

    fn allowed(&self) -> Option<BootCounter> {
        self.lock().allowed
    }

    /// Waits until something is to be sent; the boot that it is for.
    async fn wanted(&self) -> BootCounter {
        loop {
            {
                let state = self.lock();
                if let Some(boot) = state.allowed.filter(|_| !state.queue.is_empty()) {
                    return boot;
                }
            }
            self.wake.notified().await;
        }
    }

    /// Waits until a connection to this boot must be given up.
    async fn is_over(&self, boot: BootCounter) -> DialError {
        while self.allowed() == Some(boot) {
            self.end.notified().await;
        }
        DialError::Protocol("the control connection ended".to_owned())
    }
}

/// Sends what is queued for one peer, for ever.
pub(crate) async fn run(link: Arc<Link>, shared: Arc<Shared>) {
    let mut backoff = Backoff::new(!shared.config.seed ^ link.peer.get());
    loop {
        let boot = link.bulk.wanted().await;
        let began = Instant::now();
        let served = tokio::select! {
            opened = open(&link, &shared, boot) => match opened {
                Ok(stream) => serve(&link.bulk, &shared, stream, boot).await,
                Err(error) => Err(error),
            },
            over = link.bulk.is_over(boot) => Err(over),
        };
        if began.elapsed() >= PROVEN {
            backoff.reset();
        }
        let Err(error) = served else {
            count(&shared.counters.bulk_idle);
            continue;
        };
        let (requests, lost) = link.bulk.fail();
        add(&shared.counters.dropped_connection_lost, lost);
        let (peer, address) = (link.peer, &link.address);
        tracing::info!(%peer, address, lost, "no bulk connection: {error}");
        if !requests.is_empty() {
            shared.events.push(Event::ChunksLost { peer, requests });
        }
        sleep(backoff.wait(false)).await;
        link.bulk.rested();
    }
}

async fn open(link: &Link, shared: &Shared, boot: BootCounter) -> Result<Stream, DialError> {
    let (stream, answered) = connect(link, shared, Channel::Bulk).await?;
    if answered != boot {
        return Err(DialError::Protocol(format!("boot {answered} answered")));
    }
    count(&shared.counters.bulk_opened);
    Ok(stream)
}

/// Writes what is queued until nothing came for a while, or the connection ends.
async fn serve(
    queue: &BulkQueue,
    shared: &Shared,
    stream: Stream,
    boot: BootCounter,
) -> Result<(), DialError> {
    let config = &shared.config;
    let (mut read, mut write) = tokio::io::split(stream);
    let end = async {
        tokio::select! {
            end = ended(&mut read) => end,
            over = queue.is_over(boot) => over,
        }
    };
    tokio::pin!(end);
    loop {
        let Some(frame) = queue.begin() else {
            tokio::select! {
                () = queue.wake.notified() => continue,
                () = sleep(config.bulk_idle) => {
                    if queue.retire() {
                        // What was written arrives; whether in time is no matter of this node.
                        drop(timeout(config.write_timeout, write.shutdown()).await);
                        return Ok(());
                    }
                    continue;
                }
                end = &mut end => return Err(end),
            }
        };
        tokio::select! {
            written = write_in_pieces(&mut write, &frame, config.write_timeout) => written?,
            end = &mut end => return Err(end),
        }
        queue.finish();
        count(&shared.counters.chunks_sent);
        count(&shared.counters.frames_sent);
        add(&shared.counters.bytes_sent, frame.bytes());
    }
}

/// Waits for the end of a connection on which nothing ever comes back.
async fn ended(read: &mut (impl AsyncRead + Unpin)) -> DialError {
    match read.read(&mut [0; 1]).await {
        Ok(0) => io::Error::new(io::ErrorKind::ConnectionReset, "closed by the peer").into(),
        Ok(_) => DialError::Protocol("bytes on a connection that only sends".to_owned()),
        Err(error) => error.into(),
    }
}

/// Writes a frame piece by piece, copying nothing. Before each piece all other tasks that are ready
/// have their turn, and the event queue is asked: a heartbeat waits for one piece at most.
async fn write_in_pieces(
    stream: &mut (impl AsyncWrite + Unpin),
    frame: &Encoded,
    stall: Duration,
) -> io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> =
        frame.parts().flat_map(|part| part.chunks(PIECE)).map(IoSlice::new).collect();
    let mut rest = slices.as_mut_slice();
    while !rest.is_empty() {
        yield_now().await;
        // What is short, as the head is, goes with what follows it.
        let few = if rest[0].len() < PIECE / 2 { rest.len().min(2) } else { 1 };
        let Ok(written) = timeout(stall, stream.write_vectored(&rest[..few])).await else {
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

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Poll};

    use super::*;
    use crate::transport::frame::Shared;

    /// Takes whatever it is given at once; notes the size of each write, and the turns that another
    /// task had had by then.
    #[derive(Default)]
    struct Greedy {
        turns: Arc<AtomicUsize>,
        writes: Vec<(usize, usize)>,
        bytes: Vec<u8>,
    }

    impl AsyncWrite for Greedy {
        fn poll_write(
            self: Pin<&mut Self>,
            context: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.poll_write_vectored(context, &[IoSlice::new(bytes)])
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            parts: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            let size = parts.iter().map(|part| part.len()).sum();
            parts.iter().for_each(|part| self.bytes.extend_from_slice(part));
            let turns = self.turns.load(Ordering::Relaxed);
            self.writes.push((size, turns));
            Poll::Ready(Ok(size))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn a_chunk_leaves_in_pieces_and_others_have_their_turn_before_each() {
        let data: Vec<u8> = (0..5 * PIECE).map(|at| at.to_le_bytes()[0]).collect();
        let shared = vec![Shared::Bytes(Arc::new(data))];
        let frame = Encoded::new(64, shared, |out| out.extend_from_slice(b"head"));
        let mut stream = Greedy::default();
        let turns = Arc::clone(&stream.turns);
        let other = tokio::spawn(async move {
            loop {
                turns.fetch_add(1, Ordering::Relaxed);
                yield_now().await;
            }
        });
        write_in_pieces(&mut stream, &frame, Duration::from_secs(5)).await.unwrap();
        other.abort();
        let writes = std::mem::take(&mut stream.writes);
        assert_eq!(writes.len(), 5, "the head goes with the first piece: {writes:?}");
        assert!(writes.iter().all(|(size, _)| *size <= PIECE + 64), "{writes:?}");
        assert!(writes.windows(2).all(|pair| pair[0].1 < pair[1].1), "{writes:?}");
        assert!(writes[0].1 >= 1, "what is ready goes before the first piece: {writes:?}");
        assert_eq!(stream.bytes, frame.to_vec());
    }
}
