//! Numbers as few bytes: seven bits in each, the lowest first, the highest bit says that more come.

use quorate::SnapshotError;

/// Bytes of the largest number.
pub(crate) const LONGEST: usize = 10;

/// Appends a number.
pub(crate) fn write(number: u64, room: &mut Vec<u8>) {
    each_byte(number, |byte| room.push(byte));
}

/// Hands out the bytes of a number, at most [`LONGEST`] of them.
pub(crate) fn each_byte(mut number: u64, mut take: impl FnMut(u8)) {
    loop {
        let [low, ..] = number.to_le_bytes();
        number >>= 7;
        if number == 0 {
            return take(low & 127);
        }
        take(low | 128);
    }
}

/// Reads a number; takes no other bytes than [`write`] makes.
pub(crate) fn read(
    mut byte: impl FnMut() -> Result<u8, SnapshotError>,
) -> Result<u64, SnapshotError> {
    let mut number = 0;
    for at in 0..LONGEST {
        let next = byte()?;
        let bits = u64::from(next & 127);
        let shifted = bits << (7 * at);
        if shifted >> (7 * at) != bits {
            break;
        }
        number |= shifted;
        if next < 128 {
            if next == 0 && at > 0 {
                break;
            }
            return Ok(number);
        }
    }
    Err(SnapshotError::Malformed("a number is not written as it should be".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(bytes: &[u8]) -> Option<u64> {
        let mut bytes = bytes.iter().copied();
        let end = || SnapshotError::Malformed(String::new());
        let number = read(|| bytes.next().ok_or_else(end)).ok()?;
        bytes.next().is_none().then_some(number)
    }

    #[test]
    fn numbers_come_back() {
        let edges = (0..64).map(|bit| 1_u64 << bit);
        for number in edges.flat_map(|edge| [edge - 1, edge, edge + 1]).chain([u64::MAX]) {
            let mut bytes = Vec::new();
            write(number, &mut bytes);
            assert_eq!(decode(&bytes), Some(number));
            assert_ne!(decode(&bytes[1..]), Some(number));
        }
    }

    #[test]
    fn a_number_has_one_encoding() {
        assert_eq!(decode(&[]), None);
        assert_eq!(decode(&[128]), None, "more should come");
        assert_eq!(decode(&[129, 0]), None, "one byte would do");
        assert_eq!(decode(&[255; 9]), None, "more should come");
        let mut bytes = [255; 10];
        bytes[9] = 1;
        assert_eq!(decode(&bytes), Some(u64::MAX));
        bytes[9] = 2;
        assert_eq!(decode(&bytes), None, "more than 64 bits");
        assert_eq!(decode(&[255; 11]), None);
    }
}
