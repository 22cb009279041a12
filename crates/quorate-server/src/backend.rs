//! What the services need of the node below them.
//!
//! [`Backend`] is the node in production. It is a trait because some ends of a call (unknown after
//! a lost connection, refused for want of a leader) come about on a real node only by luck, and
//! every one of them must reach the client as the right code and text.

use std::sync::Arc;

use quorate::sessions::{SessionRequest, Stamp};
use quorate::{CallError, Consistency, Refusal, SessionId};
use quorate_kv::{
    Alarm, Answer, Command, Digest, Outcome, Query, Range, RangeReply, Reply, Revision, Stats, View,
};
use quorate_proto::etcdserverpb as pb;

use crate::api_error::ApiError;
use crate::budget::Budget;
use crate::metrics::Metrics;

/// A node, as far as the services see it.
pub(crate) trait Backend: Send + Sync + 'static {
    /// Proposes a command and waits for its reply.
    fn call(&self, command: Command) -> impl Future<Output = Result<Reply, CallError>> + Send;

    /// Proposes a command of a session.
    fn call_as(
        &self,
        command: Command,
        stamp: Stamp,
    ) -> impl Future<Output = Result<Reply, CallError>> + Send;

    /// Opens, keeps alive or closes a session.
    fn request_session(
        &self,
        session: SessionId,
        request: SessionRequest,
    ) -> impl Future<Output = Result<SessionId, CallError>> + Send;

    /// Asks the store.
    fn read(
        &self,
        query: Query,
        consistency: Consistency,
    ) -> impl Future<Output = Result<Answer, Refusal>> + Send;

    /// What the node is at this moment; asked for every reply, so it costs next to nothing.
    fn standing(&self) -> Standing;

    /// Whether the node receives the log without having a vote.
    fn is_learner(&self) -> bool;

    /// Who belongs to the cluster.
    fn members(&self) -> Vec<pb::Member>;

    /// Why the node serves nobody, if so: it belongs to no cluster yet, or it has stopped.
    fn refusal(&self) -> Option<Refusal>;

    /// Whom the node waits for while it has no leader, if it knows, as a sentence.
    fn waiting_for(&self) -> Option<String>;
}

/// What a node is at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) cluster_id: u64,
    pub(crate) member_id: u64,
    /// Never goes back: clients compare it to find stale members.
    pub(crate) term: u64,
    /// The leader of the term, where known.
    pub(crate) leader: Option<u64>,
    pub(crate) commit_index: u64,
    pub(crate) applied_index: u64,
}

/// What the services share.
#[derive(Debug)]
pub(crate) struct Context<B> {
    pub(crate) backend: B,
    /// Largest request that is proposed.
    pub(crate) max_request_bytes: usize,
    /// Bytes that the store may have; zero without a quota.
    pub(crate) quota_bytes: u64,
    /// What clients may have half sent.
    pub(crate) incoming: Budget,
    pub(crate) metrics: Metrics,
}

/// The services' handle of what they share.
pub(crate) type Shared<B> = Arc<Context<B>>;

impl<B: Backend> Context<B> {
    /// The header of a reply that has a revision.
    pub(crate) fn header(&self, revision: Revision) -> Option<pb::ResponseHeader> {
        let standing = self.backend.standing();
        Some(pb::ResponseHeader {
            cluster_id: standing.cluster_id,
            member_id: standing.member_id,
            revision: revision.get(),
            raft_term: standing.term,
        })
    }

    /// The header of a reply that has none.
    pub(crate) fn bare_header(&self) -> Option<pb::ResponseHeader> {
        self.header(Revision::ZERO)
    }

    /// Checks and proposes a command.
    pub(crate) async fn write(
        &self,
        command: Command,
        stamp: Stamp,
    ) -> Result<(Revision, Outcome), ApiError> {
        self.check_serving()?;
        command.validate()?;
        let reply = match stamp {
            Stamp::None => self.backend.call(command).await?,
            stamp => self.backend.call_as(command, stamp).await?,
        };
        Ok((reply.revision, reply.result?))
    }

    /// Reads a range of keys.
    pub(crate) async fn read_range(
        &self,
        range: Range,
        consistency: Consistency,
    ) -> Result<RangeReply, ApiError> {
        match self.backend.read(Query::Range(range), consistency).await? {
            Answer::Range(reply) => Ok(reply?),
            other => Err(mismatch("a range", &other)),
        }
    }

    /// Figures of the store.
    pub(crate) async fn stats(&self, consistency: Consistency) -> Result<Stats, ApiError> {
        match self.backend.read(Query::Stats, consistency).await? {
            Answer::Stats(stats) => Ok(stats),
            other => Err(mismatch("figures", &other)),
        }
    }

    /// The alarms that are raised, with the revision of the store.
    pub(crate) async fn alarms(
        &self,
        consistency: Consistency,
    ) -> Result<(Vec<Alarm>, Revision), ApiError> {
        match self.backend.read(Query::Alarms, consistency).await? {
            Answer::Alarms(alarms, revision) => Ok((alarms, revision)),
            other => Err(mismatch("alarms", &other)),
        }
    }

    /// Returns once this member knows everything that was done before the call.
    pub(crate) async fn barrier(&self) -> Result<(), ApiError> {
        self.stats(Consistency::Linearizable).await.map(|_| ())
    }

    /// A digest of what this member holds, made where nobody waits for it.
    pub(crate) async fn digest(&self, through: Revision) -> Result<Digest, ApiError> {
        let view = self.view().await?;
        let digest = tokio::task::spawn_blocking(move || view.digest(through)).await;
        digest
            .map_err(|_| ApiError::Internal { what: "the digest was not finished" })?
            .map_err(Into::into)
    }

    /// What this member holds, to be read where nobody waits for it.
    pub(crate) async fn view(&self) -> Result<Box<View>, ApiError> {
        match self.backend.read(Query::View, Consistency::Local).await? {
            Answer::View(view) => Ok(view),
            other => Err(mismatch("a view", &other)),
        }
    }

    /// Refuses everything while the node belongs to no cluster or has stopped.
    pub(crate) fn check_serving(&self) -> Result<(), ApiError> {
        self.backend.refusal().map_or(Ok(()), |refusal| Err(refusal.into()))
    }

    /// Refuses what is too large to be proposed, before it is proposed.
    pub(crate) const fn check_size(&self, encoded_bytes: usize) -> Result<(), ApiError> {
        if encoded_bytes > self.max_request_bytes { Err(ApiError::RequestTooLarge) } else { Ok(()) }
    }
}

/// The store answered another question than was asked, which would be a fault in it.
fn mismatch(asked: &'static str, got: &Answer) -> ApiError {
    tracing::error!(asked, ?got, "the store answered another question than was asked");
    ApiError::Internal { what: "the store answered another question than was asked" }
}
