//! What can happen to the bytes of a frame on their way.

use crate::rng::Rng;

/// The bytes of a frame, not as they were sent: bits flipped, the end missing, garbage in front, or
/// a length that promises far too much.
pub(super) fn damage(bytes: &[u8], rng: &mut Rng) -> Vec<u8> {
    let mut damaged = bytes.to_vec();
    match rng.range(0..4) {
        0 => damaged.truncate(rng.index(bytes.len())),
        1 => {
            let garbage = (0..rng.range(1..64)).map(|_| rng.next_u64().to_le_bytes()[0]);
            damaged.splice(0..0, garbage);
        }
        2 => {
            let length = damaged.len().min(4);
            damaged[..length].fill(0xFF);
        }
        _ => {
            for _ in 0..rng.range(1..4) {
                let at = rng.index(damaged.len());
                damaged[at] ^= 1 << rng.range(0..8);
            }
        }
    }
    damaged
}

#[cfg(test)]
mod tests {
    use quorate::transport::frame::{Parsed, parse};

    use super::*;

    #[test]
    fn what_was_damaged_is_no_frame_or_a_whole_one() {
        let mut rng = Rng::new(5);
        let frame = vec![0x5A; 200];
        for _ in 0..10_000 {
            let damaged = damage(&frame, &mut rng);
            assert!(damaged.len() <= frame.len() + 64);
            // Nothing that a decoder may do with it is a panic.
            let parsed = parse(&damaged, 1 << 20);
            assert!(!matches!(parsed, Ok(Parsed::Frame(raw)) if raw.body.len() > damaged.len()));
        }
    }
}
