//! Tasks that end together.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{self, Poll, Waker};
use std::time::Duration;

use super::{BoxFuture, Context, Host};

/// Tasks that end together: those of one instance of a peer.
///
/// Every clone is the same scope. A task of it that runs while it ends is dropped when it waits next.
#[derive(Clone, Default)]
pub struct Scope(Arc<Mutex<Tasks>>);

#[derive(Default)]
struct Tasks {
    ended: bool,
    spawned: u64,
    /// Who wakes each task that waits.
    waiting: BTreeMap<u64, Waker>,
    /// Tasks that neither finished nor were dropped.
    alive: usize,
}

impl Scope {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Ends all its tasks; tasks that are spawned in it afterwards never run.
    pub fn end(&self) {
        let waiting = {
            let mut tasks = self.tasks();
            tasks.ended = true;
            std::mem::take(&mut tasks.waiting)
        };
        waiting.into_values().for_each(Waker::wake);
    }

    /// Whether it ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.tasks().ended
    }

    /// Tasks that are not finished yet.
    #[must_use]
    pub fn alive(&self) -> usize {
        self.tasks().alive
    }

    fn tasks(&self) -> MutexGuard<'_, Tasks> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tasks = self.tasks();
        f.debug_struct("Scope").field("ended", &tasks.ended).field("alive", &tasks.alive).finish()
    }
}

/// The host of a context whose tasks end with a scope.
pub(super) struct Scoped {
    outer: Context,
    scope: Scope,
}

impl Scoped {
    pub(super) const fn new(outer: Context, scope: Scope) -> Self {
        Self { outer, scope }
    }
}

impl Host for Scoped {
    fn now(&self) -> Duration {
        self.outer.now()
    }

    fn sleep(&self, time: Duration) -> BoxFuture {
        self.outer.sleep(time)
    }

    fn spawn(&self, task: BoxFuture) {
        let number = {
            let mut tasks = self.scope.tasks();
            if tasks.ended {
                return;
            }
            tasks.spawned += 1;
            tasks.alive += 1;
            tasks.spawned
        };
        let scope = self.scope.clone();
        self.outer.spawn(ScopedTask { scope, number, task: Some(task) });
    }

    fn random(&self) -> u64 {
        self.outer.random()
    }

    fn watch(&self, what: Option<(&'static str, usize)>) {
        self.outer.0.watch(what);
    }
}

struct ScopedTask {
    scope: Scope,
    number: u64,
    /// Nothing once it finished or ended.
    task: Option<BoxFuture>,
}

impl ScopedTask {
    fn finish(&mut self) {
        if let Some(task) = self.task.take() {
            drop(task);
            let mut tasks = self.scope.tasks();
            tasks.alive -= 1;
            tasks.waiting.remove(&self.number);
        }
    }
}

impl Future for ScopedTask {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<()> {
        if !self.scope.has_ended()
            && let Some(task) = &mut self.task
            && task.as_mut().poll(cx).is_pending()
        {
            let mut tasks = self.scope.tasks();
            if !tasks.ended {
                match tasks.waiting.get_mut(&self.number) {
                    Some(waker) => waker.clone_from(cx.waker()),
                    None => {
                        tasks.waiting.insert(self.number, cx.waker().clone());
                    }
                }
                return Poll::Pending;
            }
        }
        self.finish();
        Poll::Ready(())
    }
}

impl Drop for ScopedTask {
    fn drop(&mut self) {
        self.finish();
    }
}
