//! Real time: tokio's executor behind the same context.

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::Duration;

use quorate_sim::rng::Rng;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::time::Instant;

use super::worker::{self, PATIENCE};
use super::{BoxFuture, Context, Host};

/// Real time, on a runtime of its own or on the caller's. Random numbers come from a seed; the order
/// of events does not.
///
/// A call that must return at once and does not is told by name, as in virtual time. Dropping it drops
/// all tasks of its own runtime.
pub struct RealTime {
    /// Nothing while it is being dropped.
    runtime: Option<Arc<Runtime>>,
    context: Context,
    watch: Arc<Watch>,
    patience: Duration,
}

struct Tokio {
    handle: Handle,
    began: Instant,
    rng: Mutex<Rng>,
    watch: Arc<Watch>,
}

/// What is to be told of tasks.
#[derive(Default)]
struct Watch {
    /// Set when a task panics.
    has_panicked: AtomicBool,
    /// What each thread is busy with that must not block, and since when.
    busy: Mutex<Vec<Busy>>,
}

struct Busy {
    thread: ThreadId,
    what: (&'static str, usize),
    since: std::time::Instant,
}

impl Watch {
    fn busy(&self) -> MutexGuard<'_, Vec<Busy>> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a thread has been busy with for too long.
    fn stuck(&self, patience: Duration) -> Option<String> {
        let busy = self.busy();
        let stuck = busy.iter().find(|busy| busy.since.elapsed() >= patience)?;
        Some(worker::blocked(Some(stuck.what), patience))
    }
}

/// Part of every task: notes whether it ended in a panic, which tokio alone would not tell.
struct Alarm(Arc<Watch>);

impl Drop for Alarm {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.has_panicked.store(true, Ordering::Relaxed);
        }
    }
}

impl RealTime {
    /// One thread does everything.
    ///
    /// # Panics
    ///
    /// Panics where the operating system gives no more handles.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::with(Builder::new_current_thread(), seed)
    }

    /// So many threads, beside one for the future that is waited for.
    ///
    /// # Panics
    ///
    /// Panics where the operating system gives no more handles or threads.
    #[must_use]
    pub fn threads(threads: usize, seed: u64) -> Self {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(threads);
        Self::with(builder, seed)
    }

    /// One thread and a clock that jumps when nothing is left to do. Faster than real time, without
    /// the promise that a seed replays.
    ///
    /// # Panics
    ///
    /// Panics where the operating system gives no more handles.
    #[cfg(feature = "paused")]
    #[must_use]
    pub fn paused(seed: u64) -> Self {
        let mut builder = Builder::new_current_thread();
        builder.start_paused(true);
        Self::with(builder, seed)
    }

    /// The context of the runtime that the caller is running on.
    ///
    /// # Panics
    ///
    /// Panics outside a tokio runtime.
    #[must_use]
    pub fn here(seed: u64) -> Context {
        context(Handle::current(), seed, Arc::default())
    }

    fn with(mut builder: Builder, seed: u64) -> Self {
        let runtime = builder.enable_time().build().expect("a runtime can be made");
        let watch = Arc::default();
        let context = context(runtime.handle().clone(), seed, Arc::clone(&watch));
        Self { runtime: Some(Arc::new(runtime)), context, watch, patience: PATIENCE }
    }

    /// Sets how long a call may take that must return at once. Default: 10 s.
    #[must_use]
    pub const fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Its context.
    #[must_use]
    pub fn context(&self) -> Context {
        self.context.clone()
    }

    /// Runs `future` to its end, and the tasks meanwhile.
    ///
    /// # Panics
    ///
    /// Panics as `future` does, at its end if any task has panicked, and when a call blocks its thread
    /// that must return at once; the thread is left behind then.
    pub fn block_on<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> T {
        let runtime = Arc::clone(self.runtime.as_ref().expect("only dropping takes it"));
        let stuck = || self.watch.stuck(self.patience);
        let done = worker::run(self.patience, move || runtime.block_on(future), stuck);
        let has_panicked = self.watch.has_panicked.load(Ordering::Relaxed);
        assert!(!has_panicked, "a task has panicked; see above");
        done
    }
}

impl Drop for RealTime {
    fn drop(&mut self) {
        // A thread that is blocked keeps the runtime, which is left behind with it.
        if let Some(runtime) = self.runtime.take().and_then(Arc::into_inner) {
            // Does not wait for threads that a task blocks.
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for RealTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RealTime").field("context", &self.context).finish_non_exhaustive()
    }
}

fn context(handle: Handle, seed: u64, watch: Arc<Watch>) -> Context {
    let began = {
        let _inside = handle.enter();
        Instant::now()
    };
    let rng = Mutex::new(Rng::stream(seed, "lab", 0));
    Context::new(Tokio { handle, began, rng, watch })
}

impl Host for Tokio {
    fn now(&self) -> Duration {
        let _inside = self.handle.enter();
        self.began.elapsed()
    }

    fn sleep(&self, time: Duration) -> BoxFuture {
        let _inside = self.handle.enter();
        Box::pin(tokio::time::sleep(time))
    }

    fn spawn(&self, task: BoxFuture) {
        let alarm = Alarm(Arc::clone(&self.watch));
        drop(self.handle.spawn(async move {
            let _alarm = alarm;
            task.await;
        }));
    }

    fn random(&self) -> u64 {
        self.rng.lock().unwrap_or_else(PoisonError::into_inner).next_u64()
    }

    fn watch(&self, what: Option<(&'static str, usize)>) {
        let thread = thread::current().id();
        let mut busy = self.watch.busy();
        busy.retain(|busy| busy.thread != thread);
        let since = std::time::Instant::now();
        busy.extend(what.map(|what| Busy { thread, what, since }));
    }
}
