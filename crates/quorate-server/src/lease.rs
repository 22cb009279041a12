//! `etcdserverpb.Lease`: not there yet, and says so.

use quorate_proto::etcdserverpb as pb;
use quorate_proto::etcdserverpb::lease_server::Lease;
use tokio_stream::Empty;
use tonic::{Request, Response, Status, Streaming};

use crate::api_error::ApiError;

const NOT_THERE_YET: ApiError = ApiError::NotThereYet { what: "lease" };

/// Answers every call that it is not there yet.
#[derive(Debug)]
pub(crate) struct LeaseService;

#[tonic::async_trait]
impl Lease for LeaseService {
    type LeaseKeepAliveStream = Empty<Result<pb::LeaseKeepAliveResponse, Status>>;

    async fn lease_grant(
        &self,
        _request: Request<pb::LeaseGrantRequest>,
    ) -> Result<Response<pb::LeaseGrantResponse>, Status> {
        Err(NOT_THERE_YET.into())
    }

    async fn lease_revoke(
        &self,
        _request: Request<pb::LeaseRevokeRequest>,
    ) -> Result<Response<pb::LeaseRevokeResponse>, Status> {
        Err(NOT_THERE_YET.into())
    }

    async fn lease_keep_alive(
        &self,
        _requests: Request<Streaming<pb::LeaseKeepAliveRequest>>,
    ) -> Result<Response<Self::LeaseKeepAliveStream>, Status> {
        Err(NOT_THERE_YET.into())
    }

    async fn lease_time_to_live(
        &self,
        _request: Request<pb::LeaseTimeToLiveRequest>,
    ) -> Result<Response<pb::LeaseTimeToLiveResponse>, Status> {
        Err(NOT_THERE_YET.into())
    }

    async fn lease_leases(
        &self,
        _request: Request<pb::LeaseLeasesRequest>,
    ) -> Result<Response<pb::LeaseLeasesResponse>, Status> {
        Err(NOT_THERE_YET.into())
    }
}
