//! Bytes through the filter, in pieces of every size.

use tokio::io::AsyncReadExt as _;

use super::*;

const SETTINGS: &[u8] = b"\0\0\0\x04\0\0\0\0\0";

fn frame(kind: u8, flags: u8, content: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = u32::try_from(content.len()).unwrap().to_be_bytes();
    [&[a, b, c, kind, flags, 0, 0, 0, 1], content].concat()
}

fn request(authority: &str) -> Vec<u8> {
    let length = u8::try_from(authority.len()).unwrap();
    let block = [b"\x83\x86\x41", &[length][..], authority.as_bytes(), b"\x84"].concat();
    frame(HEADERS, END_HEADERS, &block)
}

/// What passes when the bytes come in pieces of this size.
fn passed(input: &[u8], piece: usize) -> Vec<u8> {
    let mut filter = Filter::new();
    for piece in input.chunks(piece) {
        filter.take(piece);
    }
    filter.finish();
    filter.passed
}

const BAD: &str = "http://a:1";
const MENDED: &str = "http---a-1";

#[test]
fn a_bad_authority_is_mended_in_every_request_however_the_bytes_come() {
    let data = frame(0, 0, b"http://a:1");
    let again = frame(HEADERS, END_HEADERS, b"\xbe\x84");
    let with = |authority| {
        let request = request(authority);
        [PREFACE, SETTINGS, &request, &data, &again, &data, &request].concat()
    };
    let (input, expected) = (with(BAD), with(MENDED));
    for piece in 1..=input.len() {
        assert_eq!(passed(&input, piece), expected, "pieces of {piece}");
    }
}

#[test]
fn padding_and_priority_around_the_headers_stay() {
    let block = |authority: &str| [b"\x41\x0a", authority.as_bytes()].concat();
    let content = |authority| [b"\x02\0\0\0\0\x10", &block(authority)[..], b"\0\0"].concat();
    let flags = END_HEADERS | PADDED | PRIORITY;
    let input = [PREFACE, &frame(HEADERS, flags, &content(BAD))].concat();
    let expected = [PREFACE, &frame(HEADERS, flags, &content(MENDED))].concat();
    assert_eq!(passed(&input, 5), expected);
    let nonsense = [PREFACE, &frame(HEADERS, flags, b"\xff\0")].concat();
    assert_eq!(passed(&nonsense, 5), nonsense);
}

#[test]
fn anything_else_passes_as_it_is() {
    let fine = [PREFACE, SETTINGS, &request("a:1"), &request(BAD)].concat();
    let unfinished = [PREFACE, &frame(HEADERS, 0, &request(BAD)), &request("a:1")].concat();
    let inputs: [&[u8]; 6] = [
        b"",
        b"GET / HTTP/1.1\r\nHost: http://a:1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
        b"PRI * HT",
        &fine,
        &unfinished,
    ];
    for input in inputs {
        for piece in [1, 3, 10_000] {
            assert_eq!(passed(input, piece), input, "{}", input.escape_ascii());
        }
    }
}

#[tokio::test]
async fn the_stream_is_read_to_its_end_and_no_further_copies_are_kept() {
    let input = [PREFACE, SETTINGS, &request(BAD)[..20]].concat();
    let mut stream = Forgiving::new(&input[..]);
    let mut read = Vec::new();
    stream.read_to_end(&mut read).await.unwrap();
    assert_eq!(read, input, "a request that breaks off is for others to refuse");

    let input = [PREFACE, &request("a:1"), &[7; 100_000]].concat();
    let mut stream = Forgiving::new(&input[..]);
    let mut read = Vec::new();
    stream.read_to_end(&mut read).await.unwrap();
    assert_eq!(read, input);
    assert_eq!(stream.filter.held.capacity() + stream.filter.passed.capacity(), 0);
}
