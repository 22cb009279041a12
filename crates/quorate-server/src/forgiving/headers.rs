//! Finds the authority in a block of HTTP/2 headers (HPACK, RFC 7541 §6) and mends it.

use http::uri::Authority;

use super::huffman;

/// Index of `:authority` in HPACK's static table.
const AUTHORITY: usize = 1;

/// What is to be done about a block of headers.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing: the authority is fine, not written out, or not to be found.
    Leave,
    /// The block is to be replaced by this one.
    Replace(Vec<u8>),
}

/// Looks at a block of headers. A bad authority is replaced by one of the same length: both sides
/// count the bytes of the headers they remember, and must go on to agree.
pub(super) fn inspect(block: &[u8]) -> Verdict {
    let Some(found) = find(block) else { return Verdict::Leave };
    if is_fine(&found.value) {
        return Verdict::Leave;
    }
    let value: Vec<u8> = found.value.iter().map(|&byte| mended(byte)).collect();
    if !is_fine(&value) {
        return Verdict::Leave;
    }
    let mut replaced = block[..found.start].to_vec();
    put_length(&mut replaced, value.len());
    replaced.extend_from_slice(&value);
    replaced.extend_from_slice(&block[found.end..]);
    Verdict::Replace(replaced)
}

fn is_fine(value: &[u8]) -> bool {
    Authority::try_from(value).is_ok()
}

/// A byte that may stand in a host name.
const fn mended(byte: u8) -> u8 {
    if byte.is_ascii_alphanumeric() || byte == b'.' { byte } else { b'-' }
}

/// An authority that is written out in a block.
struct Found {
    /// Where its string begins, with the length.
    start: usize,
    /// The byte behind it.
    end: usize,
    value: Vec<u8>,
}

fn find(block: &[u8]) -> Option<Found> {
    let mut reader = Reader { block, at: 0 };
    while let Some(&first) = block.get(reader.at) {
        let name = match first {
            // A header that both sides remember.
            0x80.. => {
                reader.number(7)?;
                continue;
            }
            // A header to be remembered from here on.
            0x40.. => reader.number(6)?,
            // A new size of the memory.
            0x20.. => {
                reader.number(5)?;
                continue;
            }
            // A header for this once.
            _ => reader.number(4)?,
        };
        if name == 0 {
            reader.string()?;
        }
        let start = reader.at;
        let (is_coded, content) = reader.string()?;
        if name == AUTHORITY {
            let value = if is_coded { huffman::decode(content)? } else { content.to_vec() };
            return Some(Found { start, end: reader.at, value });
        }
    }
    None
}

/// Reads a block from the front; every step checks that there is enough of it.
struct Reader<'a> {
    block: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// A number whose first bits share a byte with something else (RFC 7541 §5.1).
    fn number(&mut self, bits: u32) -> Option<usize> {
        let limit = (1_usize << bits) - 1;
        let first = usize::from(self.byte()?) & limit;
        if first < limit {
            return Some(first);
        }
        let mut number = limit;
        // No number of a sane header needs more than three bytes.
        for shift in [0, 7, 14] {
            let byte = self.byte()?;
            number += usize::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    /// A string and whether it is in Huffman code (RFC 7541 §5.2).
    fn string(&mut self) -> Option<(bool, &'a [u8])> {
        let is_coded = self.block.get(self.at)? & 0x80 != 0;
        let length = self.number(7)?;
        let content = self.block.get(self.at..)?.get(..length)?;
        self.at += length;
        Some((is_coded, content))
    }

    fn byte(&mut self) -> Option<u8> {
        let byte = *self.block.get(self.at)?;
        self.at += 1;
        Some(byte)
    }
}

/// Writes the length of a plain string (RFC 7541 §5.1).
#[expect(clippy::cast_possible_truncation, reason = "each part is masked to seven bits")]
fn put_length(out: &mut Vec<u8>, length: usize) {
    let Some(mut rest) = length.checked_sub(0x7f) else {
        out.push(length as u8);
        return;
    };
    out.push(0x7f);
    while rest >= 0x80 {
        out.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `:method: POST`, `:scheme: http`, a path to be remembered, an authority, a header after it.
    fn block(authority: &[u8]) -> Vec<u8> {
        let mut block = b"\x83\x86\x44\x02/a\x41".to_vec();
        put_length(&mut block, authority.len());
        block.extend_from_slice(authority);
        block.extend_from_slice(b"\x40\x02te\x08trailers");
        block
    }

    #[test]
    fn an_authority_that_is_one_is_left_alone() {
        for authority in ["127.0.0.1:2379", "[::1]:2379", "localhost", "a.b-c:1"] {
            assert_eq!(inspect(&block(authority.as_bytes())), Verdict::Leave, "{authority}");
        }
        assert_eq!(inspect(b"\x83\x86\xbe\xbf"), Verdict::Leave, "all remembered");
        assert_eq!(inspect(b""), Verdict::Leave);
    }

    #[test]
    fn what_etcds_clients_write_becomes_an_authority_of_the_same_length() {
        let long = format!("#initially=[{}]", ["http://127.0.0.1:2379"; 20].join(";"));
        for (authority, expected) in [
            ("http://127.0.0.1:2379", "http---127.0.0.1-2379".to_owned()),
            ("#initially=[a:1;b:2]", "-initially--a-1-b-2-".to_owned()),
            (long.as_str(), long.replace([':', '/', '#', '=', '[', ']', ';'], "-")),
        ] {
            assert_eq!(authority.len(), expected.len());
            let replaced = block(expected.as_bytes());
            let verdict = inspect(&block(authority.as_bytes()));
            assert_eq!(verdict, Verdict::Replace(replaced), "{authority}");
        }
    }

    #[test]
    fn an_authority_in_huffman_code_is_replaced_too() {
        // RFC 7541, appendix C.6: https://www.example.com.
        let coded = b"\x9d\x29\xad\x17\x18\x63\xc7\x8f\x0b\x97\xc8\xe9\xae\x82\xae\x43\xd3";
        let block = [b"\x83\x41\x91", &coded[..], b"\x86"].concat();
        let expected = [b"\x83\x41\x17", &b"https---www.example.com"[..], b"\x86"].concat();
        assert_eq!(inspect(&block), Verdict::Replace(expected));
    }

    #[test]
    fn a_block_that_breaks_off_is_left_to_others_to_refuse() {
        let whole = block(b"http://127.0.0.1:2379");
        for end in 0..whole.len() {
            // Must not panic; once the authority is complete it may be replaced.
            let verdict = inspect(&whole[..end]);
            assert!(end >= 29 || verdict == Verdict::Leave, "cut to {end} bytes");
        }
        assert_eq!(inspect(b"\x41\xff\xff\xff\xff\xff\x0f"), Verdict::Leave);
    }
}
