//! The client port: listeners, connections, and their end.
//!
//! HTTP/1.1 and HTTP/2 are told apart by their first bytes. Everything runs on the runtime of the
//! caller, which is best single-threaded. A connection ends with its client, with a protocol error,
//! or with the server: then requests under way are finished, for a while.

use std::error::Error;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::backend::Backend;
use crate::error::ServeError;
use crate::forgiving::{Forgiving, Protocol};
use crate::http2;
use crate::route::Router;

/// How long requests under way may take to finish when the server stops.
const GRACE: Duration = Duration::from_secs(3);
/// Pause after a connection could not be accepted, for want of file descriptors for example.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long a client may take to say its version of HTTP, and to send the head of an HTTP/1.1
/// request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Opens a listener.
pub(crate) async fn listen(address: &str) -> Result<TcpListener, ServeError> {
    let failed = |source| ServeError::Listen { address: address.to_owned(), source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    // On Linux accepted connections inherit it, which saves a system call each.
    SockRef::from(&listener).set_tcp_nodelay(true).map_err(failed)?;
    Ok(listener)
}

/// The address that a listener has.
pub(crate) fn address(listener: &TcpListener, asked: &str) -> Result<SocketAddr, ServeError> {
    let failed = |source| ServeError::Listen { address: asked.to_owned(), source };
    listener.local_addr().map_err(failed)
}

/// Returns when every port that listens to `stop` has closed.
pub(crate) async fn closed(stop: &watch::Sender<bool>) {
    stop.closed().await;
}

/// Serves connections until `stop` changes or its sender is gone. Each takes a place of `room`; where
/// there is none left, it is closed at once.
pub(crate) async fn serve<B: Backend>(
    listener: TcpListener,
    router: Router<B>,
    room: Arc<Semaphore>,
    mut stop: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    let mut was_full = false;
    loop {
        tokio::select! {
            biased;
            _ = stop.changed() => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, client)) => {
                    let place = Arc::clone(&room).try_acquire_owned();
                    let is_full = place.is_err();
                    if is_full && !was_full {
                        tracing::warn!(%client, "closed: there are too many connections");
                    }
                    was_full = is_full;
                    if let Ok(place) = place {
                        let served = connection(stream, client, router.clone(), stop.clone());
                        connections.spawn(async move {
                            served.await;
                            drop(place);
                        });
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "a client's connection was not accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    let finish = async { while connections.join_next().await.is_some() {} };
    if timeout(GRACE, finish).await.is_err() {
        tracing::warn!("requests under way did not finish in time; their connections are closed");
    }
}

/// Serves one connection.
async fn connection<B: Backend>(
    stream: TcpStream,
    client: SocketAddr,
    router: Router<B>,
    mut stop: watch::Receiver<bool>,
) {
    if let Err(error) = stream.set_nodelay(true) {
        // The client is gone already, or answers a little later than it could.
        tracing::debug!(%client, %error, "a connection keeps its delay");
    }
    let mut stream = Forgiving::new(stream);
    let ended: Result<(), Box<dyn Error>> = match timeout(HEAD_TIMEOUT, stream.protocol()).await {
        Err(_) => Err("nothing came in time".into()),
        Ok(Err(error)) => Err(error.into()),
        Ok(Ok(Protocol::Http2)) => {
            http2::serve(stream, &Arc::new(router), stop).await.map_err(Into::into)
        }
        Ok(Ok(Protocol::Other)) => {
            let mut builder = http1::Builder::new();
            builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
            let mut served = pin!(builder.serve_connection(TokioIo::new(stream), router));
            let ended = tokio::select! {
                ended = served.as_mut() => ended,
                _ = stop.changed() => {
                    served.as_mut().graceful_shutdown();
                    served.await
                }
            };
            ended.map_err(Into::into)
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%client, %error, "a client's connection ended");
    }
}

#[cfg(test)]
mod tests;
