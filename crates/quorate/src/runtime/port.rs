//! Where callers meet the node: one port per client handle, on the caller's own runtime.
//!
//! A call pushes its command to the port's vector and sleeps on a local slot. The port's task runs
//! after whatever else is ready, hands the whole vector over at once, and gets the answers back in
//! batches. No channel is made per call, and no thread but the caller's wakes it. A call takes the
//! port's lock twice: to begin, and to take its answer.
//!
//! - Every call ends: with its answer, with the node's stop, or when its time is up.
//! - An answer that comes after its caller has gone, or given up, finds a slot of a later
//!   generation and is thrown away.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, Sleep};

pub(crate) use super::ended::Ended;
use super::ended::reply_of;
use super::mailbox::{Closed, Mailbox};
use super::shared::{ApplyJob, CALL_BYTES, Charge, Event, Shared};
use super::step_back;
use crate::error::{CallError, Refusal, StopReason, UnknownReason};
use crate::machine::StateMachine;
use crate::replica::CallId;
use crate::sessions::{SessionId, SessionRequest, Stamp};

/// Slots of one port, and so calls that may be under way through it.
const SLOT_BITS: u32 = 20;
/// Callers woken at once. They run before the next are woken, while what was touched to wake them is
/// still at hand; and tokio's queue of a thread has room for twice as many.
const AT_ONCE: usize = 128;
/// Lives of one slot before its numbers come again.
const GENERATION_BITS: u32 = 20;

/// A query with the call that asked it.
pub(crate) struct Asked<M: StateMachine> {
    pub(crate) call: CallId,
    pub(crate) query: M::Query,
    /// What it takes of the node's room, wherever it waits.
    pub(crate) charge: Charge,
}

/// Queries that go the same way.
pub(crate) type Queries<M> = Vec<Asked<M>>;

/// One thing that a caller wants.
pub(crate) struct Submission<M: StateMachine> {
    pub(crate) call: CallId,
    pub(crate) what: Wanted<M>,
}

/// What a caller wants.
pub(crate) enum Wanted<M: StateMachine> {
    /// A command, encoded.
    Call(Vec<u8>),
    /// A command of a session, or a request about one; boxed so that commands without one move no
    /// further bytes.
    Stamped(Box<(Arc<Vec<u8>>, Stamp)>),
    /// A linearizable answer.
    Read(M::Query, Charge),
}

/// What a port is told.
pub(crate) enum PortMessage<M: StateMachine> {
    /// A call or read ended.
    Ended(CallId, Ended<M>),
    /// The node has stopped; nothing else comes.
    Stopped(StopReason),
}

enum SlotState<M: StateMachine> {
    Free,
    Waiting { waker: Option<Waker>, is_read: bool },
    Ended(Ended<M>),
}

struct Slot<M: StateMachine> {
    generation: u32,
    state: SlotState<M>,
}

struct State<M: StateMachine> {
    slots: Vec<Slot<M>>,
    free: Vec<u32>,
    submissions: Vec<Submission<M>>,
    local: Queries<M>,
    /// Bytes of the commands in `submissions`.
    bytes: usize,
    /// When the time of each call is up, in order; those that have ended are skipped.
    deadlines: VecDeque<(Instant, CallId)>,
    /// Whether the port's task was told that there is something.
    told: bool,
    stopped: Option<StopReason>,
    /// Whether the last handle is gone.
    abandoned: bool,
}

/// See the module.
pub(crate) struct Port<M: StateMachine> {
    id: u32,
    timeout: Duration,
    state: Mutex<State<M>>,
    work: Notify,
    answers: Mailbox<PortMessage<M>>,
}

impl<M: StateMachine> Port<M> {
    pub(crate) fn new(id: u32, timeout: Duration) -> Self {
        let state = State {
            slots: Vec::new(),
            free: Vec::new(),
            submissions: Vec::new(),
            local: Vec::new(),
            bytes: 0,
            deadlines: VecDeque::new(),
            told: false,
            stopped: None,
            abandoned: false,
        };
        let (state, work) = (Mutex::new(state), Notify::new());
        Self { id, timeout, state, work, answers: Mailbox::default() }
    }

    /// The port that a call came through.
    pub(crate) const fn of(call: CallId) -> u32 {
        // The shift leaves 24 bits.
        (call.0 >> (SLOT_BITS + GENERATION_BITS)) as u32
    }

    /// Sends answers to the port's task.
    pub(crate) fn answer(&self, messages: &mut Vec<PortMessage<M>>) {
        // A port that is closed has no callers left.
        drop(self.answers.append(messages));
    }

