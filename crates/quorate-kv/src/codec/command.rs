//! Commands as bytes.

use quorate::{Codec, CodecError};

use super::{
    Reader, VERSION, decode_alarm, encode_alarm, malformed, put_bytes, put_i64, put_length,
};
use crate::alarm::AlarmChange;
use crate::command::{
    Append, Command, Compare, CompareTarget, DeleteRange, MAX_TXN_OPERATIONS, Operation, Put,
    Relation, Txn,
};
use crate::key_range::KeyRange;
use crate::query::{Range, SortOrder, SortTarget};
use crate::revision::{LeaseId, Revision};

/// Kinds of commands and of operations.
const PUT: u8 = 1;
const DELETE_RANGE: u8 = 2;
const TXN: u8 = 3;
const COMPACT: u8 = 4;
const RANGE: u8 = 5;
const ALARM: u8 = 6;
const APPEND: u8 = 7;

/// What becomes of an alarm.
const CLEAR: u8 = 0;
const RAISE: u8 = 1;

/// Options of a put.
const HAS_LEASE: u8 = 1;
const RETURN_PREVIOUS: u8 = 2;
const IGNORE_VALUE: u8 = 4;
const IGNORE_LEASE: u8 = 8;

/// Options of a read.
const KEYS_ONLY: u8 = 1;
const COUNT_ONLY: u8 = 2;
const HAS_LIMIT: u8 = 4;
const HAS_REVISION: u8 = 8;
const HAS_FILTERS: u8 = 16;

/// Deepest nesting: every level but the innermost takes one operation of the limit.
const MAX_NESTING: usize = MAX_TXN_OPERATIONS + 1;

impl Codec for Command {
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), CodecError> {
        out.push(VERSION);
        match self {
            Self::Put(put) => encode_put(put, out),
            Self::DeleteRange(delete) => encode_delete_range(delete, out),
            Self::Txn(txn) => {
                out.push(TXN);
                return encode_txn(txn, MAX_NESTING, out);
            }
            Self::Compact(revision) => {
                out.push(COMPACT);
                put_i64(out, revision.get());
            }
            Self::Alarm(change) => {
                let (what, alarm) = match change {
                    AlarmChange::Clear(alarm) => (CLEAR, alarm),
                    AlarmChange::Raise(alarm) => (RAISE, alarm),
                };
                out.extend([ALARM, what]);
                encode_alarm(alarm, out);
            }
            Self::Append(append) => {
                out.push(APPEND);
                put_bytes(out, &append.key);
                put_bytes(out, &append.suffix);
            }
        }
        Ok(())
    }

    fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut reader = Reader::begin(bytes)?;
        let command = match reader.u8()? {
            PUT => Self::Put(decode_put(&mut reader)?),
            DELETE_RANGE => Self::DeleteRange(decode_delete_range(&mut reader)?),
            TXN => Self::Txn(decode_txn(&mut reader, MAX_NESTING)?),
            COMPACT => Self::Compact(Revision(reader.i64()?)),
            ALARM => Self::Alarm(match reader.bits(RAISE)? {
                CLEAR => AlarmChange::Clear(decode_alarm(&mut reader)?),
                _ => AlarmChange::Raise(decode_alarm(&mut reader)?),
            }),
            APPEND => {
                let key = reader.bytes()?;
                if u32::try_from(key.len()).is_err() {
                    return malformed("a key has 4 GiB or more");
                }
                Self::Append(Append::new(key, reader.bytes()?))
            }
            _ => return malformed("an unknown kind of command"),
        };
        reader.end()?;
        Ok(command)
    }
}

fn encode_put(put: &Put, out: &mut Vec<u8>) {
    out.push(PUT);
    let mut bits = 0;
    for (set, bit) in [
        (put.lease != LeaseId::NONE, HAS_LEASE),
        (put.return_previous, RETURN_PREVIOUS),
        (put.ignore_value, IGNORE_VALUE),
        (put.ignore_lease, IGNORE_LEASE),
    ] {
        bits |= if set { bit } else { 0 };
    }
    out.push(bits);
    if bits & HAS_LEASE != 0 {
        put_i64(out, put.lease.get());
    }
    put_bytes(out, put.key());
    put_bytes(out, put.value());
}

