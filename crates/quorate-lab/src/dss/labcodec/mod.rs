//! Messages to bytes and back, in the manner of the labs' `labcodec`: protocol buffers, and nothing
//! that says so in a signature but [`Message`].

use std::fmt;

/// What can be encoded: any message of protocol buffers.
pub trait Message: prost::Message + Default + 'static {}

impl<M: prost::Message + Default + 'static> Message for M {}

/// The buffer has no room for the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodeError(prost::EncodeError);

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the message cannot be encoded: {}", self.0)
    }
}

impl std::error::Error for EncodeError {}

/// The bytes are no such message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeError(prost::DecodeError);

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the bytes are not the message that was expected: {}", self.0)
    }
}

impl std::error::Error for DecodeError {}

/// Puts a message at the end of a buffer, which grows.
///
/// # Errors
///
/// If the message is larger than a buffer can be.
pub fn encode<M: Message>(message: &M, buffer: &mut Vec<u8>) -> Result<(), EncodeError> {
    message.encode(buffer).map_err(EncodeError)
}

/// The message that these bytes are.
///
/// # Errors
///
/// If they are none of this kind.
pub fn decode<M: Message>(bytes: &[u8]) -> Result<M, DecodeError> {
    M::decode(bytes).map_err(DecodeError)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, PartialEq, prost::Message)]
    struct Everything {
        #[prost(uint64, tag = "1")]
        number: u64,
        #[prost(string, tag = "2")]
        text: String,
        #[prost(bytes = "vec", tag = "3")]
        bytes: Vec<u8>,
        #[prost(message, repeated, tag = "4")]
        within: Vec<Self>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    struct Other {
        #[prost(string, tag = "1")]
        number: String,
    }

    fn something() -> Everything {
        let inner = Everything { number: u64::MAX, ..Everything::default() };
        let text = "x".repeat(3000);
        Everything {
            number: 300,
            text,
            bytes: vec![0, 255],
            within: vec![inner, Everything::default()],
        }
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        let mut buffer = Vec::new();
        encode(&something(), &mut buffer).unwrap();
        assert_eq!(decode::<Everything>(&buffer).unwrap(), something());
        let mut nothing = Vec::new();
        encode(&Everything::default(), &mut nothing).unwrap();
        assert!(nothing.is_empty(), "what is as it is by default takes no room");
        assert_eq!(decode::<Everything>(&[]).unwrap(), Everything::default());
        encode(&something(), &mut nothing).unwrap();
        assert_eq!(nothing, buffer, "it is put at the end of what is there");
    }

    #[test]
    fn what_is_no_such_message_is_refused() {
        let mut buffer = Vec::new();
        encode(&something(), &mut buffer).unwrap();
        assert!(decode::<Other>(&buffer).is_err());
        assert!(decode::<Everything>(&buffer[..buffer.len() - 1]).is_err());
        let error = decode::<Everything>(&[0xff; 12]).unwrap_err();
        assert!(error.to_string().starts_with("the bytes are not the message"), "{error}");
    }
}
