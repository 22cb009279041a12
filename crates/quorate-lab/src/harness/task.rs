//! Tasks that a scenario starts and waits for, on either executor.

use std::future::Future;

use tokio::sync::oneshot;

use crate::context::Context;

/// A task whose result can be waited for; dropping this does not end it.
#[derive(Debug)]
pub struct Task<T>(oneshot::Receiver<T>);

/// Starts a task.
pub fn spawn<T, F>(context: &Context, future: F) -> Task<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let (sender, receiver) = oneshot::channel();
    context.spawn(async move {
        // Nobody has to wait for it.
        drop(sender.send(future.await));
    });
    Task(receiver)
}

impl<T> Task<T> {
    /// Waits until the task is done.
    ///
    /// # Panics
    ///
    /// When the task was ended before it was done, which is the executor's end.
    pub async fn join(self) -> T {
        self.0.await.expect("a task ends by itself")
    }
}
