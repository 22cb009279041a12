//! What is too large: one request, one message, all of them together.

use std::time::Duration;

use prost::Message as _;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::*;
use crate::config::FRAMING_BYTES;

/// A put that takes this many bytes on the wire.
fn sized(bytes: usize) -> pb::PutRequest {
    let around = put("a", vec![0; MAX_REQUEST_BYTES]).encoded_len() - MAX_REQUEST_BYTES;
    let put = put("a", vec![0; bytes - around]);
    assert_eq!(put.encoded_len(), bytes);
    put
}

#[tokio::test]
async fn a_request_beyond_the_limit_is_refused_before_it_is_proposed() {
    let port = Port::open().await;
    let mut kv = port.kv().await;
    kv.put(sized(MAX_REQUEST_BYTES)).await.unwrap();

    let reached = quorate::CallError::Refused(quorate::Refusal::Overloaded);
    *port.backend().next_call.lock().unwrap() = Some(reached);
    let too_large = (Code::InvalidArgument, "etcdserver: request is too large");
    let status = kv.put(sized(MAX_REQUEST_BYTES + 1)).await.unwrap_err();
    assert_eq!(seen(&status), too_large);
    let large = put("a", vec![0; MAX_REQUEST_BYTES]);
    let op = pb::RequestOp { request: Some(pb::request_op::Request::RequestPut(large)) };
    let txn = pb::TxnRequest { failure: vec![op], ..Default::default() };
    assert_eq!(seen(&kv.txn(txn).await.unwrap_err()), too_large);
    let key = vec![b'k'; MAX_REQUEST_BYTES].into();
    let delete = pb::DeleteRangeRequest { key, ..Default::default() };
    assert_eq!(seen(&kv.delete_range(delete).await.unwrap_err()), too_large);
    assert!(port.backend().next_call.lock().unwrap().is_some(), "nothing was proposed");
}

#[tokio::test]
async fn a_message_beyond_the_receive_limit_gets_etcds_words() {
    let port = Port::open().await;
    let mut kv = port.kv().await;
    let limit = MAX_REQUEST_BYTES + FRAMING_BYTES;
    // As large as is received at all, hence refused by the service itself.
    let status = kv.put(sized(limit)).await.unwrap_err();
    assert_eq!(seen(&status), (Code::InvalidArgument, "etcdserver: request is too large"));
    let status = kv.put(sized(limit + 1)).await.unwrap_err();
    let text = "grpc: received message larger than max (2097153 vs. 2097152)";
    assert_eq!(seen(&status), (Code::ResourceExhausted, text));
}

#[tokio::test]
async fn an_answer_may_be_larger_than_any_request() {
    let port = Port::open().await;
    let mut kv = port.kv().await;
    for key in ["a", "b", "c", "d"] {
        kv.put(put(key, vec![7; 1 << 20])).await.unwrap();
    }
    let all = pb::RangeRequest { range_end: "\0".into(), ..range("a") };
    let reply = kv.range(all).await.unwrap().into_inner();
    assert_eq!(reply.kvs.len(), 4);
}

#[tokio::test]
async fn what_clients_have_half_sent_is_bounded_altogether() {
    let port = Port::open_with(1000, MAX_CONNECTIONS).await;
    let mut kv = port.kv().await;
    let status = kv.put(put("a", vec![0; 1000])).await.unwrap_err();
    assert_eq!(seen(&status), (Code::ResourceExhausted, "etcdserver: too many requests"));
    for _ in 0..10 {
        // Each would exhaust the rest if an earlier one were still counted.
        kv.put(put("a", vec![0; 900])).await.unwrap();
    }
    assert_eq!(port.context.incoming.held(), 0);
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed_until_others_end() {
    let port = Port::open_with(MAX_INCOMING_BYTES, 2).await;
    let mut kv = port.kv().await;
    kv.put(put("a", "1")).await.unwrap();
    let second = TcpStream::connect(port.address).await.unwrap();
    let ends = async || {
        let mut third = TcpStream::connect(port.address).await.unwrap();
        let read = timeout(Duration::from_secs(20), third.read_u8()).await;
        assert!(read.expect("it is closed at once").is_err());
    };
    ends().await;
    ends().await;
    kv.put(put("a", "2")).await.unwrap();
    drop(second);
    let endpoint = Endpoint::from_shared(format!("http://{}", port.address)).unwrap();
    let again = async {
        loop {
            if let Ok(channel) = endpoint.connect().await
                && KvClient::new(channel).put(put("a", "3")).await.is_ok()
            {
                return;
            }
        }
    };
    timeout(Duration::from_secs(20), again).await.expect("there is room again");
}

#[tokio::test]
async fn a_client_that_says_nothing_is_let_go() {
    let port = Port::open().await;
    let mut silent = TcpStream::connect(port.address).await.unwrap();
    // Until the port has it; then the clock is put forward.
    tokio::time::sleep(Duration::from_millis(50)).await;
    tokio::time::pause();
    tokio::time::advance(super::super::HEAD_TIMEOUT + Duration::from_secs(1)).await;
    tokio::time::resume();
    let read = timeout(Duration::from_secs(20), silent.read_u8()).await;
    assert!(read.expect("it is closed").is_err());
}
