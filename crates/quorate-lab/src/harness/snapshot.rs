//! What the services of snapshot scenarios put into a snapshot.

/// Every value from the first index on, as the Go course lab's service has it.
pub(super) fn encode(values: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for value in values {
        let length = u32::try_from(value.len()).expect("commands of scenarios are short");
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(value);
    }
    bytes
}

/// The values of a snapshot; nothing where it was not made by [`encode`].
pub(super) fn decode(mut bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut values = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        values.push(rest.get(..length)?.to_vec());
        bytes = &rest[length..];
    }
    Some(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_read_back_and_nothing_else_is() {
        let values = vec![b"a".to_vec(), Vec::new(), b"ccc".to_vec()];
        let bytes = encode(&values);
        assert_eq!(decode(&bytes), Some(values));
        assert_eq!(decode(&bytes[..bytes.len() - 1]), None);
        assert_eq!(decode(&[1]), None);
        assert_eq!(decode(&[]), Some(Vec::new()));
    }
}
