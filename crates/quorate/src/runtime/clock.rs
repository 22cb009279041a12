//! The shell's clock: monotonic time as the pure parts count it.

use std::time::Duration;

use quorate_core::Instant;

/// Counts from its own origin.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin: tokio::time::Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { origin: tokio::time::Instant::now() }
    }

    pub(crate) fn now(&self) -> Instant {
        Instant::ZERO.after(self.origin.elapsed())
    }

    pub(crate) fn instant(&self, at: Instant) -> tokio::time::Instant {
        self.origin + Duration::from_nanos(at.as_nanos())
    }
}
