//! Sends each request to an endpoint that answers, and no write twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use quorate_proto::etcdserverpb as pb;
use quorate_proto::etcdserverpb::cluster_client::ClusterClient;
use quorate_proto::etcdserverpb::kv_client::KvClient;
use quorate_proto::etcdserverpb::maintenance_client::MaintenanceClient;
use tokio::time::{Instant, sleep, timeout_at};
use tonic::transport::Channel;
use tonic::{Response, Status};

use crate::endpoint::{Endpoint, EndpointError};
use crate::error::{Attempt, CallError, silence, with_causes};
use crate::outcome::{Verdict, judge};
use crate::session::{Session, SessionOptions};
use crate::snapshot::SnapshotStream;

/// Pause before all endpoints are asked again, when each said that it cannot serve at the moment.
const PAUSE: Duration = Duration::from_millis(50);
/// Largest reply that is read: what etcd's own client takes.
pub(crate) const MAX_REPLY_BYTES: usize = i32::MAX as usize;

/// How long a client waits.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Options {
    /// Limit of a whole call, over all endpoints.
    pub timeout: Duration,
    /// Limit of making one connection.
    pub connect_timeout: Duration,
}

impl Default for Options {
    /// etcdctl's limits: 5 s for a command, 2 s for a connection.
    fn default() -> Self {
        Self { timeout: Duration::from_secs(5), connect_timeout: Duration::from_secs(2) }
    }
}

impl Options {
    /// Sets the limit of a whole call.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets the limit of making one connection.
    #[must_use]
    pub const fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }
}

/// A client of one cluster; clones share their connections.
#[derive(Clone, Debug)]
pub struct Client {
    endpoints: Arc<[Endpoint]>,
    /// Which endpoint answered last; only a hint of where to begin.
    current: Arc<AtomicUsize>,
    options: Options,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Read,
    Write,
}

impl Client {
    /// Takes the endpoints of a cluster; connects to none of them yet.
    ///
    /// # Errors
    ///
    /// When there is no endpoint or one of them is no address.
    pub fn new<E: AsRef<str>>(
        endpoints: impl IntoIterator<Item = E>,
        options: Options,
    ) -> Result<Self, EndpointError> {
        let endpoints = endpoints
            .into_iter()
            .map(|name| Endpoint::parse(name.as_ref(), options.connect_timeout))
            .collect::<Result<Arc<[_]>, _>>()?;
        if endpoints.is_empty() {
            return Err(EndpointError::None);
        }
        Ok(Self { endpoints, current: Arc::default(), options })
    }

    /// The endpoints as they were given.
    pub fn endpoints(&self) -> impl Iterator<Item = &str> {
        self.endpoints.iter().map(Endpoint::name)
    }

    /// A client of each endpoint alone, for questions that each member answers for itself.
    pub fn each_endpoint(&self) -> impl Iterator<Item = Self> {
        let options = self.options;
        self.endpoints.iter().map(move |endpoint| {
            Self::new([endpoint.name()], options).expect("the endpoint was parsed before")
        })
    }

    /// Reads a key or a range.
    ///
    /// # Errors
    ///
    /// See [`CallError`]; a read never ends as unknown.
    pub async fn range(&self, request: pb::RangeRequest) -> Result<pb::RangeResponse, CallError> {
        self.call(Kind::Read, |channel| {
            let request = request.clone();
            async move { kv(channel).range(request).await }
        })
        .await
    }

    /// Reads one key.
    ///
    /// # Errors
    ///
    /// See [`CallError`]; a read never ends as unknown.
    pub async fn get(&self, key: impl Into<Vec<u8>>) -> Result<Option<crate::KeyValue>, CallError> {
        let request = pb::RangeRequest { key: key.into().into(), ..pb::RangeRequest::default() };
        Ok(self.range(request).await?.kvs.pop())
    }

    /// Writes a key.
    ///
    /// # Errors
    ///
    /// See [`CallError`].
    pub async fn put(&self, request: pb::PutRequest) -> Result<pb::PutResponse, CallError> {
        self.call(Kind::Write, |channel| {
            let request = request.clone();
            async move { kv(channel).put(request).await }
        })
        .await
    }