    /// Notes that the last handle is gone.
    pub(crate) fn abandon(&self) {
        self.lock().abandoned = true;
        self.work.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State<M>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a command; the future ends with its outcome.
    pub(crate) async fn call(
        &self,
        shared: &Shared<M>,
        command: Vec<u8>,
    ) -> Result<M::Reply, CallError> {
        let bytes = CALL_BYTES + command.len();
        let submit = |state: &mut State<M>, call| {
            state.bytes += bytes;
            state.submissions.push(Submission { call, what: Wanted::Call(command) });
        };
        shared.charge(bytes)?;
        let begun = self.begin(false, submit).await;
        reply_of(begun.inspect_err(|_| shared.discharge(bytes))?.await)
    }

    /// As [`Port::call`], for a command of a session.
    pub(crate) async fn call_stamped(
        &self,
        shared: &Shared<M>,
        command: Arc<Vec<u8>>,
        stamp: Stamp,
    ) -> Result<M::Reply, CallError> {
        reply_of(self.submit_stamped(shared, command, stamp).await?)
    }

    /// Asks for something to be done with a session.
    pub(crate) async fn request_session(
        &self,
        shared: &Shared<M>,
        session: SessionId,
        request: SessionRequest,
    ) -> Result<SessionId, CallError> {
        let stamp = Stamp::Session { session, request };
        match self.submit_stamped(shared, Arc::default(), stamp).await? {
            Ended::Session(session) => Ok(session),
            Ended::Encoded(bytes) => SessionId::from_bytes(&bytes)
                .map_err(|source| CallError::Unknown(UnknownReason::Reply(source))),
            other => reply_of(other).and(Err(CallError::Unknown(UnknownReason::ReplyLost))),
        }
    }

    async fn submit_stamped(
        &self,
        shared: &Shared<M>,
        command: Arc<Vec<u8>>,
        stamp: Stamp,
    ) -> Result<Ended<M>, Refusal> {
        let bytes = CALL_BYTES + command.len();
        let submit = |state: &mut State<M>, call| {
            state.bytes += bytes;
            let what = Wanted::Stamped(Box::new((command, stamp)));
            state.submissions.push(Submission { call, what });
        };
        shared.charge(bytes)?;
        let begun = self.begin(false, submit).await;
        Ok(begun.inspect_err(|_| shared.discharge(bytes))?.await)
    }

    /// Takes a query; the future ends with its answer.
    pub(crate) async fn read(
        &self,
        shared: &Shared<M>,
        query: M::Query,
        linearizable: bool,
    ) -> Result<M::Answer, Refusal> {
        let charge = shared.charge_query(M::query_bytes(&query))?;
        let submit = |state: &mut State<M>, call| {
            if linearizable {
                state.submissions.push(Submission { call, what: Wanted::Read(query, charge) });
            } else {
                state.local.push(Asked { call, query, charge });
            }
        };
        match self.begin(true, submit).await?.await {
            Ended::Answer(answer) => Ok(answer),
            Ended::Refused(refusal) => Err(*refusal),
            _ => unreachable!("a query is answered, or refused"),
        }
    }

    /// Submits on behalf of the task that runs, without waiting for anything.
    async fn begin(
        &self,
        is_read: bool,
        submit: impl FnOnce(&mut State<M>, CallId),
    ) -> Result<Pending<'_, M>, Refusal> {
        let waker = poll_fn(|context| Poll::Ready(context.waker().clone())).await;
        let mut state = self.lock();
        if let Some(reason) = &state.stopped {
            return Err(Refusal::Stopped(reason.clone()));
        }
        let waiting = SlotState::Waiting { waker: Some(waker), is_read };
        let slot = match state.free.pop() {
            Some(slot) => {
                state.slots[slot as usize].state = waiting;
                slot
            }
            None if state.slots.len() >= 1 << SLOT_BITS => return Err(Refusal::Overloaded),
            None => {
                state.slots.push(Slot { generation: 0, state: waiting });
                u32::try_from(state.slots.len() - 1).expect("slots are fewer than 2^20")
            }
        };
        let generation = state.slots[slot as usize].generation;
        let place = u64::from(generation) << SLOT_BITS | u64::from(slot);
        let call = CallId(u64::from(self.id) << (SLOT_BITS + GENERATION_BITS) | place);
        submit(&mut state, call);
        if !std::mem::replace(&mut state.told, true) {
            drop(state);
            self.work.notify_one();
        }
        Ok(Pending { port: self, call, stage: Stage::Begun })
    }

