//! A handle whose calls are applied exactly once.
//!
//! A session numbers its calls. A call that ends without a certain answer is sent again with the
//! same number, for as long as its time lasts: over changes of the leader, restarts, and replies
//! that were lost. The table of sessions ([`crate::sessions`]) is replicated with the state and
//! recognises what was executed before, so that sending again is never executing again.
//!
//! - Each call of the handle has a sequence of its own. The acknowledged sequence that it carries
//!   is the one below the lowest that is still waited for: what is waited for is never forgotten.
//! - A call ends as applied, as refused when no attempt can have been applied, as unknown only when
//!   its time is up or its node has stopped, or as expired.
//! - A new session is opened when the caller says so, never of itself: in a new one the calls of
//!   the old could be executed again.
//! - Pauses between attempts grow and are random, so that many callers at once do not become a
//!   storm.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use crate::client::Client;
use crate::codec::Codec;
use crate::error::{CallError, Refusal, UnknownReason};
use crate::machine::StateMachine;
use crate::sessions::{SessionId, SessionLimits, SessionRequest, Stamp};
use crate::transport::Backoff;

/// Times of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionConfig {
    /// How long the session lives when nothing is heard of it, by the log's time. The handle keeps
    /// it alive while it is held.
    pub time_to_live: Duration,
    /// How long a call may take, all attempts together.
    pub deadline: Duration,
    /// How long one attempt may take before the next.
    pub attempt: Duration,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            time_to_live: Duration::from_secs(600),
            deadline: Duration::from_secs(30),
            attempt: Duration::from_secs(5),
        }
    }
}

impl SessionConfig {
    /// Sets how long the session lives when nothing is heard of it.
    #[must_use]
    pub const fn time_to_live(mut self, time: Duration) -> Self {
        self.time_to_live = time;
        self
    }

    /// Sets how long a call may take, all attempts together.
    #[must_use]
    pub const fn deadline(mut self, time: Duration) -> Self {
        self.deadline = time;
        self
    }

    /// Sets how long one attempt may take before the next.
    #[must_use]
    pub const fn attempt(mut self, time: Duration) -> Self {
        self.attempt = time;
        self
    }
}

/// A session: calls through it are applied exactly once.
///
/// Clones share it, and any number of tasks may call at the same time. The session is closed when
/// the last clone is dropped.
///
/// ```
/// # use quorate::{Applying, CallError, Client, StateMachine};
/// # async fn add<M: StateMachine<Command = i64, Reply = i64>>(client: Client<M>)
/// # -> Result<(), CallError> {
/// let session = client.session().await?;
/// // Sent as often as it takes, added once.
/// let total = session.call(5).await?;
/// # let _ = total;
/// # Ok(())
/// # }
/// ```
pub struct Session<M: StateMachine> {
    inner: Arc<Inner<M>>,
}

impl<M: StateMachine> Clone for Session<M> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<M: StateMachine> fmt::Debug for Session<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("id", &self.id()).finish_non_exhaustive()
    }
}

struct Inner<M: StateMachine> {
    client: Client<M>,
    config: SessionConfig,
    line: Mutex<Arc<Line>>,
    /// Tells the keeper that the last handle is gone.
    dropped: Arc<Notify>,
}

impl<M: StateMachine> Drop for Inner<M> {
    fn drop(&mut self) {
        self.dropped.notify_one();
    }
}

/// One session and the calls that have a number in it.
#[derive(Debug)]
struct Line {
    id: SessionId,
    /// Draws the pauses of its calls.
    seed: u64,
    numbers: Mutex<Numbers>,
    /// The lowest number that is waited for has ended.
    moved: Notify,
    is_expired: AtomicBool,
    /// Whether a call was answered since the keeper last looked.
    is_fresh: AtomicBool,
}

#[derive(Debug)]
struct Numbers {
    last: u32,
    /// Numbers whose callers wait.
    waiting: BTreeSet<u32>,
}

impl Numbers {
    /// No caller waits for a number up to this one.
    fn acknowledged(&self) -> u32 {
        self.waiting.first().map_or(self.last, |lowest| lowest - 1)
    }
}