    /// Deletes a key or a range.
    ///
    /// # Errors
    ///
    /// See [`CallError`].
    pub async fn delete_range(
        &self,
        request: pb::DeleteRangeRequest,
    ) -> Result<pb::DeleteRangeResponse, CallError> {
        self.call(Kind::Write, |channel| {
            let request = request.clone();
            async move { kv(channel).delete_range(request).await }
        })
        .await
    }

    /// Carries out a transaction, even one that only reads, as a write.
    ///
    /// # Errors
    ///
    /// See [`CallError`].
    pub async fn txn(&self, request: pb::TxnRequest) -> Result<pb::TxnResponse, CallError> {
        self.call(Kind::Write, |channel| {
            let request = request.clone();
            async move { kv(channel).txn(request).await }
        })
        .await
    }

    /// Forgets the history before a revision.
    ///
    /// # Errors
    ///
    /// See [`CallError`].
    pub async fn compact(
        &self,
        request: pb::CompactionRequest,
    ) -> Result<pb::CompactionResponse, CallError> {
        self.call(Kind::Write, |channel| async move { kv(channel).compact(request).await }).await
    }

    /// A session, whose writes are carried out exactly once; opened with the first of them, on the
    /// tokio runtime of that moment.
    #[must_use]
    pub fn session(&self) -> Session {
        self.session_with(SessionOptions::default())
    }

    /// As [`Client::session`], with other times.
    #[must_use]
    pub fn session_with(&self, options: SessionOptions) -> Session {
        Session::new(self.clone(), options)
    }

