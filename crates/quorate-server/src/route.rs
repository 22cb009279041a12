//! Which service answers a request, and what is said when none does.
//!
//! gRPC goes by path to the generated services; anything else is a page. Answers that the gRPC
//! stack makes by itself, before a service sees the request, get the words that etcd's clients know.

use std::convert::Infallible;
use std::error::Error;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Request, Response};
use hyper::body::Body as HttpBody;
use quorate_proto::etcdserverpb::cluster_server::ClusterServer;
use quorate_proto::etcdserverpb::kv_server::KvServer;
use quorate_proto::etcdserverpb::lease_server::LeaseServer;
use quorate_proto::etcdserverpb::maintenance_server::MaintenanceServer;
use quorate_proto::etcdserverpb::watch_server::WatchServer;
use quorate_proto::health::health_server::HealthServer;
use quorate_proto::quoratepb::quorate_server::QuorateServer;
use tonic::body::Body;
use tonic::{Code, Status};
use tower_service::Service as _;

use crate::api_error::ApiError;
use crate::backend::{Backend, Shared};
use crate::cluster::ClusterService;
use crate::config::FRAMING_BYTES;
use crate::health::HealthService;
use crate::kv::KvService;
use crate::lease::LeaseService;
use crate::maintenance::MaintenanceService;
use crate::pages;
use crate::session::SessionService;
use crate::watch::WatchService;

/// The header of who wants an error at once where there is no leader.
pub(crate) const WANTS_LEADER: &str = "hasleader";

/// What a client sends, by whichever version of HTTP.
pub(crate) trait Incoming:
    HttpBody<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + Unpin + 'static
{
}

impl<T> Incoming for T
where
    T: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    T::Error: Into<Box<dyn Error + Send + Sync>>,
{
}

/// The gRPC services.
pub(crate) const SERVICES: [&str; 7] = [
    "etcdserverpb.KV",
    "etcdserverpb.Watch",
    "etcdserverpb.Lease",
    "etcdserverpb.Cluster",
    "etcdserverpb.Maintenance",
    "grpc.health.v1.Health",
    "quoratepb.Quorate",
];

/// A gRPC method.
#[derive(Debug)]
pub(crate) struct Method {
    service: usize,
    name: &'static str,
    kind: &'static str,
}

impl Method {
    const fn unary(service: usize, name: &'static str) -> Self {
        Self { service, name, kind: "unary" }
    }

    /// The number of its service, and its name.
    pub(crate) const fn path(&self) -> (usize, &'static str) {
        (self.service, self.name)
    }

    /// The labels of the method's metrics.
    pub(crate) fn labels(&self) -> Vec<(&'static str, &'static str)> {
        vec![
            ("grpc_type", self.kind),
            ("grpc_service", SERVICES[self.service]),
            ("grpc_method", self.name),
        ]
    }
}

/// All gRPC methods, the frequent ones first.
pub(crate) const METHODS: [Method; 30] = [
    Method::unary(0, "Put"),
    Method::unary(0, "Range"),
    Method::unary(0, "Txn"),
    Method::unary(0, "DeleteRange"),
    Method::unary(0, "Compact"),
    Method { service: 1, name: "Watch", kind: "bidi_stream" },
    Method::unary(2, "LeaseGrant"),
    Method::unary(2, "LeaseRevoke"),
    Method { service: 2, name: "LeaseKeepAlive", kind: "bidi_stream" },
    Method::unary(2, "LeaseTimeToLive"),
    Method::unary(2, "LeaseLeases"),
    Method::unary(3, "MemberAdd"),
    Method::unary(3, "MemberRemove"),
    Method::unary(3, "MemberUpdate"),
    Method::unary(3, "MemberList"),
    Method::unary(3, "MemberPromote"),
    Method::unary(4, "Alarm"),
    Method::unary(4, "Status"),
    Method::unary(4, "Defragment"),
    Method::unary(4, "Hash"),
    Method::unary(4, "HashKV"),
    Method { service: 4, name: "Snapshot", kind: "server_stream" },
    Method::unary(4, "MoveLeader"),
    Method::unary(4, "Downgrade"),
    Method::unary(5, "Check"),
    Method { service: 5, name: "Watch", kind: "server_stream" },
    Method::unary(6, "Append"),
    Method::unary(6, "OpenSession"),
    Method::unary(6, "KeepSessionAlive"),
    Method::unary(6, "CloseSession"),
];

