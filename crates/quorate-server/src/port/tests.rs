//! The services over a real socket, above a store without replication.

mod beside_etcd;
mod limits;
mod pages;
mod raw;
mod services;
mod streams;

use std::net::SocketAddr;
use std::sync::Arc;

use quorate_proto::etcdserverpb as pb;
use quorate_proto::etcdserverpb::cluster_client::ClusterClient;
use quorate_proto::etcdserverpb::kv_client::KvClient;
use quorate_proto::etcdserverpb::maintenance_client::MaintenanceClient;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use crate::backend::{Context, Shared};
use crate::budget::{Budget, MAX_INCOMING_BYTES};
use crate::config::{MAX_CONNECTIONS, MAX_REQUEST_BYTES};
use crate::fake::Fake;
use crate::metrics::Metrics;
use crate::route::Router;

/// A served port.
struct Port {
    address: SocketAddr,
    context: Shared<Fake>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Port {
    async fn open() -> Self {
        Self::open_with(MAX_INCOMING_BYTES, MAX_CONNECTIONS).await
    }

    async fn open_with(incoming_bytes: usize, connections: usize) -> Self {
        let listener: TcpListener = super::listen("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let context = Arc::new(Context {
            backend: Fake::default(),
            max_request_bytes: MAX_REQUEST_BYTES,
            quota_bytes: 0,
            incoming: Budget::new(incoming_bytes),
            metrics: Metrics::default(),
        });
        let (stop, stopped) = watch::channel(false);
        let router = Router::new(Arc::clone(&context));
        let room = Arc::new(Semaphore::new(connections));
        let task = tokio::spawn(super::serve(listener, router, room, stopped));
        Self { address, context, stop, task }
    }

    fn backend(&self) -> &Fake {
        &self.context.backend
    }

    async fn channel(&self) -> Channel {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address)).unwrap();
        endpoint.connect().await.unwrap()
    }

    async fn kv(&self) -> KvClient<Channel> {
        KvClient::new(self.channel().await).max_decoding_message_size(64 << 20)
    }

    async fn maintenance(&self) -> MaintenanceClient<Channel> {
        MaintenanceClient::new(self.channel().await)
    }

    async fn cluster(&self) -> ClusterClient<Channel> {
        ClusterClient::new(self.channel().await)
    }
}

fn put(key: &str, value: impl Into<bytes::Bytes>) -> pb::PutRequest {
    let key = bytes::Bytes::copy_from_slice(key.as_bytes());
    pb::PutRequest { key, value: value.into(), ..pb::PutRequest::default() }
}

fn range(key: &str) -> pb::RangeRequest {
    let key = bytes::Bytes::copy_from_slice(key.as_bytes());
    pb::RangeRequest { key, ..pb::RangeRequest::default() }
}

/// Code and text of an error.
fn seen(status: &Status) -> (Code, &str) {
    (status.code(), status.message())
}
