//! A bound on what clients may have half sent.
//!
//! Each request is bounded, and so is what waits for the node; in between, thousands of requests
//! could be on their way in at once. Their bytes are counted from the socket until the request is
//! decoded. When too many are held, the request that asks for more is refused, before it had any
//! effect, and what it held is free again.

use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use quorate::Refusal;
use tonic::Status;

use crate::api_error::ApiError;

/// Bytes of requests that may be on their way in at once.
pub(crate) const MAX_INCOMING_BYTES: usize = 256 << 20;

/// How many bytes of requests are held, and how many may be.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    held: Arc<AtomicUsize>,
    limit: usize,
}

impl Budget {
    pub(crate) fn new(limit: usize) -> Self {
        Self { held: Arc::default(), limit }
    }

    /// Counts what a body brings against the budget.
    pub(crate) fn meter<B>(&self, body: B) -> Metered<B> {
        Metered { body, held: self.hold() }
    }

    /// Begins to count what a request brings.
    pub(crate) fn hold(&self) -> Held {
        Held { budget: self.clone(), bytes: 0 }
    }

    /// Bytes that are held.
    pub(crate) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }
}

/// Bytes of one request that count against a budget until this is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    budget: Budget,
    bytes: usize,
}

impl Held {
    /// Counts more bytes.
    ///
    /// # Errors
    ///
    /// When too many are held; the request is to be given up.
    pub(crate) fn add(&mut self, bytes: usize) -> Result<(), Status> {
        self.bytes += bytes;
        let before = self.budget.held.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) > self.budget.limit {
            return Err(ApiError::from(Refusal::Overloaded).into());
        }
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.budget.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// A request's body whose bytes count against a budget until it is dropped.
#[derive(Debug)]
pub(crate) struct Metered<B> {
    body: B,
    held: Held,
}

impl<B> Body for Metered<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = match ready!(Pin::new(&mut self.body).poll_frame(task)) {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
            None => return Poll::Ready(None),
        };
        let counted = self.held.add(frame.data_ref().map_or(0, Bytes::len));
        Poll::Ready(Some(counted.map(|()| frame).map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt as _, Full};
    use tonic::Code;

    use super::*;

    #[tokio::test]
    async fn bytes_count_until_the_request_is_done_with() {
        let budget = Budget::new(10);
        let body = |bytes: &'static [u8]| budget.meter(Full::new(Bytes::from_static(bytes)));
        let mut first = body(b"123456");
        first.frame().await.unwrap().unwrap();
        assert_eq!(budget.held(), 6);

        let mut second = body(b"12345");
        let error = second.frame().await.unwrap().unwrap_err();
        let status = error.downcast::<Status>().unwrap();
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert_eq!(status.message(), "etcdserver: too many requests");
        drop(second);
        assert_eq!(budget.held(), 6);

        body(b"1234").frame().await.unwrap().unwrap();
        drop(first);
        assert_eq!(budget.held(), 0);
        body(b"1234567890").frame().await.unwrap().unwrap();
    }
}
