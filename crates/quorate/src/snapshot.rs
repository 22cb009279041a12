//! The state of a machine as bytes, and the machine from them.
//!
//! A log that is never cut grows without end. A node therefore writes the state of its machine to a
//! file now and then, cuts the log there, and begins with that file when it starts; a node that
//! was away for too long is sent the file in place of the entries. What stands around the
//! state (the members, the log's time, what clients were answered) is not the machine's concern.
//!
//! - **Small states** need nothing: every type that serde can write and read is a [`Snapshot`].
//!   The whole state is encoded at once, in memory, while commands wait, and twice its size is in
//!   memory until the file is written. Up to a few megabytes nobody notices.
//! - **Large states** implement [`Snapshot`] themselves, and do not derive serde: [`Snapshot::view`]
//!   makes a copy that costs next to nothing (reference counts, a persistent map), and
//!   [`SnapshotView::next`] writes it piece by piece on another thread while commands go on.
//!
//! **The same state must give the same bytes, on every node.** Nodes compare their snapshots, and
//! one that differs has diverged. So nothing of a snapshot may depend on an address, a clock, a
//! random number, or the order of a `HashMap` or `HashSet`: use `BTreeMap`, or write in sorted
//! order. Nor may it depend on how often queries came, or when the node was started.

mod meta;

use std::io;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec::{Codec, CodecError};

pub use self::meta::SnapshotMeta;

/// About how many bytes a piece of a snapshot should have.
pub const PIECE_BYTES: usize = 64 * 1024;

/// A state that can be written to a file and read back.
///
/// Types that serde can write and read have it already:
///
/// ```
/// use quorate::{Snapshot, SnapshotView};
///
/// let mut bytes = Vec::new();
/// let mut view = vec![1_u64, 2, 3].view();
/// while view.next(&mut bytes)? {}
///
/// let mut restored = Vec::<u64>::new();
/// restored.restore(&mut bytes.as_slice())?;
/// assert_eq!(restored, [1, 2, 3]);
/// # Ok::<(), quorate::SnapshotError>(())
/// ```
///
/// One that holds a lot shares it with its view:
///
/// ```
/// use std::io::Read;
/// use std::sync::Arc;
/// use quorate::{PIECE_BYTES, Snapshot, SnapshotError, SnapshotView};
///
/// /// Lines of text; a view of them costs one reference count for each thousand.
/// #[derive(Default)]
/// struct Lines {
///     thousands: Vec<Arc<Vec<String>>>,
/// }
///
/// struct LinesView {
///     thousands: std::vec::IntoIter<Arc<Vec<String>>>,
/// }
///
/// impl Snapshot for Lines {
///     type View = LinesView;
///
///     fn view(&self) -> LinesView {
///         LinesView { thousands: self.thousands.clone().into_iter() }
///     }
///
///     fn restore(&mut self, from: &mut dyn Read) -> Result<(), SnapshotError> {
///         let mut text = String::new();
///         from.read_to_string(&mut text)?;
///         let lines: Vec<String> = text.lines().map(String::from).collect();
///         self.thousands = lines.chunks(1000).map(|lines| Arc::new(lines.to_vec())).collect();
///         Ok(())
///     }
/// }
///
/// impl SnapshotView for LinesView {
///     fn next(&mut self, room: &mut Vec<u8>) -> Result<bool, SnapshotError> {
///         let end = room.len() + PIECE_BYTES;
///         while room.len() < end {
///             let Some(lines) = self.thousands.next() else { return Ok(false) };
///             for line in lines.iter() {
///                 room.extend_from_slice(line.as_bytes());
///                 room.push(b'\n');
///             }
///         }
///         Ok(true)
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "the state of `{Self}` cannot be written to a snapshot",
    note = "derive `serde::Serialize` and `serde::Deserialize` for a small state; implement `quorate::Snapshot` for a large one"
)]
pub trait Snapshot {
    /// The state at one moment, to be written while the state goes on changing.
    type View: SnapshotView;

    /// The state as it stands.
    ///
    /// Commands wait meanwhile, so it should take no longer than they may: 5 ms is a good limit.
    /// What cannot be written is said by the view.
    fn view(&self) -> Self::View;

    /// Replaces the state by the one that these bytes hold; they end where the view ended.
    ///
    /// The bytes are those of a view, unharmed, but maybe of one that another version of the
    /// program or another machine made. Whatever was there before is gone, and nothing else
    /// happens: what applied commands cause outside the machine was caused when they were applied.
    ///
    /// # Errors
    ///
    /// When the bytes cannot be read or hold no such state. The machine is not used again then.
    fn restore(&mut self, from: &mut dyn io::Read) -> Result<(), SnapshotError>;
}

