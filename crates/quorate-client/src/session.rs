//! Writes that are carried out exactly once.
//!
//! A session numbers its writes. One whose outcome is not known is sent again with the same number,
//! over all endpoints, until it is answered or its time is up; the cluster recognises what it
//! carried out before and gives the reply of that time.
//!
//! - The session is opened with the first write, or when the caller opens one, kept alive while a
//!   handle is held, and closed after the last.
//! - A write ends as carried out, as refused when no attempt can have been carried out, as unknown
//!   only when its time is up, or as expired. Another session is opened only when the caller says
//!   so: in a new one, a write of the old could be carried out again.
//! - Pauses between rounds over the endpoints grow and are random, so that many clients at once do
//!   not become a storm.

mod keeper;

use std::collections::BTreeSet;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quorate_proto::etcdserverpb as pb;
use quorate_proto::quoratepb as qpb;
use quorate_proto::quoratepb::quorate_client::QuorateClient;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout_at};
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status};

use crate::client::{Client, MAX_REPLY_BYTES, describe, kv};
use crate::error::{Attempt, CallError, silence, with_causes};
use crate::outcome::{
    OUTCOME_EXPIRED, OUTCOME_REPLY_LOST, Verdict, judge, outcome_of, says_refused,
};

/// Metadata by which a write says which one of its session it is.
const SESSION_METADATA: &str = "quorate-session";
/// Writes of one session that may be under way, from the first to the last that is open: what the
/// cluster keeps the replies of.
const WINDOW: u32 = 4096;
/// First and longest pause after a round over all endpoints.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// Times of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionOptions {
    /// How long the session lives in the cluster when nothing is heard of it.
    pub time_to_live: Duration,
    /// How long a write may take, all attempts together.
    pub deadline: Duration,
    /// How long one attempt may take before the next endpoint is asked.
    pub attempt: Duration,
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self {
            time_to_live: Duration::from_secs(600),
            deadline: Duration::from_secs(30),
            attempt: Duration::from_secs(5),
        }
    }
}

impl SessionOptions {
    /// Sets how long the session lives in the cluster when nothing is heard of it.
    #[must_use]
    pub const fn time_to_live(mut self, time: Duration) -> Self {
        self.time_to_live = time;
        self
    }

    /// Sets how long a write may take, all attempts together.
    #[must_use]
    pub const fn deadline(mut self, time: Duration) -> Self {
        self.deadline = time;
        self
    }

    /// Sets how long one attempt may take before the next endpoint is asked.
    #[must_use]
    pub const fn attempt(mut self, time: Duration) -> Self {
        self.attempt = time;
        self
    }
}

/// A session: writes through it are carried out exactly once. Needs a Quorate cluster.
///
/// Clones share it, and any number of tasks may write at the same time.
///
/// ```no_run
/// use quorate_client::{Client, Options};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::new(["127.0.0.1:2379", "127.0.0.1:22379"], Options::default())?;
/// let session = client.session();
/// session.put("greeting", "hello").await?;
/// let length = session.append("log", "one more line\n").await?;
/// let first = session.compare_and_set("leader", None, "me").await?;
/// # let _ = (length, first);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Session {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    client: Client,
    options: SessionOptions,
    place: Arc<Place>,
    /// Tells the keeper that the last handle is gone.
    dropped: Arc<Notify>,
    draws: AtomicU64,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.dropped.notify_one();
    }
}

/// Where the present session stands: none until one is opened. Whoever opens the first one has the
/// keeper begin, which outlives the last handle by looking here.
type Place = tokio::sync::Mutex<Option<Arc<Line>>>;

/// One session and the writes that have a number in it.
#[derive(Debug)]
struct Line {
    id: u64,
    numbers: Mutex<Numbers>,
    /// The lowest number that is waited for has ended.
    moved: Notify,
    is_expired: AtomicBool,
    /// Whether a write was answered since the keeper last looked.
    is_fresh: AtomicBool,
}

#[derive(Debug, Default)]
struct Numbers {
    last: u32,
    /// Numbers whose callers wait.
    waiting: BTreeSet<u32>,
}

impl Numbers {
    /// No caller waits for a number up to this one.
    fn acknowledged(&self) -> u32 {
        self.waiting.first().map_or(self.last, |lowest| lowest - 1)
    }
}

impl Line {
    fn numbers(&self) -> MutexGuard<'_, Numbers> {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the next number, where the window has room for it; nothing once there are no more.
    fn number(self: &Arc<Self>) -> Option<Result<Numbered, Full>> {
        let mut numbers = self.numbers();
        let sequence = numbers.last.checked_add(1)?;
        if sequence - numbers.acknowledged() > WINDOW {
            return Some(Err(Full));
        }
        numbers.last = sequence;
        numbers.waiting.insert(sequence);
        Some(Ok(Numbered { line: Arc::clone(self), sequence }))
    }
}

