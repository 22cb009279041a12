//! Clients that ask for what a user draws, and keep what is needed to judge the answers.

use core::fmt::Debug;
use core::time::Duration;
use std::collections::BTreeMap;
use std::rc::Rc;

use quorate::StateMachine;

use super::Parts;
use super::judge::{Judge, Told};
use crate::history::{ClientId, OperationId};
use crate::rng::Rng;
use crate::world::workload::{Decision, End, Fingerprint, Request, Workload};

/// Parts in a million of the requests that read, where there are queries.
const READS: u32 = 400_000;
/// Characters of a command or a reply in the trace.
const WORDS: usize = 160;

type Draw<T> = Rc<dyn Fn(&mut Rng) -> T>;

/// Draws commands, and has words for them and for their replies.
pub(super) struct Commands<M: StateMachine> {
    draw: Draw<M::Command>,
    words: fn(&M::Command) -> String,
    reply_words: fn(&M::Reply) -> String,
}

impl<M: StateMachine> Clone for Commands<M> {
    fn clone(&self) -> Self {
        let Self { draw, words, reply_words } = self;
        Self { draw: Rc::clone(draw), words: *words, reply_words: *reply_words }
    }
}

impl<M: StateMachine> Commands<M>
where
    M::Command: Debug,
    M::Reply: Debug,
{
    pub(super) fn new(draw: impl Fn(&mut Rng) -> M::Command + 'static) -> Self {
        Self { draw: Rc::new(draw), words: short, reply_words: short }
    }
}

/// Draws queries.
pub(super) trait Queries<M: StateMachine> {
    /// A query, and the same again for later.
    fn draw(&self, rng: &mut Rng) -> (M::Query, Box<dyn Asked<M>>);
}

/// A query that was asked, and its answer once it came.
pub(super) trait Asked<M: StateMachine> {
    fn take_answer(&mut self, answer: M::Answer);

    /// # Errors
    ///
    /// When the machine has another answer.
    fn check(&self, machine: &M) -> Result<(), String>;
}

/// Draws queries that can be asked twice.
pub(super) struct DrawnQueries<F>(pub(super) F);

impl<M, F> Queries<M> for DrawnQueries<F>
where
    M: StateMachine,
    M::Query: Clone,
    M::Answer: PartialEq + Debug,
    F: Fn(&mut Rng) -> M::Query,
{
    fn draw(&self, rng: &mut Rng) -> (M::Query, Box<dyn Asked<M>>) {
        let query = (self.0)(rng);
        (query.clone(), Box::new(Kept::<M> { query, answer: None }))
    }
}

struct Kept<M: StateMachine> {
    query: M::Query,
    answer: Option<M::Answer>,
}

impl<M: StateMachine> Asked<M> for Kept<M>
where
    M::Query: Clone,
    M::Answer: PartialEq + Debug,
{
    fn take_answer(&mut self, answer: M::Answer) {
        self.answer = Some(answer);
    }

    fn check(&self, machine: &M) -> Result<(), String> {
        let Some(answer) = &self.answer else { return Ok(()) };
        let replayed = machine.query(self.query.clone());
        if replayed == *answer {
            return Ok(());
        }
        Err(format!(
            "a client was answered {}; a machine of its own that executed the same commands \
             answers {}",
            short(answer),
            short(&replayed)
        ))
    }
}

/// Clients of a user's state machine.
pub(super) struct YourClients<M: StateMachine> {
    parts: Parts<M>,
    judge: Option<Box<dyn Judge<M>>>,
    requests: usize,
    asked: BTreeMap<OperationId, Box<dyn Asked<M>>>,
}

impl<M: StateMachine> YourClients<M> {
    pub(super) fn new(parts: Parts<M>) -> Self {
        let judge = parts.model.as_ref().map(|judge| judge());
        Self { parts, judge, requests: 0, asked: BTreeMap::new() }
    }
}

impl<M: StateMachine> Debug for YourClients<M> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("YourClients").field("requests", &self.requests).finish_non_exhaustive()
    }
}

impl<M: StateMachine> Workload<M> for YourClients<M> {
    fn next(
        &mut self,
        client: ClientId,
        rng: &mut Rng,
        at: Duration,
    ) -> (Option<OperationId>, Request<M>) {
        let operation = OperationId::new(self.requests);
        self.requests += 1;
        let queries = self.parts.queries.as_ref().filter(|_| rng.chance(READS));
        let request = match (queries, &self.parts.commands) {
            (Some(queries), _) => {
                let (query, kept) = queries.draw(rng);
                self.asked.insert(operation, kept);
                Request::Read(query)
            }
            (None, Some(commands)) => Request::Call((commands.draw)(rng)),
            (None, None) => panic!("a simulated cluster has a workload"),
        };
        if let Some(judge) = &mut self.judge {
            judge.called(operation, client, &request, at);
        }
        (Some(operation), request)
    }

    fn ended(&mut self, operation: OperationId, end: End<M>, at: Duration) {
        if let Some(judge) = &mut self.judge {
            match &end {
                End::Replied(reply) => judge.told(operation, Told::Reply(reply), at),
                End::Answered(answer) => judge.told(operation, Told::Answer(answer), at),
                End::Refused => judge.refused(operation, at),
                End::Unknown => judge.unknown(operation, at),
            }
        }
        match end {
            End::Answered(answer) => {
                if let Some(asked) = self.asked.get_mut(&operation) {
                    asked.take_answer(answer);
                }
            }
            End::Replied(_) => {}
            End::Refused | End::Unknown => {
                self.asked.remove(&operation);
            }
        }
    }

    fn fingerprint(&self) -> Option<Fingerprint<M>> {
        self.parts.fingerprint.clone()
    }

    fn replay_read(&self, operation: OperationId, machine: &M) -> Result<(), String> {
        self.asked.get(&operation).map_or(Ok(()), |asked| asked.check(machine))
    }

    fn describe(&self, request: &Request<M>) -> String {
        match (request, &self.parts.commands) {
            (Request::Call(command), Some(commands)) => (commands.words)(command),
            (Request::Call(_), None) => "call".to_owned(),
            (Request::Read(_), _) => "a query".to_owned(),
        }
    }

    fn describe_end(&self, end: &End<M>) -> String {
        match (end, &self.parts.commands) {
            (End::Replied(reply), Some(commands)) => (commands.reply_words)(reply),
            _ => String::new(),
        }
    }

    fn verdict(&self) -> Result<Decision, String> {
        self.judge.as_ref().map_or(Ok(Decision::Explained), |judge| judge.verdict())
    }
}

/// A value in words, not too many.
fn short(value: &impl Debug) -> String {
    let words = format!("{value:?}");
    match words.char_indices().nth(WORDS) {
        Some((end, _)) => format!("{}..", &words[..end]),
        None => words,
    }
}
