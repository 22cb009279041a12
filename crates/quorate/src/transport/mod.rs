//! How nodes talk: frames, handshake, messages, and the TCP connections that carry them.
pub mod codec;
pub mod founding;
pub mod frame;
pub mod handshake;
