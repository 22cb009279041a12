//! What the transport counts, so that nothing is dropped in silence.

use std::sync::atomic::{AtomicU64, Ordering};

/// Declares the counters and their readable copy together.
macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Everything counted since the transport started.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct TransportCounts {
            $($(#[$doc])* pub $name: u64,)*
        }

        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(crate) $name: AtomicU64,)*
        }

        impl Counters {
            pub(crate) fn read(&self) -> TransportCounts {
                TransportCounts { $($name: self.$name.load(Ordering::Relaxed),)* }
            }
        }
    };
}

counters! {
    /// Frames written.
    frames_sent,
    /// Bytes of frames written.
    bytes_sent,
    /// Writes, each of everything that waited for its peer.
    writes,
    /// Frames received and understood.
    frames_received,
    /// Bytes of frames received and understood.
    bytes_received,
    /// Frames refused because their peer was not connected.
    dropped_not_connected,
    /// Frames refused because the queue of their peer was full.
    dropped_queue_full,
    /// Frames refused because they exceed what a frame may hold.
    dropped_too_large,
    /// Frames that were queued when their connection was lost.
    dropped_connection_lost,
    /// Frames that left shorter than they were given.
    trimmed,
    /// Chunks of snapshots among the frames written.
    chunks_sent,
    /// Chunks of snapshots among the frames received.
    chunks_received,
    /// Bulk connections opened because there was something to send.
    bulk_opened,
    /// Bulk connections closed because there was nothing more to send.
    bulk_idle,
    /// Connections accepted after their handshake.
    accepted,
    /// Connections refused with a reason.
    refused,
    /// Connections closed before their handshake for speaking another protocol.
    garbage,
    /// Connections closed because a handshake or the rest of a frame did not come in time.
    too_slow,
    /// Connections closed for a frame that is damaged or claims too much.
    bad_frames,
    /// Connections closed for a frame that says nothing this node understands.
    bad_messages,
    /// Connections closed for a frame that belongs to the other channel.
    wrong_channel,
    /// Connections closed at once because there were too many.
    too_many,
    /// Attempts to dial that failed.
    dial_failures,
}

/// Counts one.
pub(crate) fn count(counter: &AtomicU64) {
    add(counter, 1);
}

/// Counts several.
pub(crate) fn add(counter: &AtomicU64, by: usize) {
    counter.fetch_add(by as u64, Ordering::Relaxed);
}
