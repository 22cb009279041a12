//! What can happen to the bytes of a frame on their way.
//!
//! A checksum finds what the network does to bytes. What comes from a program that is none of ours
//! has a checksum that fits and says what nobody understands; nothing here
//! makes a frame that says something else and can be understood.

use quorate::transport::frame::FRAME_HEADER_BYTES;

use crate::rng::Rng;

/// The highest kind of a frame: a piece of a snapshot.
const LAST_KIND: u8 = 64;

/// Bytes of a body that no kind of frame can do with.
const TOO_SHORT: usize = 8;

/// The bytes of a frame, not as they were sent: bits flipped, the end missing, garbage in front, a
/// length that promises far too much or nothing, a kind that nobody knows, or a body too short for
/// its kind.
pub(super) fn damage(bytes: &[u8], rng: &mut Rng) -> Vec<u8> {
    let mut damaged = bytes.to_vec();
    match rng.range(0..7) {
        0 => damaged.truncate(rng.index(bytes.len())),
        1 => {
            let garbage = (0..rng.range(1..64)).map(|_| rng.next_u64().to_le_bytes()[0]);
            damaged.splice(0..0, garbage);
        }
        2 => {
            let length = damaged.len().min(4);
            damaged[..length].fill(0xFF);
        }
        3 => {
            let length = damaged.len().min(4);
            damaged[..length].fill(0);
        }
        4 if damaged.len() > FRAME_HEADER_BYTES => {
            damaged[FRAME_HEADER_BYTES] = rng.range(LAST_KIND + 1..u8::MAX);
            seal(&mut damaged);
        }
        5 if damaged.len() > FRAME_HEADER_BYTES => {
            damaged.truncate(FRAME_HEADER_BYTES + 1 + rng.index(TOO_SHORT));
            seal(&mut damaged);
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

/// Gives a frame the length and the checksum that fit what it holds.
fn seal(frame: &mut [u8]) {
    let content = &frame[FRAME_HEADER_BYTES..];
    let (length, crc) = (content.len() as u64, crc32c(content));
    frame[..4].copy_from_slice(&length.to_le_bytes()[..4]);
    frame[4..8].copy_from_slice(&crc.to_le_bytes());
}

/// CRC-32C, bit by bit: for the few frames that are damaged.
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| (crc >> 1) ^ (0x82F6_3B78 * (crc & 1));
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

#[cfg(test)]
mod tests {
    use quorate::transport::codec::{CodecError, Ends, FrameLimits, decode, decode_bulk};
    use quorate::transport::frame::{Parsed, parse};
    use quorate_core::{BootCounter, NodeId};

    use super::*;

    #[test]
    fn what_was_damaged_is_no_frame_or_a_whole_one() {
        let mut rng = Rng::new(5);
        let frame = vec![0x5A; 200];
        for _ in 0..10_000 {
            let damaged = damage(&frame, &mut rng);
            assert!(damaged.len() <= frame.len() + 64);
            assert_ne!(damaged, frame);
            // Nothing that a decoder may do with it is a panic.
            let parsed = parse(&damaged, 1 << 20);
            assert!(!matches!(parsed, Ok(Parsed::Frame(raw)) if raw.body.len() > damaged.len()));
        }
    }

    #[test]
    fn a_checksum_that_fits_does_not_make_a_frame_of_it() {
        let mut rng = Rng::new(6);
        let mut sealed = 0;
        let node = |id| NodeId::new(id).expect("not zero");
        let ends = Ends { me: node(1), peer: node(2), boot: BootCounter(1) };
        for kind in 0..=LAST_KIND {
            let mut frame = vec![kind; 200];
            // What a piece of a snapshot would be, if it were taken for one: its first.
            frame[FRAME_HEADER_BYTES + 57..][..8].fill(0);
            frame[FRAME_HEADER_BYTES] = kind;
            seal(&mut frame);
            assert!(matches!(parse(&frame, 1 << 20), Ok(Parsed::Frame(raw)) if raw.kind == kind));
            for _ in 0..200 {
                let damaged = damage(&frame, &mut rng);
                if let Ok(Parsed::Frame(raw)) = parse(&damaged, 1 << 20) {
                    sealed += 1;
                    let frame = match decode(raw, ends, FrameLimits::for_entries(1 << 20)) {
                        Err(CodecError::WrongChannel(_)) => decode_bulk(raw, ends),
                        frame => frame,
                    };
                    assert!(frame.is_err(), "kind {kind}: {frame:?}");
                }
            }
        }
        assert!(sealed > 2_000, "two of seven: {sealed}");
    }
}
