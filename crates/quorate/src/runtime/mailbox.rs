//! How batches go from one thread to another: a vector behind a mutex, and one wake.
//!
//! Whoever has something pushes it; the receiver takes all there is at once. It is woken only when
//! it sleeps, because a wake costs more than anything else here. There is no queue per item and no
//! channel per request.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::step_back;

/// How the receiver waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sleep {
    /// It does not.
    Awake,
    /// As a task, or it is about to.
    Task,
    /// As a thread.
    Thread,
}

#[derive(Debug)]
struct Inner<T> {
    items: Vec<T>,
    sleep: Sleep,
    /// Whether the receiver is gone.
    closed: bool,
}

/// A queue with many senders and one receiver, which is a task or a thread.
#[derive(Debug)]
pub(crate) struct Mailbox<T> {
    inner: Mutex<Inner<T>>,
    task: Notify,
    thread: Condvar,
}

impl<T> Default for Mailbox<T> {
    fn default() -> Self {
        let inner = Inner { items: Vec::new(), sleep: Sleep::Awake, closed: false };
        Self { inner: Mutex::new(inner), task: Notify::new(), thread: Condvar::new() }
    }
}

/// The receiver is gone; what was to be sent comes back.
#[derive(Debug)]
pub(crate) struct Closed<T>(pub(crate) T);

impl<T> Mailbox<T> {
    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        // Nothing can panic while the lock is held.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends one item.
    pub(crate) fn push(&self, item: T) -> Result<(), Closed<T>> {
        let mut inner = self.lock();
        if inner.closed {
            return Err(Closed(item));
        }
        inner.items.push(item);
        self.wake(inner);
        Ok(())
    }

    /// Sends one item without waking the receiver: it is taken with whatever wakes it next.
    pub(crate) fn push_quietly(&self, item: T) -> Result<(), Closed<T>> {
        let mut inner = self.lock();
        if inner.closed {
            return Err(Closed(item));
        }
        inner.items.push(item);
        Ok(())
    }

    /// Wakes the receiver if something waits for it.
    pub(crate) fn nudge(&self) {
        let inner = self.lock();
        if !inner.items.is_empty() {
            self.wake(inner);
        }
    }

    /// Sends all of a vector, which is empty afterwards.
    pub(crate) fn append(&self, items: &mut Vec<T>) -> Result<(), Closed<Vec<T>>> {
        if items.is_empty() {
            return Ok(());
        }
        let mut inner = self.lock();
        if inner.closed {
            return Err(Closed(std::mem::take(items)));
        }
        if inner.items.is_empty() {
            std::mem::swap(&mut inner.items, items);
        } else {
            inner.items.append(items);
        }
        self.wake(inner);
        Ok(())
    }

    fn wake(&self, mut inner: MutexGuard<'_, Inner<T>>) {
        let sleep = std::mem::replace(&mut inner.sleep, Sleep::Awake);
        drop(inner);
        match sleep {
            Sleep::Awake => {}
            Sleep::Task => self.task.notify_one(),
            Sleep::Thread => self.thread.notify_one(),
        }
    }

    /// Takes everything there is into `into`, which is empty.
    pub(crate) fn take(&self, into: &mut Vec<T>) {
        std::mem::swap(&mut self.lock().items, into);
    }

    /// Waits, as a task, until there is something. Cancelling it loses nothing.
    pub(crate) async fn ready(&self) {
        loop {
            {
                let mut inner = self.lock();
                if !inner.items.is_empty() {
                    inner.sleep = Sleep::Awake;
                    return;
                }
                inner.sleep = Sleep::Task;
            }
            self.task.notified().await;
        }
    }

    /// Waits, as a thread, until there is something or the time is up; takes everything.
    pub(crate) fn wait(&self, into: &mut Vec<T>, at_most: Option<Duration>) {
        let until = at_most.map(|span| Instant::now() + span);
        let mut inner = self.lock();
        while inner.items.is_empty() {
            inner.sleep = Sleep::Thread;
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            inner = match left {
                Some(left) if left.is_zero() => break,
                Some(left) => {
                    let waited = self.thread.wait_timeout(inner, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.thread.wait(inner).unwrap_or_else(PoisonError::into_inner),
            };
        }
        inner.sleep = Sleep::Awake;
        std::mem::swap(&mut inner.items, into);
    }

    /// Waits, as a task among those that send, until there is something or the time is up; takes
    /// everything, once all of them that are ready have had their turn.
    pub(crate) async fn wait_here(&self, into: &mut Vec<T>, at_most: Option<Duration>) {
        match at_most {
            // Whether the time is up shows in what is taken.
            Some(span) => drop(tokio::time::timeout(span, self.ready()).await),
            None => self.ready().await,
        }
        step_back().await;
        self.take(into);
    }

    /// Refuses everything from here on; takes what there is.
    pub(crate) fn close(&self, into: &mut Vec<T>) {
        let mut inner = self.lock();
        inner.closed = true;
        into.append(&mut inner.items);
    }
}