impl Line {
    fn new(id: SessionId, seed: u64) -> Self {
        let numbers = Mutex::new(Numbers { last: 0, waiting: BTreeSet::new() });
        let (is_expired, is_fresh) = (AtomicBool::new(false), AtomicBool::new(true));
        Self { id, seed, numbers, moved: Notify::new(), is_expired, is_fresh }
    }

    fn numbers(&self) -> MutexGuard<'_, Numbers> {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the next number, where the window has room for it; nothing once there are no more.
    fn number(self: &Arc<Self>) -> Option<Result<Numbered, Full>> {
        let mut numbers = self.numbers();
        let sequence = numbers.last.checked_add(1)?;
        if sequence - numbers.acknowledged() > SessionLimits::STANDARD.window {
            return Some(Err(Full));
        }
        numbers.last = sequence;
        numbers.waiting.insert(sequence);
        Some(Ok(Numbered { line: Arc::clone(self), sequence }))
    }
}

/// Too many numbers are waited for.
#[derive(Debug)]
struct Full;

/// A number, given back when its caller waits no more.
#[derive(Debug)]
struct Numbered {
    line: Arc<Line>,
    sequence: u32,
}

impl Numbered {
    fn stamp(&self) -> Stamp {
        // What is acknowledged at this moment: below the own number, which is waited for.
        let acknowledged = self.line.numbers().acknowledged();
        Stamp::Command { session: self.line.id, sequence: self.sequence, acknowledged }
    }
}

impl Drop for Numbered {
    fn drop(&mut self) {
        let mut numbers = self.line.numbers();
        let before = numbers.acknowledged();
        numbers.waiting.remove(&self.sequence);
        if numbers.acknowledged() > before {
            drop(numbers);
            self.line.moved.notify_waiters();
        }
    }
}

impl<M: StateMachine> Session<M> {
    pub(crate) async fn open(client: Client<M>, config: SessionConfig) -> Result<Self, CallError> {
        let line = open_line(&client, &config).await?;
        let dropped = Arc::new(Notify::new());
        let line = Mutex::new(line);
        let inner = Arc::new(Inner { client, config, line, dropped: Arc::clone(&dropped) });
        tokio::spawn(keep(Arc::downgrade(&inner), dropped));
        Ok(Self { inner })
    }

    /// Names the session: the entry that opened it.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.inner.line().id
    }

    /// Has a command applied exactly once on every node, and gives the reply of the state machine.
    ///
    /// It is sent again until it is answered or its time is up. Dropping the future gives up the
    /// reply: the command may have been applied, or may be until a later call of the session is.
    ///
    /// # Errors
    ///
    /// [`CallError::Refused`] when the command was certainly not applied, [`CallError::Unknown`]
    /// when the time was up and nobody can say, [`CallError::Expired`] when the session is gone:
    /// [`Session::reopen`] then.
    pub async fn call(&self, command: M::Command) -> Result<M::Reply, CallError> {
        let mut bytes = Vec::new();
        command.encode(&mut bytes).map_err(Refusal::Unencodable)?;
        drop(command);
        let until = Instant::now() + self.inner.config.deadline;
        let line = self.inner.line();
        let number = self.number(&line, until).await?;
        let bytes = Arc::new(bytes);
        let client = &self.inner.client;
        let sent =
            insist(until, &self.inner.config, line.seed ^ u64::from(number.sequence), || {
                client.send_stamped(&bytes, number.stamp())
            });
        let ended = sent.await;
        match &ended {
            Ok(_) => line.is_fresh.store(true, Ordering::Relaxed),
            Err(CallError::Expired { .. }) => line.is_expired.store(true, Ordering::Relaxed),
            Err(CallError::Refused(_) | CallError::Unknown(_)) => {}
        }
        ended
    }

    /// Opens another session in place of one that expired. Calls that ended as expired are not
    /// part of it: whoever sends them again must know that they may be applied twice.
    ///
    /// # Errors
    ///
    /// As [`Client::session`].
    pub async fn reopen(&self) -> Result<(), CallError> {
        let line = open_line(&self.inner.client, &self.inner.config).await?;
        *self.inner.line.lock().unwrap_or_else(PoisonError::into_inner) = line;
        Ok(())
    }

    /// Takes a number, and waits for room where too many calls are open.
    async fn number(&self, line: &Arc<Line>, until: Instant) -> Result<Numbered, CallError> {
        loop {
            // Registered before the look, so that what ends in between is not missed.
            let mut moved = std::pin::pin!(line.moved.notified());
            moved.as_mut().enable();
            if line.is_expired.load(Ordering::Relaxed) {
                return Err(CallError::Expired { maybe_applied: false });
            }
            match line.number() {
                Some(Ok(number)) => return Ok(number),
                Some(Err(Full)) if timeout_at(until, moved).await.is_ok() => {}
                Some(Err(Full)) => return Err(Refusal::SessionCrowded.into()),
                // Four billion calls later.
                None => return Err(CallError::Expired { maybe_applied: false }),
            }
        }
    }
}

