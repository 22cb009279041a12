//! Settings of the transport, and the socket it listens on.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use tokio::io::DuplexStream;
use tokio::sync::mpsc::UnboundedReceiver;

use super::codec::FrameLimits;
use super::stream::{Listener, MemoryNetwork};

/// Settings of a [`Transport`](super::Transport).
#[derive(Clone, Debug)]
pub struct TransportConfig {
    /// Bytes of the largest entry, header included; the same on all nodes. At most 64 MiB.
    pub max_entry_bytes: usize,
    /// Bytes that may wait to be sent to one peer. What does not fit is refused and counted.
    pub send_queue_bytes: usize,
    /// Bytes of chunks that may wait to be sent to one peer, beside the above.
    pub bulk_queue_bytes: usize,
    /// Bytes of frames that may wait to be taken from the events. When there are more, connections
    /// are not read until some are taken.
    pub event_queue_bytes: usize,
    /// Bytes of chunks that may wait to be taken from the events, beside the above: where they pile
    /// up, only bulk connections are not read.
    pub bulk_event_bytes: usize,
    /// How long a bulk connection over which nothing is sent stays open.
    pub bulk_idle: Duration,
    /// How long a TCP connection may take to be made.
    pub connect_timeout: Duration,
    /// How long a handshake, a founding message or the rest of a frame may take to arrive.
    pub read_timeout: Duration,
    /// How long a write may make no progress before the connection is given up.
    pub write_timeout: Duration,
    /// Connections that are accepted at the same time.
    pub max_connections: usize,
    /// Seed of the jitter between attempts to dial.
    pub seed: u64,
}

impl Default for TransportConfig {
    fn default() -> Self {
        Self {
            max_entry_bytes: 4 << 20,
            send_queue_bytes: 64 << 20,
            bulk_queue_bytes: 4 << 20,
            event_queue_bytes: 64 << 20,
            bulk_event_bytes: 8 << 20,
            bulk_idle: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(2),
            read_timeout: Duration::from_secs(5),
            write_timeout: Duration::from_secs(10),
            max_connections: 512,
            seed: 0,
        }
    }
}

impl TransportConfig {
    pub(crate) const fn frame_limits(&self) -> FrameLimits {
        FrameLimits::for_entries(self.max_entry_bytes)
    }
}

/// Why a peer address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// Another process listens there.
    #[error(
        "the peer address {address} is in use by another process; stop that process, or choose \
         another address (`ss -ltnp` shows who listens where)"
    )]
    InUse {
        /// The address.
        address: String,
    },
    /// The address is not one of this machine's, or may not be used.
    #[error(
        "the peer address {address} cannot be listened on: {source}; it must belong to this machine"
    )]
    Io {
        /// The address.
        address: String,
        /// What the system says.
        source: io::Error,
    },
}

/// A socket that listens for peers, before anything is served on it.
#[derive(Debug)]
pub struct Listening {
    socket: Socket,
    address: SocketAddr,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Memory(MemoryNetwork, UnboundedReceiver<DuplexStream>),
}

impl Listening {
    pub(crate) const fn in_memory(
        network: MemoryNetwork,
        accepted: UnboundedReceiver<DuplexStream>,
        address: SocketAddr,
    ) -> Self {
        Self { socket: Socket::Memory(network, accepted), address }
    }

    /// Turns it into a socket of this runtime, with the network that its node dials in.
    pub(crate) fn adopt(self) -> io::Result<(Listener, Option<MemoryNetwork>)> {
        match self.socket {
            Socket::Tcp(listener) => {
                let listener = tokio::net::TcpListener::from_std(listener)?;
                Ok((Listener::Tcp(listener), None))
            }
            Socket::Memory(network, accepted) => {
                Ok((Listener::Memory(accepted, self.address), Some(network)))
            }
        }
    }

    /// Listens on `host:port`. Needs no runtime, so that a port in use shows before anything else
    /// is started.
    ///
    /// # Errors
    ///
    /// When the address is in use, or is not this machine's.
    pub fn bind(address: &str) -> Result<Self, BindError> {
        let attempt = || {
            let listener = TcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            let address = listener.local_addr()?;
            Ok(Self { socket: Socket::Tcp(listener), address })
        };
        attempt().map_err(|source: io::Error| {
            let address = address.to_owned();
            if source.kind() == io::ErrorKind::AddrInUse {
                BindError::InUse { address }
            } else {
                BindError::Io { address, source }
            }
        })
    }

    /// The address that is listened on, with the port that the system chose where port 0 was asked.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}