/// Too many numbers are waited for.
struct Full;

/// A number, given back when its caller waits no more.
struct Numbered {
    line: Arc<Line>,
    sequence: u32,
}

impl Numbered {
    /// What an attempt says of its session.
    fn stamp(&self) -> AsciiMetadataValue {
        let acknowledged = self.line.numbers().acknowledged();
        let text = format!("{}.{}.{acknowledged}", self.line.id, self.sequence);
        AsciiMetadataValue::try_from(text).expect("digits and points are ASCII")
    }
}

impl Drop for Numbered {
    fn drop(&mut self) {
        let mut numbers = self.line.numbers();
        let before = numbers.acknowledged();
        numbers.waiting.remove(&self.sequence);
        if numbers.acknowledged() > before {
            drop(numbers);
            self.line.moved.notify_waiters();
        }
    }
}

impl Session {
    pub(crate) fn new(client: Client, options: SessionOptions) -> Self {
        let (place, dropped) = (Arc::default(), Arc::default());
        let draws = AtomicU64::new(RandomState::new().build_hasher().finish());
        Self { inner: Arc::new(Inner { client, options, place, dropped, draws }) }
    }

    /// Reads one key, as [`Client::get`] does: reading twice changes nothing.
    ///
    /// # Errors
    ///
    /// As [`Client::get`].
    pub async fn get(&self, key: impl Into<Vec<u8>>) -> Result<Option<crate::KeyValue>, CallError> {
        self.inner.client.get(key).await
    }

    /// Sets a key; gives the revision.
    ///
    /// # Errors
    ///
    /// [`CallError::Refused`] and [`CallError::Unserved`] when it was certainly not carried out,
    /// [`CallError::Unknown`] when the time was up and nobody can say, [`CallError::Expired`] when
    /// the session is gone: [`Session::reopen`] then.
    pub async fn put(
        &self,
        key: impl Into<Vec<u8>>,
        value: impl Into<Vec<u8>>,
    ) -> Result<i64, CallError> {
        let (key, value) = (key.into().into(), value.into().into());
        let reply = self.put_request(pb::PutRequest { key, value, ..Default::default() }).await?;
        Ok(reply.header.unwrap_or_default().revision)
    }

    /// Adds to the end of a value, as one change; gives its length after it.
    ///
    /// # Errors
    ///
    /// As [`Session::put`].
    pub async fn append(
        &self,
        key: impl Into<Vec<u8>>,
        value: impl Into<Vec<u8>>,
    ) -> Result<u64, CallError> {
        let request = qpb::AppendRequest { key: key.into().into(), value: value.into().into() };
        let send = |channel: Channel, request: Request<qpb::AppendRequest>| async move {
            quorate(channel).append(request).await
        };
        Ok(self.write(request, send).await?.length)
    }

    /// Deletes a key; says whether there was one.
    ///
    /// # Errors
    ///
    /// As [`Session::put`].
    pub async fn delete(&self, key: impl Into<Vec<u8>>) -> Result<bool, CallError> {
        let key = key.into().into();
        let request = pb::DeleteRangeRequest { key, ..Default::default() };
        Ok(self.delete_range(request).await?.deleted > 0)
    }

    /// Sets a key that holds `expected`, or that is absent where nothing is expected; says whether
    /// it did.
    ///
    /// # Errors
    ///
    /// As [`Session::put`].
    pub async fn compare_and_set(
        &self,
        key: impl Into<Vec<u8>>,
        expected: Option<&[u8]>,
        value: impl Into<Vec<u8>>,
    ) -> Result<bool, CallError> {
        use pb::compare::{CompareTarget, TargetUnion};
        let key: Vec<u8> = key.into();
        let (target, union) = match expected {
            Some(expected) => (CompareTarget::Value, TargetUnion::Value(expected.to_vec().into())),
            None => (CompareTarget::Version, TargetUnion::Version(0)),
        };
        let compare = pb::Compare {
            target: target.into(),
            key: key.clone().into(),
            target_union: Some(union),
            ..Default::default()
        };
        let put =
            pb::PutRequest { key: key.into(), value: value.into().into(), ..Default::default() };
        let put = pb::RequestOp { request: Some(pb::request_op::Request::RequestPut(put)) };
        let txn =
            pb::TxnRequest { compare: vec![compare], success: vec![put], ..Default::default() };
        Ok(self.txn(txn).await?.succeeded)
    }

