//! The server over real sockets.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]
