//! What carries bytes between two nodes: a TCP connection, or a pipe in memory.
//!
//! A [`MemoryNetwork`] connects nodes of one process. Everything above the bytes is the same: the
//! handshake, the frames, their checksums.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::config::Listening;

/// Bytes on their way that one side of a connection in memory may have.
const PIPE_BYTES: usize = 1 << 20;

/// Connections in memory between nodes of one process. Clones are the same network.
///
/// Its addresses look like any others and mean nothing outside of it.
#[derive(Clone, Debug, Default)]
pub struct MemoryNetwork {
    places: Arc<Mutex<Places>>,
}

#[derive(Debug, Default)]
struct Places {
    last_port: u16,
    listeners: BTreeMap<String, UnboundedSender<DuplexStream>>,
}

impl MemoryNetwork {
    /// A network without nodes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A socket at an address of its own, to be given to
    /// [`NodeBuilder::listen_on`](crate::NodeBuilder::listen_on).
    ///
    /// # Panics
    ///
    /// When the network has given out all of its 65,535 addresses.
    #[must_use]
    pub fn listen(&self) -> Listening {
        let mut places = self.lock();
        places.last_port = places.last_port.checked_add(1).expect("a network has 65,535 addresses");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, places.last_port));
        let (sender, accepted) = unbounded_channel();
        places.listeners.insert(address.to_string(), sender);
        drop(places);
        Listening::in_memory(self.clone(), accepted, address)
    }

    fn lock(&self) -> MutexGuard<'_, Places> {
        // Nothing panics while it is locked but the lack of addresses, which changes nothing.
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connect(&self, address: &str) -> io::Result<DuplexStream> {
        let (here, there) = tokio::io::duplex(PIPE_BYTES);
        let places = self.lock();
        let listener = places.listeners.get(address).ok_or(io::ErrorKind::ConnectionRefused)?;
        listener.send(there).map_err(|_| io::ErrorKind::ConnectionRefused)?;
        Ok(here)
    }
}

/// A connection.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    Memory(DuplexStream),
}

impl Stream {
    /// Connects to an address, over this network where there is one.
    pub(crate) async fn connect(
        network: Option<&MemoryNetwork>,
        address: &str,
    ) -> io::Result<Self> {
        match network {
            Some(network) => network.connect(address).map(Self::Memory),
            None => TcpStream::connect(address).await.map(Self::Tcp),
        }
    }
}

/// What accepts connections.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(TcpListener),
    Memory(UnboundedReceiver<DuplexStream>, SocketAddr),
}

impl Listener {
    pub(crate) async fn accept(&mut self) -> io::Result<(Stream, SocketAddr)> {
        match self {
            Self::Tcp(listener) => {
                listener.accept().await.map(|(stream, from)| (Stream::Tcp(stream), from))
            }
            Self::Memory(accepted, address) => match accepted.recv().await {
                Some(stream) => Ok((Stream::Memory(stream), *address)),
                // The network keeps the other end for as long as it lives.
                None => std::future::pending().await,
            },
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Memory(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Memory(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(context),
            Self::Memory(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Memory(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(context, parts),
            Self::Memory(stream) => Pin::new(stream).poll_write_vectored(context, parts),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}
