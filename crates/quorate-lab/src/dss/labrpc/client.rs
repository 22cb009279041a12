//! One client's end, and the way to block for what it answers.

use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Wake, Waker};
use std::thread::{self, Thread};

use super::error::{Error, Result, from_answer};
use crate::context::Context;
use crate::dss::labcodec::{self, Message};
use crate::raft::Peer;

/// A client's end; clones are the same one.
#[derive(Clone)]
pub struct Client {
    name: Arc<str>,
    peer: Peer,
    context: Context,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Client {
    /// An end of whatever carries requests.
    #[must_use]
    pub fn over(name: &str, peer: Peer, context: Context) -> Self {
        Self { name: Arc::from(name), peer, context }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Clock, tasks and randomness of the network that it is an end of.
    #[must_use]
    pub const fn context(&self) -> &Context {
        &self.context
    }

    /// Sends a request at once; the future gives the reply when there is one, and need not be polled
    /// for the request to arrive.
    pub fn call<A: Message, B: Message>(
        &self,
        name: &'static str,
        args: &A,
    ) -> impl Future<Output = Result<B>> + Send + 'static + use<A, B> {
        let mut bytes = Vec::new();
        let sent = labcodec::encode(args, &mut bytes).map(|()| self.peer.call(name, bytes));
        async move {
            let reply = from_answer(sent.map_err(Error::from)?.await)?;
            Ok(labcodec::decode(&reply)?)
        }
    }

    /// Runs a task on the network's runtime. It must not block.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.context.spawn(task);
    }
}

/// Wakes a thread.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Blocks this thread until the future is ready.
///
/// # Panics
///
/// On a thread of an executor: whatever the future waits for may need that very thread. Block on a
/// thread of its own, or await.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    assert!(
        tokio::runtime::Handle::try_current().is_err(),
        "a blocking call was made on a thread of an executor, which it would keep from its work: make it \
         on a thread of its own, or use the asynchronous client"
    );
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = TaskContext::from_waker(&waker);
    loop {
        if let Poll::Ready(done) = future.as_mut().poll(&mut context) {
            return done;
        }
        thread::park();
    }
}
