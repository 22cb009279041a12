//! What clients ask for, and what they make of the answers.

use core::time::Duration;

use quorate::StateMachine;

pub use super::observed::Fingerprint;
use crate::history::{ClientId, OperationId};
use crate::rng::Rng;

/// One thing that a client asks for.
#[derive(Debug)]
pub enum Request<M: StateMachine> {
    /// Carry out a command.
    Call(M::Command),
    /// Answer a query, linearizably.
    Read(M::Query),
}

/// How a request ended for its client.
#[derive(Debug)]
pub enum End<M: StateMachine> {
    /// The command was carried out.
    Replied(M::Reply),
    /// The query was answered.
    Answered(M::Answer),
    /// Certainly without effect.
    Refused,
    /// Perhaps with effect, now or later.
    Unknown,
}

/// What a look at everything that clients saw came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// There is an order of commands and queries that explains it.
    Explained,
    /// The search for one took too long and was given up: nothing is known.
    GaveUp,
}

/// Clients of a state machine.
pub trait Workload<M: StateMachine>: core::fmt::Debug {
    /// What this client asks for next, and under which number its end is to be reported, if the
    /// end matters.
    fn next(
        &mut self,
        client: ClientId,
        rng: &mut Rng,
        at: Duration,
    ) -> (Option<OperationId>, Request<M>);

    /// A request ended.
    fn ended(&mut self, operation: OperationId, end: End<M>, at: Duration);

    /// Whether about half of the clients have a session, and send a command again until they know
    /// how it ended.
    fn has_sessions(&self) -> bool {
        true
    }

    /// What tells one state from another, to compare the nodes after every command; the replies
    /// are compared in any case.
    fn fingerprint(&self) -> Option<Fingerprint<M>> {
        None
    }

    /// A read that was answered, in a run that is over, and the state that it was answered from.
    ///
    /// # Errors
    ///
    /// What the answer should have been.
    fn replay_read(&self, _operation: OperationId, _machine: &M) -> Result<(), String> {
        Ok(())
    }

    /// What is asked for, in a few words for the trace.
    fn describe(&self, request: &Request<M>) -> String {
        match request {
            Request::Call(_) => "call".to_owned(),
            Request::Read(_) => "read".to_owned(),
        }
    }

    /// What came back, in a few words for the trace; nothing where there is nothing to say.
    fn describe_end(&self, _end: &End<M>) -> String {
        String::new()
    }

    /// Whether everything that the clients saw can be true.
    ///
    /// # Errors
    ///
    /// What cannot be.
    fn verdict(&self) -> Result<Decision, String>;
}
