//! A server that answers as it is told.

use std::collections::VecDeque;
use std::net::TcpListener as BlockingListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use quorate_client::proto as pb;
use quorate_client::{OUTCOME_METADATA, OUTCOME_REFUSED};
use quorate_proto::etcdserverpb::kv_server::{Kv, KvServer};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tonic::{Request, Response, Status};

/// What to do with a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Act {
    Serve,
    Invalid,
    Unavailable {
        refused: bool,
    },
    Hang,
    /// Break the stream without an answer.
    Abort,
}

struct Script {
    acts: Mutex<VecDeque<Act>>,
    reads: AtomicUsize,
    writes: AtomicUsize,
}

impl Script {
    /// Does the next act; when all are done, serves.
    async fn play<R: Default>(&self) -> Result<Response<R>, Status> {
        let act = self.acts.lock().unwrap().pop_front().unwrap_or(Act::Serve);
        match act {
            Act::Serve => Ok(Response::new(R::default())),
            Act::Invalid => Err(Status::invalid_argument("etcdserver: key is not provided")),
            Act::Unavailable { refused } => {
                let mut status = Status::unavailable("etcdserver: no leader");
                if refused {
                    let value = OUTCOME_REFUSED.parse().unwrap();
                    status.metadata_mut().insert(OUTCOME_METADATA, value);
                }
                Err(status)
            }
            Act::Hang => std::future::pending().await,
            Act::Abort => panic!("the script says to break the stream"),
        }
    }
}

pub(crate) struct Scripted {
    endpoint: String,
    script: Arc<Script>,
    task: JoinHandle<()>,
}

impl Scripted {
    pub(crate) async fn start(acts: impl IntoIterator<Item = Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = listener.local_addr().unwrap().to_string();
        let script = Arc::new(Script {
            acts: Mutex::new(acts.into_iter().collect()),
            reads: AtomicUsize::new(0),
            writes: AtomicUsize::new(0),
        });
        let service = KvServer::from_arc(Arc::new(Service(Arc::clone(&script))));
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let service = TowerToHyperService::new(service.clone());
                connections.spawn(async move {
                    let builder = auto::Builder::new(TokioExecutor::new());
                    builder.serve_connection(TokioIo::new(stream), service).await.ok();
                });
            }
        });
        Self { endpoint, script, task }
    }

    pub(crate) fn endpoint(&self) -> String {
        self.endpoint.clone()
    }

    pub(crate) fn writes(&self) -> usize {
        self.script.writes.load(Ordering::SeqCst)
    }

    pub(crate) fn reads(&self) -> usize {
        self.script.reads.load(Ordering::SeqCst)
    }

    /// Closes the port and every connection.
    pub(crate) async fn stop(&mut self) {
        self.task.abort();
        assert!((&mut self.task).await.unwrap_err().is_cancelled());
    }
}

/// An address on which nobody listens.
pub(crate) fn vacant_address() -> String {
    BlockingListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

struct Service(Arc<Script>);

#[tonic::async_trait]
impl Kv for Service {
    async fn range(
        &self,
        _request: Request<pb::RangeRequest>,
    ) -> Result<Response<pb::RangeResponse>, Status> {
        self.0.reads.fetch_add(1, Ordering::SeqCst);
        self.0.play().await
    }

    async fn put(
        &self,
        _request: Request<pb::PutRequest>,
    ) -> Result<Response<pb::PutResponse>, Status> {
        self.0.writes.fetch_add(1, Ordering::SeqCst);
        self.0.play().await
    }

    async fn delete_range(
        &self,
        _request: Request<pb::DeleteRangeRequest>,
    ) -> Result<Response<pb::DeleteRangeResponse>, Status> {
        self.0.play().await
    }

    async fn txn(
        &self,
        _request: Request<pb::TxnRequest>,
    ) -> Result<Response<pb::TxnResponse>, Status> {
        self.0.play().await
    }

    async fn compact(
        &self,
        _request: Request<pb::CompactionRequest>,
    ) -> Result<Response<pb::CompactionResponse>, Status> {
        self.0.play().await
    }
}
