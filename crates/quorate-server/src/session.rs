//! Sessions of remote clients: `quoratepb.Quorate`, and what a write says of its session.
//!
//! A write of a session carries one entry of metadata, [`SESSION_METADATA`], with three numbers:
//! session, sequence and acknowledged sequence, as in `17.5.4`. A client that sends none is served
//! as etcd would serve it, and costs one look at its metadata. The server keeps nothing of a
//! session: any node may be asked, and asked again.

use prost::Message as _;
use quorate::SessionId;
use quorate::sessions::{SessionRequest, Stamp};
use quorate_kv::{Append, Command, Outcome};
use quorate_proto::quoratepb as qpb;
use quorate_proto::quoratepb::quorate_server::Quorate;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};

use crate::api_error::ApiError;
use crate::backend::{Backend, Shared};

/// Metadata by which a write says which one of its session it is.
pub(crate) const SESSION_METADATA: &str = "quorate-session";
/// How long a session lives when its client does not say.
const USUAL_TTL_MS: u64 = 600_000;

/// What a request says of its session.
pub(crate) fn stamp(metadata: &MetadataMap) -> Result<Stamp, ApiError> {
    let Some(value) = metadata.get(SESSION_METADATA) else { return Ok(Stamp::None) };
    value.to_str().ok().and_then(parse).ok_or(ApiError::BadSession)
}

fn parse(text: &str) -> Option<Stamp> {
    let mut numbers = text.split('.');
    let session = SessionId(numbers.next()?.parse().ok()?);
    let sequence = numbers.next()?.parse().ok()?;
    let acknowledged = numbers.next()?.parse().ok()?;
    let is_sound =
        numbers.next().is_none() && session != SessionId::NONE && sequence > acknowledged;
    is_sound.then_some(Stamp::Command { session, sequence, acknowledged })
}

/// The service.
#[derive(Debug)]
pub(crate) struct SessionService<B> {
    context: Shared<B>,
}

impl<B: Backend> SessionService<B> {
    pub(crate) const fn new(context: Shared<B>) -> Self {
        Self { context }
    }

    async fn ask(&self, session: u64, what: SessionRequest) -> Result<qpb::SessionReply, ApiError> {
        self.context.check_serving()?;
        let session = self.context.backend.request_session(SessionId(session), what).await?;
        Ok(qpb::SessionReply { header: self.context.bare_header(), session: session.0 })
    }

    async fn add(
        &self,
        request: &qpb::AppendRequest,
        stamp: Stamp,
    ) -> Result<qpb::AppendReply, ApiError> {
        self.context.check_size(request.encoded_len())?;
        let command = Command::Append(Append::new(&request.key, &request.value));
        match self.context.write(command, stamp).await? {
            (revision, Outcome::Append(reply)) => {
                let header = self.context.header(revision);
                Ok(qpb::AppendReply { header, length: reply.length })
            }
            _ => Err(ApiError::Internal { what: "the store answered another command" }),
        }
    }
}

#[tonic::async_trait]
impl<B: Backend> Quorate for SessionService<B> {
    async fn open_session(
        &self,
        request: Request<qpb::OpenSessionRequest>,
    ) -> Result<Response<qpb::SessionReply>, Status> {
        let ttl_ms = match request.into_inner().ttl_ms {
            0 => USUAL_TTL_MS,
            ttl_ms => ttl_ms,
        };
        Ok(Response::new(self.ask(0, SessionRequest::Open { ttl_ms }).await?))
    }

    async fn keep_session_alive(
        &self,
        request: Request<qpb::SessionRequest>,
    ) -> Result<Response<qpb::SessionReply>, Status> {
        let session = request.into_inner().session;
        Ok(Response::new(self.ask(session, SessionRequest::KeepAlive).await?))
    }

    async fn close_session(
        &self,
        request: Request<qpb::SessionRequest>,
    ) -> Result<Response<qpb::SessionReply>, Status> {
        let session = request.into_inner().session;
        Ok(Response::new(self.ask(session, SessionRequest::Close).await?))
    }

    async fn append(
        &self,
        request: Request<qpb::AppendRequest>,
    ) -> Result<Response<qpb::AppendReply>, Status> {
        let stamp = stamp(request.metadata())?;
        Ok(Response::new(self.add(request.get_ref(), stamp).await?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_three_numbers_or_refused() {
        let command = Stamp::Command { session: SessionId(17), sequence: 5, acknowledged: 4 };
        assert_eq!(parse("17.5.4"), Some(command));
        let wrong = [
            "",
            "17",
            "17.5",
            "17.5.4.3",
            "0.5.4",
            "17.4.4",
            "17.4.5",
            "17.5.-1",
            "a.5.4",
            "17.4294967296.4",
            "17..4",
            " 17.5.4",
        ];
        for text in wrong {
            assert_eq!(parse(text), None, "{text:?}");
        }
        assert_eq!(stamp(&MetadataMap::new()), Ok(Stamp::None));
        let mut metadata = MetadataMap::new();
        metadata.insert(SESSION_METADATA, "17.5".parse().unwrap());
        assert_eq!(stamp(&metadata), Err(ApiError::BadSession));
    }
}
