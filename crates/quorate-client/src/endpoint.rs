//! One address of the cluster and the connection to it.
//!
//! A connection is made when it is first needed and kept; it is forgotten after any failure, so
//! that the next request begins with a connection that came about before the request was sent.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tonic::transport::{Channel, Endpoint as Address};

use crate::error::with_causes;

/// Why an endpoint cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// No endpoint was given.
    #[error("no endpoint was given; name at least one, as in 127.0.0.1:2379")]
    None,
    /// The text is no address.
    #[error("{endpoint:?} is no endpoint ({why}); write it as host:port or http://host:port")]
    Malformed {
        /// The endpoint as it was given.
        endpoint: String,
        /// What is wrong with it.
        why: String,
    },
    /// The endpoint asks for TLS.
    #[error("{endpoint} asks for TLS, which is not there yet; use http://")]
    Tls {
        /// The endpoint as it was given.
        endpoint: String,
    },
}

/// One endpoint.
#[derive(Debug)]
pub(crate) struct Endpoint {
    name: String,
    address: Address,
    channel: Mutex<Option<Channel>>,
}

impl Endpoint {
    pub(crate) fn parse(name: &str, connect: Duration) -> Result<Self, EndpointError> {
        let malformed = |why: String| EndpointError::Malformed { endpoint: name.to_owned(), why };
        let url = match name.split_once("://") {
            None => format!("http://{name}"),
            Some(("http", _)) => name.to_owned(),
            Some(("https", _)) => return Err(EndpointError::Tls { endpoint: name.to_owned() }),
            Some((scheme, _)) => return Err(malformed(format!("scheme {scheme}"))),
        };
        let address = Address::from_shared(url).map_err(|error| malformed(with_causes(&error)))?;
        if address.uri().port_u16().is_none() {
            return Err(malformed("the port is missing".to_owned()));
        }
        let address = address.connect_timeout(connect).tcp_nodelay(true);
        Ok(Self { name: name.to_owned(), address, channel: Mutex::new(None) })
    }

    /// The endpoint as it was given.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The connection, made if there is none.
    pub(crate) async fn channel(&self) -> Result<Channel, String> {
        let held = self.channel.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(channel) = held {
            return Ok(channel);
        }
        let made = self.address.connect().await.map_err(|error| with_causes(&error))?;
        *self.channel.lock().unwrap_or_else(PoisonError::into_inner) = Some(made.clone());
        Ok(made)
    }

    /// Drops the connection, so that the next request makes another.
    pub(crate) fn forget(&self) {
        *self.channel.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(name: &str) -> Result<Endpoint, EndpointError> {
        Endpoint::parse(name, Duration::from_secs(1))
    }

    #[test]
    fn endpoints_are_addresses_with_or_without_a_scheme() {
        for name in ["127.0.0.1:2379", "http://127.0.0.1:2379", "localhost:1", "http://[::1]:2"] {
            assert_eq!(parse(name).unwrap().name(), name);
        }
        let tls = EndpointError::Tls { endpoint: "https://a:1".to_owned() };
        assert_eq!(parse("https://a:1").unwrap_err(), tls);
        for name in ["", "localhost", "ftp://a:1", "a b:1", "127.0.0.1:99999"] {
            let error = parse(name).unwrap_err();
            assert!(matches!(error, EndpointError::Malformed { .. }), "{name:?} gave {error}");
        }
    }
}
