//! Reads strings in HPACK's Huffman code (RFC 7541 §5.2 and appendix B).
//!
//! The code is canonical: the lengths alone determine it. Codes of one length are consecutive, in
//! the order of the bytes that they stand for.

/// Bits of the code of each byte.
const LENGTHS: [u8; 256] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28,
    28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5,
    5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6,
    6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22,
    23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22,
    21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20,
    22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19,
    21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22,
    22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
];

/// Most bits of a code.
const LONGEST: usize = 30;

/// The code, by length.
struct Code {
    /// First code of each length.
    first: [u32; LONGEST + 1],
    /// Where the bytes of each length begin in `bytes`, with the end behind the last.
    start: [usize; LONGEST + 2],
    /// All bytes, by length and value.
    bytes: [u8; 256],
}

const CODE: Code = code();

#[expect(clippy::cast_possible_truncation, reason = "a byte's value, and at most 256 bytes")]
const fn code() -> Code {
    let mut code = Code { first: [0; LONGEST + 1], start: [0; LONGEST + 2], bytes: [0; 256] };
    let mut next = 0_u32;
    let mut placed = 0;
    let mut length = 0;
    while length <= LONGEST {
        next <<= 1;
        code.first[length] = next;
        code.start[length] = placed;
        let mut byte = 0;
        while byte < LENGTHS.len() {
            if LENGTHS[byte] as usize == length {
                code.bytes[placed] = byte as u8;
                placed += 1;
            }
            byte += 1;
        }
        next += (placed - code.start[length]) as u32;
        length += 1;
    }
    code.start[LONGEST + 1] = placed;
    code
}

/// The string behind its code; `None` when it is none.
pub(super) fn decode(encoded: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(encoded.len() * 8 / 5);
    let mut code = 0_u32;
    let mut length = 0;
    for bit in encoded.iter().flat_map(|byte| (0..8).rev().map(move |shift| byte >> shift & 1)) {
        code = code << 1 | u32::from(bit);
        length += 1;
        if length > LONGEST {
            return None;
        }
        let offset = usize::try_from(code.checked_sub(CODE.first[length])?).ok()?;
        if offset < CODE.start[length + 1] - CODE.start[length] {
            decoded.push(CODE.bytes[CODE.start[length] + offset]);
            (code, length) = (0, 0);
        }
    }
    // What is left over fills the last byte with ones.
    let is_padding = length < 8 && code == (1 << length) - 1;
    is_padding.then_some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_standard_are_read() {
        // RFC 7541, appendix C.4 and C.6.
        let examples: [(&[u8], &str); 4] = [
            (b"\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff", "www.example.com"),
            (b"\xa8\xeb\x10\x64\x9c\xbf", "no-cache"),
            (b"\x25\xa8\x49\xe9\x5b\xb8\xe8\xb4\xbf", "custom-value"),
            (
                b"\x9d\x29\xad\x17\x18\x63\xc7\x8f\x0b\x97\xc8\xe9\xae\x82\xae\x43\xd3",
                "https://www.example.com",
            ),
        ];
        for (encoded, decoded) in examples {
            assert_eq!(decode(encoded).as_deref(), Some(decoded.as_bytes()), "{decoded}");
        }
        assert_eq!(decode(b"").as_deref(), Some(&b""[..]));
    }

    #[test]
    fn what_is_no_string_is_refused() {
        assert_eq!(decode(b"\xff\xff\xff\xff"), None, "the mark of the end is no byte");
        assert_eq!(decode(b"\xff"), None, "padding has fewer than eight bits");
        assert_eq!(decode(b"\x00"), None, "padding is ones");
    }
}
