//! Replies as bytes.

use quorate::{Codec, CodecError};

use super::{
    Reader, VERSION, decode_alarm, encode_alarm, malformed, put_bytes, put_i64, put_length, put_u64,
};
use crate::command::MAX_TXN_OPERATIONS;
use crate::error::KvError;
use crate::key_value::KeyValue;
use crate::reply::{AppendReply, DeleteRangeReply, Outcome, PutReply, RangeReply, Reply, TxnReply};
use crate::revision::Revision;

/// Kinds of outcomes.
const FAILED: u8 = 0;
const PUT: u8 = 1;
const DELETE_RANGE: u8 = 2;
const TXN: u8 = 3;
const COMPACT: u8 = 4;
const RANGE: u8 = 5;
const ALARMS: u8 = 6;
const APPEND: u8 = 7;

/// Levels of outcomes: one for the command itself, one for each transaction in another.
const MAX_NESTING: usize = MAX_TXN_OPERATIONS + 2;

/// Errors by their byte; the byte is the place, so errors are only ever appended.
const ERRORS: [KvError; 14] = [
    KvError::KeyNotProvided,
    KvError::KeyNotFound,
    KvError::ValueProvided,
    KvError::LeaseProvided,
    KvError::TooManyOperations,
    KvError::DuplicateKey,
    KvError::InvalidSortOption,
    KvError::Compacted,
    KvError::FutureRevision,
    KvError::LeaseNotFound,
    KvError::NoSpace,
    KvError::Corrupt,
    KvError::TooManyAlarms,
    KvError::ValueTooLarge,
];

impl Codec for Reply {
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), CodecError> {
        out.push(VERSION);
        put_i64(out, self.revision.get());
        match &self.result {
            Ok(outcome) => encode_outcome(outcome, MAX_NESTING, out),
            Err(error) => {
                let place = ERRORS.iter().position(|known| known == error);
                let place = place.and_then(|place| u8::try_from(place).ok());
                out.push(FAILED);
                out.push(place.ok_or_else(|| CodecError::Unencodable(error.to_string()))?);
                Ok(())
            }
        }
    }

    fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut reader = Reader::begin(bytes)?;
        let revision = Revision(reader.i64()?);
        let result = match reader.u8()? {
            FAILED => match ERRORS.get(usize::from(reader.u8()?)) {
                Some(error) => Err(*error),
                None => return malformed("an unknown error"),
            },
            kind => Ok(decode_outcome(&mut reader, kind, MAX_NESTING)?),
        };
        reader.end()?;
        Ok(Self { revision, result })
    }
}

fn encode_kvs(kvs: &[KeyValue], out: &mut Vec<u8>) {
    put_length(out, kvs.len());
    kvs.iter().for_each(|kv| put_bytes(out, kv.encoded()));
}

fn decode_kv(reader: &mut Reader<'_>) -> Result<KeyValue, CodecError> {
    match KeyValue::from_encoded(reader.bytes()?) {
        Some(kv) => Ok(kv),
        None => malformed("a key and value whose lengths do not fit"),
    }
}

fn decode_bool(reader: &mut Reader<'_>) -> Result<bool, CodecError> {
    reader.bits(1).map(|bits| bits != 0)
}

fn encode_outcome(outcome: &Outcome, levels: usize, out: &mut Vec<u8>) -> Result<(), CodecError> {
    let Some(levels) = levels.checked_sub(1) else {
        return Err(CodecError::Unencodable("outcomes are nested too deep".to_owned()));
    };
    match outcome {
        Outcome::Put(put) => {
            out.push(PUT);
            put_i64(out, put.revision.get());
            out.push(u8::from(put.previous.is_some()));
            if let Some(previous) = &put.previous {
                put_bytes(out, previous.encoded());
            }
        }
        Outcome::DeleteRange(delete) => {
            out.push(DELETE_RANGE);
            put_i64(out, delete.revision.get());
            put_u64(out, delete.deleted);
            encode_kvs(&delete.previous, out);
        }
        Outcome::Range(range) => {
            out.push(RANGE);
            put_i64(out, range.revision.get());
            out.push(u8::from(range.more));
            put_u64(out, range.count);
            encode_kvs(&range.kvs, out);
        }
        Outcome::Txn(txn) => {
            out.push(TXN);
            put_i64(out, txn.revision.get());
            out.push(u8::from(txn.succeeded));
            put_length(out, txn.outcomes.len());
            for outcome in &txn.outcomes {
                encode_outcome(outcome, levels, out)?;
            }
        }
        Outcome::Compact => out.push(COMPACT),
        Outcome::Alarms(alarms) => {
            out.push(ALARMS);
            put_length(out, alarms.len());
            alarms.iter().for_each(|alarm| encode_alarm(alarm, out));
        }
        Outcome::Append(append) => {
            out.push(APPEND);
            put_i64(out, append.revision.get());
            put_u64(out, append.length);
        }
    }
    Ok(())
}

fn decode_outcome(reader: &mut Reader<'_>, kind: u8, levels: usize) -> Result<Outcome, CodecError> {
    let Some(levels) = levels.checked_sub(1) else {
        return malformed("outcomes are nested too deep");
    };
    Ok(match kind {
        PUT => Outcome::Put(PutReply {
            revision: Revision(reader.i64()?),
            previous: if decode_bool(reader)? { Some(decode_kv(reader)?) } else { None },
        }),
        DELETE_RANGE => Outcome::DeleteRange(DeleteRangeReply {
            revision: Revision(reader.i64()?),
            deleted: reader.u64()?,
            previous: reader.list(decode_kv)?,
        }),
        RANGE => {
            let revision = Revision(reader.i64()?);
            let more = decode_bool(reader)?;
            let count = reader.u64()?;
            Outcome::Range(RangeReply { revision, kvs: reader.list(decode_kv)?, more, count })
        }
        TXN => Outcome::Txn(TxnReply {
            revision: Revision(reader.i64()?),
            succeeded: decode_bool(reader)?,
            outcomes: reader.list(|reader| {
                let kind = reader.u8()?;
                decode_outcome(reader, kind, levels)
            })?,
        }),
        COMPACT => Outcome::Compact,
        ALARMS => Outcome::Alarms(reader.list(decode_alarm)?),
        APPEND => {
            let revision = Revision(reader.i64()?);
            Outcome::Append(AppendReply { revision, length: reader.u64()? })
        }
        _ => return malformed("an unknown kind of outcome"),
    })
}