/// The state of a machine at one moment.
pub trait SnapshotView: Send + 'static {
    /// Appends the next piece to `room`, about [`PIECE_BYTES`]; `false` when this was the last one.
    ///
    /// Where pieces end means nothing: a reader gets the bytes in a row.
    ///
    /// # Errors
    ///
    /// When the state cannot be written. The snapshot is given up, and the node goes on.
    fn next(&mut self, room: &mut Vec<u8>) -> Result<bool, SnapshotError>;
}

/// Why a state could not be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The bytes do not come, or not all of them.
    #[error("the snapshot cannot be read: {0}")]
    Read(#[from] io::Error),
    /// The snapshot was written by a later version.
    #[error("the snapshot has version {0}, which this program does not know; upgrade it")]
    Version(u8),
    /// The bytes are not a state of this machine.
    #[error("the snapshot does not hold a state of this machine: {0}")]
    Malformed(String),
    /// The state has no encoding.
    #[error("the state cannot be written: {0}")]
    Unwritable(String),
}

impl From<CodecError> for SnapshotError {
    fn from(error: CodecError) -> Self {
        match error {
            CodecError::Version(version) => Self::Version(version),
            CodecError::Unencodable(what) => Self::Unwritable(what),
            CodecError::Empty | CodecError::Malformed(_) => Self::Malformed(error.to_string()),
        }
    }
}

/// The [`Codec`]'s bytes, made when the view is.
impl<T: Serialize + DeserializeOwned> Snapshot for T {
    type View = EncodedState;

    fn view(&self) -> EncodedState {
        let mut bytes = Vec::new();
        let encoded = self.encode(&mut bytes);
        EncodedState { bytes: encoded.map(|()| bytes), written: 0 }
    }

    fn restore(&mut self, from: &mut dyn io::Read) -> Result<(), SnapshotError> {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes)?;
        *self = Self::decode(&bytes)?;
        Ok(())
    }
}

/// A state that was encoded at once.
#[derive(Debug)]
pub struct EncodedState {
    bytes: Result<Vec<u8>, CodecError>,
    written: usize,
}

impl SnapshotView for EncodedState {
    fn next(&mut self, room: &mut Vec<u8>) -> Result<bool, SnapshotError> {
        let bytes = self.bytes.as_ref().map_err(Clone::clone)?;
        let end = bytes.len().min(self.written + PIECE_BYTES);
        room.extend_from_slice(&bytes[self.written..end]);
        self.written = end;
        Ok(end < bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(mut view: impl SnapshotView) -> Vec<Vec<u8>> {
        let mut pieces = Vec::new();
        loop {
            let mut piece = Vec::new();
            let more = view.next(&mut piece).unwrap();
            pieces.push(piece);
            if !more {
                return pieces;
            }
        }
    }

    #[test]
    fn a_state_comes_back_from_the_pieces_of_its_view() {
        for length in [0, 1, PIECE_BYTES - 4, PIECE_BYTES, 3 * PIECE_BYTES] {
            let state = vec![7_u8; length];
            let pieces = pieces(state.view());
            assert!(pieces.iter().all(|piece| piece.len() <= PIECE_BYTES), "at {length}");
            assert_eq!(pieces.len(), (length + 4).div_ceil(PIECE_BYTES), "at {length}");
            let mut restored = vec![1];
            restored.restore(&mut pieces.concat().as_slice()).unwrap();
            assert!(restored == state, "at {length}");
        }
    }

    #[test]
    fn a_view_is_of_its_moment() {
        let mut state = vec![1_u8];
        let view = state.view();
        state.push(2);
        state.restore(&mut pieces(view).concat().as_slice()).unwrap();
        assert_eq!(state, [1]);
    }

    #[test]
    fn bytes_that_are_no_state_are_refused() {
        let malformed = |bytes: &[u8]| {
            let error = String::new().restore(&mut &*bytes).unwrap_err();
            assert!(matches!(error, SnapshotError::Malformed(_)), "{bytes:?}: {error}");
        };
        malformed(&[]);
        malformed(&[1, 3, b'a']);
        malformed(&[1, 1, b'a', b'b']);
        malformed(&[1, 255, 255, 255, 255, 255, 255, 255, 255, 1]);
        let error = String::new().restore(&mut &[2, 1, b'a'][..]).unwrap_err();
        assert!(matches!(error, SnapshotError::Version(2)), "{error}");
    }

    #[test]
    fn a_state_that_cannot_be_written_says_so_when_it_is_written() {
        #[derive(serde::Serialize, serde::Deserialize)]
        struct Odd(#[serde(serialize_with = "refuse")] u8);
        fn refuse<S: serde::Serializer>(_: &u8, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("odd"))
        }
        let error = Odd(1).view().next(&mut Vec::new()).unwrap_err();
        assert!(matches!(error, SnapshotError::Unwritable(_)), "{error}");
    }
}
