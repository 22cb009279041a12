//! Opening connections: TCP, then the handshake, with every way it can fail as a type.

use std::io;
use std::time::Duration;

use quorate_core::{ClusterId, NodeId};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::config::TransportConfig;
use super::handshake::{
    Caller, Channel, HandshakeRefusal, Hello, REPLY_BYTES, Welcome, WelcomeError, decode_reply,
};
use super::stream::{MemoryNetwork, Stream};
use crate::wire::WireError;

/// Time after which the system begins to ask whether an idle connection's other end is alive, and
/// between its questions.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// Why a node could not be reached.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    /// No TCP connection could be made, or it broke.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// No TCP connection was made in time.
    #[error("no connection within {0:?}")]
    ConnectTimeout(Duration),
    /// Something accepted the connection and did not answer in time.
    #[error("no answer within {0:?}")]
    AnswerTimeout(Duration),
    /// What listens there is no node.
    #[error("what listens there is no quorate node, or a damaged one answered: {0}")]
    NoNode(WireError),
    /// The node there refuses.
    #[error("the node there refuses: {0}")]
    Refused(HandshakeRefusal),
    /// The node there accepts, but is not the one that was wanted.
    #[error("{0}")]
    Unwelcome(WelcomeError),
    /// The node there speaks out of turn.
    #[error("the node there sent what it should not: {0}")]
    Protocol(String),
}

impl DialError {
    /// Whether trying again soon is of no use.
    pub(crate) const fn is_refusal(&self) -> bool {
        match self {
            Self::Refused(HandshakeRefusal::NotFounded { .. } | HandshakeRefusal::Busy) => false,
            Self::Refused(_) | Self::Unwelcome(_) | Self::NoNode(_) => true,
            Self::Io(_) | Self::ConnectTimeout(_) | Self::AnswerTimeout(_) | Self::Protocol(_) => {
                false
            }
        }
    }
}

/// Sets what every connection between nodes has.
pub(crate) fn prepare(stream: &Stream) -> io::Result<()> {
    let Stream::Tcp(stream) = stream else { return Ok(()) };
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE);
    SockRef::from(stream).set_tcp_keepalive(&keepalive)
}

/// What a dialer says of itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dialer {
    pub(crate) me: Caller,
    pub(crate) cluster: ClusterId,
    pub(crate) to: Option<NodeId>,
    pub(crate) channel: Channel,
}

/// Opens a connection and performs the handshake.
pub(crate) async fn dial(
    address: &str,
    dialer: Dialer,
    config: &TransportConfig,
    network: Option<&MemoryNetwork>,
) -> Result<(Stream, Welcome), DialError> {
    let connecting = timeout(config.connect_timeout, Stream::connect(network, address));
    let connected = connecting.await;
    let mut stream = connected.map_err(|_| DialError::ConnectTimeout(config.connect_timeout))??;
    prepare(&stream)?;
    let hello = Hello::new(dialer.me, dialer.cluster, dialer.to, dialer.channel);
    let exchange = async {
        stream.write_all(&hello.encode()).await?;
        let mut reply = [0; REPLY_BYTES];
        stream.read_exact(&mut reply).await?;
        Ok::<_, io::Error>(reply)
    };
    let exchanged = timeout(config.read_timeout, exchange).await;
    let reply = exchanged.map_err(|_| DialError::AnswerTimeout(config.read_timeout))??;
    let answer = decode_reply(&reply).map_err(DialError::NoNode)?;
    let welcome = answer.map_err(DialError::Refused)?;
    Ok((stream, welcome))
}
