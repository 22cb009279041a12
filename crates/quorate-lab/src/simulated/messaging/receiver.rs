//! What one node receives by.

use tokio::sync::mpsc::UnboundedReceiver;

use super::{Message, MessagingError};

/// Receives the messages for one node.
#[derive(Debug)]
pub struct NodeReceiver(UnboundedReceiver<Message>);

impl NodeReceiver {
    pub(super) const fn new(receiver: UnboundedReceiver<Message>) -> Self {
        Self(receiver)
    }

    /// The next message, when there is one.
    ///
    /// # Errors
    ///
    /// [`MessagingError::Ended`] when nobody can send any more: another node has taken the number, or the
    /// network is gone.
    pub async fn receive(&mut self) -> Result<Message, MessagingError> {
        self.0.recv().await.ok_or(MessagingError::Ended)
    }
}
