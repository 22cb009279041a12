//! The store of one member as a stream of bytes.

use std::time::Duration;

use quorate_proto::etcdserverpb as pb;
use tokio::time::timeout;
use tonic::Streaming;

use crate::error::{Attempt, CallError, silence, with_causes};

/// The bytes of a store as they come; see [`Client::snapshot`](crate::Client::snapshot).
#[derive(Debug)]
pub struct SnapshotStream {
    endpoint: String,
    messages: Streaming<pb::SnapshotResponse>,
    /// How long the next message may take.
    patience: Duration,
}

impl SnapshotStream {
    pub(crate) const fn new(
        endpoint: String,
        messages: Streaming<pb::SnapshotResponse>,
        patience: Duration,
    ) -> Self {
        Self { endpoint, messages, patience }
    }

    /// The next bytes, with the number of those that follow; `None` behind the last.
    ///
    /// # Errors
    ///
    /// When the member fails, or says nothing for as long as a call may take. What came before is
    /// a part of a snapshot, which is of no use.
    pub async fn next(&mut self) -> Result<Option<pb::SnapshotResponse>, CallError> {
        let why = match timeout(self.patience, self.messages.message()).await {
            Ok(Ok(message)) => return Ok(message),
            Ok(Err(status)) => with_causes(&status),
            Err(_) => silence(self.patience),
        };
        let attempt = Attempt { endpoint: self.endpoint.clone(), why };
        Err(CallError::Unserved { attempts: vec![attempt] })
    }
}
