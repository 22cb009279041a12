//! A server that answers as it is told.

use std::collections::VecDeque;
use std::net::TcpListener as BlockingListener;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use quorate_client::proto as pb;
use quorate_client::{OUTCOME_EXPIRED, OUTCOME_METADATA, OUTCOME_REFUSED, OUTCOME_REPLY_LOST};
use quorate_proto::etcdserverpb::kv_server::{Kv, KvServer};
use quorate_proto::quoratepb as qpb;
use quorate_proto::quoratepb::quorate_server::{Quorate, QuorateServer};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tonic::{Code, Request, Response, Status};
use tower_service::Service as _;

/// What to do with a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Act {
    Serve,
    Invalid,
    Unavailable {
        refused: bool,
    },
    /// Refused because there is too much to do.
    Overloaded,
    /// The session is gone.
    Expired,
    /// Carried out before, and the reply not kept.
    ReplyLost,
    Hang,
    /// Break the stream without an answer.
    Abort,
}

struct Script {
    acts: Mutex<VecDeque<Act>>,
    reads: AtomicUsize,
    writes: AtomicUsize,
    /// What each write said of its session.
    stamps: Mutex<Vec<String>>,
    /// Sessions opened.
    sessions: AtomicU64,
    /// Sessions kept alive, each time, and sessions closed.
    kept: Mutex<Vec<u64>>,
    closed: Mutex<Vec<u64>>,
}

impl Script {
    /// Does the next act; when all are done, serves.
    async fn play<R: Default>(&self) -> Result<Response<R>, Status> {
        let act = self.acts.lock().unwrap().pop_front().unwrap_or(Act::Serve);
        match act {
            Act::Serve => Ok(Response::new(R::default())),
            Act::Invalid => Err(Status::invalid_argument("etcdserver: key is not provided")),
            Act::Unavailable { refused: false } => {
                Err(Status::unavailable("etcdserver: no leader"))
            }
            Act::Unavailable { refused: true } => Err(marked(Code::Unavailable, OUTCOME_REFUSED)),
            Act::Overloaded => Err(marked(Code::ResourceExhausted, OUTCOME_REFUSED)),
            Act::Expired => Err(marked(Code::FailedPrecondition, OUTCOME_EXPIRED)),
            Act::ReplyLost => Err(marked(Code::Unknown, OUTCOME_REPLY_LOST)),
            Act::Hang => std::future::pending().await,
            Act::Abort => panic!("the script says to break the stream"),
        }
    }
}

/// An error that says what became of the request.
fn marked(code: Code, outcome: &str) -> Status {
    let mut status = Status::new(code, "too many, or whatever the script says");
    status.metadata_mut().insert(OUTCOME_METADATA, outcome.parse().unwrap());
    status
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
            stamps: Mutex::default(),
            sessions: AtomicU64::new(0),
            kept: Mutex::default(),
            closed: Mutex::default(),
        });
        let service = Arc::new(Service(Arc::clone(&script)));
        let kv = KvServer::from_arc(Arc::clone(&service));
        let quorate = QuorateServer::from_arc(service);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (kv, quorate) = (kv.clone(), quorate.clone());
                let service = service_fn(move |request: http::Request<Incoming>| {
                    let (mut kv, mut quorate) = (kv.clone(), quorate.clone());
                    async move {
                        let is_own = request.uri().path().starts_with("/quoratepb.");
                        if is_own { quorate.call(request).await } else { kv.call(request).await }
                    }
                });
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

    /// What each write said of its session.
    pub(crate) fn stamps(&self) -> Vec<String> {
        self.script.stamps.lock().unwrap().clone()
    }

    /// Sessions that were kept alive, each time.
    pub(crate) fn kept(&self) -> Vec<u64> {
        self.script.kept.lock().unwrap().clone()
    }

    /// Sessions that were closed.
    pub(crate) fn closed(&self) -> Vec<u64> {
        self.script.closed.lock().unwrap().clone()
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
        request: Request<pb::PutRequest>,
    ) -> Result<Response<pb::PutResponse>, Status> {
        if let Some(stamp) = request.metadata().get("quorate-session") {
            self.0.stamps.lock().unwrap().push(stamp.to_str().unwrap().to_owned());
        }
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

/// Opens sessions 17, 18 and so on; appends play the script.
#[tonic::async_trait]
impl Quorate for Service {
    async fn open_session(
        &self,
        _request: Request<qpb::OpenSessionRequest>,
    ) -> Result<Response<qpb::SessionReply>, Status> {
        let session = 17 + self.0.sessions.fetch_add(1, Ordering::SeqCst);
        Ok(Response::new(qpb::SessionReply { header: None, session }))
    }

    async fn keep_session_alive(
        &self,
        request: Request<qpb::SessionRequest>,
    ) -> Result<Response<qpb::SessionReply>, Status> {
        let session = request.into_inner().session;
        self.0.kept.lock().unwrap().push(session);
        Ok(Response::new(qpb::SessionReply { header: None, session }))
    }

    async fn close_session(
        &self,
        request: Request<qpb::SessionRequest>,
    ) -> Result<Response<qpb::SessionReply>, Status> {
        let session = request.into_inner().session;
        self.0.closed.lock().unwrap().push(session);
        Ok(Response::new(qpb::SessionReply { header: None, session }))
    }

    async fn append(
        &self,
        _request: Request<qpb::AppendRequest>,
    ) -> Result<Response<qpb::AppendReply>, Status> {
        self.0.play().await
    }
}
