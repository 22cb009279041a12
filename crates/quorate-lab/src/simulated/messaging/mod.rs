//! Messages between nodes, and the network in memory that carries them.

mod error;
mod message;
mod messenger;
mod network;
mod receiver;

pub use error::MessagingError;
pub use message::{CommandReply, Message};
pub use messenger::NodeMessenger;
pub use network::{Conditions, Network};
pub use receiver::NodeReceiver;
