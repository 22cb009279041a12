//! One request and its answer.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{RecvStream, SendStream};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Request, Response};
use hyper::service::Service as _;
use tonic::{Code, Status};

use super::body::{self, Incoming};
use super::unary;
use crate::backend::Backend;
use crate::route::Router;

/// Answers up to this size are handed to the connection as they are; larger ones wait until the
/// client has room for them.
const SMALL_BYTES: usize = 16 << 10;

/// Serves one request, unless the client gives it up.
pub(super) async fn exchange<B: Backend>(
    router: Arc<Router<B>>,
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
) {
    let done = match unary::method(&request) {
        Some(number) => key_value(&router, number, request.into_body(), &mut respond).await,
        // It is large, and seldom needed.
        None => Box::pin(general(&router, request, &mut respond)).await,
    };
    if let Err(error) = done {
        tracing::trace!(%error, "a client is gone before its answer");
    }
}

/// Reads and writes of keys.
async fn key_value<B: Backend>(
    router: &Router<B>,
    number: usize,
    body: RecvStream,
    respond: &mut SendResponse<Bytes>,
) -> Result<(), h2::Error> {
    let metrics = &router.context().metrics;
    metrics.started(number);
    let Some(answer) = unless_reset(unary::serve(router.context(), number, body), respond).await
    else {
        metrics.handled(number, Code::Cancelled.into());
        return Ok(());
    };
    metrics
        .handled(number, answer.as_ref().map_or_else(|status| status.code(), |_| Code::Ok).into());
    match answer {
        Ok(message) => {
            let mut stream = respond.send_response(head(), false)?;
            send_message(message, &mut stream).await?;
            stream.send_trailers(trailers())
        }
        Err(status) => {
            let (head, _) = status.into_http::<()>().into_parts();
            respond.send_response(Response::from_parts(head, ()), true).map(drop)
        }
    }
}

async fn send_message(message: Bytes, stream: &mut SendStream<Bytes>) -> Result<(), h2::Error> {
    if message.len() <= SMALL_BYTES {
        stream.send_data(message, false)
    } else {
        body::send_data(message, stream).await
    }
}

fn head() -> Response<()> {
    let mut response = Response::new(());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

fn trailers() -> HeaderMap {
    let mut trailers = HeaderMap::with_capacity(1);
    trailers.insert(Status::GRPC_STATUS, HeaderValue::from_static("0"));
    trailers
}

/// Everything else.
async fn general<B: Backend>(
    router: &Router<B>,
    request: Request<RecvStream>,
    respond: &mut SendResponse<Bytes>,
) -> Result<(), h2::Error> {
    let answer = router.call(request.map(Incoming::new));
    let Some(Ok(response)) = unless_reset(answer, respond).await else { return Ok(()) };
    let (head, body) = response.into_parts();
    let is_bare = hyper::body::Body::is_end_stream(&body);
    let mut stream = respond.send_response(Response::from_parts(head, ()), is_bare)?;
    if is_bare { Ok(()) } else { body::send(body, &mut stream).await }
}

/// Finishes the work, unless the client resets the stream first.
async fn unless_reset<T>(
    work: impl Future<Output = T>,
    respond: &mut SendResponse<Bytes>,
) -> Option<T> {
    let mut work = pin!(work);
    poll_fn(|task| match work.as_mut().poll(task) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => respond.poll_reset(task).map(|_| None),
    })
    .await
}
