//! Founding messages: a question, its answer, and a record handed over. They travel on connections
//! of their own, one exchange each, before anybody is a member of anything.

use std::sync::Arc;

use quorate_core::ClusterId;

use super::frame::{Encoded, RawFrame};
use crate::founding::Answer;
use crate::roster::{
    FoundingRecord, MAX_ADDRESS_BYTES, MAX_MEMBERS, MAX_RECORD_BYTES, RosterError, put_member,
    take_member,
};
use crate::wire::{Reader, WireError, put_count, put_text};

const ASK: u8 = 48;
const ANSWER: u8 = 49;
const OFFER: u8 = 50;

/// Bytes of kind and body that a founding frame may have.
pub const FOUNDING_FRAME_BYTES: usize = MAX_RECORD_BYTES + 128 * 1024;

/// What founding connections say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FoundingMessage {
    /// Who are you?
    Ask,
    /// Answers whatever was said.
    Answer(Arc<Answer>),
    /// Here is the record of your cluster.
    Offer(FoundingRecord),
}

/// Why a frame is no founding message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FoundingMessageError {
    /// No founding message has this kind.
    #[error("no founding message has the kind {0}; the sender speaks another version")]
    Kind(u8),
    /// The body is not the layout of its kind.
    #[error("the founding message cannot be read: {0}")]
    Wire(#[from] WireError),
    /// The record in it cannot be used.
    #[error(transparent)]
    Record(#[from] RosterError),
    /// Record and cluster id contradict each other.
    #[error("the node says it belongs to cluster {said}, and shows the record of {shown}")]
    Contradiction {
        /// The cluster id it gives.
        said: ClusterId,
        /// The cluster of the record.
        shown: ClusterId,
    },
}

/// Encodes a founding message.
///
/// # Errors
///
/// When a name or address in it exceeds its limit.
pub fn encode(message: &FoundingMessage) -> Result<Encoded, WireError> {
    let mut body = Vec::new();
    let kind = match message {
        FoundingMessage::Ask => ASK,
        FoundingMessage::Answer(answer) => {
            put_answer(&mut body, answer)?;
            ANSWER
        }
        FoundingMessage::Offer(record) => {
            body = record.encode();
            OFFER
        }
    };
    Ok(Encoded::new(kind, Vec::new(), |out| out.extend_from_slice(&body)))
}

fn put_answer(out: &mut Vec<u8>, answer: &Answer) -> Result<(), WireError> {
    put_member(out, &answer.member)?;
    put_count(out, "listed addresses", answer.listed.len(), MAX_MEMBERS)?;
    for address in &answer.listed {
        put_text(out, "listed address", address, MAX_ADDRESS_BYTES)?;
    }
    out.extend_from_slice(&answer.cluster.get().to_le_bytes());
    out.push(u8::from(answer.record.is_some()));
    if let Some(record) = &answer.record {
        out.extend_from_slice(&record.encode());
    }
    Ok(())
}

/// Reads a founding message.
///
/// # Errors
///
/// When the frame is not one.
pub fn decode(frame: RawFrame<'_>) -> Result<FoundingMessage, FoundingMessageError> {
    let mut reader = Reader::new(frame.body);
    match frame.kind {
        ASK => {
            reader.finish("question")?;
            Ok(FoundingMessage::Ask)
        }
        ANSWER => Ok(FoundingMessage::Answer(Arc::new(take_answer(reader)?))),
        OFFER => Ok(FoundingMessage::Offer(FoundingRecord::decode(reader.rest())?)),
        kind => Err(FoundingMessageError::Kind(kind)),
    }
}

fn take_answer(mut reader: Reader<'_>) -> Result<Answer, FoundingMessageError> {
    let member = take_member(&mut reader)?;
    let count = reader.count("listed addresses", MAX_MEMBERS)?;
    let mut listed = Vec::new();
    for _ in 0..count {
        listed.push(reader.text("listed address", MAX_ADDRESS_BYTES)?);
    }
    let cluster = ClusterId(reader.u64("cluster id")?);
    let record = if reader.flag("has record")? {
        let record = FoundingRecord::decode(reader.rest())?;
        if record.cluster != cluster {
            let (said, shown) = (cluster, record.cluster);
            return Err(FoundingMessageError::Contradiction { said, shown });
        }
        Some(record)
    } else {
        None
    };
    reader.finish("answer")?;
    Ok(Answer { member, listed, cluster, record })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use quorate_core::NodeId;

    use super::*;
    use crate::roster::{Member, Roster};
    use crate::transport::frame::{Parsed, parse};

    fn samples() -> Vec<FoundingMessage> {
        let member = Member {
            id: NodeId::new(7).expect("not zero"),
            name: "n7".to_owned(),
            peer_address: "h7:1".to_owned(),
            client_urls: vec!["http://h7:2".to_owned()],
        };
        let roster = Roster::of_voters([member.clone()]).unwrap();
        let record = FoundingRecord { cluster: ClusterId(3), roster };
        let listed = vec!["h7:1".to_owned(), "h8:1".to_owned()];
        let empty = Answer { member, listed, cluster: ClusterId::ZERO, record: None };
        let holder =
            Answer { cluster: ClusterId(3), record: Some(record.clone()), ..empty.clone() };
        vec![
            FoundingMessage::Ask,
            FoundingMessage::Answer(Arc::new(empty)),
            FoundingMessage::Answer(Arc::new(holder)),
            FoundingMessage::Offer(record),
        ]
    }

    fn raw(bytes: &[u8]) -> RawFrame<'_> {
        match parse(bytes, FOUNDING_FRAME_BYTES) {
            Ok(Parsed::Frame(frame)) => frame,
            other => panic!("no whole frame: {other:?}"),
        }
    }

    #[test]
    fn every_founding_message_comes_back_from_its_bytes() {
        for message in samples() {
            let bytes = encode(&message).unwrap().to_vec();
            assert_eq!(decode(raw(&bytes)), Ok(message));
        }
    }

    #[test]
    fn an_answer_cannot_contradict_itself() {
        let FoundingMessage::Answer(answer) = samples().swap_remove(2) else { panic!("a holder") };
        let answer = Answer { cluster: ClusterId(4), ..Arc::unwrap_or_clone(answer) };
        let bytes = encode(&FoundingMessage::Answer(Arc::new(answer))).unwrap().to_vec();
        let expected =
            FoundingMessageError::Contradiction { said: ClusterId(4), shown: ClusterId(3) };
        assert_eq!(decode(raw(&bytes)), Err(expected));
    }

    #[test]
    fn messages_cut_anywhere_are_refused() {
        for message in samples() {
            let bytes = encode(&message).unwrap().to_vec();
            let (kind, body) = (bytes[8], &bytes[9..]);
            for end in 0..body.len() {
                let frame = RawFrame { kind, body: &body[..end], bytes: end + 9 };
                assert!(decode(frame).is_err(), "{message:?} cut at {end}");
            }
        }
        let frame = RawFrame { kind: 18, body: &[], bytes: 9 };
        assert_eq!(decode(frame), Err(FoundingMessageError::Kind(18)));
    }

    proptest! {
        #[test]
        fn no_body_makes_the_decoder_panic(
            kind in 48_u8..51,
            body in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let _decoded = decode(RawFrame { kind, body: &body, bytes: body.len() + 9 });
        }
    }
}
