//! What nodes execute.

use std::fmt::Debug;

/// A deterministic machine over numbers.
pub trait StateMachine: Send + Sync + Debug {
    /// Executes a command.
    fn apply(&mut self, command: u64);

    /// Its state, for comparison.
    fn get_state(&self) -> u64;
}

/// Adds up; wraps around at the end of its numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CounterStateMachine {
    total: u64,
}

impl StateMachine for CounterStateMachine {
    fn apply(&mut self, command: u64) {
        self.total = self.total.wrapping_add(command);
    }

    fn get_state(&self) -> u64 {
        self.total
    }
}
