//! When a node wants to be called, and for what.

use std::time::Duration;

use crate::context::Context;

/// What a timer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimerType {
    /// No leader was heard of for too long.
    Election,
    /// The followers have to hear of this leader.
    Heartbeat,
}

/// The one timer of a node.
#[derive(Debug)]
pub struct NodeTimer {
    context: Context,
    kind: TimerType,
    deadline: Duration,
}

impl NodeTimer {
    /// A timer that is due at once.
    #[must_use]
    pub fn new(context: Context) -> Self {
        let deadline = context.now();
        Self { context, kind: TimerType::Election, deadline }
    }

    /// Sets what it is for and when it is due, in place of what was set.
    pub const fn reset(&mut self, kind: TimerType, deadline: Duration) {
        (self.kind, self.deadline) = (kind, deadline);
    }

    /// What it is for.
    #[must_use]
    pub const fn kind(&self) -> TimerType {
        self.kind
    }

    /// When it is due.
    #[must_use]
    pub const fn deadline(&self) -> Duration {
        self.deadline
    }

    /// Waits until it is due, and says what for.
    pub async fn wait_for_event(&self) -> TimerType {
        self.context.sleep_until(self.deadline).await;
        self.kind
    }
}
