//! `etcdserverpb.KV`: reads and writes of keys.
//!
//! The functions on [`KvService`] take and give plain messages and know nothing of the gRPC stack;
//! the trait of the generated code, at the end, only hands over. Whatever stack carries Put, Range
//! and Txn calls the same functions.
//!
//! A write is checked before it is proposed: what is wrong whatever the state costs the log nothing.

use prost::Message as _;
use quorate::Consistency;
use quorate::sessions::Stamp;
use quorate_kv::{Command, Outcome, Revision};
use quorate_proto::etcdserverpb as pb;
use quorate_proto::etcdserverpb::kv_server::Kv;
use tonic::{Request, Response, Status};

use crate::api_error::ApiError;
use crate::backend::{Backend, Shared};
use crate::convert;
use crate::session::stamp;

/// The service.
#[derive(Debug)]
pub(crate) struct KvService<B> {
    context: Shared<B>,
}

impl<B: Backend> KvService<B> {
    pub(crate) const fn new(context: Shared<B>) -> Self {
        Self { context }
    }

    /// Reads a key or a range.
    pub(crate) async fn range(
        &self,
        request: pb::RangeRequest,
    ) -> Result<pb::RangeResponse, ApiError> {
        self.context.check_serving()?;
        let range = convert::range(&request)?;
        range.validate()?;
        let consistency = consistency(request.serializable);
        let reply = self.context.read_range(range, consistency).await?;
        Ok(convert::range_reply(self.context.header(reply.revision), &reply))
    }

    /// Writes a key.
    pub(crate) async fn put(
        &self,
        request: pb::PutRequest,
        stamp: Stamp,
    ) -> Result<pb::PutResponse, ApiError> {
        self.context.check_size(request.encoded_len())?;
        let command = Command::Put(convert::put(&request));
        match self.context.write(command, stamp).await? {
            (revision, Outcome::Put(reply)) => {
                Ok(convert::put_reply(self.context.header(revision), &reply))
            }
            (_, other) => Err(mismatch("a put", &other)),
        }
    }

    /// Deletes a key or a range.
    pub(crate) async fn delete_range(
        &self,
        request: pb::DeleteRangeRequest,
        stamp: Stamp,
    ) -> Result<pb::DeleteRangeResponse, ApiError> {
        self.context.check_size(request.encoded_len())?;
        let command = Command::DeleteRange(convert::delete_range(&request));
        match self.context.write(command, stamp).await? {
            (revision, Outcome::DeleteRange(reply)) => {
                Ok(convert::delete_range_reply(self.context.header(revision), &reply))
            }
            (_, other) => Err(mismatch("a deletion", &other)),
        }
    }

    /// Carries out a transaction; one that only reads takes the same way.
    pub(crate) async fn txn(
        &self,
        request: pb::TxnRequest,
        stamp: Stamp,
    ) -> Result<pb::TxnResponse, ApiError> {
        self.context.check_size(request.encoded_len())?;
        let txn = convert::txn(&request)?;
        match self.context.write(Command::Txn(txn), stamp).await? {
            (revision, Outcome::Txn(reply)) => {
                Ok(convert::txn_reply(self.context.header(revision), reply))
            }
            (_, other) => Err(mismatch("a transaction", &other)),
        }
    }

    /// Gives up the history before a revision. The space is free when the answer comes, so that
    /// there is nothing more to wait for when a client wants to.
    pub(crate) async fn compact(
        &self,
        request: pb::CompactionRequest,
    ) -> Result<pb::CompactionResponse, ApiError> {
        let command = Command::Compact(Revision(request.revision));
        match self.context.write(command, Stamp::None).await? {
            (revision, Outcome::Compact) => {
                Ok(pb::CompactionResponse { header: self.context.header(revision) })
            }
            (_, other) => Err(mismatch("a compaction", &other)),
        }
    }
}

/// What a read asks for by its `serializable` flag.
const fn consistency(serializable: bool) -> Consistency {
    if serializable { Consistency::Local } else { Consistency::Linearizable }
}

/// The store answered a command with another command's outcome, which would be a fault in it.
fn mismatch(asked: &'static str, got: &Outcome) -> ApiError {
    tracing::error!(asked, ?got, "the store answered another command than was asked");
    ApiError::Internal { what: "the store answered another command than was asked" }
}

#[tonic::async_trait]
impl<B: Backend> Kv for KvService<B> {
    async fn range(
        &self,
        request: Request<pb::RangeRequest>,
    ) -> Result<Response<pb::RangeResponse>, Status> {
        Ok(Response::new(Self::range(self, request.into_inner()).await?))
    }

    async fn put(
        &self,
        request: Request<pb::PutRequest>,
    ) -> Result<Response<pb::PutResponse>, Status> {
        let stamp = stamp(request.metadata())?;
        Ok(Response::new(Self::put(self, request.into_inner(), stamp).await?))
    }

    async fn delete_range(
        &self,
        request: Request<pb::DeleteRangeRequest>,
    ) -> Result<Response<pb::DeleteRangeResponse>, Status> {
        let stamp = stamp(request.metadata())?;
        Ok(Response::new(Self::delete_range(self, request.into_inner(), stamp).await?))
    }

    async fn txn(
        &self,
        request: Request<pb::TxnRequest>,
    ) -> Result<Response<pb::TxnResponse>, Status> {
        let stamp = stamp(request.metadata())?;
        Ok(Response::new(Self::txn(self, request.into_inner(), stamp).await?))
    }

    async fn compact(
        &self,
        request: Request<pb::CompactionRequest>,
    ) -> Result<Response<pb::CompactionResponse>, Status> {
        Ok(Response::new(Self::compact(self, request.into_inner()).await?))
    }
}