fn decode_put(reader: &mut Reader<'_>) -> Result<Put, CodecError> {
    let bits = reader.bits(HAS_LEASE | RETURN_PREVIOUS | IGNORE_VALUE | IGNORE_LEASE)?;
    let lease = optional_i64(reader, bits & HAS_LEASE != 0)?;
    let key = reader.bytes()?;
    if u32::try_from(key.len()).is_err() {
        return malformed("a key has 4 GiB or more");
    }
    let mut put = Put::new(key, reader.bytes()?);
    put.lease = LeaseId(lease);
    put.return_previous = bits & RETURN_PREVIOUS != 0;
    put.ignore_value = bits & IGNORE_VALUE != 0;
    put.ignore_lease = bits & IGNORE_LEASE != 0;
    Ok(put)
}

/// Reads a number that is there only if it is not zero.
fn optional_i64(reader: &mut Reader<'_>, is_there: bool) -> Result<i64, CodecError> {
    if !is_there {
        return Ok(0);
    }
    match reader.i64()? {
        0 => malformed("an option that is set has no value"),
        number => Ok(number),
    }
}

fn encode_key_range(range: &KeyRange, out: &mut Vec<u8>) {
    put_bytes(out, &range.key);
    put_bytes(out, &range.range_end);
}

fn decode_key_range(reader: &mut Reader<'_>) -> Result<KeyRange, CodecError> {
    Ok(KeyRange { key: reader.bytes()?.into(), range_end: reader.bytes()?.into() })
}

fn encode_delete_range(delete: &DeleteRange, out: &mut Vec<u8>) {
    out.push(DELETE_RANGE);
    out.push(if delete.return_previous { RETURN_PREVIOUS } else { 0 });
    encode_key_range(&delete.range, out);
}

fn decode_delete_range(reader: &mut Reader<'_>) -> Result<DeleteRange, CodecError> {
    let return_previous = reader.bits(RETURN_PREVIOUS)? != 0;
    Ok(DeleteRange { range: decode_key_range(reader)?, return_previous })
}

fn encode_range(range: &Range, out: &mut Vec<u8>) {
    out.push(RANGE);
    let filters = filters(range);
    let mut bits = 0;
    for (set, bit) in [
        (range.keys_only, KEYS_ONLY),
        (range.count_only, COUNT_ONLY),
        (range.limit != 0, HAS_LIMIT),
        (range.revision != Revision::ZERO, HAS_REVISION),
        (filters != [0; 4], HAS_FILTERS),
    ] {
        bits |= if set { bit } else { 0 };
    }
    out.push(bits);
    out.push(match range.sort_order {
        SortOrder::None => 0,
        SortOrder::Ascend => 1,
        SortOrder::Descend => 2,
    });
    out.push(match range.sort_target {
        SortTarget::Key => 0,
        SortTarget::Version => 1,
        SortTarget::CreateRevision => 2,
        SortTarget::ModRevision => 3,
        SortTarget::Value => 4,
    });
    encode_key_range(&range.range, out);
    if bits & HAS_LIMIT != 0 {
        put_i64(out, range.limit);
    }
    if bits & HAS_REVISION != 0 {
        put_i64(out, range.revision.get());
    }
    if bits & HAS_FILTERS != 0 {
        filters.into_iter().for_each(|filter| put_i64(out, filter));
    }
}

const fn filters(range: &Range) -> [i64; 4] {
    [
        range.min_mod_revision,
        range.max_mod_revision,
        range.min_create_revision,
        range.max_create_revision,
    ]
}

