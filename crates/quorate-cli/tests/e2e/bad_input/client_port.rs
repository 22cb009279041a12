//! Requests on the client port that no client would send.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes};
use quorate_client::CallError;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Endpoint;
use tonic::{Code, Request, Status};

use crate::harness::{Cluster, Random, put_request, runtime};

#[test]
fn an_empty_key_is_refused_with_etcds_words() {
    let cluster = Cluster::start(1);
    let error = cluster.put("", "x").unwrap_err();
    let CallError::Refused { status, .. } = error else { panic!("not refused: {error}") };
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(status.message(), "etcdserver: key is not provided");
    cluster.put("a", "1").unwrap();
}

#[test]
fn a_request_beyond_the_limit_is_refused_with_etcds_words() {
    let cluster = Cluster::start(1);
    let put = put_request("a", &"x".repeat(1536 * 1024 + 1));
    let error = runtime().block_on(cluster.client().put(put)).unwrap_err();
    let CallError::Refused { status, .. } = error else { panic!("not refused: {error}") };
    assert_eq!(status.message(), "etcdserver: request is too large");
    cluster.put("a", "1").unwrap();
}

#[test]
fn malformed_messages_are_refused_and_the_server_goes_on() {
    let cluster = Cluster::start(1);
    let endpoint = Endpoint::from_shared(format!("http://{}", cluster.plan.endpoints())).unwrap();
    runtime().block_on(async {
        let channel = endpoint.connect().await.unwrap();
        let mut random = Random::new(11);
        for method in ["Put", "Range", "DeleteRange", "Txn", "Compact"] {
            for length in [1, 7, 64, 4096] {
                let mut bytes: Vec<u8> =
                    (0..length).map(|_| random.next().to_le_bytes()[0]).collect();
                // Field 1, length-delimited, longer than what follows.
                bytes.splice(..1, [0x0a, 0xff, 0xff, 0xff, 0x7f]);
                let mut grpc = Grpc::new(channel.clone());
                grpc.ready().await.unwrap();
                let path = format!("/etcdserverpb.KV/{method}").parse::<PathAndQuery>().unwrap();
                let call = grpc.unary(Request::new(Bytes::from(bytes)), path, Raw).await;
                let status = call.expect_err("such bytes are no message");
                assert_ne!(status.code(), Code::Unavailable, "{method}: {status}");
            }
        }
    });
    cluster.put("a", "1").unwrap();
}

#[test]
fn bytes_that_are_no_http_end_that_connection_only() {
    let cluster = Cluster::start(1);
    let mut random = Random::new(13);
    for length in [1, 24, 4096] {
        let mut stream = TcpStream::connect(cluster.plan.endpoints()).unwrap();
        let bytes: Vec<u8> = (0..length).map(|_| random.next().to_le_bytes()[0]).collect();
        // The server may close before the last byte.
        drop(stream.write_all(&bytes));
        stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        drop(stream.read(&mut [0; 64]));
    }
    cluster.put("a", "1").unwrap();
}

/// Sends and receives messages as they are.
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
