//! Clock, tasks and randomness of everything in the lab.
//!
//! Whoever asks nothing but a [`Context`] runs in virtual time, where a seed replays exactly, and in
//! real time alike. All futures are `Send + 'static`, so that both can run them.
//!
//! - A [`Scope`] holds the tasks of one instance of a peer: when it ends, they end, wherever they
//!   wait. A cluster can crash a thousand times and leave nothing behind.
//! - Whatever must return at once is called through [`Context::watched`], so that an executor whose
//!   thread is blocked can say by whom.

mod real_time;
mod scope;
mod virtual_time;
mod worker;

use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::future::{self, Either};

pub use self::real_time::RealTime;
pub use self::scope::Scope;
pub use self::virtual_time::VirtualTime;

/// A future that any executor of the lab can run.
pub type BoxFuture<T = ()> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What an executor offers to those who run on it.
pub trait Host: Send + Sync + 'static {
    /// Time since the executor began.
    fn now(&self) -> Duration;

    /// A future that is ready after this time, counted from this call.
    fn sleep(&self, time: Duration) -> BoxFuture;

    /// Runs a task to its end, or until the executor is dropped.
    fn spawn(&self, task: BoxFuture);

    /// The next of the executor's random numbers.
    fn random(&self) -> u64;

    /// Says what the present thread is about to be busy with, or with `None` that it is done.
    fn watch(&self, _what: Option<(&'static str, usize)>) {}
}

/// A handle on the executor; cheap to clone.
#[derive(Clone)]
pub struct Context(Arc<dyn Host>);

impl Context {
    /// Makes one of whatever offers the like.
    pub fn new(host: impl Host) -> Self {
        Self(Arc::new(host))
    }

    /// Time since the executor began.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.0.now()
    }

    /// Waits for this time, counted from this call.
    pub fn sleep(&self, time: Duration) -> BoxFuture {
        self.0.sleep(time)
    }

    /// Waits until then; not at all if it is past.
    pub fn sleep_until(&self, then: Duration) -> BoxFuture {
        self.0.sleep(then.saturating_sub(self.0.now()))
    }

    /// Runs a task beside whatever else runs.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.spawn(Box::pin(task));
    }

    /// A random number.
    #[must_use]
    pub fn random(&self) -> u64 {
        self.0.random()
    }

    /// A random number below `limit`; zero where that is zero.
    #[must_use]
    pub fn random_below(&self, limit: u64) -> u64 {
        let wide = (u128::from(self.0.random()) * u128::from(limit)) >> 64;
        u64::try_from(wide).expect("below a 64-bit limit")
    }

    /// A time drawn evenly from zero to below `limit`.
    #[must_use]
    pub fn random_time(&self, limit: Duration) -> Duration {
        Duration::from_nanos(self.random_below(u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// True in this many of a hundred cases.
    #[must_use]
    pub fn chance(&self, percent: u64) -> bool {
        self.random_below(100) < percent
    }

    /// What `future` gives, if it does within this time. Else it is dropped.
    pub async fn timeout<T>(&self, time: Duration, future: impl Future<Output = T>) -> Option<T> {
        let sleep = self.sleep(time);
        match future::select(pin!(future), sleep).await {
            Either::Left((done, _)) => Some(done),
            Either::Right(_) => None,
        }
    }

    /// Lets every other task that is ready run first.
    pub async fn yield_now(&self) {
        let mut yielded = false;
        future::poll_fn(move |cx| {
            if std::mem::replace(&mut yielded, true) {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    /// Does something that must not block; if it does all the same, the executor says what it was, and
    /// of which peer.
    pub fn watched<T>(&self, what: &'static str, peer: usize, act: impl FnOnce() -> T) -> T {
        self.0.watch(Some((what, peer)));
        let done = act();
        self.0.watch(None);
        done
    }

    /// A context whose tasks end with the scope.
    #[must_use]
    pub fn scope(&self) -> (Self, Scope) {
        let scope = Scope::new();
        (Self::new(scope::Scoped::new(self.clone(), scope.clone())), scope)
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("now", &self.now()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
