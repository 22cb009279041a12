//! Remote calls in the manner of the labs' `labrpc`: services that a macro defines, servers that hold
//! them, and a network of named servers and named clients.
//!
//! The figures of an unreliable network are those of [`crate::network`]'s model of the dss labs: a
//! request takes up to 26 ms, one in ten is lost and its caller learns so after up to 26 *seconds*, one
//! in ten replies is lost; of replies that are held back, and of disabled ends, see there.
//!
//! - A request leaves when the method of a client is called, not when its future is first polled:
//!   whoever sends and forgets needs no executor.
//! - Nothing that runs on the network's runtime waits for a thread. Whoever has to block, does it with
//!   [`block_on`] on a thread of their own.
//!
//! ```
//! use quorate_lab::dss::labrpc;
//!
//! #[derive(Clone, PartialEq, prost::Message)]
//! pub struct Echo {
//!     #[prost(int64, tag = "1")]
//!     pub x: i64,
//! }
//!
//! labrpc::service! {
//!     /// Says the same again.
//!     service echo {
//!         rpc ping(super::Echo) returns (super::Echo);
//!     }
//! }
//!
//! struct Same;
//! impl echo::Service for Same {
//!     async fn ping(&self, input: Echo) -> labrpc::Result<Echo> {
//!         Ok(input)
//!     }
//! }
//!
//! fn main() -> labrpc::Result<()> {
//!     let network = labrpc::Network::new();
//!     let mut builder = labrpc::ServerBuilder::new("server".to_owned());
//!     echo::add_service(Same, &mut builder)?;
//!     network.add_server(builder.build());
//!     let client = echo::Client::new(network.create_client("client".to_owned()));
//!     network.connect("client", "server");
//!     network.enable("client", true);
//!     let reply = labrpc::block_on(client.ping(&Echo { x: 777 }))?;
//!     assert_eq!(reply.x, 777);
//!     Ok(())
//! }
//! ```

mod client;
mod error;
mod network;
mod server;
mod service;
#[cfg(test)]
mod tests;

pub use client::{Client, block_on};
pub use error::{Error, Result};
pub use network::Network;
pub use server::{Call, Server, ServerBuilder};

#[doc(inline)]
pub use crate::__labrpc_service as service;