    /// Hands over what was submitted; the time of these calls begins.
    fn flush(&self, shared: &Shared<M>) {
        let mut state = self.lock();
        state.told = false;
        let bytes = std::mem::take(&mut state.bytes);
        let again = Vec::with_capacity(state.submissions.len());
        let submissions = std::mem::replace(&mut state.submissions, again);
        let local = std::mem::take(&mut state.local);
        if submissions.is_empty() && local.is_empty() {
            // Of calls that were refused before they got here.
            return shared.discharge(bytes);
        }
        let until = Instant::now() + self.timeout;
        let calls = submissions.iter().map(|submission| submission.call);
        let calls = calls.chain(local.iter().map(|asked| asked.call));
        state.deadlines.extend(calls.map(|call| (until, call)));
        drop(state);
        if !submissions.is_empty() {
            let event = Event::Submitted { bytes, batch: submissions };
            if let Err(Closed(Event::Submitted { bytes, batch })) = shared.inbox.push(event) {
                shared.discharge(bytes);
                let calls = batch.into_iter().map(|submission| submission.call);
                self.refuse(calls, &Refusal::Stopped(shared.stop_reason()));
            }
        }
        if local.is_empty() {
            return;
        }
        if let Some(refusal) = shared.not_founded() {
            return self.refuse(local.into_iter().map(|asked| asked.call), &refusal);
        }
        let job = ApplyJob::Queries { min_index: None, queries: local };
        if let Err(Closed(ApplyJob::Queries { queries, .. })) = shared.apply.push(job) {
            let calls = queries.into_iter().map(|asked| asked.call);
            self.refuse(calls, &Refusal::Stopped(shared.stop_reason()));
        }
    }

    fn refuse(&self, calls: impl Iterator<Item = CallId>, refusal: &Refusal) {
        let mut wakers = Vec::new();
        let mut state = self.lock();
        for call in calls {
            wakers.extend(state.end(call, Ended::refused(refusal.clone())));
        }
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Passes answers on to those who wait. A flush must follow: what they ask for next counts on
    /// it.
    fn dispatch(&self, messages: impl ExactSizeIterator<Item = PortMessage<M>>) {
        let mut wakers = Vec::with_capacity(messages.len());
        let mut state = self.lock();
        state.told = true;
        for message in messages {
            match message {
                PortMessage::Ended(call, ended) => wakers.extend(state.end(call, ended)),
                PortMessage::Stopped(reason) => state.stop(&reason, &mut wakers),
            }
        }
        while let Some((_, call)) = state.deadlines.front() {
            if state.is_waiting(*call) {
                break;
            }
            state.deadlines.pop_front();
        }
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Ends what has waited for too long; says when to look again.
    fn expire(&self) -> Option<Instant> {
        let now = Instant::now();
        let waited = self.timeout;
        let mut wakers = Vec::new();
        let mut state = self.lock();
        while let Some((until, call)) = state.deadlines.front().copied() {
            let waits = state.is_waiting(call);
            if waits && until > now {
                break;
            }
            state.deadlines.pop_front();
            if waits {
                let ended = if state.is_read(call) {
                    Ended::refused(Refusal::TimedOut { waited })
                } else {
                    Ended::unknown(UnknownReason::TimedOut { waited })
                };
                wakers.extend(state.end(call, ended));
            }
        }
        let next = state.deadlines.front().map(|(until, _)| *until);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        next
    }

    /// Whether nobody can ask for anything any more.
    fn is_done(&self) -> bool {
        let state = self.lock();
        state.abandoned && state.slots.len() == state.free.len()
    }
}

impl<M: StateMachine> State<M> {
    const fn place(call: CallId) -> (usize, u32) {
        let slot = call.0 & ((1 << SLOT_BITS) - 1);
        let generation = call.0 >> SLOT_BITS & ((1 << GENERATION_BITS) - 1);
        (slot as usize, generation as u32)
    }

    fn slot(&mut self, call: CallId) -> Option<&mut Slot<M>> {
        let (slot, generation) = Self::place(call);
        self.slots.get_mut(slot).filter(|slot| slot.generation == generation)
    }

    fn is_waiting(&self, call: CallId) -> bool {
        let (slot, generation) = Self::place(call);
        self.slots.get(slot).is_some_and(|slot| {
            slot.generation == generation && matches!(slot.state, SlotState::Waiting { .. })
        })
    }

    fn is_read(&mut self, call: CallId) -> bool {
        let state = self.slot(call).map(|slot| &slot.state);
        matches!(state, Some(SlotState::Waiting { is_read: true, .. }))
    }

    /// Ends a call that still waits; gives the waker of its caller.
    fn end(&mut self, call: CallId, ended: Ended<M>) -> Option<Waker> {
        let slot = self.slot(call)?;
        let SlotState::Waiting { waker, .. } = &mut slot.state else { return None };
        let waker = waker.take();
        slot.state = SlotState::Ended(ended);
        waker
    }

    fn stop(&mut self, reason: &StopReason, wakers: &mut Vec<Waker>) {
        self.stopped = Some(reason.clone());
        let calls = std::mem::take(&mut self.submissions).into_iter();
        let calls = calls.map(|submission| submission.call);
        let local = std::mem::take(&mut self.local).into_iter().map(|asked| asked.call);
        for call in calls.chain(local) {
            // Nobody ever heard of it.
            wakers.extend(self.end(call, Ended::refused(Refusal::Stopped(reason.clone()))));
        }
        for slot in &mut self.slots {
            let SlotState::Waiting { waker, is_read } = &mut slot.state else { continue };
            let ended = if *is_read {
                Ended::refused(Refusal::Stopped(reason.clone()))
            } else {
                Ended::unknown(UnknownReason::Stopped(reason.clone()))
            };
            wakers.extend(waker.take());
            slot.state = SlotState::Ended(ended);
        }
    }

    fn release(&mut self, call: CallId) -> Option<SlotState<M>> {
        let slot = self.slot(call)?;
        slot.generation = (slot.generation + 1) & ((1 << GENERATION_BITS) - 1);
        let state = std::mem::replace(&mut slot.state, SlotState::Free);
        let (slot, _) = Self::place(call);
        self.free.push(u32::try_from(slot).expect("slots are fewer than 2^20"));
        Some(state)
    }
}

/// A call under way. Dropping it gives up the answer, not the call.
struct Pending<'a, M: StateMachine> {
    port: &'a Port<M>,
    call: CallId,
    stage: Stage,
}

/// How far a call is, as its own future knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It began in this very poll of its task, so that the slot has the right waker.
    Begun,
    Waiting,
    /// Its slot was given back.
    Done,
}