impl<M: StateMachine> Inner<M> {
    fn line(&self) -> Arc<Line> {
        Arc::clone(&self.line.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn open_line<M: StateMachine>(
    client: &Client<M>,
    config: &SessionConfig,
) -> Result<Arc<Line>, CallError> {
    // Without randomness of the system the clients of a machine pause in step, no more.
    let seed = getrandom::u64().unwrap_or_default();
    let ttl_ms = u64::try_from(config.time_to_live.as_millis()).unwrap_or(u64::MAX);
    let until = Instant::now() + config.deadline;
    let request = SessionRequest::Open { ttl_ms };
    let opened = insist(until, config, seed, || client.request_session(SessionId::NONE, request));
    Ok(Arc::new(Line::new(opened.await?, seed)))
}

/// Sends again and again until the end is certain or the time is up.
async fn insist<T, S>(
    until: Instant,
    config: &SessionConfig,
    seed: u64,
    mut send: impl FnMut() -> S,
) -> Result<T, CallError>
where
    S: Future<Output = Result<T, CallError>>,
{
    let mut backoff = Backoff::new(seed);
    // Why it may have been applied although nobody said so, once there is a reason.
    let mut doubt: Option<UnknownReason> = None;
    let timed_out = UnknownReason::TimedOut { waited: config.deadline };
    loop {
        let began = Instant::now();
        let attempt = timeout_at(until.min(Instant::now() + config.attempt), send()).await;
        let refusal = match attempt {
            Ok(Ok(reply)) => return Ok(reply),
            Ok(Err(CallError::Expired { .. })) => {
                return Err(CallError::Expired { maybe_applied: doubt.is_some() });
            }
            Ok(Err(CallError::Refused(refusal))) if is_final(&refusal) => {
                return Err(doubt.map_or(CallError::Refused(refusal), CallError::Unknown));
            }
            Ok(Err(CallError::Refused(refusal))) => Some(refusal),
            Ok(Err(CallError::Unknown(reason))) if is_settled(&reason) => {
                return Err(CallError::Unknown(reason));
            }
            Ok(Err(CallError::Unknown(reason))) => {
                doubt = Some(reason);
                None
            }
            Err(_) => {
                doubt = Some(timed_out.clone());
                None
            }
        };
        let again = Instant::now() + backoff.wait(false);
        // After a certain refusal an attempt that is cut short could only tell less.
        let is_brief = doubt.is_none() && until.saturating_duration_since(again) < began.elapsed();
        if again >= until || is_brief {
            return Err(match (doubt, refusal) {
                (None, Some(refusal)) => CallError::Refused(refusal),
                (Some(_) | None, _) => CallError::Unknown(timed_out),
            });
        }
        sleep_until(again).await;
    }
}

/// Whether sending again cannot help.
const fn is_final(refusal: &Refusal) -> bool {
    !matches!(
        refusal,
        Refusal::NoLeader { .. }
            | Refusal::LeaderChanged
            | Refusal::Overloaded
            | Refusal::SessionCrowded
    )
}

/// Whether sending again cannot tell more.
const fn is_settled(reason: &UnknownReason) -> bool {
    matches!(
        reason,
        UnknownReason::Reply(_)
            | UnknownReason::ReplyLost
            | UnknownReason::Acknowledged
            | UnknownReason::Stopped(_)
    )
}

/// Keeps the session alive while a handle is held, then closes it.
async fn keep<M: StateMachine>(inner: Weak<Inner<M>>, dropped: Arc<Notify>) {
    let Some(held) = inner.upgrade() else { return };
    let (client, every) = (held.client.clone(), held.config.time_to_live / 4);
    let mut line = held.line();
    drop(held);
    loop {
        tokio::select! {
            () = dropped.notified() => break,
            () = sleep(every) => {}
        }
        let Some(held) = inner.upgrade() else { break };
        line = held.line();
        drop(held);
        if line.is_expired.load(Ordering::Relaxed) || line.is_fresh.swap(false, Ordering::Relaxed) {
            continue;
        }
        match client.request_session(line.id, SessionRequest::KeepAlive).await {
            Err(CallError::Expired { .. }) => line.is_expired.store(true, Ordering::Relaxed),
            Err(CallError::Refused(Refusal::Stopped(_))) => return,
            // The next one comes long before the session expires.
            Ok(_) | Err(_) => {}
        }
    }
    if !line.is_expired.load(Ordering::Relaxed) {
        // Once: a session that stays expires by itself.
        drop(client.request_session(line.id, SessionRequest::Close).await);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    fn number(line: &Arc<Line>) -> Numbered {
        line.number().unwrap().unwrap()
    }

    fn says(number: &Numbered) -> (u32, u32) {
        match number.stamp() {
            Stamp::Command { sequence, acknowledged, .. } => (sequence, acknowledged),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_waited_for_is_never_acknowledged() {
        let line = Arc::new(Line::new(SessionId(7), 0));
        let (first, second, third) = (number(&line), number(&line), number(&line));
        assert_eq!([says(&first), says(&second), says(&third)], [(1, 0), (2, 0), (3, 0)]);
        drop(second);
        assert_eq!(says(&third), (3, 0), "the first is waited for");
        drop(first);
        assert_eq!(says(&third), (3, 2));
        drop(third);
        assert_eq!(says(&number(&line)), (4, 3));
    }

    #[test]
    fn numbers_go_no_further_than_the_table_keeps() {
        let line = Arc::new(Line::new(SessionId(7), 0));
        let oldest = number(&line);
        for _ in 1..SessionLimits::STANDARD.window {
            drop(number(&line));
        }
        assert!(line.number().unwrap().is_err(), "the reply of the oldest would have no room");
        drop(oldest);
        assert!(line.number().unwrap().is_ok());
        line.numbers().last = u32::MAX;
        assert!(line.number().is_none(), "there are no more");
    }

    /// How a call ends whose attempts end like this.
    async fn ends(
        attempts: impl IntoIterator<Item = Result<u8, CallError>>,
    ) -> Result<u8, CallError> {
        let mut attempts: VecDeque<_> = attempts.into_iter().collect();
        let config = SessionConfig::default().deadline(Duration::from_millis(150));
        let until = Instant::now() + config.deadline;
        insist(until, &config, 1, || {
            let lost = UnknownReason::ConnectionLost;
            let attempt = attempts.pop_front().unwrap_or_else(|| Err(lost.into()));
            async move { attempt }
        })
        .await
    }

    #[tokio::test]
    async fn a_call_is_refused_only_when_no_attempt_can_have_been_applied() {
        let lost = || Err(CallError::Unknown(UnknownReason::ConnectionLost));
        let busy = || Err(CallError::Refused(Refusal::Overloaded));
        let large = || Err(CallError::Refused(Refusal::TooLarge { limit: 1 }));
        let expired = |maybe_applied| Err(CallError::Expired { maybe_applied });
        assert_eq!(ends([lost(), busy(), Ok(3)]).await, Ok(3));
        assert_eq!(ends([large()]).await, large());
        assert_eq!(ends([busy(), large()]).await, large());
        assert!(matches!(ends([lost(), large()]).await, Err(CallError::Unknown(_))));
        assert_eq!(ends([expired(false)]).await, expired(false));
        assert_eq!(ends([busy(), expired(false)]).await, expired(false));
        assert_eq!(ends([lost(), expired(false)]).await, expired(true));
        assert_eq!(ends(std::iter::repeat_with(busy).take(1_000)).await, busy());
        let timed_out = UnknownReason::TimedOut { waited: Duration::from_millis(150) };
        assert_eq!(ends([]).await, Err(timed_out.clone().into()), "only when its time is up");
        let doubtful = std::iter::once(lost()).chain(std::iter::repeat_with(busy).take(1_000));
        assert_eq!(ends(doubtful).await, Err(timed_out.into()));
    }
}
