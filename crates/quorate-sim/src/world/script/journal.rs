//! A state machine that remembers every command, and clients that ask for nothing.

use core::time::Duration;

use quorate::{Applying, StateMachine};
use serde::{Deserialize, Serialize};

use super::super::workload::{Decision, End, Request, Workload};
use crate::history::{ClientId, OperationId};
use crate::rng::Rng;

/// Every command in the order of its execution.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    commands: Vec<String>,
}

impl Journal {
    /// The command at this index of the application, which begins at 1.
    #[must_use]
    pub fn command(&self, index: u64) -> Option<&str> {
        let at = usize::try_from(index).ok()?.checked_sub(1)?;
        self.commands.get(at).map(String::as_str)
    }

    /// Every command.
    pub fn commands(&self) -> impl Iterator<Item = &str> {
        self.commands.iter().map(String::as_str)
    }
}

impl StateMachine for Journal {
    type Command = String;
    /// The application's index of the command.
    type Reply = u64;
    type Query = ();
    /// The last command.
    type Answer = Option<String>;

    fn apply(&mut self, at: &Applying, command: String) -> u64 {
        self.commands.push(command);
        at.application_index
    }

    fn query(&self, (): ()) -> Option<String> {
        self.commands.last().cloned()
    }
}

/// Clients that do not exist.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Nobody;

impl Workload<Journal> for Nobody {
    fn next(
        &mut self,
        _client: ClientId,
        _rng: &mut Rng,
        _at: Duration,
    ) -> (Option<OperationId>, Request<Journal>) {
        // Only in a world that was set up with clients: they look, and change nothing.
        (None, Request::Read(()))
    }

    fn ended(&mut self, _operation: OperationId, _end: End<Journal>, _at: Duration) {}

    fn verdict(&self) -> Result<Decision, String> {
        Ok(Decision::Explained)
    }
}
