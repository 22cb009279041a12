//! A client for Quorate and etcd: finds the endpoint that answers.
//!
//! [`Client`] takes the endpoints of a cluster, whose members all serve every request, and sends
//! each request to one that answers. How a call may end is a type: [`CallError`].
//!
//! - A write is sent a second time only when it is certain that it was not carried out: no
//!   connection came about, or the server said so. Anything else ends as [`CallError::Unknown`].
//! - A read is asked again elsewhere, because asking twice changes nothing.
//! - Every call ends within [`Options::timeout`].
//!
//! A [`Session`] goes further, with a Quorate cluster: what is sent through it is sent again until it
//! is answered, and carried out exactly once.
//!
//! It does not follow the leader and does no load balancing.
//!
//! ```no_run
//! use quorate_client::{Client, Options, proto::PutRequest};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::new(["127.0.0.1:2379", "127.0.0.1:22379"], Options::default())?;
//! let put = PutRequest { key: "a".into(), value: "1".into(), ..PutRequest::default() };
//! println!("written at revision {}", client.put(put).await?.header.unwrap_or_default().revision);
//! # Ok(())
//! # }
//! ```

mod client;
mod endpoint;
mod error;
mod outcome;
mod session;
mod snapshot;

pub use client::{Client, Options};
pub use endpoint::EndpointError;
pub use error::{Attempt, CallError};
pub use outcome::{OUTCOME_EXPIRED, OUTCOME_METADATA, OUTCOME_REFUSED, OUTCOME_REPLY_LOST};
/// The requests and replies.
pub use quorate_proto::etcdserverpb as proto;
/// One version of a key.
pub use quorate_proto::mvccpb::KeyValue;
pub use session::{Session, SessionOptions};
pub use snapshot::SnapshotStream;
