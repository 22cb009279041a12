//! What answers requests of peers.

use std::future::Future;

/// Answers requests by name, with arguments and reply as JSON.
pub trait Server: Send + Sync {
    /// Answers one request; the empty text where the name is unknown or the arguments are none.
    fn dispatch(&self, name: &str, args: String) -> impl Future<Output = String> + Send;
}