impl<M: StateMachine> Future for Pending<'_, M> {
    type Output = Ended<M>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Ended<M>> {
        if self.stage == Stage::Begun {
            self.stage = Stage::Waiting;
            return Poll::Pending;
        }
        let mut state = self.port.lock();
        let slot = state.slot(self.call).expect("the slot is held until the call is done");
        if let SlotState::Waiting { waker, .. } = &mut slot.state {
            if waker.as_ref().is_none_or(|known| !known.will_wake(context.waker())) {
                *waker = Some(context.waker().clone());
            }
            return Poll::Pending;
        }
        let released = state.release(self.call);
        drop(state);
        self.stage = Stage::Done;
        match released {
            Some(SlotState::Ended(ended)) => Poll::Ready(ended),
            _ => unreachable!("a call that does not wait has ended"),
        }
    }
}

impl<M: StateMachine> Drop for Pending<'_, M> {
    fn drop(&mut self) {
        if self.stage == Stage::Done {
            return;
        }
        let released = self.port.lock().release(self.call);
        // What was never taken is dropped without the lock: it is the user's code.
        drop(released);
    }
}

/// Tells the node when the port's task ends, even with its runtime.
struct Registered<M: StateMachine> {
    port: Arc<Port<M>>,
    shared: Arc<Shared<M>>,
}

impl<M: StateMachine> Drop for Registered<M> {
    fn drop(&mut self) {
        self.shared.unregister(self.port.id);
        let mut messages = Vec::new();
        self.port.answers.close(&mut messages);
        let part = "client";
        let reason = "the runtime that it was made on has ended".to_owned();
        messages.push(PortMessage::Stopped(StopReason::PartFailed { part, reason }));
        self.port.dispatch(messages.into_iter());
        self.port.flush(&self.shared);
    }
}

/// The port's task: runs until every handle is gone.
pub(crate) async fn run<M: StateMachine>(port: Arc<Port<M>>, shared: Arc<Shared<M>>) {
    let registered = Registered { port, shared };
    let Registered { port, shared } = &registered;
    let mut messages = Vec::new();
    let mut timer: Option<Pin<Box<Sleep>>> = None;
    while !port.is_done() {
        let expired = async {
            match &mut timer {
                Some(timer) => timer.as_mut().await,
                None => std::future::pending().await,
            }
        };
        let mut is_expired = false;
        tokio::select! {
            () = port.work.notified() => {}
            () = port.answers.ready() => {}
            () = expired => is_expired = true,
        }
        port.answers.take(&mut messages);
        let mut rest = messages.drain(..);
        loop {
            port.dispatch(rest.by_ref().take(AT_ONCE));
            // Who was answered asks for the next thing at once, as does whoever else is ready: all
            // of it is handed over together.
            step_back().await;
            port.flush(shared);
            if rest.len() == 0 {
                break;
            }
        }
        drop(rest);
        // Deadlines only move later, so that one timer at the earliest is enough: it is set again
        // when it fires, not with every call.
        if is_expired || timer.is_none() {
            timer = port.expire().map(|at| Box::pin(tokio::time::sleep_until(at)));
        }
    }
}
