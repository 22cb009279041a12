//! `etcdserverpb.Maintenance`: what an operator asks of one member.
//!
//! There is nothing to defragment, so that defragmenting succeeds at once; no alarm is ever raised
//! yet, so that the list is empty and taking one back does nothing.

use quorate::Consistency;
use quorate_kv::Revision;
use quorate_proto::etcdserverpb as pb;
use quorate_proto::etcdserverpb::alarm_request::AlarmAction;
use quorate_proto::etcdserverpb::maintenance_server::Maintenance;
use tokio_stream::Empty;
use tonic::{Request, Response, Status};

use crate::api_error::ApiError;
use crate::backend::{Backend, Shared};
use crate::version;

/// The service.
#[derive(Debug)]
pub(crate) struct MaintenanceService<B> {
    context: Shared<B>,
}

impl<B: Backend> MaintenanceService<B> {
    pub(crate) const fn new(context: Shared<B>) -> Self {
        Self { context }
    }

    /// What this member is, from what it holds itself.
    pub(crate) async fn status(&self) -> Result<pb::StatusResponse, ApiError> {
        self.context.check_serving()?;
        let stats = self.context.stats(Consistency::Local).await?;
        let standing = self.context.backend.standing();
        let bytes = i64::try_from(stats.bytes).unwrap_or(i64::MAX);
        let errors = match standing.leader {
            Some(_) => Vec::new(),
            None => core::iter::once(ApiError::NoLeader.text().into_owned())
                .chain(self.context.backend.waiting_for())
                .collect(),
        };
        Ok(pb::StatusResponse {
            header: self.context.header(stats.revision),
            version: version::ETCD_SERVER.to_owned(),
            db_size: bytes,
            leader: standing.leader.unwrap_or_default(),
            raft_index: standing.commit_index,
            raft_term: standing.term,
            raft_applied_index: standing.applied_index,
            errors,
            db_size_in_use: bytes,
            is_learner: self.context.backend.is_learner(),
            storage_version: String::new(),
            db_size_quota: 0,
            downgrade_info: None,
        })
    }

    /// The alarms, of which there are none.
    pub(crate) async fn alarm(
        &self,
        request: pb::AlarmRequest,
    ) -> Result<pb::AlarmResponse, ApiError> {
        self.context.check_serving()?;
        match AlarmAction::try_from(request.action) {
            Ok(AlarmAction::Get | AlarmAction::Deactivate) => {
                let stats = self.context.stats(Consistency::Linearizable).await?;
                let header = self.context.header(stats.revision);
                Ok(pb::AlarmResponse { header, alarms: Vec::new() })
            }
            Ok(AlarmAction::Activate) => Err(ApiError::NotThereYet { what: "raising an alarm" }),
            Err(_) => Err(ApiError::UnknownEnum { field: "alarm.action", value: request.action }),
        }
    }

    /// A digest of the store at a revision, for comparing members.
    pub(crate) async fn hash_kv(
        &self,
        request: pb::HashKvRequest,
    ) -> Result<pb::HashKvResponse, ApiError> {
        self.context.check_serving()?;
        let digest = self.context.digest(Revision(request.revision)).await?;
        Ok(pb::HashKvResponse {
            header: self.context.header(digest.revision),
            // etcd's hash has 32 bits, of which any will do.
            hash: fold(digest.hash),
            // etcd's mark of "never compacted".
            compact_revision: digest.compact_revision.map_or(-1, |revision| revision.get()),
            hash_revision: digest.through.get(),
        })
    }
}

/// Both halves of a digest in one.
fn fold(digest: u64) -> u32 {
    let bytes = digest.to_le_bytes();
    let [a, b, c, d, e, f, g, h] = bytes;
    u32::from_le_bytes([a, b, c, d]) ^ u32::from_le_bytes([e, f, g, h])
}

#[tonic::async_trait]
impl<B: Backend> Maintenance for MaintenanceService<B> {
    type SnapshotStream = Empty<Result<pb::SnapshotResponse, Status>>;

    async fn alarm(
        &self,
        request: Request<pb::AlarmRequest>,
    ) -> Result<Response<pb::AlarmResponse>, Status> {
        Ok(Response::new(Self::alarm(self, request.into_inner()).await?))
    }

    async fn status(
        &self,
        _request: Request<pb::StatusRequest>,
    ) -> Result<Response<pb::StatusResponse>, Status> {
        Ok(Response::new(Self::status(self).await?))
    }

    async fn defragment(
        &self,
        _request: Request<pb::DefragmentRequest>,
    ) -> Result<Response<pb::DefragmentResponse>, Status> {
        self.context.check_serving()?;
        // etcd's answer has no header either.
        Ok(Response::new(pb::DefragmentResponse { header: None }))
    }

    async fn hash(
        &self,
        _request: Request<pb::HashRequest>,
    ) -> Result<Response<pb::HashResponse>, Status> {
        let hash = Self::hash_kv(self, pb::HashKvRequest { revision: 0 }).await?;
        Ok(Response::new(pb::HashResponse { header: hash.header, hash: hash.hash }))
    }

    async fn hash_kv(
        &self,
        request: Request<pb::HashKvRequest>,
    ) -> Result<Response<pb::HashKvResponse>, Status> {
        Ok(Response::new(Self::hash_kv(self, request.into_inner()).await?))
    }

    async fn snapshot(
        &self,
        _request: Request<pb::SnapshotRequest>,
    ) -> Result<Response<Self::SnapshotStream>, Status> {
        Err(ApiError::NotThereYet { what: "snapshot" }.into())
    }

    async fn move_leader(
        &self,
        request: Request<pb::MoveLeaderRequest>,
    ) -> Result<Response<pb::MoveLeaderResponse>, Status> {
        self.context.check_serving()?;
        let target = request.into_inner().target_id;
        if self.context.backend.standing().leader == Some(target) {
            // The target leads already; etcd's answer to that has no header.
            return Ok(Response::new(pb::MoveLeaderResponse { header: None }));
        }
        Err(ApiError::NotThereYet { what: "moving the leader" }.into())
    }

    async fn downgrade(
        &self,
        _request: Request<pb::DowngradeRequest>,
    ) -> Result<Response<pb::DowngradeResponse>, Status> {
        Err(ApiError::NotThereYet { what: "downgrade" }.into())
    }
}
