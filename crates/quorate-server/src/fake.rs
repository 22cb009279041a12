//! A backend without replication, which fails as it is told.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use quorate::sessions::{SessionRequest, Stamp};
use quorate::{Applying, CallError, Consistency, EntryId, Refusal, SessionId, StateMachine as _};
use quorate_kv::{Answer, Command, KvMachine, Query, Reply};
use quorate_proto::etcdserverpb as pb;
use tokio::sync::watch;

use crate::backend::{Backend, Context, Standing};
use crate::budget::Budget;
use crate::metrics::Metrics;

/// A store in this process.
#[derive(Debug)]
pub(crate) struct Fake {
    pub(crate) machine: Mutex<KvMachine>,
    pub(crate) standing: Mutex<Standing>,
    /// Why it serves nobody.
    pub(crate) refusal: Mutex<Option<Refusal>>,
    /// How the next call ends.
    pub(crate) next_call: Mutex<Option<CallError>>,
    /// How linearizable reads end.
    pub(crate) no_quorum: Mutex<Option<Refusal>>,
    /// Whom the node says that it waits for.
    pub(crate) waiting_for: Mutex<Option<String>>,
    /// What was said of sessions.
    pub(crate) stamps: Mutex<Vec<Stamp>>,
    /// Whether calls wait until this says that they may end.
    pub(crate) holds_calls: watch::Sender<bool>,
    /// Calls that have begun and neither ended nor been given up.
    pub(crate) under_way: AtomicUsize,
}

/// Counts a call for as long as somebody waits for it.
struct UnderWay<'a>(&'a AtomicUsize);

impl<'a> UnderWay<'a> {
    fn begin(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

pub(crate) const STANDING: Standing = Standing {
    cluster_id: 0xc1,
    member_id: 0x0e,
    term: 7,
    leader: Some(0x0e),
    commit_index: 11,
    applied_index: 10,
};

impl Default for Fake {
    fn default() -> Self {
        Self {
            machine: Mutex::default(),
            standing: Mutex::new(STANDING),
            refusal: Mutex::default(),
            next_call: Mutex::default(),
            no_quorum: Mutex::default(),
            waiting_for: Mutex::default(),
            holds_calls: watch::Sender::new(false),
            under_way: AtomicUsize::new(0),
            stamps: Mutex::default(),
        }
    }
}

impl Fake {
    /// What services share over a store in this process.
    pub(crate) fn context() -> Arc<Context<Self>> {
        Arc::new(Context {
            backend: Self::default(),
            max_request_bytes: 1 << 20,
            quota_bytes: 0,
            incoming: Budget::new(1 << 20),
            metrics: Metrics::default(),
        })
    }
}

impl Backend for Fake {
    async fn call(&self, command: Command) -> Result<Reply, CallError> {
        let _under_way = UnderWay::begin(&self.under_way);
        self.holds_calls.subscribe().wait_for(|holds| !holds).await.unwrap();
        if let Some(error) = self.next_call.lock().unwrap().take() {
            return Err(error);
        }
        let at = Applying { id: EntryId::ZERO, application_index: 1, log_time_ms: 0 };
        Ok(self.machine.lock().unwrap().apply(&at, command))
    }

    async fn call_as(&self, command: Command, stamp: Stamp) -> Result<Reply, CallError> {
        self.stamps.lock().unwrap().push(stamp);
        self.call(command).await
    }

    async fn request_session(
        &self,
        session: SessionId,
        request: SessionRequest,
    ) -> Result<SessionId, CallError> {
        self.stamps.lock().unwrap().push(Stamp::Session { session, request });
        if let Some(error) = self.next_call.lock().unwrap().take() {
            return Err(error);
        }
        Ok(if session == SessionId::NONE { SessionId(17) } else { session })
    }

    async fn read(&self, query: Query, consistency: Consistency) -> Result<Answer, Refusal> {
        let refusal = self.no_quorum.lock().unwrap().clone();
        match (consistency, refusal) {
            (Consistency::Linearizable, Some(refusal)) => Err(refusal),
            _ => Ok(self.machine.lock().unwrap().query(query)),
        }
    }

    fn standing(&self) -> Standing {
        *self.standing.lock().unwrap()
    }

    fn is_learner(&self) -> bool {
        false
    }

    fn members(&self) -> Vec<pb::Member> {
        vec![pb::Member { id: 0x0e, name: "n1".to_owned(), ..pb::Member::default() }]
    }

    fn refusal(&self) -> Option<Refusal> {
        self.refusal.lock().unwrap().clone()
    }

    fn waiting_for(&self) -> Option<String> {
        self.waiting_for.lock().unwrap().clone()
    }
}
