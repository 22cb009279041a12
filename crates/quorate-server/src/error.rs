//! Why a server does not start or does not go on; an operator reads it.

use std::io;

use quorate::{StartError, StopReason};

use crate::config::ConfigError;

/// Why a server does not start or does not go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The settings are wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The client port cannot be opened.
    #[error("clients cannot be served on {address}: {}", listen_advice(.source))]
    Listen {
        /// The address.
        address: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The node does not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The node stopped by itself.
    #[error("the node stopped: {0}")]
    Stopped(StopReason),
}

/// What went wrong, and what to do about it.
fn listen_advice(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "another program listens there; stop it, or choose another --listen-client-urls"
                .to_owned()
        }
        io::ErrorKind::AddrNotAvailable => {
            "no interface of this machine has that address; correct --listen-client-urls".to_owned()
        }
        io::ErrorKind::PermissionDenied => {
            "this user may not listen there; choose a port from 1024 up".to_owned()
        }
        _ => format!("{error}; correct --listen-client-urls"),
    }
}
