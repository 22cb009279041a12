//! Forgives what etcd's own clients write as `:authority`.
//!
//! etcdctl 3.4 sends `http://127.0.0.1:2379` where a host and a port belong, and clients of 3.5 a
//! list of all their endpoints. A Go server takes no notice; the HTTP/2 stack below this server
//! refuses such a stream, as the standard has it. So what a connection brings passes a filter that
//! mends the authority of its requests before the stack sees it; the server never uses it.
//!
//! - The filter looks at no more than it must: when the first request of a connection has nothing
//!   to mend, everything after it passes untouched and uncopied.
//! - It decides nothing: what it cannot read, it passes on for others to refuse.
//! - It holds back at most one frame of headers, of the size that HTTP/2 allows by default.

mod headers;
mod huffman;

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use self::headers::Verdict;

/// What every HTTP/2 client says first.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Bytes of a frame's head: length, kind, flags, stream.
const FRAME_HEAD: usize = 9;
/// Largest frame that a peer may send unasked.
const MAX_FRAME: usize = 16 * 1024;
/// Kind of the frames that begin a request.
const HEADERS: u8 = 1;
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;
/// Bytes read at once while the filter looks.
const CHUNK: usize = 4 * 1024;

/// Where the filter stands in what a client sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the preface is complete.
    Preface,
    /// Within a frame of which this many bytes are still to come.
    Frame(usize),
    /// Nothing more is looked at.
    Open,
}

/// Turns what a client sends into what the HTTP/2 stack may see.
#[derive(Debug)]
struct Filter {
    state: State,
    /// Whether a request had to be mended.
    mends: bool,
    /// What came and is not decided.
    held: Vec<u8>,
    /// What may pass.
    passed: Vec<u8>,
}

impl Filter {
    const fn new() -> Self {
        Self { state: State::Preface, mends: false, held: Vec::new(), passed: Vec::new() }
    }

    /// Takes what came; decides as much of it as can be decided.
    fn take(&mut self, input: &[u8]) {
        self.held.extend_from_slice(input);
        while self.step() {}
        if self.state == State::Open {
            self.passed.append(&mut self.held);
        }
    }

    /// Decides one thing; says whether there may be more to decide.
    fn step(&mut self) -> bool {
        match self.state {
            State::Open => false,
            State::Preface => {
                let known = self.held.len().min(PREFACE.len());
                if self.held[..known] != PREFACE[..known] {
                    self.state = State::Open;
                } else if known == PREFACE.len() {
                    self.pass(known);
                    self.state = State::Frame(0);
                }
                self.state != State::Preface
            }
            State::Frame(0) => self.frame(),
            State::Frame(left) => {
                let known = self.held.len().min(left);
                self.pass(known);
                self.state = State::Frame(left - known);
                known == left
            }
        }
    }

    /// Decides about a frame whose head stands first in what is held.
    fn frame(&mut self) -> bool {
        let Some(&[a, b, c, kind, flags, ..]) = self.held.first_chunk::<FRAME_HEAD>() else {
            return false;
        };
        let length = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        let is_whole = kind == HEADERS && flags & END_HEADERS != 0 && length <= MAX_FRAME;
        if !is_whole {
            self.state = State::Frame(FRAME_HEAD + length);
            return true;
        }
        let Some(content) = self.held.get(FRAME_HEAD..FRAME_HEAD + length) else { return false };
        let replaced = mend(content, flags);
        // A client that needs mending once may need it again, whenever the two sides have forgotten
        // the header.
        self.mends |= replaced.is_some();
        self.state = if self.mends { State::Frame(0) } else { State::Open };
        if let Some(content) = replaced {
            let [_, a, b, c] = u32::try_from(content.len()).unwrap_or(u32::MAX).to_be_bytes();
            self.passed.extend_from_slice(&[a, b, c]);
            self.passed.extend_from_slice(&self.held[3..FRAME_HEAD]);
            self.passed.extend_from_slice(&content);
            self.held.drain(..FRAME_HEAD + length);
        } else {
            self.pass(FRAME_HEAD + length);
        }
        true
    }

    /// Lets the first bytes pass as they are.
    fn pass(&mut self, bytes: usize) {
        self.passed.extend(self.held.drain(..bytes));
    }

    /// Lets everything pass, because nothing more comes.
    fn finish(&mut self) {
        self.state = State::Open;
        self.passed.append(&mut self.held);
    }
}

/// A frame of headers with its authority mended, if that is needed.
fn mend(content: &[u8], flags: u8) -> Option<Vec<u8>> {
    let (mut start, mut end) = (0, content.len());
    if flags & PADDED != 0 {
        start = 1;
        end = end.checked_sub(usize::from(*content.first()?))?;
    }
    if flags & PRIORITY != 0 {
        start += 5;
    }
    match headers::inspect(content.get(start..end)?) {
        Verdict::Leave => None,
        Verdict::Replace(block) => {
            let content = [&content[..start], &block, &content[end..]].concat();
            // A plain string may be longer than its code; beyond the limit it would be refused.
            (content.len() <= MAX_FRAME).then_some(content)
        }
    }
}

/// A connection whose requests are mended on their way in.
#[derive(Debug)]
pub(crate) struct Forgiving<S> {
    stream: S,
    filter: Filter,
}

impl<S> Forgiving<S> {
    pub(crate) const fn new(stream: S) -> Self {
        Self { stream, filter: Filter::new() }
    }
}

/// What a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// HTTP/2, by its preface.
    Http2,
    /// Anything else.
    Other,
}

impl<S: AsyncRead + Unpin> Forgiving<S> {
    /// Waits until the first bytes tell what the client speaks; they are kept.
    ///
    /// # Errors
    ///
    /// When the connection breaks first.
    pub(crate) async fn protocol(&mut self) -> io::Result<Protocol> {
        poll_fn(|task| self.poll_protocol(task)).await
    }

    fn poll_protocol(&mut self, task: &mut Context<'_>) -> Poll<io::Result<Protocol>> {
        loop {
            match self.filter.state {
                State::Preface => ready!(self.poll_fill(task))?,
                State::Frame(_) => return Poll::Ready(Ok(Protocol::Http2)),
                State::Open if self.filter.passed.starts_with(PREFACE) => {
                    return Poll::Ready(Ok(Protocol::Http2));
                }
                State::Open => return Poll::Ready(Ok(Protocol::Other)),
            }
        }
    }

    /// Reads once, for the filter.
    fn poll_fill(&mut self, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut chunk = [0; CHUNK];
        let mut chunk = ReadBuf::new(&mut chunk);
        ready!(Pin::new(&mut self.stream).poll_read(task, &mut chunk))?;
        if chunk.filled().is_empty() {
            self.filter.finish();
        } else {
            self.filter.take(chunk.filled());
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Forgiving<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        task: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.filter.passed.is_empty() {
            if this.filter.state == State::Open {
                return Pin::new(&mut this.stream).poll_read(task, buffer);
            }
            ready!(this.poll_fill(task))?;
        }
        let filter = &mut this.filter;
        let bytes = filter.passed.len().min(buffer.remaining());
        buffer.put_slice(&filter.passed[..bytes]);
        filter.passed.drain(..bytes);
        if filter.passed.is_empty() && filter.state == State::Open {
            // A connection lives long; it needs no memory for what is over.
            filter.passed = Vec::new();
            filter.held = Vec::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Forgiving<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        task: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(task, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        task: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(task, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(task)
    }

    fn poll_shutdown(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(task)
    }
}

#[cfg(test)]
mod tests;
