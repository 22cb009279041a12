//! The way to one peer: a name and arguments go out, a reply comes back or nothing does.

use std::future::Future;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::raft::Peer;

/// A client of one peer.
#[derive(Clone, Debug)]
pub struct RpcClient(Peer);

impl RpcClient {
    /// A client over whatever carries requests.
    #[must_use]
    pub const fn new(peer: Peer) -> Self {
        Self(peer)
    }

    /// Calls a method of the peer; the request leaves at once. Nothing comes back where request or
    /// reply was lost, where nobody was there, and where the reply is none of this type; the call may have
    /// been executed.
    pub fn call<Args, Reply>(
        &self,
        name: &str,
        args: &Args,
    ) -> impl Future<Output = Option<Reply>> + Send + use<Args, Reply>
    where
        Args: Serialize,
        Reply: DeserializeOwned,
    {
        let sent = serde_json::to_vec(args).ok().map(|args| self.0.call(name, args));
        async move {
            let reply = sent?.await?;
            serde_json::from_slice(&reply).ok()
        }
    }
}
