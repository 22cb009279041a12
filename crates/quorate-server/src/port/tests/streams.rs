//! What becomes of single requests of an HTTP/2 connection: whole, in pieces, broken, given up.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, SendStream};
use http::{HeaderMap, Request};
use prost::Message as _;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::*;

const PUT: &str = "/etcdserverpb.KV/Put";
const RANGE: &str = "/etcdserverpb.KV/Range";
/// Only a broken server makes anybody wait this long.
const PATIENCE: Duration = Duration::from_secs(30);

struct Raw(SendRequest<Bytes>);

impl Raw {
    async fn connect(port: &Port) -> Self {
        let stream = TcpStream::connect(port.address).await.unwrap();
        let (requests, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        Self(requests)
    }

    async fn begin(&mut self, path: &str) -> (ResponseFuture, SendStream<Bytes>) {
        let mut requests = self.0.clone().ready().await.unwrap();
        let request =
            Request::post(format!("http://h{path}")).header("content-type", "application/grpc");
        requests.send_request(request.body(()).unwrap(), false).unwrap()
    }

    /// Sends a request whose body comes in these pieces; what it is answered, and its status.
    async fn send(&mut self, path: &str, pieces: &[&[u8]]) -> (Bytes, i32, String) {
        let (response, mut body) = self.begin(path).await;
        for piece in pieces {
            body.send_data(Bytes::copy_from_slice(piece), false).unwrap();
            tokio::task::yield_now().await;
        }
        // It may have been refused already.
        drop(body.send_data(Bytes::new(), true));
        timeout(PATIENCE, answer(response)).await.unwrap()
    }
}

async fn answer(response: ResponseFuture) -> (Bytes, i32, String) {
    let (head, mut body) = response.await.unwrap().into_parts();
    let mut whole = BytesMut::new();
    while let Some(data) = body.data().await {
        let data = data.unwrap();
        body.flow_control().release_capacity(data.len()).unwrap();
        whole.extend_from_slice(&data);
    }
    let trailers = body.trailers().await.unwrap();
    let (code, text) = status(trailers.as_ref().unwrap_or(&head.headers));
    (whole.freeze(), code, text)
}

fn status(headers: &HeaderMap) -> (i32, String) {
    let status = Status::from_header_map(headers).expect("every answer has a status");
    (status.code().into(), status.message().to_owned())
}

fn prefixed(flags: u8, message: &[u8]) -> Vec<u8> {
    let mut bytes = vec![flags];
    bytes.put_u32(u32::try_from(message.len()).unwrap());
    bytes.extend_from_slice(message);
    bytes
}

#[tokio::test]
async fn a_request_is_one_whole_message_in_whatever_pieces() {
    let port = Port::open().await;
    let mut raw = Raw::connect(&port).await;
    let request = put("k", "v").encode_to_vec();
    let good = prefixed(0, &request);
    let pieces: Vec<&[u8]> = good.chunks(1).collect();
    for pieces in [vec![&good[..]], pieces, vec![&good[..4], &[], &good[4..]]] {
        let (message, code, text) = raw.send(PUT, &pieces).await;
        assert_eq!((code, text.as_str()), (0, ""));
        assert!(pb::PutResponse::decode(&message[5..]).unwrap().header.is_some());
    }
    let internal = i32::from(Code::Internal);
    let two = [good.clone(), good.clone()].concat();
    let (compressed, malformed) = (prefixed(1, &request), prefixed(0, &[0xff; 4]));
    let huge = [&[0][..], &u32::MAX.to_be_bytes()].concat();
    for (why, body, expected) in [
        ("nothing", &[][..], internal),
        ("half a prefix", &good[..3], internal),
        ("half a message", &good[..7], internal),
        ("two messages", &two[..], internal),
        ("no protobuf", &malformed[..], internal),
        ("compressed", &compressed[..], Code::Unimplemented.into()),
        ("too large", &huge[..], Code::ResourceExhausted.into()),
    ] {
        let (message, code, text) = raw.send(PUT, &[body]).await;
        assert_eq!((message.len(), code), (0, expected), "{why}: {text}");
    }
    assert_eq!(port.context.incoming.held(), 0);
    assert_eq!(port.backend().under_way.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn what_a_client_resets_is_given_up() {
    let port = Port::open().await;
    port.backend().holds_calls.send_replace(true);
    let mut raw = Raw::connect(&port).await;
    let under_way = || port.backend().under_way.load(Ordering::Relaxed);
    let mut begun = Vec::new();
    for _ in 0..5 {
        let (response, mut body) = raw.begin(PUT).await;
        body.send_data(prefixed(0, &put("k", "v").encode_to_vec()).into(), true).unwrap();
        begun.push((response, body));
    }
    until(|| under_way() == 5).await;
    for (_, body) in &mut begun[..4] {
        body.send_reset(Reason::CANCEL);
    }
    until(|| under_way() == 1).await;
    port.backend().holds_calls.send_replace(false);
    let (last, _) = begun.pop().unwrap();
    assert_eq!(timeout(PATIENCE, answer(last)).await.unwrap().1, 0, "the others are not disturbed");
}

#[tokio::test]
async fn requests_under_way_are_finished_when_the_server_stops() {
    let port = Port::open().await;
    port.backend().holds_calls.send_replace(true);
    let mut raw = Raw::connect(&port).await;
    let (response, mut body) = raw.begin(PUT).await;
    body.send_data(prefixed(0, &put("k", "v").encode_to_vec()).into(), true).unwrap();
    until(|| port.backend().under_way.load(Ordering::Relaxed) == 1).await;
    port.stop.send_replace(true);
    // The client is told that nothing new is taken.
    until(|| raw.0.current_max_send_streams() == 0 || refuses(&mut raw.0)).await;
    port.backend().holds_calls.send_replace(false);
    assert_eq!(timeout(PATIENCE, answer(response)).await.unwrap().1, 0);
    timeout(PATIENCE, port.task).await.unwrap().unwrap();
}

fn refuses(requests: &mut SendRequest<Bytes>) -> bool {
    let mut task = std::task::Context::from_waker(std::task::Waker::noop());
    matches!(requests.poll_ready(&mut task), std::task::Poll::Ready(Err(_)))
}

#[tokio::test]
async fn a_large_answer_comes_as_fast_as_it_is_taken() {
    let port = Port::open().await;
    let value = vec![7; 1 << 20];
    for key in ["a", "b", "c"] {
        port.kv().await.put(put(key, value.clone())).await.unwrap();
    }
    let mut raw = Raw::connect(&port).await;
    let range =
        pb::RangeRequest { key: "a".into(), range_end: "d".into(), ..pb::RangeRequest::default() };
    let (message, code, _) = raw.send(RANGE, &[&prefixed(0, &range.encode_to_vec())]).await;
    assert_eq!(code, 0);
    let reply = pb::RangeResponse::decode(&message[5..]).unwrap();
    assert!(reply.kvs.len() == 3 && reply.kvs.iter().all(|kv| kv.value == value));
}

/// Waits for something that is sure to come.
async fn until(mut is_so: impl FnMut() -> bool) {
    let wait = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, wait).await.expect("it never came about");
}