    /// As [`Session::put`], with all that a put may say.
    ///
    /// # Errors
    ///
    /// As [`Session::put`].
    pub async fn put_request(&self, request: pb::PutRequest) -> Result<pb::PutResponse, CallError> {
        let send = |channel: Channel, request: Request<pb::PutRequest>| async move {
            kv(channel).put(request).await
        };
        self.write(request, send).await
    }

    /// Deletes a key or a range.
    ///
    /// # Errors
    ///
    /// As [`Session::put`].
    pub async fn delete_range(
        &self,
        request: pb::DeleteRangeRequest,
    ) -> Result<pb::DeleteRangeResponse, CallError> {
        let send = |channel: Channel, request: Request<pb::DeleteRangeRequest>| async move {
            kv(channel).delete_range(request).await
        };
        self.write(request, send).await
    }

    /// Carries out a transaction.
    ///
    /// # Errors
    ///
    /// As [`Session::put`].
    pub async fn txn(&self, request: pb::TxnRequest) -> Result<pb::TxnResponse, CallError> {
        let send = |channel: Channel, request: Request<pb::TxnRequest>| async move {
            kv(channel).txn(request).await
        };
        self.write(request, send).await
    }

    /// Opens another session in place of one that expired. Writes that ended as expired are not
    /// part of it: whoever sends them again must know that they may be carried out twice.
    ///
    /// # Errors
    ///
    /// As [`Session::put`].
    pub async fn reopen(&self) -> Result<(), CallError> {
        let until = Instant::now() + self.inner.options.deadline;
        let mut place = self.inner.place.lock().await;
        self.begin(&mut place, until).await.map(drop)
    }

    /// Sends a write until its end is known.
    async fn write<Q, R, F>(
        &self,
        message: Q,
        send: impl Fn(Channel, Request<Q>) -> F,
    ) -> Result<R, CallError>
    where
        Q: Clone,
        F: Future<Output = Result<Response<R>, Status>>,
    {
        let until = Instant::now() + self.inner.options.deadline;
        let line = self.line(until).await?;
        let number = number(&line, until).await?;
        let stamped = |channel| {
            let mut request = Request::new(message.clone());
            request.metadata_mut().insert(SESSION_METADATA, number.stamp());
            send(channel, request)
        };
        let ended = self.inner.insist(until, stamped).await;
        match &ended {
            Ok(_) => line.is_fresh.store(true, Ordering::Relaxed),
            Err(CallError::Expired { .. }) => line.is_expired.store(true, Ordering::Relaxed),
            Err(_) => {}
        }
        ended
    }

    /// The session, opened if there is none.
    async fn line(&self, until: Instant) -> Result<Arc<Line>, CallError> {
        let mut place = self.inner.place.lock().await;
        match &*place {
            Some(line) => Ok(Arc::clone(line)),
            None => self.begin(&mut place, until).await,
        }
    }

    /// Opens a session; the first one in its place has it kept from there on.
    async fn begin(
        &self,
        place: &mut Option<Arc<Line>>,
        until: Instant,
    ) -> Result<Arc<Line>, CallError> {
        let line = self.inner.open(until).await?;
        if place.replace(Arc::clone(&line)).is_none() {
            tokio::spawn(keeper::keep(&self.inner));
        }
        Ok(line)
    }
}

/// Takes a number, and waits for room where too many writes are open.
async fn number(line: &Arc<Line>, until: Instant) -> Result<Numbered, CallError> {
    loop {
        // Registered before the look, so that what ends in between is not missed.
        let mut moved = std::pin::pin!(line.moved.notified());
        moved.as_mut().enable();
        if line.is_expired.load(Ordering::Relaxed) {
            return Err(CallError::Expired { maybe_applied: false });
        }
        match line.number() {
            Some(Ok(number)) => return Ok(number),
            Some(Err(Full)) if timeout_at(until, moved).await.is_ok() => {}
            Some(Err(Full)) => {
                let why = "too many writes of the session are open".to_owned();
                let endpoint = "all".to_owned();
                return Err(CallError::Unserved { attempts: vec![Attempt { endpoint, why }] });
            }
            // Four billion writes later.
            None => return Err(CallError::Expired { maybe_applied: false }),
        }
    }
}

impl Inner {
    async fn open(&self, until: Instant) -> Result<Arc<Line>, CallError> {
        let ttl_ms = u64::try_from(self.options.time_to_live.as_millis()).unwrap_or(u64::MAX);
        let send = |channel| async move {
            quorate(channel).open_session(qpb::OpenSessionRequest { ttl_ms }).await
        };
        let opened = self.insist(until, send).await?;
        Ok(Arc::new(Line {
            id: opened.session,
            numbers: Mutex::default(),
            moved: Notify::new(),
            is_expired: AtomicBool::new(false),
            is_fresh: AtomicBool::new(true),
        }))
    }