fn decode_range(reader: &mut Reader<'_>) -> Result<Range, CodecError> {
    let known = KEYS_ONLY | COUNT_ONLY | HAS_LIMIT | HAS_REVISION | HAS_FILTERS;
    let bits = reader.bits(known)?;
    let sort_order = match reader.u8()? {
        0 => SortOrder::None,
        1 => SortOrder::Ascend,
        2 => SortOrder::Descend,
        _ => return malformed("an unknown sort order"),
    };
    let sort_target = match reader.u8()? {
        0 => SortTarget::Key,
        1 => SortTarget::Version,
        2 => SortTarget::CreateRevision,
        3 => SortTarget::ModRevision,
        4 => SortTarget::Value,
        _ => return malformed("an unknown sort target"),
    };
    let mut range = Range::new(decode_key_range(reader)?);
    range.sort_order = sort_order;
    range.sort_target = sort_target;
    range.keys_only = bits & KEYS_ONLY != 0;
    range.count_only = bits & COUNT_ONLY != 0;
    range.limit = optional_i64(reader, bits & HAS_LIMIT != 0)?;
    range.revision = Revision(optional_i64(reader, bits & HAS_REVISION != 0)?);
    if bits & HAS_FILTERS != 0 {
        range.min_mod_revision = reader.i64()?;
        range.max_mod_revision = reader.i64()?;
        range.min_create_revision = reader.i64()?;
        range.max_create_revision = reader.i64()?;
        if filters(&range) == [0; 4] {
            return malformed("an option that is set has no value");
        }
    }
    Ok(range)
}

fn encode_txn(txn: &Txn, levels: usize, out: &mut Vec<u8>) -> Result<(), CodecError> {
    let Some(levels) = levels.checked_sub(1) else {
        return Err(CodecError::Unencodable("transactions are nested too deep".to_owned()));
    };
    put_length(out, txn.compares.len());
    txn.compares.iter().for_each(|compare| encode_compare(compare, out));
    for branch in [&txn.success, &txn.failure] {
        put_length(out, branch.len());
        for operation in branch {
            match operation {
                Operation::Range(range) => encode_range(range, out),
                Operation::Put(put) => encode_put(put, out),
                Operation::DeleteRange(delete) => encode_delete_range(delete, out),
                Operation::Txn(nested) => {
                    out.push(TXN);
                    encode_txn(nested, levels, out)?;
                }
            }
        }
    }
    Ok(())
}

fn decode_txn(reader: &mut Reader<'_>, levels: usize) -> Result<Txn, CodecError> {
    let Some(levels) = levels.checked_sub(1) else {
        return malformed("transactions are nested too deep");
    };
    Ok(Txn {
        compares: reader.list(decode_compare)?,
        success: reader.list(|reader| decode_operation(reader, levels))?,
        failure: reader.list(|reader| decode_operation(reader, levels))?,
    })
}

fn decode_operation(reader: &mut Reader<'_>, levels: usize) -> Result<Operation, CodecError> {
    Ok(match reader.u8()? {
        RANGE => Operation::Range(decode_range(reader)?),
        PUT => Operation::Put(decode_put(reader)?),
        DELETE_RANGE => Operation::DeleteRange(decode_delete_range(reader)?),
        TXN => Operation::Txn(decode_txn(reader, levels)?),
        _ => return malformed("an unknown kind of operation"),
    })
}

fn encode_compare(compare: &Compare, out: &mut Vec<u8>) {
    out.push(match compare.relation {
        Relation::Equal => 0,
        Relation::Greater => 1,
        Relation::Less => 2,
        Relation::NotEqual => 3,
    });
    encode_key_range(&compare.range, out);
    let (kind, number) = match &compare.target {
        CompareTarget::Version(number) => (0, number),
        CompareTarget::CreateRevision(number) => (1, number),
        CompareTarget::ModRevision(number) => (2, number),
        CompareTarget::Lease(number) => (4, number),
        CompareTarget::Value(value) => {
            out.push(3);
            return put_bytes(out, value);
        }
    };
    out.push(kind);
    put_i64(out, *number);
}

fn decode_compare(reader: &mut Reader<'_>) -> Result<Compare, CodecError> {
    let relation = match reader.u8()? {
        0 => Relation::Equal,
        1 => Relation::Greater,
        2 => Relation::Less,
        3 => Relation::NotEqual,
        _ => return malformed("an unknown relation"),
    };
    let range = decode_key_range(reader)?;
    let target = match reader.u8()? {
        0 => CompareTarget::Version(reader.i64()?),
        1 => CompareTarget::CreateRevision(reader.i64()?),
        2 => CompareTarget::ModRevision(reader.i64()?),
        3 => CompareTarget::Value(reader.bytes()?.into()),
        4 => CompareTarget::Lease(reader.i64()?),
        _ => return malformed("an unknown target of a comparison"),
    };
    Ok(Compare { range, relation, target })
}
