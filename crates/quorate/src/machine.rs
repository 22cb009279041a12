//! The one trait that a user implements.
//!
//! A state machine is deterministic: the same commands in the same order give the same state and
//! the same replies on every node. `apply` gets no clock but the log's time and no randomness.
//! A state that is restored from a [`Snapshot`] is as good as one that executed every command.

use quorate_core::EntryId;

use crate::codec::Codec;
use crate::snapshot::Snapshot;

/// A replicated state machine.
///
/// Its state is a [`Snapshot`], which a type that derives serde's traits is without further work.
pub trait StateMachine: Snapshot + Send + 'static {
    /// What changes the state; travels through the log.
    type Command: Codec + Send + 'static;
    /// What a command answers; travels to the node that asked.
    type Reply: Codec + Send + 'static;
    /// What is asked of the state without changing it; never leaves the node that was asked.
    type Query: Send + 'static;
    /// What a query answers.
    type Answer: Send + 'static;

    /// Executes a committed command.
    ///
    /// Must depend on the state, `at` and `command` alone. A panic stops the node at this entry,
    /// because going on could diverge from the other nodes.
    fn apply(&mut self, at: &Applying, command: Self::Command) -> Self::Reply;

    /// Answers a query from the present state.
    fn query(&self, query: Self::Query) -> Self::Answer;

    /// About how many bytes a query takes while it waits to be answered; queries beyond the room
    /// that a node has are refused. To be said by who owns memory behind its queries.
    fn query_bytes(_: &Self::Query) -> usize {
        size_of::<Self::Query>()
    }
}

/// Where in the log a command stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applying {
    /// The entry that carries the command.
    pub id: EntryId,
    /// Number of the command among the application's own, from 1: entries that the protocol makes
    /// for itself do not count.
    pub application_index: u64,
    /// The log's time in milliseconds: it never goes back, survives changes of leader, and is no
    /// wall clock.
    pub log_time_ms: u64,
}
