//! Reading of small binary layouts from bytes that nobody has checked.
//!
//! Every number is little-endian. Rules:
//! - No read goes beyond the bytes at hand, and none panics.
//! - Nothing is allocated by a length that was read: texts are copied only after their length was
//!   found to be within its limit and within the bytes.
//! - `Reader::finish` refuses bytes that nobody asked for, so that a value has one encoding.

/// Why bytes are not the layout that was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// The bytes end inside a field.
    #[error("the bytes end at {have} inside `{what}`, which needs {need} more")]
    Short {
        /// Field that was being read.
        what: &'static str,
        /// Bytes there are in all.
        have: usize,
        /// Bytes that are missing.
        need: usize,
    },
    /// A length or count is above its limit.
    #[error("`{what}` is {found}, above the limit of {limit}")]
    Limit {
        /// Field whose length or count it is.
        what: &'static str,
        /// What was found.
        found: u64,
        /// What is allowed.
        limit: u64,
    },
    /// A field holds a value that this version does not know or that contradicts another field.
    #[error("`{what}` holds {found}, which has no meaning there")]
    Value {
        /// Field that holds it.
        what: &'static str,
        /// What was found.
        found: u64,
    },
    /// A text is not UTF-8.
    #[error("`{what}` is not UTF-8 text")]
    Text {
        /// Field that holds it.
        what: &'static str,
    },
    /// The version is one that this program does not know.
    #[error("`{what}` has version {found}, and this program knows only {known}; upgrade it")]
    Version {
        /// Layout whose version it is.
        what: &'static str,
        /// What was found.
        found: u8,
        /// The version that this program reads.
        known: u8,
    },
    /// The checksum does not fit the bytes.
    #[error("`{what}` is damaged: its checksum says {stored:08x}, its bytes say {computed:08x}")]
    Checksum {
        /// Layout whose checksum it is.
        what: &'static str,
        /// Checksum that came with the bytes.
        stored: u32,
        /// Checksum of the bytes that came.
        computed: u32,
    },
    /// Bytes follow where nothing should.
    #[error("{extra} bytes follow `{what}`")]
    Trailing {
        /// Layout that should have ended.
        what: &'static str,
        /// Bytes left over.
        extra: usize,
    },
}

/// A position in bytes that came from a network or a disk.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Takes the next `count` bytes.
    pub(crate) fn take(&mut self, what: &'static str, count: usize) -> Result<&'a [u8], WireError> {
        let left = self.bytes.len() - self.at;
        if count > left {
            return Err(WireError::Short { what, have: self.bytes.len(), need: count - left });
        }
        let taken = &self.bytes[self.at..self.at + count];
        self.at += count;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], WireError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(what, N)?);
        Ok(array)
    }

    pub(crate) fn u8(&mut self, what: &'static str) -> Result<u8, WireError> {
        Ok(self.array::<1>(what)?[0])
    }

    pub(crate) fn u16(&mut self, what: &'static str) -> Result<u16, WireError> {
        Ok(u16::from_le_bytes(self.array(what)?))
    }

    pub(crate) fn u32(&mut self, what: &'static str) -> Result<u32, WireError> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    pub(crate) fn u64(&mut self, what: &'static str) -> Result<u64, WireError> {
        Ok(u64::from_le_bytes(self.array(what)?))
    }

    /// A truth value: 0 or 1 and nothing else.
    pub(crate) fn flag(&mut self, what: &'static str) -> Result<bool, WireError> {
        match self.u8(what)? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(WireError::Value { what, found: u64::from(other) }),
        }
    }

    /// A count of at most `limit`.
    pub(crate) fn count(&mut self, what: &'static str, limit: usize) -> Result<usize, WireError> {
        let found = self.u16(what)?;
        within(what, usize::from(found), limit)
    }

    /// A text of at most `limit` bytes behind a `u16` length.
    pub(crate) fn text(&mut self, what: &'static str, limit: usize) -> Result<String, WireError> {
        let length = self.count(what, limit)?;
        let bytes = self.take(what, length)?;
        core::str::from_utf8(bytes).map(str::to_owned).map_err(|_| WireError::Text { what })
    }

    /// Everything that is left.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        let rest = &self.bytes[self.at..];
        self.at = self.bytes.len();
        rest
    }

    /// Whether nothing is left.
    pub(crate) const fn is_empty(&self) -> bool {
        self.at == self.bytes.len()
    }

    /// Ends the reading; bytes left over are an error.
    pub(crate) fn finish(self, what: &'static str) -> Result<(), WireError> {
        match self.bytes.len() - self.at {
            0 => Ok(()),
            extra => Err(WireError::Trailing { what, extra }),
        }
    }
}

/// Checks a length or count against its limit, when reading as when writing.
pub(crate) fn within(what: &'static str, found: usize, limit: usize) -> Result<usize, WireError> {
    if found > limit {
        return Err(WireError::Limit { what, found: found as u64, limit: limit as u64 });
    }
    Ok(found)
}

/// Appends a text of at most `limit` bytes behind its `u16` length.
pub(crate) fn put_text(
    out: &mut Vec<u8>,
    what: &'static str,
    text: &str,
    limit: usize,
) -> Result<(), WireError> {
    put_count(out, what, text.len(), limit)?;
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

/// Appends a count of at most `limit` as a `u16`.
pub(crate) fn put_count(
    out: &mut Vec<u8>,
    what: &'static str,
    count: usize,
    limit: usize,
) -> Result<(), WireError> {
    within(what, count, limit.min(usize::from(u16::MAX)))?;
    let count = u16::try_from(count).expect("the line above holds it below u16::MAX");
    out.extend_from_slice(&count.to_le_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_never_goes_beyond_its_bytes() {
        let mut reader = Reader::new(&[1, 2, 3]);
        assert_eq!(reader.u16("a"), Ok(0x0201));
        assert_eq!(reader.u16("b"), Err(WireError::Short { what: "b", have: 3, need: 1 }));
        assert_eq!(reader.u8("c"), Ok(3), "a failed read takes nothing");
        assert_eq!(reader.finish("all"), Ok(()));
    }

    #[test]
    fn bytes_left_over_are_refused() {
        let reader = Reader::new(&[0]);
        assert_eq!(reader.finish("all"), Err(WireError::Trailing { what: "all", extra: 1 }));
    }

    #[test]
    fn a_text_is_limited_before_it_is_copied() {
        let mut out = Vec::new();
        assert_eq!(put_text(&mut out, "t", "abc", 3), Ok(()));
        assert_eq!(Reader::new(&out).text("t", 3).as_deref(), Ok("abc"));
        let limit = WireError::Limit { what: "t", found: 3, limit: 2 };
        assert_eq!(Reader::new(&out).text("t", 2), Err(limit));
        assert_eq!(put_text(&mut out, "t", "abc", 2), Err(limit));
        let long = [0xff, 0xff, b'a'];
        assert!(matches!(Reader::new(&long).text("t", 65_535), Err(WireError::Short { .. })));
        let wild = [1, 0, 0xff];
        assert_eq!(Reader::new(&wild).text("t", 9), Err(WireError::Text { what: "t" }));
    }

    #[test]
    fn a_flag_is_zero_or_one() {
        assert_eq!(Reader::new(&[1]).flag("f"), Ok(true));
        assert_eq!(Reader::new(&[2]).flag("f"), Err(WireError::Value { what: "f", found: 2 }));
    }
}
