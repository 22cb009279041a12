//! The two ways of a body: what a client sends as a body for the generated services, and what they
//! answer on its way to the client, no faster than the client takes it.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{RecvStream, SendStream};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame};

/// What a client sends.
#[derive(Debug)]
pub(crate) struct Incoming {
    stream: RecvStream,
    /// Whether all data has come; trailers may follow.
    ended: bool,
}

impl Incoming {
    pub(super) const fn new(stream: RecvStream) -> Self {
        Self { stream, ended: false }
    }
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        if !self.ended {
            match ready!(self.stream.poll_data(task)) {
                Some(Ok(data)) => {
                    self.stream.flow_control().release_capacity(data.len())?;
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => self.ended = true,
            }
        }
        let trailers = ready!(self.stream.poll_trailers(task))?;
        Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.stream.is_end_stream()
    }
}

/// Sends a body to its end; what the client resets is given up.
pub(super) async fn send<T>(mut body: T, stream: &mut SendStream<Bytes>) -> Result<(), h2::Error>
where
    T: Body<Data = Bytes> + Unpin,
{
    loop {
        let frame = tokio::select! {
            biased;
            frame = body.frame() => frame,
            reset = poll_fn(|task| stream.poll_reset(task)) => return reset.map(|_| ()),
        };
        match frame {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => send_data(data, stream).await?,
                Err(frame) => {
                    let trailers = frame.into_trailers().unwrap_or_default();
                    return stream.send_trailers(trailers);
                }
            },
            Some(Err(_)) => {
                stream.send_reset(h2::Reason::INTERNAL_ERROR);
                return Ok(());
            }
            None => return stream.send_data(Bytes::new(), true),
        }
    }
}

/// Sends data as fast as the client takes it.
pub(super) async fn send_data(
    mut data: Bytes,
    stream: &mut SendStream<Bytes>,
) -> Result<(), h2::Error> {
    while !data.is_empty() {
        stream.reserve_capacity(data.len());
        match poll_fn(|task| stream.poll_capacity(task)).await {
            Some(Ok(room)) => stream.send_data(data.split_to(room.min(data.len())), false)?,
            Some(Err(error)) => return Err(error),
            // The client is gone.
            None => return Ok(()),
        }
    }
    Ok(())
}
