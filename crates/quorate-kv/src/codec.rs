//! How commands and replies become bytes, in the log and between nodes.
//!
//! A version byte, then fields in a fixed order: numbers as eight bytes, little-endian; lengths as
//! LEB128 in its shortest form; choices as one byte; options as bits of one byte. Unknown
//! choices and bits, lengths that reach beyond the end, and bytes behind the value are refused.
//!
//! Invariants:
//! - nothing is allocated by a length before that many bytes are known to be there;
//! - nested transactions are followed no deeper than the limit of operations allows;
//! - a value has one encoding, so equal commands have equal bytes.

mod command;
mod reply;

use quorate::CodecError;

use crate::alarm::{Alarm, AlarmKind};

/// Version byte that precedes every command and reply.
const VERSION: u8 = 1;

/// Most elements that a list reserves memory for before they are read.
const RESERVED: usize = 64;

/// Refuses bytes, saying why.
fn malformed<T>(what: &str) -> Result<T, CodecError> {
    Err(CodecError::Malformed(what.to_owned()))
}

/// Appends a length in LEB128.
fn put_length(out: &mut Vec<u8>, length: usize) {
    let mut rest = length;
    loop {
        // The low seven bits fit into a byte.
        let low = u8::try_from(rest & 0x7f).unwrap_or(0);
        rest >>= 7;
        if rest == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

/// Appends bytes behind their length.
fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_length(out, bytes.len());
    out.extend_from_slice(bytes);
}

fn put_i64(out: &mut Vec<u8>, number: i64) {
    out.extend_from_slice(&number.to_le_bytes());
}

fn put_u64(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(&number.to_le_bytes());
}

fn encode_alarm(alarm: &Alarm, out: &mut Vec<u8>) {
    out.push(alarm.kind.number());
    put_u64(out, alarm.member);
}

fn decode_alarm(reader: &mut Reader<'_>) -> Result<Alarm, CodecError> {
    match AlarmKind::of_number(u64::from(reader.u8()?)) {
        Some(kind) => Ok(Alarm { kind, member: reader.u64()? }),
        None => malformed("an unknown kind of alarm"),
    }
}

/// Reads a value front to back.
#[derive(Debug)]
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Begins to read a value; checks its version.
    fn begin(bytes: &'a [u8]) -> Result<Self, CodecError> {
        match bytes.split_first() {
            None => Err(CodecError::Empty),
            Some((&VERSION, rest)) => Ok(Self { rest }),
            Some((&version, _)) => Err(CodecError::Version(version)),
        }
    }

    /// Ends reading; nothing may be left.
    fn end(self) -> Result<(), CodecError> {
        if self.rest.is_empty() { Ok(()) } else { malformed("bytes follow the value") }
    }

    fn u8(&mut self) -> Result<u8, CodecError> {
        let Some((&byte, rest)) = self.rest.split_first() else {
            return malformed("it ends within the value");
        };
        self.rest = rest;
        Ok(byte)
    }

    /// Reads a set of options of which only these bits are known.
    fn bits(&mut self, known: u8) -> Result<u8, CodecError> {
        let bits = self.u8()?;
        if bits & !known == 0 { Ok(bits) } else { malformed("an unknown option is set") }
    }

    fn eight(&mut self) -> Result<[u8; 8], CodecError> {
        let Some((bytes, rest)) = self.rest.split_first_chunk() else {
            return malformed("it ends within a number");
        };
        self.rest = rest;
        Ok(*bytes)
    }

    fn i64(&mut self) -> Result<i64, CodecError> {
        self.eight().map(i64::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, CodecError> {
        self.eight().map(u64::from_le_bytes)
    }

    /// Reads a length that may not exceed what is left.
    fn length(&mut self) -> Result<usize, CodecError> {
        let mut length = 0_usize;
        for shift in (0..usize::BITS).step_by(7) {
            let byte = self.u8()?;
            let low = usize::from(byte & 0x7f);
            if low.leading_zeros() < shift {
                return malformed("a length is too large for this machine");
            }
            length |= low << shift;
            if byte & 0x80 == 0 {
                if byte == 0 && shift > 0 {
                    return malformed("a length is not in its shortest form");
                }
                if length > self.rest.len() {
                    return malformed("a length reaches beyond the end");
                }
                return Ok(length);
            }
        }
        malformed("a length is too long")
    }

    fn bytes(&mut self) -> Result<&'a [u8], CodecError> {
        let length = self.length()?;
        let (bytes, rest) = self.rest.split_at(length);
        self.rest = rest;
        Ok(bytes)
    }

    /// Reads a list whose elements take at least one byte each.
    fn list<T>(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Result<T, CodecError>,
    ) -> Result<Vec<T>, CodecError> {
        let length = self.length()?;
        let mut list = Vec::with_capacity(length.min(RESERVED));
        for _ in 0..length {
            list.push(element(self)?);
        }
        Ok(list)
    }
}