    /// Sends a request to one endpoint after the other until its end is certain or the time is up.
    async fn insist<R, F>(
        &self,
        until: Instant,
        send: impl Fn(Channel) -> F,
    ) -> Result<R, CallError>
    where
        F: Future<Output = Result<Response<R>, Status>>,
    {
        let endpoints = self.client.each();
        let mut pause = PAUSES.0;
        // The last reason to think that it may have been carried out.
        let mut doubt = None;
        loop {
            let mut attempts = Vec::new();
            let first = self.client.current();
            for turn in 0..endpoints.len() {
                let at = (first + turn) % endpoints.len();
                let endpoint = endpoints[at].name().to_owned();
                let limit = until.min(Instant::now() + self.options.attempt);
                let why = match self.attempt(at, limit, &send).await {
                    Ok(reply) => {
                        self.client.settle_on(at);
                        return Ok(reply);
                    }
                    Err(Miss::Final(status)) => {
                        return Err(match doubt {
                            None => CallError::Refused { endpoint, status },
                            Some((endpoint, why, status)) => {
                                CallError::Unknown { endpoint, why, status }
                            }
                        });
                    }
                    Err(Miss::Expired) => {
                        return Err(CallError::Expired { maybe_applied: doubt.is_some() });
                    }
                    Err(Miss::ReplyLost) => return Err(CallError::ReplyLost { endpoint }),
                    Err(Miss::Without(why)) => why,
                    Err(Miss::Unknown(why, status)) => {
                        doubt = Some((endpoint.clone(), why.clone(), status));
                        why
                    }
                };
                attempts.push(Attempt { endpoint, why });
                if Instant::now() >= until {
                    break;
                }
            }
            let again = Instant::now() + self.draw(pause);
            pause = (pause * 2).min(PAUSES.1);
            if again >= until {
                return Err(match doubt {
                    None => CallError::Unserved { attempts },
                    Some((endpoint, why, status)) => CallError::Unknown { endpoint, why, status },
                });
            }
            sleep_until(again).await;
        }
    }

    async fn attempt<R, F>(
        &self,
        at: usize,
        until: Instant,
        send: &impl Fn(Channel) -> F,
    ) -> Result<R, Miss>
    where
        F: Future<Output = Result<Response<R>, Status>>,
    {
        let endpoint = &self.client.each()[at];
        let began = Instant::now();
        let channel = match timeout_at(until, endpoint.channel()).await {
            Ok(Ok(channel)) => channel,
            Ok(Err(why)) => return Err(Miss::Without(why)),
            Err(_) => return Err(Miss::Without(silence(began.elapsed()))),
        };
        let status = match timeout_at(until, send(channel)).await {
            Ok(Ok(reply)) => return Ok(reply.into_inner()),
            Ok(Err(status)) => Box::new(status),
            Err(_) => {
                endpoint.forget();
                return Err(Miss::Unknown(silence(began.elapsed()), None));
            }
        };
        match outcome_of(&status) {
            Some(OUTCOME_EXPIRED) => return Err(Miss::Expired),
            Some(OUTCOME_REPLY_LOST) => return Err(Miss::ReplyLost),
            _ => {}
        }
        // The server has too much to do: worth asking again, unlike a store that is full.
        let is_overloaded = status.code() == Code::ResourceExhausted
            && says_refused(&status)
            && status.message().contains("too many");
        match judge(&status) {
            Verdict::Final if !is_overloaded => Err(Miss::Final(status)),
            Verdict::Final | Verdict::Elsewhere => Err(Miss::Without(status.message().to_owned())),
            Verdict::NotSent => {
                endpoint.forget();
                Err(Miss::Without(with_causes(&*status)))
            }
            Verdict::Unknown => {
                endpoint.forget();
                Err(Miss::Unknown(describe(&status), Some(status)))
            }
        }
    }

    /// A pause from the upper half of a span.
    fn draw(&self, span: Duration) -> Duration {
        let step = 0x9E37_79B9_7F4A_7C15;
        let mut z = self.draws.fetch_add(step, Ordering::Relaxed).wrapping_add(step);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let part = u32::try_from((z ^ (z >> 31)) >> 54).expect("ten bits are left");
        span / 2 + span / 2 * part / 1024
    }
}

/// How an attempt at one endpoint failed.
enum Miss {
    /// No endpoint would carry it out.
    Final(Box<Status>),
    /// The session is gone.
    Expired,
    /// Carried out before; the reply is gone.
    ReplyLost,
    /// This attempt was certainly not carried out.
    Without(String),
    /// It may have been.
    Unknown(String, Option<Box<Status>>),
}

fn quorate(channel: Channel) -> QuorateClient<Channel> {
    QuorateClient::new(channel).max_decoding_message_size(MAX_REPLY_BYTES)
}
