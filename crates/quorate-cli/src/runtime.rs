//! The single-threaded runtime that the client verbs and the demo run their calls on.

use tokio::runtime::{Builder, Runtime};

use crate::failure::{Exit, Failure};

/// Makes a runtime with sockets and timers.
pub(crate) fn single_threaded() -> Result<Runtime, Failure> {
    Builder::new_current_thread().enable_all().build().map_err(|error| {
        Failure::new(
            Exit::Start,
            format!("cannot start the runtime: {error}"),
            "the process may not open more files",
            "raise the limit (`ulimit -n 4096`) and try again",
        )
    })
}
