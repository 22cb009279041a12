//! What a server of any service offers to whoever hosts it.

use std::future::Future;
use std::sync::Arc;

use super::driver::Seat;

/// One server of a service.
pub trait Service<R>: Send + Sync + Sized + 'static {
    /// Starts it.
    fn start(seat: Seat) -> Arc<Self>;

    /// Answers a request of a client or of another server.
    fn answer(
        self: Arc<Self>,
        method: String,
        args: Vec<u8>,
    ) -> impl Future<Output = Vec<u8>> + Send + 'static;

    /// The Raft below.
    fn raft(&self) -> &Arc<R>;

    /// The last index that it executed.
    fn applied(&self) -> u64;

    /// Crashes it.
    fn kill(&self);
}