    /// Every endpoint, in the order given.
    pub(crate) fn each(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// Where to begin.
    pub(crate) fn current(&self) -> usize {
        self.current.load(Ordering::Relaxed)
    }

    /// An endpoint answered: the next request begins there.
    pub(crate) fn settle_on(&self, at: usize) {
        self.current.store(at, Ordering::Relaxed);
    }

    /// What the answering member says of itself; see [`Client::each_endpoint`].
    ///
    /// # Errors
    ///
    /// See [`CallError`]; a read never ends as unknown.
    pub async fn status(&self) -> Result<pb::StatusResponse, CallError> {
        self.call(Kind::Read, |channel| async move {
            maintenance(channel).status(pb::StatusRequest {}).await
        })
        .await
    }

    /// The alarms that are raised.
    ///
    /// # Errors
    ///
    /// See [`CallError`]; a read never ends as unknown.
    pub async fn alarms(&self) -> Result<pb::AlarmResponse, CallError> {
        self.call(Kind::Read, |channel| async move {
            maintenance(channel).alarm(pb::AlarmRequest::default()).await
        })
        .await
    }

    /// Everything that the answering member holds, as one stream; see [`Client::each_endpoint`].
    ///
    /// The limit of a call is that of its beginning, and of each wait within it.
    ///
    /// # Errors
    ///
    /// See [`CallError`]; a read never ends as unknown.
    pub async fn snapshot(&self) -> Result<SnapshotStream, CallError> {
        let messages = self
            .call(Kind::Read, |channel| async move {
                maintenance(channel).snapshot(pb::SnapshotRequest {}).await
            })
            .await?;
        let at = self.current.load(Ordering::Relaxed);
        let endpoint = self.endpoints[at % self.endpoints.len()].name().to_owned();
        Ok(SnapshotStream::new(endpoint, messages, self.options.timeout))
    }

    /// Who belongs to the cluster.
    ///
    /// # Errors
    ///
    /// See [`CallError`]; a read never ends as unknown.
    pub async fn member_list(&self) -> Result<pb::MemberListResponse, CallError> {
        self.call(Kind::Read, |channel| async move {
            let mut cluster =
                ClusterClient::new(channel).max_decoding_message_size(MAX_REPLY_BYTES);
            cluster.member_list(pb::MemberListRequest { linearizable: true }).await
        })
        .await
    }

    /// Sends a request until one endpoint carries it out, refuses it for good, or may have.
    async fn call<R, F>(&self, kind: Kind, send: impl Fn(Channel) -> F) -> Result<R, CallError>
    where
        F: Future<Output = Result<Response<R>, Status>>,
    {
        let start = Instant::now();
        let deadline = start + self.options.timeout;
        loop {
            let mut attempts = Vec::new();
            let mut worth_waiting = false;
            let first = self.current.load(Ordering::Relaxed);
            for turn in 0..self.endpoints.len() {
                let at = (first + turn) % self.endpoints.len();
                // A silent endpoint may use up only its share of the time that is left.
                let left = self.endpoints.len() - turn;
                let share = share(deadline, left);
                match attempt(kind, &self.endpoints[at], (share, deadline), &send).await {
                    Ok(reply) => {
                        self.current.store(at, Ordering::Relaxed);
                        return Ok(reply);
                    }
                    Err(Miss::End(error)) => return Err(error),
                    Err(Miss::Next { why, waiting_helps }) => {
                        worth_waiting |= waiting_helps;
                        let endpoint = self.endpoints[at].name().to_owned();
                        attempts.push(Attempt { endpoint, why });
                    }
                }
            }
            if !worth_waiting || Instant::now() + PAUSE >= deadline {
                return Err(CallError::Unserved { attempts });
            }
            sleep(PAUSE).await;
        }
    }
}

/// Sends a request to one endpoint, within its share of the time that is left to the deadline.
async fn attempt<R, F>(
    kind: Kind,
    endpoint: &Endpoint,
    (share, deadline): (Duration, Instant),
    send: &impl Fn(Channel) -> F,
) -> Result<R, Miss>
where
    F: Future<Output = Result<Response<R>, Status>>,
{
    let until = Instant::now() + share;
    let not_reached = |why| Miss::Next { why, waiting_helps: false };
    let channel = match timeout_at(until, endpoint.channel()).await {
        Ok(Ok(channel)) => channel,
        Ok(Err(why)) => return Err(not_reached(why)),
        Err(_) => return Err(not_reached(silence(share))),
    };
    // What was sent cannot be taken back, so a write gets all the time there is.
    let until = if kind == Kind::Read { until } else { deadline };
    let left = until.saturating_duration_since(Instant::now());
    let unknown = |why, status| {
        Miss::End(CallError::Unknown { endpoint: endpoint.name().to_owned(), why, status })
    };
    let status = match timeout_at(until, send(channel)).await {
        Ok(Ok(reply)) => return Ok(reply.into_inner()),
        Ok(Err(status)) => Box::new(status),
        Err(_) => {
            endpoint.forget();
            return Err(match kind {
                Kind::Read => not_reached(silence(left)),
                Kind::Write => unknown(silence(left), None),
            });
        }
    };
    match (judge(&status), kind) {
        (Verdict::Final, _) => {
            Err(Miss::End(CallError::Refused { endpoint: endpoint.name().to_owned(), status }))
        }
        (Verdict::Elsewhere, _) => {
            Err(Miss::Next { why: status.message().to_owned(), waiting_helps: true })
        }
        (Verdict::NotSent, _) => {
            endpoint.forget();
            Err(not_reached(with_causes(&*status)))
        }
        (Verdict::Unknown, Kind::Read) => {
            endpoint.forget();
            Err(not_reached(describe(&status)))
        }
        (Verdict::Unknown, Kind::Write) => {
            endpoint.forget();
            Err(unknown(describe(&status), Some(status)))
        }
    }
}

/// How an attempt at one endpoint failed.
enum Miss {
    /// The call is over.
    End(CallError),
    /// Certainly without effect: the next endpoint may be asked.
    Next {
        why: String,
        /// Whether the endpoint answered, and may serve in a moment.
        waiting_helps: bool,
    },
}

/// An equal part of the time until the deadline.
fn share(deadline: Instant, parts: usize) -> Duration {
    let left = deadline.saturating_duration_since(Instant::now());
    left / u32::try_from(parts).unwrap_or(u32::MAX).max(1)
}

/// A server's words, or what happened to the connection.
pub(crate) fn describe(status: &Status) -> String {
    if std::error::Error::source(status).is_some() {
        with_causes(status)
    } else if status.message().is_empty() {
        status.code().description().to_owned()
    } else {
        status.message().to_owned()
    }
}

pub(crate) fn kv(channel: Channel) -> KvClient<Channel> {
    KvClient::new(channel).max_decoding_message_size(MAX_REPLY_BYTES)
}

fn maintenance(channel: Channel) -> MaintenanceClient<Channel> {
    MaintenanceClient::new(channel).max_decoding_message_size(MAX_REPLY_BYTES)
}
