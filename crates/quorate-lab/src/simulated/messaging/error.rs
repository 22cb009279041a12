//! Why a message did not leave, or none came.

/// Why a message did not leave, or none came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessagingError {
    /// No node has this number.
    #[error("there is no node {0} on the network")]
    NodeNotFound(u64),
    /// The receiving node has stopped: nothing reads its channel any more.
    #[error("node {0} has stopped and receives nothing")]
    Closed(u64),
    /// The own channel has ended: nobody can send to this node any more.
    #[error("the channel of this node has ended")]
    Ended,
}
