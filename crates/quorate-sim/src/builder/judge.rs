//! What clients of a user's state machine saw, in the words of a user's model.

use core::time::Duration;
use std::rc::Rc;

use quorate::StateMachine;

use crate::history::{ClientId, History, OperationId};
use crate::linearizable::judge_run;
use crate::model::Model;
use crate::world::workload::{Decision, Request};

/// What a client was told.
#[derive(Debug)]
pub enum Told<'a, M: StateMachine> {
    /// The reply to a command.
    Reply(&'a M::Reply),
    /// The answer to a query.
    Answer(&'a M::Answer),
}

/// Takes down what clients see, and judges it in the end.
pub(super) trait Judge<M: StateMachine> {
    fn called(&mut self, id: OperationId, client: ClientId, request: &Request<M>, at: Duration);
    fn told(&mut self, id: OperationId, told: Told<'_, M>, at: Duration);
    fn refused(&mut self, id: OperationId, at: Duration);
    fn unknown(&mut self, id: OperationId, at: Duration);

    /// # Errors
    ///
    /// When no order explains what clients saw.
    fn verdict(&self) -> Result<Decision, String>;
}

/// How requests and what came of them translate.
pub(super) struct Words<F, G> {
    pub(super) operation: F,
    pub(super) output: G,
}

/// Judges by a model.
pub(super) struct ModelJudge<S: Model, F, G> {
    model: S,
    words: Rc<Words<F, G>>,
    history: History<S::Operation, S::Output>,
}

impl<S: Model, F, G> ModelJudge<S, F, G> {
    pub(super) fn new(model: S, words: Rc<Words<F, G>>) -> Self {
        Self { model, words, history: History::new() }
    }
}

impl<M, S, F, G> Judge<M> for ModelJudge<S, F, G>
where
    M: StateMachine,
    S: Model,
    F: Fn(&Request<M>) -> S::Operation,
    G: Fn(Told<'_, M>) -> S::Output,
{
    fn called(&mut self, id: OperationId, client: ClientId, request: &Request<M>, at: Duration) {
        let noted = self.history.invoke(client, (self.words.operation)(request), at);
        assert_eq!(noted, id, "every request is in the history");
    }

    fn told(&mut self, id: OperationId, told: Told<'_, M>, at: Duration) {
        self.history.returned(id, (self.words.output)(told), at);
    }

    fn refused(&mut self, id: OperationId, at: Duration) {
        self.history.failed(id, at);
    }

    fn unknown(&mut self, id: OperationId, at: Duration) {
        self.history.unknown(id, at);
    }

    fn verdict(&self) -> Result<Decision, String> {
        judge_run(&self.model, &self.history)
    }
}
