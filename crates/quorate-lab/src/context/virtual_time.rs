//! Virtual time: an executor of its own over the simulator's queue.
//!
//! - One thread, ready tasks first come first served. When none is ready, the clock jumps to the next
//!   timer. So a seed gives the same run, whatever the machine does.
//! - Time passes when nobody has anything to do at once: tasks that wake each other for ever, or one
//!   that asks again and again, make it stand still, which is told.
//! - Nobody may wait for anything but the context: when no task is ready and no timer is set, nothing
//!   will ever happen again, and [`VirtualTime::block_on`] says so.
//! - Nobody may block the thread: a poll that does not return within [`VirtualTime::patience`] of real
//!   time is told plainly, with what was being called.
//! - Dropping the executor drops all its tasks.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{self, Poll, Wake, Waker};
use std::time::Duration;

use quorate_sim::queue::Queue;
use quorate_sim::rng::Rng;

use super::worker::{self, PATIENCE};
use super::{BoxFuture, Context, Host};

/// Polls without any progress of time after which it is clear that there will be none: scenarios need
/// some thousands.
const MOST_POLLS_AT_ONCE: u64 = 1_000_000;

/// See the module. Time begins at zero, and stands still outside [`VirtualTime::block_on`].
pub struct VirtualTime {
    shared: Arc<Shared>,
    patience: Duration,
}

struct Shared {
    state: Mutex<State>,
    /// Polls begun and ended: odd while one is under way.
    polls: AtomicU64,
    /// What the thread says it is busy with.
    busy_with: Mutex<Option<(&'static str, usize)>>,
}

struct State {
    /// Nanoseconds.
    now: u64,
    rng: Rng,
    timers: Queue<Weak<Timer>>,
    ready: VecDeque<Arc<Task>>,
    /// All tasks that are not finished.
    tasks: BTreeMap<u64, Arc<Task>>,
    spawned: u64,
    closed: bool,
}

struct Task {
    number: u64,
    shared: Weak<Shared>,
    /// Nothing while it is being polled, and when it is finished.
    future: Mutex<Option<BoxFuture>>,
    queued: AtomicBool,
}

/// A timer that somebody waits for.
#[derive(Default)]
struct Timer(Mutex<TimerState>);

#[derive(Default)]
struct TimerState {
    due: bool,
    waker: Option<Waker>,
}

struct Sleep {
    timer: Arc<Timer>,
}

impl VirtualTime {
    /// Makes an executor whose random numbers come from this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let state = State {
            now: 0,
            rng: Rng::stream(seed, "lab", 0),
            timers: Queue::new(),
            ready: VecDeque::new(),
            tasks: BTreeMap::new(),
            spawned: 0,
            closed: false,
        };
        let shared = Shared {
            state: Mutex::new(state),
            polls: AtomicU64::new(0),
            busy_with: Mutex::new(None),
        };
        Self { shared: Arc::new(shared), patience: PATIENCE }
    }

    /// Sets how long one poll may take in real time. Default: 10 s.
    #[must_use]
    pub const fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Its context.
    #[must_use]
    pub fn context(&self) -> Context {
        Context::new(Handle(Arc::downgrade(&self.shared)))
    }

    /// Tasks that are not finished.
    #[must_use]
    pub fn tasks(&self) -> usize {
        self.shared.state().tasks.len()
    }

    /// Runs everything until `future` is ready; what else is unfinished then, stays so.
    ///
    /// # Panics
    ///
    /// Panics as `future` or any task does; when no task is ready and no timer is set; when tasks
    /// wake each other for ever while time stands still; and when one poll blocks the thread, which
    /// is left behind then.
    pub fn block_on<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> T {
        let shared = Arc::clone(&self.shared);
        let mut seen = self.shared.polls.load(Ordering::Relaxed);
        let stuck = || {
            let polls = self.shared.polls.load(Ordering::Relaxed);
            let is_stuck = polls == seen && !polls.is_multiple_of(2);
            seen = polls;
            is_stuck.then(|| self.blocked())
        };
        worker::run(self.patience, move || shared.run(future), stuck)
    }

    fn blocked(&self) -> String {
        let busy_with = *self.shared.busy_with.lock().unwrap_or_else(PoisonError::into_inner);
        worker::blocked(busy_with, self.patience)
    }
}

impl Drop for VirtualTime {
    fn drop(&mut self) {
        let (tasks, ready) = {
            let mut state = self.shared.state();
            state.closed = true;
            (std::mem::take(&mut state.tasks), std::mem::take(&mut state.ready))
        };
        drop(ready);
        for task in tasks.into_values() {
            let future = task.future.lock().unwrap_or_else(PoisonError::into_inner).take();
            drop(future);
        }
    }
}

