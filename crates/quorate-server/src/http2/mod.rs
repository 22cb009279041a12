//! One HTTP/2 connection, all of it in one task.
//!
//! Every request of a connection is a future of the connection's own task: what a batch of answers
//! wakes is polled once, and what they write leaves in one piece. Most requests are reads and writes
//! of keys, which [`unary`] carries out without the layers of a general gRPC server; whatever else
//! comes goes to the generated services.
//!
//! - A request ends with its answer, with its stream, or with its connection: what a client resets
//!   is given up at once, so that resetting costs nothing but the client's time.
//! - When the server stops, requests under way are finished; new ones are refused.
//! - A silent client is asked now and then whether it is still there.

mod body;
mod exchange;
mod unary;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use h2::server::{Builder, Connection};
use h2::{Ping, PingPong};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use self::exchange::exchange;
use crate::backend::Backend;
use crate::route::Router;

/// How often a client is asked whether it is still there: etcd's setting.
const PING_INTERVAL: Duration = Duration::from_secs(2 * 60 * 60);
/// How long its answer may take.
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// Most requests under way on one connection; further ones wait in the client.
const MAX_STREAMS: u32 = 4096;
/// Bytes that a client may send unread, on one stream and on all of a connection.
const WINDOW: u32 = 1 << 20;
/// Bytes of the headers of one request.
const MAX_HEADER_BYTES: u32 = 16 << 10;

/// What a connection waits for beside its client.
type Signal = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Serves one connection until it ends, or until `stop` changes and what is under way is finished.
pub(crate) async fn serve<B: Backend>(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    router: &Arc<Router<B>>,
    mut stop: watch::Receiver<bool>,
) -> Result<(), h2::Error> {
    let handshake = Builder::new()
        .max_concurrent_streams(MAX_STREAMS)
        .initial_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_header_list_size(MAX_HEADER_BYTES)
        .handshake(stream);
    let mut connection: Connection<_, Bytes> = handshake.await?;
    let mut silence: Option<Signal> =
        connection.ping_pong().map(|pings| Box::pin(silence(pings)) as Signal);
    // A sender that is gone is a stop, too.
    let mut stop: Option<Signal> = Some(Box::pin(async move { drop(stop.changed().await) }));
    let mut exchanges = FuturesUnordered::new();
    std::future::poll_fn(|task| {
        if is_over(&mut stop, task) {
            connection.graceful_shutdown();
        }
        if is_over(&mut silence, task) {
            connection.abrupt_shutdown(h2::Reason::NO_ERROR);
        }
        loop {
            // Answers first: accepting is what writes them, all that are ready in one piece.
            while let Poll::Ready(Some(())) = exchanges.poll_next_unpin(task) {}
            match connection.poll_accept(task) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => return Poll::Ready(Ok(())),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
                Poll::Ready(Some(Ok((request, respond)))) => {
                    exchanges.push(exchange(Arc::clone(router), request, respond));
                }
            }
        }
    })
    .await
}

/// Whether a signal came; it comes once.
fn is_over(signal: &mut Option<Signal>, task: &mut Context<'_>) -> bool {
    let came = signal.as_mut().is_some_and(|signal| signal.as_mut().poll(task).is_ready());
    if came {
        *signal = None;
    }
    came
}

/// Ends when the client does not answer any more.
async fn silence(mut pings: PingPong) {
    loop {
        sleep(PING_INTERVAL).await;
        if !matches!(timeout(PING_TIMEOUT, pings.ping(Ping::opaque())).await, Ok(Ok(_))) {
            return;
        }
    }
}
