//! Threads, queues and sockets around the pure parts of a node.
//!
//! Five threads, each a role: the *replica* decides and talks to peers, the *log* writes, the
//! *reader* reads older entries and pieces of snapshots back, *apply* owns the state machine,
//! *snapshots* writes its state to files. They hand work over in
//! batches ([`mailbox`]) and share nothing else that changes. Clients run on the caller's runtime
//! ([`port`]).
//!
//! A node may also run all of them as tasks of the caller's runtime ([`tasks`]).
//!
//! - The replica's thread never blocks on a disk, a peer or a state machine.
//! - What fails stops the whole node, with one reason that everybody sees; nothing is retried.
//! - When a stop is reported, all threads have ended and the data directory is free.

mod apply_role;
mod clock;
mod ended;
mod log_role;
mod mailbox;
mod perform;
pub(crate) mod port;
mod publish;
mod read_role;
mod replica_role;
mod seed;
pub(crate) mod shared;
mod snapshot_role;
mod start;
mod tasks;
mod threads;
mod waiting;

use std::future::poll_fn;
use std::task::Poll;

pub(crate) use start::{start, start_on};

/// Lets every task of this runtime that is ready go first, so that what they have for the one that
/// waits here can be taken at once. It costs no turn of the event queue, unlike tokio's own yield.
pub(crate) async fn step_back() {
    let mut is_back = false;
    poll_fn(|context| {
        if std::mem::replace(&mut is_back, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[cfg(test)]
mod tests;