impl fmt::Debug for VirtualTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.shared.state();
        let now = Duration::from_nanos(state.now);
        f.debug_struct("VirtualTime").field("now", &now).field("tasks", &state.tasks.len()).finish()
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run<T: Send + 'static>(
        self: &Arc<Self>,
        future: impl Future<Output = T> + Send + 'static,
    ) -> T {
        let result = Arc::new(Mutex::new(None));
        let place = Arc::clone(&result);
        self.spawn(Box::pin(async move {
            let value = future.await;
            *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
        }));
        let mut polls_at_once = 0;
        loop {
            let next = self.state().ready.pop_front();
            if let Some(task) = next {
                self.poll(&task);
                if let Some(value) = result.lock().unwrap_or_else(PoisonError::into_inner).take() {
                    return value;
                }
                polls_at_once += 1;
                assert!(
                    polls_at_once < MOST_POLLS_AT_ONCE,
                    "time stands still: {MOST_POLLS_AT_ONCE} times in a row some task was ready at \
                     once, and none let a timer pass. Whoever waits for something to change, sleeps for a \
                     time of the context before looking again, or awaits it"
                );
            } else {
                polls_at_once = 0;
                let is_set = self.advance();
                assert!(
                    is_set,
                    "deadlock: no task is ready, and no timer is set. In virtual time a task may wait \
                     for nothing but what the context, or another task, gives it"
                );
            }
        }
    }

    /// Goes to the next timer that somebody waits for, and wakes all that are due then.
    fn advance(&self) -> bool {
        loop {
            let due = {
                let mut state = self.state();
                let Some((at, timer)) = state.timers.pop_before(u64::MAX) else { return false };
                let Some(timer) = timer.upgrade() else { continue };
                state.now = at;
                timer
            };
            due.fire();
            return true;
        }
    }

    fn poll(&self, task: &Arc<Task>) {
        task.queued.store(false, Ordering::Relaxed);
        let future = task.future.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut future) = future else { return };
        let waker = Waker::from(Arc::clone(task));
        self.polls.fetch_add(1, Ordering::Relaxed);
        let polled = future.as_mut().poll(&mut task::Context::from_waker(&waker));
        match polled {
            Poll::Pending => {
                *task.future.lock().unwrap_or_else(PoisonError::into_inner) = Some(future);
            }
            Poll::Ready(()) => {
                self.state().tasks.remove(&task.number);
                drop(future);
            }
        }
        self.polls.fetch_add(1, Ordering::Relaxed);
    }

    fn spawn(self: &Arc<Self>, future: BoxFuture) {
        let mut state = self.state();
        if state.closed {
            return;
        }
        state.spawned += 1;
        let task = Arc::new(Task {
            number: state.spawned,
            shared: Arc::downgrade(self),
            future: Mutex::new(Some(future)),
            queued: AtomicBool::new(true),
        });
        state.tasks.insert(task.number, Arc::clone(&task));
        state.ready.push_back(task);
    }
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        if !self.queued.swap(true, Ordering::Relaxed)
            && let Some(shared) = self.shared.upgrade()
        {
            let mut state = shared.state();
            if !state.closed {
                state.ready.push_back(self);
            }
        }
    }
}

impl Timer {
    fn state(&self) -> MutexGuard<'_, TimerState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fire(&self) {
        let waker = {
            let mut state = self.state();
            state.due = true;
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<()> {
        let mut state = self.timer.state();
        if state.due {
            return Poll::Ready(());
        }
        state.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// What the context of virtual time refers to. It does not keep the executor alive.
struct Handle(Weak<Shared>);

impl Handle {
    fn shared(&self) -> Arc<Shared> {
        self.0.upgrade().expect("the executor outlives whoever asks it")
    }
}

impl Host for Handle {
    fn now(&self) -> Duration {
        Duration::from_nanos(self.shared().state().now)
    }

    fn sleep(&self, time: Duration) -> BoxFuture {
        let shared = self.shared();
        let mut state = shared.state();
        let timer = Arc::new(Timer::default());
        let time = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let at = state.now.saturating_add(time);
        state.timers.push(at, Arc::downgrade(&timer));
        Box::pin(Sleep { timer })
    }

    fn spawn(&self, task: BoxFuture) {
        if let Some(shared) = self.0.upgrade() {
            shared.spawn(task);
        }
    }

    fn random(&self) -> u64 {
        self.shared().state().rng.next_u64()
    }

    fn watch(&self, what: Option<(&'static str, usize)>) {
        if let Some(shared) = self.0.upgrade() {
            *shared.busy_with.lock().unwrap_or_else(PoisonError::into_inner) = what;
        }
    }
}
