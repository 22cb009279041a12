//! Ranges of keys as etcd writes them: a key and an end with two special meanings.
//!
//! An empty end means the single key; an end of one zero byte means every key from the first on;
//! any other end is exclusive. A range whose end does not lie above its key holds nothing.

/// A range of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRange {
    /// First key of the range, or the single key. Empty is not allowed in any request.
    pub key: Box<[u8]>,
    /// End of the range: empty for the single key, one zero byte for no end, else exclusive.
    pub range_end: Box<[u8]>,
}

/// The meaning of a [`KeyRange`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Span<'a> {
    /// One key.
    Key(&'a [u8]),
    /// Every key from this one on.
    From(&'a [u8]),
    /// From the first on, below the second.
    Between(&'a [u8], &'a [u8]),
}

impl KeyRange {
    /// The range of one key.
    #[must_use]
    pub fn single(key: &[u8]) -> Self {
        Self { key: key.into(), range_end: Box::default() }
    }

    /// A range as a request spells it.
    #[must_use]
    pub fn new(key: &[u8], range_end: &[u8]) -> Self {
        Self { key: key.into(), range_end: range_end.into() }
    }

    /// Every key that is `key` or follows it.
    #[must_use]
    pub fn from_key(key: &[u8]) -> Self {
        Self { key: key.into(), range_end: Box::new([0]) }
    }

    /// Every key that begins with `prefix`; every key when it is empty.
    #[must_use]
    pub fn prefix(prefix: &[u8]) -> Self {
        if prefix.is_empty() {
            return Self::from_key(&[0]);
        }
        let kept = prefix.iter().rposition(|&byte| byte != u8::MAX);
        let range_end = kept.map_or_else(
            || Box::from([0]),
            |last| {
                let mut end = prefix[..=last].to_vec();
                end[last] += 1;
                end.into_boxed_slice()
            },
        );
        Self { key: prefix.into(), range_end }
    }

    /// What the range means.
    pub(crate) fn span(&self) -> Span<'_> {
        match &*self.range_end {
            [] => Span::Key(&self.key),
            [0] => Span::From(&self.key),
            end => Span::Between(&self.key, end),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix_drops_trailing_ff_bytes() {
        let end = |prefix: &[u8]| KeyRange::prefix(prefix).range_end.to_vec();
        assert_eq!(end(b"ab"), b"ac");
        assert_eq!(end(b"a\xff\xff"), b"b");
        assert_eq!(end(b"\xff\xff"), b"\0", "nothing follows, so the range has no end");
        assert_eq!(KeyRange::prefix(b""), KeyRange::new(b"\0", b"\0"));
    }

    #[test]
    fn an_end_of_one_zero_byte_means_no_end() {
        assert_eq!(KeyRange::new(b"a", b"\0").span(), Span::From(b"a"));
        assert_eq!(KeyRange::new(b"a", b"\0\0").span(), Span::Between(b"a", b"\0\0"));
        assert_eq!(KeyRange::new(b"a", b"").span(), Span::Key(b"a"));
    }
}
