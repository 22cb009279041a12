//! What sends for one node.

use super::{Message, MessagingError, Network};

/// Sends messages in the name of one node.
#[derive(Clone, Debug)]
pub struct NodeMessenger {
    node: u64,
    network: Network,
}

impl NodeMessenger {
    pub(super) const fn new(node: u64, network: Network) -> Self {
        Self { node, network }
    }

    /// The node's number.
    #[must_use]
    pub const fn node_id(&self) -> u64 {
        self.node
    }

    /// Sends a message to one node. Whether it arrives, only an answer can tell.
    ///
    /// # Errors
    ///
    /// Where there is no such node, or it has stopped.
    pub fn send_to(&self, node: u64, message: Message) -> Result<(), MessagingError> {
        self.network.send(self.node, node, message)
    }

    /// Sends a message to every other node. One that cannot be reached does not keep the others from it.
    ///
    /// # Errors
    ///
    /// The first one, after all have been tried. A client's command is for one leader, and reaches
    /// nobody this way.
    pub fn broadcast(&self, message: &Message) -> Result<(), MessagingError> {
        let mut outcome = Ok(());
        for node in self.network.nodes().into_iter().filter(|node| *node != self.node) {
            if let Some(copy) = message.copy() {
                let sent = self.send_to(node, copy);
                outcome = outcome.and(sent);
            }
        }
        outcome
    }

    /// Puts a message into the own channel; nothing befalls it on the way.
    ///
    /// # Errors
    ///
    /// If this node has stopped.
    pub fn send_self(&self, message: Message) -> Result<(), MessagingError> {
        self.network.deliver(self.node, message)
    }
}
