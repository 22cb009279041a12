//! The keystream that hides batches on disk.
//!
//! Every byte of a segment after its header is XORed with a stream that the segment's random id
//! alone determines. Two things follow that recovery rests on: a 64-byte chunk of zeros was never
//! written, whatever the payload is, and no payload can look like a batch header. It is not
//! encryption: the id stands in the segment's header.
//!
//! The stream is seekable: its 8-byte word `i`, little-endian, covers bytes `8 i .. 8 i + 8` of the
//! file and is `mix(key + (i + 1) * STEP)` with `key = mix(id + STEP)`, all modulo 2^64, where
//! `mix` is the finalizer of SplitMix64 (Steele, Lea, Flood 2014).

/// The odd number closest to 2^64 divided by the golden ratio.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// Scatters a number over all 64 bits; a bijection.
pub(crate) const fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ (number >> 31)
}

/// The keystream of one segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Whitener {
    key: u64,
}

impl Whitener {
    /// The stream of the segment with this id.
    pub(crate) const fn new(segment_id: u64) -> Self {
        Self { key: mix(segment_id.wrapping_add(STEP)) }
    }

    /// The word that covers the eight bytes from `offset`, which is a multiple of eight.
    const fn word(self, offset: u64) -> u64 {
        mix(self.key.wrapping_add((offset / 8 + 1).wrapping_mul(STEP)))
    }

    /// Hides bytes that stand at `offset` of the file, or shows hidden ones: it is its own inverse.
    ///
    /// # Panics
    ///
    /// When `offset` is no multiple of eight.
    pub(crate) fn apply(self, bytes: &mut [u8], offset: u64) {
        assert!(offset.is_multiple_of(8), "batches begin at sectors");
        let mut state = self.key.wrapping_add((offset / 8).wrapping_mul(STEP));
        let (words, rest) = bytes.as_chunks_mut::<8>();
        for word in words {
            state = state.wrapping_add(STEP);
            *word = (u64::from_le_bytes(*word) ^ mix(state)).to_le_bytes();
        }
        let last = mix(state.wrapping_add(STEP)).to_le_bytes();
        for (byte, key) in rest.iter_mut().zip(last) {
            *byte ^= key;
        }
    }

    /// The first eight bytes at `offset`, hidden, when `plain` stands there.
    pub(crate) const fn hidden(self, plain: [u8; 8], offset: u64) -> [u8; 8] {
        (u64::from_le_bytes(plain) ^ self.word(offset)).to_le_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_its_own_inverse_at_every_length_and_seekable() {
        let whitener = Whitener::new(7);
        let plain: Vec<u8> = (0..200_u8).collect();
        let mut whole = plain.clone();
        whitener.apply(&mut whole, 512);
        for cut in (0..plain.len()).step_by(8) {
            let mut rest = plain[cut..].to_vec();
            whitener.apply(&mut rest, 512 + cut as u64);
            assert_eq!(rest, whole[cut..], "the stream is a function of the offset");
        }
        whitener.apply(&mut whole, 512);
        assert_eq!(whole, plain);
    }

    #[test]
    fn the_documented_example_holds() {
        // docs/disk-format.md gives these bytes.
        let mut bytes = [0; 16];
        Whitener::new(1).apply(&mut bytes, 512);
        assert_eq!(u64::from_le_bytes(bytes[..8].try_into().unwrap()), Whitener::new(1).word(512));
        assert_eq!(mix(STEP), 0xE220_A839_7B1D_CDAF, "SplitMix64's first number from seed 0");
    }

    #[test]
    fn streams_of_neighbouring_ids_share_no_word() {
        let mut words = std::collections::BTreeSet::new();
        for id in 0..64 {
            for offset in (0..4096).step_by(8) {
                assert!(words.insert(Whitener::new(id).word(offset)));
            }
        }
    }
}
