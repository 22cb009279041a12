//! `etcdserverpb.Watch`: not there yet, and says so.

use quorate_proto::etcdserverpb as pb;
use quorate_proto::etcdserverpb::watch_server::Watch;
use tokio_stream::Empty;
use tonic::{Request, Response, Status, Streaming};

use crate::api_error::ApiError;

/// Answers every call that it is not there yet.
#[derive(Debug)]
pub(crate) struct WatchService;

#[tonic::async_trait]
impl Watch for WatchService {
    type WatchStream = Empty<Result<pb::WatchResponse, Status>>;

    async fn watch(
        &self,
        _requests: Request<Streaming<pb::WatchRequest>>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        Err(ApiError::NotThereYet { what: "watch" }.into())
    }
}