/// The future of an answer.
type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

/// All services of the client port; cloned for each connection.
#[derive(Debug)]
pub(crate) struct Router<B> {
    context: Shared<B>,
    kv: KvServer<KvService<B>>,
    watch: WatchServer<WatchService>,
    lease: LeaseServer<LeaseService>,
    cluster: ClusterServer<ClusterService<B>>,
    maintenance: MaintenanceServer<MaintenanceService<B>>,
    health: HealthServer<HealthService<B>>,
    quorate: QuorateServer<SessionService<B>>,
}

impl<B> Clone for Router<B> {
    fn clone(&self) -> Self {
        Self {
            context: Shared::clone(&self.context),
            kv: self.kv.clone(),
            watch: self.watch.clone(),
            lease: self.lease.clone(),
            cluster: self.cluster.clone(),
            maintenance: self.maintenance.clone(),
            health: self.health.clone(),
            quorate: self.quorate.clone(),
        }
    }
}

impl<B: Backend> Router<B> {
    pub(crate) fn new(context: Shared<B>) -> Self {
        let limit = context.max_request_bytes.saturating_add(FRAMING_BYTES);
        let shared = || Shared::clone(&context);
        Self {
            kv: KvServer::new(KvService::new(shared())).max_decoding_message_size(limit),
            watch: WatchServer::new(WatchService).max_decoding_message_size(limit),
            lease: LeaseServer::new(LeaseService).max_decoding_message_size(limit),
            cluster: ClusterServer::new(ClusterService::new(shared()))
                .max_decoding_message_size(limit),
            maintenance: MaintenanceServer::new(MaintenanceService::new(shared()))
                .max_decoding_message_size(limit),
            health: HealthServer::new(HealthService::new(shared()))
                .max_decoding_message_size(limit),
            quorate: QuorateServer::new(SessionService::new(shared()))
                .max_decoding_message_size(limit),
            context,
        }
    }

    /// What the services share.
    pub(crate) const fn context(&self) -> &Shared<B> {
        &self.context
    }

    /// Hands a request to the service of a method.
    fn serve<T: Incoming>(&self, service: usize, request: Request<T>) -> Answer {
        let request = request.map(|body| self.context.incoming.meter(body));
        match service {
            0 => self.kv.clone().call(request),
            1 => self.watch.clone().call(request),
            2 => self.lease.clone().call(request),
            3 => self.cluster.clone().call(request),
            4 => self.maintenance.clone().call(request),
            6 => self.quorate.clone().call(request),
            _ => self.health.clone().call(request),
        }
    }

    fn grpc<T: Incoming>(&self, request: Request<T>) -> Routed<B> {
        let Some(number) = method(request.uri().path()) else {
            return Routed::Ready(Some(unknown(request.uri().path()).into_http()));
        };
        self.context.metrics.started(number);
        let wants_leader = request.headers().get(WANTS_LEADER).is_some_and(|value| value == "true");
        let answer = if wants_leader && self.context.backend.standing().leader.is_none() {
            let refusal = self.context.backend.refusal().map_or(ApiError::NoLeader, Into::into);
            let response = Status::from(refusal).into_http();
            Box::pin(async { Ok(response) })
        } else {
            self.serve(METHODS[number].service, request)
        };
        Routed::Grpc { answer, number, context: Shared::clone(&self.context) }
    }
}

impl<B: Backend, T: Incoming> hyper::service::Service<Request<T>> for Router<B> {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Routed<B>;

