//! The stream of `Maintenance.Snapshot`: the whole store of this member, at one moment.
//!
//! The store is read on a thread where nobody waits for it, as fast as the client takes it. What
//! stands still is a view; so a client that takes nothing is given up, and few are served at once.
//! A stream that ends without an error is whole.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use quorate::Refusal;
use quorate_proto::etcdserverpb as pb;
use tokio::runtime::Handle;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_stream::Stream;
use tonic::Status;

use crate::api_error::ApiError;
use crate::backend::{Backend, Context};
use crate::backup::{BackupWriter, STREAM_VERSION};

/// Streams that are open at once at most: each may hold what the store has dropped since.
const MOST: usize = 4;
/// Messages that wait for the client.
const AHEAD: usize = 4;
/// How long a client may take nothing.
const PATIENCE: Duration = Duration::from_secs(60);

/// A message, or why there are no more.
type Message = Result<pb::SnapshotResponse, Status>;

/// Who may open a stream.
#[derive(Debug)]
pub(crate) struct Snapshots {
    free: Arc<Semaphore>,
}

impl Default for Snapshots {
    fn default() -> Self {
        Self { free: Arc::new(Semaphore::new(MOST)) }
    }
}

impl Snapshots {
    /// Begins to stream what this member holds.
    pub(crate) async fn open<B: Backend>(
        &self,
        context: &Context<B>,
    ) -> Result<SnapshotStream, ApiError> {
        context.check_serving()?;
        let permit = Arc::clone(&self.free)
            .try_acquire_owned()
            .map_err(|_| ApiError::Refused(Refusal::Overloaded))?;
        let view = context.view().await?;
        let header = context.header(view.revision());
        let standing = context.backend.standing();
        let (sender, messages) = mpsc::channel(AHEAD);
        let is_whole = Arc::new(AtomicBool::new(false));
        let task = Task { sender, header, is_whole: Arc::clone(&is_whole), _permit: permit };
        let runtime = Handle::current();
        tokio::task::spawn_blocking(move || {
            task.run(BackupWriter::new(standing.cluster_id, standing.member_id, &view), &runtime);
        });
        Ok(SnapshotStream { messages, is_whole, has_ended: false })
    }
}

/// Reads the store and hands it over.
struct Task {
    sender: Sender<Message>,
    header: Option<pb::ResponseHeader>,
    is_whole: Arc<AtomicBool>,
    _permit: OwnedSemaphorePermit,
}

impl Task {
    fn run(self, mut writer: BackupWriter, runtime: &Handle) {
        loop {
            let (message, is_last) = match writer.next() {
                Ok(None) => {
                    self.is_whole.store(true, Ordering::Release);
                    return;
                }
                Ok(Some((blob, remaining_bytes))) => {
                    let version = STREAM_VERSION.to_owned();
                    let header = self.header;
                    let message = pb::SnapshotResponse { header, remaining_bytes, blob, version };
                    (Ok(message), false)
                }
                Err(error) => (Err(Status::internal(format!("quorate: {error}"))), true),
            };
            match runtime.block_on(timeout(PATIENCE, self.sender.send(message))) {
                Ok(Ok(())) if !is_last => {}
                Ok(_) => return,
                Err(_) => {
                    tracing::warn!("a client that asked for a snapshot takes nothing: given up");
                    return;
                }
            }
        }
    }
}

/// The messages of a stream.
#[derive(Debug)]
pub(crate) struct SnapshotStream {
    messages: Receiver<Message>,
    is_whole: Arc<AtomicBool>,
    has_ended: bool,
}

impl Stream for SnapshotStream {
    type Item = Message;

    fn poll_next(self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<Option<Message>> {
        let stream = self.get_mut();
        if stream.has_ended {
            return Poll::Ready(None);
        }
        stream.messages.poll_recv(task).map(|message| {
            stream.has_ended = !matches!(message, Some(Ok(_)));
            // Whatever ended it before its last byte must not look like an end.
            if message.is_none() && !stream.is_whole.load(Ordering::Acquire) {
                return Some(Err(Status::aborted("quorate: the snapshot was not finished")));
            }
            message
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(is_whole: bool) -> (Sender<Message>, SnapshotStream) {
        let (sender, messages) = mpsc::channel(AHEAD);
        let is_whole = Arc::new(AtomicBool::new(is_whole));
        (sender, SnapshotStream { messages, is_whole, has_ended: false })
    }

    async fn next(stream: &mut SnapshotStream) -> Option<Message> {
        core::future::poll_fn(|task| Pin::new(&mut *stream).poll_next(task)).await
    }

    #[tokio::test]
    async fn a_stream_that_was_cut_short_does_not_look_whole() {
        for is_whole in [true, false] {
            let (sender, mut stream) = stream(is_whole);
            sender.send(Ok(pb::SnapshotResponse::default())).await.unwrap();
            drop(sender);
            assert!(matches!(next(&mut stream).await, Some(Ok(_))));
            let end = next(&mut stream).await;
            assert_eq!(matches!(end, Some(Err(_))), !is_whole);
            assert!(next(&mut stream).await.is_none());
        }
    }
}
