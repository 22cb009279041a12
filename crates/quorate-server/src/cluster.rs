//! `etcdserverpb.Cluster`: who belongs to the cluster. Changing it is not there yet.

use quorate_proto::etcdserverpb as pb;
use quorate_proto::etcdserverpb::cluster_server::Cluster;
use tonic::{Request, Response, Status};

use crate::api_error::ApiError;
use crate::backend::{Backend, Shared};

const NOT_THERE_YET: ApiError = ApiError::NotThereYet { what: "changing the membership" };

/// The service.
#[derive(Debug)]
pub(crate) struct ClusterService<B> {
    context: Shared<B>,
}

impl<B: Backend> ClusterService<B> {
    pub(crate) const fn new(context: Shared<B>) -> Self {
        Self { context }
    }

    /// The members; if asked, as of a moment after the question.
    pub(crate) async fn member_list(
        &self,
        request: pb::MemberListRequest,
    ) -> Result<pb::MemberListResponse, ApiError> {
        self.context.check_serving()?;
        if request.linearizable {
            self.context.barrier().await?;
        }
        let members = self.context.backend.members();
        Ok(pb::MemberListResponse { header: self.context.bare_header(), members })
    }
}

#[tonic::async_trait]
impl<B: Backend> Cluster for ClusterService<B> {
    async fn member_add(
        &self,
        _request: Request<pb::MemberAddRequest>,
    ) -> Result<Response<pb::MemberAddResponse>, Status> {
        Err(NOT_THERE_YET.into())
    }

    async fn member_remove(
        &self,
        _request: Request<pb::MemberRemoveRequest>,
    ) -> Result<Response<pb::MemberRemoveResponse>, Status> {
        Err(NOT_THERE_YET.into())
    }

    async fn member_update(
        &self,
        _request: Request<pb::MemberUpdateRequest>,
    ) -> Result<Response<pb::MemberUpdateResponse>, Status> {
        Err(NOT_THERE_YET.into())
    }

    async fn member_list(
        &self,
        request: Request<pb::MemberListRequest>,
    ) -> Result<Response<pb::MemberListResponse>, Status> {
        Ok(Response::new(Self::member_list(self, request.into_inner()).await?))
    }

    async fn member_promote(
        &self,
        _request: Request<pb::MemberPromoteRequest>,
    ) -> Result<Response<pb::MemberPromoteResponse>, Status> {
        Err(NOT_THERE_YET.into())
    }
}
