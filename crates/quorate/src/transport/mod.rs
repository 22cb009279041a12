//! How nodes talk: frames, handshake, messages, and the TCP connections that carry them.
//!
//! [`Transport`] owns the sockets of one node and runs on the runtime that it is started in. The
//! shell sends with [`Transport::send`] and takes what happened from [`Transport::events`], both in
//! batches: whatever is sent to one peer in a wake-up leaves in one write, whatever one read brings
//! arrives as one event.
//!
//! - A node sends over the connections that it dialled and receives over those that it accepted:
//!   one control connection per peer and direction, and a bulk connection while pieces of snapshots
//!   have to go. Each has a socket, a queue and room for what was received of its own, so that a
//!   snapshot delays no heartbeat.
//! - Every queue is bounded in bytes. A frame that does not fit, or whose peer is not connected, is
//!   refused at once and counted; nothing is kept for later. A reader whose events are not taken
//!   stops reading.
//! - Nothing that a stranger sends allocates more than its handshake or outlives its deadline.
//!   Whoever breaks the rules of a connection loses it; the others go on.
//!
//! `docs/wire-format.md` holds the layouts. The codecs need no runtime; the sockets are the feature
//! `tcp`.

pub mod codec;
pub mod founding;
pub mod frame;
pub mod handshake;

#[cfg(feature = "tcp")]
mod backoff;
#[cfg(feature = "tcp")]
mod bulk;
#[cfg(feature = "tcp")]
mod config;
#[cfg(feature = "tcp")]
mod counters;
#[cfg(feature = "tcp")]
mod dial;
#[cfg(feature = "tcp")]
mod events;
#[cfg(feature = "tcp")]
mod link;
#[cfg(feature = "tcp")]
mod listen;
#[cfg(feature = "tcp")]
mod reader;
#[cfg(feature = "tcp")]
mod stream;
#[cfg(feature = "tcp")]
mod tcp;

#[cfg(feature = "tcp")]
pub(crate) use self::backoff::Backoff;
#[cfg(feature = "tcp")]
pub use self::config::{BindError, Listening, TransportConfig};
#[cfg(feature = "tcp")]
pub use self::counters::TransportCounts;
#[cfg(feature = "tcp")]
pub use self::events::{Event, EventQueue, Side};
#[cfg(feature = "tcp")]
pub use self::link::{LinkStatus, SendError};
#[cfg(feature = "tcp")]
pub use self::stream::MemoryNetwork;
#[cfg(feature = "tcp")]
pub use self::tcp::Transport;

#[cfg(feature = "tcp")]
#[cfg(test)]
mod tests;
