//! `etcdserverpb.Maintenance`: what an operator asks of one member.
//!
//! There is nothing to defragment, so that defragmenting succeeds at once. Alarms are part of the
//! replicated store: all members refuse alike, and from the same entry on.

use quorate::Consistency;
use quorate_kv::{Alarm, AlarmChange, AlarmKind, Command, Outcome, Revision};
use quorate_proto::etcdserverpb as pb;
use quorate_proto::etcdserverpb::AlarmType;
use quorate_proto::etcdserverpb::alarm_request::AlarmAction;
use quorate_proto::etcdserverpb::maintenance_server::Maintenance;
use tonic::{Request, Response, Status};

use crate::api_error::ApiError;
use crate::backend::{Backend, Shared};
use crate::snapshot::{SnapshotStream, Snapshots};
use crate::{pages, version};

/// The service.
#[derive(Debug)]
pub(crate) struct MaintenanceService<B> {
    context: Shared<B>,
    snapshots: Snapshots,
}

impl<B: Backend> MaintenanceService<B> {
    pub(crate) fn new(context: Shared<B>) -> Self {
        Self { context, snapshots: Snapshots::default() }
    }

    /// What this member is, from what it holds itself.
    pub(crate) async fn status(&self) -> Result<pb::StatusResponse, ApiError> {
        self.context.check_serving()?;
        let stats = self.context.stats(Consistency::Local).await?;
        let standing = self.context.backend.standing();
        let bytes = i64::try_from(stats.bytes).unwrap_or(i64::MAX);
        let mut errors = match standing.leader {
            Some(_) => Vec::new(),
            None => core::iter::once(ApiError::NoLeader.text().into_owned())
                .chain(self.context.backend.waiting_for())
                .collect(),
        };
        let (alarms, _) = self.context.alarms(Consistency::Local).await?;
        errors.extend(alarms.iter().map(|alarm| {
            format!("memberID:{} alarm:{}", alarm.member, pages::alarm_name(alarm.kind))
        }));
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
            db_size_quota: i64::try_from(self.context.quota_bytes).unwrap_or(i64::MAX),
            downgrade_info: None,
        })
    }

    /// Shows, raises or takes back alarms. Whose alarm it is, the client says.
    pub(crate) async fn alarm(
        &self,
        request: pb::AlarmRequest,
    ) -> Result<pb::AlarmResponse, ApiError> {
        self.context.check_serving()?;
        let unknown = |field, value| ApiError::UnknownEnum { field, value };
        let action = AlarmAction::try_from(request.action)
            .map_err(|_| unknown("alarm.action", request.action))?;
        let kind = match AlarmType::try_from(request.alarm) {
            Ok(AlarmType::None) => None,
            Ok(AlarmType::Nospace) => Some(AlarmKind::NoSpace),
            Ok(AlarmType::Corrupt) => Some(AlarmKind::Corrupt),
            Err(_) => return Err(unknown("alarm.alarm", request.alarm)),
        };
        let alarm = kind.map(|kind| Alarm { kind, member: request.member_id });
        let change = match (action, alarm) {
            (AlarmAction::Activate, Some(alarm)) => Some(AlarmChange::Raise(alarm)),
            (AlarmAction::Deactivate, Some(alarm)) => Some(AlarmChange::Clear(alarm)),
            _ => None,
        };
        let (revision, alarms) = if let Some(change) = change {
            let reply = self.context.backend.call(Command::Alarm(change)).await?;
            match reply.result? {
                Outcome::Alarms(alarms) => (reply.revision, alarms),
                _ => return Err(ApiError::Internal { what: "an alarm was answered otherwise" }),
            }
        } else {
            let (mut alarms, revision) = self.context.alarms(Consistency::Linearizable).await?;
            // A change of no kind of alarm changes and shows none.
            let shows = |alarm: &Alarm| {
                action == AlarmAction::Get && kind.is_none_or(|kind| alarm.kind == kind)
            };
            alarms.retain(shows);
            (revision, alarms)
        };
        let member = |alarm: &Alarm| pb::AlarmMember {
            member_id: alarm.member,
            alarm: i32::from(alarm.kind.number()),
        };
        let alarms = alarms.iter().map(member).collect();
        Ok(pb::AlarmResponse { header: self.context.header(revision), alarms })
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
            hash: digest.folded(),
            // etcd's mark of "never compacted".
            compact_revision: digest.compact_revision.map_or(-1, |revision| revision.get()),
            hash_revision: digest.through.get(),
        })
    }
}

#[tonic::async_trait]
impl<B: Backend> Maintenance for MaintenanceService<B> {
    type SnapshotStream = SnapshotStream;

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
        Ok(Response::new(self.snapshots.open(&self.context).await?))
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
