//! What no honest client sends.

use bytes::{Buf, BufMut as _, Bytes};
use http::uri::PathAndQuery;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tonic::Request;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

use super::*;

/// Sends bytes as they are.
#[derive(Debug, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}

async fn call(port: &Port, path: &'static str, message: impl Into<Bytes>) -> Result<Bytes, Status> {
    let mut client = tonic::client::Grpc::new(port.channel().await);
    client.ready().await.unwrap();
    let path = PathAndQuery::from_static(path);
    Ok(client.unary(Request::new(message.into()), path, Raw).await?.into_inner())
}

#[tokio::test]
async fn malformed_messages_end_as_errors_and_hurt_nobody() {
    let port = Port::open().await;
    let put = "/etcdserverpb.KV/Put";
    let malformed: [&[u8]; 6] = [
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x0a\x7fshort",
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
        b"\x0b",
        b"\x00",
        b"\x0d\x01\x02\x03\x04",
    ];
    for message in malformed {
        let status = call(&port, put, message).await.unwrap_err();
        assert_eq!(status.code(), Code::Internal, "{}: {status}", message.escape_ascii());
        assert!(status.message().contains("decode"), "{status}");
    }
    port.kv().await.put(super::put("a", "1")).await.unwrap();
}

#[tokio::test]
async fn nesting_beyond_reason_is_refused_and_within_it_answered() {
    use prost::Message as _;
    use quorate_proto::etcdserverpb::request_op::Request as Op;

    let port = Port::open().await;
    let nested = |depth| {
        let mut message = Bytes::new();
        for _ in 0..depth {
            // A transaction whose one operation is the transaction so far.
            let mut op = vec![0x22];
            prost::encoding::encode_varint(message.len() as u64, &mut op);
            op.extend_from_slice(&message);
            let mut txn = vec![0x12];
            prost::encoding::encode_varint(op.len() as u64, &mut txn);
            txn.extend_from_slice(&op);
            message = txn.into();
        }
        message
    };
    let shallow = nested(3);
    let decoded = pb::TxnRequest::decode(shallow.clone()).unwrap();
    assert!(matches!(decoded.success[0].request, Some(Op::RequestTxn(_))));
    call(&port, "/etcdserverpb.KV/Txn", shallow).await.unwrap();
    for depth in [49, 60, 10_000] {
        // The answer may be either, but there is one, and the server lives.
        let ended = call(&port, "/etcdserverpb.KV/Txn", nested(depth)).await;
        assert!(depth < 60 || ended.unwrap_err().code() == Code::Internal, "{depth}");
    }
    port.kv().await.put(put("a", "1")).await.unwrap();
}

#[tokio::test]
async fn unknown_services_and_methods_are_unimplemented() {
    let port = Port::open().await;
    let error = call(&port, "/etcdserverpb.Auth/AuthStatus", "").await.unwrap_err();
    assert_eq!(seen(&error), (Code::Unimplemented, "unknown service etcdserverpb.Auth"));
    let error = call(&port, "/etcdserverpb.KV/RangeStream", "").await.unwrap_err();
    let text = "unknown method RangeStream for service etcdserverpb.KV";
    assert_eq!(seen(&error), (Code::Unimplemented, text));
    let error = call(&port, "/etcdserverpb.Lease/LeaseGrant", "").await.unwrap_err();
    assert_eq!(seen(&error), (Code::Unimplemented, "quorate: lease is not there yet"));
}

#[tokio::test]
async fn garbage_and_halves_on_the_socket_leave_the_others_served() {
    let port = Port::open().await;
    let half: &[&[u8]] = &[
        b"",
        b"\x00",
        b"PRI * HTTP/2.0\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        b"GET /version HTTP/1.1\r\nHost: ",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"POST /etcdserverpb.KV/Put HTTP/1.1\r\nContent-Type: application/grpc\r\n\
          Content-Length: 4000000000\r\n\r\n\x00\xff\xff\xff\xff",
    ];
    let mut sockets = Vec::new();
    for bytes in half {
        let mut socket = TcpStream::connect(port.address).await.unwrap();
        socket.write_all(bytes).await.unwrap();
        sockets.push(socket);
    }
    port.kv().await.put(put("a", "1")).await.unwrap();
    let mut garbage = TcpStream::connect(port.address).await.unwrap();
    garbage.write_all(&[0x80; 1 << 16]).await.ok();
    let mut answer = Vec::new();
    // The server ends this one by itself, with or without a word.
    garbage.read_to_end(&mut answer).await.ok();
    port.kv().await.put(put("a", "1")).await.unwrap();
}

#[tokio::test]
async fn the_authorities_that_etcds_clients_write_are_served() {
    let port = Port::open().await;
    for authority in ["http://127.0.0.1:2379", "#initially=[http://a:1;http://b:2]"] {
        // Preface, settings, and a put of `a` whose headers stand in plain strings.
        let mut headers = b"\x83\x86\x44\x14/etcdserverpb.KV/Put\x41".to_vec();
        headers.push(u8::try_from(authority.len()).unwrap());
        headers.extend_from_slice(authority.as_bytes());
        headers.extend_from_slice(b"\x5f\x10application/grpc\x40\x02te\x08trailers");
        let mut request = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
        request.extend_from_slice(&[0, 0, u8::try_from(headers.len()).unwrap(), 1, 4, 0, 0, 0, 1]);
        request.extend_from_slice(&headers);
        request.extend_from_slice(b"\0\0\x08\0\x01\0\0\0\x01\0\0\0\0\x03\x0a\x01a");
        let mut socket = TcpStream::connect(port.address).await.unwrap();
        socket.write_all(&request).await.unwrap();
        let mut answer = Vec::new();
        // The end of the answer: trailers, a frame of headers that ends stream 1.
        while !answer.windows(6).any(|bytes| bytes == b"\x01\x05\0\0\0\x01") {
            assert_ne!(socket.read_buf(&mut answer).await.unwrap(), 0, "{authority}");
        }
    }
    let reply = port.kv().await.range(range("a")).await.unwrap().into_inner();
    assert_eq!(reply.kvs[0].version, 2);
}
