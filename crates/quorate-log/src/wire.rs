//! Little-endian numbers in byte buffers.
//!
//! Decides nothing: every format of this crate puts its numbers through here, so that none depends
//! on the byte order of a machine. Reading past the end is an absent value, never a panic.

/// Overwrites `N` bytes at `at`.
///
/// # Panics
///
/// When the buffer ends before: the caller sized it for the format that it writes.
pub(crate) fn put<const N: usize>(out: &mut [u8], at: usize, bytes: [u8; N]) {
    out[at..at + N].copy_from_slice(&bytes);
}

/// Overwrites the 8 bytes at `at` with a number.
pub(crate) fn put_u64(out: &mut [u8], at: usize, value: u64) {
    put(out, at, value.to_le_bytes());
}

/// Overwrites the 4 bytes at `at` with a number.
pub(crate) fn put_u32(out: &mut [u8], at: usize, value: u32) {
    put(out, at, value.to_le_bytes());
}

/// The `N` bytes at `at`, if they are there.
pub(crate) fn take<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

/// The number in the 8 bytes at `at`, if they are there.
pub(crate) fn take_u64(bytes: &[u8], at: usize) -> Option<u64> {
    take(bytes, at).map(u64::from_le_bytes)
}

/// The number in the 4 bytes at `at`, if they are there.
pub(crate) fn take_u32(bytes: &[u8], at: usize) -> Option<u32> {
    take(bytes, at).map(u32::from_le_bytes)
}

/// The number in the 16 bytes at `at`, if they are there.
pub(crate) fn take_u128(bytes: &[u8], at: usize) -> Option<u128> {
    take(bytes, at).map(u128::from_le_bytes)
}

/// A length in memory as a number on disk.
pub(crate) fn length(bytes: usize) -> u64 {
    u64::try_from(bytes).expect("a length in memory fits 64 bits")
}
