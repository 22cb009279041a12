//! How commands and replies become bytes.
//!
//! Every serde type has a codec without further work: one version byte, then postcard's format.
//! A type that wants other bytes implements [`Codec`] itself and does not derive serde.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Version byte that precedes postcard's bytes.
const POSTCARD_VERSION: u8 = 1;

/// Turns a value into bytes and back; both directions are deterministic.
pub trait Codec: Sized {
    /// Appends the encoded value to `out`.
    ///
    /// # Errors
    ///
    /// When the value has no encoding; `out` may then hold part of one.
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), CodecError>;

    /// Reads a value from exactly these bytes.
    ///
    /// # Errors
    ///
    /// When the bytes are not an encoding of a value: damaged, or of a later version.
    fn decode(bytes: &[u8]) -> Result<Self, CodecError>;
}

/// Why bytes could not be made or read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The bytes are empty, so that even the version is missing.
    #[error("the encoded value is empty; one byte of version was expected")]
    Empty,
    /// The bytes were written by a later version.
    #[error("the encoded value has version {0}, which this program does not know; upgrade it")]
    Version(u8),
    /// The bytes do not hold what their version says.
    #[error("the encoded value is damaged or of another type: {0}")]
    Malformed(String),
    /// The value has no encoding.
    #[error("the value cannot be encoded: {0}")]
    Unencodable(String),
}

impl<T: Serialize + DeserializeOwned> Codec for T {
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), CodecError> {
        out.push(POSTCARD_VERSION);
        let written = postcard::to_extend(self, core::mem::take(out))
            .map_err(|error| CodecError::Unencodable(error.to_string()))?;
        *out = written;
        Ok(())
    }

    fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let (&version, body) = bytes.split_first().ok_or(CodecError::Empty)?;
        if version != POSTCARD_VERSION {
            return Err(CodecError::Version(version));
        }
        let (value, rest) = postcard::take_from_bytes(body)
            .map_err(|error| CodecError::Malformed(error.to_string()))?;
        if rest.is_empty() {
            Ok(value)
        } else {
            Err(CodecError::Malformed(format!("{} bytes follow the value", rest.len())))
        }
    }
}
