//! A run on a thread of its own, so that whoever waits for it can say that it is stuck.

use std::panic::{self, AssertUnwindSafe};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

/// How long a call may keep its thread, in real time.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Runs `work` on another thread and waits for what it gives. Whenever it was waited for that long,
/// `stuck` is asked whether it will ever end.
///
/// # Panics
///
/// As `work` does; and with the words of `stuck`, where it has some: the thread is left behind then.
pub(super) fn run<T: Send + 'static>(
    patience: Duration,
    work: impl FnOnce() -> T + Send + 'static,
    mut stuck: impl FnMut() -> Option<String>,
) -> T {
    let (result, results) = mpsc::sync_channel(1);
    let guarded = move || {
        let outcome = panic::catch_unwind(AssertUnwindSafe(work));
        // Nobody waits any more only after this thread was given up.
        result.send(outcome).unwrap_or_default();
    };
    let name = thread::current().name().unwrap_or("lab").to_owned();
    let worker = thread::Builder::new().name(name).spawn(guarded).expect("a thread can be made");
    let outcome = loop {
        match results.recv_timeout(patience) {
            Ok(outcome) => break outcome,
            Err(RecvTimeoutError::Disconnected) => unreachable!("it sends before it ends"),
            Err(RecvTimeoutError::Timeout) => {
                if let Some(words) = stuck() {
                    panic!("{words}");
                }
            }
        }
    };
    worker.join().expect("its panics were caught");
    outcome.unwrap_or_else(|panic| panic::resume_unwind(panic))
}

/// What is said of a call, or of a task, that keeps its thread.
pub(super) fn blocked(busy_with: Option<(&'static str, usize)>, patience: Duration) -> String {
    let who = busy_with
        .map_or_else(|| "a task".to_owned(), |(what, peer)| format!("`{what}` of peer {peer}"));
    format!(
        "{who} has blocked the thread for {patience:?} of real time. Many tasks share a thread here: \
         whoever has to wait, awaits something of the context, and `start`, `state`, `kill` and `make` \
         return at once. A lock that is held across an await, or taken twice, has the same effect."
    )
}
