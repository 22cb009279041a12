//! One HTTP/2 connection to a server, with as little between a request and the socket as there can
//! be: the load must not measure itself.

use std::net::SocketAddr;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use h2::client::{Builder, SendRequest};
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue, TE};
use http::{Method, Request, Uri, Version};
use prost::Message;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// Bytes that a server may send before it is told that they were read.
const WINDOW: u32 = 4 << 20;
/// A gRPC message has a byte and a length in front.
const PREFIX: usize = 5;

/// How a request failed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub(super) enum RequestError {
    /// The server answered with a gRPC error.
    #[error("status {0}: {1}")]
    Refused(u16, String),
    /// The connection could not be made, or ended.
    #[error("the connection failed: {0}")]
    Connection(String),
}

impl From<h2::Error> for RequestError {
    fn from(error: h2::Error) -> Self {
        Self::Connection(error.to_string())
    }
}

/// A connection that many requests share.
#[derive(Debug)]
pub(super) struct Connection {
    sender: SendRequest<Bytes>,
    task: JoinHandle<()>,
    authority: String,
    headers: HeaderMap,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Where a call goes: made once per connection and cloned for free.
#[derive(Clone, Debug)]
pub(super) struct Path(Uri);

impl Connection {
    /// Connects to `HOST:PORT`.
    pub(super) async fn open(endpoint: &str) -> Result<Self, RequestError> {
        let failed = |error: std::io::Error| RequestError::Connection(error.to_string());
        let address: SocketAddr =
            tokio::net::lookup_host(endpoint)
                .await
                .map_err(failed)?
                .next()
                .ok_or_else(|| RequestError::Connection(format!("{endpoint} has no address")))?;
        let stream = TcpStream::connect(address).await.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        let mut builder = Builder::new();
        builder.initial_window_size(WINDOW).initial_connection_window_size(WINDOW * 4);
        let (sender, connection) = builder.handshake(stream).await?;
        // What went wrong is told to each request.
        let task = tokio::spawn(async move { drop(connection.await) });
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(TE, HeaderValue::from_static("trailers"));
        Ok(Self { sender, task, authority: endpoint.to_owned(), headers })
    }

    /// A method of a service, for instance `/etcdserverpb.KV/Put`.
    pub(super) fn method(&self, path: &str) -> Path {
        let uri = Uri::builder().scheme("http").authority(self.authority.as_str());
        Path(uri.path_and_query(path).build().expect("paths are constants"))
    }

    /// Sends one message and waits for the whole answer; its bytes, without the prefix.
    pub(super) async fn call(
        &self,
        method: &Path,
        message: &impl Message,
    ) -> Result<Bytes, RequestError> {
        let mut request = Request::new(());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = method.0.clone();
        *request.version_mut() = Version::HTTP_2;
        *request.headers_mut() = self.headers.clone();
        let mut sender = self.sender.clone().ready().await?;
        let (answer, mut stream) = sender.send_request(request, false)?;
        stream.send_data(frame(message), true)?;
        let (head, mut body) = answer.await?.into_parts();
        check(&head.headers)?;
        let mut bytes = Bytes::new();
        while let Some(chunk) = body.data().await {
            let chunk = chunk?;
            body.flow_control().release_capacity(chunk.len())?;
            // Most answers come in one piece.
            bytes = if bytes.is_empty() { chunk } else { [bytes, chunk].concat().into() };
        }
        if let Some(trailers) = body.trailers().await? {
            check(&trailers)?;
        }
        bytes.advance(PREFIX.min(bytes.len()));
        Ok(bytes)
    }
}

/// A message with its prefix.
fn frame(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    let mut bytes = BytesMut::with_capacity(PREFIX + length);
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(length).expect("messages are small"));
    message.encode(&mut bytes).expect("the buffer grows");
    bytes.freeze()
}

/// The status that a server put into its headers or trailers.
fn check(headers: &HeaderMap) -> Result<(), RequestError> {
    let Some(status) = headers.get("grpc-status") else { return Ok(()) };
    let code = status.to_str().ok().and_then(|code| code.parse().ok()).unwrap_or(2);
    if code == 0 {
        return Ok(());
    }
    let text = headers.get("grpc-message").and_then(|text| text.to_str().ok());
    Err(RequestError::Refused(code, text.unwrap_or_default().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_has_its_length_in_front() {
        let put =
            quorate_client::proto::PutRequest { key: b"k".to_vec().into(), ..Default::default() };
        assert_eq!(frame(&put).as_ref(), [0, 0, 0, 0, 3, 0x0A, 1, b'k']);
    }

    #[test]
    fn a_status_other_than_zero_is_an_error() {
        let mut headers = HeaderMap::new();
        check(&headers).unwrap();
        headers.insert("grpc-status", HeaderValue::from_static("0"));
        check(&headers).unwrap();
        headers.insert("grpc-status", HeaderValue::from_static("14"));
        headers.insert("grpc-message", HeaderValue::from_static("etcdserver: no leader"));
        let error = RequestError::Refused(14, "etcdserver: no leader".to_owned());
        assert_eq!(check(&headers), Err(error));
    }
}
