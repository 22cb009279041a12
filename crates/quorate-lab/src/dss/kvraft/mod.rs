//! The labs' key-value service: the server, its node, and the clerk whose calls block.

pub mod client;
pub mod proto;
pub mod server;
