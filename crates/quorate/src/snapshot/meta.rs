//! What stands in a snapshot beside the state: who belongs to the cluster, and how far log time and
//! the count of commands had come.
//!
//! The same bytes go with the base of the log, of which they say the same.

use std::sync::Arc;

use crate::roster::{Roster, RosterError};
use crate::wire::{Reader, WireError};

/// The version of the layout.
const VERSION: u8 = 1;

/// What was true when an entry had been executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotMeta {
    /// The members in force at the entry.
    pub roster: Arc<Roster>,
    /// The log's time, in milliseconds.
    pub log_time_ms: u64,
    /// Commands in the log up to and with the entry. Fewer were executed where some of a session came
    /// twice; how many stands with the state.
    pub application_index: u64,
}

impl SnapshotMeta {
    /// The bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(512);
        out.push(VERSION);
        out.extend_from_slice(&self.log_time_ms.to_le_bytes());
        out.extend_from_slice(&self.application_index.to_le_bytes());
        self.roster.encode(&mut out);
        out
    }

    /// Reads exactly these bytes.
    ///
    /// # Errors
    ///
    /// When they are not the encoding of such a thing.
    pub fn decode(bytes: &[u8]) -> Result<Self, RosterError> {
        let mut reader = Reader::new(bytes);
        let found = reader.u8("snapshot meta version")?;
        if found != VERSION {
            return Err(WireError::Version { what: "snapshot meta", found, known: VERSION }.into());
        }
        let log_time_ms = reader.u64("log time")?;
        let application_index = reader.u64("application index")?;
        let roster = Arc::new(Roster::decode(reader.rest())?);
        Ok(Self { roster, log_time_ms, application_index })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::roster::Member;

    #[test]
    fn it_comes_back_from_its_bytes_and_from_no_others() {
        let member = |id: u64| Member {
            id: quorate_core::NodeId::new(id).unwrap(),
            name: format!("n{id}"),
            peer_address: format!("127.0.0.1:{id}"),
            client_urls: Vec::new(),
        };
        let roster = Arc::new(Roster::of_voters((1..4).map(member)).unwrap());
        let meta = SnapshotMeta { roster, log_time_ms: 77, application_index: 5 };
        let bytes = meta.encode();
        assert_eq!(SnapshotMeta::decode(&bytes).unwrap(), meta);
        for length in 0..bytes.len() {
            SnapshotMeta::decode(&bytes[..length]).unwrap_err();
        }
        SnapshotMeta::decode(&[bytes.as_slice(), &[0]].concat()).unwrap_err();
        let mut newer = bytes;
        newer[0] = 2;
        let error = SnapshotMeta::decode(&newer).unwrap_err();
        assert!(error.to_string().contains("upgrade"), "{error}");
    }
}
