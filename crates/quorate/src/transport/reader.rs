//! Reading frames from a connection: whatever one read brings is looked at together.
//!
//! - Memory grows with what has arrived, never with what a length promises.
//! - A frame that has begun must arrive within the read timeout of its last progress.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

use super::frame::{FrameError, Parsed, RawFrame, parse};

/// Room that a read is given at least.
const LEAST_ROOM: usize = 64 * 1024;
/// Buffer that an idle connection keeps at most.
const KEPT: usize = 256 * 1024;

/// Why no more frames come.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadEnd {
    #[error("the other side closed the connection")]
    Closed,
    #[error("the other side closed the connection inside a frame")]
    Cut,
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
    #[error("the rest of a frame did not arrive within {0:?}")]
    TooSlow(Duration),
    #[error(transparent)]
    Frame(#[from] FrameError),
}

/// Frames from a stream.
#[derive(Debug)]
pub(crate) struct FrameReader<S> {
    stream: S,
    limit: usize,
    read_timeout: Duration,
    /// Bytes that arrived; a prefix is used up.
    buffer: Vec<u8>,
    used: usize,
}

impl<S: AsyncRead + Unpin> FrameReader<S> {
    /// Reads frames of up to `limit` bytes of kind and body.
    pub(crate) const fn new(stream: S, limit: usize, read_timeout: Duration) -> Self {
        Self { stream, limit, read_timeout, buffer: Vec::new(), used: 0 }
    }

