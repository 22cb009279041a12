//! The key ranges of `get` and `del`: one key, a half-open range, a prefix, or everything from a key on.

use bytes::Bytes;

use crate::failure::Failure;

/// What etcd takes for "to the end": as a range end, and as the smallest key.
const ZERO: &[u8] = &[0];

/// First key and range end, as the protocol has them.
pub(super) fn bounds(
    key: &str,
    range_end: Option<&str>,
    prefix: bool,
    from_key: bool,
) -> Result<(Bytes, Bytes), Failure> {
    if prefix && from_key {
        return Err(contradiction("--prefix and --from-key cannot both be given"));
    }
    if range_end.is_some() && (prefix || from_key) {
        return Err(contradiction("a range end cannot be given with --prefix or --from-key"));
    }
    let first = Bytes::copy_from_slice(key.as_bytes());
    if prefix {
        // The empty prefix means every key, and no key is empty.
        let first = if first.is_empty() { Bytes::from_static(ZERO) } else { first };
        return Ok((first, prefix_end(key.as_bytes())));
    }
    if from_key {
        let first = if first.is_empty() { Bytes::from_static(ZERO) } else { first };
        return Ok((first, Bytes::from_static(ZERO)));
    }
    let end = range_end.map_or_else(Bytes::new, |end| Bytes::copy_from_slice(end.as_bytes()));
    Ok((first, end))
}

/// The first key after all that start with a prefix; "to the end" when there is none.
fn prefix_end(prefix: &[u8]) -> Bytes {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if let Some(next) = last.checked_add(1) {
            end.push(next);
            return Bytes::from(end);
        }
    }
    Bytes::from_static(ZERO)
}

fn contradiction(what: &str) -> Failure {
    Failure::usage(what, "each says on its own where the range ends", "give one of them")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_those_of_etcd() {
        let range = |key, end, prefix, from| {
            let (first, end) = bounds(key, end, prefix, from).unwrap();
            (first.to_vec(), end.to_vec())
        };
        assert_eq!(range("a", None, false, false), (b"a".to_vec(), vec![]));
        assert_eq!(range("a", Some("c"), false, false), (b"a".to_vec(), b"c".to_vec()));
        assert_eq!(range("ab", None, true, false), (b"ab".to_vec(), b"ac".to_vec()));
        assert_eq!(range("", None, true, false), (vec![0], vec![0]));
        assert_eq!(range("a", None, false, true), (b"a".to_vec(), vec![0]));
        assert_eq!(prefix_end(&[b'a', 0xff]).as_ref(), b"b");
        assert_eq!(prefix_end(&[0xff]).as_ref(), [0]);
    }

    #[test]
    fn contradictions_are_refused() {
        assert!(bounds("a", None, true, true).is_err());
        assert!(bounds("a", Some("b"), true, false).is_err());
        assert!(bounds("a", Some("b"), false, true).is_err());
    }
}