    fn call(&self, request: Request<T>) -> Routed<B> {
        if is_grpc(request.headers()) {
            self.grpc(request)
        } else {
            let context = Shared::clone(&self.context);
            // A page is asked for by its head alone.
            let request = request.map(drop);
            Routed::Page(Box::pin(async move { Ok(pages::serve(&context, &request).await) }))
        }
    }
}

/// An answer on its way.
pub(crate) enum Routed<B> {
    /// A gRPC answer, which is counted when it comes.
    Grpc { answer: Answer, number: usize, context: Shared<B> },
    /// A page.
    Page(Answer),
    /// Known without asking anybody.
    Ready(Option<Response<Body>>),
}

impl<B> Future for Routed<B> {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::Grpc { answer, number, context } => answer.as_mut().poll(task).map(|answer| {
                let mut response = answer?;
                let code = mend(&mut response);
                context.metrics.handled(*number, code);
                Ok(response)
            }),
            Self::Page(answer) => answer.as_mut().poll(task),
            Self::Ready(response) => Poll::Ready(Ok(response.take().unwrap_or_default())),
        }
    }
}

pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

/// The number of the method with a path, as in `/etcdserverpb.KV/Put`.
pub(crate) fn method(path: &str) -> Option<usize> {
    let (service, name) = path.strip_prefix('/')?.split_once('/')?;
    METHODS.iter().position(|method| method.name == name && SERVICES[method.service] == service)
}

/// What gRPC servers say to a path that they do not serve.
fn unknown(path: &str) -> Status {
    let (service, name) = path.trim_start_matches('/').split_once('/').unwrap_or((path, ""));
    if SERVICES.contains(&service) {
        Status::unimplemented(format!("unknown method {name} for service {service}"))
    } else {
        Status::unimplemented(format!("unknown service {service}"))
    }
}

/// The code of an answer; an answer that the gRPC stack made to a message beyond the receive limit
/// gets the code and text that etcd gives it.
fn mend(response: &mut Response<Body>) -> i32 {
    const TOO_LARGE: &str = "Error, decoded message length too large";
    // Only an answer that is an error from the start has its status among the headers.
    let Some(status) = Status::from_header_map(response.headers()) else { return 0 };
    if status.code() != Code::OutOfRange || !status.message().starts_with(TOO_LARGE) {
        return status.code().into();
    }
    let numbers: Vec<&str> = status
        .message()
        .split(|character: char| !character.is_ascii_digit())
        .filter(|part| !part.is_empty())
        .collect();
    let text = format!("grpc: received message larger than max ({})", numbers.join(" vs. "));
    let headers = response.headers_mut();
    let code = Code::ResourceExhausted;
    headers.insert(Status::GRPC_STATUS, HeaderValue::from(i32::from(code)));
    if let Ok(text) = HeaderValue::try_from(text) {
        headers.insert(Status::GRPC_MESSAGE, text);
    }
    code.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_has_one_number() {
        for (number, of) in METHODS.iter().enumerate() {
            let path = format!("/{}/{}", SERVICES[of.service], of.name);
            assert_eq!(method(&path), Some(number), "{path}");
        }
        for path in ["", "/", "/etcdserverpb.KV", "/etcdserverpb.KV/put", "/a/Put", "//Put"] {
            assert_eq!(method(path), None, "{path}");
        }
    }

    #[test]
    fn an_unknown_service_or_method_is_unimplemented_in_grpcs_words() {
        let text = |path| {
            let status = unknown(path);
            assert_eq!(status.code(), Code::Unimplemented);
            status.message().to_owned()
        };
        assert_eq!(text("/etcdserverpb.Auth/X"), "unknown service etcdserverpb.Auth");
        assert_eq!(text("/etcdserverpb.KV/X"), "unknown method X for service etcdserverpb.KV");
        assert_eq!(text("nothing"), "unknown service nothing");
    }
}
