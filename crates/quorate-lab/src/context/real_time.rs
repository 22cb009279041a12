//! Real time: tokio's executor behind the same context.

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use quorate_sim::rng::Rng;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::time::Instant;

use super::{BoxFuture, Context, Host};

/// Real time, on a runtime of its own or on the caller's. Random numbers come from a seed; the order
/// of events does not.
///
/// Dropping it drops all tasks of its own runtime.
pub struct RealTime {
    /// Nothing where the runtime is the caller's.
    runtime: Option<Runtime>,
    context: Context,
    has_panicked: Arc<AtomicBool>,
}

struct Tokio {
    handle: Handle,
    began: Instant,
    rng: Mutex<Rng>,
    /// Set when a task panics.
    has_panicked: Arc<AtomicBool>,
}

/// Part of every task: notes whether it ended in a panic, which tokio alone would not tell.
struct Alarm(Arc<AtomicBool>);

impl Drop for Alarm {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

impl RealTime {
    /// One thread does everything: whoever calls [`RealTime::block_on`].
    ///
    /// # Panics
    ///
    /// Panics where the operating system gives no more handles.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::with(Builder::new_current_thread(), seed)
    }

    /// So many threads beside the one that waits.
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
        let has_panicked = Arc::default();
        let context = context(runtime.handle().clone(), seed, Arc::clone(&has_panicked));
        Self { runtime: Some(runtime), context, has_panicked }
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
    /// Panics as `future` does, within a runtime, and at its end if any task has panicked.
    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        let runtime = self.runtime.as_ref().expect("only dropping takes it");
        let done = runtime.block_on(future);
        assert!(!self.has_panicked.load(Ordering::Relaxed), "a task has panicked; see above");
        done
    }
}

impl Drop for RealTime {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
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

fn context(handle: Handle, seed: u64, has_panicked: Arc<AtomicBool>) -> Context {
    let began = {
        let _inside = handle.enter();
        Instant::now()
    };
    let rng = Mutex::new(Rng::stream(seed, "lab", 0));
    Context::new(Tokio { handle, began, rng, has_panicked })
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
        let alarm = Alarm(Arc::clone(&self.has_panicked));
        drop(self.handle.spawn(async move {
            let _alarm = alarm;
            task.await;
        }));
    }

    fn random(&self) -> u64 {
        self.rng.lock().unwrap_or_else(PoisonError::into_inner).next_u64()
    }
}