    /// The next whole frame of what has arrived; nothing when more must be [`fill`](Self::fill)ed.
    pub(crate) fn next(&mut self) -> Result<Option<RawFrame<'_>>, FrameError> {
        match parse(&self.buffer[self.used..], self.limit)? {
            Parsed::Partial { .. } => Ok(None),
            Parsed::Frame(frame) => {
                self.used += frame.bytes;
                Ok(Some(frame))
            }
        }
    }

    /// Waits for more bytes. Not to be called before [`next`](Self::next) found nothing more.
    pub(crate) async fn fill(&mut self) -> Result<(), ReadEnd> {
        self.compact();
        let begun = !self.buffer.is_empty();
        // At most doubles what is there, so that a promise alone reserves nothing.
        self.buffer.reserve(self.buffer.len().max(LEAST_ROOM));
        let reading = self.stream.read_buf(&mut self.buffer);
        let read = if begun {
            let waited = timeout(self.read_timeout, reading).await;
            waited.map_err(|_| ReadEnd::TooSlow(self.read_timeout))??
        } else {
            reading.await?
        };
        match (read, begun) {
            (0, true) => Err(ReadEnd::Cut),
            (0, false) => Err(ReadEnd::Closed),
            _ => Ok(()),
        }
    }

    /// Moves what is not used up to the front; gives back what a large frame needed.
    fn compact(&mut self) {
        let left = self.buffer.len() - self.used;
        if self.used > 0 {
            self.buffer.copy_within(self.used.., 0);
            self.buffer.truncate(left);
            self.used = 0;
        }
        if left < LEAST_ROOM && self.buffer.capacity() > KEPT {
            self.buffer.shrink_to(LEAST_ROOM);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use tokio::io::ReadBuf;

    use super::*;
    use crate::transport::frame::Encoded;

    /// Gives each of its parts in a read of its own, then waits for ever or ends.
    struct Parts {
        parts: VecDeque<Vec<u8>>,
        ends: bool,
    }

    impl AsyncRead for Parts {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            into: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            match self.parts.pop_front() {
                Some(mut part) => {
                    let rest = part.split_off(part.len().min(into.remaining()));
                    into.put_slice(&part);
                    if !rest.is_empty() {
                        self.parts.push_front(rest);
                    }
                    Poll::Ready(Ok(()))
                }
                None if self.ends => Poll::Ready(Ok(())),
                None => Poll::Pending,
            }
        }
    }

    fn reader(parts: &[&[u8]], ends: bool, limit: usize) -> FrameReader<Parts> {
        let parts = parts.iter().map(|part| part.to_vec()).collect();
        FrameReader::new(Parts { parts, ends }, limit, Duration::from_secs(5))
    }

    fn run<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime can be made");
        runtime.block_on(future)
    }

    /// All frames until the end, and the end.
    async fn all(mut reader: FrameReader<Parts>) -> (Vec<(u8, Vec<u8>)>, ReadEnd) {
        let mut frames = Vec::new();
        loop {
            loop {
                match reader.next() {
                    Ok(Some(frame)) => frames.push((frame.kind, frame.body.to_vec())),
                    Ok(None) => break,
                    Err(error) => return (frames, error.into()),
                }
            }
            if let Err(end) = reader.fill().await {
                return (frames, end);
            }
        }
    }

    fn frame(kind: u8, bytes: usize) -> Vec<u8> {
        Encoded::new(kind, Vec::new(), |out| out.resize(out.len() + bytes, kind)).to_vec()
    }

    #[test]
    fn frames_split_at_any_byte_come_out_whole() {
        let bytes = [frame(1, 0), frame(2, 5), frame(3, 17)].concat();
        let expected = vec![(1, vec![]), (2, vec![2; 5]), (3, vec![3; 17])];
        for cut in 0..=bytes.len() {
            let (head, tail) = bytes.split_at(cut);
            let parts: Vec<&[u8]> = [head, tail].into_iter().filter(|p| !p.is_empty()).collect();
            let (frames, end) = run(all(reader(&parts, true, 100)));
            assert_eq!(frames, expected, "cut at {cut}");
            assert!(matches!(end, ReadEnd::Closed));
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(run(all(reader(&single, true, 100))).0, expected);
    }

    #[test]
    fn an_end_inside_a_frame_is_told_from_one_between_frames() {
        let bytes = [frame(1, 3), frame(2, 5)].concat();
        let (frames, end) = run(all(reader(&[&bytes[..bytes.len() - 1]], true, 100)));
        assert_eq!(frames.len(), 1);
        assert!(matches!(end, ReadEnd::Cut));
    }

    #[test]
    fn a_promise_reserves_nothing() {
        let promise = [0xff, 0xff, 0xff, 0x00, 1, 2, 3, 4, 5];
        let mut reader = reader(&[&promise], false, 64 << 20);
        run(async {
            reader.fill().await.unwrap();
            assert!(reader.next().unwrap().is_none());
            let waiting = timeout(Duration::from_millis(1), reader.fill()).await;
            assert!(waiting.is_err());
        });
        assert!(reader.buffer.capacity() <= 4 * LEAST_ROOM, "{}", reader.buffer.capacity());
    }

    #[test]
    fn a_large_frame_arrives_and_its_memory_is_given_back() {
        let large = frame(7, 3_000_000);
        let small = frame(8, 10);
        let mut reader = reader(&[&large, &small], true, 4_000_000);
        run(async {
            loop {
                match reader.next().unwrap() {
                    Some(frame) if frame.kind == 7 => assert_eq!(frame.body.len(), 3_000_000),
                    Some(frame) => {
                        assert_eq!(frame.kind, 8);
                        break;
                    }
                    None => reader.fill().await.unwrap(),
                }
            }
            assert!(matches!(reader.fill().await, Err(ReadEnd::Closed)));
        });
        assert!(reader.buffer.capacity() <= KEPT);
    }

    #[test]
    fn half_a_frame_and_then_silence_ends_the_connection() {
        let bytes = frame(1, 30);
        let mut reader = reader(&[&bytes[..20]], false, 100);
        reader.read_timeout = Duration::from_millis(20);
        let (frames, end) = run(all(reader));
        assert!(frames.is_empty());
        assert!(matches!(end, ReadEnd::TooSlow(_)), "{end}");
    }
}
